"""Images that an archive keeps as DICOM go through, whole or counted, and the plan finds its place in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_scenes import check, converted, written

from qa_fetch.errors import BadArchive
from qa_fetch.pinnacle import geometry
from qa_fetch.pinnacle.making import Left

POSITIONS = ("HFS", "HFP", "FFS", "FFP")
ADVICE = "look at it in the planning system, or export it from there"


@pytest.mark.parametrize(("kind", "position"), [("dicom", "HFS"), ("both", "FFP")])
def test_kept_files_go_through_byte_for_byte(tmp_path: Path, kind: str, position: str) -> None:
    """Also where pixels are there too."""
    scene = written(tmp_path / "a", images=kind, position=position)
    outcome = converted(scene)
    check(outcome, scene.truth.patient.images[0])
    assert sorted(file.data for file in outcome.files) == sorted(path.read_bytes() for path in scene.kept)
    assert outcome.said == ([], [])
    assert (outcome.series.study_date, outcome.series.study_time, outcome.series.study_id) == (
        "20191220",
        "091530",
        "10000",
    )


@pytest.mark.parametrize("version", ["6.2", "7.4", "8.0", "9.10", "16.0"])
@pytest.mark.parametrize("position", POSITIONS)
def test_the_shift_is_that_of_the_version(tmp_path: Path, version: str, position: str) -> None:
    """Before version 9 it is read off the images; then plan and images agree."""
    scene = written(tmp_path / "a", images="dicom", version=version, position=position)
    outcome = converted(scene)
    assert np.allclose(outcome.series.shift, scene.truth.plan.shift, atol=1e-4)
    assert (outcome.series.doubt, outcome.said) == (None, ([], []))
    for roi in scene.truth.plan.contours:
        assert geometry.inside(outcome.series, np.concatenate(roi.contours))


def test_some_images_missing_and_pixels_there_make_a_whole_series(tmp_path: Path) -> None:
    """All in the place of the files that are there, also where an old plan differs from them."""
    scene = written(tmp_path / "a", images="both", version="7.4", position="HFP")
    for path in scene.kept[3:5]:
        path.unlink()
    outcome = converted(scene)
    check(outcome, scene.truth.patient.images[0])
    assert np.allclose(outcome.series.shift, scene.truth.plan.shift, atol=1e-4)
    reason = "2 of 20 DICOM files are missing, so all its images are made from ImageSet_0.img"
    assert outcome.said == ([], [Left("CT of image set 0", reason)])


@pytest.mark.parametrize("info", [True, False])
def test_half_a_series_is_never_passed_as_a_whole_one(tmp_path: Path, info: bool) -> None:
    """What is there goes through, and what is missing is counted, by ImageInfo or by the header."""
    scene = written(tmp_path / "a", images="dicom")
    for path in scene.kept[3:5]:
        path.unlink()
    if not info:
        scene.file("ImageSet_0.ImageInfo").unlink()
    outcome = converted(scene)
    assert len(outcome.files) == len(outcome.series.images) == 18
    reason = "2 of 20 images are not in the archive; fetch the whole series from where it was scanned"
    assert outcome.said == ([Left("CT of image set 0", reason)], [])


def test_a_file_that_is_cut_short_is_a_missing_image(tmp_path: Path) -> None:
    """And what is no DICOM at all is named."""
    scene = written(tmp_path / "a", images="dicom")
    scene.kept[0].write_bytes(scene.kept[0].read_bytes()[:3000])
    scene.file("ImageSet_0.DICOM/notes.txt").write_text("scanned in May")
    outcome = converted(scene)
    assert len(outcome.files) == 19
    assert outcome.said == (
        [
            Left(
                "CT of image set 0",
                "1 of 20 images are not in the archive; fetch the whole series from where it was scanned",
            ),
            Left("1 DICOM files in ImageSet_0.DICOM", "they are cut short or damaged; fetch the archive again"),
        ],
        [Left("1 files in ImageSet_0.DICOM", "they are no DICOM files")],
    )


def test_without_a_header_kept_files_speak_for_themselves(tmp_path: Path) -> None:
    """They say where they lie; only an old plan's place in them is lost."""
    scene = written(tmp_path / "a", images="dicom")
    scene.file("ImageSet_0.header").unlink()
    outcome = converted(scene)
    check(outcome, scene.truth.patient.images[0])
    assert outcome.series.doubt is None
    assert converted(scene, version=8.0).series.doubt == (
        "ImageSet_0.header does not describe the DICOM images, so it is not known where the plan lies in them; "
        + ADVICE
    )


