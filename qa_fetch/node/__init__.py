"""A small DICOM node: echo, store, find, move and get over an index on SQLite.

It is the embedded default archive of the demo and the tests. Nothing of Django or pydicom is imported before a node
is started, so that a host which only names these classes pays nothing for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    **dict.fromkeys(("NodeOptions", "Peer", "Bounds", "Certificates", "Database", "Web"), "options"),
    "Node": "server",
    "serve": "server",
    "NodeProcess": "process",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
