"""Cohort: linked, checked and explained radiotherapy data, from an archive and rules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cohort import Cohort as Cohort

__all__ = ["Cohort"]


def __getattr__(name: str) -> Any:
    """Load the class when it is first used, so that importing a module beside it costs no more than that module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(".cohort", __name__), name)
    return value
