"""The time one call may take, shared by everything that works on that call."""

from __future__ import annotations

import time


class Budget:
    """Seconds that run down from the moment it is made."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def renew(self) -> None:
        """Begin again: another step of a long iteration, between which the caller took its own time."""
        self._end = time.monotonic() + self.seconds

    def left(self) -> float:
        """Seconds that remain; never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def spent(self) -> bool:
        """True once nothing is left."""
        return self.left() == 0.0

    def at_most(self, seconds: float) -> float:
        """The smaller of ``seconds`` and what is left: a timeout for one step."""
        return min(seconds, self.left())

    def __str__(self) -> str:
        return f"{self.seconds:g} s"
