"""A plan's regions and points of interest as one RTSTRUCT.

No source says what the bits of a curve's flags mean, and none of those known stands for an open curve: all are closed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Optional

import numpy as np

from .. import part10
from .checking import RTSTRUCT
from .colours import UNKNOWN, Colour, colour
from .contours import ROI_CONTOURS, TRANSFER_SYNTAX, Drawn, Encoder, Unwritable, sequence
from .geometry import to_dicom
from .making import Encoded, ImageSeries, Work
from .objects import LONG, SHORT, UNICODE, base, fitted
from .reading import volume_names
from .records import Plan, Point, Roi
from .uids import Uids
from .within import outside

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_TYPES = frozenset(
    "EXTERNAL PTV CTV GTV TREATED_VOLUME IRRAD_VOLUME BOLUS AVOIDANCE ORGAN MARKER REGISTRATION ISOCENTER "
    "CONTRAST_AGENT CAVITY BRACHY_CHANNEL BRACHY_ACCESSORY BRACHY_SRC_APP BRACHY_CHNL_SHLD SUPPORT FIXATION "
    "DOSE_REGION CONTROL DOSE_MEASUREMENT DEVICE".split()
)
_LISTS = ("plan.roi", "plan.Points")
_LONGEST_TEXT = 1024  # characters of an ST
_KNOWN = 0x14  # the bits that the flags of all curves known have
_NOTHING = np.empty(0)


@dataclass
class _Made:
    """The ROIs that have been made, each in the three sequences of the object."""

    rois: list[Any] = field(default_factory=list)  # of StructureSetROISequence
    contours: list[bytes] = field(default_factory=list)
    observations: list[Any] = field(default_factory=list)
    left_out: int = 0

    def add(self, number: int, name: str, interpreted: str, drawn: Drawn, frame: str) -> None:
        """Take an ROI or a point in.

        Parameters
        ----------
        number, name, interpreted
            Its ROINumber, ROIName and RTROIInterpretedType.
        drawn
            Its contours.
        frame
            The FrameOfReferenceUID of their coordinates.
        """
        from pydicom.dataset import Dataset

        roi, observation = Dataset(), Dataset()
        roi.ROINumber = number
        roi.ReferencedFrameOfReferenceUID = frame
        roi.ROIName = name
        roi.ROIGenerationAlgorithm = ""  # the archive does not say how it was drawn
        observation.ObservationNumber = number
        observation.ReferencedROINumber = number
        observation.RTROIInterpretedType = interpreted
        observation.ROIInterpreter = ""
        self.rois.append(roi)
        self.contours.append(drawn.item)
        self.observations.append(observation)


def structure_set(work: Work, series: ImageSeries) -> Optional[Encoded]:
    """The RTSTRUCT of a plan; None, and a note, where none can be written."""
    plan = work.plan
    if plan is None:
        return None
    what = f"RTSTRUCT of plan {plan.entry.number}"
    try:
        _refuse_impossible(plan, series)
        made = _Maker(work, plan, series).made()
    except Unwritable as error:
        work.notes.skip(what, str(error))
        return None
    uids = Uids(work.patient)
    instance = uids.uid("instance RTSTRUCT", plan.entry.number)
    dataset = base(work, series, "RTSTRUCT", RTSTRUCT, instance, uids.uid("series RTSTRUCT", plan.entry.number))
    _describe(dataset, work, plan, series, made)
    data = _file(dataset, made)
    return Encoded("RTSTRUCT", RTSTRUCT, instance, data, what)


def _refuse_impossible(plan: Plan, series: ImageSeries) -> None:
    if not plan.rois and not plan.points:
        raise Unwritable("the archive holds neither ROIs nor points for it")
    if not series.images:
        raise Unwritable("there is no image that its contours could refer to")
    if series.doubt is not None:
        raise Unwritable(series.doubt)


def _other_volumes(work: Work) -> frozenset[Optional[str]]:
    """The names of the patient's other image sets, where each tells them from the one that the plan was made on."""
    if work.image_set is None or len(work.patient.image_sets) < 2:
        return frozenset()
    names = volume_names(work.source, work.patient)
    own = names.pop(work.image_set.number, None)
    return frozenset(name for name in names.values() if name is not None and name != own)


