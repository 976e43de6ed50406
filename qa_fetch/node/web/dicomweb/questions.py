"""QIDO-RS: the parameters of a search as a query of the node, so that DICOMweb and C-FIND give the same answers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from .... import matching
from ....errors import ConfigError
from ...query import BadIdentifier, Query
from .answering import Refused
from .dicom_json import BYTES, plain_vr

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
# What PS3.18 has a server return (tables 10.6.3-3 to 10.6.3-5) beside RetrieveURL, at each level without those above.
STUDY_COUNTS = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
SERIES_COUNTS = ("NumberOfSeriesRelatedInstances",)
_STUDY = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription"),
    *("ReferringPhysicianName", "InstanceAvailability", "TimezoneOffsetFromUTC", *_PATIENT),
)
_SERIES = (
    *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "TimezoneOffsetFromUTC"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "RequestAttributesSequence"),
)
_IMAGE = (
    *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
    *("InstanceAvailability", "TimezoneOffsetFromUTC"),
)
_ORDER = ("STUDY", "SERIES", "IMAGE")
_RETURNED = {"STUDY": (*_STUDY, *STUDY_COUNTS), "SERIES": (*_SERIES, *SERIES_COUNTS), "IMAGE": _IMAGE}
_BASIC = {"STUDY": _STUDY, "SERIES": _SERIES, "IMAGE": _IMAGE}

_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_NOT_ASKED = frozenset(("QueryRetrieveLevel", "SpecificCharacterSet", "QueryRetrieveView"))
_FIRST, _PIXELS = 0x00080000, 0x7FE00000  # what stands before and behind is nothing to search by
_DEEPEST = 8
_MOST_FIELDS = 500

_NAMELESS = (
    "a parameter is neither a DICOM keyword nor a tag. "
    "Write keywords as in the standard, tags as eight hexadecimal digits, and the way into a sequence with dots."
)
_TWICE = "a parameter is given twice. Give it once; several UIDs are separated by commas."
_NO_VALUE = "a value is not one that its attribute can have. Write dates as 20251103 and numbers as digits."
_FUZZY = '299 qa_fetch "The fuzzymatching parameter is not supported. Only literal matching has been performed."'


@dataclass(frozen=True)
class Question:
    """A search: what is asked, and which of the answers are wanted."""

    query: Query
    level: str
    above: tuple[str, ...]  # computed attributes of the levels above that belong into each answer
    everything: bool
    first: int
    end: int
    warning: str


def question(request: HttpRequest, level: str, uids: Mapping[str, str]) -> Question:
    """What a search asks for; Refused where that makes no sense.

    Parameters
    ----------
    request
        With the parameters.
    level
        STUDY, SERIES or IMAGE.
    uids
        The unique keys that stand in the address, by keyword.
    """
    given: dict[str, list[str]] = {name: request.GET.getlist(name) for name in request.GET}
    limit = _number(given.pop("limit", []), sys.maxsize // 2)
    first = _number(given.pop("offset", []), 0)
    fuzzy = _flag(given.pop("fuzzymatching", []))
    fields = [name for text in given.pop("includefield", []) for name in text.split(",") if name]
    if len(fields) > _MOST_FIELDS:
        raise Refused(400, f"more than {_MOST_FIELDS} attributes are asked for. Ask with includefield=all.")
    keys: dict[str, Any] = dict(uids)
    unnamed: list[DataElement] = []
    for name, texts in given.items():
        _add_key(keys, unnamed, name, texts)
    wholes = [_tag(name.split(".")[0]) for name in fields if name != "all"]
    unnamed += [DataElement(tag, "UN", None) for tag in wholes if not _keyword(tag)]
    named = [keyword for keyword in map(_keyword, wholes) if keyword and keyword not in _NOT_ASKED]
    levels = [upper for upper in _ORDER[: _ORDER.index(level)] if _UIDS[_ORDER.index(upper)] not in uids]
    returned = [*named, *_UIDS[: _ORDER.index(level) + 1], *_RETURNED[level]]
    for upper in levels:
        returned += _BASIC[upper]
    counts = {"STUDY": STUDY_COUNTS, "SERIES": SERIES_COUNTS}
    return Question(
        _query(level, keys, returned, unnamed),
        level,
        tuple(keyword for upper in levels for keyword in counts[upper] if keyword not in keys),
        "all" in fields,
        first,
        min(first + limit, sys.maxsize // 2),
        _FUZZY if fuzzy else "",
    )


def simple(level: str, keys: Mapping[str, Any], returned: Iterable[str]) -> Query:
    """A query that is made here and not asked by anybody."""
    return _query(level, keys, returned, ())


def _query(level: str, keys: Mapping[str, Any], returned: Iterable[str], unnamed: Iterable[DataElement]) -> Query:
    try:
        identifier = matching.query(level, keys, returned)
        for element in unnamed:
            identifier.add(element)
        return Query(identifier, "study", relational=True)
    except (ConfigError, BadIdentifier, ValueError):
        raise Refused(400, _NO_VALUE) from None


def _add_key(keys: dict[str, Any], unnamed: list[DataElement], name: str, texts: list[str]) -> None:
    """Add a parameter to the keys of a query, inside the sequences that its name leads through."""
    tags = [_tag(part) for part in name.split(".", _DEEPEST)]
    if len(texts) > 1:
        raise Refused(400, _TWICE)
    if any(ord(sign) < 0x20 for sign in texts[0]):
        raise Refused(400, _NO_VALUE)
    keywords = [_keyword(tag) for tag in tags]
    if len(tags) == 1 and not keywords[0]:
        unnamed.append(DataElement(tags[0], "LO", texts[0]))
        return
    *sequences, last = keywords
    if not all(keywords) or last in _NOT_ASKED or any(_vr(tag) != "SQ" for tag in tags[:-1]):
        raise Refused(400, _NAMELESS)
    into = keys
    for sequence in sequences:
        into = into.setdefault(sequence, {})
        if not isinstance(into, dict):
            raise Refused(400, _TWICE)
    if last in into:
        raise Refused(400, _TWICE)
    vr = plain_vr(_vr(tags[-1]))
    if texts[0] and (vr == "SQ" or vr in BYTES):
        raise Refused(400, _NO_VALUE)
    if vr == "SQ":
        into[last] = {}
    else:
        into[last] = _value(_vr(tags[-1]), texts[0])


def _value(vr: str, text: str) -> Any:
    separators = r"[,\\]" if vr == "UI" else r"\\"
    parts = re.split(separators, text)
    return parts if len(parts) > 1 else text


def _tag(name: str) -> int:
    tag = tag_for_keyword(name) if name else None
    if tag is None and _TAG.match(name):
        tag = int(name, 16)
    if tag is None or not _FIRST <= tag < _PIXELS or not tag & 0xFFFF:
        raise Refused(400, _NAMELESS)
    return int(tag)


def _keyword(tag: int) -> str:
    return str(dictionary_keyword(tag)) if dictionary_has_tag(tag) else ""


def _vr(tag: int) -> str:
    return str(dictionary_VR(tag)) if dictionary_has_tag(tag) else "UN"


def _number(texts: list[str], default: int) -> int:
    if not texts:
        return default
    if len(texts) > 1 or not (texts[0].isascii() and texts[0].isdigit()):
        raise Refused(400, "limit and offset are whole numbers from 0 up, each given once.")
    return int(texts[0]) if len(texts[0].lstrip("0")) < 18 else sys.maxsize // 2


def _flag(texts: list[str]) -> bool:
    if texts and (len(texts) > 1 or texts[0].lower() not in ("true", "false")):
        raise Refused(400, "fuzzymatching is true or false.")
    return bool(texts) and texts[0].lower() == "true"
