"""A small synthetic course: data sets that every archive takes, made with pydicom alone (no numpy, no pylinac)."""

from __future__ import annotations

import uuid
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Optional

from pydicom.dataset import Dataset

from qa_fetch import part10

RT_IMAGE = "1.2.840.10008.5.1.4.1.1.481.1"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
CT = "1.2.840.10008.5.1.4.1.1.2"

MACHINE = "TrueBeam1"
PATIENT, OTHER = "QA_TB1", "OTHER"
_NAMESPACE = uuid.UUID("3f0c2f0e-7d5c-5a58-9d8e-6f6f7f1f2a10")

_RT_IMAGE_TYPES = {
    "portal": "PORTAL",
    "kv": "PORTAL",  # as ARIA has it: only the dosimeter unit tells kV from MV
    "radiograph": "RADIOGRAPH",
    "drr": "DRR",
    "portal_dose": "PORTAL\\ACQUIRED_DOSE",  # a fourth value, as ARIA writes it
    "predicted_dose": "PORTAL\\PREDICTED_DOSE",
}


def uid(*names: object) -> str:
    """The UID that always belongs to these names."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, names))).int}"


@dataclass(frozen=True)
class Series:
    """Where an image belongs, and when its series began (where that is not when the image was acquired)."""

    patient: str
    study_uid: str
    uid: str
    study_id: str = "C1"
    description: str = ""
    began: Optional[datetime] = None


def new_series(
    patient: str, name: str, *, study: str = "C1", description: str = "", began: Optional[datetime] = None
) -> Series:
    """A series of this name in a patient's study (the study of the plans of that course)."""
    where = uid(patient, "study", study)
    return Series(patient, where, uid(patient, "study", study, name), study, description, began)


def _base(sop_class: str, sop_instance: str, series: Series, modality: str, when: datetime) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_instance
    dataset.StudyDate, dataset.StudyTime = "20250901", "080000"
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = _da(when.date()), _tm(when.time())
    dataset.AccessionNumber = ""
    dataset.Modality = modality
    dataset.Manufacturer = "qa_fetch"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = f"Machine QA {series.study_id}"
    if series.description:
        dataset.SeriesDescription = series.description
    dataset.PatientName = f"{series.patient}^Müller"
    dataset.PatientID = series.patient
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = series.study_uid
    dataset.SeriesInstanceUID = series.uid
    dataset.StudyID = series.study_id
    dataset.SeriesNumber = 1
    return dataset


def _da(day: date) -> str:
    return day.strftime("%Y%m%d")


def _tm(moment: time) -> str:
    return moment.strftime("%H%M%S") + (f".{moment.microsecond:06d}" if moment.microsecond else "")


def plan(
    label: str,
    *,
    patient: str = PATIENT,
    study: str = "C1",
    day: date = date(2025, 9, 1),
    at: time = time(9, 30),
    approval: str = "APPROVED",
    beams: Sequence[tuple[str, float, float]] = (("G0", 6, 0), ("G90", 6, 90), ("G180", 6, 180), ("G270", 6, 270)),
) -> Dataset:
    """An RTPLAN; a beam is (name, energy in MV, gantry angle), and no beams make an empty Beam Sequence."""
    name = (patient, "plan", study, label, _da(day))
    where = Series(patient, uid(patient, "study", study), uid(*name, "series"), study, "ARIA RadOnc Plans")
    dataset = _base(RT_PLAN, uid(*name), where, "RTPLAN", datetime.combine(day, at))
    dataset.SeriesDate, dataset.SeriesTime = _da(day), _tm(at)
    dataset.InstanceNumber = 1
    dataset.OperatorsName = ""
    dataset.RTPlanLabel = label
    dataset.RTPlanName = label
    dataset.RTPlanDate, dataset.RTPlanTime = _da(day), _tm(at)
    dataset.RTPlanGeometry = "TREATMENT_DEVICE"
    dataset.ApprovalStatus = approval
    if approval != "UNAPPROVED":
        dataset.ReviewDate, dataset.ReviewTime, dataset.ReviewerName = _da(day), _tm(at), "Physicist^A"
    dataset.BeamSequence = [_beam(number, *beam) for number, beam in enumerate(beams, 1)]
    dataset.FractionGroupSequence = [_fractions(len(beams))]
    return dataset


def _beam(number: int, name: str, energy: float, gantry: float) -> Dataset:
    beam = Dataset()
    beam.BeamNumber = number
    beam.BeamName = name
    beam.BeamType = "STATIC"
    beam.RadiationType = "PHOTON"
    beam.PrimaryDosimeterUnit = "MU"
    beam.TreatmentMachineName = MACHINE
    beam.TreatmentDeliveryType = "TREATMENT"
    beam.SourceAxisDistance = 1000
    beam.NumberOfWedges = beam.NumberOfCompensators = beam.NumberOfBoli = beam.NumberOfBlocks = 0
    beam.FinalCumulativeMetersetWeight = 1
    beam.NumberOfControlPoints = 2
    start, stop = Dataset(), Dataset()
    start.ControlPointIndex, start.CumulativeMetersetWeight = 0, 0
    start.NominalBeamEnergy = energy
    start.DoseRateSet = 600
    start.GantryAngle, start.GantryRotationDirection = gantry, "NONE"
    start.BeamLimitingDeviceAngle, start.BeamLimitingDeviceRotationDirection = 0, "NONE"
    start.PatientSupportAngle, start.PatientSupportRotationDirection = 0, "NONE"
    stop.ControlPointIndex, stop.CumulativeMetersetWeight = 1, 1
    beam.ControlPointSequence = [start, stop]
    return beam


