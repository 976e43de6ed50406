"""A lock between processes and threads that the operating system frees when its holder dies."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Optional
from weakref import WeakSet

from .budget import Budget

if os.name == "nt":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows only
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLK):
                raise
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows only

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLock:
    """An exclusive lock on a small file, which is never deleted.

    Deleting a lock file lets two holders lock two files of one name, so it stays; should somebody clear the folder
    all the same, the next taker notices and makes a new file. The lock belongs to the open file, not to the process:
    two threads that each make a ``FileLock`` on one path exclude each other too. A forked child does not inherit it.

    Entering a ``with`` block takes nothing, since a bounded wait can fail; leaving it gives the lock back.
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
        taken = False
        try:
            taken = _try_lock(descriptor) and self._is_still(descriptor)
        finally:
            if not taken:
                os.close(descriptor)
        if taken:
            self._descriptor = descriptor
            _held.add(self)
        return taken

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
            descriptor, self._descriptor = self._descriptor, None
            _held.discard(self)
            try:
                _unlock(descriptor)  # closing alone would leave it to a child that has forked in the meantime
            finally:
                os.close(descriptor)

    @property
    def held(self) -> bool:
        """True while this object holds the lock."""
        return self._descriptor is not None

    def _is_still(self, descriptor: int) -> bool:
        """Whether the path still names the file that was opened, not another one made in its place."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _forget(self) -> None:
        """In a forked child: close our copy of the open file, so that the lock ends with the parent's."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.release()


_held: WeakSet[FileLock] = WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_held):
        lock._forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
