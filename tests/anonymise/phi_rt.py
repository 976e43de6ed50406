"""The radiotherapy objects of the corpus: CT, structures, plan, dose, portal images, treatment record."""

from __future__ import annotations

import math

from phi_objects import (
    CT,
    DOSE,
    FIRST_DAY,
    IMAGE,
    MACHINE,
    PLAN,
    RECORD,
    ROWS,
    SERIAL,
    STAFF,
    STRUCT,
    Author,
    Items,
    da,
    item,
    to,
)
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from qa_fetch import part10

ORGANS = ("PTV_70", "Rectum", "Bladder")


def slices(author: Author, count: int = 3) -> list[Dataset]:
    """A planning CT, with an overlay, a curve and padding that identify."""
    made = [author.base(CT, "CT", number) for number in range(1, count + 1)]
    for number, image in enumerate(made, 1):
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.AcquisitionDate = image.ContentDate = da(FIRST_DAY)
        image.AcquisitionTime = image.ContentTime = "091500"
        image.AcquisitionDateTime = f"{da(FIRST_DAY)}091500.500+0200"
        author.plane(image, number)
        image.KVP, image.RescaleIntercept, image.RescaleSlope, image.AcquisitionNumber = "120", "-1024", "1", 1
        image.PatientPosition = "HFS"
        author.texts(image, "ImageComments", "ProtocolName", "DerivationDescription")
        author.pixels(image)
        name = author.person.name.encode("utf-8")
        name += b" " * (len(name) % 2)
        if number == 1:
            image.add_new(0x60000010, "US", 8)
            image.add_new(0x60000011, "US", 8)
            image.add_new(0x60000022, "LO", author.text())
            image.add_new(0x60000040, "CS", "G")
            image.add_new(0x60000050, "SS", [1, 1])
            image.add_new(0x60000100, "US", 1)
            image.add_new(0x60000102, "US", 0)
            image.add_new(0x60003000, "OW", b"\x81" * 8)
            image.add_new(0x60004000, "LT", author.text())
            image.add_new(0x50003000, "OW", name)
        image.add_new(0xFFFCFFFC, "OB", name)
    made[1].SourceImageSequence = Items([to(made[0])])
    made[1].ReferencedImageSequence = Items([to(made[2])])
    made[2].AnatomicRegionSequence = Items([item(CodeValue="T-D4000", CodeMeaning=author.text())])
    return made


def compressed(author: Author) -> Dataset:
    """A CT slice with the RLE pixels that come with pydicom."""
    image, source = slices(author, 3)[0], part10.read(_test_file("MR_small_RLE.dcm"))
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(image, keyword, source[keyword].value)
    image.add_new("PixelData", "OB", source.PixelData)
    image["PixelData"].is_undefined_length = True
    return image


def _test_file(name: str):  # type: ignore[no-untyped-def]
    from pathlib import Path

    found = get_testdata_file(name)
    assert isinstance(found, str), f"pydicom brings no {name}"
    return Path(found)