def _fractions(beams: int) -> Dataset:
    group = Dataset()
    group.FractionGroupNumber = 1
    group.NumberOfFractionsPlanned = 1
    group.NumberOfBeams = beams
    group.NumberOfBrachyApplicationSetups = 0
    group.ReferencedBeamSequence = []
    for number in range(1, beams + 1):
        beam = Dataset()
        beam.ReferencedBeamNumber, beam.BeamMeterset = number, 100
        group.ReferencedBeamSequence.append(beam)
    return group


def rt_image(
    plan: Optional[Dataset],
    series: Series,
    acquired: datetime,
    number: int,
    *,
    kind: str = "portal",
    gantry: float = 0,
    rows: int = 16,
) -> Dataset:
    """An RTIMAGE of a kind that ``qa_fetch.kinds`` knows, referring to a plan where one is given."""
    dataset = _base(RT_IMAGE, uid(series.uid, "image", number), series, "RTIMAGE", acquired)
    kilovoltage = kind in ("kv", "radiograph")
    dataset.ImageType = [
        "ORIGINAL" if kind not in ("drr", "predicted_dose") else "DERIVED",
        "PRIMARY",
        *_RT_IMAGE_TYPES[kind].split("\\"),
    ]
    _set_times(dataset, series, acquired)
    dataset.OperatorsName = ""
    dataset.ConversionType = "DI"
    dataset.InstanceNumber = number
    dataset.PatientOrientation = ""
    dataset.RTImageLabel = f"{'kV' if kilovoltage else 'MV'}_{gantry:.0f}"
    dataset.RTImagePlane = "NORMAL"
    dataset.XRayImageReceptorTranslation = [0, 0, -500]
    dataset.XRayImageReceptorAngle = 0
    dataset.RTImageOrientation = [1, 0, 0, 0, -1, 0]
    dataset.ImagePlanePixelSpacing = [1, 1]
    dataset.RTImagePosition = [-rows / 2 + 0.5, rows / 2 - 0.5]
    dataset.RadiationMachineName = MACHINE
    dataset.RadiationMachineSAD = 1000
    dataset.RTImageSID = 1500
    dataset.PrimaryDosimeterUnit = "MINUTE" if kilovoltage else "MU"
    dataset.GantryAngle = gantry
    dataset.BeamLimitingDeviceAngle = 0
    dataset.PatientSupportAngle = 0
    exposure = Dataset()
    exposure.KVP = 100 if kilovoltage else 6000
    dataset.ExposureSequence = [exposure]
    if plan is not None:
        reference = Dataset()
        reference.ReferencedSOPClassUID = plan.SOPClassUID
        reference.ReferencedSOPInstanceUID = plan.SOPInstanceUID
        dataset.ReferencedRTPlanSequence = [reference]
        dataset.ReferencedBeamNumber = 1
    return _with_pixels(dataset, rows, number)


