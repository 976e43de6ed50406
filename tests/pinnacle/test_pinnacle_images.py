"""Images made from Pinnacle's pixels, each where the plan has it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_scenes import Scene, check, converted, values, work_of, written
from peers.process import Missing, program, skip_or_fail

from qa_fetch.errors import NotFound, QAFetchError
from qa_fetch.pinnacle import geometry, images
from qa_fetch.pinnacle.making import Left

POSITIONS = ("HFS", "HFP", "FFS", "FFP")
ADVICE = "look at it in the planning system, or export it from there"
ELSEWHERE = "fetch the images from where they were scanned"
NO_IMAGES = f"the archive holds neither DICOM files nor ImageSet_0.img; {ELSEWHERE}"


def refusal(scene: Scene) -> str:
    """Why an image set gives nothing at all."""
    with pytest.raises(QAFetchError) as caught:
        converted(scene)
    return str(caught.value)


# Made from pixels


@pytest.mark.parametrize(
    ("position", "order", "uneven"),
    [("HFS", "little", False), ("HFP", "big", False), ("FFS", "big", True), ("FFP", "little", True)],
)
def test_pixels_become_images_with_exact_values_in_their_place(
    tmp_path: Path, position: str, order: str, uneven: bool
) -> None:
    """CT and MR, in each position and byte order, with slices at even and uneven distances."""
    scene = written(tmp_path / "a", position=position, byte_order=order, uneven=uneven, mr=True)
    ct, mr = converted(scene), converted(scene, 1, plan=False)
    check(ct, scene.truth.patient.images[0])
    check(mr, scene.truth.patient.images[1])
    assert ct.said == ([], [])
    assert (ct.series.shift, ct.series.doubt) == ((0.0, 0.0, 0.0), None)
    assert {each.SliceThickness for each in ct.datasets} == {None if uneven else 3}


@pytest.mark.parametrize("position", POSITIONS)
def test_a_voxel_is_found_where_the_plan_would_have_it(tmp_path: Path, position: str) -> None:
    """A landmark of Pinnacle at x, y and z lies at to_dicom(x, y, z) by the images' own geometry."""
    scene = written(tmp_path / "a", position=position)
    columns, rows, slices = 64, 48, 20
    pixels = np.fromfile(scene.file("ImageSet_0.img"), "<i2").reshape(slices, rows, columns)
    landmarks = {(5, 40, 2): 1111, (60, 3, 17): 2222, (31, 24, 9): 1717}
    for (x, y, z), value in landmarks.items():
        pixels[z, rows - 1 - y, x] = value + 1000
    pixels.tofile(scene.file("ImageSet_0.img"))
    outcome = converted(scene)
    for (x, y, z), value in landmarks.items():
        place = geometry.to_dicom([-15.25 + x * 0.5, -8.6 + y * 0.4, -3.1 + z * 0.3], position)
        image = next(each for each in outcome.datasets if abs(each.ImagePositionPatient[2] - place[2]) < 1e-3)
        axes = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
        column, row = axes @ (place - np.array(image.ImagePositionPatient, dtype=float))
        at = row / float(image.PixelSpacing[0]), column / float(image.PixelSpacing[1])
        assert values(image)[round(at[0]), round(at[1])] == value
        assert np.allclose(at, np.round(at), atol=1e-3)


def test_the_volume_reaches_to_the_outer_edges_of_its_voxels(tmp_path: Path) -> None:
    """What the checks of contours and dose go by."""
    series = converted(written(tmp_path / "a")).series
    assert np.allclose(series.low, (-155.0, -104.0, -27.5))
    assert np.allclose(series.high, (165.0, 88.0, 32.5))
    assert geometry.inside(series, [[-155.0, 88.0, 32.5]])


def test_the_whole_range_of_values_is_kept(tmp_path: Path) -> None:
    """Metal and what lies outside of the scanned circle."""
    scene = written(tmp_path / "a")
    pixels = np.fromfile(scene.file("ImageSet_0.img"), "<i2")
    pixels[:4] = (-32768, -1, 0, 32767)
    pixels.tofile(scene.file("ImageSet_0.img"))
    first = converted(scene).datasets[0]
    assert values(first)[0, :4].tolist() == [-33768, -1001, -1000, 31767]
    assert (first.RescaleIntercept, first.RescaleSlope, first.RescaleType) == (-1000, 1, "HU")


