"""The engine under every companion job: many items, each done once, whatever happens in between.

``run`` does the items of a list with a function, in threads, processes or a Dask cluster. Each has a line in the
``Ledger``, an SQLite file beside the output, so that the next run goes on where this one stopped.
"""

from __future__ import annotations

from .executors import executor
from .items import DONE, FAILED, RUNNING, WAITING, Done, Item, Row
from .ledger import Ledger
from .pace import Hours, Pace
from .progress import Progress
from .report import Report
from .running import run

__all__ = [
    "DONE",
    "FAILED",
    "RUNNING",
    "WAITING",
    "Done",
    "Hours",
    "Item",
    "Ledger",
    "Pace",
    "Progress",
    "Report",
    "Row",
    "executor",
    "run",
]
