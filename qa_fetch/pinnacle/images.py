"""The image series of an image set: DICOM files that the archive keeps, or CT and MR made from its pixels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional

import numpy as np

from ..errors import BadArchive, NotFound
from . import passing
from .geometry import FIRST_WITHOUT_SHIFT, NO_SHIFT, POSITIONS, orientation, origin, shift, to_dicom
from .making import Encoded, ImageReference, ImageSeries, Notes, Work
from .objects import CT_IMAGE, LONG, MR_IMAGE, SHORT, base, decimal, encoded, fitted, moment, warn_once
from .placing import ADVICE, among_pixels, contradiction, lowest, placed, plans_position, replaceable
from .reading import version_in
from .records import ImageSet, ImageSetEntry, Slice, Triple
from .uids import Uids, valid

_CLASSES = {"CT": CT_IMAGE, "MR": MR_IMAGE}
_HU_OF_ZERO = -1000
_CLOSE = 0.1  # mm: what lies nearer than this is in the same place
_TIME = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\.\d{1,6})?")


def series(work: Work) -> tuple[ImageSeries, Iterator[Encoded]]:
    """The series of an image set, and its images one by one; BadArchive where it is not known where they lie.

    Images that are in the archive as DICOM files go through, unless some are missing and the pixels are whole. Where
    there is no image to give, the series is what others may refer to, and the images are skipped.
    """
    image_set = work.image_set
    if image_set is None:
        raise NotFound("the archive does not hold the images of this plan. Look for them in another archive.")
    what = f"{image_set.modality or 'images'} of image set {image_set.number}"
    kept = passing.found(work.source, work.patient, image_set, work.notes)
    if kept.foreign:
        raise BadArchive(
            f"{kept.foreign} DICOM files of image set {image_set.number} name another patient, so none of it is "
            "written. Find out with the archive's owner whose images they are."
        )
    problem = _problem(work, image_set)
    if kept.images and (kept.missing <= 0 or problem or not replaceable(image_set, kept.images)):
        if kept.missing > 0:
            count = f"{kept.missing} of {kept.missing + len(kept.images)} images"
            work.notes.skip(what, f"{count} are not in the archive; fetch the whole series from where it was scanned")
        elif kept.missing < 0:
            work.notes.warn(what, f"there are {-kept.missing} images more than the image set has; all are written")
        _note_damages(work, kept, image_set, work.notes.skip)
        return placed(work, image_set, kept, what), passing.through(work, kept.images, what)
    _note_damages(work, kept, image_set, work.notes.skip if problem else work.notes.warn)
    beside = placed(work, image_set, kept, what) if kept.images else None
    stack = _Stack.of(work, image_set, beside, made=problem is None)
    if problem:
        work.notes.skip(what, problem)
        return unseen(work, stack.series), iter(())
    if kept.images:
        count = f"{kept.missing} of {kept.missing + len(kept.images)} DICOM files"
        work.notes.warn(what, f"{count} are missing, so all its images are made from ImageSet_{image_set.number}.img")
    _note_start(work, image_set, stack.slices[0], what)
    if not kept.images and image_set.start_dicom is None and _moved_once(work):
        work.notes.warn(
            what,
            "before version 9, DICOM images lay elsewhere than Pinnacle's own, and these are made from the latter; "
            "they have UIDs of their own, so that nobody takes them for the originals",
        )
    return stack.series, stack.images(what)


def _note_damages(work: Work, kept: passing.Found, image_set: ImageSet, note: Callable[[str, str], None]) -> None:
    """Files in the folder of the images that are of no use."""
    folder = f"ImageSet_{image_set.number}.DICOM"
    if kept.damaged:
        note(f"{len(kept.damaged)} DICOM files in {folder}", "they are cut short or damaged; fetch the archive again")
    if kept.strange:
        work.notes.warn(f"{len(kept.strange)} files in {folder}", "they are no DICOM files")


def _note_start(work: Work, image_set: ImageSet, first: Slice, what: str) -> None:
    """Header and ImageInfo both say where the first slice lies."""
    far = abs(image_set.start[2] - first.position) * 10 if image_set.start else 0.0
    if far > _CLOSE:
        reason = f"header and ImageInfo differ by {far:.1f} mm in where the first slice lies; ImageInfo is taken"
        work.notes.warn(what, reason)


def _moved_once(work: Work) -> bool:
    """Whether the original images may lie elsewhere than the plan has them."""
    return work.plan is not None and (work.plan.version is None or work.plan.version < FIRST_WITHOUT_SHIFT)


def unseen(work: Work, told: ImageSeries) -> ImageSeries:
    """A series of which no image is there: nobody can say by how much an old plan differs from it."""
    if told.doubt or not _moved_once(work):
        return told
    reason = "the plan is of a version before 9, or of an unknown one, and its images are not in the archive"
    return replace(told, doubt=f"{reason}, so it is not known where it lies in them; {ADVICE}")


def _problem(work: Work, image_set: ImageSet) -> Optional[str]:
    """Why no images can be made from the pixels; None where they can."""
    name = f"ImageSet_{image_set.number}"
    if image_set.pixels is None:
        return f"the archive holds neither DICOM files nor {name}.img; fetch the images from where they were scanned"
    if image_set.dimension is None:
        return f"{name}.header does not say how many voxels there are; fetch the images from where they were scanned"
    if _modality(image_set) not in _CLASSES:
        return f"what the values in {name}.img mean is known of CT and MR only; fetch the images as DICOM"
    if image_set.byte_order is None or image_set.bytes_per_pixel != 2:
        return f"{name}.header does not say how its 16 bits are written; fetch the images from where they were scanned"
    columns, rows, count = image_set.dimension
    wanted, size = columns * rows * count * 2, work.source.size(image_set.pixels)
    if size != wanted:
        return f"{name}.img has {size:,} bytes and not {wanted:,}; fetch the archive again from where it was kept"
    return _unplaced(image_set)


def _unplaced(image_set: ImageSet) -> Optional[str]:
    """Why it is not known where the slices lie; None where it is."""
    assert image_set.dimension is not None
    heights, name = {each.position for each in image_set.slices}, f"ImageSet_{image_set.number}"
    if len(image_set.slices) == len(heights) == image_set.dimension[2]:
        return None
    count = f"{len(heights)} of the {image_set.dimension[2]} slices of {name}.header"
    return f"{name}.ImageInfo has {count}; fetch the images from where they were scanned"


def _modality(image_set: ImageSet) -> Optional[str]:
    if image_set.modality:
        return image_set.modality.upper()
    classes = {image.class_uid for image in image_set.slices}
    return next((modality for modality, uid in _CLASSES.items() if classes == {uid}), None)


def _entry(work: Work, image_set: ImageSet) -> Optional[ImageSetEntry]:
    return next((entry for entry in work.patient.image_sets if entry.number == image_set.number), None)


@dataclass(frozen=True)
class _Stack:
    """An image set whose geometry is known, as a series of DICOM."""

    work: Work
    image_set: ImageSet
    slices: tuple[Slice, ...]  # ascending z of Pinnacle, as the pixels lie
    instances: tuple[str, ...]
    corners: Any  # ImagePositionPatient of each, mm
    series: ImageSeries

    @classmethod
    def of(cls, work: Work, image_set: ImageSet, beside: Optional[ImageSeries], *, made: bool) -> _Stack:
        """The geometry of header and ImageInfo; BadArchive where they do not tell it.

        Where DICOM files of some of the images are there (``beside``), all images lie where those do. Images that are
        not ``made``, but only referred to, are the originals.
        """
        name = f"ImageSet_{image_set.number}"
        start, pixel, dimension = origin(image_set), image_set.pixel, image_set.dimension
        if start is None or pixel is None or dimension is None or min(pixel) <= 0:
            raise BadArchive(
                f"{name}.header does not tell where the voxels lie. Fetch the images from where they were scanned."
            )
        slices = tuple(sorted(image_set.slices, key=lambda each: each.position))
        heights = [each.position for each in slices]
        unplaced = _unplaced(image_set)
        if unplaced:
            raise BadArchive(f"{unplaced}.")
        position = (
            (beside.patient_position if beside else image_set.patient_position) or plans_position(work, image_set) or ""
        )
        differing = contradiction(work, image_set, position)
        if position not in POSITIONS:
            raise BadArchive(
                f"the patient's position of image set {image_set.number} is none of HFS, HFP, FFS and FFP, so its "
                "images cannot be placed. Fetch them from where they were scanned."
            )
        columns, rows, _ = dimension
        top = start[1] + (rows - 1) * pixel[1]
        own = beside is not None or not made or not _lie_elsewhere(work, image_set)
        told = _told(work, image_set, position, own=own)
        moved = NO_SHIFT
        if beside is not None:
            moved = shift(image_set, position, lowest(beside, pixel), start=start) or NO_SHIFT
            told = beside
        corners = to_dicom([(start[0], top, z) for z in heights], position, moved)
        instances = _instances(work, image_set, slices, own=own)
        low, high = _edges(start, pixel, dimension, heights, position, moved)
        order = np.argsort(corners[:, 2])
        known = _CLASSES.get(_modality(image_set) or "")
        classes = [known or (each.class_uid if valid(each.class_uid) else None) for each in slices]
        told = replace(
            told,
            images=tuple(
                ImageReference(uid, instances[i], float(corners[i, 2]))
                for i in order
                if (uid := classes[i]) is not None
            ),
            low=low,
            high=high,
            doubt=f"{differing}; {ADVICE}" if differing else told.doubt,
        )
        if made and beside is None and told.doubt is None:
            told = among_pixels(work, image_set, told)
        return cls(work, image_set, slices, instances, corners, told)

    def images(self, what: str) -> Iterator[Encoded]:
        """The images one by one, in the order of the pixels."""
        image_set, pixels, dimension = self.image_set, self.image_set.pixels, self.image_set.dimension
        assert pixels is not None
        assert dimension is not None
        columns, rows, _ = dimension
        data = self._frame()
        big = image_set.byte_order == "big"
        with self.work.source.open(pixels) as file:
            for index in range(len(self.slices)):
                stored = file.read(columns * rows * 2)
                if len(stored) != columns * rows * 2:
                    raise BadArchive(f"{what}: its pixels end before slice {index + 1}. Fetch the archive again.")
                self._fill(data, index)
                data.PixelData = np.frombuffer(stored, ">i2").astype("<i2").tobytes() if big else stored
                yield encoded(data)

    def _frame(self) -> Any:
        """A data set with what all images have in common."""
        image_set, told, notes = self.image_set, self.series, self.work.notes
        modality = _modality(image_set) or ""
        assert image_set.dimension is not None
        assert image_set.pixel is not None
        data = base(self.work, told, modality, _CLASSES[modality], told.images[0].sop_instance, told.series)
        del data.SoftwareVersions  # the scanner's, which is not known
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "OTHER"]
        data.SeriesDate, data.SeriesTime = data.StudyDate, data.StudyTime
        data.Manufacturer = fitted(image_set.manufacturer, LONG, notes, "the scanner's manufacturer")
        for keyword, value, longest in (
            ("ManufacturerModelName", image_set.model, LONG),
            ("StationName", image_set.station, SHORT),
            ("SeriesDescription", image_set.description, LONG),
        ):
            if value:
                setattr(data, keyword, fitted(value, longest, notes, f"{keyword} of image set {image_set.number}"))
        data.PatientPosition = told.patient_position
        data.SeriesNumber = image_set.series_number
        data.AcquisitionNumber = None
        data.Laterality = ""  # asked for, since it is not known which part of the body it is
        data.ImageOrientationPatient = list(orientation(told.patient_position))
        data.PixelSpacing = [decimal(image_set.pixel[1] * 10), decimal(image_set.pixel[0] * 10)]
        data.SliceThickness = self._thickness()
        data.SamplesPerPixel = 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.Columns, data.Rows, _ = image_set.dimension
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit = 15
        data.PixelRepresentation = 1
        if modality == "CT":
            data.KVP = _number(image_set.kvp)
            data.RescaleIntercept, data.RescaleSlope, data.RescaleType = _HU_OF_ZERO, 1, "HU"
        else:
            _as_mr(data, notes, f"MR of image set {image_set.number}")
        return data

    def _fill(self, data: Any, index: int) -> None:
        """What is one image's own."""
        image = self.slices[index]
        data.SOPInstanceUID = self.instances[index]
        data.InstanceNumber = index + 1 if image.number is None else image.number
        data.ImagePositionPatient = [decimal(round(float(value), 6)) for value in self.corners[index]]
        for kind, time in (("Acquisition", image.acquisition_time), ("Content", image.image_time)):
            known = time is not None and _TIME.fullmatch(time) is not None and self.series.study_date
            setattr(data, f"{kind}Date", self.series.study_date if known else "")
            setattr(data, f"{kind}Time", time if known else "")

    def _thickness(self) -> Optional[str]:
        """The distance of the slices, where it is the same between all: nothing else is known of their thickness."""
        heights = [each.position * 10 for each in self.slices]
        gaps = np.diff(heights)
        if len(gaps) and gaps.max() - gaps.min() < _CLOSE:
            return decimal(round(float(gaps.mean()), 4))
        return None