def test_files_are_found_by_their_name_where_uids_were_changed(tmp_path: Path) -> None:
    """And by being of one series where neither is right."""
    scene = written(tmp_path / "a", images="dicom")
    scene.edit("ImageSet_0.ImageInfo", "InstanceUID = .*;", 'InstanceUID = "";')
    check(converted(scene), scene.truth.patient.images[0])
    scene.edit("ImageSet_0.ImageInfo", "DICOMFileName = .*;", 'DICOMFileName = "";')
    check(converted(scene), scene.truth.patient.images[0])


@pytest.mark.parametrize(("version", "shift"), [("16.0", True), ("7.4", False)])
def test_a_plan_of_no_version_is_placed_only_where_that_makes_no_difference(
    tmp_path: Path, version: str, shift: bool
) -> None:
    """The version decides between two places."""
    scene = written(tmp_path / "a", images="dicom", version=version)
    if version == "16.0":
        scene.edit("ImageSet_0.header", "^y_start = .*", "y_start = -8.600000;")
    series = converted(scene, version=None).series
    reason = "the archive does not say with which version the plan was made, which decides where the images lie"
    assert series.doubt == (None if shift else f"{reason}; {ADVICE}")


@pytest.mark.parametrize("kind", ["img", "dicom"])
def test_a_plan_for_a_patient_who_lay_otherwise_is_not_placed(tmp_path: Path, kind: str) -> None:
    """The images are written, for they say themselves how the patient lay."""
    scene = written(tmp_path / "a", images=kind, position="FFS")
    scene.edit("Plan_0/plan.PatientSetup", "Feet First Into Scanner", "Head First Into Scanner")
    outcome = converted(scene)
    check(outcome, scene.truth.patient.images[0])
    assert outcome.series.doubt == (
        f"plan, image set and images do not agree on how the patient lay (FFS, HFS); {ADVICE}"
    )
    assert converted(scene, plan=False).series.doubt is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"FrameOfReferenceUID": "1.2.3"}, "the images are of several series or frames of reference"),
        ({"PatientPosition": "HFP"}, "the images do not all lie the same way"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.8, 0.6]}, "the images are not axial"),
        (
            {"ImagePositionPatient": [-152.5, -101.2, 32.5]},
            "images and image set differ by up to 1.5 mm in where their slices lie",
        ),
    ],
)
def test_images_that_are_not_what_the_image_set_says_get_no_plan(
    tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    """They are passed through all the same."""
    scene = written(tmp_path / "a", images="dicom")
    scene.change(scene.kept[0], **values)
    outcome = converted(scene)
    assert len(outcome.files) == 20
    assert outcome.series.doubt == f"{reason}; {ADVICE}"


@pytest.mark.parametrize(("by", "doubt"), [(0.2, False), (80.0, True)])
def test_a_header_that_puts_new_images_elsewhere_is_noticed(tmp_path: Path, by: float, doubt: bool) -> None:
    """A little is named, a lot stops the plan."""
    scene = written(tmp_path / "a", images="dicom")
    scene.edit("ImageSet_0.header", "^x_start_dicom.*", f"x_start_dicom = {-15.25 + by / 10:.6f};")
    outcome = converted(scene)
    if doubt:
        reason = f"ImageSet_0.header and the DICOM images differ by {by:.1f} mm in where they lie; {ADVICE}"
        assert outcome.series.doubt == reason
    else:
        warning = "header and DICOM images differ by 0.20 mm in where they lie; the images are right"
        assert outcome.said == ([], [Left("CT of image set 0", warning)])


def test_another_patients_images_are_not_written(tmp_path: Path) -> None:
    """Neither are the pixels, which must be theirs too."""
    scene = written(tmp_path / "a", images="both")
    scene.change(scene.kept[7], PatientID="X1", PatientName="Roe^Richard", PatientBirthDate="19500101")
    with pytest.raises(BadArchive) as caught:
        converted(scene)
    assert str(caught.value) == (
        "1 DICOM files of image set 0 name another patient, so none of it is written. "
        "Find out with the archive's owner whose images they are."
    )
