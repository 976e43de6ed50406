"""Who and what an encoded data set names: read before anything is rewritten, from all files of a patient."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from operator import attrgetter
from typing import Any, Callable, Final, Optional

from ..errors import BadArchive, ConfigError
from ..part10 import DEFLATED, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Buffer, Element, elements, inflated, items
from .charset import Charset
from .dates import day_of
from .dictionary import vr_of
from .identifying import CODES, NOBODY, SORTS, Sort
from .patterns import day, is_number
from .vocabulary import identifies, identifies_a_place, words

_DEEPEST: Final = 64
_CHARACTER_SET: Final = 0x00080005
_DUMMY: Final = date(1900, 1, 1)  # the birth date of those who have none
_DIGITS = re.compile(r"[0-9]")
_TELEPHONE = re.compile(r"\+?[0-9](?:[ ()./-]{0,2}[0-9]){5,17}")
_MAIL = re.compile(r"[^\s@:;<>^,]{1,200}@[^\s@:;<>^,]{1,200}")
_SORTS_OF_VRS: Final = {b"PN": Sort.NAME, b"DA": Sort.DAY, b"DT": Sort.DAY}
_SEQUENCE_VRS: Final = frozenset((b"SQ", b"UN"))
_ONE_VALUE: Final = frozenset((b"LT", b"ST", b"UT", b"UR"))
_PERSONAL: Final = {
    0x00080016: "sop_class",
    0x00080018: "sop_instance",
    0x00080020: "study_date",
    0x00080030: "study_time",
    0x00100010: "name",
    0x00100020: "patient_id",
    0x00100030: "birth_date",
    0x0020000D: "study",
    0x0020000E: "series",
    0x00280303: "dates",
}
_FIELDS: Final = ("names", "ids", "dates", "others", "days")


@dataclass
class Harvest:
    """Strings that identify: names of patient and staff, numbers, birth dates, and institutions with addresses.

    A name is there as a whole ("SMITH^JOHN"), which tells its parts, and in its parts. The days on which something was
    done identify nobody alone; left in text they tell by how many days the dates of the objects have moved.
    """

    names: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    days: set[str] = field(default_factory=set)

    def __ior__(self, other: Harvest) -> Harvest:
        for name in _FIELDS:
            getattr(self, name).update(getattr(other, name))
        return self

    def __le__(self, other: Harvest) -> bool:
        return all(getattr(self, name) <= getattr(other, name) for name in _FIELDS)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in _FIELDS)

    def to_json(self) -> dict[str, list[str]]:
        """What `json.dumps` takes; lists are sorted, so that the same harvest is the same text."""
        return {name: sorted(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_json(cls, value: Any) -> Harvest:
        """The harvest of what `json.loads` gave."""
        if not isinstance(value, Mapping) or not all(
            isinstance(value.get(name), list) and all(isinstance(text, str) for text in value[name]) for name in _FIELDS
        ):
            raise ConfigError(
                "a kept harvest is not what qa-fetch wrote: it should have the lists names, ids, dates, others and "
                "days. Delete its file; it is made anew."
            )
        return cls(*(set(value[name]) for name in _FIELDS))


@dataclass(frozen=True)
class Person:
    """Who an object is about, and which object it is; attributes that it lacks are empty.

    ``dates`` is LongitudinalTemporalInformationModified: whether its dates are the true ones.
    """

    patient_id: str = ""
    name: str = ""
    birth_date: str = ""
    sop_class: str = ""
    sop_instance: str = ""
    study: str = ""
    series: str = ""
    study_date: str = ""
    study_time: str = ""
    dates: str = ""

    @property
    def identity(self) -> str:
        """What tells patients apart: the ID, else name and birth date, else nothing."""
        if self.patient_id:
            return self.patient_id
        name = " ".join(words(self.name.split("=")[0])) or " ".join(words(self.name))
        born = "".join(_DIGITS.findall(self.birth_date))
        return f"{name}|{born}" if name or born else ""


def harvest(data: Buffer, transfer_syntax: str) -> Harvest:
    """Every identifying value of an encoded data set, at every level; BadArchive where it cannot be followed."""
    return examined(data, transfer_syntax)[1]


def person(data: Buffer, transfer_syntax: str) -> Person:
    """Who an encoded data set is about."""
    return examined(data, transfer_syntax)[0]


def examined(data: Buffer, transfer_syntax: str, top: Optional[Iterable[Element]] = None) -> tuple[Person, Harvest]:
    """Both at once, in one walk that steps over pixels and contours.

    Parameters
    ----------
    data, transfer_syntax
        The data set.
    top
        The elements of its top level, where somebody has them already.
    """
    if transfer_syntax == DEFLATED:
        data, transfer_syntax = inflated(data), EXPLICIT_LITTLE
    walk = _Walk()
    view = memoryview(data)
    walk.below(
        view, transfer_syntax, Charset.of(b""), SORTS, 0, elements(view, transfer_syntax) if top is None else top
    )
    return Person(**walk.personal), walk.found


class _Walk:
    """One data set as it is walked."""

    def __init__(self) -> None:
        self.found = Harvest()
        self.personal: dict[str, str] = {}

    def below(
        self,
        view: memoryview,
        transfer_syntax: str,
        charset: Charset,
        sorts: Mapping[int, Sort],
        depth: int,
        level: Iterable[Element],
    ) -> None:
        """Look at the elements of a data set or of an item."""
        is_implicit = transfer_syntax == IMPLICIT_LITTLE
        for element in level:
            tag, vr, _, value, end = element
            if value == end or tag > 0x7FDFFFFF:
                continue
            if is_implicit or vr == b"UN":
                vr = vr_of(tag)
            if not depth and tag in _PERSONAL:
                self.personal[_PERSONAL[tag]] = _plain(charset.decode(bytes(view[value:end]), vr))
            if tag in sorts or vr in _SORTS_OF_VRS:
                raw = bytes(view[value:end])
                for kept, text in _told(sorts.get(tag) or _SORTS_OF_VRS[vr], vr, charset, raw):
                    kept(self.found).add(text)
            elif vr in _SEQUENCE_VRS:
                if tag not in NOBODY:
                    self._items(element, view[value:end], transfer_syntax, charset, CODES.get(tag, SORTS), depth)
            elif tag == _CHARACTER_SET:
                charset = Charset.of(bytes(view[value:end]))

    def _items(
        self,
        element: Element,
        view: memoryview,
        transfer_syntax: str,
        charset: Charset,
        sorts: Mapping[int, Sort],
        depth: int,
    ) -> None:
        """Look into a sequence; one whose VR got lost (UN) holds implicit little-endian items, if it holds any."""
        if element.vr == b"SQ" or (transfer_syntax == IMPLICIT_LITTLE and vr_of(element.tag) == b"SQ"):
            inside = transfer_syntax
        elif bytes(view[:4]) == b"\xfe\xff\x00\xe0":
            inside = IMPLICIT_LITTLE
        else:
            return
        if depth >= _DEEPEST:
            raise BadArchive(
                f"a data set nests sequences deeper than {_DEEPEST} levels. "
                "Leave it out, or export it again from its source."
            )
        try:
            for item in items(view, inside):
                self.below(item, inside, charset, sorts, depth + 1, elements(item, inside))
        except BadArchive:
            if element.vr == b"SQ" or vr_of(element.tag) == b"SQ":
                raise  # else it was no sequence, but bytes that begin like one


def _plain(text: str) -> str:
    """A value without its padding, and with bytes that were none of its character set as Latin-1."""
    text = text.strip(" \0\r\n\t")
    if text.isascii():
        return text
    return "".join(chr(ord(letter) - 0xDC00) if "\udc80" <= letter <= "\udcff" else letter for letter in text)


_NAMES, _IDS, _DATES, _OTHERS, _DAYS = map(attrgetter, _FIELDS)
_Kept = Callable[[Harvest], set[str]]


@lru_cache(maxsize=4096)
def _told(sort: Sort, vr: bytes, charset: Charset, raw: bytes) -> tuple[tuple[_Kept, str], ...]:
    """What a value tells, and where to keep it; remembered, since all files of a series tell the same."""
    text = charset.decode(raw, vr)
    values = filter(None, map(_plain, [text] if vr in _ONE_VALUE else text.split("\\")))
    return tuple(told for value in values for told in _of_value(sort, value))


def _of_value(sort: Sort, text: str) -> Iterator[tuple[_Kept, str]]:
    if sort is Sort.NAME:
        yield from ((_NAMES, name) for name in _of_name(text))
    elif sort is Sort.TELECOM:
        yield from ((_IDS, number) for number in _TELEPHONE.findall(text))
        yield from ((_OTHERS, address) for address in _MAIL.findall(text))
    elif sort is Sort.DATE:
        born = day(text)
        if born and born != _DUMMY:
            yield _DATES, f"{born:%Y%m%d}".zfill(8)
    elif sort is Sort.DAY:
        done = day_of(text)
        if done and done != _DUMMY:
            yield _DAYS, f"{done:%Y%m%d}".zfill(8)
    elif sort is Sort.PLACE:
        if identifies_a_place(text):
            yield _OTHERS, text
    elif is_number(text) and (sort is Sort.ID or len(_DIGITS.findall(text)) >= 4):
        yield _IDS, text


def _of_name(value: str) -> Iterator[str]:
    """A name as a whole without titles (family, given and middle name of each group), and each of its parts."""
    for group in value.split("="):
        parts = [part.strip() for part in group.split("^")[:3]]
        whole = "^".join(parts).rstrip("^")
        if identifies(whole):
            yield whole
            yield from filter(identifies, parts)
