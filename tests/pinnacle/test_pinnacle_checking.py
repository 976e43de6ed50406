"""The self-check: what is wrong in a finished object holds it back, and what refers to it."""

from __future__ import annotations

import io
import random
import warnings
from dataclasses import replace
from typing import Any, Callable, Optional

import numpy as np
import pytest
from pinnacle_work import CT, opened, point, roi, series, square, work
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.pinnacle.checking import RTDOSE, RTPLAN, RTSTRUCT, Checked, Checks
from qa_fetch.pinnacle.making import DOSE_MAXIMUM, DOSE_MAXIMUM_AT, Encoded, ImageSeries, Left
from qa_fetch.pinnacle.structures import structure_set

STRUCTURES, PLAN, DOSE = "1.2.3.10", "1.2.3.11", "1.2.3.12"
Change = Callable[[Any], object]


def finished(dataset: Any, modality: str, what: str, facts: Optional[dict[str, float]] = None) -> Encoded:
    """A data set as the bytes of its file."""
    buffer = io.BytesIO()
    part10.write(dataset, buffer)
    sop = str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)
    return Encoded(modality, *sop, buffer.getvalue(), what, facts or {})


def named(sop_class: str, sop_instance: str) -> Dataset:
    """An object of the patient, the study and the frame of reference of the others."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = sop_class, sop_instance
    data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = "12345678", "Doe^Jane", "19500203", "F"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    return data


def reference(sop_class: str, sop_instance: str) -> Dataset:
    """The item of a sequence that refers to an object."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item


def changed(data: Any, change: Optional[Change]) -> Any:
    """A data set with what a test makes wrong."""
    if change is not None:
        change(data)
    return data


def image(number: int = 1, change: Optional[Change] = None) -> Encoded:
    """An image of the series."""
    data = named(CT, f"1.2.3.4.{number}")
    data.ImagePositionPatient = ["-199", "-199", str(3 * number - 18)]
    return finished(changed(data, change), "CT", f"image {number}")


def structures(change: Optional[Change] = None) -> Encoded:
    """A structure set as it is made, under a UID that the tests know."""
    made = structure_set(work([roi(), roi("Rectum", square(0.3), square(0.6))], [point()]), series())
    assert made is not None
    data = opened(made.data)
    data.SOPInstanceUID = STRUCTURES
    return finished(changed(data, change), "RTSTRUCT", "RTSTRUCT of plan 0")


def plan(change: Optional[Change] = None) -> Encoded:
    """A plan that refers to the structure set and the dose."""
    data = named(RTPLAN, PLAN)
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedStructureSetSequence = [reference(RTSTRUCT, STRUCTURES)]
    data.ReferencedDoseSequence = [reference(RTDOSE, DOSE)]
    beams, group = [Dataset(), Dataset()], Dataset()
    group.FractionGroupNumber, group.ReferencedBeamSequence = 1, [Dataset(), Dataset()]
    for number, beam in enumerate(beams, 1):
        beam.BeamNumber = group.ReferencedBeamSequence[number - 1].ReferencedBeamNumber = number
    data.BeamSequence, data.FractionGroupSequence = beams, [group]
    return finished(changed(data, change), "RTPLAN", "RTPLAN of plan 0, trial 0")


def dose(
    change: Optional[Change] = None,
    facts: Optional[dict[str, float]] = None,
    first: tuple[float, float, float] = (-40.0, -30.0, -9.0),
    values: Any = None,
) -> Encoded:
    """A dose of 4 x 5 x 6 voxels of 10 mm whose maximum, 30 Gy, is in plane 1, row 2, column 3."""
    grid = np.zeros((4, 5, 6), "<u4")
    grid[1, 2, 3] = 3_000_000
    grid = grid if values is None else values
    data = named(RTDOSE, DOSE)
    data.ReferencedRTPlanSequence = [reference(RTPLAN, PLAN)]
    data.ReferencedStructureSetSequence = [reference(RTSTRUCT, STRUCTURES)]
    data.DoseUnits, data.DoseGridScaling = "GY", "0.00001"
    data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], list(first)
    data.PixelSpacing, data.GridFrameOffsetVector = [10, 10], [0, 5, 10, 15]
    data.NumberOfFrames, data.Rows, data.Columns = grid.shape
    data.BitsAllocated, data.PixelData = 32, grid.tobytes()
    data["PixelData"].VR = "OW"
    return finished(
        changed(data, change),
        "RTDOSE",
        "RTDOSE of plan 0, trial 0",
        {DOSE_MAXIMUM: 30.0} if facts is None else facts,
    )


