"""The generator of courses lies in the folder above, where pytest does not look when it runs these tests alone."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