def test_images_say_when_where_and_of_whom(tmp_path: Path) -> None:
    """The scan's own date, the scanner, the patient with letters beyond ASCII."""
    scene = written(tmp_path / "a", last_name="Dör")
    outcome = converted(scene)
    image = outcome.datasets[0]
    assert image.SpecificCharacterSet == "ISO_IR 192"
    assert [image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex] == [
        "Dör^Jane^Q",
        "PH0001",
        "19610203",
        "F",
    ]
    assert [image.StudyDate, image.StudyTime, image.SeriesDate, image.StudyID] == [
        "20191220",
        "091530",
        "20191220",
        "19263",
    ]
    assert [image.AcquisitionDate, image.AcquisitionTime, image.ContentTime] == ["20191220", "120000", "120000"]
    assert [image.Manufacturer, image.ManufacturerModelName] == ["GE MEDICAL SYSTEMS", "LightSpeed RT16"]
    assert [outcome.series.study_date, outcome.series.study_time] == ["20191220", "091530"]
    assert "SoftwareVersions" not in image


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dciodvfy_finds_no_error_in_them(tmp_path: Path, modality: str) -> None:
    """An official validator reads what is made."""
    try:
        tool = program("dciodvfy", "dicom3tools")
    except Missing as missing:
        skip_or_fail(missing)
    scene = written(tmp_path / "a", mr=True, uneven=modality == "MR", last_name="Dör")
    scene.edit("ImageSet_0.header", "^SeriesDateTime.*", "SeriesDateTime : unknown")
    file = converted(scene, ("CT", "MR").index(modality), plan=False).files[0]
    (tmp_path / "x.dcm").write_bytes(file.data)
    done = subprocess.run([tool, str(tmp_path / "x.dcm")], capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode("latin-1").splitlines()
    assert f"{modality}Image" in said
    assert [line for line in said if line.startswith("Error")] == []


def test_of_an_mr_the_archive_does_not_know_the_sequence(tmp_path: Path) -> None:
    """Its values are what they are: there is nothing to rescale them with."""
    outcome = converted(written(tmp_path / "a", mr=True), 1, plan=False)
    assert "RescaleIntercept" not in outcome.datasets[0]
    assert outcome.said == (
        [],
        [
            Left(
                "MR of image set 1",
                "the archive does not say with which sequence it was scanned; ScanningSequence is RM (research)",
            )
        ],
    )


@pytest.mark.parametrize("change", [-2, 1, 6144])
def test_pixels_that_are_too_few_or_too_many_are_not_guessed_at(tmp_path: Path, change: int) -> None:
    """Nobody knows which slice is which; the series is still what the plan refers to."""
    scene = written(tmp_path / "a")
    path = scene.file("ImageSet_0.img")
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + bytes(change))
    outcome = converted(scene)
    reason = (
        f"ImageSet_0.img has {122880 + change:,} bytes and not 122,880; fetch the archive again from where it was kept"
    )
    assert (outcome.files, outcome.said) == ([], ([Left("CT of image set 0", reason)], []))
    assert (len(outcome.series.images), outcome.series.doubt) == (20, None)


@pytest.mark.parametrize(
    ("pattern", "new", "reason"),
    [
        (r"^byte_order.*\n", "", f"ImageSet_0.header does not say how its 16 bits are written; {ELSEWHERE}"),
        ("^bytes_pix.*", "bytes_pix = 4;", f"ImageSet_0.header does not say how its 16 bits are written; {ELSEWHERE}"),
        (
            "^modality.*",
            "modality : PT",
            "what the values in ImageSet_0.img mean is known of CT and MR only; fetch the images as DICOM",
        ),
    ],
)
def test_pixels_that_a_header_does_not_explain_are_left_out(
    tmp_path: Path, pattern: str, new: str, reason: str
) -> None:
    """A guess would give other values."""
    scene = written(tmp_path / "a")
    scene.edit("ImageSet_0.header", pattern, new)
    outcome = converted(scene)
    assert outcome.files == []
    assert [left.reason for left in outcome.notes.skipped] == [reason]
    assert len(outcome.series.images) == 20


def test_a_modality_that_the_header_leaves_open_is_that_of_the_slices(tmp_path: Path) -> None:
    """ImageInfo names the class of each image."""
    scene = written(tmp_path / "a")
    scene.edit("ImageSet_0.header", "^modality.*", "modality : ")
    check(converted(scene), scene.truth.patient.images[0])


# Where it is not known where images lie


def test_without_images_there_is_still_the_series_that_they_were(tmp_path: Path) -> None:
    """A plan can be placed: header and ImageInfo say where."""
    outcome = converted(written(tmp_path / "a", images="none"))
    assert (outcome.files, outcome.said) == ([], ([Left("CT of image set 0", NO_IMAGES)], []))
    assert (len(outcome.series.images), outcome.series.doubt) == (20, None)