def held(checked: Checked) -> dict[str, str]:
    """What is held back, by its modality, and why."""
    return {each.encoded.modality: each.left.reason for each in checked.held}


def reason(encoded: Encoded, *others: Encoded, images: Optional[ImageSeries] = None) -> Optional[str]:
    """Why the first of some objects is held back."""
    return held(Checks().objects(images or series(), [encoded, *others])).get(encoded.modality)


def test_objects_that_are_right_pass_in_their_order() -> None:
    """Images, structures, plan and dose of one patient."""
    checks = Checks()
    assert [checks.image(series(), image(number)) for number in range(1, 12)] == [None] * 11
    made = [structures(), plan(), dose()]
    checked = checks.objects(series(), made)
    assert checked.passed == tuple(made)
    assert checked.left == []


def test_a_trial_may_be_checked_after_its_structures() -> None:
    """Nothing must be kept in memory for what comes later."""
    checks = Checks()
    assert checks.objects(series(), [structures()]).held == ()
    assert checks.objects(series(), [plan(), dose()]).held == ()


def test_an_image_must_be_the_one_of_its_series() -> None:
    """Then the structure set, which names all images, is held back too, and what refers to it."""
    checks = Checks()
    wrong = image(3, lambda data: setattr(data, "ImagePositionPatient", ["-199", "-199", "9"]))
    assert checks.image(series(), wrong) == Left(
        "image 3", "it does not lie where its series has it, so it is held back"
    )
    assert held(checks.objects(series(), [structures(), plan(), dose()])) == {
        "RTSTRUCT": "it refers to images of which some are held back, so it is held back",
        "RTPLAN": "it refers to the structure set, which is not written, so it is held back",
        "RTDOSE": "it refers to the structure set, which is not written, so it is held back",
    }
    assert Checks().image(series(), image(12)) == Left(
        "image 12", "it is none of the images that its series has, so it is held back"
    )


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "PatientBirthDate", "PatientSex"])
def test_one_patient_in_all_objects(keyword: str) -> None:
    """Whoever differs from the first is held back, and nobody's values are in the message."""
    checks = Checks()
    assert checks.image(series(), image(1)) is None
    other = {"PatientSex": "M", "PatientBirthDate": "19500302"}.get(keyword, "Other")
    left = checks.image(series(), image(2, lambda data: setattr(data, keyword, other)))
    assert left == Left("image 2", "it does not name the patient as the other objects do, so it is held back")
    checked = checks.objects(series(), [structures(lambda data: setattr(data, keyword, other))])
    assert "it does not name the patient" in held(checked)["RTSTRUCT"]


@pytest.mark.parametrize(("keyword", "other"), [("PatientBirthDate", "19500302"), ("PatientSex", "M")])
def test_what_is_not_known_contradicts_nothing_but_what_is_known_once_does(keyword: str, other: str) -> None:
    """Also where the first object of all says nothing of it."""
    checks = Checks()
    assert checks.image(series(), image(1, lambda data: setattr(data, keyword, ""))) is None
    assert checks.image(series(), image(2)) is None
    assert checks.image(series(), image(3, lambda data: delattr(data, keyword))) is None
    left = checks.image(series(), image(4, lambda data: setattr(data, keyword, other)))
    assert left == Left("image 4", "it does not name the patient as the other objects do, so it is held back")


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName"])
def test_a_number_and_a_name_are_the_same_in_all(keyword: str) -> None:
    """Without its number an object is nobody's; what stands empty behind a name is no difference."""
    checks = Checks()
    assert checks.image(series(), image(1, lambda data: setattr(data, "PatientName", "Doe^Jane^^"))) is None
    assert checks.image(series(), image(2)) is None
    left = checks.image(series(), image(3, lambda data: setattr(data, keyword, "")))
    assert left == Left("image 3", "it does not name the patient as the other objects do, so it is held back")


