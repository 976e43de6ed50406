"""Which associations are in the middle of something, so that a stopping node knows whom to wait for."""

from __future__ import annotations

import threading
import time
from typing import Any

_PENDING = (0xFF00, 0xFF01)
_PAUSE = 0.3  # seconds that a caller may take between two requests


class Activity:
    """Follows the messages of a node's associations."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: set[Any] = set()
        self._last: dict[Any, float] = {}

    def received(self, event: Any) -> None:
        """A request begins; answers to our own sub-operations come in the middle of one."""
        if "Status" not in event.message.command_set:
            with self._lock:
                self._busy.add(event.assoc)

    def sent(self, event: Any) -> None:
        """A final answer ends a request."""
        status = event.message.command_set.get("Status")
        if status is not None and status not in _PENDING:
            with self._lock:
                self._busy.discard(event.assoc)
                self._last[event.assoc] = time.monotonic()

    def ended(self, association: Any) -> None:
        """The association is over."""
        with self._lock:
            self._busy.discard(association)
            self._last.pop(association, None)

    def worth_waiting(self, association: Any) -> bool:
        """True while the association works on a request or has only just finished one."""
        with self._lock:
            last = self._last.get(association, 0.0)
            return association in self._busy or time.monotonic() - last < _PAUSE
