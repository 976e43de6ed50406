"""The self-check: finished objects are read back from their bytes before they are released.

What fails is held back, and so is whatever refers to it; the rest of the patient goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, NamedTuple, Optional

from .. import part10
from .making import Encoded, ImageSeries, Left
from .objects import bare_name
from .within import CLOSE, Wrong, readable, refuse_contours, refuse_dose, refuse_isocentres

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
RTPLAN = "1.2.840.10008.5.1.4.1.1.481.5"
RTDOSE = "1.2.840.10008.5.1.4.1.1.481.2"

_IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
_NAMED = ("PatientID", "PatientName")  # the same in all; of the others, what is not known contradicts nothing


class _Reference(NamedTuple):
    sop_instance: str
    sop_class: str
    name: str


@dataclass(frozen=True)
class Held:
    """An object that is not released; ``because`` is the held object it refers to, where that is why."""

    encoded: Encoded
    left: Left
    because: Optional[str] = None


@dataclass(frozen=True)
class Checked:
    """What may be released of some objects, in their order, and what not."""

    passed: tuple[Encoded, ...]
    held: tuple[Held, ...]

    @property
    def left(self) -> list[Left]:
        """What is held back, for the report."""
        return [held.left for held in self.held]


@dataclass
class Checks:
    """The checks of one patient's objects; it remembers whom they name, and what passed.

    What passed may be referred to by what comes later: a plan's structures may be checked first, then each trial.
    """

    _identity: Optional[tuple[str, ...]] = None
    _passed: dict[str, str] = field(default_factory=dict)  # SOP Instance UID -> SOP Class UID
    _held_images: set[str] = field(default_factory=set)

    def image(self, series: ImageSeries, encoded: Encoded) -> Optional[Left]:
        """Why an image of the series is held back, or None; then what refers to the series is held back too."""
        try:
            header = self._header(encoded, "ImagePositionPatient", "FrameOfReferenceUID", "StudyInstanceUID")
            with readable():
                _refuse_other_study(header, series)
                _refuse_image_elsewhere(header, series)
        except Wrong as wrong:
            self._held_images.add(encoded.sop_instance)
            return _left(encoded, str(wrong))
        self._take(encoded)
        return None

    def other(self, encoded: Encoded) -> Optional[Left]:
        """Why an object that was kept in the archive as DICOM is held back, or None."""
        try:
            self._header(encoded)
        except Wrong as wrong:
            return _left(encoded, str(wrong))
        self._take(encoded)
        return None

    def objects(self, series: ImageSeries, encoded: Sequence[Encoded]) -> Checked:
        """Check structures, plans and doses that refer to each other together.

        A plan that is held back because of its dose may be made anew without the reference, and checked again.
        """
        wrong: dict[int, str] = {}
        because: dict[int, str] = {}
        references: dict[int, list[_Reference]] = {}
        seen: set[str] = set()
        for number, each in enumerate(encoded):
            try:
                if each.sop_instance in seen:
                    raise Wrong("another object of the same plan has its UID")
                seen.add(each.sop_instance)
                references[number] = self._one(series, each)
            except Wrong as found:
                wrong[number] = str(found)
        while True:  # what refers to something held back is held back, and what refers to that
            right = {number: targets for number, targets in references.items() if number not in wrong}
            there = {**self._passed, **{encoded[number].sop_instance: encoded[number].sop_class for number in right}}
            more = dict(_dangling(right, there))
            if not more:
                break
            for number, (target, reason) in more.items():
                wrong[number], because[number] = reason, target
        for number in right:
            self._take(encoded[number])
        held = (Held(encoded[n], _left(encoded[n], wrong[n]), because.get(n)) for n in sorted(wrong))
        return Checked(tuple(encoded[number] for number in right), tuple(held))

    def _one(self, series: ImageSeries, encoded: Encoded) -> list[_Reference]:
        """What an object that is right in itself refers to."""
        with readable():
            return self._read(series, encoded)

    def _read(self, series: ImageSeries, encoded: Encoded) -> list[_Reference]:
        more = ["StudyInstanceUID", "FrameOfReferenceUID", *_REFERENCES.get(encoded.sop_class, ())]
        if encoded.sop_class == RTDOSE:
            more += _DOSE
        header = self._header(encoded, *more)
        _refuse_other_study(header, series)
        if encoded.sop_class == RTSTRUCT:
            _refuse_other_images(header, series, self._held_images)
            refuse_contours(header, encoded.data, series)
        elif encoded.sop_class == RTPLAN:
            _refuse_plan(header)
            refuse_isocentres(header, series)
        elif encoded.sop_class == RTDOSE:
            refuse_dose(header, encoded, series)
        return list(_references(header))

    def _header(self, encoded: Encoded, *keywords: str) -> Any:
        """What an object says of itself, read back; it names the patient that the others name, and is the only one."""
        with readable():
            identity = part10.split(encoded.data, "the object").identity()
            wanted = [*_IDENTITY, *keywords, "SOPClassUID", "SOPInstanceUID"]
            header = part10.read(BytesIO(encoded.data), keywords=wanted)
            file_instance, named = str(header.file_meta.MediaStorageSOPInstanceUID), _identity(header)
        if (identity.sop_class, identity.sop_instance) != (encoded.sop_class, encoded.sop_instance):
            raise Wrong("it says to be another object than it was made as")
        if file_instance != encoded.sop_instance:
            raise Wrong("its file header names another object")
        if encoded.sop_instance in self._passed:
            raise Wrong("another object of the patient has its UID")
        known = self._identity or named
        if any(one != other and (key in _NAMED or (one and other)) for key, one, other in zip(_IDENTITY, known, named)):
            raise Wrong("it does not name the patient as the other objects do")
        self._identity = tuple(one or other for one, other in zip(known, named))
        return header

    def _take(self, encoded: Encoded) -> None:
        self._passed[encoded.sop_instance] = encoded.sop_class


_TARGETS = (
    ("ReferencedStructureSetSequence", RTSTRUCT, "structure set"),
    ("ReferencedRTPlanSequence", RTPLAN, "plan"),
    ("ReferencedDoseSequence", RTDOSE, "dose"),
)
_REFERENCES = {
    RTSTRUCT: ("ReferencedFrameOfReferenceSequence", "StructureSetROISequence", "RTROIObservationsSequence"),
    RTPLAN: (
        "ReferencedStructureSetSequence",
        "ReferencedDoseSequence",
        "ApprovalStatus",
        "BeamSequence",
        "FractionGroupSequence",
    ),
    RTDOSE: ("ReferencedRTPlanSequence", "ReferencedStructureSetSequence"),
}
_DOSE = (
    "DoseUnits",
    "DoseGridScaling",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "GridFrameOffsetVector",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "PixelData",
)


def _references(header: Any) -> Iterator[_Reference]:
    """The structure set, the plan and the dose that an object refers to."""
    for keyword, sop_class, name in _TARGETS:
        for item in header.get(keyword) or ():
            yield _Reference(str(item.get("ReferencedSOPInstanceUID", "")), sop_class, name)


def _dangling(references: dict[int, list[_Reference]], there: dict[str, str]) -> Iterator[tuple[int, tuple[str, str]]]:
    """What refers to an object that is not there: its number, the missing one's UID and the reason."""
    for number, targets in references.items():
        for target in targets:
            if there.get(target.sop_instance) != target.sop_class:
                yield number, (target.sop_instance, f"it refers to the {target.name}, which is not written")


