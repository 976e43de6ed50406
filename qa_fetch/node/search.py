"""Answering a query: narrow with SQL on the columns, then decide on the header of each object.

An entity of a level is answered when one of its objects fits, with what that object says. SQL may let too much
through but never too little, as long as an attribute that DICOM gives one value has one; ``matching.matches`` has the
last word. Where a query names nothing but attributes of its own level and those above, only the objects that speak for
their entity are looked at, so that its cost grows with the answers and not with the objects.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

from django.db import connection
from django.db.models import Q, QuerySet
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from .. import matching, part10
from . import headers
from .models import ExtraValue, Instance

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
# Where the unique keys and the entity of each level are found from an Instance.
_KEYS = {
    "PatientID": "series__study__patient__PatientID",
    "StudyInstanceUID": "series__study__StudyInstanceUID",
    "SeriesInstanceUID": "series__SeriesInstanceUID",
    "SOPInstanceUID": "SOPInstanceUID",
    "SOPClassUID": "SOPClassUID",
}
# The attributes of each level that have a column; the values of those of its level and above are what an object that
# speaks for an entity was the first to have.
SPOKEN = {
    "PATIENT": ("PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "StudyDescription"),
    "SERIES": ("Modality", "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription"),
    "IMAGE": (),
}
ENTITY = {"PATIENT": "series__study__patient", "STUDY": "series__study", "SERIES": "series"}
_NOT_KEYS = frozenset(("QueryRetrieveLevel", "SpecificCharacterSet"))
_WILDCARDS = "*?"
_PLAIN_TEXT = frozenset(("AE", "CS", "LO", "SH", "UI", "DA", "AS", "IS"))
_LONGEST_DATE = 26


class BadIdentifier(Exception):
    """A query that cannot be answered as it was put (0xA900); its text holds no value of the peer."""


class Query:
    """One identifier, checked against the level and the root that it was sent to."""

    def __init__(self, identifier: Dataset, root: str, relational: bool) -> None:
        self.keys = [element for element in _readable(identifier) if element.keyword not in _NOT_KEYS]
        self.level = _level(identifier, root)
        self._by_keyword = {element.keyword: element for element in self.keys if element.keyword}
        self.tags = {int(element.tag) for element in self.keys} | {int(Tag(UNIQUE[self.level]))}
        if not relational:
            levels = LEVELS[LEVELS.index(root.upper()) : LEVELS.index(self.level)]
            self._require(UNIQUE[level] for level in levels)
        self.wanted = Dataset()
        for element in self.keys:
            if not _universal(element):
                self.wanted.add(element)

    def require_own_key(self) -> None:
        """C-MOVE and C-GET name what they want; without the level's unique key they would mean everything."""
        self._require((UNIQUE[self.level],), wildcards=False)

    def _require(self, keywords: Any, *, wildcards: bool = True) -> None:
        for keyword in keywords:
            element = self._by_keyword.get(keyword)
            given = [str(value) for value in matching.values(element)] if element is not None else []
            if not given:
                raise BadIdentifier(f"it has no {keyword}")
            if not wildcards and any(sign in value for value in given for sign in _WILDCARDS):
                raise BadIdentifier(f"its {keyword} holds a wildcard")

    @property
    def only_unique_keys(self) -> bool:
        """True when SQL alone decides, as for every ordinary C-MOVE."""
        return all(element.keyword in UNIQUE.values() and _is_exact(element) for element in self.wanted)

    @property
    def is_about_entities(self) -> bool:
        """True when one object of each entity, the one that speaks for it, says all that decides."""
        levels = LEVELS[: LEVELS.index(self.level) + 1]
        known = {UNIQUE[level] for level in levels} | {keyword for level in levels for keyword in SPOKEN[level]}
        return self.level != "IMAGE" and all(
            element.keyword in known or element.keyword in _COMPUTED for element in self.wanted
        )


class Stored(NamedTuple):
    """An object that is to be sent: what it is, and how it is stored."""

    SOPInstanceUID: str
    SOPClassUID: str
    TransferSyntaxUID: str
    size: int


