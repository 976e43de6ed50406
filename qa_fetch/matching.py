"""DICOM attribute matching (PS3.4 C.2.2.2) on our own side, since a peer's matching is never trusted.

Three answers exist: True, False, and None for "this data set does not say", because an archive that leaves an
attribute out of its answer has not said that the object lacks it.
"""

from __future__ import annotations

import difflib
import re
import struct
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Optional, Union

from .errors import ConfigError

Value = Union[str, int, float, Sequence[Any], Mapping[str, Any], None]

_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_NUMBERS = frozenset(("DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"))
_BINARY = _NUMBERS - {"DS", "IS"}
_ABOUT_THE_QUERY = ("SpecificCharacterSet", "QueryRetrieveLevel", "QueryRetrieveView", "TimezoneOffsetFromUTC")


def values(element: Any) -> list[Any]:
    """The values of a data element as a list; empty when it has none."""
    value = element.value
    listed = list(value) if isinstance(value, (MutableSequence, tuple)) else [value]
    return listed if element.VR == "SQ" or not all(map(_blank, listed)) else []


def matches(keys: Any, candidate: Any, *, whole: bool = False) -> Optional[bool]:
    """Whether a data set fits every key: True, False, or None when what it shows cannot tell.

    Parameters
    ----------
    keys
        A query data set; keys without a value fit everything.
    candidate
        An archive's answer, or an object's header.
    whole
        True for an object's own header, where a missing attribute is a fact: the verdict is then never None.
    """
    verdict: Optional[bool] = True
    for key in keys:
        if key.keyword in _ABOUT_THE_QUERY:
            continue
        fits = element_matches(key, candidate, whole=whole)
        if fits is False:
            return False
        if fits is None:
            verdict = None
    return verdict


def element_matches(key: Any, candidate: Any, *, whole: bool = False) -> Optional[bool]:
    """Whether one key fits a data set: True, False, or None when the data set does not say."""
    if _universal(key):
        return True
    has = _values_in(candidate, key.tag)
    if not has:
        return False if whole else None
    wanted = values(key)
    if key.VR == "SQ":
        verdicts = [matches(wanted[0], item, whole=whole) for item in has]
        return True if True in verdicts else (None if None in verdicts else False)
    if len(wanted) > 1 and _holds_several(key):
        return len(wanted) == len(has) and all(_one(key.VR, want, value) for want, value in zip(wanted, has))
    return any(_one(key.VR, want, value) for want in wanted for value in has)


def _values_in(candidate: Any, tag: Any) -> list[Any]:
    from pydicom.errors import BytesLengthException

    try:
        return values(candidate[tag]) if tag in candidate else []
    except (BytesLengthException, ValueError, TypeError, NotImplementedError):
        return []  # a peer's bytes that pydicom cannot make a value of say nothing


def _universal(key: Any) -> bool:
    """Whether a key only asks for its attribute to be returned."""
    wanted = values(key)
    if key.VR == "SQ":
        return not wanted or all(_universal(inner) for inner in wanted[0])
    return all(_blank(want) or (key.VR in _WILD and not _trimmed(want).strip("*")) for want in wanted)


def _holds_several(key: Any) -> bool:
    """Whether an object may hold several values here; elsewhere several in a key can only be alternatives."""
    from pydicom.datadict import dictionary_VM

    if key.VR == "UI" or key.keyword == "ModalitiesInStudy":
        return False
    try:
        return bool(dictionary_VM(key.tag) != "1")
    except KeyError:
        return True  # a private attribute


def _one(vr: str, wanted: Any, value: Any) -> bool:
    if vr in ("DA", "TM", "DT"):
        return _time_matches(_trimmed(wanted), _trimmed(value), vr)
    if vr in _NUMBERS:
        return _number(wanted, vr) == _number(value, vr)
    text, pattern = _trimmed(value), _trimmed(wanted)
    if vr == "PN":
        return _name_matches(pattern, text)
    return bool(_wildcard(pattern).match(text)) if vr in _WILD else text == pattern


def _trimmed(value: Any) -> str:
    """A value's text without the padding that is never significant, and that some peers get wrong."""
    return str(value).strip("\0 \t\r\n")


def _blank(value: Any) -> bool:
    return value is None or value == b"" or not _trimmed(value)


def _number(value: Any, vr: str) -> Union[Decimal, str]:
    """A number that compares by value, however it is written; the text where it is none."""
    try:
        if vr == "FL":
            value = struct.unpack("<f", struct.pack("<f", float(value)))[0]
        number = Decimal(_trimmed(value))
    except (InvalidOperation, ValueError, TypeError, OverflowError):
        return _trimmed(value)
    return number if number.is_finite() else _trimmed(value)


@lru_cache(maxsize=256)
def _wildcard(pattern: str) -> re.Pattern[str]:
    first, *rest = ("".join("." if c == "?" else re.escape(c) for c in part) for part in re.split(r"\*+", pattern))
    if rest:
        # What stands between two stars is taken where it first fits and never tried again, or a peer's query of
        # twenty stars would keep us busy for years.
        middle = (f"(?=(?P<g{number}>.*?{part}))(?P=g{number})" for number, part in enumerate(rest[:-1]))
        first += "".join(middle) + ".*" + rest[-1]
    return re.compile(first + r"\Z", re.DOTALL)


def _name_matches(pattern: str, name: str) -> bool:
    """Person names compare without case; a key of one group fits the alphabetic, ideographic or phonetic one."""
    wanted, groups = _groups(pattern), _groups(name)
    if len(wanted) == 1:
        return any(_group_matches(wanted[0], group) for group in groups)
    padded = groups + [""] * (len(wanted) - len(groups))
    return len(wanted) == len(padded) and all(map(_group_matches, wanted, padded))


