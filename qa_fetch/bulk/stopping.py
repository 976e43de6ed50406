"""When a run ends before its list does: Ctrl-C, the caller's event, or a place to work in that is gone."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Optional


class Stop:
    """Why nothing new begins any more, if so; inside it, Ctrl-C is the first reason, and a second one interrupts.

    Ctrl-C is taken over only in the main thread, and only where nobody else has done so.
    """

    def __init__(self, cancelled: Optional[threading.Event]) -> None:
        self._cancelled = cancelled
        self._interrupted = False
        self._taken = False
        self._said = ""

    @property
    def why(self) -> str:
        """Empty while the run goes on."""
        if self._said:
            return self._said
        if self._interrupted:
            return "stopped with Ctrl-C"
        return "cancelled" if self._cancelled is not None and self._cancelled.is_set() else ""

    def because(self, reason: str) -> None:
        """Let the run end."""
        self._said = reason

    def _interrupt(self, number: int, frame: Optional[FrameType]) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._interrupt)
                self._taken = True
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._taken:
            signal.signal(signal.SIGINT, signal.default_int_handler)
