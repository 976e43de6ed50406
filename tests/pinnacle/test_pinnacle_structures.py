"""A plan's ROIs and points as an RTSTRUCT, against truth written down by hand."""

from __future__ import annotations

import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from peers.process import Missing, program, skip_or_fail
from pinnacle_work import curve, opened, point, roi, series, square, work

from qa_fetch import part10
from qa_fetch.pinnacle.making import ImageSeries, Left, Work
from qa_fetch.pinnacle.records import Damage
from qa_fetch.pinnacle.structures import structure_set

# Where 1, 2 and 0.3 cm of Pinnacle lie in DICOM, mm, for each position.
PLACES = {"HFS": (10, -20, -3), "HFP": (-10, 20, -3), "FFS": (-10, -20, 3), "FFP": (10, 20, 3)}


def written(of: Work, images: ImageSeries) -> Any:
    """The structure set of a plan, read back."""
    encoded = structure_set(of, images)
    assert encoded is not None, of.notes.skipped
    return opened(encoded.data)


def contours(dataset: Any, number: int = 1) -> list[Any]:
    """The contours of the ROI with a number."""
    found = [each for each in dataset.ROIContourSequence if each.ReferencedROINumber == number]
    assert len(found) == 1
    return list(found[0].get("ContourSequence", ()))


def points(contour: Any) -> Any:
    """The points of a contour, n x 3."""
    return np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)


@pytest.mark.parametrize("position", PLACES)
def test_contours_and_points_lie_where_they_do_in_every_position(position: str) -> None:
    """Each position has its own signs, and the shift of the images is added to them."""
    triangle = curve([(1, 2, 0.3), (1.00005, 2, 0.3), (1, 2.5, 0.3)])
    images = replace(series(position), shift=(0.5, -0.25, 0.0))
    dataset = written(work([roi("PTV", triangle)], [point(at=(1.0, 2.0, 0.3))]), images)
    x, y, z = PLACES[position]
    sign = {axis: math.copysign(1, value) for axis, value in zip("xyz", (x, y, z))}
    expected = [
        (x + 0.5, y - 0.25, z),
        (x + 0.5 + sign["x"] * 0.0005, y - 0.25, z),
        (x + 0.5, y - 0.25 + sign["y"] * 5, z),
    ]
    assert np.abs(points(contours(dataset)[0]) - expected).max() <= 0.0006
    assert points(contours(dataset, 2)[0]).tolist() == [[x + 0.5, y - 0.25, z]]
    image = contours(dataset)[0].ContourImageSequence[0].ReferencedSOPInstanceUID
    assert {each.sop_instance: each.z for each in images.images}[image] == z


def test_each_roi_stands_once_in_every_sequence_and_names_may_repeat() -> None:
    """Numbers tell apart what names do not; the converter of others writes contours twice."""
    dataset = written(work([roi("PTV"), roi("PTV", square(0.3)), roi("Rectum")], [point("iso")]), series())
    assert [(each.ROINumber, each.ROIName) for each in dataset.StructureSetROISequence] == [
        (1, "PTV"),
        (2, "PTV"),
        (3, "Rectum"),
        (4, "iso"),
    ]
    assert [each.ReferencedROINumber for each in dataset.ROIContourSequence] == [1, 2, 3, 4]
    assert [each.ReferencedROINumber for each in dataset.RTROIObservationsSequence] == [1, 2, 3, 4]
    assert "ContourSequence" not in dataset.StructureSetROISequence[0]
    assert {each.ReferencedFrameOfReferenceUID for each in dataset.StructureSetROISequence} == {"1.2.3.3"}
    assert [contour.ContourNumber for contour in contours(dataset)] == [1]


def test_all_images_of_the_series_are_named_and_the_plan_is_described() -> None:
    """The frame of reference holds the study, the series and its images."""
    dataset = written(work([roi()]), series())
    (frame,) = dataset.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (one,) = study.RTReferencedSeriesSequence
    assert (frame.FrameOfReferenceUID, study.ReferencedSOPInstanceUID, one.SeriesInstanceUID) == (
        "1.2.3.3",
        "1.2.3.1",
        "1.2.3.2",
    )
    assert [each.ReferencedSOPInstanceUID for each in one.ContourImageSequence] == [
        f"1.2.3.4.{n}" for n in range(1, 12)
    ]
    assert (dataset.StructureSetLabel, dataset.StructureSetDate, dataset.StructureSetTime) == (
        "Prostate",
        "20200102",
        "101112",
    )
    assert (dataset.PatientID, str(dataset.PatientName), dataset.ApprovalStatus) == (
        "12345678",
        "Doe^Jane",
        "UNAPPROVED",
    )
    assert "StructureSetDescription" not in dataset


