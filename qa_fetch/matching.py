"""DICOM attribute matching (PS3.4 C.2.2.2) on our own side, since a peer's matching is never trusted.

Three answers exist: True, False, and None for "this data set does not say", because an archive that leaves an
attribute out of its answer has not said that the object lacks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Optional, Union

from .errors import ConfigError
from .part10 import clean_uid

Value = Union[str, int, float, Sequence[Any], Mapping[str, Any], None]

_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_NUMBERS = frozenset(("DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"))


def values(element: Any) -> list[Any]:
    """The values of a data element as a list; empty when it has none."""
    value = element.value
    if value is None or (isinstance(value, (str, bytes)) and not value):
        return []
    if isinstance(value, (str, bytes, int, float)) or not isinstance(value, Iterable):
        return [value]
    listed = list(value)
    if element.VR == "PN" and listed and all(isinstance(part, str) and len(part) == 1 for part in listed):
        return [value]  # a PersonName iterates over its letters
    return listed


def matches(keys: Any, candidate: Any) -> Optional[bool]:
    """Whether a data set fits every key: True, False, or None when what it shows cannot tell."""
    verdict: Optional[bool] = True
    for key in keys:
        if key.keyword in ("SpecificCharacterSet", "QueryRetrieveLevel"):
            continue
        fits = element_matches(key, candidate)
        if fits is False:
            return False
        if fits is None:
            verdict = None
    return verdict


def element_matches(key: Any, candidate: Any) -> Optional[bool]:
    """Whether one key fits a data set: True, False, or None when the data set does not say."""
    wanted = values(key)
    if not wanted:
        return True
    if key.tag not in candidate:
        return None
    found = candidate[key.tag]
    if key.VR == "SQ":
        return _sequence_matches(wanted, values(found))
    has = values(found)
    if not has:
        return True if wanted == ["*"] else None
    if key.VR == "UI":
        return bool({clean_uid(uid) for uid in wanted} & {clean_uid(uid) for uid in has})
    if len(wanted) > 1 and key.keyword != "ModalitiesInStudy":
        return len(wanted) == len(has) and all(_one(key.VR, want, value) for want, value in zip(wanted, has))
    return any(_one(key.VR, want, value) for want in wanted for value in has)


def _sequence_matches(wanted: Sequence[Any], items: Sequence[Any]) -> Optional[bool]:
    if not len(wanted[0]):
        return True
    if not items:
        return None
    verdicts = [matches(wanted[0], item) for item in items]
    return True if True in verdicts else (None if None in verdicts else False)


def _one(vr: str, wanted: Any, value: Any) -> bool:
    if vr in ("DA", "TM", "DT"):
        return _time_matches(str(wanted).strip(), str(value).strip(), vr)
    if vr in _NUMBERS:
        return _number(wanted) == _number(value)
    text, pattern = str(value).strip(" \0"), str(wanted).strip(" \0")
    if vr == "PN":
        return bool(_wildcard(_bare_name(pattern)).match(_bare_name(text)))
    if vr in _WILD:
        return bool(_wildcard(pattern).match(text))
    return text == pattern


def _number(value: Any) -> Optional[float]:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _bare_name(name: str) -> str:
    """Person names compare without case, and without empty trailing components (``DOE^JOHN^^^``)."""
    return "=".join(group.rstrip("^ ") for group in name.casefold().split("=")).rstrip("=")


@lru_cache(maxsize=256)
def _wildcard(pattern: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _time_matches(wanted: str, value: str, vr: str) -> bool:
    # In a DT a hyphen may also begin the offset from UTC (-0500), which is never a range on its own.
    separator = re.match(r"([0-9.:+]*)-([0-9.:+]*)\Z", wanted) if vr != "DT" else _dt_range(wanted)
    if separator:
        low, high = (_plain(part, vr) for part in separator.groups())
        text = _plain(value, vr)
        return (not low or text[: len(low)] >= low) and (not high or text[: len(high)] <= high)
    low, text = _plain(wanted, vr), _plain(value, vr)
    return text[: len(low)] == low if vr != "DA" else text == low


def _dt_range(wanted: str) -> Optional[re.Match[str]]:
    zone = r"(?:[+-][0-9]{4})?"
    whole = re.match(rf"([0-9.]*{zone})-([0-9.]*{zone})\Z", wanted)
    return None if re.match(rf"[0-9.]+-[0-9]{{4}}\Z", wanted) else whole


def _plain(text: str, vr: str) -> str:
    """``2025.11.03`` and ``10:20:30.0`` (the ACR-NEMA forms) as the digits that sort."""
    if vr == "DA":
        return text.replace(".", "").replace("-", "")
    return text.replace(":", "")


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
    if not _is_ascii(keys.values()):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def _dataset(keys: Mapping[str, Value]) -> Any:
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for keyword, value in keys.items():
        _set(dataset, keyword, value)
    return dataset


def _set(dataset: Any, keyword: str, value: Value) -> None:
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    if tag_for_keyword(keyword) is None:
        raise ConfigError(f"{keyword!r} is not a DICOM keyword. Write it as in the standard, for example PatientID.")
    if dictionary_VR(tag_for_keyword(keyword)) == "SQ":
        setattr(dataset, keyword, [_dataset(value)] if isinstance(value, Mapping) else [])
    elif value is None or value == "":
        setattr(dataset, keyword, "" if dictionary_VR(tag_for_keyword(keyword)) not in _NUMBERS else None)
    else:
        setattr(dataset, keyword, list(value) if isinstance(value, (tuple, set, frozenset)) else value)


def _is_ascii(found: Iterable[Any]) -> bool:
    for value in found:
        if isinstance(value, str):
            if not value.isascii():
                return False
        elif isinstance(value, Mapping):
            if not _is_ascii(value.values()):
                return False
        elif isinstance(value, (list, tuple)) and not _is_ascii(value):
            return False
    return True