@pytest.mark.parametrize(
    ("keyword", "expected"),
    [
        ("StudyInstanceUID", "it does not belong to the study of the images, so it is held back"),
        ("FrameOfReferenceUID", "it does not lie in the coordinates of the images, so it is held back"),
    ],
)
def test_one_study_and_one_frame_of_reference(keyword: str, expected: str) -> None:
    """Images, structures, plans and doses share both."""

    def change(data: Any) -> None:
        setattr(data, keyword, "1.2.3.999")

    assert Checks().image(series(), image(1, change)) == Left("image 1", expected)
    for encoded in (structures(change), plan(change), dose(change)):
        assert reason(encoded) == expected


def test_a_uid_is_given_once() -> None:
    """In one plan, in one patient, and among what the archive kept."""
    checks = Checks()
    checked = checks.objects(series(), [structures(), structures()])
    assert len(checked.passed) == 1
    assert checked.left == [
        Left("RTSTRUCT of plan 0", "another object of the same plan has its UID, so it is held back")
    ]
    again = "another object of the patient has its UID, so it is held back"
    assert checks.objects(series(), [structures()]).left == [Left("RTSTRUCT of plan 0", again)]
    kept = finished(named(CT, "1.2.3.77"), "RTIMAGE", "ImageSet_0.DICOM, file 3")
    assert checks.other(kept) is None
    assert checks.other(kept) == Left("ImageSet_0.DICOM, file 3", again)


def test_bytes_that_cannot_be_read_back_are_no_object() -> None:
    """Nor are those of another object than they were made for."""
    whole = structures()
    assert reason(replace(whole, data=whole.data[:-7])) == "it cannot be read back, so it is held back"
    assert reason(replace(whole, data=b"")) == "it cannot be read back, so it is held back"
    assert reason(replace(whole, sop_instance="1.2.3.99")) == (
        "it says to be another object than it was made as, so it is held back"
    )
    meta = part10.file_meta(RTSTRUCT, "1.2.3.99", part10.split(whole.data, "it").transfer_syntax)
    torn = replace(whole, data=meta + bytes(part10.split(whole.data, "it").dataset))
    assert reason(torn) == "its file header names another object, so it is held back"
    assert reason(dose(lambda data: delattr(data, "PixelSpacing"))) == "it cannot be read back, so it is held back"


def test_a_contour_out_of_the_images_holds_the_structures_back() -> None:
    """The wrong shift of old versions is half a metre; a couch may reach out a little."""
    shifted = replace(series(), low=(300.0, -200.0, -16.5), high=(700.0, 200.0, 16.5))
    assert reason(structures(), images=shifted) == "its ROI 1 lies outside of the images, so it is held back"
    assert reason(structures(), images=replace(series(), high=(200.0, 200.0, -1.0))) == (
        "its ROI 1 lies outside of the images, so it is held back"
    )

    def widen(to: float) -> Change:
        return lambda data: setattr(
            data.ROIContourSequence[0].ContourSequence[0],
            "ContourData",
            [-100, 0, 0, to, 0, 0, 0, 10, 0],
        )

    assert reason(structures(widen(249))) is None
    assert reason(structures(widen(251))) == "its ROI 1 reaches far out of the images, so it is held back"
    assert (
        reason(
            structures(lambda data: setattr(data.ROIContourSequence[2].ContourSequence[0], "ContourData", [999, 0, -3]))
        )
        is None
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"1\\2\\0\\nan\\2\\0\\3\\3\\0 ", "a contour has coordinates that are no places, so it is held back"),
        (b"1\\2\\0\\1\\2\\0\\3\\3 ", "a contour has coordinates that are no places, so it is held back"),
        (b"1\\2\\0\\x\\2\\0\\3\\3\\0 ", "a contour has coordinates that are no numbers, so it is held back"),
    ],
)
def test_coordinates_must_be_numbers_in_threes(raw: bytes, expected: str) -> None:
    """Bytes that were written directly are read back as bytes."""
    whole = structures()
    old = opened(whole.data).ROIContourSequence[0].ContourSequence[0].get_item(0x30060050).value
    new = raw.ljust(len(old))
    assert len(new) == len(old)
    assert reason(replace(whole, data=whole.data.replace(old, new, 1))) == expected