@pytest.mark.parametrize("when", [None, "", "8/20/2002", "2020-13-45 10:11:12"])
def test_a_plan_without_a_name_or_a_date_is_given_none(when: Optional[str]) -> None:
    """The label must be there, so it is the plan's number; a date is not made up."""
    of = work([roi()], name=None)
    assert of.plan is not None
    dataset = written(replace(of, plan=replace(of.plan, entry=replace(of.plan.entry, written=when))), series())
    assert (dataset.StructureSetLabel, dataset.StructureSetDate, dataset.StructureSetTime) == ("Plan 0", "", "")


def test_the_same_plan_gives_the_same_bytes() -> None:
    """Nothing depends on the clock or on chance."""
    first, second = (structure_set(work([roi()], [point()]), series()) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.data == second.data
    assert (first.modality, first.what) == ("RTSTRUCT", "RTSTRUCT of plan 0")


def test_a_curve_is_closed_without_its_first_point_again() -> None:
    """Pinnacle repeats the first point at the end, DICOM does not."""
    (contour,) = contours(written(work([roi("PTV", square(0.0))]), series()))
    assert contour.ContourGeometricType == "CLOSED_PLANAR"
    assert contour.NumberOfContourPoints == 4
    assert points(contour).tolist() == [[10, -10, 0], [-10, -10, 0], [-10, 10, 0], [10, 10, 0]]


def test_curves_of_few_points_are_what_they_are_and_reported() -> None:
    """One point is a POINT, two are open, none is left out."""
    of = work([roi("PTV", square(0), curve([(0, 0, 0)]), curve([(0, 0, 0), (1, 0, 0)]), curve([]))])
    found = contours(written(of, series()))
    assert [contour.ContourGeometricType for contour in found] == ["CLOSED_PLANAR", "POINT", "OPEN_PLANAR"]
    assert of.notes.skipped == []
    assert of.notes.warnings == [
        Left("ROI 1 of plan 0", "2 of its 4 contours have one or two points, so they enclose nothing"),
        Left("ROI 1 of plan 0", "1 of its 4 contours have no points and are left out"),
    ]


def test_flags_that_no_known_curve_has_are_reported() -> None:
    """What they mean is not known: the curve is closed, and somebody is told."""
    corners = [(1, 0, 0), (0, 1, 0), (0, 0, 0)]
    of = work([roi("PTV", curve(corners, 20), curve(corners, None), curve(corners, 16))])
    found = contours(written(of, series()))
    assert {contour.ContourGeometricType for contour in found} == {"CLOSED_PLANAR"}
    assert of.notes.warnings == [
        Left("ROI 1 of plan 0", "1 of its 3 contours have flags that are not known, and are written as closed")
    ]


@pytest.mark.parametrize("damaged", [roi("PTV", whole=False), roi("PTV", square(0), curve([(0, 0, 0)], whole=False))])
def test_an_roi_that_is_not_whole_is_not_written(damaged: Any) -> None:
    """A part of an organ must not pass for the organ; the others keep their numbers, and the object says so."""
    of = work([roi("Bladder"), damaged, roi("Rectum")])
    dataset = written(of, series())
    assert [(each.ROINumber, each.ROIName) for each in dataset.StructureSetROISequence] == [
        (1, "Bladder"),
        (3, "Rectum"),
    ]
    assert dataset.StructureSetDescription == "Incomplete: 1 ROIs or points of the archive are not in it."
    assert of.notes.skipped == [Left("ROI 2 of plan 0", "the archive does not hold all of its contours")]


def test_a_damaged_list_shows_in_the_object_itself() -> None:
    """An ROI that the archive has lost is not even counted; an importer sees the object alone."""
    of = work([roi()])
    assert of.plan is not None
    damaged = (Damage("Plan_0/plan.roi", "it is cut short in the archive"), Damage("Plan_0/plan.Trial", "it is empty"))
    dataset = written(replace(of, plan=replace(of.plan, damages=damaged)), series())
    assert dataset.StructureSetDescription == "Incomplete: plan.roi: it is cut short in the archive."


def test_an_roi_without_curves_keeps_its_name() -> None:
    """Templates leave empty ROIs in many plans."""
    empty = replace(roi("Empty"), curves=())
    of = work([empty, roi()])
    dataset = written(of, series())
    assert contours(dataset) == []
    assert dataset.StructureSetROISequence[0].ROIName == "Empty"
    assert of.notes.skipped == []
    assert of.notes.warnings == [
        Left("ROI 1 of plan 0", "it has no contours in the archive; its name is written without any")
    ]


def test_colours_come_from_the_table_and_unknown_ones_are_grey() -> None:
    """``inverse_grey`` is a gradient that Pinnacle offers: no reason for a report."""
    of = work([roi(colour="skyblue"), roi(colour="inverse_grey"), roi(colour="site_7"), roi(colour=None)])
    dataset = written(of, series())
    assert [list(each.ROIDisplayColor) for each in dataset.ROIContourSequence] == [
        [0, 191, 255],
        *[[127, 127, 127]] * 3,
    ]
    assert of.notes.warnings == [
        Left("ROI 3 of plan 0", "its colour is not known; it is written in grey"),
        Left("ROI 4 of plan 0", "the archive has no colour for it; it is written in grey"),
    ]


def test_types_are_terms_of_dicom_or_nothing() -> None:
    """A point is an isocentre where a beam says so, never because of its name."""
    others = [point("isocentre"), point("drp"), point("drp"), replace(point("x"), interpreted_type="COUCH")]
    of = work(
        [replace(roi(), interpreted_type="ptv"), replace(roi(), interpreted_type=None)], [point("A"), *others], "A"
    )
    dataset = written(of, series())
    assert [each.RTROIInterpretedType for each in dataset.RTROIObservationsSequence] == [
        *("PTV", "", "ISOCENTER", "MARKER", "MARKER", "MARKER", ""),
    ]
    twice = written(work([roi()], [point("A"), point("A", (0.0, 0.0, 0.0))], "A"), series())
    assert [each.RTROIInterpretedType for each in twice.RTROIObservationsSequence] == ["ORGAN", "MARKER", "MARKER"]


def test_points_without_a_place_are_left_out() -> None:
    """The archive may lack a coordinate, or hold one that is none."""
    of = work([roi()], [point("A", None), point("B", (0.0, math.inf, 0.0)), point("C")])
    dataset = written(of, series())
    assert [(each.ROINumber, each.ROIName) for each in dataset.StructureSetROISequence] == [(1, "PTV"), (4, "C")]
    assert of.notes.skipped == [
        Left("point 1 of plan 0", "the archive does not say where it is"),
        Left("point 2 of plan 0", "its coordinates are no place"),
    ]
    assert dataset.StructureSetDescription == "Incomplete: 2 ROIs or points of the archive are not in it."


def test_names_are_kept_in_unicode_cut_and_made_harmless() -> None:
    """An LO has 64 characters and no backslash."""
    of = work([roi("Hüfte ß 前立腺"), roi("A" * 70), roi("left\\right"), roi(None)])
    dataset = written(of, series())
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert [each.ROIName for each in dataset.StructureSetROISequence] == ["Hüfte ß 前立腺", "A" * 64, "left/right", ""]
    assert of.notes.warnings == [
        Left("the name of ROI 2 of plan 0", "it is longer than 64 characters and has been cut"),
        Left("ROI 4 of plan 0", "the archive has no name for it"),
    ]


def test_a_contour_between_or_beyond_images_refers_to_none() -> None:
    """A slice is missing at 6 mm: what was drawn on it is not given to a neighbour."""
    images = series(heights=[-6.0, -3.0, 0.0, 3.0, 9.0, 12.0])
    drawn = (square(0.6), square(0.46), square(0.44), square(-0.76), square(-0.74), square(1.36))
    of = work([roi("PTV", *drawn)])
    found = contours(written(of, replace(images, patient_position="FFP")))
    named = [[each.ReferencedSOPInstanceUID for each in contour.get("ContourImageSequence", ())] for contour in found]
    assert named == [[], [], ["1.2.3.4.4"], [], ["1.2.3.4.1"], []]
    assert of.notes.warnings == [
        Left("ROI 1 of plan 0", "4 of its 6 contours lie on none of the images, so they refer to none")
    ]


def test_a_long_contour_and_every_value_fit_their_elements() -> None:
    """A contour of 5,000 points has more bytes than a DS of explicit VR may have."""
    circle = [(10 * math.cos(a / 800), 10 * math.sin(a / 800), 0.123456789) for a in range(5000)]
    encoded = structure_set(work([roi("PTV", curve(circle))]), series())
    assert encoded is not None
    assert part10.split(encoded.data, "it").transfer_syntax == part10.IMPLICIT_LITTLE
    raw = opened(encoded.data).ROIContourSequence[0].ContourSequence[0].get_item(0x30060050).value
    assert len(raw) > 65534
    assert len(raw) % 2 == 0
    values = raw.rstrip(b" ").split(b"\\")
    assert len(values) == 15000
    assert max(map(len, values)) <= 16
    assert {float(value) for value in values[2::3]} == {-1.235}


def test_a_curve_that_lies_in_no_plane_is_no_contour() -> None:
    """Nor is one whose coordinates are too large to be a place."""
    bent = curve([(0, 0, 0), (1, 0, 0.5), (1, 1, 1), (0, 1, 0.2)])
    of = work([roi("Bent", bent), roi("Far", curve([(0, 0, 0), (1e9, 0, 0), (0, 1, 0)])), roi()])
    assert len(written(of, series()).StructureSetROISequence) == 1
    assert of.notes.skipped == [
        Left("ROI 1 of plan 0", "one of its curves does not lie in a plane"),
        Left("ROI 2 of plan 0", "its coordinates are no places"),
    ]


def test_an_upright_curve_is_a_contour_of_no_image() -> None:
    """Sagittal contours are planar too."""
    upright = curve([(0, 0, -0.9), (0, 1, -0.9), (0, 1, 0.9), (0, 0, 0.9)])
    of = work([roi("Cord", upright)])
    (contour,) = contours(written(of, series()))
    assert contour.ContourGeometricType == "CLOSED_PLANAR"
    assert "ContourImageSequence" not in contour


def test_one_stray_roi_is_left_out() -> None:
    """It was drawn elsewhere; a couch may reach out of the images."""
    stray = curve([(30, 0, 0), (31, 0, 0), (31, 1, 0)])
    wide = curve([(30, 0, 0), (-20, 0, 0), (0, 1, 0)])
    couch = curve([(23, 0, 0), (-23, 0, 0), (-23, -1, 0)])
    of = work([roi("Stray", stray), roi("PTV"), roi("Wide", wide), roi("Couch", couch)])
    assert [each.ROIName for each in written(of, series()).StructureSetROISequence] == ["PTV", "Couch"]
    assert of.notes.skipped == [
        Left("ROI 1 of plan 0", "it lies outside of the images"),
        Left("ROI 3 of plan 0", "it reaches far out of the images"),
    ]


def test_when_most_rois_are_astray_nothing_is_written() -> None:
    """A wrong shift puts them half a metre away: then the others are not where they seem either."""
    stray = curve([(50, 0, 0), (51, 0, 0), (51, 1, 0)])
    of = work([roi("A", stray), roi("B", stray), roi("C")], [point()])
    assert structure_set(of, series()) is None
    assert of.notes.skipped == [
        Left(
            "RTSTRUCT of plan 0",
            "most of its ROIs lie outside of the images, so it is not certain where any of them lies. "
            "Export this plan from the planning system",
        )
    ]


def test_what_cannot_be_a_structure_set_is_reported() -> None:
    """Nothing drawn, no images, or images in which nothing can be placed."""
    drawn = [roi()]
    for rois, images, reason in (
        ([], series(), "the archive holds neither ROIs nor points for it"),
        (drawn, replace(series(), images=()), "there is no image that its contours could refer to"),
        (drawn, replace(series(), doubt="plan and images disagree"), "plan and images disagree"),
        ([roi(whole=False)], series(), "none of its ROIs and points can be written"),
    ):
        of = work(rois)
        assert structure_set(of, images) is None
        assert of.notes.skipped[-1] == Left("RTSTRUCT of plan 0", reason)


def test_without_a_plan_there_is_no_structure_set() -> None:
    """Only images are wanted then."""
    assert structure_set(replace(work(), plan=None), series()) is None


def test_a_single_image_is_enough() -> None:
    """Its thickness says what lies on it."""
    found = contours(written(work([roi("PTV", square(0.0), square(0.14))]), series(images=1, heights=[0.0])))
    assert all("ContourImageSequence" in contour for contour in found)


def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    """Every sort of ROI and point in one object."""
    encoded = structure_set(
        work([roi("Hüfte"), replace(roi("Empty"), curves=()), roi("PTV", square(0), square(0.3))], [point("A")], "A"),
        series(),
    )
    assert encoded is not None
    path = tmp_path / "rs.dcm"
    path.write_bytes(encoded.data)
    try:
        tool = program("dciodvfy", "dicom3tools")
    except Missing as missing:
        skip_or_fail(missing)
    said = subprocess.run([tool, str(path)], capture_output=True, timeout=60, check=False)
    lines = (said.stdout + said.stderr).decode("latin-1").splitlines()
    assert [line for line in lines if line.startswith("Error")] == []
    assert "RTStructureSet" in lines
