"""Where a plan lies in the images that it was made on, or why that is not known."""

from __future__ import annotations

from bisect import bisect_left
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
_NO_VERSION = "the archive does not say with which version the plan was made, which decides where the images lie"


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
        return replace(told, doubt=f"{_NO_VERSION}; {ADVICE}")
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


def among_pixels(work: Work, image_set: ImageSet, told: ImageSeries) -> ImageSeries:
    """A series made of pixels, and where a plan lies in it: as it would lie in the DICOM images.

    Headers of newer versions say where those are. Without that the pixels lie where plans before version 9 have them,
    which newer plans on the same images need not share.
    """
    if work.plan is None:
        return told
    version = work.plan.version
    if image_set.start_dicom is None:
        if version is None or version < FIRST_WITHOUT_SHIFT or not _older_plans(work, image_set):
            return told
        reason = (
            f"plans of versions before and after 9 were made on image set {image_set.number}, and nothing in the "
            "archive says how far their coordinates are apart"
        )
        return replace(told, doubt=f"{reason}; {ADVICE}")
    assert image_set.pixel is not None  # else there was no series
    old = shift(image_set, told.patient_position, lowest(told, image_set.pixel))
    if (version is not None and version >= FIRST_WITHOUT_SHIFT) or (old is not None and max(map(abs, old)) < _CLOSE):
        return told
    if version is None:
        return replace(told, doubt=f"{_NO_VERSION}; {ADVICE}")
    if old is None:
        reason = f"ImageSet_{image_set.number}.header does not say where a plan of a version before 9 lies"
        return replace(told, doubt=f"{reason}; {ADVICE}")
    return replace(told, shift=old)


def _older_plans(work: Work, image_set: ImageSet) -> bool:
    """Whether a plan on the image set is known to be of a version before 9."""
    versions = (reading.version_in(each.version) for each in work.patient.plans if each.image_set == image_set.number)
    return any(version is not None and version < FIRST_WITHOUT_SHIFT for version in versions)


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
    """Why the images' heights are not among those of the image set's slices, or these not among them."""
    expected = sorted(each.position * 10 * POSITIONS[position][2] for each in image_set.slices)
    there = sorted(image.z for image in told.images)
    few, many = sorted((expected, there), key=len)
    furthest = max((_distance(z, many) for z in few), default=0.0)
    if furthest > _CLOSE:
        return f"images and image set differ by up to {furthest:.1f} mm in where their slices lie"
    return None


def _distance(z: float, heights: Sequence[float]) -> float:
    """How far the nearest of some heights is, which ascend."""
    at = bisect_left(heights, z)
    return min(abs(z - each) for each in heights[max(at - 1, 0) : at + 1])
