"""What the node is sending now, and what it sent last, for whoever looks."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Optional, Protocol

_KEPT = 50  # jobs that are over


class Counted(Protocol):
    """Counts sub-operations while they are done."""

    completed: int
    warnings: int
    failed: list[str]

    @property
    def total(self) -> int:
        """How many there are."""


@dataclass
class Job:
    """One C-MOVE or C-GET.

    Parameters
    ----------
    service
        Its name.
    caller, address
        Who asked, and from where.
    destination
        Where the objects go.
    counts
        How far it is.
    """

    service: str
    caller: str
    address: str
    destination: str
    counts: Counted
    begun: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    ended: Optional[datetime] = None

    @property
    def total(self) -> int:
        """How many objects it is about."""
        return self.counts.total

    @property
    def completed(self) -> int:
        """How many objects are there, those with a warning included."""
        return self.counts.completed + self.counts.warnings

    @property
    def done(self) -> int:
        """How many have been tried."""
        return self.completed + self.failed

    @property
    def failed(self) -> int:
        """How many could not be sent."""
        return len(self.counts.failed)

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return ((self.ended or datetime.now(timezone.utc)) - self.begun).total_seconds()


class Jobs:
    """The jobs of one node."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._numbers = itertools.count()
        self._running: dict[int, Job] = {}
        self._over: deque[Job] = deque(maxlen=_KEPT)

    @contextlib.contextmanager
    def listed(self, job: Job) -> Iterator[None]:
        """A block during which a job runs."""
        with self._guard:
            number = next(self._numbers)
            self._running[number] = job
        try:
            yield
        finally:
            job.ended = datetime.now(timezone.utc)
            with self._guard:
                self._over.appendleft(self._running.pop(number))

    def running(self) -> tuple[Job, ...]:
        """Those under way, the newest first."""
        with self._guard:
            return tuple(reversed(list(self._running.values())))

    def over(self) -> tuple[Job, ...]:
        """The last ones that ended, the newest first."""
        with self._guard:
            return tuple(self._over)


JOBS = Jobs()  # one process serves one node
