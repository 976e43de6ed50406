"""When a run ends before its list does: Ctrl-C, the caller's event, or a place to work in that is gone."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Optional, Union

from ..budget import Budget

_TICK = 0.2  # seconds after which a caller's event is looked at


class Stop:
    """Why nothing new begins any more, if so; inside it, Ctrl-C is the first reason, and a second one interrupts.

    Ctrl-C is taken over only in the main thread, and only where nobody else has done so.

    Parameters
    ----------
    cancelled
        The caller's event, or the ``Stop`` of the job that the run is a part of.
    """

    def __init__(self, cancelled: Union[threading.Event, Stop, None]) -> None:
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
        if isinstance(self._cancelled, Stop):
            return self._cancelled.why
        return "cancelled" if self._cancelled is not None and self._cancelled.is_set() else ""

    def because(self, reason: str) -> None:
        """Let the run end."""
        self._said = reason

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until nothing new is to begin."""
        budget = Budget(seconds)
        while not self.why and not budget.spent:
            time.sleep(budget.at_most(_TICK))

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
