"""Flushing files to the disk while the next ones arrive: a disk takes longer for it than an archive for an object."""

from __future__ import annotations

import queue
import threading
from typing import Callable, Optional

_THREADS = 4  # a disk flushes several files in little more time than one
_WAITING = 8  # and what is not flushed yet is bounded: each job has files open


class Settler:
    """Runs small jobs in the background, in no particular order; ``finish`` waits for all of them.

    A job must not raise: what goes wrong is its owner's to tell.
    """

    def __init__(self) -> None:
        self._jobs: queue.Queue[Optional[Callable[[], None]]] = queue.Queue(_WAITING)
        self._threads: list[threading.Thread] = []

    def add(self, job: Callable[[], None]) -> None:
        """Have a job run soon; waits while too many wait already."""
        if len(self._threads) < _THREADS and (not self._threads or not self._jobs.empty()):
            thread = threading.Thread(target=self._run, name="qa_fetch shelf", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)

    def finish(self) -> None:
        """Wait until every job has run, and end the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        while self._threads:
            self._threads.pop().join()

    def _run(self) -> None:
        for job in iter(self._jobs.get, None):
            job()