def _edges(
    start: tuple[float, float],
    pixel: Sequence[float],
    dimension: Sequence[int],
    heights: Sequence[float],
    position: str,
    moved: Triple,
) -> tuple[Triple, Triple]:
    """The outer edges of the volume, lowest and highest."""
    first = heights[1] - heights[0] if len(heights) > 1 else pixel[2]
    last = heights[-1] - heights[-2] if len(heights) > 1 else pixel[2]
    near = (start[0] - pixel[0] / 2, start[1] - pixel[1] / 2, heights[0] - first / 2)
    far = (*(start[i] + (dimension[i] - 0.5) * pixel[i] for i in range(2)), heights[-1] + last / 2)
    both = to_dicom([near, far], position, moved)
    low, high = both.min(axis=0).tolist(), both.max(axis=0).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _lie_elsewhere(work: Work, image_set: ImageSet) -> bool:
    """Whether images made of an image set's pixels may lie elsewhere than the originals did, which newer headers tell.

    Under the originals' UIDs an archive that holds those would show the plan up to half a metre beside them.
    """
    versions = [version_in(entry.version) for entry in work.patient.plans if entry.image_set == image_set.number]
    return image_set.start_dicom is None and any(
        version is None or version < FIRST_WITHOUT_SHIFT for version in versions
    )


