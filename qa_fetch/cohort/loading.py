"""A patient as arrays, from what the build left; and whether all of that can be read, as PDCP's last codes say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import BadArchive, Incomplete, NotFound, QAFetchError
from . import codes, reading
from .built import Built, BuiltRoi, BuiltSet
from .codes import Code
from .config import Settings
from .folders import PatientFolder
from .grids import Grid, Volume, resampled
from .loaded import Loaded, LoadedRoi
from .notes import Notes, stem
from .sparse import Box

__all__ = ["STEPS", "Loaded", "LoadedRoi", "built_patients", "check", "excluded_by", "load"]

STEPS = ("XXI", "XXII", "XXIII", "XXIV")
_SECTION = "loading_notes"
_NOTHING = 0.1  # of the lower bound: what a whole grid does not reach is no dose of a course
_MISSING = "missing"  # PDCP's word for a date that nobody wrote


def load(settings: Settings, patient: str, *, excluded: bool = False) -> Loaded:
    """A patient of the cohort.

    Parameters
    ----------
    settings
        Of the cohort.
    patient
        Its ID.
    excluded
        Whether it is wanted even if the cohort excludes it.

    Raises
    ------
    NotFound
        It has not been built, or is excluded.
    BadArchive
        What was built cannot be read.
    """
    notes = Notes.read(settings.patientnotesdir, patient)
    because = None if notes is None else notes.excluded_by
    if because is not None and not excluded:
        raise NotFound(f"This patient is excluded by {because.name}. {because.sentence}")
    folder = PatientFolder.of(settings, patient)
    built = _built(folder)
    images = _images(folder, built)
    images = replace(images, values=images.values.copy())  # which may be written to
    dose = known = None
    if settings.profile.dose:
        dose, known = _summed(list(_doses(folder, built)), images.grid)
    rois, warnings = [], []
    for one_set in built.structures:
        for roi in one_set.rois:
            if roi.file is None:
                continue
            try:
                rois.append(_mask(folder, one_set, roi, images.grid, known))
            except QAFetchError as error:
                warnings.append(f"ROI {roi.number} of the structure set {one_set.uid} is left out. {error}")
    said = {} if notes is None else notes.to_dict()
    values = said.get("list_of_values")
    values = values if isinstance(values, dict) else {}
    return Loaded(
        patient=str(patient),
        built=built,
        images=images,
        dose=dose,
        known=known,
        rois=tuple(rois),
        version=str(said.get("version") or settings.version),
        StudyDate=values.get("StudyDate") or _MISSING,
        StructureSetDate=values.get("StructureSetDate") or _MISSING,
        warnings=tuple(warnings),
    )


def check(settings: Settings, patient: str, notes: Notes) -> None:
    """Read all that was built of a patient, and give the notes the codes XXI to XXIV; old ones are taken back first.

    Nothing is raised for what is wrong with the files: that is what the codes say. At the end ``notes.ready`` says
    whether nothing excludes the patient.

    Parameters
    ----------
    settings
        Of the cohort; a profile without dose has no codes XXIII and XXIV.
    patient
        Its ID.
    notes
        Its notes, which the caller writes.
    """
    notes.forget(*STEPS)
    folder = PatientFolder.of(settings, patient)
    notes.say(_SECTION, "XXI: load CT")
    try:
        built = _built(folder)
        grid = _images(folder, built).grid  # the values are let go: nothing below needs them
    except QAFetchError as error:
        notes.give(codes.XXI_EXEC_001, str(error))
        return
    notes.give(codes.XXI_SUCC_001)
    rois = _check_masks(folder, built, grid, notes)
    if rois is None:
        return
    if settings.profile.dose:
        doses = _check_doses(folder, built, notes)
        if doses is None or not _check_sum(doses, grid, rois, settings, notes):
            return
    notes.ready = notes.excluded_by is None


def built_patients(settings: Settings) -> list[str]:
    """The patients of the cohort that have been built, excluded ones too, in the order of their folders."""
    folder = settings.datadirectory
    found = []
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        if each.name.startswith(".") or not (each / "built.json").is_file():
            continue
        try:
            built = Built.read(PatientFolder(each, each.name))
        except BadArchive:
            found.append(each.name)  # loading it says what is wrong
        else:
            if built is not None and stem(built.patient) == each.name:
                found.append(built.patient)
    return found


def excluded_by(settings: Settings, patient: str) -> Optional[Code]:
    """The code that excludes a patient; None where none does, and where its notes cannot be read: loading says so."""
    try:
        notes = Notes.read(settings.patientnotesdir, patient)
    except (BadArchive, Incomplete):
        return None
    return None if notes is None else notes.excluded_by


# The codes


def _check_masks(folder: PatientFolder, built: Built, grid: Grid, notes: Notes) -> Optional[list[LoadedRoi]]:
    """The masks that can be read; None where the patient is excluded.

    Parameters
    ----------
    folder, built
        Of the patient.
    grid
        Of its images.
    notes
        Which get the codes.
    """
    said = "XXII: XXII loading masks"
    notes.say(_SECTION, said)
    if not folder.masks.is_dir() or not any(each.is_dir() for each in folder.masks.iterdir()):
        notes.give(codes.XXII_EXEC_001)
        return None
    found: list[LoadedRoi] = []
    for one_set in built.structures:
        wanted = [roi for roi in one_set.rois if roi.file is not None]
        if not any(_there(folder, roi.file) for roi in wanted):
            notes.give(codes.XXII_REV_001, f"The structure set {one_set.uid} has no mask.")
            continue
        for roi in wanted:
            try:
                found.append(_mask(folder, one_set, roi, grid))
            except QAFetchError as error:
                notes.give(codes.XXII_REV_002, f"ROI {roi.number} of the structure set {one_set.uid}: {error}")
            else:
                notes.say(_SECTION, f"{said}: loaded the mask to numpy array:{roi.name}")
        for name, count in Counter(roi.name for roi in found if roi.structures == one_set.uid).items():
            if count > 1 and name:  # regions without a name, as anonymisers leave them, are not called the same
                notes.give(codes.XXII_REV_003, f"{count} masks of one structure set are called {name}.")
    notes.give(codes.XXII_SUCC_001)
    return found


def _check_doses(folder: PatientFolder, built: Built, notes: Notes) -> Optional[list[Volume]]:
    """The doses; none where none is there, None where one of several cannot be read."""
    said = "XXIII: XXIII loading RTDOSES"
    notes.say(_SECTION, said)
    found: list[Volume] = []
    if any(_there(folder, each.nifti) for each in built.doses):
        try:
            for dose in _doses(folder, built):
                notes.say(_SECTION, f"{said}: added an rt dose: {dose.uid}")
                found.append(dose)
        except QAFetchError as error:
            notes.give(codes.XXIII_EXEC_001, str(error))
            return None
    notes.give(codes.XXIII_SUCC_001)
    return found


def _check_sum(
    doses: Sequence[Volume], grid: Grid, rois: Sequence[LoadedRoi], settings: Settings, notes: Notes
) -> bool:
    """Whether the dose of all plans together can be that of a course.

    Parameters
    ----------
    doses
        Each on its own grid.
    grid
        Of the images.
    rois
        With their masks.
    settings
        Of the cohort, which have the window.
    notes
        Which get the codes.
    """
    said = "XXIV: XXIV select RTDOSES"
    notes.say(_SECTION, said)
    if not doses:
        notes.give(codes.XXIV_EXEC_001)
        return False
    highest = [float(dose.values.max()) for dose in doses]
    notes.say(_SECTION, f"{said}: Maximum of rt doses: [{', '.join(f'{value:.6f}' for value in highest)}]")
    low, high = settings.suspicious_max_dose_lower_bound, settings.suspicious_max_dose_upper_bound
    if max(highest) <= 0 or max(highest) < low * _NOTHING:
        notes.give(codes.XXIV_EXEC_002, f"No voxel of any dose has more than {max(highest):.3f} Gy.")
        return False
    total, known = _summed(doses, grid)
    # The sum is not known everywhere, yet nowhere less than each of its parts.
    most = max(*highest, float(total.values.max()))
    if len(doses) > 1:
        notes.say(_SECTION, f"{said}: Maximum of the sum of rt doses: {most:.6f}")
    for roi in rois:
        share = _unreached(known, roi.box, roi.values)
        if share:
            notes.say(
                _SECTION,
                f"{said}: {100 * share:.1f} % of the voxels of ROI {roi.number} ({roi.name}) lie outside of the dose. "
                "Their dose is not known and stands as 0.",
            )
    if not low < most < high:
        notes.give(
            codes.XXIV_EXEC_003, f"The highest voxel has {most:.3f} Gy, which is not between {low:g} and {high:g}."
        )
        return False
    notes.give(codes.XXIV_SUCC_001)
    return True


# The files


def _built(folder: PatientFolder) -> Built:
    built = Built.read(folder)
    if built is None:
        raise NotFound("This patient has not been built. Run: qa-fetch cohort build.")
    if str(built.patient) != folder.patient:
        raise BadArchive("The folder of this patient holds another one. Remove it, then run the build again.")
    rois = [roi for each in built.structures for roi in each.rois]
    for name in (built.nifti, *(each.nifti for each in built.doses), *(roi.file for roi in rois)):
        if name is not None:
            reading.inside(folder.root, name)
    return built


def _there(folder: PatientFolder, name: Optional[str]) -> bool:
    return name is not None and (folder.root / name).is_file()


def _images(folder: PatientFolder, built: Built) -> Volume:
    what = "The volume of the images"
    grid, values = reading.read(folder.root / built.nifti, what, built.frame_of_reference or None, built.instances)
    if grid.shape[0] != len(built.instances):
        raise BadArchive(
            f"{what} has {grid.shape[0]} slices, but {len(built.instances)} images were built. "
            "Remove the patient's folder, then run the build again."
        )
    return Volume(grid, values, built.modality, built.series)


def _mask(
    folder: PatientFolder, one_set: BuiltSet, roi: BuiltRoi, grid: Grid, known: Optional[NDArray[np.bool_]] = None
) -> LoadedRoi:
    """A mask, cut out by its box.

    Parameters
    ----------
    folder
        Of the patient.
    one_set, roi
        Which one.
    grid
        Of the images.
    known
        Where the dose is known, if the patient has one.
    """
    box: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
    if roi.box is not None:
        box = (slice(*roi.box[0]), slice(*roi.box[1]), slice(*roi.box[2]))
    within = reading.mask(folder.root / str(roi.file), grid, box)
    unreached = None if known is None else _unreached(known, box, within)
    return LoadedRoi(one_set.uid, roi.number, roi.name, roi.kind, roi.colour, box, within, roi.volume_cc, unreached)


def _doses(folder: PatientFolder, built: Built) -> Iterator[Volume]:
    """Each dose on its own grid."""
    if not built.doses:
        raise NotFound("No dose is among what was built of this patient. Run the build again, or use profile CR.")
    for each in built.doses:
        what = f"The volume of the dose {each.uid}"
        grid, values = reading.read(folder.root / each.nifti, what, built.frame_of_reference or None)
        if not np.isfinite(values).all():
            raise BadArchive(f"{what} holds values that are no numbers. Remove its file, then run the build again.")
        yield Volume(grid, values, "RTDOSE", each.uid)


class _Sum(NamedTuple):
    dose: Volume
    known: NDArray[np.bool_]


def _summed(doses: Sequence[Volume], grid: Grid) -> _Sum:
    """The sum of all doses on the grid of the images, and where all of them are known; 0 elsewhere."""
    total = resampled(doses[0], grid, outside=np.nan)
    for dose in doses[1:]:
        np.add(total.values, resampled(dose, grid, outside=np.nan).values, out=total.values)
    known = np.isfinite(total.values)
    total.values[~known] = 0
    return _Sum(Volume(grid, total.values, "RTDOSE", "+".join(dose.uid for dose in doses)), known)


def _unreached(known: NDArray[np.bool_], box: Box, within: NDArray[np.bool_]) -> float:
    count = np.count_nonzero(within)
    return float(np.count_nonzero(within & ~known[box]) / count) if count else 0.0
