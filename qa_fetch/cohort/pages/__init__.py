"""The pages of a cohort: one for all patients and one for each, which need nothing but themselves."""

from __future__ import annotations

from .writing import report

__all__ = ["report"]
