"""Where things are, what they are called, and how values become elements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qa_fetch.errors import BadArchive
from qa_fetch.pinnacle import geometry, objects, uids
from qa_fetch.pinnacle.making import ImageSeries, Left, Notes, Work
from qa_fetch.pinnacle.records import ImageSet, Patient

PATIENT = Patient(
    "Institution_1/Mount_0/Patient_7",
    "10007",
    "Institution_1/Mount_0/Patient_7",
    "4711",
    "Doe",
    "Jane",
    None,
    "19610203",
    "F",
    None,
    (),
    (),
)
SERIES = ImageSeries(
    "1.2", "1.3", "1.4", "HFS", "5", "20200101", "100000", (), (-10.0, -20.0, -30.0), (10.0, 20.0, 30.0)
)
IMAGE_SET = ImageSet(
    number=0,
    folder="",
    modality="CT",
    dimension=(512, 256, 3),
    pixel=(0.1, 0.2, 0.3),
    start=(-25.0, -24.0, 0.0),
    start_dicom=None,
    byte_order="little",
    bytes_per_pixel=2,
    patient_position="HFS",
    version=None,
    description=None,
    series_uid=None,
    study_id=None,
    series_number=None,
    scanned=None,
    manufacturer=None,
    model=None,
    station=None,
    kvp=None,
    slices=(),
    pixels=None,
    dicom=(),
)


@pytest.mark.parametrize(
    ("position", "there"),
    [
        ("HFS", (10.0, -20.0, -30.0)),
        ("HFP", (-10.0, 20.0, -30.0)),
        ("FFS", (-10.0, -20.0, 30.0)),
        ("FFP", (10.0, 20.0, 30.0)),
    ],
)
def test_a_point_has_its_place_in_each_position(position: str, there: tuple[float, float, float]) -> None:
    """Centimetres as the patient lies become millimetres of the patient."""
    assert geometry.to_dicom([1, 2, 3], position).tolist() == list(there)
    assert (
        geometry.to_dicom([[1, 2, 3]] * 2, position, (1.0, 2.0, 4.0)).tolist()
        == [[there[0] + 1, there[1] + 2, there[2] + 4]] * 2
    )


@pytest.mark.parametrize("position", geometry.POSITIONS)
def test_no_position_mirrors_the_patient(position: str) -> None:
    """All four are rotations: left stays left of front and head."""
    assert np.prod(geometry.signs(position)) == 1


@pytest.mark.parametrize("position", geometry.POSITIONS)
def test_the_orientation_leads_from_voxel_to_voxel_as_the_coordinates_do(position: str) -> None:
    """One column on is up in Pinnacle's x, one row on is down in its y."""
    first, column, row = geometry.to_dicom([[1, 5, 2], [2, 5, 2], [1, 4, 2]], position)
    axes = np.array(geometry.orientation(position)) * 10
    assert (first + axes[:3]).tolist() == column.tolist()
    assert (first + axes[3:]).tolist() == row.tolist()


def test_zero_is_not_negative() -> None:
    """-0 would be written into contours."""
    assert "-" not in str(geometry.to_dicom([0.0, 0.0, 0.0], "HFS"))


def test_a_position_that_is_not_known_places_nothing() -> None:
    """Nobody guesses how Pinnacle's axes lie for a patient on the side."""
    with pytest.raises(BadArchive) as caught:
        geometry.to_dicom([1, 2, 3], "HFDR")
    assert str(caught.value) == (
        "the patient's position is none of HFS, HFP, FFS and FFP, so nothing can be placed. "
        "Export this plan from the planning system."
    )


def test_the_shift_of_old_versions_is_the_one_found_on_real_archives() -> None:
    """[IPPx - 10 x_start, IPPy + 10 (y_start + (ny - 1) pix), 0] for a patient on the back, head first."""
    corner = (-268.0, -301.5)  # IPPx, IPPy: also the lowest voxel, since columns and rows go up in DICOM's x and y
    expected = (corner[0] + 250.0, corner[1] + 10 * (-24.0 + 255 * 0.2), 0.0)
    assert geometry.shift(IMAGE_SET, "HFS", corner) == pytest.approx(expected)


@pytest.mark.parametrize("position", geometry.POSITIONS)
def test_the_shift_takes_any_voxel_to_where_its_dicom_image_has_it(position: str) -> None:
    """Also where an axis of DICOM goes against Pinnacle's."""
    moved = np.array([3.5, -7.25, 0.0])
    voxels = geometry.to_dicom([(-25.0, -24.0, 0.0), (-25.0 + 511 * 0.1, -24.0 + 255 * 0.2, 0.0)], position)
    low = voxels.min(axis=0) + moved
    assert geometry.shift(IMAGE_SET, position, (low[0], low[1])) == pytest.approx(tuple(moved))


def test_without_a_header_there_is_no_shift_to_know() -> None:
    """None is not zero."""
    assert geometry.shift(replace(IMAGE_SET, start=None), "HFS", (0.0, 0.0)) is None


def test_what_the_images_were_exported_with_comes_before_what_pinnacle_counts_from() -> None:
    """Version 16 has both, half a metre apart."""
    assert geometry.origin(IMAGE_SET) == (-25.0, -24.0)
    assert geometry.origin(replace(IMAGE_SET, start_dicom=(-25.0, -3.0))) == (-25.0, -3.0)
    assert geometry.origin(replace(IMAGE_SET, start=None)) is None


