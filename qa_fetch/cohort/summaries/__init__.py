"""What an archive has of each patient, as PDCP's tables: the list of patients, and one row per object."""

from __future__ import annotations

from .idsfile import ids
from .source import Listed
from .summarise import summarise

__all__ = ["Listed", "ids", "summarise"]
