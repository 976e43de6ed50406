"""One record for each call of an ``Archive``: what was asked and what came, for logs that a host keeps."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Optional

from ..errors import QAFetchError

_log = logging.getLogger("qa_fetch.archive")


@dataclass(frozen=True)
class Told:
    """What one call did; its repr names neither the patient nor the user, whatever a host does with it.

    A host that keeps a log of fetches listens to the logger ``qa_fetch.archive``: each record has one of these as its
    attribute ``told``.
    """

    call: str
    archive: str
    says: str = ""
    objects: int = 0
    from_shelf: Optional[bool] = None  # None: nothing was fetched
    seconds: float = 0.0
    problem: str = ""
    unit: Optional[int] = None
    patient: str = field(default="", repr=False)
    user: str = field(default="", repr=False)

    def __str__(self) -> str:
        """One line without anything about the patient."""
        took = f"{self.seconds:.2f} s"
        if self.problem:
            return f"{self.archive}: {self.call} failed after {took}: {self.problem}"
        if self.from_shelf is None:
            return f"{self.archive}: {self.call} took {took}"
        origin = "from the shelf" if self.from_shelf else "fetched"
        return f"{self.archive}: {self.call}, {self.objects} x {self.says}, {origin} in {took}"


@dataclass
class Telling:
    """Gathers what a call does while it runs."""

    told: Told
    started: float

    def failed(self, problem: str) -> None:
        """Note what is wrong where a call gives that back and does not raise it."""
        self.told = replace(self.told, problem=problem)

    def brought(self, says: str, objects: int, *, transferred: bool) -> None:
        """Note a set that was put together; a call may bring several (sessions, a plan)."""
        told = self.told
        self.told = replace(
            told,
            says=says,
            objects=told.objects + objects,
            from_shelf=not transferred and told.from_shelf is not False,
        )


@contextlib.contextmanager
def telling(told: Told) -> Iterator[Telling]:
    """Tell what a call did when it has ended, well or not."""
    gathering = Telling(told, time.monotonic())
    problem = "it ended before it was done"  # by an error that is not of this package, or by an interrupt
    try:
        yield gathering
        problem = gathering.told.problem
    except GeneratorExit:  # nobody asked for further sessions
        problem = ""
        raise
    except QAFetchError as error:
        problem = error.message
        raise
    finally:
        done = replace(gathering.told, seconds=time.monotonic() - gathering.started, problem=problem)
        _log.info("%s", done, extra={"told": done})
