"""Days found in text, however they are written; a number or a version that is none of the days looked for stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from .patterns import MONTHS
from .removing import Span

_MONTHS: Final = {name: str(number) for number, names in enumerate(MONTHS, 1) for name in names.split()}
_LONG, _SHORT, _NAMED = r"[ .,/_年月-]{1,2}", r"(?:[./_-] ?| )", r"[ .,/_-]{0,2}"
_NUMBER, _ORDINAL = "[0-9]{1,2}", "(?:st|nd|rd|th|er)?"
# Looked for at every digit or word that begins, since one may lie within what is no day (v2.15.01.2024).
# Six digits in a row are no part of a number with a point, and a year of two digits is no part of a version.
_WRITTEN: Final = re.compile(
    rf"(?=(?<![0-9])(?:"
    rf"(?P<row>(?<![0-9][.,])(?:[0-9]{{2}}){{3,7}}(?![0-9]|[.,][0-9])(?!(?!t[0-9])[^\W_]))"
    rf"|(?P<year_first>[0-9]{{4}}{_LONG}{_NUMBER}{_LONG}{_NUMBER}日?(?![0-9]))"
    rf"|(?P<year_last>{_NUMBER}{_LONG}{_NUMBER}{_LONG}[0-9]{{4}}(?![0-9]))"
    rf"|(?P<short>(?<![0-9]\.){_NUMBER}{_SHORT}{_NUMBER}{_SHORT}{_NUMBER}(?![0-9]|\.[0-9]))"
    rf"|(?P<named>[0-9]{{1,4}}{_ORDINAL}{_NAMED}[a-z]{{3,10}}{_NAMED}[0-9]{{1,4}}{_ORDINAL}(?![0-9]))"
    rf")|(?=(?<![a-z])(?P<month_first>[a-z]{{3,10}}{_NAMED}{_NUMBER}{_ORDINAL}{_LONG}(?:[0-9]{{2}}){{1,2}}(?![0-9]))))"
)
_TWO_DIGITS: Final = re.compile("[0-9]{2}")
_PARTS: Final = re.compile("[0-9]+|[a-z]{3,}")
_BETWEEN: Final = re.compile("[^0-9]+")
_CLOCK: Final = re.compile("(?:(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9])?)?\\Z")
_Parts = tuple[str, str, str]  # year, month and day


class WrittenDays:
    """Finds the days that it was given.

    Parameters
    ----------
    days
        Each as eight digits, the year first.
    """

    def __init__(self, days: Iterable[str]) -> None:
        self._days = frozenset((int(day[:4]), int(day[4:6]), int(day[6:])) for day in days)
        self._short = frozenset((year % 100, month, day) for year, month, day in self._days)

    def spans(self, small: str) -> Iterator[Span]:
        """Where they are in a folded text."""
        if not self._days or not _TWO_DIGITS.search(small):
            return
        for found in _WRITTEN.finditer(small):
            form = str(found.lastgroup)
            if any(self._is_known(*parts) for parts in _read(form, found[form])):
                yield found.span(form)

    def _is_known(self, year: str, month: str, day: str) -> bool:
        return (int(year), int(month), int(day)) in (self._days if len(year) == 4 else self._short)


def _read(form: str, text: str) -> Iterator[_Parts]:
    """Which days a text may mean."""
    if form == "row":
        for size in (8, 6):
            if len(text) >= size and _CLOCK.match(text, size):
                years = size - 4
                yield text[:years], text[years : size - 2], text[size - 2 : size]
                yield text[4:size], text[2:4], text[:2]
                yield text[4:size], text[:2], text[2:4]
        return
    first, second, third = _PARTS.findall(text)
    if form in ("named", "month_first"):
        day, name, year = (second, first, third) if form == "month_first" else (first, second, third)
        month = _MONTHS.get(name, "0")
        if len(year) in (2, 4):
            yield year, month, day
        if form == "named" and len(day) in (2, 4):
            yield day, month, year
    elif form == "year_first" or _is_plain(form, text):
        if len(first) > 1:
            yield first, second, third
        if len(third) > 1:
            yield third, second, first
            yield third, first, second


def _is_plain(form: str, text: str) -> bool:
    """Whether a date is written as one, where a year of two digits makes it like any three numbers."""
    if form != "short":
        return True
    first, second = (between.strip() for between in _BETWEEN.findall(text))
    return first == second and (bool(first) or len(text) == len("31 12 99"))
