"""How a run holds itself back, so that the clinic does not notice: batches, bytes a second, hours of the day."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from ..errors import ConfigError

_SPAN = re.compile(r"\s*(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)\s*", re.ASCII)
_DAY = 24 * 60  # minutes


@dataclass(frozen=True)
class Hours:
    """Spans of the day on this machine's clock, in minutes after midnight; one that ends earlier goes past midnight."""

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read ``22:00-06:00``, or several such spans with commas between."""
        return cls(tuple(_span(part, text) for part in text.split(",")))

    def __str__(self) -> str:
        return ", ".join(f"{_clock(begin)}-{_clock(end)}" for begin, end in self.spans)

    def allow(self, moment: datetime) -> bool:
        """Whether something may begin at this moment."""
        minute = moment.hour * 60 + moment.minute
        return any(
            begin <= minute < end if begin < end else minute >= begin or minute < end for begin, end in self.spans
        )

    def next(self, moment: datetime) -> datetime:
        """When the next span begins after a moment outside of them."""
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        begins = [midnight + timedelta(minutes=begin % _DAY) for begin, _ in self.spans]
        return min(begin if begin > moment else begin + timedelta(days=1) for begin in begins)


def _span(part: str, text: str) -> tuple[int, int]:
    read = _SPAN.fullmatch(part)
    if read:
        hours, minutes, end_hours, end_minutes = map(int, read.groups())
        begin, end = hours * 60 + minutes, end_hours * 60 + end_minutes
        if minutes < 60 and end_minutes < 60 and begin < _DAY and end <= _DAY and begin != end:
            return begin, end
    raise ConfigError(f"the hours {text!r} are not understood. Write them as 22:00-06:00, several with commas between.")


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


@dataclass(frozen=True)
class Pace:
    """How fast a run may go.

    Parameters
    ----------
    batch_size, batch_wait
        After every so many finished items nothing new begins for so many seconds.
    bytes_per_second
        Not exceeded on average over the run; what is being fetched is not slowed, the next item begins later.
    hours
        Such as ``22:00-06:00``, several with commas between: outside of them nothing new begins.
    """

    batch_size: int = 0
    batch_wait: float = 0.0
    bytes_per_second: float = 0.0
    hours: str = ""

    def __post_init__(self) -> None:
        for name in ("batch_size", "batch_wait", "bytes_per_second"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}. Give a number that is not below 0.")
        self.spans()

    def spans(self) -> Optional[Hours]:
        """The allowed hours, read."""
        return Hours.parse(self.hours) if self.hours.strip() else None


@dataclass(frozen=True)
class Hold:
    """Why nothing new begins: for how many seconds more, and what to tell who watches."""

    seconds: float
    says: str
    asleep: bool = False  # outside of the allowed hours, when nothing is asked of the archive either


class Keeper:
    """Keeps a run to its pace."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._hours = pace.spans()
        self._base = self._looked = time.monotonic()
        self._free_at = 0.0
        self._finished = 0
        self._bytes = 0

    def finished(self, size: int) -> None:
        """Count an item that is done or failed."""
        self._finished += 1
        self._bytes += size
        if self._pace.batch_size and self._finished % self._pace.batch_size == 0:
            self._free_at = time.monotonic() + self._pace.batch_wait

    def hold(self) -> Optional[Hold]:
        """What speaks against beginning something now."""
        now = time.monotonic()
        looked, self._looked = self._looked, now
        clock = _now()
        if self._hours is not None and not self._hours.allow(clock):
            self._base += now - looked  # hours of sleep are no allowance for the morning
            goes_on = self._hours.next(clock)
            until = f"{goes_on:%H:%M}" if goes_on.date() == clock.date() else f"{goes_on:%H:%M} tomorrow"
            says = f"outside of the allowed hours ({self._hours}); it goes on at {until}"
            return Hold((goes_on - clock).total_seconds(), says, asleep=True)
        if now < self._free_at:
            return Hold(self._free_at - now, f"waiting after a batch of {self._pace.batch_size}")
        if self._pace.bytes_per_second:
            over = self._base + self._bytes / self._pace.bytes_per_second - now
            if over > 0:
                return Hold(over, f"waiting, so as not to exceed {self._pace.bytes_per_second:g} bytes a second")
        return None


def _now() -> datetime:
    """This machine's clock."""
    return datetime.now()
