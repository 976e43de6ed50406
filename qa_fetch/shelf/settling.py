"""Flushing files to the disk while the next ones arrive: a disk takes longer for it than an archive for an object."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, Optional

_THREADS = 4  # a disk flushes several files in little more time than one
_WAITING = 8  # and what is not flushed yet is bounded: each job has files open


class Settler:
    """Runs small jobs in the background; ``finish`` waits for all of them, and raises what one of them raised."""

    def __init__(self) -> None:
        self._pool: Optional[ThreadPoolExecutor] = None
        self._jobs: deque[Future[None]] = deque()

    def add(self, job: Callable[[], None]) -> None:
        """Have a job run soon; waits while too many wait already."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="qa_fetch shelf")
        self._jobs.append(self._pool.submit(job))
        while len(self._jobs) > _WAITING:
            self._jobs.popleft().result()

    def finish(self) -> None:
        """Wait until every job has run, and end the threads."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            while self._jobs:
                self._jobs.popleft().result()
        finally:
            pool.shutdown()
