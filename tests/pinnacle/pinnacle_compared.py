"""What an export wrote, read with pydicom and held against the truth of the phantom it was made of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import phantom
import phantom_truth as truths
import pydicom
from phantom_course import SIZES, Geometry

from qa_fetch.pinnacle import Report

SIZES["tiny"] = replace(  # as few images as it takes
    SIZES["small"], ct=Geometry((32, 24, 8), (1.0, 0.8, 0.75), (-15.25, -8.6, -3.1)), rois=5, contours=3, points=8
)

Key = tuple[str, Optional[int], Optional[int]]  # modality, plan, trial
PLACE = 0.05  # mm
SHARE = 0.0005


def kinds(report: Report, patient: int = 0) -> set[Key]:
    """What is written of a patient, without reading it."""
    return {(each.modality, each.plan, each.trial) for each in report.patients[patient].written}


def objects(report: Report, patient: int = 0, *, images: bool = True) -> dict[Key, list[Any]]:
    """The data sets of a patient by what they are."""
    found: dict[Key, list[Any]] = defaultdict(list)
    for each in report.patients[patient].written:
        if not images and each.image_set is not None:
            continue
        dataset = pydicom.dcmread(each.path)
        assert (dataset.SOPInstanceUID, dataset.SOPClassUID) == (each.sop_instance, each.sop_class)
        found[each.modality, each.plan, each.trial].append(dataset)
    return dict(found)


def expected(truth: truths.Patient) -> set[Key]:
    """What a whole archive gives."""
    found: set[Key] = {(images.modality, None, None) for images in truth.images}
    for plan in truth.plans:
        found.add(("RTSTRUCT", plan.number, None))
        for trial in plan.trials:
            found |= {("RTPLAN", plan.number, trial.index), ("RTDOSE", plan.number, trial.index)}
    return found


def said(report: Report) -> str:
    """Everything that a report says of what is not as it should be."""
    lefts = [f"{left.what}: {left.reason}" for left in (*report.skipped, *report.warnings)]
    damages = [f"{damage.path}: {damage.problem}" for patient in report.patients for damage in patient.damages]
    return "\n".join([*lefts, *damages])


def names(report: Report, key: Key) -> bool:
    """Whether the reasons for what was skipped name an object."""
    modality, plan, trial = key
    whats = [left.what for left in report.skipped]
    if plan is None:
        return any(re.search(r"\b(image set|what follows)\b", what) for what in whats)
    of = rf"plan {plan}\b" if trial is None else rf"plan {plan}(, trial {trial})?\Z"
    file = rf"Plan_{plan}/plan\.{'roi' if modality == 'RTSTRUCT' else 'Trial'}\Z"
    whole = f"plan {plan}"
    return any(what == whole or re.search(file, what) or (modality in what and re.search(of, what)) for what in whats)


def same_patient(truth: truths.Patient, dataset: Any, tags: Sequence[tuple[str, str]] = ()) -> None:
    """The identity is the archive's, but for what is said to have become of it."""
    wanted = {"PatientName": truth.name, "PatientID": truth.identifier, **dict(tags)}
    assert {keyword: str(dataset.get(keyword, "")) for keyword in wanted} == wanted


def same_images(truth: truths.Images, datasets: list[Any]) -> None:
    """Every voxel's HU and place; the UIDs where the archive keeps the images as DICOM."""
    assert len(datasets) == len(truth.pictures)
    found = sorted(datasets, key=lambda dataset: float(dataset.ImagePositionPatient[2]))
    for picture, dataset in zip(sorted(truth.pictures, key=lambda picture: picture.position[2]), found):
        stored = dataset.pixel_array
        values = stored * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
        assert np.array_equal(values, picture.values)
        assert np.allclose(dataset.ImagePositionPatient, picture.position, atol=PLACE / 10)
        assert tuple(dataset.ImageOrientationPatient) == truth.orientation
        assert np.allclose(dataset.PixelSpacing, truth.pixel_spacing, atol=1e-6)
        assert dataset.PatientPosition == truth.patient_position
        if truth.kept_as in ("dicom", "both"):
            assert (dataset.SOPInstanceUID, dataset.FrameOfReferenceUID) == (picture.instance_uid, truth.frame_uid)
            assert (dataset.StudyInstanceUID, dataset.SeriesInstanceUID) == (truth.study_uid, truth.series_uid)