def _told(work: Work, image_set: ImageSet, position: str, *, own: bool) -> ImageSeries:
    """Study, series and frame: the archive's own UIDs where they are good, else made of what does not change.

    Parameters
    ----------
    work, image_set, position
        Of what, and how the patient lay.
    own
        Whether series and frame may have the archive's own UIDs.
    """
    entry, uids, number = _entry(work, image_set), Uids(work.patient), image_set.number
    originals = image_set.slices if own else ()
    study = _common(each.study_uid for each in image_set.slices) or uids.uid("study", number)
    frame = _common(each.frame_uid for each in originals) or uids.uid("frame", number)
    candidates = (_common(each.series_uid for each in originals), image_set.series_uid if own else None)
    series = next((uid for uid in candidates if uid is not None and valid(uid) and uid not in (study, frame)), None)
    scanned = image_set.scanned or (entry.scanned if entry else None)
    date, time = moment(scanned)
    if date is None:
        reason = "the archive does not say clearly when it was scanned; it is empty"
        warn_once(work.notes, f"StudyDate of image set {number}", reason)
    return ImageSeries(
        study=study,
        series=series or uids.uid("series", number),
        frame=frame,
        patient_position=position,
        study_id=image_set.study_id or (entry.study_id if entry else None),
        study_date=date,
        study_time=time,
        images=(),
        low=(0.0, 0.0, 0.0),
        high=(0.0, 0.0, 0.0),
    )


