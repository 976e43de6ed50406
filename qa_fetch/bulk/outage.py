"""An archive that is away for a while: nothing is held against the items that were tried meanwhile."""

from __future__ import annotations

import time
from typing import Optional

from .pace import Hold

_LONGEST = 60.0


def backoff(times: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 and so on up to 60."""
    return float(min(_LONGEST, 2.0 ** (min(times, 10) - 1)))


class Outage:
    """Notices that nobody reaches the archive any more, and then lets one item at a time try.

    Parameters
    ----------
    patience
        Seconds to wait for the archive; 0 counts every attempt as any other failure.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._in_a_row = 0
        self._probes = 0
        self._since = self._next = 0.0
        self.away = False

    def note(self, unreachable: bool, workers: int) -> None:
        """Count an attempt; as many in a row as there are workers, and at least two, and the archive is away."""
        if not unreachable:
            self._in_a_row, self._probes, self.away = 0, 0, False
            return
        now = time.monotonic()
        if self._in_a_row == 0:
            self._since = now
        self._in_a_row += 1
        self.away = self._patience > 0 and self._in_a_row >= max(2, workers)
        if self.away and now >= self._next:
            self._probes += 1
            self._next = now + backoff(self._probes)

    @property
    def over(self) -> bool:
        """Whether it has lasted too long."""
        return self.away and time.monotonic() - self._since > self._patience

    def hold(self, running: int) -> Optional[Hold]:
        """What speaks against trying now."""
        left = self._next - time.monotonic()
        if not self.away or (left <= 0 and not running):
            return None
        return Hold(max(left, 0.0), f"the archive cannot be reached; trying again for up to {self._patience:g} s")
