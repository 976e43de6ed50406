"""The list is read in a thread of its own, since a generator may ask an archive for its next items."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable

from .items import Item

_AHEAD = 1000  # items that are read before somebody takes them


class Reader:
    """Reads ahead, but not far, and not while it is paused.

    Parameters
    ----------
    items
        The list.
    wake
        Called when items are there after there were none, and at the end.
    """

    def __init__(self, items: Iterable[Item], wake: Callable[[], None]) -> None:
        self._items, self._wake = items, wake
        self._read: deque[Item] = deque()
        self._go = threading.Event()
        self._stopped = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="list")
        self._end: Future[bool] = self._thread.submit(self._run)
        self._end.add_done_callback(lambda end: wake())

    def _run(self) -> bool:
        """Whether the list was read to its end."""
        self._go.wait()
        for item in self._items:
            if self._stopped:
                return False
            self._read.append(item)
            if len(self._read) == 1:
                self._wake()
            if len(self._read) >= _AHEAD:
                self._go.clear()
            if not self._go.is_set():
                self._go.wait()
        return not self._stopped

    def take(self, most: int) -> Iterator[Item]:
        """What has been read, and let it read on."""
        for _ in range(min(most, len(self._read))):
            yield self._read.popleft()
        if len(self._read) < _AHEAD // 2:
            self._go.set()

    def pause(self) -> None:
        """Ask for nothing more after the next item; taking goes on with it."""
        self._go.clear()

    @property
    def waiting(self) -> bool:
        """Whether something has been read and not taken."""
        return bool(self._read)

    @property
    def done(self) -> bool:
        """Whether everything was taken; what the list raised is raised here."""
        return self._end.done() and not self._read and self._end.result()

    def stop(self, *, wait: bool = True) -> None:
        """Read no further; what the list is doing at the moment is waited for."""
        self._stopped = True
        self._go.set()
        self._thread.shutdown(wait=wait)
