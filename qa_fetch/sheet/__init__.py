"""Tables as spreadsheets write them: CSV with any separator and encoding, or the first sheet of an ``.xlsx``."""

from __future__ import annotations

from .cells import Moment, Wrong, as_typed
from .reading import Line, Sheet

__all__ = ["Line", "Moment", "Sheet", "Wrong", "as_typed"]
