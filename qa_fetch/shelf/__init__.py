"""Fetched objects on disk by UID: shared by processes, atomic, checked, pruned on request."""

from __future__ import annotations

from .claim import Claim, Reference, Taken
from .store import Folder, Shelf
from .upkeep import Entry, Report, entries, prune, verify

__all__ = ["Claim", "Entry", "Folder", "Reference", "Report", "Shelf", "Taken", "entries", "prune", "verify"]
