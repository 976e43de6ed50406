"""How far a run has come, for who watches it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Optional

_EVERY = 0.1  # seconds between two reports that say nothing new but numbers


@dataclass(frozen=True)
class Progress:
    """One moment of a run.

    ``done`` counts what earlier runs did as well (``already``); ``total`` is unknown while the list is being read;
    ``rate`` is bytes a second of this run, ``left`` seconds to its end as far as one can tell. ``says`` is why it
    waits or stops, if it does.
    """

    done: int
    failed: int
    already: int
    running: int
    total: Optional[int]
    bytes: int
    seconds: float
    rate: float
    left: Optional[float]
    says: str


OnProgress = Callable[[Progress], None]


class Meter:
    """Counts a run, and tells it as often as somebody can read."""

    def __init__(self, tell: Optional[OnProgress]) -> None:
        self._tell = tell
        self._begun = time.monotonic()
        self._told = 0.0
        self._said = ""
        self._slept = self._asleep_since = 0.0  # outside of the allowed hours, which says nothing about the time left
        self.done = self.failed = self.already = self.bytes = 0
        self.total: Optional[int] = None

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._begun

    def sleep(self, asleep: bool) -> None:
        """Note whether it is outside of the allowed hours."""
        now = time.monotonic()
        if self._asleep_since:
            self._slept += now - self._asleep_since
        self._asleep_since = now if asleep else 0.0

    def tell(self, running: int, says: str = "", *, now: bool = False) -> None:
        """Report, unless that has just been done.

        Parameters
        ----------
        running
            How many items are being worked on.
        says
            Why nothing new begins; a new reason is told at once.
        now
            Report in any case.
        """
        if self._tell is None:
            return
        moment = time.monotonic()
        if now or says != self._said or moment - self._told >= _EVERY:
            self._told, self._said = moment, says
            self._tell(self._progress(running, says))

    def _progress(self, running: int, says: str) -> Progress:
        seconds = self.seconds
        ended = self.done + self.failed
        left = None
        if self.total is not None and ended:
            left = max(0.0, seconds - self._slept) / ended * (self.total - self.already - ended)
        return Progress(
            done=self.already + self.done,
            failed=self.failed,
            already=self.already,
            running=running,
            total=self.total,
            bytes=self.bytes,
            seconds=seconds,
            rate=self.bytes / seconds if seconds else 0.0,
            left=left,
            says=says,
        )
