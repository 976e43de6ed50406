"""RT objects as the demo stores them: plans, and images with the header that an oncology system writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from .. import part10

RT_IMAGE = "1.2.840.10008.5.1.4.1.1.481.1"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"

MACHINE = "QA_DEMO_LINAC"


@dataclass(frozen=True)
class Beam:
    """A static field: its angles on the IEC 61217 scale, and its monitor units."""

    name: str
    gantry: float = 0
    collimator: float = 0
    couch: float = 0
    meterset: float = 20


@dataclass(frozen=True)
class Course:
    """A patient's course: one study."""

    patient: str
    name: str
    began: datetime
    uid: str = field(default_factory=generate_uid)


@dataclass(frozen=True)
class Series:
    """Images of a course that belong together."""

    course: Course
    began: datetime
    description: str = "Winston-Lutz"
    uid: str = field(default_factory=generate_uid)


def rt_plan(course: Course, label: str, made: datetime, beams: Sequence[Beam], approval: str = "APPROVED") -> Dataset:
    """An RTPLAN of static photon fields, one fraction."""
    plan = _identified(Series(course, made, "Plans"), RT_PLAN, "RTPLAN", made)
    plan.RTPlanLabel = plan.RTPlanName = label
    plan.RTPlanDate, plan.RTPlanTime = _day(made), _clock(made)
    plan.RTPlanGeometry = "TREATMENT_DEVICE"
    plan.PlanIntent = "MACHINE_QA"
    plan.ApprovalStatus = approval
    plan.BeamSequence = [_beam(number, beam) for number, beam in enumerate(beams, 1)]
    referenced = [
        _item(ReferencedBeamNumber=number, BeamMeterset=beam.meterset) for number, beam in enumerate(beams, 1)
    ]
    plan.FractionGroupSequence = [
        _item(
            FractionGroupNumber=1,
            NumberOfFractionsPlanned=1,
            NumberOfBeams=len(beams),
            NumberOfBrachyApplicationSetups=0,
            ReferencedBeamSequence=referenced,
        )
    ]
    return plan


def _beam(number: int, beam: Beam) -> Dataset:
    start = _item(
        ControlPointIndex=0,
        CumulativeMetersetWeight=0,
        NominalBeamEnergy=6,
        DoseRateSet=600,
        GantryAngle=beam.gantry,
        GantryRotationDirection="NONE",
        BeamLimitingDeviceAngle=beam.collimator,
        BeamLimitingDeviceRotationDirection="NONE",
        PatientSupportAngle=beam.couch,
        PatientSupportRotationDirection="NONE",
    )
    return _item(
        BeamNumber=number,
        BeamName=beam.name,
        BeamType="STATIC",
        RadiationType="PHOTON",
        TreatmentDeliveryType="TREATMENT",
        TreatmentMachineName=MACHINE,
        PrimaryDosimeterUnit="MU",
        SourceAxisDistance=1000,
        NumberOfWedges=0,
        NumberOfCompensators=0,
        NumberOfBoli=0,
        NumberOfBlocks=0,
        FinalCumulativeMetersetWeight=1,
        NumberOfControlPoints=2,
        ControlPointSequence=[start, _item(ControlPointIndex=1, CumulativeMetersetWeight=1)],
    )


def portal_image(
    pixels: Dataset,
    series: Series,
    plan: Dataset,
    *,
    acquired: datetime,
    number: int,
    beam: int,
    meterset: float,
) -> Dataset:
    """Turn a generated image into an MV image of the portal imager that refers to a beam of a plan.

    Parameters
    ----------
    pixels
        What pylinac's image generator made; its angles and distances stay as they are.
    series, plan
        Where the image belongs.
    acquired, number
        When it was taken, and which one of its series it is.
    beam, meterset
        The BeamNumber in the plan, and the monitor units that were delivered.
    """
    image = _completed(pixels, series, plan, acquired, number)
    image.PrimaryDosimeterUnit = "MU"
    image.RTImageLabel = f"MV_{float(image.GantryAngle):.0f}"
    image.ReferencedBeamNumber = beam
    image.ExposureSequence = [_item(ReferencedFrameNumber=1, KVP=6000, MetersetExposure=meterset)]
    return image


def kv_image(pixels: Dataset, series: Series, plan: Dataset, *, acquired: datetime, number: int) -> Dataset:
    """Turn a generated image into a kV image; as in real archives, only unit and voltage tell it from an MV image."""
    image = _completed(pixels, series, plan, acquired, number)
    image.PrimaryDosimeterUnit = "MINUTE"
    image.RTImageLabel = f"kV_{float(image.GantryAngle):.0f}"
    image.ExposureSequence = [_item(ReferencedFrameNumber=1, KVP=100, XRayTubeCurrent=80, ExposureTime=50)]
    return image


def _completed(image: Dataset, series: Series, plan: Dataset, acquired: datetime, number: int) -> Dataset:
    """The attributes that MV and kV images share."""
    for element in _identified(series, RT_IMAGE, "RTIMAGE", acquired):
        image[element.tag] = element
    image.InstanceNumber = number
    image.ImageType = ["ORIGINAL", "PRIMARY", "PORTAL"]
    image.ConversionType = "DI"
    image.PatientOrientation = ""
    image.AcquisitionDate, image.AcquisitionTime = _day(acquired), _clock(acquired)
    image.ContentDate, image.ContentTime = _day(acquired), _clock(acquired)
    image.RadiationMachineName = MACHINE
    image.XRayImageReceptorTranslation = [0, 0, 1000 - float(image.RTImageSID)]
    image.XRayImageReceptorAngle = 0
    image.RTImageOrientation = [1, 0, 0, 0, -1, 0]
    image.ReferencedRTPlanSequence = [
        _item(ReferencedSOPClassUID=RT_PLAN, ReferencedSOPInstanceUID=plan.SOPInstanceUID)
    ]
    return image


def _identified(series: Series, sop_class: str, modality: str, made: datetime) -> Dataset:
    course = series.course
    return _item(
        SOPClassUID=sop_class,
        SOPInstanceUID=generate_uid(),
        StudyInstanceUID=course.uid,
        StudyID=course.name,
        StudyDate=_day(course.began),
        StudyTime=_clock(course.began),
        SeriesInstanceUID=series.uid,
        SeriesDescription=series.description,
        SeriesDate=_day(series.began),
        SeriesTime=_clock(series.began),
        SeriesNumber=1,
        InstanceNumber=1,
        InstanceCreationDate=_day(made),
        InstanceCreationTime=_clock(made),
        AccessionNumber="",
        Modality=modality,
        Manufacturer="qa_fetch",
        OperatorsName="",
        ReferringPhysicianName="",
        PatientID=course.patient,
        PatientName=f"{course.patient}^Phantom",
        PatientBirthDate="",
        PatientSex="O",
    )


def write(datasets: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write data sets under their SOP Instance UIDs."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dataset in datasets:
        path = folder / f"{dataset.SOPInstanceUID}.dcm"
        part10.write(dataset, path)
        paths.append(path)
    return paths


def _item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _day(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def _clock(moment: datetime) -> str:
    return moment.strftime("%H%M%S")