def structures(author: Author, images: list[Dataset]) -> Dataset:
    """Structures on the slices; one of them is named after the patient."""
    made = author.base(STRUCT, "RTSTRUCT")
    made.StructureSetLabel, made.StructureSetDate, made.StructureSetTime = "PLANNING", da(FIRST_DAY), "101500"
    author.texts(made, "StructureSetName", "StructureSetDescription")
    made.FrameOfReferenceUID = images[0].FrameOfReferenceUID
    series = item(
        SeriesInstanceUID=images[0].SeriesInstanceUID, ContourImageSequence=Items([to(image) for image in images])
    )
    study = to(images[0], RTReferencedSeriesSequence=Items([series]))
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = images[0].StudyInstanceUID
    made.ReferencedFrameOfReferenceSequence = Items(
        [item(FrameOfReferenceUID=images[0].FrameOfReferenceUID, RTReferencedStudySequence=Items([study]))]
    )
    regions, contours, observations = [], [], []
    for number, name in enumerate((*ORGANS, author.text(64)), 1):
        region = item(ROINumber=number, ReferencedFrameOfReferenceUID=images[0].FrameOfReferenceUID, ROIName=name)
        region.ROIGenerationAlgorithm = "MANUAL"
        author.texts(region, "ROIDescription")
        regions.append(region)
        rings = [_ring(image, number) for image in images]
        contours.append(item(ROIDisplayColor=[255, 0, 0], ContourSequence=Items(rings), ReferencedROINumber=number))
        observation = item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="ORGAN")
        observation.ROIInterpreter = STAFF[0]
        author.texts(observation, "ROIObservationLabel", most=16)
        author.texts(observation, "ROIObservationDescription")
        observations.append(observation)
    made.StructureSetROISequence, made.ROIContourSequence = Items(regions), Items(contours)
    made.RTROIObservationsSequence = Items(observations)
    _approved(made)
    return made


def _ring(image: Dataset, number: int) -> Dataset:
    z = float(image.ImagePositionPatient[2])
    turns = [math.tau * n / 24 for n in range(24)]
    points = [f"{value:.2f}" for turn in turns for value in (number * math.cos(turn), number * math.sin(turn), z)]
    made = item(ContourImageSequence=Items([to(image)]), ContourGeometricType="CLOSED_PLANAR")
    made.NumberOfContourPoints, made.ContourData = len(turns), points
    return made


def _approved(made: Dataset) -> None:
    made.ApprovalStatus, made.ReviewDate, made.ReviewTime = "APPROVED", da(FIRST_DAY), "111500"
    made.ReviewerName = STAFF[2]


def plan(author: Author, structure_set: Dataset) -> Dataset:
    """A plan of two beams whose names and notes identify."""
    made = author.base(PLAN, "RTPLAN")
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = structure_set.FrameOfReferenceUID, ""
    made.RTPlanLabel, made.RTPlanGeometry = f"PROST_{len(author.person.root)}", "PATIENT"
    made.RTPlanDate, made.RTPlanTime = da(FIRST_DAY), "104500"
    author.texts(made, "RTPlanName", "RTPlanDescription", "TreatmentProtocols", "PrescriptionDescription")
    made.TreatmentSites = author.text()
    goal = item(DoseReferenceNumber=1, DoseReferenceUID=author.uid("dose reference"), DoseReferenceType="TARGET")
    goal.DoseReferenceStructureType, goal.ReferencedROINumber = "VOLUME", 1
    goal.TargetPrescriptionDose = "70"
    author.texts(goal, "DoseReferenceDescription")
    made.DoseReferenceSequence = Items([goal])
    table = item(ToleranceTableNumber=1, GantryAngleTolerance="0.5")
    author.texts(table, "ToleranceTableLabel", most=16)
    made.ToleranceTableSequence = Items([table])
    setup = item(PatientSetupNumber=1, PatientPosition="HFS", SetupTechnique="ISOCENTRIC")
    author.texts(setup, "SetupTechniqueDescription", "PatientAdditionalPosition")
    device, fixation = item(SetupDeviceType="LASER_POINTER"), item(FixationDeviceType="MASK")
    author.texts(device, "SetupDeviceLabel", most=16)
    author.texts(device, "SetupDeviceDescription")
    author.texts(fixation, "FixationDeviceLabel", most=16)
    author.texts(fixation, "FixationDeviceDescription")
    setup.SetupDeviceSequence, setup.FixationDeviceSequence = Items([device]), Items([fixation])
    made.PatientSetupSequence = Items([setup])
    made.BeamSequence = Items([_beam(author, number) for number in (1, 2)])
    beams = [
        item(
            ReferencedBeamNumber=number,
            BeamMeterset="100.5",
            BeamDose="1",
            ReferencedDoseReferenceUID=goal.DoseReferenceUID,
        )
        for number in (1, 2)
    ]
    group = item(
        FractionGroupNumber=1, NumberOfFractionsPlanned=35, NumberOfBeams=2, ReferencedBeamSequence=Items(beams)
    )
    group.NumberOfBrachyApplicationSetups = 0
    author.texts(group, "FractionGroupDescription")
    made.FractionGroupSequence = Items([group])
    made.ReferencedStructureSetSequence = Items([to(structure_set)])
    _approved(made)
    return made


