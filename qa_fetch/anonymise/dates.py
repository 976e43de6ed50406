"""Dates moved by whole days, as DICOM and its predecessor write them."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Optional

OLDEST_AGE = 90  # of all patients who are older than 89, nobody's age may be told
_DAY = re.compile(r"([0-9]{4})[.-]?([0-9]{2})[.-]?([0-9]{2})\Z")
_MOMENT = re.compile(r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})([0-9]{0,6}(?:\.[0-9]{1,6})?))?)?([+-][0-9]{4})?\Z")
_AGE = re.compile(r"([0-9]{1,3})([DWMY])\Z")


def day_of(value: str) -> Optional[date]:
    """The day of a DA, or of what begins like a DT; None where there is none."""
    text = value.strip(" \0")
    found = _DAY.match(text) or _MOMENT.match(text)
    if found is None or found.group(3) is None:
        return None
    try:
        return date(int(found.group(1)), int(found.group(2)), int(found.group(3)))
    except ValueError:
        return None


def _moved(day: date, days: int) -> Optional[date]:
    try:
        return day + timedelta(days)
    except OverflowError:
        return None


def moved_date(value: str, days: int) -> Optional[str]:
    """A DA on its new day; None where it is no date."""
    day = day_of(value) if _DAY.match(value.strip(" \0")) else None
    moved = _moved(day, days) if day else None
    return f"{moved:%Y%m%d}".zfill(8) if moved else None


def moved_moment(value: str, days: int) -> Optional[str]:
    """A DT on its new day, as precise as it was; None where it is none."""
    found = _MOMENT.match(value.strip(" \0"))
    if found is None:
        return moved_date(value, days)
    year, month, day_number, clock, zone = found.groups(default="")
    try:
        day = date(int(year), int(month or 7), int(day_number or 1))
    except ValueError:
        return None
    moved = _moved(day, days)
    if moved is None:
        return None
    digits = f"{moved:%Y%m%d}".zfill(8)
    return digits[: len(year + month + day_number)] + clock + zone


def capped_age(value: str, when: str = "", last: str = "") -> Optional[str]:
    """An AS, where nobody is older than 90 years; None where it is none, or says that of a later day.

    Parameters
    ----------
    value
        The age.
    when, last
        The day on which the patient was that old, and the last one that other objects tell of the patient.
    """
    found = _AGE.match(value.strip(" \0"))
    if found is None:
        return None
    years = int(found.group(1)) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[found.group(2)]
    if years >= OLDEST_AGE:
        return f"{OLDEST_AGE:03d}Y"
    then, later = day_of(when), day_of(last)
    since = (later - then).days / 365.25 if then and later else 0.0
    return None if years + since >= OLDEST_AGE else value


def is_over_89(birth: str, when: str) -> bool:
    """Whether somebody born then was 90 or older on that day; one whose day is not known is measured by today."""
    born, then = day_of(birth), day_of(when) or date.today()
    return (
        born is not None and (then.year - born.year - ((then.month, then.day) < (born.month, born.day))) >= OLDEST_AGE
    )
