"""Structure sets of whole archives, against the truth of their generator."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import phantom
import pytest
from phantom_course import Course
from pinnacle_work import opened

from qa_fetch.pinnacle import images, reading, sources
from qa_fetch.pinnacle.checking import Checks
from qa_fetch.pinnacle.making import ImageSeries, Left, Notes, Work
from qa_fetch.pinnacle.structures import structure_set

CLOSE = 0.05  # mm


def opened_plan(source: sources.Source) -> tuple[Work, ImageSeries]:
    """The first plan of an archive, and its images."""
    patient = reading.patients(source)[0]
    image_set = reading.image_set(source, patient, 0)
    work = Work(source, patient, image_set, reading.plan(source, patient, patient.plans[0]), Notes())
    return work, images.series(work)[0]


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
@pytest.mark.parametrize(("version", "kept"), [("16.0", "img"), ("16.0", "dicom"), ("6.2", "img"), ("6.2", "dicom")])
def test_every_contour_and_point_of_an_archive_is_where_it_was_drawn(
    position: str, version: str, kept: str, tmp_path: Path
) -> None:
    """In every position, before and after version 9, with the images that Pinnacle kept in either form."""
    course = Course(version=version, position=position, images=kept, odd_colours=True, long_values=True, plans=2)
    truth = phantom.write(course, tmp_path / "in.tar")
    with sources.opened(truth.path) as source:
        (patient,) = reading.patients(source)
        for entry, expected in zip(patient.plans, truth.patient.plans):
            image_set = reading.image_set(source, patient, 0)
            work = Work(source, patient, image_set, reading.plan(source, patient, entry), Notes())
            series, _ = images.series(work)
            encoded = structure_set(work, series)
            assert encoded is not None, work.notes.skipped
            assert Checks().objects(series, [encoded]).left == []
            dataset = opened(encoded.data)
            rois = list(zip(dataset.StructureSetROISequence, dataset.ROIContourSequence))
            assert [roi.ROIName for roi, _ in rois] == [
                *(roi.name for roi in expected.contours),
                *(mark.name for mark in expected.marks),
            ]
            heights = {image.sop_instance: image.z for image in series.images}
            for (_, drawn), roi in zip(rois, expected.contours):
                assert tuple(drawn.ROIDisplayColor) == roi.rgb
                found = drawn.get("ContourSequence", [])
                assert len(found) == len(roi.contours)
                for contour, points in zip(found, roi.contours):
                    here = np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)
                    assert here.shape == points.shape
                    assert np.abs(here - points).max() <= CLOSE
                    image = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
                    assert abs(heights[image] - points[0, 2]) <= CLOSE
            for (_, drawn), mark in zip(rois[len(expected.contours) :], expected.marks):
                assert tuple(drawn.ROIDisplayColor) == mark.rgb
                here = np.array([float(value) for value in drawn.ContourSequence[0].ContourData])
                assert np.abs(here - np.array(mark.position)).max() <= CLOSE


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_a_wrong_shift_of_half_a_metre_is_found(position: str, tmp_path: Path) -> None:
    """The shift of old versions, applied to a new one, would put every ROI beside the patient."""
    truth = phantom.write(Course(position=position, images="dicom"), tmp_path / "in.tar")
    with sources.opened(truth.path) as source:
        work, series = opened_plan(source)
        encoded = structure_set(work, series)
        assert encoded is not None
        wrong = replace(series, shift=(0.0, 500.0, 0.0))
        assert structure_set(work, wrong) is None
        moved = replace(
            series,
            low=(series.low[0], series.low[1] + 500, series.low[2]),
            high=(series.high[0], series.high[1] + 500, series.high[2]),
        )
        assert Checks().objects(moved, [encoded]).left == [
            Left("RTSTRUCT of plan 0", "its ROI 1 lies outside of the images, so it is held back")
        ]
    assert work.notes.skipped == [
        Left(
            "RTSTRUCT of plan 0",
            "most of its ROIs lie outside of the images, so it is not certain where any of them lies. "
            "Export this plan from the planning system",
        )
    ]


@pytest.mark.parametrize(("named", "left_out"), [("MR^T2", True), ("Something^Else", False)])
def test_a_region_drawn_on_another_image_set_is_left_out(named: str, left_out: bool, tmp_path: Path) -> None:
    """Its coordinates are those of that image set; a name that no image set has says nothing."""
    truth = phantom.write(Course(images="img", mr=True), tmp_path / "in")
    folder = truth.path / truth.patient.folder
    header, regions = folder / "ImageSet_1.header", folder / "Plan_0" / "plan.roi"
    header.write_bytes(re.sub(rb"db_name : .*", b"db_name : MR^T2", header.read_bytes()))
    own = re.search(rb"db_name : (.*)", (folder / "ImageSet_0.header").read_bytes())
    assert own is not None
    told = re.sub(rb" volume_name: .*", b" volume_name: " + own[1], regions.read_bytes())
    regions.write_bytes(told.replace(b" volume_name: " + own[1], f" volume_name: {named}".encode(), 1))
    with sources.opened(truth.path) as source:
        work, series = opened_plan(source)
        encoded = structure_set(work, series)
    assert encoded is not None
    names = [roi.ROIName for roi in opened(encoded.data).StructureSetROISequence]
    first = truth.patient.plans[0].contours[0].name
    assert (first not in names) is left_out
    expected = [Left("ROI 1 of plan 0", "it was drawn on another image set, which may lie elsewhere")]
    assert work.notes.skipped == (expected if left_out else [])
