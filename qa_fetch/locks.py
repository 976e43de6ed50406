"""A lock between processes and threads that the operating system frees when its holder dies."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Optional

from .budget import Budget

if os.name == "nt":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows only
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FileLock:
    """An exclusive lock on a small file, which is never deleted.

    Deleting a lock file lets two holders lock two files of one name, so it stays. The lock belongs to the open
    file, not to the process: two threads that each make a ``FileLock`` on one path exclude each other too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: Optional[int] = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free, without waiting."""
        if self._descriptor is not None:
            raise RuntimeError(f"this FileLock already holds {self.path}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if _try_lock(descriptor):
            self._descriptor = descriptor
            return True
        os.close(descriptor)
        return False

    def acquire(self, budget: Budget) -> bool:
        """Wait for the lock as long as the budget lasts; False when it ran out."""
        pause = 0.005
        while not self.try_acquire():
            if budget.spent:
                return False
            time.sleep(budget.at_most(pause))
            pause = min(pause * 1.5, 0.1)
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def held(self) -> bool:
        """True while this object holds the lock."""
        return self._descriptor is not None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.release()
