"""Where a plan lies in the images that it was made on, or why that is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Optional

from . import passing, reading
from .geometry import FIRST_WITHOUT_SHIFT, POSITIONS, shift
from .kept import Kept
from .making import ImageSeries, Work
from .records import ImageSet

ADVICE: Final = "look at it in the planning system, or export it from there"
_CLOSE = 0.1  # mm: what lies nearer than this is in the same place


def placed(work: Work, image_set: ImageSet, kept: passing.Found, what: str) -> ImageSeries:
    """The series of DICOM files, and where a plan lies in it."""
    told = passing.described(kept.images)
    positions = {image.says("position") for image in kept.images} - {None}
    said = positions.pop() if len(positions) == 1 else None
    position = said or image_set.patient_position or plans_position(work, image_set) or ""
    told = replace(told, patient_position=position)
    if work.plan is None:
        return told
    reason = (
        "the images are of several series or frames of reference"
        if kept.mixed
        else "the images do not all lie the same way"
        if positions
        else contradiction(work, image_set, position)
        or ("the images are not axial" if not all(passing.axial(image) for image in kept.images) else None)
        or _heights(image_set, told, position)
    )
    if reason:
        return replace(told, doubt=f"{reason}; {ADVICE}")
    return _shifted(work, image_set, told, kept.images[0], what)


def _shifted(work: Work, image_set: ImageSet, told: ImageSeries, first: Kept, what: str) -> ImageSeries:
    """The series with the shift from a plan's coordinates, which depends on the version of the planning system."""
    assert work.plan is not None
    spacing = first.numbers("spacing", 2) or (0.0, 0.0)
    low = lowest(told, (spacing[1] / 10, spacing[0] / 10))
    old = shift(image_set, told.patient_position, low)
    version = work.plan.version
    if version is None:
        if old is not None and max(map(abs, old)) < _CLOSE:
            return told  # it makes no difference
        reason = "the archive does not say with which version the plan was made, which decides where the images lie"
        return replace(told, doubt=f"{reason}; {ADVICE}")
    if version < FIRST_WITHOUT_SHIFT:
        if old is None or not replaceable(image_set, [first]):
            reason = f"ImageSet_{image_set.number}.header does not describe the DICOM images"
            return replace(told, doubt=f"{reason}, so it is not known where the plan lies in them; {ADVICE}")
        return replace(told, shift=old)
    new = shift(image_set, told.patient_position, low, start=image_set.start_dicom) if image_set.start_dicom else None
    far = max(map(abs, new)) if new is not None else 0.0
    if far > max(spacing):
        reason = f"ImageSet_{image_set.number}.header and the DICOM images differ by {far:.1f} mm in where they lie"
        return replace(told, doubt=f"{reason}; {ADVICE}")
    if far > _CLOSE:
        work.notes.warn(what, f"header and DICOM images differ by {far:.2f} mm in where they lie; the images are right")
    return told


def lowest(told: ImageSeries, pixel: Sequence[float]) -> tuple[float, float]:
    """x and y of the centre of a series' lowest voxel, mm, by the size of its pixels, cm."""
    return (told.low[0] + pixel[0] * 5, told.low[1] + pixel[1] * 5)


def replaceable(image_set: ImageSet, images: Sequence[Kept]) -> bool:
    """Whether the voxels of DICOM images are those of the image set: as many, as large, along the same axes."""
    if image_set.dimension is None or image_set.pixel is None:
        return False
    columns, rows, _ = image_set.dimension
    wide, high, _ = (size * 10 for size in image_set.pixel)
    for image in images:
        spacing = image.numbers("spacing", 2)
        if spacing is None or (image.columns, image.rows) != (columns, rows) or not passing.axial(image):
            return False
        if abs(wide - spacing[1]) * columns > _CLOSE or abs(high - spacing[0]) * rows > _CLOSE:
            return False
    return True


def plans_position(work: Work, image_set: ImageSet) -> Optional[str]:
    """How the patient lay by the plans on an image set that does not say so itself; None where they differ."""
    entries = [entry for entry in work.patient.plans if entry.image_set == image_set.number]
    said = {reading.plan(work.source, work.patient, entry).patient_position for entry in entries} - {None}
    return said.pop() if len(said) == 1 else None


def contradiction(work: Work, image_set: ImageSet, position: str) -> Optional[str]:
    """Why the plan cannot be placed as far as the patient's position goes."""
    if position not in POSITIONS:
        return "the patient's position is none of HFS, HFP, FFS and FFP"
    plans = work.plan.patient_position if work.plan else None
    others = {image_set.patient_position, plans} - {None, position}
    if others:
        said = ", ".join(sorted({position, *map(str, others)}))
        return f"plan, image set and images do not agree on how the patient lay ({said})"
    return None


def _heights(image_set: ImageSet, told: ImageSeries, position: str) -> Optional[str]:
    """Why the images' heights are not those of the image set's slices, where both are known."""
    if len(image_set.slices) != len(told.images):
        return None
    expected = sorted(each.position * 10 * POSITIONS[position][2] for each in image_set.slices)
    furthest = max(abs(image.z - z) for image, z in zip(told.images, expected))
    if furthest > _CLOSE:
        return f"images and image set differ by up to {furthest:.1f} mm in where their slices lie"
    return None
