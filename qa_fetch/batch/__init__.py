"""Batch: a spreadsheet in, a complete and documented data set out."""

from __future__ import annotations

from .job import fetch_csv, look_up
from .uploading import upload

__all__ = ["fetch_csv", "look_up", "upload"]
