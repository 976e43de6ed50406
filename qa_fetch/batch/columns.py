"""Which columns a query file may have, what their cells may hold, and how that is asked.

No sentence here names what a cell holds, since that may be a patient's.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Callable, NamedTuple, Union

from ..sheet import Moment, Wrong, as_typed

NEW_IDS = "new_ids"
SEED = (
    "StudyDate StudyTime SeriesDescription PatientID ProtocolName StudyInstanceUID PatientName PatientBirthDate "
    "SeriesInstanceUID ImageType AcquisitionDate SeriesNumber StudyDescription AccessionNumber Modality "
    "DeviceSerialNumber SequenceName new_ids"
).split()  # the columns of PACSMAN and of PACSIFIER; any other DICOM keyword may join them

_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_LONG = frozenset(("LT", "ST", "UC", "UR", "UT"))
_BACKSLASH_IS_TEXT = frozenset(("LT", "ST", "UR", "UT"))
_INTEGERS = {
    "IS": (-(2**31), 2**31 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "SL": (-(2**31), 2**31 - 1),
    "SV": (-(2**63), 2**63 - 1),
    "US": (0, 2**16 - 1),
    "UL": (0, 2**32 - 1),
    "UV": (0, 2**64 - 1),
}
_DECIMALS = frozenset(("DS", "FD", "FL"))
_ASKABLE = _WILD | {"UI", "DA", "TM", "DT", "AS", *_INTEGERS, *_DECIMALS}
# What steers a query, or what an archive counts or says about itself: it cannot select objects.
_STEERS = re.compile(
    "SpecificCharacterSet|TimezoneOffsetFromUTC|QueryRetrieveLevel|QueryRetrieveView|RetrieveAETitle|RetrieveUR[IL]|"
    "InstanceAvailability|FailedSOPInstanceUIDList|StorageMediaFileSetU?ID|NumberOf[A-Za-z]+Related[A-Za-z]+"
)

_DAY = r"(?:[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T]00:00(?::00(?:\.0+)?)?)?)"
_HOUR = r"(?:[01][0-9]|2[0-3])"
_SIXTY = "[0-5][0-9]"
_TIME = rf"(?:{_HOUR}(?:{_SIXTY}{_SIXTY}|:{_SIXTY}:{_SIXTY})(?:\.[0-9]{{1,6}})?|{_HOUR}:{_SIXTY})"
_OFFSET = r"(?:\+(?:0[0-9]|1[0-4])|-(?:0[0-9]|1[0-2]))[0-5][0-9]"
_DATE_TIME = rf"(?:(?:{_DAY}|(?:[0-9]{{8}}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T]){_TIME})(?:{_OFFSET})?)"
_NO_DATE = "this is not a date; write it as 20150512 or 2015-05-12, a range as 20150512-20150612"
_NO_TIME = "this is not a time; write it as 140500 or 14:05:00, a range as 140500-150000"
_NO_DATE_TIME = "this is not a date and time; write it as 20150512140500 or 2015-05-12 14:05:00"


class Column(NamedTuple):
    """A column that may be asked for; ``several`` says that an object may hold several values there."""

    name: str
    vr: str
    several: bool


def column(name: str) -> Column:
    """The column of this name; Wrong when no archive can be asked for it."""
    from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

    if name == NEW_IDS:
        return Column(name, "LO", False)
    tag = tag_for_keyword(name) if name.isascii() and name.isalnum() else None
    if tag is None:
        near = _near(name)
        shown = repr(name if len(name) <= 40 else name[:37] + "...")
        raise Wrong(f"{shown} is not a column that can be asked for" + (f" (did you mean {near}?)" if near else ""))
    vr = dictionary_VR(tag)
    if vr not in _ASKABLE or int(tag) >> 16 < 8 or _STEERS.fullmatch(name):
        raise Wrong(f"{name} is not a column that can be asked for")
    return Column(name, vr, vr == "UI" or dictionary_VM(tag) != "1")


def _near(name: str) -> str:
    """The column that was probably meant: case, spaces and underscores aside, or nearly so."""
    from pydicom.datadict import keyword_dict

    plain = re.sub(r"[\W_]+", "", name).casefold()[:64]
    for names, alike in ((SEED, 0.75), (keyword_dict, 0.8)):
        known = _by_plain(tuple(filter(None, names)))
        near = difflib.get_close_matches(plain, known, n=1, cutoff=alike) if plain not in known else [plain]
        if near:
            return known[near[0]]
    return ""


@lru_cache(maxsize=2)
def _by_plain(names: Sequence[str]) -> dict[str, str]:
    return {name.replace("_", "").casefold(): name for name in names}


def value(asked: Column, text: str) -> Union[str, tuple[str, ...]]:
    """What a cell that is not empty asks for, several values as a tuple; Wrong when it cannot be asked."""
    if isinstance(text, Moment):
        if asked.vr not in ("DA", "TM", "DT"):
            raise Wrong("Excel has made a date of this cell; format the column as text and type it again")
    else:
        text = as_typed(text, decimal=asked.vr in _DECIMALS)
    if asked.name == NEW_IDS:
        return _new_id(text)
    if asked.name == "PatientName":
        text = _person(text)
    if asked.vr in _BACKSLASH_IS_TEXT or "\\" not in text:
        return _one(asked, text)
    if not asked.several:
        raise Wrong("this holds several values; give each a row of its own")
    values = [part.strip() for part in text.split("\\")]
    if not all(values):
        raise Wrong("one of its values is empty; write them as A\\B")
    # A star says "anything" about one of several values of an image type, but not about all of them.
    bare = any(map(_says_something, values))
    return tuple(_one(asked, part, bare=bare) for part in values)


def _new_id(text: str) -> str:
    if len(text) > 64 or set(text) & set("*?\\"):
        raise Wrong("this cannot be a new PatientID; use up to 64 characters without * ? and backslash")
    return text


def _person(text: str) -> str:
    """A name as PACSMAN asks for it: a star, and the last word in capitals."""
    return "*" + text.upper().split(" ")[-1].lstrip("*")


def _says_something(text: str) -> bool:
    return "*" not in text or bool(text.strip("*?^= "))


def _one(asked: Column, text: str, *, bare: bool = False) -> str:
    """One value as it is asked for."""
    wild = asked.vr in _WILD
    if not (bare and wild) and not _says_something(text):
        raise Wrong("a * alone would ask for everything; give more characters, such as ABC*, or leave the cell empty")
    if wild:
        longest = 1024 if asked.vr in _LONG else 64
        if max(map(len, text.split("=") if asked.vr == "PN" else [text])) > longest + (asked.vr == "PN"):
            raise Wrong(f"this is longer than the {longest} characters that an archive can hold")
        return text
    if set(text) & set("*?"):
        raise Wrong("this takes no * and ?; give a whole value")
    return _EXACT[asked.vr](asked.name, text)


def _uid(name: str, text: str) -> str:
    if not re.fullmatch("[0-9.]{1,64}", text):
        raise Wrong("this is not a UID; it has up to 64 digits and dots")
    return text


def _date(name: str, text: str) -> str:
    found = _range(text, _DAY, _day, _NO_DATE)
    if name == "PatientBirthDate" and "-" in found:
        raise Wrong("a birth date cannot be a range; give one date as 19920611")  # PACSMAN's rule
    return found


def _day(text: str) -> str:
    digits = text[:10].replace("-", "")[:8]
    try:
        datetime.strptime(digits, "%Y%m%d")
    except ValueError:
        raise Wrong(_NO_DATE) from None
    return digits


def _time(name: str, text: str) -> str:
    return _range(text, _TIME, _clock, _NO_TIME)


def _clock(text: str) -> str:
    return text.replace(":", "") + ("00" if len(text) == 5 else "")  # 14:05 is 14:05:00, also at the end of a range


def _date_time(name: str, text: str) -> str:
    return _range(text, _DATE_TIME, _moment, _NO_DATE_TIME)


def _moment(text: str) -> str:
    offset = re.search(f"{_OFFSET}$", text) if len(text) > 10 else None
    rest, zone = (text[: offset.start()], offset.group()) if offset else (text, "")
    if re.fullmatch(_DAY, rest):
        return _day(rest) + zone
    day = 10 if rest[4] == "-" else 8
    return _day(rest[:day]) + _clock(rest[day:].lstrip("T ")) + zone


def _range(text: str, one: str, convert: Callable[[str], str], otherwise: str) -> str:
    """A date or time, or a range of them that may be open at one end."""
    if re.fullmatch(one, text):
        return convert(text)
    borders = re.fullmatch(rf"({one})?\s*[-–]\s*({one})?", text)
    if borders is None or not any(borders.groups()):
        raise Wrong(otherwise)
    low, high = (convert(border) if border else "" for border in borders.groups())
    if low and high and low > high:
        raise Wrong("this range ends before it begins; exchange its ends")
    return f"{low}-{high}"


def _age(name: str, text: str) -> str:
    if not re.fullmatch("[0-9]{3}[DWMY]", text):
        raise Wrong("this is not an age; write it as 045Y, with D, W, M or Y at its end")
    return text


def _integer(low: int, high: int) -> Callable[[str, str], str]:
    def convert(name: str, text: str) -> str:
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise Wrong(f"this is not a whole number from {low} to {high}")
        return text

    return convert


def _decimal(name: str, text: str) -> str:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) or not math.isfinite(float(text)):
        raise Wrong("this is not a number; write it as 2.5")
    return text


_EXACT: dict[str, Callable[[str, str], str]] = {
    "UI": _uid,
    "DA": _date,
    "TM": _time,
    "DT": _date_time,
    "AS": _age,
    **{vr: _integer(low, high) for vr, (low, high) in _INTEGERS.items()},
    **dict.fromkeys(_DECIMALS, _decimal),
}
