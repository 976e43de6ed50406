"""A Dask cluster as an executor; ``distributed`` (the extra ``cluster``) is imported only when one is named."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future
from typing import Any, Callable, TypeVar

from ..errors import ConfigError, ConnectionFailed

_CONNECTING = 10.0  # seconds for the scheduler to answer, and for the first worker to be there
_ALONE = 60.0  # seconds without any worker, after which nobody is expected any more
_LOOKING = 2.0  # seconds after which the workers are counted again: they come and go
_T = TypeVar("_T")


class ClusterExecutor(Executor):
    """The workers of a Dask scheduler; items of a lost worker are given to another one by the scheduler itself."""

    def __init__(self, address: str) -> None:
        import asyncio

        try:
            import distributed
        except ImportError:
            raise ConfigError(
                f"{address} needs Dask, which is not installed. Install it with: pip install 'qa_fetch[cluster]'"
            ) from None
        self.address = address
        client: Any = distributed.Client  # its functions have no types
        try:
            self._client: Any = client(address, timeout=_CONNECTING, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConnectionFailed(
                f"no Dask scheduler answers at {address}. Start one with: dask scheduler, or correct the address."
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=_CONNECTING)
        except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
            self._client.close()
            raise ConnectionFailed(
                f"the Dask scheduler {address} has no workers. Start some with: dask worker {address}"
            ) from None
        self._executor: Executor = self._client.get_executor(pure=False)  # the same payload twice is two items
        self._threads = self._count()
        self._seen = self._looked = time.monotonic()

    def submit(self, work: Callable[..., _T], /, *args: Any, **more: Any) -> Future[_T]:
        """Give a call to the cluster."""
        return self._executor.submit(work, *args, **more)

    @property
    def threads(self) -> int:
        """How many items the workers can do at a time; at least one, since workers may come back."""
        self._look()
        return max(1, self._threads)

    @property
    def alive(self) -> bool:
        """Whether the scheduler is there, and has had workers within the last minute."""
        self._look()
        return bool(self._client.status == "running") and time.monotonic() - self._seen < _ALONE

    def _look(self) -> None:
        if time.monotonic() - self._looked >= _LOOKING and self._client.status == "running":
            self._threads = self._count()
            self._looked = time.monotonic()
            if self._threads:
                self._seen = self._looked

    def _count(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except OSError:
            return 0  # the scheduler has just gone; its client notices by itself

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Say goodbye to the scheduler; what it was still given is forgotten."""
        self._client.close()
