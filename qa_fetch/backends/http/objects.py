"""Several transfers at a time, over connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Callable, Optional

from ...errors import QAFetchError, Refused

CONNECTIONS = 4
_GONE = (404, 410)

Job = Callable[[], None]


def run(jobs: Iterable[Job], enough: Callable[[], bool]) -> None:
    """Run jobs, up to four at a time, until one fails for good or there is enough.

    An object that the archive says it does not have stops nothing: the claim knows that it is missing. Raises the
    first failure, once every job that had begun has ended.
    """
    work = _Work(jobs, enough)
    threads = [threading.Thread(target=work.go_on, name="qa_fetch http") for _ in range(CONNECTIONS - 1)]
    begun = []
    for thread in threads:
        if work.several:
            thread.start()
            begun.append(thread)
    try:
        work.go_on()
    finally:
        work.stopped = True
        for thread in begun:
            thread.join()
    if work.failure is not None:
        raise work.failure


class _Work:
    """Jobs that are taken one by one."""

    def __init__(self, jobs: Iterable[Job], enough: Callable[[], bool]) -> None:
        listed = list(jobs)
        self._waiting: Iterator[Job] = iter(listed)
        self._count = len(listed)
        self._enough = enough
        self._guard = threading.Lock()
        self.failure: Optional[BaseException] = None
        self.stopped = False

    @property
    def several(self) -> bool:
        """Whether a further thread would have something to do."""
        self._count -= 1
        return self._count > 0

    def go_on(self) -> None:
        """Take jobs until there are none."""
        while not self.stopped and not self._enough():
            with self._guard:
                job = next(self._waiting, None)
            if job is None:
                return
            try:
                job()
            except Refused as error:
                if error.status not in _GONE:
                    self._stop(error)
            except QAFetchError as error:
                self._stop(error)
            except BaseException as error:
                self._stop(error)
                raise

    def _stop(self, error: BaseException) -> None:
        with self._guard:
            self.failure = self.failure or error
            self.stopped = True