class _Maker:
    """Makes the ROIs of one plan."""

    def __init__(self, work: Work, plan: Plan, series: ImageSeries) -> None:
        self._plan, self._series, self._notes = plan, series, work.notes
        self._encoder = Encoder(series)
        self._made = _Made()
        names = Counter(point.name for point in plan.points)
        used = {beam.isocentre for trial in plan.trials for beam in trial.beams}
        self._isocentres = {name for name in used if name is not None and names[name] == 1}
        self._elsewhere = _other_volumes(work)

    def made(self) -> _Made:
        """All that can be written: ROIs have the numbers 1 and up in the archive's order, points those behind them."""
        drawn: list[tuple[int, Roi, Drawn]] = []
        strays: list[tuple[int, str]] = []
        for number, roi in enumerate(self._plan.rois, 1):
            try:
                found = self._draw(number, roi)
            except Unwritable as error:
                self._leave(f"ROI {number}", str(error))
                continue
            stray = None if found.low is None else outside(found.low, found.high, self._series)
            if stray is None:
                drawn.append((number, roi, found))
            else:
                strays.append((number, stray))
        if len(strays) > sum(found.low is not None for _, _, found in drawn):
            raise Unwritable(
                "most of its ROIs lie outside of the images, so it is not certain where any of them lies. "
                "Export this plan from the planning system"
            )
        for number, stray in strays:
            self._leave(f"ROI {number}", f"it {stray}")
        for number, roi, found in drawn:
            self._add(f"ROI {number}", number, roi.name, _type(roi.interpreted_type), found)
            self._tell(f"ROI {number}", roi, found)
        for number, point in enumerate(self._plan.points, len(self._plan.rois) + 1):
            self._add_point(number, point)
        if not self._made.rois:
            raise Unwritable("none of its ROIs and points can be written")
        return self._made

    def _draw(self, number: int, roi: Roi) -> Drawn:
        """An ROI's contours; one that is not whole is not drawn, since it would pass for a smaller one."""
        if not roi.whole or not all(curve.whole for curve in roi.curves):
            raise Unwritable("the archive does not hold all of its contours")
        if roi.volume in self._elsewhere:
            raise Unwritable("it was drawn on another image set, which may lie elsewhere")
        points = [np.asarray(curve.points) for curve in roi.curves]
        whole = np.concatenate([*points, _NOTHING]).reshape(-1, 3)
        placed = to_dicom(whole, self._series.patient_position, self._series.shift)
        ends = np.cumsum([len(each) // 3 for each in points], dtype=int)
        curves = np.split(placed, ends)[:-1]  # the last is what follows the last end: nothing
        return self._encoder.curves(number, self._colour(f"ROI {number}", roi.colour), curves)

    def _add_point(self, number: int, point: Point) -> None:
        which = f"point {number - len(self._plan.rois)}"
        if point.position is None:
            self._leave(which, "the archive does not say where it is")
            return
        place = to_dicom(point.position, self._series.patient_position, self._series.shift)
        try:
            drawn = self._encoder.point(number, self._colour(which, point.colour), place)
        except Unwritable as error:
            self._leave(which, str(error))
            return
        interpreted = "ISOCENTER" if point.name in self._isocentres else _type(point.interpreted_type)
        self._add(which, number, point.name, interpreted, drawn)

    def _add(self, which: str, number: int, name: Optional[str], interpreted: str, drawn: Drawn) -> None:
        named = fitted(name, LONG, self._notes, f"the name of {self._of(which)}")
        if not named:
            self._notes.warn(self._of(which), "the archive has no name for it")
        self._made.add(number, named, interpreted, drawn, self._series.frame)

    def _tell(self, which: str, roi: Roi, drawn: Drawn) -> None:
        """What is unusual in an ROI that is written."""
        if drawn.low is None:
            self._notes.warn(self._of(which), "it has no contours in the archive; its name is written without any")
        for count, reason in (
            (drawn.on_no_image, "lie on none of the images, so they refer to none"),
            (drawn.without_area, "have one or two points, so they enclose nothing"),
            (drawn.empty, "have no points and are left out"),
            (
                sum(curve.flags is not None and curve.flags & _KNOWN != _KNOWN for curve in roi.curves),
                "have flags that are not known, and are written as closed",
            ),
        ):
            if count and roi.curves:
                self._notes.warn(self._of(which), f"{count} of its {len(roi.curves)} contours {reason}")

    def _colour(self, which: str, name: Optional[str]) -> Colour:
        found = colour(name)
        if found is None:
            why = "the archive has no colour for it" if name is None else "its colour is not known"
            self._notes.warn(self._of(which), f"{why}; it is written in grey")
        return UNKNOWN if found is None else found

    def _leave(self, which: str, reason: str) -> None:
        self._made.left_out += 1
        self._notes.skip(self._of(which), reason)

    def _of(self, which: str) -> str:
        return f"{which} of plan {self._plan.entry.number}"


def _type(interpreted: Optional[str]) -> str:
    """An RTROIInterpretedType, or nothing where the archive has no term of DICOM."""
    term = (interpreted or "").strip().upper()
    return term if term in _TYPES else ""


def _describe(dataset: Any, work: Work, plan: Plan, series: ImageSeries, made: _Made) -> None:
    """Everything of the object but its contours."""
    of = f"plan {plan.entry.number}"
    dataset.SpecificCharacterSet = UNICODE
    dataset.OperatorsName = ""
    label = fitted(plan.entry.name, SHORT, work.notes, f"the name of {of} as StructureSetLabel")
    dataset.StructureSetLabel = label or f"Plan {plan.entry.number}"
    dataset.StructureSetName = fitted(plan.entry.name, LONG, work.notes, f"the name of {of}")
    lacks = _lacks(plan, made)
    if lacks:
        dataset.StructureSetDescription = f"Incomplete: {lacks}."[:_LONGEST_TEXT]
    dataset.StructureSetDate, dataset.StructureSetTime = _moment(plan.entry.written)
    dataset.ReferencedFrameOfReferenceSequence = [_images(series)]
    dataset.StructureSetROISequence = made.rois
    dataset.RTROIObservationsSequence = made.observations
    dataset.ApprovalStatus = "UNAPPROVED"


def _moment(written: Optional[str]) -> tuple[str, str]:
    """When the plan was written, as DICOM's date and time; nothing where that is not said or no moment."""
    try:
        moment = datetime.strptime((written or "")[:19], "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "", ""
    return f"{moment:%Y%m%d}", f"{moment:%H%M%S}"


def _lacks(plan: Plan, made: _Made) -> str:
    """What the archive has, or had, and the object has not: it must not pass for the whole when it is alone."""
    left = [f"{made.left_out} ROIs or points of the archive are not in it"] if made.left_out else []
    damages = ((PurePosixPath(damage.path).name, damage.problem) for damage in plan.damages)
    return "; ".join([*left, *(f"{name}: {problem}" for name, problem in damages if name in _LISTS)])


def _images(series: ImageSeries) -> Any:
    """The item of ReferencedFrameOfReferenceSequence, with every image of the series."""
    from pydicom.dataset import Dataset

    frame, study, one = Dataset(), Dataset(), Dataset()
    one.SeriesInstanceUID = series.series
    one.ContourImageSequence = []
    for each in series.images:
        image = Dataset()
        image.ReferencedSOPClassUID = each.sop_class
        image.ReferencedSOPInstanceUID = each.sop_instance
        one.ContourImageSequence.append(image)
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = series.study
    study.RTReferencedSeriesSequence = [one]
    frame.FrameOfReferenceUID = series.frame
    frame.RTReferencedStudySequence = [study]
    return frame


def _file(dataset: Any, made: _Made) -> bytes:
    """The file: what stands before the contours, the contours as they are encoded already, what stands behind them."""
    instance = str(dataset.SOPInstanceUID)
    return b"".join(
        (
            part10.file_meta(RTSTRUCT, instance, TRANSFER_SYNTAX),
            part10.encode(dataset[:ROI_CONTOURS], TRANSFER_SYNTAX),
            sequence(made.contours),
            part10.encode(dataset[ROI_CONTOURS:], TRANSFER_SYNTAX),
        )
    )
