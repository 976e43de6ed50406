"""Several associations that share one list of jobs: worth it where a round trip costs more than an object."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Callable, Generic, Optional, TypeVar

from ..budget import Budget
from ..errors import ConnectionFailed, QAFetchError
from .link import Link
from .storage import VERIFICATION

_log = logging.getLogger("qa_fetch.dimse")

_Job = TypeVar("_Job")
_FAST = 0.001  # seconds of round trip below which one association keeps both sides busy
_FEW = 16  # objects that are not worth a second association, nor the question whether one would help


def size_of_crew(link: Link, objects: int, limit: int, budget: Budget) -> int:
    """How many associations are worth opening for so many objects, by the length of a round trip to the archive."""
    if limit == 1 or objects < _FEW or link.handshake < _FAST:
        return 1
    if link.accepts(VERIFICATION):  # the handshake was slow because of the way, or because the archive is
        before = time.perf_counter()
        link.echo(budget)
        if time.perf_counter() - before < _FAST:
            return 1
    return min(limit, math.ceil(objects / 2))


class Crew(Generic[_Job]):
    """Works off jobs, each by one member; the first failure that counts ends it.

    Parameters
    ----------
    jobs
        What is to be done.
    join
        What a further member does first; one that fails in it is not needed, since archives limit associations.
    work
        Does one of them; gives False when there is no use in going on.
    """

    def __init__(self, jobs: Iterable[_Job], join: Callable[[], object], work: Callable[[_Job], bool]) -> None:
        self._jobs = deque(jobs)
        self._join = join
        self._work = work
        self._failure: Optional[QAFetchError] = None
        self._over = threading.Event()

    def run(self, members: int) -> None:
        """Work with this many threads, the caller's among them; raises what went wrong first."""
        helpers = [
            threading.Thread(target=self._help, name="qa_fetch transfer", daemon=True)
            for _ in range(min(members, len(self._jobs)) - 1)
        ]
        for helper in helpers:
            helper.start()
        try:
            self._work_off()
        except BaseException:
            self._over.set()
            raise
        finally:
            for helper in helpers:
                helper.join()
        if self._failure is not None:
            raise self._failure
        self._work_off()  # what a helper has put back after the caller had found nothing left

    def _work_off(self) -> None:
        for job in self._left():
            self._do(job)

    def _left(self) -> Iterator[_Job]:
        while not self._over.is_set():
            try:
                yield self._jobs.popleft()
            except IndexError:
                return

    def _do(self, job: _Job) -> None:
        if not self._work(job):
            self._over.set()

    def _help(self) -> None:
        """The same for a further member: when it loses its association, another takes over its job."""
        try:
            self._join()
        except QAFetchError as error:
            _log.info("fewer associations than wished for: %s", error)
            return
        for job in self._left():
            try:
                self._do(job)
            except QAFetchError as error:
                if isinstance(error, ConnectionFailed):
                    _log.info("one of several associations ended early: %s", error)
                    self._jobs.appendleft(job)
                    return
                self._failure = self._failure or error
                self._over.set()
