"""Test packs for QATrack+: built from a folder of readable sources, and checked before anybody imports them."""

from __future__ import annotations

from .building import build, current, write
from .checking import check
from .finding import Finding

__all__ = ["Finding", "build", "check", "current", "write"]
