"""Fetched objects on disk by UID: shared by processes, atomic, checked, pruned on request."""

from __future__ import annotations

from .claim import Claim, Reference
from .incoming import Draft, Drafted, Incoming, Piece, Route, Taken, take
from .store import Folder, Shelf
from .upkeep import Entry, Report, discard, entries, prune, verify

__all__ = [
    "Claim",
    "Draft",
    "Drafted",
    "Entry",
    "Folder",
    "Incoming",
    "Piece",
    "Reference",
    "Report",
    "Route",
    "Shelf",
    "Taken",
    "discard",
    "entries",
    "prune",
    "take",
    "verify",
]