def _beam(author: Author, number: int) -> Dataset:
    beam = item(BeamNumber=number, BeamType="DYNAMIC", RadiationType="PHOTON", TreatmentMachineName=MACHINE)
    beam.BeamName = f"G{number}0 {author.text(48)}"
    author.texts(beam, "BeamDescription")
    beam.DeviceSerialNumber, beam.InstitutionName, beam.PrimaryDosimeterUnit = SERIAL, "Inselspital Lausanne", "MU"
    beam.SourceAxisDistance, beam.TreatmentDeliveryType = "1000", "TREATMENT"
    beam.BeamLimitingDeviceSequence = Items([item(RTBeamLimitingDeviceType="X", NumberOfLeafJawPairs=1)])
    beam.NumberOfWedges = beam.NumberOfCompensators = beam.NumberOfBoli = 0
    block = item(SourceToBlockTrayDistance="600", BlockType="SHIELDING", BlockDivergence="PRESENT", BlockNumber=1)
    author.texts(block, "BlockName", "AccessoryCode")
    author.texts(block, "BlockTrayID", most=16)
    block.MaterialID, block.BlockThickness, block.BlockTransmission = "", "80", "0.05"
    block.BlockNumberOfPoints, block.BlockData = 3, ["1", "1", "2", "2", "3", "1"]
    beam.NumberOfBlocks, beam.BlockSequence = 1, Items([block])
    beam.FinalCumulativeMetersetWeight, beam.NumberOfControlPoints, beam.ReferencedPatientSetupNumber = "1", 2, 1
    beam.ReferencedToleranceTableNumber = 1
    points = []
    for index in (0, 1):
        point = item(ControlPointIndex=index, CumulativeMetersetWeight=str(index))
        jaws = item(RTBeamLimitingDeviceType="X", LeafJawPositions=[f"-{10 + index}.25", f"{12 + index}.75"])
        point.BeamLimitingDevicePositionSequence = Items([jaws])
        point.GantryAngle, point.GantryRotationDirection = str(10 * number + index), "CW"
        if not index:
            point.NominalBeamEnergy, point.DoseRateSet, point.BeamLimitingDeviceAngle = "6", "600", "0"
            point.BeamLimitingDeviceRotationDirection = point.PatientSupportRotationDirection = "NONE"
            point.PatientSupportAngle, point.TableTopEccentricAngle = "0", "0"
            point.TableTopEccentricRotationDirection, point.IsocenterPosition = "NONE", ["0", "0", "0"]
            point.TableTopVerticalPosition = point.TableTopLongitudinalPosition = ""
            point.TableTopLateralPosition = ""
        points.append(point)
    beam.ControlPointSequence = Items(points)
    return beam


def dose(author: Author, planned: Dataset) -> Dataset:
    """A dose grid of two frames."""
    made = author.base(DOSE, "RTDOSE")
    author.plane(made, 1)
    made.FrameIncrementPointer = 0x3004000C
    made.DoseUnits, made.DoseType, made.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    author.texts(made, "DoseComment")
    made.GridFrameOffsetVector, made.DoseGridScaling = ["0", "2"], "0.001"
    author.pixels(made, 16, frames=2)
    made.ReferencedRTPlanSequence = Items([to(planned)])
    return made


