"""Dates and times as physicists give them and as DICOM writes them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, Optional, Union

from ..errors import ConfigError

When = Union[date, datetime, str]

_MONTHS = ("January February March April May June July August September October November December").split()
_PAIRS = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("SeriesDate", "SeriesTime"),
)
TIME_KEYWORDS = tuple(keyword for pair in _PAIRS for keyword in pair)


def moment(value: When, name: str) -> datetime:
    """A point in local time; a date means its midnight, a time with a zone is converted."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            raise ConfigError(
                f"{name}={value!r} is not a date or time. Write it as 2025-11-03 or 2025-11-03 14:30."
            ) from None
    if isinstance(value, datetime):
        return value.astimezone().replace(tzinfo=None) if value.tzinfo is not None else value
    return datetime.combine(value, time())


def span(
    on: Optional[When], before: Optional[When], after: Optional[When]
) -> tuple[Optional[datetime], Optional[datetime]]:
    """The first moment that counts and the first that no longer does."""
    low = moment(after, "after") if after is not None else None
    high = moment(before, "before") if before is not None else None
    if on is not None:
        day = datetime.combine(moment(on, "on").date(), time())
        low = max(day, low) if low else day
        high = min(day + timedelta(days=1), high) if high else day + timedelta(days=1)
    return low, high


def acquired(header: Any) -> Optional[datetime]:
    """When an image was acquired: AcquisitionDate and Time, else the next best that its header has."""
    for date_keyword, time_keyword in _PAIRS:
        day = parse_date(header.get(date_keyword))
        if day is not None:
            return datetime.combine(day, parse_time(header.get(time_keyword)) or time())
    return None


def parse_date(text: Any) -> Optional[date]:
    """A DICOM date, or None for anything that is not one."""
    digits = str(text or "").strip().replace(".", "")
    try:
        return datetime.strptime(digits[:8], "%Y%m%d").date()
    except ValueError:
        return None


def parse_time(text: Any) -> Optional[time]:
    """A DICOM time, or None for anything that is not one."""
    whole, _, fraction = str(text or "").strip().replace(":", "").partition(".")
    try:
        return time(int(whole[:2]), int(whole[2:4] or 0), min(int(whole[4:6] or 0), 59), int((fraction + "000000")[:6]))
    except ValueError:
        return None


def in_words(value: date) -> str:
    """``6 May 2024``, in English whatever the locale is."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def clock(value: datetime) -> str:
    """``6 May 2024 10:21``."""
    return f"{in_words(value)} {value:%H:%M}"