def test_a_contour_names_the_image_that_it_lies_on() -> None:
    """In feet-first positions the converter of others names the slices of the other end."""

    def name(instance: str) -> Change:
        return lambda data: setattr(
            data.ROIContourSequence[1].ContourSequence[0].ContourImageSequence[0], "ReferencedSOPInstanceUID", instance
        )

    assert reason(structures(name("1.2.3.4.8"))) == (
        "a contour of its ROI 2 names an image that lies elsewhere, so it is held back"
    )
    assert reason(structures(name("1.2.3.4.99"))) == (
        "a contour of its ROI 2 names an image that the series does not have, so it is held back"
    )


def test_the_structures_name_the_series_and_each_roi_once() -> None:
    """Every reference inside of the object resolves."""

    def one(data: Any) -> Any:
        study = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        return study.RTReferencedSeriesSequence[0]

    def other_image(data: Any) -> None:
        one(data).ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.4.99"

    assert reason(structures(other_image)) == "it refers to images that the series does not have, so it is held back"
    assert reason(structures(lambda data: setattr(one(data), "SeriesInstanceUID", "1.2.3.9"))) == (
        "it refers to another series than that of the images, so it is held back"
    )
    frame = "it does not lie in the coordinates of the images, so it is held back"
    assert (
        reason(
            structures(lambda data: setattr(data.ReferencedFrameOfReferenceSequence[0], "FrameOfReferenceUID", "1.9"))
        )
        == frame
    )


@pytest.mark.parametrize(
    ("keyword", "number"),
    [
        ("ROIContourSequence", "ReferencedROINumber"),
        ("RTROIObservationsSequence", "ReferencedROINumber"),
        ("StructureSetROISequence", "ROINumber"),
    ],
)
def test_each_roi_is_in_each_sequence_once(keyword: str, number: str) -> None:
    """Neither twice nor under a number that the others do not have."""
    expected = "it does not have each ROI once in each of its three sequences, so it is held back"
    assert reason(structures(lambda data: data[keyword].value.append(data[keyword][0]))) == expected
    assert reason(structures(lambda data: setattr(data[keyword][0], number, 9))) == expected


def test_a_plan_is_unapproved_and_whole_in_itself() -> None:
    """Fraction groups refer to beams that are there."""
    others = structures(), dose()
    assert reason(plan(lambda data: setattr(data, "ApprovalStatus", "APPROVED")), *others) == (
        "it is not marked as unapproved, so it is held back"
    )
    assert reason(plan(lambda data: setattr(data.BeamSequence[1], "BeamNumber", 1)), *others) == (
        "two of its beams have one number, so it is held back"
    )
    assert reason(plan(lambda data: setattr(data.BeamSequence[1], "BeamNumber", 7)), *others) == (
        "a fraction group refers to a beam that it does not have, so it is held back"
    )


@pytest.mark.parametrize(("x", "good"), [(0.0, True), (-240.0, True), (-260.0, False), (float("inf"), False)])
def test_an_isocentre_does_not_lie_far_out_of_the_images(x: float, good: bool) -> None:
    """A plan whose coordinates are shifted by half a metre shows there, also where it has neither contours nor dose."""

    def place(data: Any) -> None:
        point = Dataset()
        point.IsocenterPosition = [x, 0, 0]
        data.BeamSequence[1].ControlPointSequence = [point, Dataset()]

    expected = "the isocentre of one of its beams lies outside of the images, so it is held back"
    assert reason(plan(place), structures(), dose()) == (None if good else expected)


def test_what_refers_to_something_held_back_is_held_back_and_may_be_made_anew() -> None:
    """The plan of a dose that failed passes when it is made without the reference."""
    checks = Checks()
    checked = checks.objects(series(), [structures(), plan(), dose(facts={})])
    assert [each.modality for each in checked.passed] == ["RTSTRUCT"]
    assert [(each.encoded.modality, each.because) for each in checked.held] == [("RTPLAN", DOSE), ("RTDOSE", None)]
    assert checked.left == [
        Left("RTPLAN of plan 0, trial 0", "it refers to the dose, which is not written, so it is held back"),
        Left("RTDOSE of plan 0, trial 0", "nothing says the maximum that it must have, so it is held back"),
    ]
    again = checks.objects(series(), [plan(lambda data: delattr(data, "ReferencedDoseSequence"))])
    assert again.held == ()


def test_a_reference_to_an_object_of_another_sort_does_not_resolve() -> None:
    """A UID alone is not enough."""
    wrong = dose(lambda data: setattr(data, "ReferencedRTPlanSequence", [reference(RTPLAN, STRUCTURES)]))
    assert held(Checks().objects(series(), [structures(), plan(), wrong])) == {
        "RTPLAN": "it refers to the dose, which is not written, so it is held back",
        "RTDOSE": "it refers to the plan, which is not written, so it is held back",
    }