def test_nobody_knows_where_an_old_plan_lies_in_images_that_are_not_there(tmp_path: Path) -> None:
    """Before version 9 the images themselves say by how much they differ."""
    outcome = converted(written(tmp_path / "a", images="none", version="7.4"))
    assert outcome.series.doubt == (
        "the plan is of a version before 9, or of an unknown one, and its images are not in the archive, so it is not "
        f"known where it lies in them; {ADVICE}"
    )


def test_an_old_set_of_pixels_is_not_taken_for_its_originals(tmp_path: Path) -> None:
    """It may lie elsewhere than they do, so none of its images, their series or their frame has a UID of theirs."""
    scene = written(tmp_path / "a", version="8.0")
    outcome, truth = converted(scene), scene.truth.patient.images[0]
    made = sorted(outcome.datasets, key=lambda each: float(each.ImagePositionPatient[2]))
    originals = sorted(truth.pictures, key=lambda each: each.position[2])
    assert not {each.SOPInstanceUID for each in made} & {each.instance_uid for each in originals}
    assert outcome.series.series != truth.series_uid
    assert outcome.series.frame != truth.frame_uid
    pictures = tuple(replace(a, instance_uid=str(b.SOPInstanceUID)) for a, b in zip(originals, made))
    check(outcome, replace(truth, pictures=pictures, series_uid=outcome.series.series, frame_uid=outcome.series.frame))
    reason = (
        "before version 9, DICOM images lay elsewhere than Pinnacle's own, and these are made from the latter; they "
        "have UIDs of their own, so that nobody takes them for the originals"
    )
    assert outcome.said == ([], [Left("CT of image set 0", reason)])


def test_without_a_header_pixels_have_no_place(tmp_path: Path) -> None:
    """Nothing says how large a voxel is."""
    scene = written(tmp_path / "a")
    scene.file("ImageSet_0.header").unlink()
    assert refusal(scene) == (
        "ImageSet_0.header does not tell where the voxels lie. Fetch the images from where they were scanned."
    )


@pytest.mark.parametrize("left", [0, 7])
def test_without_its_slices_an_image_set_has_no_place(tmp_path: Path, left: int) -> None:
    """They may lie at uneven distances, so none is worked out from the others."""
    scene = written(tmp_path / "a")
    blocks = scene.file("ImageSet_0.ImageInfo").read_text("latin-1").split("ImageInfo ={")
    scene.file("ImageSet_0.ImageInfo").write_text("ImageInfo ={".join(blocks[: left + 1]), "latin-1")
    if not left:
        scene.file("ImageSet_0.ImageInfo").unlink()
    assert refusal(scene) == (f"ImageSet_0.ImageInfo has {left} of the 20 slices of ImageSet_0.header; {ELSEWHERE}.")


def test_two_slices_in_one_place_are_not_told_apart(tmp_path: Path) -> None:
    """Which of them comes first is not known."""
    scene = written(tmp_path / "a")
    scene.edit("ImageSet_0.ImageInfo", r"TablePosition = -2\.8", "TablePosition = -3.1")
    assert refusal(scene) == f"ImageSet_0.ImageInfo has 19 of the 20 slices of ImageSet_0.header; {ELSEWHERE}."


def test_slices_are_taken_by_their_height_not_by_their_line(tmp_path: Path) -> None:
    """The pixels go up in z whatever ImageInfo does."""
    scene = written(tmp_path / "a")
    path = scene.file("ImageSet_0.ImageInfo")
    head, *blocks = re.split(r"(?=^ImageInfo =\{)", path.read_text("latin-1"), flags=re.MULTILINE)
    last, _, trailer = blocks[-1].partition("};\n")
    blocks[-1] = last + "};\n"
    path.write_text(head + "".join(reversed(blocks)) + trailer, "latin-1")
    check(converted(scene), scene.truth.patient.images[0])


def test_a_header_that_begins_elsewhere_than_its_slices_is_named(tmp_path: Path) -> None:
    """The slices are taken at their word."""
    scene = written(tmp_path / "a")
    scene.edit("ImageSet_0.header", "^z_start = .*", "z_start = 1.000000;")
    outcome = converted(scene)
    check(outcome, scene.truth.patient.images[0])
    reason = "header and ImageInfo differ by 41.0 mm in where the first slice lies; ImageInfo is taken"
    assert outcome.said == ([], [Left("CT of image set 0", reason)])


def test_a_patient_on_the_side_cannot_be_placed(tmp_path: Path) -> None:
    """Pinnacle's axes are known for four positions."""
    scene = written(tmp_path / "a")
    scene.edit("ImageSet_0.header", "^patient_position.*", "patient_position : HFDR")
    assert refusal(scene) == (
        "the patient's position of image set 0 is none of HFS, HFP, FFS and FFP, so its images cannot be placed. "
        "Fetch them from where they were scanned."
    )


