"""Archives of the planning system Pinnacle: what they hold, and all of it as DICOM.

Only what runs is loaded: numpy and pydicom when the first object is made.
"""

from __future__ import annotations

from .export import export
from .listing import Listed, listing
from .report import Converted, Report, Written

__all__ = ["Converted", "Listed", "Report", "Written", "export", "listing"]