class _Row(NamedTuple):
    """What answering needs of an object."""

    SOPInstanceUID: str
    header: bytes
    implicit: bool
    left_out: str
    series: int
    study: int
    patient: int


_ROW = (
    "SOPInstanceUID",
    "header",
    "implicit",
    "left_out",
    "series_id",
    "series__study_id",
    "series__study__patient_id",
)


class Searcher:
    """Looks up objects in the index on behalf of one node.

    Parameters
    ----------
    ae_title
        What the node is called.
    path
        Where the object with a UID lies.
    extra
        The tags whose values this node's index holds beside its columns.
    """

    def __init__(self, ae_title: str, path: Callable[[str], Path], extra: Sequence[int] = ()) -> None:
        self._ae_title = ae_title
        self._path = path
        self._extra = frozenset(extra)

    def answers(self, query: Query) -> Iterator[Dataset]:
        """One answer for each entity of the query's level that fits."""
        rows = Instance.objects.filter(_narrowing(query.wanted, self._extra))
        if query.level == "IMAGE":
            found = self._fitting(rows.order_by("pk"), query, 200)
        elif query.is_about_entities:
            spoken = rows.filter(**{f"speaks_for_{query.level.lower()}": True})
            found = self._fitting(spoken.order_by(ENTITY[query.level], "pk"), query, 200)
        else:
            entity = ENTITY[query.level]
            keys = list(rows.order_by(entity).values_list(entity, flat=True).distinct())
            each = (self._fitting(rows.filter(**{entity: key}).order_by("pk"), query, 8) for key in keys)
            found = itertools.chain.from_iterable(itertools.islice(some, 1) for some in each)
        answered: Any = None
        for row, candidate in found:
            entity_key = getattr(row, query.level.lower(), row.SOPInstanceUID)
            if entity_key != answered:
                answered = entity_key
                yield self._answer(candidate, query)

    def objects(self, query: Query) -> list[Stored]:
        """The objects that a C-MOVE or C-GET asks for, those of one sort together."""
        rows = Instance.objects.filter(_narrowing(query.wanted, self._extra))
        rows = rows.order_by("SOPClassUID", "TransferSyntaxUID", "pk")
        if query.only_unique_keys:
            return [Stored(*values) for values in rows.values_list(*Stored._fields)]
        fitting = {row.SOPInstanceUID for row, _ in self._fitting(rows, query, 200)}
        return [Stored(*values) for values in rows.values_list(*Stored._fields) if values[0] in fitting]

    def _fitting(self, rows: QuerySet, query: Query, at_once: int) -> Iterator[tuple[_Row, Dataset]]:
        """The rows that fit, each with what it says of what is asked for."""
        for values in rows.values_list(*_ROW).iterator(chunk_size=at_once):
            row = _Row(*values)
            candidate = headers.read(bytes(row.header), row.implicit, query.tags)
            long = query.tags & headers.tags(row.left_out) if row.left_out else None
            if long:
                headers.add_long(candidate, self._path(row.SOPInstanceUID), long)
            candidate.RetrieveAETitle = self._ae_title
            candidate.InstanceAvailability = "ONLINE"
            _add_computed(candidate, row, query)
            if matching.matches(query.wanted, candidate) is True:
                yield row, candidate

    def _answer(self, candidate: Dataset, query: Query) -> Dataset:
        answer = Dataset()
        for key in query.keys:
            answer.add(_answered(candidate, key))
        unique = UNIQUE[query.level]
        if unique in candidate:
            answer.add(candidate[unique])
        answer.QueryRetrieveLevel = query.level
        answer.RetrieveAETitle = self._ae_title
        if "SpecificCharacterSet" in candidate:
            answer.SpecificCharacterSet = candidate.SpecificCharacterSet
        return answer


def _answered(candidate: Dataset, key: DataElement) -> DataElement:
    if key.tag in candidate:
        return candidate[key.tag]
    return _empty(key.tag, key.VR)


