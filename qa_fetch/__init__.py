"""Fetch RT images, plans and archived patients for machine QA in two or three lines."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Anonymiser": "anonymise",
    "Archive": "archive",
    "Images": "archive",
    "Plan": "archive",
    "QAFetchError": "errors",
    "ConfigError": "errors",
    "ConnectionFailed": "errors",
    "Refused": "errors",
    "NotFound": "errors",
    "Ambiguous": "errors",
    "Incomplete": "errors",
    "BadArchive": "errors",
}

__all__ = [*_HOMES]  # at most 12 names; a test counts them


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``import qa_fetch`` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