def portal_images(author: Author, planned: Dataset) -> list[Dataset]:
    """Two images of two days."""
    made = [author.base(IMAGE, "RTIMAGE", number, day=7 * (number - 1)) for number in (1, 2)]
    for number, image in enumerate(made, 1):
        image.ImageType = ["ORIGINAL", "PRIMARY", "PORTAL"]
        image.AcquisitionDate = image.ContentDate = image.SeriesDate
        image.AcquisitionTime = image.ContentTime = "120000"
        image.SeriesInstanceUID = author.uid("RTIMAGE", "session", number)
        image.ConversionType, image.PatientOrientation = "DI", ""
        author.texts(image, "RTImageLabel", most=16)
        author.texts(image, "RTImageName", "RTImageDescription")
        image.RTImagePlane, image.XRayImageReceptorTranslation = "NORMAL", ["0", "0", "-500"]
        image.XRayImageReceptorAngle, image.RTImageOrientation = "0", ["1", "0", "0", "0", "-1", "0"]
        image.ImagePlanePixelSpacing, image.RTImagePosition = ["1", "1"], [str(-ROWS / 2), str(ROWS / 2)]
        image.RadiationMachineName, image.RadiationMachineSAD, image.RTImageSID = MACHINE, "1000", "1500"
        image.PrimaryDosimeterUnit, image.GantryAngle, image.ReferencedBeamNumber = "MU", "10", 1
        image.BeamLimitingDeviceAngle = image.PatientSupportAngle = "0"
        image.ExposureSequence = Items([item(KVP="6000", MetersetExposure="2", ReferencedFrameNumber=1)])
        image.ReferencedRTPlanSequence = Items([to(planned)])
        image.FrameOfReferenceUID = author.uid("frame")
        author.pixels(image)
    made[1].ReferencedImageSequence = Items([to(made[0])])
    return made


def record(author: Author, planned: Dataset) -> Dataset:
    """What was delivered in two fractions, and why somebody overrode something."""
    made = author.base(RECORD, "RTRECORD", day=1)
    made.TreatmentDate, made.TreatmentTime = made.SeriesDate, "143000"
    made.ReferencedRTPlanSequence = Items([to(planned)])
    machine = item(TreatmentMachineName=MACHINE, Manufacturer="ACME", InstitutionName="Inselspital Lausanne")
    machine.ManufacturerModelName, machine.DeviceSerialNumber = "Linac 3", SERIAL
    made.TreatmentMachineSequence = Items([machine])
    made.PrimaryDosimeterUnit, made.NumberOfFractionsPlanned = "MU", 35
    summary = item(FirstTreatmentDate=da(FIRST_DAY), MostRecentTreatmentDate=made.SeriesDate)
    made.FirstTreatmentDate, made.MostRecentTreatmentDate = summary.FirstTreatmentDate, summary.MostRecentTreatmentDate
    beam = item(ReferencedBeamNumber=1, BeamName=author.text(), BeamType="STATIC", RadiationType="PHOTON")
    beam.CurrentFractionNumber, beam.TreatmentDeliveryType = 2, "TREATMENT"
    beam.TreatmentTerminationStatus, beam.TreatmentVerificationStatus = "NORMAL", "VERIFIED_OVR"
    beam.NumberOfWedges = beam.NumberOfCompensators = beam.NumberOfBoli = beam.NumberOfBlocks = 0
    override = item(OverrideParameterPointer=0x300A011E, OperatorsName=STAFF[1])
    author.texts(override, "OverrideReason")
    point = item(
        TreatmentControlPointDate=made.TreatmentDate, TreatmentControlPointTime="143001", ReferencedControlPointIndex=0
    )
    point.SpecifiedMeterset = point.DeliveredMeterset = "50.25"
    point.DoseRateSet, point.DoseRateDelivered, point.OverrideSequence = "600", "598", Items([override])
    beam.NumberOfControlPoints, beam.ControlPointDeliverySequence = 1, Items([point])
    made.TreatmentSessionBeamSequence = Items([beam])
    return made
