"""How a double answers queries: matching of its own (not qa_fetch's, which it is there to test), and rows per level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Union

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

Holding = Sequence[Dataset]

UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
LEVELS = tuple(UNIQUE)
_SKIP = ("QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle")
_BELONGS = {
    "PATIENT": "PatientID PatientName PatientBirthDate PatientSex PatientComments",
    "STUDY": "StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber ReferringPhysicianName",
    "SERIES": (
        "SeriesInstanceUID SeriesNumber SeriesDate SeriesTime SeriesDescription Modality ProtocolName StationName "
        "Manufacturer ManufacturerModelName OperatorsName BodyPartExamined FrameOfReferenceUID"
    ),
}
_LEVEL_OF = {keyword: level for level, keywords in _BELONGS.items() for keyword in keywords.split()}
_COUNTS = {
    "NumberOfPatientRelatedStudies": ("PATIENT", "STUDY"),
    "NumberOfPatientRelatedSeries": ("PATIENT", "SERIES"),
    "NumberOfPatientRelatedInstances": ("PATIENT", "IMAGE"),
    "NumberOfStudyRelatedSeries": ("STUDY", "SERIES"),
    "NumberOfStudyRelatedInstances": ("STUDY", "IMAGE"),
    "NumberOfSeriesRelatedInstances": ("SERIES", "IMAGE"),
}


def values(element: Any) -> list[Any]:
    """The values of an element; empty when it has none."""
    value = element.value
    if value is None or value == "" or value == b"":
        return []
    if element.VR == "SQ" or type(value).__name__ in ("MultiValue", "list"):
        return list(value)
    return [value]


def as_dict(identifier: Dataset) -> dict[str, Any]:
    """A query as keywords and plain values, for the log of requests."""
    return {element.keyword: _plain(element) for element in identifier if element.keyword not in _SKIP}


def _plain(element: Any) -> Any:
    found = values(element)
    if element.VR == "SQ":
        return [as_dict(item) for item in found]
    plain = [str(value) for value in found]
    return plain[0] if len(plain) == 1 else plain or ""


def missing_above(level: str, identifier: Dataset, root: str) -> list[str]:
    """The unique keys of the levels above, which a hierarchical archive wants with one value each."""
    above = LEVELS[LEVELS.index("STUDY" if root == "study" else "PATIENT") : LEVELS.index(level)]
    return [UNIQUE[name] for name in above if not identifier.get(UNIQUE[name])]


def matching(holding: Holding, level: str, identifier: Dataset, ignores: Union[bool, Sequence[str]]) -> list[Dataset]:
    """The instances that fit every key of this level and of those above it."""
    if ignores is True:
        return list(holding)
    keys = [
        element
        for element in identifier
        if element.keyword not in _SKIP
        and element.keyword not in _COUNTS
        and (not isinstance(ignores, Sequence) or element.keyword not in ignores)
        and LEVELS.index(_LEVEL_OF.get(element.keyword, _level_of_computed(element.keyword))) <= LEVELS.index(level)
    ]
    return [dataset for dataset in holding if all(_fits(key, dataset, holding) for key in keys)]


def _level_of_computed(keyword: str) -> str:
    return "STUDY" if keyword == "ModalitiesInStudy" else "IMAGE"


def _fits(key: Any, dataset: Dataset, holding: Holding) -> bool:
    wanted = values(key)
    if not wanted:
        return True
    if key.keyword == "ModalitiesInStudy":
        return any(str(want) in modalities(dataset, holding) for want in wanted)
    if key.tag not in dataset:
        return False
    found = values(dataset[key.tag])
    if key.VR == "SQ":
        return any(all(_fits(inner, item, holding) for inner in wanted[0]) for item in found)
    if key.VR == "UI":
        return any(str(want) == str(value) for want in wanted for value in found)
    if len(wanted) > 1:
        return [str(want) for want in wanted] == [str(value) for value in found]
    return any(_same(key.VR, str(wanted[0]), str(value)) for value in found)


def _same(vr: str, wanted: str, value: str) -> bool:
    if vr in ("DS", "IS", "US", "UL", "FD", "FL"):
        return float(wanted) == float(value)
    if vr in ("DA", "TM") and "-" in wanted:
        low, high = wanted.split("-")
        return (not low or value >= low) and (not high or value[: len(high)] <= high)
    pattern = re.escape(wanted).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, value, re.DOTALL | (re.IGNORECASE if vr == "PN" else 0)) is not None


def modalities(dataset: Dataset, holding: Holding) -> list[str]:
    """The modalities of the study to which an instance belongs."""
    study = dataset.StudyInstanceUID
    return sorted({str(other.Modality) for other in holding if other.StudyInstanceUID == study})


def rows(
    holding: Holding,
    level: str,
    identifier: Dataset,
    ae_title: str,
    *,
    ignores: Union[bool, Sequence[str]] = (),
    omits: Sequence[str] = (),
    per_instance: bool = False,
) -> list[Dataset]:
    """One answer for each entity that matches (or, as some archives have it, for each instance)."""
    answers: dict[str, Dataset] = {}
    for number, dataset in enumerate(matching(holding, level, identifier, ignores)):
        key = str(number) if per_instance else str(dataset.get(UNIQUE[level]))
        if key not in answers:
            answers[key] = _row(dataset, holding, level, identifier, ae_title, omits)
    return list(answers.values())


def _row(
    dataset: Dataset, holding: Holding, level: str, identifier: Dataset, ae_title: str, omits: Sequence[str]
) -> Dataset:
    row = Dataset()
    row.SpecificCharacterSet = "ISO_IR 192"
    row.QueryRetrieveLevel = level
    row.RetrieveAETitle = ae_title
    asked = [element.keyword for element in identifier if element.keyword not in _SKIP]
    for keyword in [*asked, *(UNIQUE[name] for name in LEVELS[: LEVELS.index(level) + 1])]:
        if keyword not in omits and keyword:
            _put(row, keyword, dataset, holding, level)
    return row


def _put(row: Dataset, keyword: str, dataset: Dataset, holding: Holding, level: str) -> None:
    if keyword in _COUNTS:
        whose, what = (UNIQUE[name] for name in _COUNTS[keyword])
        mine = dataset.get(whose)
        setattr(row, keyword, len({other.get(what) for other in holding if other.get(whose) == mine}))
    elif keyword == "ModalitiesInStudy":
        row.ModalitiesInStudy = modalities(dataset, holding)
    elif LEVELS.index(_LEVEL_OF.get(keyword, "IMAGE")) > LEVELS.index(level):
        return
    elif keyword in dataset:
        row[keyword] = dataset[keyword]
    else:
        setattr(row, keyword, [] if dictionary_VR(keyword) == "SQ" else None)
