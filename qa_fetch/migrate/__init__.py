"""Migrate: a collection of Pinnacle archives into a folder that another system imports from, or into an archive."""

from __future__ import annotations

from .job import migrate
from .outcome import Entry, Migration

__all__ = ["Entry", "Migration", "migrate"]