def alone(data: Any) -> None:
    """A dose that refers to nothing."""
    del data.ReferencedRTPlanSequence, data.ReferencedStructureSetSequence


def test_a_dose_has_the_maximum_of_the_archive() -> None:
    """To a ten-thousandth, which is the room for scaling; where nothing says what it must be, it does not pass."""
    assert reason(dose(alone, {DOSE_MAXIMUM: 30.002})) is None
    assert reason(dose(alone, {DOSE_MAXIMUM: 30.02})) == (
        "its maximum is 30 Gy where the archive's is 30.02 Gy, so it is held back"
    )
    assert reason(dose(alone, {DOSE_MAXIMUM: float("nan")})) == (
        "its maximum is 30 Gy where the archive's is nan Gy, so it is held back"
    )


def test_the_maximum_lies_where_it_does_in_the_archive() -> None:
    """A grid that is mirrored has the same maximum elsewhere; of several equal ones any will do."""
    at = dict(zip(DOSE_MAXIMUM_AT, (-10.0, -10.0, -4.0)))
    assert reason(dose(alone, {DOSE_MAXIMUM: 30.0, **at})) is None
    mirrored = {**at, "dose_maximum_z": 1.0}
    wrong = "its maximum does not lie where it does in the archive, so it is held back"
    assert reason(dose(alone, {DOSE_MAXIMUM: 30.0, **mirrored})) == wrong
    flat = np.full((4, 5, 6), 3_000_000, "<u4")
    assert reason(dose(alone, {DOSE_MAXIMUM: 30.0, **mirrored}, values=flat)) is None


def test_a_dose_lies_in_the_images() -> None:
    """Its grid may reach out of them, its maximum may not."""
    assert reason(dose(alone, first=(-245.0, -30.0, -9.0))) == (
        "its maximum lies outside of the images, so it is held back"
    )
    assert reason(dose(alone, first=(-225.0, -30.0, -9.0))) is None
    assert reason(dose(alone, first=(460.0, -30.0, -9.0))) == "its grid lies outside of the images, so it is held back"


def test_a_dose_of_nothing_has_its_maximum_nowhere() -> None:
    """A grid of zeros is what the archive says then."""
    assert reason(dose(alone, {DOSE_MAXIMUM: 0.0}, values=np.zeros((4, 5, 6), "<u4"))) is None


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("DoseUnits", "RELATIVE", "its dose is not in Gy on axes that run as those of the patient, so it is held back"),
        (
            "ImageOrientationPatient",
            [1, 0, 0, 0, -1, 0],
            "its dose is not in Gy on axes that run as those of the patient, so it is held back",
        ),
        ("Rows", 6, "its grid does not have the voxels that it says, so it is held back"),
        ("GridFrameOffsetVector", [0, 5, 10], "its grid does not have the voxels that it says, so it is held back"),
        ("GridFrameOffsetVector", [0, 5, 5, 15], "its grid does not have the voxels that it says, so it is held back"),
    ],
)
def test_a_dose_is_what_its_header_says(keyword: str, value: Any, expected: str) -> None:
    """Voxels, planes, units and axes."""

    def change(data: Any) -> None:
        alone(data)
        setattr(data, keyword, value)

    assert reason(dose(change)) == expected


@pytest.mark.parametrize("seed", range(2))
def test_damaged_bytes_hold_an_object_back_or_change_nothing_but_never_end_the_rest(seed: int) -> None:
    """Whatever pydicom raises of them, the other objects are still judged."""
    rng = random.Random(seed)
    made = [structures(), plan(), dose()]
    for _ in range(25):
        victim = rng.randrange(3)
        data = bytearray(made[victim].data)
        for _ in range(rng.choice((1, 2, 5))):
            at = rng.randrange(132, len(data))
            data[at : at + rng.choice((0, 1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
        damaged = [*made[:victim], replace(made[victim], data=bytes(data)), *made[victim + 1 :]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, of values that are none
            checked = Checks().objects(series(), damaged)
        assert len(checked.passed) + len(checked.held) == 3
        assert all(each.left.reason.endswith("so it is held back") for each in checked.held)
