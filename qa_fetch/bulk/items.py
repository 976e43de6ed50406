"""What goes into a run and what comes out of it: an item, what its work says, and its line in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


@dataclass(frozen=True)
class Item:
    """One piece of work.

    Parameters
    ----------
    key
        What the item is called; the same in every run over the same list, since it decides what is done already.
    payload
        What ``work`` gets: anything that JSON can hold. An item whose payload is another than in the run before is
        done again.
    """

    key: str
    payload: Any = None


@dataclass(frozen=True)
class Done:
    """What ``work`` gives back: the bytes that it brought, and whatever the ledger should keep of it as JSON."""

    bytes: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)


class Row(NamedTuple):
    """What the ledger holds of an item."""

    key: str
    payload: Any
    state: str
    attempts: int
    error: str
    error_class: str
    bytes: int
    seconds: float
    worker: str
    detail: Mapping[str, Any]
