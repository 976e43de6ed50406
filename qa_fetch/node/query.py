"""A query as it was put: checked against the level and the root that it was sent to."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .. import matching
from . import headers

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
# The attributes of each level that have a column; the values of those of its level and above are what an object that
# speaks for an entity was the first to have.
SPOKEN = {
    "PATIENT": ("PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "StudyDescription"),
    "SERIES": ("Modality", "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription"),
    "IMAGE": (),
}
# Attributes that no object has and an archive computes: of which level's objects, and how.
COMPUTED = {
    "ModalitiesInStudy": ("STUDY", 'DISTINCT i."Modality"'),
    "SOPClassesInStudy": ("STUDY", 'DISTINCT i."SOPClassUID"'),
    "NumberOfPatientRelatedStudies": ("PATIENT", "COUNT(DISTINCT s.study_id)"),
    "NumberOfPatientRelatedSeries": ("PATIENT", "COUNT(DISTINCT i.series_id)"),
    "NumberOfPatientRelatedInstances": ("PATIENT", "COUNT(*)"),
    "NumberOfStudyRelatedSeries": ("STUDY", "COUNT(DISTINCT i.series_id)"),
    "NumberOfStudyRelatedInstances": ("STUDY", "COUNT(*)"),
    "NumberOfSeriesRelatedInstances": ("SERIES", "COUNT(*)"),
}
WILDCARDS = "*?"
_NOT_KEYS = frozenset(("QueryRetrieveLevel", "SpecificCharacterSet"))


class BadIdentifier(Exception):
    """A query that cannot be answered as it was put (0xA900); its text holds no value of the peer."""


class Query:
    """One identifier, checked against the level and the root that it was sent to."""

    def __init__(self, identifier: Dataset, root: str, relational: bool) -> None:
        self.keys = [element for element in _readable(identifier) if element.keyword not in _NOT_KEYS]
        self.level = _level(identifier, root)
        self._by_keyword = {element.keyword: element for element in self.keys if element.keyword}
        self.unique_tag = int(Tag(UNIQUE[self.level]))
        self.tags = {int(element.tag) for element in self.keys} | {self.unique_tag}
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

    def require_only_unique_keys(self) -> None:
        """Who may not know whose the objects are may not find out by whether anything fits a name either."""
        if any(element.keyword not in UNIQUE.values() for element in self.wanted):
            raise BadIdentifier("its caller gets anonymised objects, and may name them only by unique keys")

    def _require(self, keywords: Any, *, wildcards: bool = True) -> None:
        for keyword in keywords:
            element = self._by_keyword.get(keyword)
            given = [str(value) for value in matching.values(element)] if element is not None else []
            if not given:
                raise BadIdentifier(f"it has no {keyword}")
            if not wildcards and any(sign in value for value in given for sign in WILDCARDS):
                raise BadIdentifier(f"its {keyword} holds a wildcard")

    @property
    def is_about_entities(self) -> bool:
        """True when one object of each entity, the one that speaks for it, says all that decides."""
        levels = LEVELS[: LEVELS.index(self.level) + 1]
        known = {UNIQUE[level] for level in levels} | {keyword for level in levels for keyword in SPOKEN[level]}
        return self.level != "IMAGE" and all(
            element.keyword in known or element.keyword in COMPUTED for element in self.wanted
        )


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
    return empty(tag, vr.split(" or ")[0])


def empty(tag: BaseTag, vr: str) -> DataElement:
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
    return all(text_of(value).strip("*") == "" for value in given)


def text_of(value: Any) -> str:
    return str(value).strip(" \0")