def _readable(identifier: Dataset) -> list[DataElement]:
    """The identifier's elements, converted; later steps then cannot fail on a value."""
    try:
        # A list, since reading an element replaces it in the data set.
        elements = [_element(identifier, tag, raw) for tag, raw in list(identifier.items()) if tag.element != 0]
        for element in elements:
            headers.read_values(element)
            matching.values(element)
    except headers.UNREADABLE as error:
        raise BadIdentifier(f"a value in it cannot be read ({type(error).__name__})") from None
    return elements


def _element(identifier: Dataset, tag: BaseTag, raw: Any) -> DataElement:
    if raw.value:
        return identifier[tag]
    # pydicom cannot read an empty "US or SS" of an implicit identifier, since nothing in it settles which one it is.
    vr = raw.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
    return _empty(tag, vr.split(" or ")[0])


def _empty(tag: BaseTag, vr: str) -> DataElement:
    return DataElement(tag, vr, [] if vr == "SQ" else empty_value_for_VR(vr))


def _level(identifier: Dataset, root: str) -> str:
    level = str(identifier.get("QueryRetrieveLevel") or "").strip(" \0")
    if level not in LEVELS[LEVELS.index(root.upper()) :]:
        raise BadIdentifier(f"its QueryRetrieveLevel is missing or not one of the {root} root")
    return level


def _universal(key: DataElement) -> bool:
    """Empty and nothing but ``*`` both match everything, an attribute that an object lacks included."""
    given = matching.values(key)
    if key.VR == "SQ":
        return not given or not len(given[0]) or all(_universal(nested) for nested in given[0])
    return all(_text(value).strip("*") == "" for value in given)


def _text(value: Any) -> str:
    return str(value).strip(" \0")


def _is_exact(key: DataElement) -> bool:
    return key.VR == "UI" or not any(sign in str(value) for value in matching.values(key) for sign in _WILDCARDS)


def _narrowing(wanted: Dataset, extra: frozenset[int]) -> Q:
    """The part of a query that SQL can decide; never stricter than ``matching.matches``."""
    found = Q()
    for key in wanted:
        texts = [_text(value) for value in matching.values(key)]
        if key.keyword == "ReferencedRTPlanSequence":
            found &= _plan_narrowing(key)
        elif any("\0" in text for text in texts):
            continue
        elif key.VR == "UI" and key.keyword in _KEYS:
            found &= Q(**{f"{_KEYS[key.keyword]}__in": [part10.clean_uid(text) for text in texts]})
        elif key.keyword == "PatientID":
            found &= _text_narrowing(_KEYS["PatientID"], texts)
        elif key.keyword == "PatientName" and len(texts) == 1:
            found &= _prefixed("PatientNameFolded", _before_wildcards(texts[0].casefold()).rstrip("^= "))
        elif key.keyword in headers.COLUMNS:
            found &= _NARROWINGS[headers.COLUMNS[key.keyword]](key.keyword, texts)
        elif int(key.tag) in extra and key.VR in _PLAIN_TEXT and len(texts) == 1:
            found &= _extra_narrowing(key, texts)
    return found


def _extra_narrowing(key: DataElement, texts: Sequence[str]) -> Q:
    tag = f"{int(key.tag):08X}"
    if dictionary_has_tag(key.tag) and dictionary_VM(key.tag) == "1":
        narrowing = _text_narrowing("value", texts)
    elif any(sign in texts[0] for sign in _WILDCARDS):
        return Q()  # any one of several values has to fit, and SQL sees them as one text
    else:
        narrowing = Q(value__contains=texts[0])
    return Q(pk__in=ExtraValue.objects.filter(narrowing, tag=tag).values("instance"))


def _plan_narrowing(key: DataElement) -> Q:
    items = matching.values(key)
    uids = matching.values(items[0]["ReferencedSOPInstanceUID"]) if "ReferencedSOPInstanceUID" in items[0] else []
    if not uids:
        return Q()
    listed = [part10.clean_uid(uid) for uid in uids]
    # As a subquery, since a join would count an object once for every plan that it names.
    return Q(pk__in=Instance.objects.filter(referenced_plans__ReferencedSOPInstanceUID__in=listed).values("pk"))


