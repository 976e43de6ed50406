"""What archives say in JSON as data sets: DICOM's own JSON (PS3.18 F), and Orthanc's.

A peer's values are taken for what the dictionary says they are, or not at all: an answer that is wrong in one place
says nothing there, and is neither an error nor the truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Callable, Optional

_DEEPEST = 16
_WHOLE = frozenset(("US", "UL", "SS", "SL", "SV", "UV"))
_REAL = frozenset(("FL", "FD"))
_TEXT = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
_ONE_TEXT = frozenset(("LT", "ST", "UR", "UT"))  # in which a backslash is a backslash
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_SHORT_TAG = re.compile(r"([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\Z")
_CHARACTERS = "SpecificCharacterSet"

Fields = Callable[[Mapping[str, Any]], Iterable[tuple[int, Any]]]


def from_dicom_json(answer: Any, keywords: Iterable[str]) -> Any:
    """One object of DICOM JSON, as far as its attributes are asked for."""
    return _dataset(answer, _wanted(keywords), _dicom_values)


def from_orthanc(answer: Any, keywords: Iterable[str]) -> Any:
    """Orthanc's tags by name, or as ``0010,0020`` (its ``?short``), as far as they are asked for."""
    return _dataset(answer, _wanted(keywords), _orthanc_values)


def _wanted(keywords: Iterable[str]) -> frozenset[int]:
    from pydicom.datadict import tag_for_keyword

    tags = (tag_for_keyword(keyword) for keyword in keywords)
    return frozenset(tag for tag in tags if tag is not None)


def _dataset(answer: Any, wanted: Optional[frozenset[int]], fields: Fields, depth: int = 0) -> Any:
    from pydicom.dataset import Dataset

    found = Dataset()
    if not isinstance(answer, Mapping):
        return found
    for tag, given in fields(answer):
        if wanted is None or tag in wanted:
            element = _element(tag, given, fields, depth)
            if element is not None:
                found.add(element)
    if not _is_ascii(found):
        found.SpecificCharacterSet = "ISO_IR 192"  # JSON is Unicode, whatever the object was written in
    return found


def _is_ascii(dataset: Any) -> bool:
    return all(str(element.value).isascii() for element in dataset if element.VR != "SQ")


def _dicom_values(answer: Mapping[str, Any]) -> Iterable[tuple[int, Any]]:
    for name, field in answer.items():
        if isinstance(name, str) and _TAG.match(name) and isinstance(field, Mapping):
            if "InlineBinary" not in field and "BulkDataURI" not in field:
                yield int(name, 16), field.get("Value")


def _orthanc_values(answer: Mapping[str, Any]) -> Iterable[tuple[int, Any]]:
    from pydicom.datadict import tag_for_keyword

    for name, value in answer.items():
        short = _SHORT_TAG.match(name) if isinstance(name, str) else None
        tag = int(short[1] + short[2], 16) if short else tag_for_keyword(name)
        if tag is None:
            continue
        if isinstance(value, str) and _vr(tag) not in _ONE_TEXT:
            yield tag, value.split("\\")
        else:
            yield tag, value if isinstance(value, list) or value is None else [value]


@lru_cache(maxsize=4096)
def _vr(tag: int) -> str:
    """The VR of the standard; "" for what is private or unknown."""
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(tag))[:2]
    except KeyError:
        return ""


def _element(tag: int, given: Any, fields: Fields, depth: int) -> Any:
    """One data element; None for what is not what the standard says it is."""
    from pydicom import config
    from pydicom.dataelem import DataElement

    vr = _vr(tag)
    if given is not None and not isinstance(given, list):
        return None
    unchecked: dict[str, Any] = {"validation_mode": config.IGNORE} if hasattr(config, "IGNORE") else {}
    try:
        if vr == "SQ":
            if depth >= _DEEPEST or not all(item is None or isinstance(item, Mapping) for item in given or ()):
                return None
            items = [_dataset(item, None, fields, depth + 1) for item in given or ()]
            return DataElement(tag, vr, items, **unchecked)
        values = [_value(vr, value) for value in given or ()]
        if not vr or any(value is _NOT for value in values):
            return None
        return DataElement(tag, vr, _joined(vr, values), **unchecked)
    except (ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError):
        return None


def _joined(vr: str, values: list[Any]) -> Any:
    if not values:
        return None if vr in _WHOLE | _REAL or vr == "AT" else ""
    return values[0] if len(values) == 1 else values


_NOT = object()


def _value(vr: str, value: Any) -> Any:
    """One value as pydicom takes it, or ``_NOT``."""
    if isinstance(value, bool):
        return _NOT
    if vr == "PN":
        return _name(value)
    if vr in _TEXT:
        if value is None:
            return ""
        text = str(value) if isinstance(value, (str, int, float)) else _NOT
        return text if text is _NOT or vr != "IS" else _whole_text(text)
    if vr in _WHOLE and isinstance(value, (int, float, str)):
        return int(value)
    if vr in _REAL and isinstance(value, (int, float, str)):
        return float(value)
    if vr == "AT" and isinstance(value, str) and _TAG.match(value):
        return int(value, 16)
    return _NOT


def _whole_text(text: Any) -> Any:
    return text[:-2] if text.endswith(".0") else text


def _name(value: Any) -> Any:
    if isinstance(value, str) or value is None:
        return value or ""
    if not isinstance(value, Mapping):
        return _NOT
    groups = [value.get(kind) or "" for kind in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join(groups).rstrip("=") if all(isinstance(group, str) for group in groups) else _NOT
