"""A cohort on disk: courses of the generator as a folder archive, with summaries, as ``verify`` leaves them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from course_truth import Course, Made, make
from truth_codes import config as keys

from qa_fetch import part10
from qa_fetch.cohort import columns, config
from qa_fetch.cohort.building import build_patient
from qa_fetch.cohort.built import Built
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.linking import decide
from qa_fetch.cohort.notes import Notes


@dataclass(frozen=True)
class Stage:
    """A cohort, its archive, and what is true of both."""

    settings: config.Settings
    archive: Path
    made: tuple[Made, ...]

    @property
    def patient(self) -> str:
        """The first patient."""
        return self.made[0].truth.course.patient

    def folder(self, patient: str = "") -> PatientFolder:
        """The folder of a patient."""
        return PatientFolder.of(self.settings, patient or self.patient)

    def built(self, patient: str = "") -> Built:
        """What was built of a patient."""
        found = Built.read(self.folder(patient))
        assert found is not None
        return found

    def notes(self, patient: str = "") -> Notes:
        """The notes of a patient."""
        found = Notes.read(self.settings.patientnotesdir, patient or self.patient)
        assert found is not None
        return found

    def build(self, patient: str = "") -> Notes:
        """Build one patient."""
        which = patient or self.patient
        return build_patient(self.settings, which, decide(which, self.settings))


def staged(folder: Path, courses: Sequence[Course], **changes: Any) -> Stage:
    """A cohort of these courses, as far as ``verify``."""
    archive = folder / "archive"
    given = {**keys(folder / "cohort"), "archive": f"folder:{archive}", **changes}
    del given["ipport"]
    settings = config.settings(given, as_json=True)
    for patient in dict.fromkeys(course.patient for course in courses):
        found = [each for course in courses if course.patient == patient for each in _objects(course)]
        for each in found:
            target = archive / patient / each.study[-8:] / each.row["Modality"] / f"{each.row['SOPInstanceUID']}.dcm"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(each.file)
        columns.write(settings.imagesummaries, patient, "SUCCESS", [each.row for each in found])
    return Stage(settings, archive, tuple(map(_made, courses)))


class _Object(NamedTuple):
    study: str
    file: bytes
    row: dict[str, str]


@functools.lru_cache(maxsize=8)
def _made(course: Course) -> Made:
    return make(course)


@functools.lru_cache(maxsize=8)
def _objects(course: Course) -> tuple[_Object, ...]:
    """A course as files and as rows of its summary; most tests have the same one."""
    found = []
    for dataset in _made(course).datasets:
        row = columns.row(columns.simplified(dataset), _place(dataset))
        file = BytesIO()
        part10.write(dataset, file)
        found.append(_Object(str(dataset.StudyInstanceUID), file.getvalue(), row))
    return tuple(found)


def _place(dataset: Any) -> dict[str, str]:
    names = [
        str(dataset[key].value) for key in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    patient, study, series, instance = (columns.orthanc_identifier(*names[: at + 1]) for at in range(4))
    return {
        "InstanceIdentifier": instance,
        "OrthancId": patient,
        "PatId": str(dataset.PatientID),
        "StudyId": str(dataset.StudyID),
        "StudyIdentifier": study,
        "StudyDescription": str(dataset.StudyDescription),
        "SeriesIdentifier": series,
        "SeriesDescription": str(dataset.SeriesDescription),
        "SeriesDate": str(dataset.SeriesDate),
    }