def _left(encoded: Encoded, reason: str) -> Left:
    return Left(encoded.what or encoded.modality, f"{reason}, so it is held back")


def _identity(header: Any) -> tuple[str, ...]:
    number, name, birth, sex = (str(header.get(keyword) or "") for keyword in _IDENTITY)
    return number, bare_name(name), birth, sex


def _refuse_other_study(header: Any, series: ImageSeries) -> None:
    if str(header.get("StudyInstanceUID", "")) != series.study:
        raise Wrong("it does not belong to the study of the images")
    if str(header.get("FrameOfReferenceUID", series.frame)) != series.frame:
        raise Wrong("it does not lie in the coordinates of the images")


def _refuse_image_elsewhere(header: Any, series: ImageSeries) -> None:
    image = next((each for each in series.images if each.sop_instance == str(header.SOPInstanceUID)), None)
    if image is None:
        raise Wrong("it is none of the images that its series has")
    position = [float(value) for value in header.get("ImagePositionPatient") or ()]
    if len(position) != 3 or abs(position[2] - image.z) > CLOSE:
        raise Wrong("it does not lie where its series has it")


def _refuse_other_images(header: Any, series: ImageSeries, held: set[str]) -> None:
    """The structure set names the images of the series, and these are whole."""
    images = {image.sop_instance for image in series.images}
    named: set[str] = set()
    for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
        if str(frame.FrameOfReferenceUID) != series.frame:
            raise Wrong("it does not lie in the coordinates of the images")
        for study in frame.get("RTReferencedStudySequence") or ():
            for each in study.get("RTReferencedSeriesSequence") or ():
                if str(each.SeriesInstanceUID) != series.series:
                    raise Wrong("it refers to another series than that of the images")
                named.update(str(image.ReferencedSOPInstanceUID) for image in each.get("ContourImageSequence") or ())
    if not named or named - images:
        raise Wrong("it refers to images that the series does not have")
    if held & images:
        raise Wrong("it refers to images of which some are held back")


def _refuse_plan(header: Any) -> None:
    if str(header.get("ApprovalStatus", "")) != "UNAPPROVED":
        raise Wrong("it is not marked as unapproved")
    beams = [int(beam.BeamNumber) for beam in header.get("BeamSequence") or ()]
    if len(set(beams)) != len(beams):
        raise Wrong("two of its beams have one number")
    for group in header.get("FractionGroupSequence") or ():
        if {int(beam.ReferencedBeamNumber) for beam in group.get("ReferencedBeamSequence") or ()} - set(beams):
            raise Wrong("a fraction group refers to a beam that it does not have")