def _text_narrowing(column: str, texts: Sequence[str]) -> Q:
    if any(sign in text for text in texts for sign in _WILDCARDS):
        exact = len(texts) == 1 and column not in _MULTIPLE
        return _prefixed(column, _before_wildcards(texts[0])) if exact else Q()
    if len(texts) > 1:
        return Q(**{column: "\\".join(texts)})
    # A single value fits any one of an attribute's several values.
    return Q(**{f"{column}__contains": texts[0]}) if column in _MULTIPLE else Q(**{column: texts[0]})


def _date_narrowing(column: str, texts: Sequence[str]) -> Q:
    if len(texts) != 1:
        return Q()
    if not re.match(r"[0-9.]*-[0-9.]*\Z", texts[0]):
        return Q(**{column: headers.plain_date(texts[0])})
    low, high = (headers.plain_date(end) for end in texts[0].split("-"))
    found = Q(**{f"{column}__gte": low}) if low else Q()
    return found & Q(**{f"{column}__lte": high.ljust(_LONGEST_DATE, "9")}) if high else found


def _number_narrowing(column: str, texts: Sequence[str]) -> Q:
    try:
        return Q(**{column: float(texts[0])}) if len(texts) == 1 else Q()
    except ValueError:
        return Q()


_MULTIPLE = frozenset(("ImageType",))
_NARROWINGS: dict[str, Callable[[str, Sequence[str]], Q]] = {
    headers.TEXT: _text_narrowing,
    headers.DATE: _date_narrowing,
    headers.NUMBER: _number_narrowing,
    headers.NAME: lambda column, texts: Q(),
    headers.TIME: lambda column, texts: Q(),
}


def _prefixed(column: str, prefix: str) -> Q:
    """Text that begins so; SQLite has no index for its LIKE, and other databases none for comparing bytes."""
    if not prefix:
        return Q()
    if connection.vendor == "sqlite":
        return Q(**{f"{column}__gte": prefix, f"{column}__lt": prefix + chr(0x10FFFF)})
    return Q(**{f"{column}__startswith": prefix})


def _before_wildcards(pattern: str) -> str:
    return pattern.split("*", 1)[0].split("?", 1)[0]


def _distinct(column: str) -> Callable[[QuerySet], list[str]]:
    return lambda rows: sorted(set(rows.order_by().values_list(column, flat=True)) - {""})


def _count(column: str) -> Callable[[QuerySet], int]:
    return lambda rows: int(rows.order_by().values(column).distinct().count())


# Attributes that no object has and an archive computes: of which level's objects, and how.
_COMPUTED: dict[str, tuple[str, Callable[[QuerySet], Any]]] = {
    "ModalitiesInStudy": ("STUDY", _distinct("Modality")),
    "SOPClassesInStudy": ("STUDY", lambda rows: [UID(uid) for uid in _distinct("SOPClassUID")(rows)]),
    "NumberOfPatientRelatedStudies": ("PATIENT", _count("series__study")),
    "NumberOfPatientRelatedSeries": ("PATIENT", _count("series")),
    "NumberOfPatientRelatedInstances": ("PATIENT", _count("pk")),
    "NumberOfStudyRelatedSeries": ("STUDY", _count("series")),
    "NumberOfStudyRelatedInstances": ("STUDY", _count("pk")),
    "NumberOfSeriesRelatedInstances": ("SERIES", _count("pk")),
}


def _add_computed(candidate: Dataset, row: _Row, query: Query) -> None:
    for key in query.keys:
        if key.keyword not in _COMPUTED:
            continue
        level, compute = _COMPUTED[key.keyword]
        entity = Instance.objects.filter(**{ENTITY[level]: getattr(row, level.lower())})
        setattr(candidate, key.keyword, compute(entity))
