"""DICOM objects that an archive keeps go through as they are: the images of image sets, RT images, whatever else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from ..errors import BadArchive, QAFetchError
from .kept import Kept, another, begins, differing, look, taken
from .making import Encoded, ImageReference, ImageSeries, Notes, Work
from .objects import CT_IMAGE, MR_IMAGE
from .reading import image_set as read_image_set
from .records import ImageSet, Patient, Triple
from .sources import Source

_IMAGES: Final = (CT_IMAGE, MR_IMAGE, "1.2.840.10008.5.1.4.1.1.128")
# Pinnacle's own files, which are never DICOM and may be large.
_PINNACLE = re.compile(r"(?:ImageSet_\d+\.(?:img|header|ImageInfo|ImageSet)|plan\..*|Patient)\Z", re.IGNORECASE)


@dataclass
class Found:
    """What a folder of DICOM files has for an image set."""

    images: list[Kept] = field(default_factory=list)  # of the image set, ascending z
    missing: int = 0
    foreign: int = 0  # files that the image set names, or that lie with it, but are another patient's
    damaged: list[str] = field(default_factory=list)  # paths of DICOM files that are not whole
    strange: list[str] = field(default_factory=list)  # paths of files that are no DICOM at all
    mixed: bool = False  # of several series or frames of reference


def found(source: Source, patient: Patient, image_set: ImageSet, notes: Notes) -> Found:
    """Which files of ImageSet_N.DICOM are the images of the image set.

    They are those that it names by their UID or by their file; where it names too few, the largest series of images.
    """
    files, damaged, strange = _looked(source, image_set.dicom)
    result = Found(damaged=[*damaged], strange=[*strange])
    images = [kept for kept in files if kept.sop_class in _IMAGES and corners(kept)]
    expected = image_set.dimension[2] if image_set.dimension else len(image_set.slices)
    named = _named(image_set, images) if len(image_set.slices) >= expected else []
    chosen = named or _largest_series(images)
    result.foreign = sum(another(kept, patient, notes) for kept in chosen)
    result.images = sorted(chosen, key=lambda kept: corners(kept)[0][2])
    result.missing = max(len(image_set.slices), expected) - len(chosen)
    result.mixed = any(len({kept.says(what) for kept in chosen}) > 1 for what in ("study", "series", "frame"))
    return result


_Files = tuple[list[Kept], list[str], list[str]]  # DICOM files, those that are damaged, those that are none
_LOOKED: WeakKeyDictionary[Source, dict[tuple[str, ...], _Files]] = WeakKeyDictionary()


def _looked(source: Source, paths: tuple[str, ...]) -> _Files:
    """What files are, each instance once; they are read once for all plans of an archive that is open."""
    known = _LOOKED.setdefault(source, {})
    if paths not in known:
        files: dict[str, Kept] = {}
        damaged: list[str] = []
        strange: list[str] = []
        for path in paths:
            try:
                kept = look(source, path)
            except BadArchive:
                (damaged if begins(source, path) else strange).append(path)
                continue
            files.setdefault(kept.sop_instance, kept)
        known[paths] = [*files.values()], damaged, strange
    return known[paths]


def _named(image_set: ImageSet, images: Sequence[Kept]) -> list[Kept]:
    uids = {image.instance_uid for image in image_set.slices if image.instance_uid}
    names = {image.file_name for image in image_set.slices if image.file_name}
    return [kept for kept in images if kept.sop_instance in uids or kept.path.rpartition("/")[2] in names]


def _largest_series(images: Sequence[Kept]) -> list[Kept]:
    if not images:
        return []
    (series, _), *_ = Counter(kept.says("series") for kept in images).most_common(1)
    return [kept for kept in images if kept.says("series") == series]


def corners(kept: Kept) -> list[Triple]:
    """The four outer corners of an image, mm, the one beside its first voxel first; none where it does not say."""
    corner, axes, spacing = kept.numbers("corner", 3), kept.numbers("axes", 6), kept.numbers("spacing", 2)
    if corner is None or axes is None or spacing is None or not kept.rows or not kept.columns:
        return []

    def at(column: float, row: float) -> Triple:
        along, down = column * spacing[1], row * spacing[0]
        x, y, z = (corner[i] + along * axes[i] + down * axes[3 + i] for i in range(3))
        return (x, y, z)

    columns, rows = kept.columns - 0.5, kept.rows - 0.5
    return [at(-0.5, -0.5), at(columns, -0.5), at(-0.5, rows), at(columns, rows)]


def axial(kept: Kept) -> bool:
    """Whether an image's rows and columns go along the axes x and y of the patient."""
    axes = kept.numbers("axes", 6)
    return axes is not None and abs(abs(axes[0]) - 1) < 1e-4 and abs(abs(axes[4]) - 1) < 1e-4


