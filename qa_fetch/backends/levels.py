"""Which attribute belongs to which level of the query model, and what identifies an entity there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..matching import Value, matches, query
from ..part10 import clean_uid

UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
_ORDER = tuple(UNIQUE)

_PATIENT = (
    "PatientID PatientName PatientBirthDate PatientBirthTime PatientSex IssuerOfPatientID OtherPatientIDs EthnicGroup "
    "PatientComments NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances"
)
_STUDY = (
    "StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber ReferringPhysicianName "
    "ModalitiesInStudy SOPClassesInStudy PatientAge PatientSize PatientWeight NameOfPhysiciansReadingStudy "
    "NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances"
)
_SERIES = (
    "SeriesInstanceUID SeriesNumber SeriesDate SeriesTime SeriesDescription Modality ProtocolName BodyPartExamined "
    "Laterality OperatorsName PerformingPhysicianName StationName InstitutionName Manufacturer ManufacturerModelName "
    "DeviceSerialNumber SoftwareVersions FrameOfReferenceUID PerformedProcedureStepStartDate "
    "PerformedProcedureStepStartTime RequestAttributesSequence NumberOfSeriesRelatedInstances"
)
_COUNTS = {
    "NumberOfPatientRelatedStudies": ("PatientID", "StudyInstanceUID"),
    "NumberOfPatientRelatedInstances": ("PatientID", "SOPInstanceUID"),
    "NumberOfStudyRelatedSeries": ("StudyInstanceUID", "SeriesInstanceUID"),
    "NumberOfStudyRelatedInstances": ("StudyInstanceUID", "SOPInstanceUID"),
    "NumberOfSeriesRelatedInstances": ("SeriesInstanceUID", "SOPInstanceUID"),
}
_LEVEL_OF = {
    keyword: level
    for level, keywords in (("PATIENT", _PATIENT), ("STUDY", _STUDY), ("SERIES", _SERIES))
    for keyword in keywords.split()
}


def check_level(level: str) -> str:
    """The level in capitals; a clear line for anything else."""
    if level.upper() not in UNIQUE:
        raise ConfigError(f"{level!r} is not a query level. Use one of {', '.join(UNIQUE)}.")
    return level.upper()


def level_of(keyword: str) -> str:
    """The level that an attribute belongs to."""
    return _LEVEL_OF.get(keyword, "IMAGE")


def above(level: str) -> tuple[str, ...]:
    """The levels above one, highest first."""
    return _ORDER[: _ORDER.index(level)]


def only(level: str, keywords: Iterable[str]) -> list[str]:
    """Those keywords that belong to a level."""
    return [keyword for keyword in keywords if level_of(keyword) == level]


def anchored(keys: Iterable[str]) -> bool:
    """Whether keys say whose objects, or of which study."""
    return bool(only("PATIENT", keys) or only("STUDY", keys))


def require_anchor(archive: str, keys: Iterable[str]) -> None:
    """Refuse to walk through all that an archive has."""
    if not anchored(keys):
        raise ConfigError(
            f"{archive} looks for nothing below its studies unless it is told where. "
            "Give PatientID or StudyInstanceUID as well."
        )


def chosen(rows: Iterable[Any], level: str, keys: Mapping[str, Value], *, whole: bool = False) -> list[Any]:
    """One row per entity, in the order in which they came, without those that provably do not fit the keys.

    Peers ignore keys, return one row per instance at every level, and decorate UIDs with NULs or spaces. ``whole`` says
    that rows are objects' own headers, where a missing attribute fits no key.
    """
    wanted, unique = query(level, keys), UNIQUE[level]
    found: dict[str, Any] = {}
    for row in rows:
        identifier = row.get(unique)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            uid = row.get(keyword)
            if uid and clean_uid(uid) != uid:
                setattr(row, keyword, clean_uid(uid))
        if identifier and matches(wanted, row, whole=whole) is not False:
            found.setdefault(clean_uid(identifier), row)
    return list(found.values())


def answered(
    headers: Sequence[Any], level: str, keys: Mapping[str, Value], returned: Iterable[str], *, whole: bool = True
) -> list[Any]:
    """What an archive answers that is at hand as a whole: its entities that fit, and how many others belong to each.

    Parameters
    ----------
    headers
        The headers of its objects; the answers are some of them.
    level, keys, returned
        What is asked.
    whole
        Whether an attribute that a header lacks is one that the object lacks.
    """
    given = {keyword: value for keyword, value in keys.items() if keyword not in _COUNTS}
    rows = chosen(headers, level, given, whole=whole)
    for keyword, (own, counted) in _COUNTS.items():
        if keyword in returned or keyword in keys:
            for row in rows:
                same = (header for header in headers if header.get(own) == row.get(own))
                setattr(row, keyword, len({str(header.get(counted)) for header in same}))
    return rows


def completed(row: Any, parent: Any) -> Any:
    """A row with what the rows above it said, since a hierarchical answer carries its own level only."""
    for element in parent:
        if element.tag not in row and element.keyword not in ("QueryRetrieveLevel", "SpecificCharacterSet"):
            row[element.tag] = element
    return row


def group_by_series(references: Sequence[Any]) -> list[list[Any]]:
    """References of one series together, in the order in which the series first appear."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for reference in references:
        groups.setdefault((reference.study, reference.series), []).append(reference)
    return list(groups.values())