def ct_slice(series: Series, acquired: datetime, number: int, *, cone_beam: bool = True, rows: int = 16) -> Dataset:
    """A CT slice, of an On-Board Imager unless told otherwise."""
    dataset = _base(CT, uid(series.uid, "slice", number), series, "CT", acquired)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ManufacturerModelName = "On-Board Imager" if cone_beam else "Planning CT"
    _set_times(dataset, series, acquired)
    dataset.KVP = 125
    dataset.SliceThickness = 2
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = uid(series.uid, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [-rows / 2, -rows / 2, 2 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [1, 1]
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
    return _with_pixels(dataset, rows, number)


def _set_times(dataset: Dataset, series: Series, acquired: datetime) -> None:
    began = series.began or acquired
    dataset.SeriesDate, dataset.SeriesTime = _da(began.date()), _tm(began.time())
    dataset.AcquisitionDate, dataset.AcquisitionTime = _da(acquired.date()), _tm(acquired.time())
    dataset.ContentDate, dataset.ContentTime = _da(acquired.date()), _tm(acquired.time())


def _with_pixels(dataset: Dataset, rows: int, number: int) -> Dataset:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = rows
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    middle = range(rows // 4, rows - rows // 4)
    pixels = array(
        "H", (1000 * (x in middle and y in middle) + 10 * number + x for y in range(rows) for x in range(rows))
    )
    dataset.add_new("PixelData", "OW", pixels.tobytes())
    return dataset


def write(dataset: Dataset, folder: Path) -> Path:
    """Write a data set under its SOP Instance UID."""
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    part10.write(dataset, path)
    return path


def write_all(datasets: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write data sets under their SOP Instance UIDs."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write(dataset, folder) for dataset in datasets]


@dataclass(frozen=True)
class Session:
    """Images acquired together for a plan, in one series."""

    plan: Dataset
    series: Series
    acquired: datetime
    images: tuple[Dataset, ...]
    kind: str = "portal"

    @property
    def uids(self) -> list[str]:
        """The SOP Instance UIDs of the session's images of its kind, in order."""
        return [str(image.SOPInstanceUID) for image in self.images]


def session(plan: Dataset, acquired: datetime, *, kind: str = "portal", images: int = 4, rows: int = 16) -> Session:
    """A session of a plan, one image every 20 s at gantry 0, 90, 180, 270 ..."""
    names = (plan.PatientID, kind, plan.SOPInstanceUID, acquired.isoformat())
    study, course = str(plan.StudyInstanceUID), str(plan.StudyID)
    where = Series(str(plan.PatientID), study, uid(*names), course, f"{kind} images", acquired)
    made = tuple(
        rt_image(plan, where, acquired + timedelta(seconds=20 * n), n + 1, kind=kind, gantry=90 * n % 360, rows=rows)
        for n in range(images)
    )
    return Session(plan, where, acquired, made, kind)


DATES = (date(2025, 10, 20), date(2025, 10, 27), date(2025, 11, 3))


@dataclass
class Course:
    """The course of the contract suite: who and what is in it, and every data set to store.

    Patient QA_TB1: plans WL_6X and PDIP_10X; three Winston-Lutz sessions, of which the newest shares its series
    with two kV images; a kV series of its own after it; portal dose on 2025-11-03; four CBCT slices in a study of
    their own. Patient OTHER has a plan WL_6X and a session newer than all of these.
    """

    wl: Dataset = field(default_factory=lambda: plan("WL_6X"))
    pdip: Dataset = field(default_factory=lambda: plan("PDIP_10X", day=date(2025, 9, 2), beams=(("DIP", 10, 0),)))
    sessions: list[Session] = field(default_factory=list)
    mixed_kv: tuple[Dataset, ...] = ()
    kv: list[Session] = field(default_factory=list)
    doses: list[Session] = field(default_factory=list)
    cbct: tuple[Dataset, ...] = ()
    second_plan: Optional[Dataset] = None
    others: list[Dataset] = field(default_factory=list)

    @property
    def newest(self) -> Session:
        """The newest MV session of WL_6X, without the kV images in its series."""
        return self.sessions[-1]

    @property
    def datasets(self) -> list[Dataset]:
        """Everything, in an order that is neither by date nor by series."""
        images = [image for group in (*self.sessions, *self.kv, *self.doses) for image in group.images]
        plans = [self.wl, self.pdip, *([self.second_plan] if self.second_plan is not None else [])]
        everything = [*images, *self.mixed_kv, *self.cbct, *plans, *self.others]
        return sorted(everything, key=lambda dataset: str(dataset.SOPInstanceUID))

    def write(self, folder: Path) -> list[Path]:
        """Write everything into a folder."""
        return write_all(self.datasets, folder)


def default_course(*, second_plan: bool = False, rows: int = 16) -> Course:
    """The contract suite's course; ``second_plan`` adds an UNAPPROVED WL_6X of course C2, dated 2025-10-15."""
    course = Course()
    course.sessions = [session(course.wl, datetime.combine(day, time(17, 5)), rows=rows) for day in DATES]
    newest = course.newest
    course.mixed_kv = tuple(
        rt_image(course.wl, newest.series, newest.acquired - timedelta(minutes=4 - n), 11 + n, kind="kv", rows=rows)
        for n in range(2)
    )
    course.kv = [session(course.wl, newest.acquired + timedelta(minutes=30), kind="kv", images=2, rows=rows)]
    course.doses = [session(course.pdip, datetime(2025, 11, 3, 18, 10), kind="portal_dose", images=1, rows=rows)]
    cbct = new_series(PATIENT, "cbct", study="CBCT", description="CBCT head", began=datetime(2025, 11, 3, 16, 0))
    course.cbct = tuple(ct_slice(cbct, datetime(2025, 11, 3, 16, 0), n, rows=rows) for n in range(1, 5))
    if second_plan:
        course.second_plan = plan("WL_6X", study="C2", day=date(2025, 10, 15), approval="UNAPPROVED")
    theirs = plan("WL_6X", patient=OTHER)
    course.others = [theirs, *session(theirs, datetime(2025, 11, 10, 7, 0), rows=rows).images]
    return course


def keyword_values(datasets: Iterable[Dataset], keyword: str) -> list[Any]:
    """One attribute of many data sets, sorted: for comparing what came with what was asked for."""
    return sorted(str(dataset.get(keyword)) for dataset in datasets)