def described(images: Sequence[Kept]) -> ImageSeries:
    """The series of these images, still without a place for the plan in it."""
    edges = [corner for kept in images for corner in corners(kept)]
    heights = [kept.numbers("corner", 3)[2] for kept in images]  # type: ignore[index]  # corners() has looked
    low = [min(edge[i] for edge in edges) for i in range(3)]
    high = [max(edge[i] for edge in edges) for i in range(3)]
    if len(heights) > 1:
        low[2] -= (heights[1] - heights[0]) / 2
        high[2] += (heights[-1] - heights[-2]) / 2
    first = images[0]
    return ImageSeries(
        study=first.values["study"],
        series=first.values["series"],
        frame=first.values["frame"],
        patient_position=first.says("position") or "",
        study_id=first.says("study_id"),
        study_date=first.says("date"),
        study_time=first.says("time"),
        images=tuple(ImageReference(kept.sop_class, kept.sop_instance, z) for kept, z in zip(images, heights)),
        low=(low[0], low[1], low[2]),
        high=(high[0], high[1], high[2]),
        accession_number=first.says("accession"),
    )


def through(work: Work, images: Sequence[Kept], what: str) -> Iterator[Encoded]:
    """The files of these images one by one, in the order in which they lie in the archive.

    Parameters
    ----------
    work
        Whose they are.
    images
        The files.
    what
        What they are, for the report.
    """
    _note_corrections(work, images, what)
    for kept in sorted(images, key=lambda kept: kept.path):
        try:
            yield taken(work.source, kept, work.patient, work.notes)
        except QAFetchError as error:
            work.notes.skip(f"an image of {what}", str(error))


def others(work: Work) -> Iterator[Encoded]:
    """RT images and all other DICOM objects of a patient's folder but those that are images of its image sets.

    Each comes once, however many copies there are; ``work`` may be of any plan of the patient, or of none.
    """
    seen, done = _images_of_image_sets(work)
    for path in _candidates(work):
        if path in done:
            continue
        what = "a DICOM file that is no image of an image set"
        try:
            if not begins(work.source, path, bare=False):
                continue
            kept = look(work.source, path)
            if kept.sop_instance in seen:
                continue
            what = f"{kept.says('modality') or 'a DICOM object'} kept in the archive"
            if another(kept, work.patient, work.notes):
                work.notes.skip(what, "it names another patient; look at it with the archive's owner before it is used")
                continue
            seen.add(kept.sop_instance)
            _note_corrections(work, [kept], what)
            yield taken(work.source, kept, work.patient, work.notes)
        except QAFetchError as error:
            work.notes.skip(what, str(error))


def _candidates(work: Work) -> Iterator[str]:
    folder = f"{work.patient.folder}/" if work.patient.folder not in ("", ".") else ""
    for path in work.source.names():
        if path.startswith(folder) and not _PINNACLE.match(path.rpartition("/")[2]):
            yield path


def _images_of_image_sets(work: Work) -> tuple[set[str], set[str]]:
    """UIDs and paths of what the series of image sets pass through, refuse, replace or report."""
    uids: set[str] = set()
    paths: set[str] = set()
    for entry in work.patient.image_sets:
        try:
            image_set = read_image_set(work.source, work.patient, entry.number)
        except QAFetchError:
            continue
        there = found(work.source, work.patient, image_set, Notes())
        uids.update(kept.sop_instance for kept in there.images)
        paths.update([*(kept.path for kept in there.images), *there.damaged, *there.strange])
    return uids, paths


def _note_corrections(work: Work, images: Sequence[Kept], what: str) -> None:
    wrong = [differing(kept, work.patient, work.notes) for kept in images]
    count = sum(bool(keywords) for keywords in wrong)
    if count:
        names = ", ".join(sorted({keyword for keywords in wrong for keyword in keywords}))
        files = "1 DICOM file has" if count == 1 else f"{count} DICOM files have"
        work.notes.warn(what, f"{files} another {names} than the archive's patient, and got the patient's")
