"""A patient's folder as the build leaves it, made from the pieces alone: for tests of the steps after the build."""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from course_truth import make
from pydicom.dataset import Dataset
from truth_codes import WHOLE, config
from truth_course import Course

from qa_fetch import part10
from qa_fetch.cohort import contours, masks, prescription, volumes
from qa_fetch.cohort.built import Built, BuiltDose, BuiltPlan, BuiltRoi, BuiltSet
from qa_fetch.cohort.codes import CODES
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.config import settings as settings_of
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.grids import Grid
from qa_fetch.cohort.notes import Notes, pat_id, stem
from qa_fetch.errors import QAFetchError


def settings_in(folder: Path, **changes: Any) -> Settings:
    """The settings of a cohort whose files all lie below a folder."""
    return settings_of(config(folder, **changes), folder=folder, as_json=True)


def built_patient(course: Course, settings: Settings) -> Built:
    """Write DICOM files, NIfTI, masks, built.json and the notes of a course as the build does; what was built.

    All objects of the course count as chosen. A region that gives no mask has none, and says why. The notes hold the
    codes of a patient whom nothing has stopped, up to XVI.
    """
    folder = PatientFolder.of(settings, course.patient)
    files, built = _whole(course, folder.modality)
    for name, data in files.items():
        _ready(folder.root / name)
        (folder.root / name).write_bytes(data)
    built.write(folder)
    _notes(course, built, settings).write(settings.patientnotesdir)
    return built


@functools.lru_cache(maxsize=16)
def _whole(course: Course, modality: str) -> tuple[dict[str, bytes], Built]:
    """The files of a patient, and what was built; once for all tests with the same course."""
    with tempfile.TemporaryDirectory() as root:
        folder = PatientFolder(Path(root), course.patient, modality)
        built = _built(course, folder)
        paths = [path for path in sorted(folder.root.rglob("*")) if path.is_file()]
        files = {path.relative_to(folder.root).as_posix(): path.read_bytes() for path in paths}
    return files, replace(built, made=tuple((name, len(data)) for name, data in files.items()))


def _built(course: Course, folder: PatientFolder) -> Built:
    course_made = make(course)
    came = [
        folder.root / _written(each, folder, folder.images / f"{each.SOPInstanceUID}.dcm")
        for each in course_made.of(folder.modality)
    ]
    images = volumes.images(came)
    files = [folder.images / f"{number}.dcm" for number in range(1, len(came) + 1)]
    for uid, file in zip(images.grid.images, files):
        (folder.images / f"{uid}.dcm").rename(file)
    nifti = folder.images_nifti / f"{stem(course.patient)}_{images.uid}.nii.gz"
    _ready(nifti)
    volumes.nifti(images, nifti)
    return Built(
        patient=course.patient,
        rules="test",
        modality=folder.modality,
        series=images.uid,
        study=str(course_made.of(folder.modality)[0].StudyInstanceUID),
        frame_of_reference=images.grid.frame_of_reference or "",
        images=tuple(file.relative_to(folder.root).as_posix() for file in files),
        instances=images.grid.images,
        nifti=nifti.relative_to(folder.root).as_posix(),
        structures=tuple(_structures(each, folder, images.grid) for each in course_made.of("RTSTRUCT")),
        plans=tuple(_plan(each, folder) for each in course_made.of("RTPLAN")),
        doses=tuple(_dose(each, folder) for each in course_made.of("RTDOSE")),
    )


def _ready(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)


def _written(data: Dataset, folder: PatientFolder, path: Path) -> str:
    """An object as a file; where it lies in the patient's folder."""
    _ready(path)
    part10.write(data, path)
    return path.relative_to(folder.root).as_posix()


def _structures(data: Dataset, folder: PatientFolder, grid: Grid) -> BuiltSet:
    uid = str(data.SOPInstanceUID)
    file = _written(data, folder, folder.structures / f"{uid}_rtstruct.dcm")
    names: Counter[str] = Counter()
    rois = []
    for region in contours.structures(folder.root / file).regions:
        name = f"patient_{stem(folder.patient)}_{part10.plain(region.name) or region.number}"
        names[name] += 1
        path = folder.masks / uid / f"{name}{f'~{region.number}' if names[name] > 1 else ''}.nii.gz"
        rois.append(_roi(region, path, folder, grid))
    return BuiltSet(uid, file, tuple(rois))


def _roi(region: contours.Region, path: Path, folder: PatientFolder, grid: Grid) -> BuiltRoi:
    facts = {
        "number": region.number,
        "name": region.name,
        "kind": region.interpreted_type or "",
        "colour": region.colour,
        "tps_volume_cc": region.volume_in_tps,
    }
    try:
        mask = masks.mask(region, grid)
    except QAFetchError as error:
        return BuiltRoi(**facts, file=None, box=None, volume_cc=None, why=str(error))
    _ready(path)
    volumes.nifti(mask.volume(), path)
    slices, rows, columns = ((each.start, each.stop) for each in mask.box)
    return BuiltRoi(
        **facts,
        file=path.relative_to(folder.root).as_posix(),
        box=(slices, rows, columns),
        volume_cc=mask.volume_cc,
        warnings=mask.warnings,
    )


def _plan(data: Dataset, folder: PatientFolder) -> BuiltPlan:
    uid = str(data.SOPInstanceUID)
    file = _written(data, folder, folder.plans / f"{uid}.dcm")
    found = prescription.read(data)
    return BuiltPlan(uid, file, data.RTPlanLabel, data.ApprovalStatus, found.dose, found.fractions, found.reasons)


def _dose(data: Dataset, folder: PatientFolder) -> BuiltDose:
    uid = str(data.SOPInstanceUID)
    file = _written(data, folder, folder.doses / f"{uid}.dcm")
    volume = volumes.dose(folder.root / file)
    path = folder.doses_nifti / f"{uid}.nii.gz"
    _ready(path)
    volumes.nifti(volume, path)
    named = data.get("ReferencedRTPlanSequence") or ()
    plan = str(named[0].ReferencedSOPInstanceUID) if named else None
    return BuiltDose(uid, file, path.relative_to(folder.root).as_posix(), plan, float(volume.values.max()))


def _notes(course: Course, built: Built, settings: Settings) -> Notes:
    notes = Notes(built.patient, settings.version)
    for name in WHOLE:
        if not name.startswith("XX"):
            notes.give(CODES[name])
    day = int(course.day)
    values = {"PatId": pat_id(built.patient), "CT_SeriesIdentifier": built.series}
    values["RTSTRUCT_SOPInstanceUID"] = [each.uid for each in built.structures]
    values.update(StructureSetDate=day, StudyDate=day)
    values["RTDOSE_SOPInstanceUID"] = [each.uid for each in built.doses]
    values["RTPLAN_SOPInstanceUID"] = [each.uid for each in built.plans]
    notes.put("list_of_values", values)
    notes.ready = True
    return notes
