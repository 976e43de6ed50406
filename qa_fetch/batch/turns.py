"""When an archive may be asked for a row: in the allowed hours, again where it does not answer, and until a stop."""

from __future__ import annotations

from typing import Optional

from ..bulk.outage import backoff
from ..bulk.pace import Keeper, Pace
from ..bulk.progress import Meter, OnProgress
from ..bulk.stopping import Stop

_TICK = 0.2  # seconds after which the clock is looked at


class Turns:
    """Holds the questions of a batch to its pace.

    Parameters
    ----------
    patience
        Seconds, in all, to wait for an archive that does not answer.
    pace
        Of which the allowed hours count; batches and bytes are of what is fetched.
    stop
        Whether nothing new is to begin any more.
    on_progress
        Told what is waited for.
    """

    def __init__(
        self,
        patience: float = 0.0,
        pace: Optional[Pace] = None,
        stop: Optional[Stop] = None,
        on_progress: Optional[OnProgress] = None,
    ) -> None:
        self._patience = patience
        self._keeper = Keeper(pace or Pace())
        self._stop = stop or Stop(None)
        self._meter = Meter(on_progress)

    def come(self) -> bool:
        """Wait until something may be asked; False where the run is to end instead."""
        while not self._stop.why:
            hold = self._keeper.hold()
            self._meter.tell(0, hold.says if hold else "asking the archive for each row")
            if hold is None:
                return True
            self._stop.sleep(min(hold.seconds, _TICK))
        return False

    def again(self, failures: int) -> bool:
        """Wait before a row is asked for once more, longer each time; False where that has taken too long in all."""
        pause = min(self._patience, backoff(failures))
        self._patience -= pause
        self._stop.sleep(pause)
        return pause > 0