def test_points_are_inside_the_images_or_not() -> None:
    """On the edge is inside; one of many outside is enough."""
    assert geometry.inside(SERIES, [[0, 0, 0], [10, -20, 30]])
    assert not geometry.inside(SERIES, [[0, 0, 0], [10.2, 0, 0]])
    assert geometry.inside(SERIES, [[0, 0, 0], [10.2, 0, 0]], margin=0.5)
    assert not geometry.inside(SERIES, [[float("nan"), 0, 0]])


# UIDs


def test_a_uid_is_the_same_each_time_and_differs_with_all_that_tells_objects_apart() -> None:
    """It does not depend on where the archive lies, nor on a name that may be mended."""
    made = uids.Uids(PATIENT)
    uid = made.uid("instance RTPLAN", 0, 1, "Trial_1")
    assert uid == "2.25.287752289870741509384187531547612433429"
    assert (
        uids.Uids(replace(PATIENT, last_name="Roe", folder="elsewhere/Patient_7")).uid(
            "instance RTPLAN", 0, 1, "Trial_1"
        )
        == uid
    )
    others = {
        made.uid("instance RTDOSE", 0, 1, "Trial_1"),
        made.uid("instance RTPLAN", 0, 11, "Trial_1"),
        made.uid("instance RTPLAN", 0, 1, "Trial_1", None),
        made.uid("instance RTPLAN", 0, 1, None),
        uids.Uids(replace(PATIENT, medical_record_number="4712")).uid("instance RTPLAN", 0, 1, "Trial_1"),
        uids.Uids(replace(PATIENT, path="Institution_2/Mount_0/Patient_7")).uid("instance RTPLAN", 0, 1, "Trial_1"),
    }
    assert len(others - {uid}) == 6
    assert all(uids.valid(each) for each in others)


@pytest.mark.parametrize(
    ("uid", "good"),
    [("1.2.840.10008", True), ("", False), (None, False), ("1.02.3", False), ("1." * 40 + "1", False), ("1.2.", False)],
)
def test_only_what_the_standard_allows_is_taken_for_a_uid(uid: Any, good: bool) -> None:
    """Archives hold empty ones, and ones with leading zeros."""
    assert uids.valid(uid) is good


# Values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-01 10:00:00", ("20200101", "100000")),
        ("8/20/2002", ("20020820", None)),
        ("8/20/2002 9:05:07", ("20020820", "090507")),
        ("20200101", ("20200101", None)),
        ("2020-01-01 10:30", ("20200101", "103000")),
        ("2020-01-01 25:00:00", ("20200101", None)),
        ("20/8/2002", (None, None)),
        ("2020-02-30", (None, None)),
        ("8/20/02", (None, None)),
        ("yesterday", (None, None)),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_a_date_is_read_in_the_ways_that_headers_write_it(text: Any, expected: tuple[Any, Any]) -> None:
    """What is unsure is no date."""
    assert objects.moment(text) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (-1 / 3, "-0.3333333333333"),
        (-1.23456789012e-300, "-1.23456789e-300"),
        (123456789.123456789, "123456789.123457"),
    ],
)
def test_a_number_fits_into_sixteen_characters(value: float, text: str) -> None:
    """As exact as they allow."""
    assert objects.decimal(value) == text


def test_a_number_that_is_none_is_refused() -> None:
    """It must not get into a file."""
    with pytest.raises(ValueError, match="^a number that is not finite has no decimal string$"):
        objects.decimal(float("inf"))


def test_a_name_is_put_together_without_what_would_take_it_apart() -> None:
    """Carets and backslashes of the archive would make other names of it."""
    notes = Notes()
    assert objects.person(PATIENT, notes) == "Doe^Jane"
    odd = replace(PATIENT, last_name=" O^Doe\\x=y ", first_name=None, middle_name="Q\n")
    assert objects.person(odd, notes) == "O Doe/x y^^Q"
    assert (notes.skipped, notes.warnings) == ([], [])


def test_what_is_too_long_is_cut_and_noted_once() -> None:
    """However many objects say it."""
    notes = Notes()
    for _ in range(3):
        assert objects.fitted("x" * 17, objects.SHORT, notes, "the name of ROI 3") == "x" * 16
    assert notes.warnings == [Left("the name of ROI 3", "it is longer than 16 characters and has been cut")]


def test_a_part_of_a_patients_number_is_never_taken_for_the_number() -> None:
    """It could be another patient's."""
    notes = Notes()
    assert objects.identifier(replace(PATIENT, medical_record_number="1" * 65), notes) == ""
    assert notes.warnings == [Left("PatientID", "the archive's number has more than 64 characters; it is left out")]


@pytest.mark.parametrize(("name", "character_set"), [("Doe", None), ("Müller", "ISO_IR 192")])
def test_the_character_set_is_named_where_it_is_needed(name: str, character_set: Any) -> None:
    """And every object carries patient, study and frame of reference."""
    from io import BytesIO

    import pydicom

    notes = Notes()
    work = Work(None, replace(PATIENT, last_name=name), None, None, notes)  # type: ignore[arg-type]
    made = objects.encoded(objects.base(work, SERIES, "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3", "1.9", "1.8"))
    data = pydicom.dcmread(BytesIO(made.data))
    assert (made.modality, made.sop_class, made.sop_instance) == ("RTSTRUCT", data.SOPClassUID, "1.9")
    assert data.get("SpecificCharacterSet") == character_set
    assert [data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex] == [
        f"{name}^Jane",
        "4711",
        "19610203",
        "F",
    ]
    assert [data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID] == ["1.2", "1.8", "1.4"]
    assert [data.StudyDate, data.StudyTime, data.StudyID] == ["20200101", "100000", "5"]
    assert data.SoftwareVersions.startswith("qa_fetch ")
