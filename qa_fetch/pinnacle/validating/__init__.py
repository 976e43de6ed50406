"""Holding a conversion against a second opinion: another converter, or what the planning system itself exported."""

from __future__ import annotations

from .results import AGREES, DIFFERS, OPEN, Comparison, Line, Picture, Validated, Validation
from .validate import ENGINES, validate

__all__ = [
    "AGREES",
    "DIFFERS",
    "ENGINES",
    "OPEN",
    "Comparison",
    "Line",
    "Picture",
    "Validated",
    "Validation",
    "validate",
]