def _common(found: Iterator[Optional[str]]) -> Optional[str]:
    """The one valid UID that all have; None where it is not one."""
    values = set(found)
    uid = values.pop() if len(values) == 1 else None
    return uid if valid(uid) else None


def _instances(work: Work, image_set: ImageSet, slices: Sequence[Slice], *, own: bool) -> tuple[str, ...]:
    """A UID for each image: its own, where images may have those, it is valid and no other image's."""
    uids, count = Uids(work.patient), Counter(each.instance_uid for each in slices)
    return tuple(
        each.instance_uid
        if own and each.instance_uid is not None and valid(each.instance_uid) and count[each.instance_uid] == 1
        else uids.uid("image", image_set.number, f"{each.position:.6f}")
        for each in slices
    )


def _number(text: Optional[str]) -> Optional[str]:
    try:
        return decimal(float(text)) if text else None
    except ValueError:
        return None


def _as_mr(data: Any, notes: Notes, what: str) -> None:
    """What an MR image has to say and the archive does not know."""
    data.ScanningSequence, data.SequenceVariant = "RM", "NONE"
    data.ScanOptions = data.MRAcquisitionType = ""
    data.RepetitionTime = data.EchoTime = data.EchoTrainLength = None
    notes.warn(what, "the archive does not say with which sequence it was scanned; ScanningSequence is RM (research)")
