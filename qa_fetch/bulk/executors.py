"""Where items are worked on: threads, processes or a Dask cluster, all as ``concurrent.futures.Executor``."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor as Broken
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Callable, Optional, TypeVar

from ..errors import ConfigError
from .attempt import Outcome, Work, attempt, ready
from .cluster import ClusterExecutor

_THREADS = 4  # an archive that serves more associations at a time is rare
_PROBES = 3
_T = TypeVar("_T")


class _Processes(ProcessPoolExecutor):
    """Processes that end with the run, also with one that is killed: they hold the end of a pipe that it closes."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        reader, self._alive = context.Pipe(duplex=False)
        super().__init__(workers, mp_context=context, initializer=_begin_process, initargs=(reader,))
        self._reader = reader  # a process that is started later inherits it

    def submit(self, work: Callable[..., _T], /, *args: Any, **more: Any) -> Future[_T]:
        """As every executor; a process that this starts cannot be interrupted before it says so itself."""
        with _uninterrupted():
            return super().submit(work, *args, **more)

    def give_up(self) -> None:
        """End the processes, whatever they do."""
        self._alive.close()
        self.shutdown(wait=False, cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As every executor, and the pipe is closed."""
        super().shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            self._alive.close()
            self._reader.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C does not reach this thread, nor what it starts; Windows has no such thing."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_process(reader: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal, and this one finishes
    threading.Thread(target=_end_with, args=(reader,), daemon=True).start()


def _end_with(reader: Connection) -> None:
    reader.poll(None)
    os._exit(1)


def executor(where: str = "threads", workers: Optional[int] = None) -> Executor:
    """The executor for a word or an address.

    Parameters
    ----------
    where
        ``threads``, ``processes``, or a Dask scheduler such as ``tcp://host:8786`` (needs the extra ``cluster``).
    workers
        How many items at a time; without it four threads, a process per core, or all threads of the cluster.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"there cannot be {workers} workers. Give at least 1.")
    if where == "threads":
        return ThreadPoolExecutor(workers or _THREADS, thread_name_prefix="worker")
    if where == "processes":
        return _Processes(workers or os.cpu_count() or 1)
    if where.startswith(("tcp://", "tls://")):
        return ClusterExecutor(where)
    raise ConfigError(
        f"items cannot be worked on in {where!r}. "
        "Say threads, processes, or the address of a Dask scheduler such as tcp://host:8786."
    )


class Workers:
    """An executor that is opened when the first item is there, and again when it broke.

    Parameters
    ----------
    where, workers
        As for ``executor``.
    work
        What every item is given to.
    """

    def __init__(self, where: str, workers: Optional[int], work: Work) -> None:
        self._where, self._workers, self._work = where, workers, work
        self._place = where if where in ("threads", "processes") else "cluster"
        self._executor: Optional[Executor] = None
        if self._place == "processes":
            pickle.dumps(work)  # a lambda fails here, with Python's own words, and not in each item

    def open(self) -> None:
        """Start what is not running; ConfigError where workers end at once or cannot import the work."""
        for probe in range(_PROBES):
            if self._executor is None:
                self._executor = executor(self._where, self._workers)
            if self._place == "threads":
                return
            try:
                self._executor.submit(ready, self._work).result()
            except (Broken, CancelledError):
                self.close()
                if probe + 1 == _PROBES:
                    raise ConfigError(
                        "the worker processes end as soon as they begin. In a script, start the run below "
                        'if __name__ == "__main__": and keep the work in a module; or use threads.'
                    ) from None
            except ImportError as error:
                self.close()
                raise ConfigError(
                    f"the workers cannot import the work ({error.name or 'a module'} is missing there). "
                    "Install the same qa_fetch, and what the work needs, where they run."
                ) from error
            else:
                return

    def submit(self, payload: str) -> Future[Outcome]:
        """Give an item to a worker."""
        assert self._executor is not None
        return self._executor.submit(attempt, self._work, payload, self._place)

    @property
    def is_open(self) -> bool:
        """Whether there is an executor."""
        return self._executor is not None

    @property
    def size(self) -> int:
        """How many items at a time."""
        if isinstance(self._executor, ClusterExecutor):
            return min(self._workers or self._executor.threads, self._executor.threads)
        return self._workers or (_THREADS if self._place == "threads" else os.cpu_count() or 1)

    @property
    def lost(self) -> bool:
        """Whether the cluster is gone, and with it what was going on there."""
        return isinstance(self._executor, ClusterExecutor) and not self._executor.alive

    def close(self, *, wait: bool = True) -> None:
        """End them; without waiting, what they are doing is given up where that is possible."""
        gone, self._executor = self._executor, None
        if gone is None:
            return
        if not wait and isinstance(gone, _Processes):
            gone.give_up()
        else:
            gone.shutdown(wait=wait)


def is_loss(future: Future[Any]) -> bool:
    """Whether a future ended because its worker, or the whole place, ended."""
    return future.cancelled() or isinstance(future.exception(), (Broken, CancelledError))


def is_last_loss(error: Optional[BaseException]) -> bool:
    """Whether the cluster has given up on an item, whose workers were lost again and again."""
    return type(error).__name__ == "KilledWorker"
