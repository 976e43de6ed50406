"""The compact wrapper: ``Archive`` and what it returns."""

from __future__ import annotations

from .archive import Archive
from .images import Images, Plan

__all__ = ["Archive", "Images", "Plan"]