def same_structures(truth: truths.Plan, images: list[Any], dataset: Any) -> None:
    """Every contour's points, its colour, and the image that it lies on."""
    places = {image.SOPInstanceUID: float(image.ImagePositionPatient[2]) for image in images}
    rois = {roi.ROINumber: roi for roi in dataset.StructureSetROISequence}
    wanted = [*truth.contours, *truth.marks]
    assert [roi.ROIName for roi in rois.values()] == [each.name for each in wanted]
    assert len(dataset.ROIContourSequence) == len(wanted)
    for each, contours in zip(wanted, dataset.ROIContourSequence):
        assert rois[contours.ReferencedROINumber].ROIName == each.name
        assert tuple(contours.ROIDisplayColor) == each.rgb
        arrays = each.contours if isinstance(each, truths.Contours) else [np.array([each.position])]
        assert len(contours.ContourSequence) == len(arrays)
        for array, contour in zip(arrays, contours.ContourSequence):
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            assert points.shape == array.shape
            assert np.abs(points - array).max() <= PLACE
            if isinstance(each, truths.Contours):
                (image,) = contour.ContourImageSequence
                assert abs(places[image.ReferencedSOPInstanceUID] - array[0, 2]) <= PLACE


def same_dose(truth: truths.Trial, dataset: Any, choice: str = "agree") -> None:
    """Every voxel's dose and place."""
    wanted = truth.dose(choice)
    assert wanted is not None
    assert list(dataset.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    first, (rows, columns) = np.array(dataset.ImagePositionPatient, dtype=float), dataset.PixelSpacing
    axes = (
        first[0] + float(columns) * np.arange(dataset.Columns),
        first[1] + float(rows) * np.arange(dataset.Rows),
        first[2] + np.array(dataset.GridFrameOffsetVector, dtype=float),
    )
    for axis, here in zip((wanted.x, wanted.y, wanted.z), axes):
        assert np.abs(axis - here).max() <= PLACE
    values = dataset.pixel_array * float(dataset.DoseGridScaling)
    assert np.abs(values - wanted.values).max() <= SHARE * wanted.values.max()


def same_plan(truth: truths.Trial, dataset: Any, choice: str = "agree") -> None:
    """Every beam's machine settings and monitor units."""
    assert dataset.ApprovalStatus == "UNAPPROVED"
    beams = {beam.BeamNumber: beam for beam in dataset.BeamSequence}
    assert len(beams) == len(truth.fields)
    units = {
        each.ReferencedBeamNumber: (group.NumberOfFractionsPlanned, float(each.BeamMeterset))
        for group in dataset.FractionGroupSequence
        for each in group.ReferencedBeamSequence
        if "BeamMeterset" in each
    }
    for field, beam in zip(truth.fields, dataset.BeamSequence):
        fractions, meterset = units[beam.BeamNumber]
        wanted = field.units(choice)
        assert wanted is not None
        assert (beam.BeamName, fractions) == (field.name, field.fractions)
        assert abs(meterset / wanted - 1) <= SHARE
        assert np.abs(np.array(beam.ControlPointSequence[0].IsocenterPosition) - field.isocentre).max() <= PLACE
        assert len(beam.ControlPointSequence) == len(field.settings)
        for setting, point in zip(field.settings, beam.ControlPointSequence):
            assert abs(float(point.CumulativeMetersetWeight) - setting.cumulative) <= SHARE
            if "GantryAngle" in point:
                assert abs(float(point.GantryAngle) - setting.gantry) <= PLACE
            for device in point.get("BeamLimitingDevicePositionSequence", ()):
                if device.RTBeamLimitingDeviceType.startswith("MLC"):
                    assert np.abs(np.array(device.LeafJawPositions, dtype=float) - setting.leaves).max() <= PLACE


def resolved(found: dict[Key, list[Any]]) -> None:
    """Nothing refers to what is not there, and all are of one patient and study."""
    everything = [dataset for datasets in found.values() for dataset in datasets]
    uids = {dataset.SOPInstanceUID for dataset in everything}
    assert len(uids) == len(everything)
    for dataset in everything:
        if dataset.Modality not in ("RTSTRUCT", "RTPLAN", "RTDOSE"):
            continue
        for keyword in ("ReferencedStructureSetSequence", "ReferencedRTPlanSequence", "ReferencedDoseSequence"):
            for item in dataset.get(keyword, ()):
                assert item.ReferencedSOPInstanceUID in uids


def archives(folder: Path) -> Callable[..., phantom.Truth]:
    """A way to make archives of the options of a course, in a folder."""
    return lambda name="archive.tar", **options: phantom.write(phantom.Course(**options), folder / name)


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file by its path in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
