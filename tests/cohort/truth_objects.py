"""The objects of a course as pydicom data sets: images, structure set, plans, doses."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Union

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from truth_course import Course, Plan, hu
from truth_dose import ExactDvh
from truth_frame import Lattice, ds
from truth_rois import Roi
from truth_shapes import Array

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PET = "1.2.840.10008.5.1.4.1.1.128"
STRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
_STUDY = "1.2.840.10008.3.1.2.3.1"
_NUMBERS = {"CT": 1, "RTSTRUCT": 2, "RTPLAN": 3, "RTDOSE": 4, "MR": 5, "PT": 6}


def item(**values: Any) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def to(sop_class: str, sop_instance: str, **more: Any) -> Dataset:
    """A reference to an object."""
    return item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=sop_instance, **more)


def base(course: Course, modality: str, sop_class: str, *names: object) -> Dataset:
    """What every object of a course says of itself."""
    made = item(SpecificCharacterSet="ISO_IR 192", SOPClassUID=sop_class, SOPInstanceUID=course.uid(modality, *names))
    made.StudyDate = made.SeriesDate = made.InstanceCreationDate = course.day
    made.StudyTime = made.SeriesTime = made.InstanceCreationTime = "081500"
    made.AccessionNumber, made.StudyID, made.Modality, made.Manufacturer = "", course.study[:16], modality, "qa_fetch"
    made.ReferringPhysicianName, made.StudyDescription = "", course.description
    made.SeriesDescription = f"{course.series_description} {modality}"
    made.PatientName, made.PatientID = f"Truth^{course.patient}", course.patient
    made.PatientBirthDate, made.PatientSex = "19610203", "F"
    made.StudyInstanceUID, made.SeriesInstanceUID = course.study_uid(modality), course.uid(modality, "series")
    made.SeriesNumber, made.FrameOfReferenceUID = _NUMBERS[modality], course.frame_uid()
    made.PositionReferenceIndicator = ""
    return made


def _pixels(made: Dataset, values: Array, bits: int) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = values.shape[-2:]
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit, made.PixelRepresentation = bits - 1, 0
    made.add_new("PixelData", "OW", np.ascontiguousarray(values, dtype=f"<u{bits // 8}").tobytes())


def _image(course: Course, modality: str, number: int, lattice: Lattice, z: float) -> Dataset:
    made = base(course, modality, {"CT": CT, "MR": MR, "PT": PET}[modality], number)
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.AcquisitionNumber, made.InstanceNumber, made.PatientPosition = 1, number + 1, course.position
    made.ImagePositionPatient = lattice.corner(course.frame(), z)
    made.ImageOrientationPatient = course.frame().orientation()
    made.PixelSpacing, made.SliceThickness = lattice.pixel_spacing(), ds(lattice.spacing[2])
    along = float(made.ImagePositionPatient[2])
    if course.slice_location != "none":
        made.SliceLocation = ds(-along if course.slice_location == "reversed" else along)
    return made


def _series(course: Course, modality: str, lattice: Lattice, value: Callable[..., Array]) -> list[Dataset]:
    """The images of a lattice, whose stored values are those of a function of place, plus 1024."""
    x, y = np.meshgrid(lattice.axis(0), lattice.axis(1))
    images = []
    for number, z in enumerate(lattice.axis(2)):
        made = _image(course, modality, number, lattice, float(z))
        values = np.clip(np.round(value(x, y, float(z))) + 1024, 0, 65535)
        _pixels(made, lattice.image(values, course.frame()), 16)
        made.RescaleIntercept, made.RescaleSlope = "-1024", "1"
        images.append(made)
    return images


def ct(course: Course) -> list[Dataset]:
    """The slices of the CT, with their damage."""
    images = _series(course, "CT", course.ct(), hu)
    for image in images:
        image.KVP, image.RescaleType = "120", "HU"
    numbers = list(range(1, len(images) + 1))
    if course.instance_numbers == "down":
        numbers.reverse()
    elif course.instance_numbers == "shuffled":
        random.Random(course.patient).shuffle(numbers)
    for image, number in zip(images, numbers):
        image.InstanceNumber = number
    return _damaged(course, images)


def _damaged(course: Course, images: list[Dataset]) -> list[Dataset]:
    place, frame = len(images) // 2, course.frame()
    z = float(course.ct().axis(2)[place])
    if course.damage == "missing":
        del images[place]
    elif course.damage == "uneven":
        images[place].ImagePositionPatient = course.ct().corner(frame, z + 0.7)
    elif course.damage == "duplicate":
        again = _image(course, "CT", len(images), course.ct(), z)
        flat = np.full((course.rows, course.columns), 1024)
        _pixels(again, flat, 16)
        again.RescaleIntercept, again.RescaleSlope, again.KVP = "-1024", "1", "120"
        images.append(again)
    elif course.damage == "mixed":
        images[place].ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    elif course.damage == "no position":
        for image in images:
            del image.ImagePositionPatient
            if "SliceLocation" in image:
                del image.SliceLocation
    return images


def mr(course: Course) -> list[Dataset]:
    """An MR of the same frame of reference, on pixels of its own."""
    return _series(course, "MR", Lattice((30, 24, 14), (2.0, 2.0, 4.0)), lambda x, y, z: 500 + x - 2 * y + 3 * z)


def pet(course: Course) -> list[Dataset]:
    """A PET of the same frame of reference, on pixels of its own."""
    images = _series(
        course, "PT", Lattice((20, 18, 12), (4.0, 4.0, 5.0)), lambda x, y, z: 3000 + 9 * x + 7 * y - 11 * z
    )
    for image in images:
        image.Units, image.CorrectedImage = "BQML", ["ATTN", "DECY"]
    return images


def structures(course: Course, images: Sequence[Dataset]) -> Dataset:
    """The structure set, on the slices that the CT was meant to have."""
    made = base(course, "RTSTRUCT", STRUCT)
    made.StructureSetLabel, made.StructureSetName = "PLANNING", "Planning structures"
    made.StructureSetDate, made.StructureSetTime = course.day, "093000"
    made.ApprovalStatus, made.InstanceNumber = "APPROVED", 1
    frame_of_reference = item(FrameOfReferenceUID=course.frame_uid())
    if course.structures_link == "series":
        series = item(SeriesInstanceUID=course.uid("CT", "series"))
        series.ContourImageSequence = Items([to(CT, image.SOPInstanceUID) for image in images])
        study = to(_STUDY, course.study_uid("CT"), RTReferencedSeriesSequence=Items([series]))
        frame_of_reference.RTReferencedStudySequence = Items([study])
    made.ReferencedFrameOfReferenceSequence = Items([frame_of_reference])
    rois = course.regions()
    made.StructureSetROISequence = Items([_region(course, roi) for roi in rois])
    drawn = [_contours(course, roi) for roi in rois if roi.drawn != "no item"]
    seen = [
        item(ObservationNumber=number, ReferencedROINumber=roi.number, RTROIInterpretedType=roi.kind, ROIInterpreter="")
        for number, roi in enumerate(rois, 1)
    ]
    if course.shuffled:
        order = random.Random(course.patient)
        order.shuffle(drawn)
        order.shuffle(seen)
    made.ROIContourSequence, made.RTROIObservationsSequence = Items(drawn), Items(seen)
    return made


def _region(course: Course, roi: Roi) -> Dataset:
    made = item(ROINumber=roi.number, ReferencedFrameOfReferenceUID=course.frame_uid(), ROIName=roi.name)
    made.ROIGenerationAlgorithm = "MANUAL"
    if roi.body is not None and course.tps_volumes != "none":
        made.ROIVolume = ds(round(roi.volume_cc() * (1.2 if course.tps_volumes == "wrong" else 1.0), 4))
    return made


def _contours(course: Course, roi: Roi) -> Dataset:
    made = item(ROIDisplayColor=[255, 5 * roi.number % 256, 0], ReferencedROINumber=roi.number)
    if roi.drawn == "nothing":
        return made
    curves = []
    for points in roi.contours():
        placed = course.frame().to_patient(points)
        curve = item(ContourGeometricType="POINT" if roi.drawn == "point" else "CLOSED_PLANAR")
        curve.NumberOfContourPoints = len(placed)
        # As texts, which is what a file holds: pydicom takes longer to look at each number than all the rest takes.
        data = [ds(round(value, 5)) for value in placed.ravel().tolist()]
        curve.add(DataElement(0x30060050, "DS", data, already_converted=True))
        curves.append(curve)
    if course.shuffled:
        random.Random(roi.number).shuffle(curves)
    made.ContourSequence = Items(curves)
    return made


def plan(course: Course, which: int) -> Dataset:
    """A plan of one beam."""
    spec = course.plans[which]
    made = base(course, "RTPLAN", PLAN, which)
    made.RTPlanLabel, made.RTPlanName, made.RTPlanGeometry = spec.label, spec.label, "PATIENT"
    made.RTPlanDate, made.RTPlanTime, made.ApprovalStatus = spec.day, "101500", spec.approval
    made.InstanceNumber = which + 1
    if spec.approval != "UNAPPROVED":
        made.ReviewDate, made.ReviewTime, made.ReviewerName = spec.day, "111500", "Physicist^A"
    goal = item(DoseReferenceNumber=1, DoseReferenceUID=course.uid("goal", which), DoseReferenceType="TARGET")
    goal.DoseReferenceStructureType = "SITE"
    if spec.prescription is not None:
        goal.TargetPrescriptionDose = ds(spec.prescription)
    made.DoseReferenceSequence = Items([goal])
    group = item(FractionGroupNumber=1, NumberOfFractionsPlanned=spec.fractions, NumberOfBeams=1)
    group.NumberOfBrachyApplicationSetups = 0
    group.ReferencedBeamSequence = Items([item(ReferencedBeamNumber=1, BeamMeterset="100")])
    made.FractionGroupSequence = Items([group])
    made.PatientSetupSequence = Items([item(PatientSetupNumber=1, PatientPosition=course.position)])
    point = item(ControlPointIndex=0, CumulativeMetersetWeight="0", NominalBeamEnergy="6", GantryAngle="0")
    point.IsocenterPosition = [ds(value) for value in course.frame().to_patient(np.zeros((1, 3)))[0]]
    beam = item(BeamNumber=1, BeamName="A", BeamType="STATIC", RadiationType="PHOTON", TreatmentMachineName="L1")
    beam.NumberOfControlPoints, beam.FinalCumulativeMetersetWeight = 2, "1"
    beam.ControlPointSequence = Items([point, item(ControlPointIndex=1, CumulativeMetersetWeight="1")])
    made.BeamSequence = Items([beam])
    made.ReferencedStructureSetSequence = Items([to(STRUCT, course.uid("RTSTRUCT"))])
    return made


def dose(course: Course, which: int) -> Dataset:
    """A plan's dose."""
    spec, lattice, frame = course.plans[which], course.grid(), course.frame()
    made = base(course, "RTDOSE", DOSE, which)
    made.InstanceNumber, made.DoseUnits, made.DoseType = which + 1, "GY", "PHYSICAL"
    made.DoseSummationType, made.FrameIncrementPointer = spec.summation, 0x3004000C
    upwards = (frame.along_normal() > 0) == (course.offsets != "descending")
    places = lattice.axis(2)[:: 1 if upwards else -1]
    made.ImagePositionPatient = lattice.corner(frame, float(places[0]))
    made.ImageOrientationPatient = frame.orientation()
    made.PixelSpacing, made.SliceThickness = lattice.pixel_spacing(), ds(lattice.spacing[2])
    made.GridFrameOffsetVector = _offsets(course, places)
    made.NumberOfFrames = len(places)
    x, y = np.meshgrid(lattice.axis(0), lattice.axis(1))
    grays = np.stack([spec.dose.at(x, y, float(z)) for z in places])
    if grays.min() < 0:
        raise ValueError("A dose of the phantom is below 0 Gy. Give it a higher centre or a lower gradient.")
    made.DoseGridScaling = ds(float(f"{grays.max() / (2**course.dose_bits - 1) * 1.01:.4g}"))
    if course.dose_bits == 32:
        made.DoseGridScaling = "0.000001"
    stored = np.round(grays / float(made.DoseGridScaling))
    _pixels(made, lattice.image(stored, frame), course.dose_bits)
    if course.dose_truncated:
        made.PixelData = made.PixelData[: len(made.PixelData) * 3 // 4 // 4 * 4]
    _say_whose(course, made, which)
    if course.dvh_of:
        made.DVHSequence = Items([_dvh(course, name, spec) for name in course.dvh_of])
    return made


def _offsets(course: Course, places: Array) -> list[str]:
    if course.offsets == "absolute":
        if course.plane != "axial":
            raise ValueError("Absolute offsets are those of axial frames only. Take relative ones.")
        return [ds(value) for value in course.frame().to_patient(np.array([[0.0, 0.0, z] for z in places]))[:, 2]]
    return [ds(value) for value in (places - places[0]) * course.frame().along_normal()]


def _say_whose(course: Course, made: Dataset, which: int) -> None:
    if course.dose_link == "plan":
        made.ReferencedRTPlanSequence = Items([to(PLAN, course.uid("RTPLAN", which))])
    if course.dose_link == "structures" or course.dvh_of:
        made.ReferencedStructureSetSequence = Items([to(STRUCT, course.uid("RTSTRUCT"))])
    if course.dose_link == "nothing":
        made.FrameOfReferenceUID = course.uid("another frame")


def _dvh(course: Course, name: str, spec: Plan) -> Dataset:
    """A cumulative histogram as planning systems export it: pairs of a bin's width and the volume from there on."""
    roi = next(roi for roi in course.regions() if roi.name == name)
    if roi.body is None:
        raise ValueError(f"Region {roi.number} has no volume. Leave it out of dvh_of.")
    exact = ExactDvh(roi.body, spec.dose)
    bins = [exact.v_cc(0.5 * number) for number in range(int(exact.maximum() / 0.5) + 2)]
    made = item(DVHType="CUMULATIVE", DoseUnits="GY", DoseType="PHYSICAL", DVHDoseScaling="1", DVHVolumeUnits="CM3")
    made.DVHNumberOfBins = len(bins)
    made.DVHData = [text for volume in bins for text in ("0.5", ds(round(volume, 6)))]
    made.DVHMinimumDose, made.DVHMaximumDose = ds(round(exact.minimum(), 6)), ds(round(exact.maximum(), 6))
    made.DVHMeanDose = ds(round(exact.mean(), 6))
    made.DVHReferencedROISequence = Items([item(DVHROIContributionType="INCLUDED", ReferencedROINumber=roi.number)])
    return made


def all_of(course: Course) -> list[Dataset]:
    """Every object of a course."""
    images = ct(course)
    made: list[Dataset] = []
    sorts: Iterable[tuple[str, Callable[[], Union[Dataset, list[Dataset]]]]] = (
        ("CT", lambda: images),
        ("MR", lambda: mr(course) if course.mr else []),
        ("PT", lambda: pet(course) if course.pet else []),
        ("RTSTRUCT", lambda: structures(course, images)),
        ("RTPLAN", lambda: [plan(course, which) for which in range(len(course.plans))]),
        ("RTDOSE", lambda: [dose(course, which) for which in range(len(course.plans))]),
    )
    for modality, objects in sorts:
        if modality not in course.leave_out:
            found = objects()
            made += found if isinstance(found, list) else [found]
    return made
