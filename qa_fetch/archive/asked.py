"""What a caller asks for: checked before it is sent, and put in its place when it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from ..backends import Backend, Converting
from ..backends.levels import UNIQUE
from ..budget import Budget
from ..errors import ConfigError, Incomplete, NotFound
from ..shelf import Reference, Shelf
from .fetching import Fetcher
from .images import Images
from .sessions import image

# What has to be known of an object to fetch it, and to put it in its place among the others.
_TO_FETCH = "PatientID StudyInstanceUID SeriesInstanceUID SOPInstanceUID SOPClassUID InstanceNumber".split()

# What an answer shows of each level besides what was asked for.
RETURNED = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "PatientID",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "StudyDescription",
        "ModalitiesInStudy",
    ),
    "SERIES": (
        "PatientID StudyInstanceUID SeriesInstanceUID Modality SeriesDate SeriesTime SeriesNumber SeriesDescription "
        "NumberOfSeriesRelatedInstances"
    ).split(),
    "IMAGE": (
        "PatientID StudyInstanceUID SeriesInstanceUID SOPInstanceUID SOPClassUID Modality InstanceNumber ImageType "
        "AcquisitionDate AcquisitionTime RTPlanLabel RTPlanDate"
    ).split(),
}


def held(backend: Backend, level: str, value: str, budget: Budget) -> list[Reference]:
    """What an archive has of a patient, study, series or object; series by series, in the order of their numbers."""
    rows = backend.find("IMAGE", {UNIQUE[level]: value}, _TO_FETCH, budget)
    images = sorted(map(image, rows), key=lambda found: (found.reference.study, found.reference.series, found.number))
    return [found.reference for found in images]


def everything(fetcher: Fetcher, patient: str, budget: Budget) -> Images:
    """All that an archive has of a patient; a patient of which something could not be made is no result."""
    backend = fetcher.backend
    found = held(backend, "PATIENT", patient, budget)
    left = backend.left_out(patient, budget) if isinstance(backend, Converting) else []
    if not found and not left:
        raise NotFound(
            f"{fetcher.archive} has nothing of this patient. "
            f"{fetcher.where_else(budget) or 'Check the ID, and what this AE title may see.'}"
        )
    if found:  # what could be made is kept, for who asks for single plans and series next
        images = fetcher.bring(found, budget, says="object of a patient", patient=patient, whole_series=True)
    _require_all(left, fetcher.archive)
    return images


def require_whole(fetcher: Fetcher, references: Sequence[Reference], budget: Budget) -> None:
    """A study, too, is no result where something of its patient could not be made: that may belong to it."""
    backend = fetcher.backend
    if isinstance(backend, Converting):
        for patient in dict.fromkeys(reference.patient for reference in references):
            _require_all(backend.left_out(patient, budget), fetcher.archive)


def _require_all(left: list[str], archive: str) -> None:
    if left:
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        raise Incomplete(
            f"{archive} cannot make all of this patient; left out is {left[0].rstrip('.')}{more}. "
            "Fetch its plans and series one by one, or have what can be had with a report: qa-fetch pinnacle export.",
            retriable=False,
            missing=left,
        )


def by_uid(backend: Backend, shelf: Shelf, level: str, uid: str, budget: Budget, archive: str) -> list[Reference]:
    """What an archive has under a UID of a level; an object that is on the shelf need not be looked for."""
    if level == "IMAGE" and shelf.has(uid):
        return [Reference("", "", uid)]
    found = held(backend, level, uid, budget)
    if not found:
        what = {"STUDY": "study", "SERIES": "series"}.get(level, "object")
        raise NotFound(f"{archive} has no {what} {uid}. Check the UID, and what this AE title may see.")
    return found


def by_level(asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The levels and the checked IDs and UIDs of what is asked for, each once."""
    found: dict[tuple[str, str], None] = {}
    for level, values in asked.items():
        for value in _listed(values):
            found[level, patient_id(value) if level == "PATIENT" else uid(value, UNIQUE[level])] = None
    return list(found)


def _listed(values: Any) -> Sequence[str]:
    return [values] if isinstance(values, str) else list(values or ())


def patient_id(patient: str) -> str:
    """One exact PatientID."""
    text = patient.strip() if isinstance(patient, str) else ""
    if not text:
        raise ConfigError("the patient ID is empty. Give the PatientID as the archive has it.")
    if set(text) & set("*?\\"):
        raise ConfigError("the patient ID has a wildcard in it, which could mean several patients. Give one exact ID.")
    return text


def uid(given: str, keyword: str) -> str:
    """A UID without the spaces around it."""
    text = str(given).strip()
    if not text or set(text) - set("0123456789."):
        raise ConfigError(f"{keyword} is not a UID. Give it as digits and dots.")
    return text


def only(row: Any, keywords: set[str]) -> Any:
    """A row without what was not asked for: a folder has whole headers to give."""
    for element in list(row):
        if element.keyword not in keywords:
            del row[element.tag]
    return row


def files_of(paths: Union[str, Path, Sequence[Union[str, Path]]]) -> list[Path]:
    """The files that are named, and those below the folders that are named."""
    given = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    files = [file for path in given for file in (_files_below(path) if path.is_dir() else [path])]
    absent = [path for path in files if not path.is_file()]
    if absent:
        raise NotFound(f"{absent[0]} is not a file, so nothing was sent. Correct the path.")
    if not files:
        raise NotFound("there is no file to send. Name files, or a folder that holds some.")
    return files


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
