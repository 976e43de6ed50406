"""``python -m qa_fetch.cli``: the command where no console script is installed."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