def _groups(name: str) -> list[str]:
    """The groups of a name; its trailing empty groups and components (``DOE^JOHN^^^``) are not significant."""
    groups = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in name.casefold().split("=")]
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return groups


def _group_matches(pattern: str, group: str) -> bool:
    whole = group + "^" * (4 - group.count("^"))  # so that DOE^* fits DOE
    return any(_wildcard(pattern).match(text) for text in (group, whole))


# A DT may end in an offset from UTC, -1200 to +1400; a hyphen before anything else makes a range.
_OFFSET = r"(?:\+(?:0\d|1[0-4])|-(?:0\d|1[0-2]))[0-5]\d"
_MOMENT = rf"(?:\d[\d.]*(?:{_OFFSET})?)?"
_RANGES = {"DT": re.compile(rf"({_MOMENT})-({_MOMENT})\Z"), "": re.compile(r"([\d.:]*)-([\d.:]*)\Z")}
_ONE_DT = re.compile(rf"\d[\d.]*{_OFFSET}\Z")


def _time_matches(wanted: str, value: str, vr: str) -> bool:
    borders = None if vr == "DT" and _ONE_DT.match(wanted) else _RANGES.get(vr, _RANGES[""]).match(wanted)
    if borders:
        (low, after), (high, before) = (_comparable(border, value, vr) for border in borders.groups())
        # At the precision that both have: 10:30 as an upper border still holds 10:30:59.
        return after[: len(low)] >= low[: len(after)] and before[: len(high)] <= high[: len(before)]
    key, text = _comparable(wanted, value, vr)
    if vr == "DA":
        return text == key
    return text.startswith(key) or (bool(text) and key.startswith(text) and not key[len(text) :].strip("0."))


def _comparable(key: str, value: str, vr: str) -> tuple[str, str]:
    """Both as digits that sort: without the marks of ``2025.11.03`` and ``10:20:30``, at one offset from UTC."""
    if vr == "DA":
        return re.sub(r"[.-]", "", key), re.sub(r"[.-]", "", value)
    if vr == "TM":
        return key.replace(":", ""), value.replace(":", "")
    (key, key_offset), (value, value_offset) = _split_offset(key), _split_offset(value)
    if key_offset is not None and value_offset is not None and len(value) >= 12:
        try:
            moment = datetime.strptime(value[:12], "%Y%m%d%H%M") + timedelta(minutes=key_offset - value_offset)
        except (ValueError, OverflowError):
            return key, value
        value = f"{moment.year:04d}{moment:%m%d%H%M}{value[12:]}"
    return key, value


def _split_offset(text: str) -> tuple[str, Optional[int]]:
    if not _ONE_DT.match(text):
        return text, None
    minutes = int(text[-4:-2]) * 60 + int(text[-2:])
    return text[:-5], -minutes if text[-5] == "-" else minutes


def query(level: str, keys: Mapping[str, Value], returned: Iterable[str] = ()) -> Any:
    """A query data set from DICOM keywords; an empty value asks for the attribute to be returned.

    Parameters
    ----------
    level
        ``"PATIENT"``, ``"STUDY"``, ``"SERIES"`` or ``"IMAGE"``.
    keys
        DICOM keyword to value; a list stands for several UIDs or values, a mapping for a sequence item.
    returned
        Further keywords that the answers should carry.
    """
    dataset = _dataset(keys)
    for keyword in returned:
        if keyword not in dataset:
            _set(dataset, keyword, None)
    dataset.QueryRetrieveLevel = level
    if "SpecificCharacterSet" not in keys and not _is_ascii(keys):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def _dataset(keys: Mapping[str, Value]) -> Any:
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for keyword, value in keys.items():
        _set(dataset, keyword, value)
    return dataset


def _set(dataset: Any, keyword: str, value: Value) -> None:
    from pydicom.datadict import dictionary_VR, keyword_dict, tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None:
        near = difflib.get_close_matches(keyword, keyword_dict, n=1) or ["PatientID"]
        raise ConfigError(f"{keyword!r} is not a DICOM keyword. Write it as in the standard, for example {near[0]}.")
    vr = dictionary_VR(tag)
    try:
        dataset.add(_element(tag, vr, list(value) if isinstance(value, (tuple, set, frozenset)) else value))
    except (ValueError, TypeError, OverflowError):
        needed = "a mapping of keywords to values" if vr == "SQ" else f"a value of VR {vr}"
        raise ConfigError(f"{keyword} cannot be {value!r}. Give it {needed}.") from None


def _element(tag: int, vr: str, value: Any) -> Any:
    from pydicom import config
    from pydicom.dataelem import DataElement

    # Archives hold values that the standard forbids, and they must be found: pydicom 2.3 and later would warn.
    unchecked: dict[str, Any] = {"validation_mode": config.IGNORE} if hasattr(config, "IGNORE") else {}
    if value is None or value == "" or value == []:
        value = [] if vr == "SQ" else None if vr[:2] in _NUMBERS else ""
    elif vr == "SQ":
        value = _items(value)
    elif isinstance(value, Mapping):
        raise ValueError
    elif vr[:2] in _BINARY:
        convert = float if vr in ("FL", "FD") else int
        value = [convert(part) for part in value] if isinstance(value, list) else convert(value)
    return DataElement(tag, vr, value, **unchecked)


def _items(value: Any) -> list[Any]:
    """The items of a sequence key; anything but mappings would silently ask for everything."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, Mapping) for item in items):
        raise ValueError
    return [_dataset(item) for item in items]


def _is_ascii(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii()
    if isinstance(value, Mapping):
        return all(map(_is_ascii, value.values()))
    return all(map(_is_ascii, value)) if isinstance(value, (list, tuple, set, frozenset)) else True
