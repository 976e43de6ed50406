"""Several associations that share one list of jobs: worth it where a round trip costs more than an object."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
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
    """Works off jobs, each over one association; the first failure that counts ends it.

    Parameters
    ----------
    jobs
        What is to be done.
    over
        Does something over an association that stays open.
    further
        Opens another association for the length of a block.
    work
        Does one job over an association; gives False when there is no use in going on.
    """

    def __init__(
        self,
        jobs: Iterable[_Job],
        over: Callable[[Callable[[Link], bool]], bool],
        further: Callable[[], AbstractContextManager[Link]],
        work: Callable[[Link, _Job], bool],
    ) -> None:
        self._jobs = deque(jobs)
        self._over_the_first = over
        self._further = further
        self._work = work
        self._failure: Optional[QAFetchError] = None
        self._ended = threading.Event()

    def run(self, members: int) -> None:
        """Work over this many associations, all but one in threads; raises what went wrong first."""
        helpers = [
            threading.Thread(target=self._help, name="qa_fetch transfer", daemon=True)
            for _ in range(min(members, len(self._jobs)) - 1)
        ]
        for helper in helpers:
            helper.start()
        try:
            self._work_off()
        except BaseException:  # an interrupt too: the helpers must not go on with what nobody waits for
            self._ended.set()
            raise
        finally:
            for helper in helpers:
                helper.join()
        if self._failure is not None:
            raise self._failure
        self._work_off()  # what a helper has put back after there was nothing left

    def _work_off(self) -> None:
        for job in self._left():
            if not self._over_the_first(partial(self._work_on, job)):
                self._ended.set()

    def _work_on(self, job: _Job, link: Link) -> bool:
        return self._work(link, job)

    def _left(self) -> Iterator[_Job]:
        while not self._ended.is_set():
            try:
                yield self._jobs.popleft()
            except IndexError:
                return

    def _help(self) -> None:
        """Work over a further association, which the archive need not want: others take over its jobs then."""
        job: Optional[_Job] = None
        try:
            with self._further() as link:
                for job in self._left():
                    if not self._work(link, job):
                        self._ended.set()
                    job = None
        except ConnectionFailed as error:
            _log.info("an association of several ended early: %s", error)
            if job is not None:
                self._jobs.appendleft(job)
        except QAFetchError as error:
            if job is not None:  # else the archive wants no further association, which is its right
                self._failure = self._failure or error
                self._ended.set()
