"""Free text without what identifies the people and places of a harvest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cached_property, lru_cache
from itertools import chain
from typing import Callable, Final, Optional

from ..part10 import Buffer
from . import raw
from .by_form import FORMS, STANDARD_UID, UID, looks_like_a_name
from .folding import WORD, folded, positions
from .harvest import Harvest
from .patterns import is_number, of_date, of_name, of_number, of_place, tiny
from .removing import Span, without
from .trie import Trie
from .vocabulary import DICOM, identifies, identifies_a_place, words
from .written_days import WrittenDays

_ROUNDS = 8  # what was taken out may bring together what is to be taken out next
_REMEMBERED, _LONGEST_REMEMBERED = 4096, 512
_LONGEST_WORD = 20
_SHARED = 16  # patients of whom objects arrive at the same time
_Some = frozenset[str]
# Letters that stand for UIDs while text is searched: digits of Vai, which no name and no number of a clinic is made of.
_STAND_INS: Final = tuple(map(chr, range(0xA620, 0xA62A)))


class _Way(Enum):
    TEXT, STRICT, CODED, STRICTLY_CODED = range(4)


class Scrubber:
    """Takes out of text what identifies: what was harvested, in all usual spellings, and nothing else."""

    def __init__(self, harvest: Harvest) -> None:
        self._names = frozenset(filter(identifies, harvest.names))
        self._ids = frozenset(filter(is_number, harvest.ids))
        self._dates = frozenset(harvest.dates)
        self._others = frozenset(filter(identifies_a_place, harvest.others))
        self._days = frozenset(harvest.days)
        self._written_days = WrittenDays(self._days)
        self._known: dict[_Way, dict[str, Optional[str]]] = {way: {} for way in _Way}

    def __reduce__(self) -> tuple[object, ...]:
        found = (self._names, self._ids, self._dates, self._others, self._days)
        return Scrubber, (Harvest(*map(set, found)),)

    @cached_property
    def _pattern(self) -> Optional[re.Pattern[str]]:
        return _compiled(self._names, self._ids, self._dates, self._others)

    @cached_property
    def _raw(self) -> Optional[re.Pattern[bytes]]:
        return _compiled_for_bytes(self._names, self._ids, self._dates, self._others)

    @cached_property
    def long_numbers(self) -> tuple[bytes, ...]:
        """The harvested numbers that no measured value is by chance, as digits."""
        found = {"".join(words(number)).lstrip("0") for number in self._ids}
        return tuple(
            number.encode("ascii") for number in found if number.isascii() and number.isdigit() and len(number) > 5
        )

    @cached_property
    def _tiny(self) -> frozenset[str]:
        """Numbers too short to be looked for inside text."""
        return frozenset(filter(None, map(tiny, self._ids)))

    def text(self, value: str, *, strict: bool = False, uid: Optional[Callable[[str], str]] = None) -> str:
        """A text without what identifies, or the very same text where there is nothing.

        Parameters
        ----------
        value
            Free text of one or several values.
        strict
            Whether what identifies by its form alone (mail addresses, telephones, "Dr. X", dates) goes too, and the
            days on which something was done, which would tell by how many days the dates have moved.
        uid
            What stands for a UID; without it, UIDs are text like any other.
        """
        if uid is not None and value.count(".") > 1 and UID.search(value):
            return self._with_new_uids(value, strict, uid)
        return self._remembered(value, _Way.STRICT if strict else _Way.TEXT)

    def coded(self, value: str, *, strict: bool = False) -> str:
        """The same for coded strings, in which the words of DICOM's own vocabulary stay whoever has them as a name."""
        return self._remembered(value, _Way.STRICTLY_CODED if strict else _Way.CODED)

    def in_bytes(self, data: Buffer) -> bool:
        """Whether raw bytes hold a harvested string of four or more bytes in any case and encoding."""
        return self._raw is not None and raw.found_in(bytes(data).lower(), self._raw)

    @staticmethod
    def looks_like_a_name(value: str) -> bool:
        """Whether what is left looks like a person's name, a mail address, a telephone number or a date."""
        return looks_like_a_name(value)

    def _remembered(self, value: str, way: _Way) -> str:
        known = self._known[way]
        try:
            cleaned = known[value]
        except KeyError:
            new = self._cleaned(value, way)
            cleaned = None if new is value else new
            if len(value) <= _LONGEST_REMEMBERED:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[value] = cleaned
        return value if cleaned is None else cleaned

    def _with_new_uids(self, value: str, strict: bool, uid: Callable[[str], str]) -> str:
        """Text is searched with a letter in place of each UID, whose digits may be a patient's number by chance."""
        mark = next((mark for mark in _STAND_INS if mark not in value), "")
        if not mark:
            return ""
        uids = UID.findall(value)
        marked = UID.sub(mark, value)
        new = [old if _is_standard(old) else uid(old) for old in uids]
        cleaned = self.text(marked, strict=strict)
        if cleaned is marked and new == uids:
            return value
        left = iter(new)
        return re.sub(mark, lambda _: next(left), cleaned)

    def _cleaned(self, value: str, way: _Way) -> str:
        is_coded = way in (_Way.CODED, _Way.STRICTLY_CODED)
        for _ in range(_ROUNDS):
            spans = list(self._spans(value, is_coded))
            if way is _Way.STRICT:
                spans += [found.span() for found in FORMS.finditer(value)]
            if way in (_Way.STRICT, _Way.STRICTLY_CODED):
                spans += self._days_in(value)
            if self._tiny and not is_coded and "".join(words(value[:_LONGEST_WORD])) in self._tiny:
                spans = [(0, len(value))] if len(value) <= _LONGEST_WORD else spans
            if not spans:
                return value
            value = without(value, spans)
        return ""  # nobody writes so by accident

    def _days_in(self, value: str) -> Iterator[Span]:
        small = folded(value)
        found = list(self._written_days.spans(small))
        if found:
            source = _sources(value, small)
            yield from (source(first, last) for first, last in found)

    def _spans(self, value: str, is_coded: bool) -> Iterator[Span]:
        if self._pattern is None:
            return
        small = folded(value)
        found = self._pattern.search(small)
        if not found:
            return
        source = _sources(value, small)
        standard = [uid.span() for uid in UID.finditer(small) if _is_standard(uid.group())]
        while found:
            start, end = found.span()
            if _is_inside_a_known_word(small, start, end) or any(first <= start < last for first, last in standard):
                end = start + 1
            else:
                for first, last in _but_known_words(small, start, end) if is_coded else [(start, end)]:
                    yield source(first, last)
            found = self._pattern.search(small, end)