@pytest.mark.parametrize("kind", ["img", "dicom"])
@pytest.mark.parametrize("plan", [True, False])
def test_a_position_that_the_header_leaves_open_is_the_plans(tmp_path: Path, kind: str, plan: bool) -> None:
    """The same whether the images are asked for by a plan or for themselves."""
    scene = written(tmp_path / "a", position="FFP", images=kind)
    scene.edit("ImageSet_0.header", "^patient_position.*", "patient_position : ")
    for path in scene.kept if kind == "dicom" else ():
        scene.change(path, PatientPosition=None)
    series = converted(scene, plan=plan).series
    assert (series.patient_position, series.doubt) == ("FFP", None)


def test_plans_that_differ_do_not_say_how_the_patient_lay(tmp_path: Path) -> None:
    """One of them is wrong."""
    scene = written(tmp_path / "a", plans=2)
    scene.edit("ImageSet_0.header", "^patient_position.*", "patient_position : ")
    scene.edit("Plan_1/plan.PatientSetup", "Head First Into Scanner", "Feet First Into Scanner")
    assert refusal(scene) == (
        "the patient's position of image set 0 is none of HFS, HFP, FFS and FFP, so its images cannot be placed. "
        "Fetch them from where they were scanned."
    )


def test_a_plan_without_images_says_so(tmp_path: Path) -> None:
    """Its image set may be in another archive."""
    with work_of(written(tmp_path / "a"), None) as work, pytest.raises(NotFound) as caught:  # type: ignore[arg-type]
        images.series(work)
    assert str(caught.value) == ("the archive does not hold the images of this plan. Look for them in another archive.")


# What images are called


def test_uids_that_are_no_uids_or_not_unique_are_made_the_same_way_each_time(tmp_path: Path) -> None:
    """Those that are good stay."""
    scene = written(tmp_path / "a")
    truth = scene.truth.patient.images[0]
    scene.edit("ImageSet_0.ImageInfo", f'"{truth.pictures[3].instance_uid}"', '""')
    scene.edit("ImageSet_0.ImageInfo", f'"{truth.pictures[5].instance_uid}"', f'"{truth.pictures[6].instance_uid}"')
    scene.edit("ImageSet_0.ImageInfo", "StudyInstanceUID = .*;", 'StudyInstanceUID = "1.2.000.5";')
    scene.edit("ImageSet_0.ImageInfo", "FrameUID = .*;", 'FrameUID = "";', count=1)
    first, second = converted(scene), converted(scene)
    assert [file.data for file in first.files] == [file.data for file in second.files]
    uids = [file.sop_instance for file in first.files]
    kept = [index for index, picture in enumerate(truth.pictures) if picture.instance_uid == uids[index]]
    assert kept == [index for index in range(20) if index not in (3, 5, 6)]
    assert len(set(uids)) == 20
    assert {uids[index][:5] for index in (3, 5, 6)} == {"2.25."}
    assert first.series.study.startswith("2.25.")
    assert first.series.frame.startswith("2.25.")
    assert first.series.series == truth.series_uid


def test_a_series_that_is_called_as_its_study_gets_a_name_of_its_own(tmp_path: Path) -> None:
    """Some archives give both one UID."""
    scene = written(tmp_path / "a")
    truth = scene.truth.patient.images[0]
    scene.edit("ImageSet_0.ImageInfo", "SeriesUID = .*;", f'SeriesUID = "{truth.study_uid}";')
    outcome = converted(scene)
    assert (outcome.series.study, outcome.series.series) == (truth.study_uid, truth.series_uid)  # the header knows it
    scene.edit("ImageSet_0.header", "^series_UID.*", "series_UID : ")
    assert converted(scene).series.series.startswith("2.25.")


@pytest.mark.parametrize(("written_as", "date", "time"), [("8/20/2002", "20020820", ""), ("in May", "", "")])
def test_a_scans_date_is_read_or_left_empty(tmp_path: Path, written_as: str, date: str, time: str) -> None:
    """An unclear date is no date, and that is noted once."""
    scene = written(tmp_path / "a")
    scene.edit("ImageSet_0.header", "^SeriesDateTime.*", f"SeriesDateTime : {written_as}")
    outcome = converted(scene)
    image = outcome.datasets[0]
    assert (image.StudyDate, image.StudyTime, image.AcquisitionDate) == (date, time, date)
    reason = "the archive does not say clearly when it was scanned; it is empty"
    assert outcome.said == ([], [] if date else [Left("StudyDate of image set 0", reason)])


def test_images_are_made_one_by_one(tmp_path: Path) -> None:
    """The geometry is there before the first of them."""
    with work_of(written(tmp_path / "a")) as work:
        series, files = images.series(work)
        assert len(series.images) == 20
        first = next(files)
        assert len(first.data) < 64 * 48 * 2 + 4000
