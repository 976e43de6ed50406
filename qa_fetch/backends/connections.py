"""The associations of one call: kept for its length, taken from the pool before and given back to it after."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Callable, TypeVar

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import ConnectionFailed
from . import Local
from .crew import Crew, size_of_crew
from .link import Link, Purpose, connect
from .pool import POOL

_T = TypeVar("_T")
_Job = TypeVar("_Job")


class Connections:
    """Open associations with one archive; each is used by one thread at a time."""

    def __init__(self, archive: ArchiveConfig, local: Local) -> None:
        self._archive = archive
        self._local = local
        self._guard = threading.Lock()
        self._free: list[Link] = []

    def run(self, purpose: Purpose, budget: Budget, action: Callable[[Link], _T]) -> _T:
        """Do something over an association; one from an earlier call that the peer has closed is opened anew."""
        link = self._take(purpose, budget)
        try:
            return action(link)
        except ConnectionFailed:
            if not link.reused or budget.spent:
                raise
            link.abort()
            link = connect(self._archive, self._local, purpose, budget)
            return action(link)
        finally:
            self._give(link)

    def open(self, purpose: Purpose, budget: Budget) -> Link:
        """An association that is known to work, for looking at what was agreed on."""
        link = self._take(purpose, budget)
        self._give(link)
        return link

    def members_for(self, purpose: Purpose, objects: int, budget: Budget) -> int:
        """How many associations are worth having for so many objects, by what is known of the way to the archive."""
        link = self._take(purpose, budget)
        try:
            return size_of_crew(link, objects, self._archive["associations"], budget)
        finally:
            self._give(link)

    def share(
        self, purpose: Purpose, jobs: Iterable[_Job], work: Callable[[Link, _Job], bool], members: int, budget: Budget
    ) -> None:
        """Work off jobs over several associations at once.

        Parameters
        ----------
        purpose
            What the associations are for.
        jobs
            What is to be done.
        work
            Does one job over an association; gives False when there is no use in going on.
        members
            How many associations.
        budget
            What is left of the call's time.
        """
        if members > 1:
            # Orthanc serves four associations at a time; one that is idle keeps the others waiting for a second.
            self._release_others(purpose)

        @contextlib.contextmanager
        def further() -> Iterator[Link]:
            link = connect(self._archive, self._local, purpose, budget)
            try:
                yield link
            finally:
                link.release()

        Crew(jobs, lambda action: self.run(purpose, budget, action), further, work).run(members)

    def _release_others(self, purpose: Purpose) -> None:
        with self._guard:
            others = [link for link in self._free if link.purpose != purpose]
            self._free = [link for link in self._free if link.purpose == purpose]
        for link in others:
            link.release()

    def _take(self, purpose: Purpose, budget: Budget) -> Link:
        with self._guard:
            found = next((link for link in self._free if link.purpose == purpose), None)
            if found is not None:
                self._free.remove(found)
        if found is not None and found.alive:
            return found
        if found is not None:
            found.abort()
        idle = POOL.take(self._archive, self._local, purpose)
        if idle is not None:
            return idle
        with POOL.giving_up_when_kept_waiting(self._archive):
            return connect(self._archive, self._local, purpose, budget)

    def _give(self, link: Link) -> None:
        if not link.alive:
            link.abort()
            return
        with self._guard:
            self._free.append(link)

    def close(self) -> None:
        """Give the associations back to the pool."""
        with self._guard:
            links, self._free = self._free, []
        for link in links:
            POOL.give(self._archive, self._local, link)