@lru_cache(maxsize=_SHARED)
def _compiled(names: _Some, ids: _Some, dates: _Some, others: _Some) -> Optional[re.Pattern[str]]:
    """What finds strings in text: scrubbers of the same strings and other days share it, since it is slow to make."""
    return Trie(
        chain(
            chain.from_iterable(map(of_name, names)),
            chain.from_iterable(map(of_number, ids)),
            chain.from_iterable(map(of_date, dates)),
            chain.from_iterable(map(of_place, others)),
        )
    ).compiled()


@lru_cache(maxsize=_SHARED)
def _compiled_for_bytes(names: _Some, ids: _Some, dates: _Some, others: _Some) -> Optional[re.Pattern[bytes]]:
    """The same for bytes."""
    return raw.compiled(chain(raw.of_names(names), raw.of_numbers(ids), raw.of_dates(dates), raw.of_places(others)))


def _sources(value: str, small: str) -> Callable[[int, int], Span]:
    """What tells where in a text a place of its folded form comes from."""
    if small.isascii() and value.isascii():
        return lambda first, last: (first, last)
    places = positions(value)
    return lambda first, last: (places[first], max(places[last], places[last - 1] + 1))


def _is_standard(uid: str) -> bool:
    return bool(STANDARD_UID.match(uid))


def _around(small: str, start: int, end: int) -> Span:
    """A place with the letters beside it."""
    first, last = start, end
    while first and start - first < _LONGEST_WORD and small[first - 1].isalpha():
        first -= 1
    while last < len(small) and last - end < _LONGEST_WORD and small[last].isalpha():
        last += 1
    return first, last


def _is_inside_a_known_word(small: str, start: int, end: int) -> bool:
    """Whether a place is a part of a word of the vocabulary: PROSTATE stays PROSTATE for a patient called Rost.

    A gap in a word that everybody knows would tell the name.
    """
    first, last = _around(small, start, end)
    return (first, last) != (start, end) and small[first:last] in DICOM


def _but_known_words(small: str, start: int, end: int) -> Iterator[Span]:
    """The words of a place, without those of the vocabulary."""
    for word in WORD.finditer(small, start, end):
        first, last = _around(small, *word.span())
        if small[first:last] not in DICOM:
            yield word.span()
