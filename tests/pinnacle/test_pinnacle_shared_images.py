"""Images that several plans or image sets share, and one identity in all that an export writes."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import phantom
import pytest
from image_scenes import Scene, converted, written
from pinnacle_compared import kinds, objects, resolved

from qa_fetch import BadArchive, NotFound
from qa_fetch.pinnacle import Report, export, kept, passing
from qa_fetch.pinnacle.making import Left

ADVICE = "look at it in the planning system, or export it from there"
GREY = Left("ROI 5 of plan 0", "its colour is not known; it is written in grey")
PLAN_0 = {("RTSTRUCT", 0, None), ("RTPLAN", 0, 0), ("RTDOSE", 0, 0)}
PLAN_1 = {("RTSTRUCT", 1, None), ("RTPLAN", 1, 0), ("RTDOSE", 1, 0)}
CT = {("CT", None, None)}


def of_version(scene: Scene, number: int, version: str) -> None:
    """Have a plan made with another version, by all that its files say."""
    before, *plans = scene.file("Patient").read_text("latin-1").split('PinnacleVersionDescription = "')
    plans[number] = f"Pinnacle {version}" + plans[number][plans[number].index('"') :]
    scene.file("Patient").write_text('PinnacleVersionDescription = "'.join([before, *plans]), "latin-1")
    for path in scene.file(f"Plan_{number}").glob("plan.*"):
        data = re.sub(rb'(WriteVersion = "\D*)[\d.]+[a-z]?"', rb"\g<1>" + version.encode() + b'"', path.read_bytes())
        path.write_bytes(data)


def exported(scene: Scene) -> Report:
    """The whole archive converted."""
    return export(scene.root, scene.root.parent / "out")


def where(report: Report, plan: int) -> Any:
    """Where a plan's first dose voxel lies in the images, counted from the first of those."""
    found = objects(report)
    first = min(found["CT", None, None], key=lambda each: float(each.ImagePositionPatient[2]))
    lies = found["RTDOSE", plan, 0][0].ImagePositionPatient
    return np.array(lies, dtype=float) - np.array(first.ImagePositionPatient, dtype=float)


@pytest.mark.parametrize("kind", ["dicom", "both"])
def test_plans_before_and_after_version_9_on_kept_images(tmp_path: Path, kind: str) -> None:
    """There is one series, and each plan has its place by its own version."""
    scene = written(tmp_path / "a", size="tiny", images=kind, version="7.4", plans=2)
    of_version(scene, 1, "9.10")
    report = exported(scene)
    assert (kinds(report), report.skipped) == (CT | PLAN_0 | PLAN_1, ())
    resolved(objects(report))
    assert {each.SeriesInstanceUID for each in objects(report)["CT", None, None]} == {
        scene.truth.patient.images[0].series_uid
    }
    old, new = (objects(report)["RTDOSE", plan, 0][0].ImagePositionPatient for plan in (0, 1))
    assert np.allclose(np.subtract(old, new), scene.truth.plan.shift, atol=1e-3)


@pytest.mark.parametrize("newer", [0, 1])
def test_plans_before_and_after_version_9_on_pixels(tmp_path: Path, newer: int) -> None:
    """The pixels lie where the older plan has them; nothing says how far away the newer one has them."""
    scene = written(tmp_path / "a", size="tiny", images="img", version="9.10", plans=2)
    of_version(scene, 1 - newer, "7.4f")
    report = exported(scene)
    assert kinds(report) == CT | (PLAN_0 if newer else PLAN_1)
    resolved(objects(report))
    reason = (
        "plans of versions before and after 9 were made on image set 0, and nothing in the archive says how far their "
        f"coordinates are apart; {ADVICE}"
    )
    assert report.skipped == (
        Left(f"RTSTRUCT of plan {newer}", reason),
        Left(f"RTPLAN of plan {newer}, trial 0", reason),
        Left(f"RTDOSE of plan {newer}, trial 0", reason),
    )


@pytest.mark.parametrize("kind", ["img", "dicom"])
def test_a_header_that_says_where_the_originals_lie_places_old_plans_too(tmp_path: Path, kind: str) -> None:
    """With pixels as with DICOM images: the newer plan as it stands, the older one by what both starts differ."""
    scene = written(tmp_path / "a", size="tiny", images=kind, version="16.0", plans=2)
    scene.edit("ImageSet_0.header", "^x_start =.*", "x_start = -17.25;")  # of -15.25
    scene.edit("ImageSet_0.header", "^y_start =.*", "y_start = -8.1;")  # of -8.6
    of_version(scene, 1, "7.4f")
    report = exported(scene)
    assert (kinds(report), report.skipped) == (CT | PLAN_0 | PLAN_1, ())
    resolved(objects(report))
    assert np.allclose(where(report, 1) - where(report, 0), [20.0, 5.0, 0.0], atol=1e-3)
    assert report.warnings == (
        GREY,
        Left("ROI 5 of plan 1", GREY.reason),
    )  # nor is there one of images that lie elsewhere
    assert {each.SeriesInstanceUID for each in objects(report)["CT", None, None]} == {
        scene.truth.patient.images[0].series_uid
    }


@pytest.mark.parametrize("version", ["7.4", None])
def test_pixels_of_which_a_plan_lies_who_knows_where(tmp_path: Path, version: Any) -> None:
    """A plan of no version, or of an old one where the header has no start for it, is not placed."""
    scene = written(tmp_path / "a", size="tiny", images="img")
    if version is not None:
        scene.edit("ImageSet_0.header", "^x_start =.*", "")
    outcome = converted(scene, version=None if version is None else float(version))
    assert outcome.series.doubt == (
        f"the archive does not say with which version the plan was made, which decides where the images lie; {ADVICE}"
        if version is None
        else f"ImageSet_0.header does not say where a plan of a version before 9 lies; {ADVICE}"
    )


def test_a_plan_whose_images_are_not_there_refers_to_the_originals(tmp_path: Path) -> None:
    """Also where an older plan is on the same images, of which none would have been made under their UIDs."""
    scene = written(tmp_path / "a", size="tiny", images="none", version="9.10", plans=2)
    of_version(scene, 1, "7.4f")
    report = exported(scene)
    truth = scene.truth.patient.images[0]
    (structures,) = objects(report)["RTSTRUCT", 0, None]
    assert structures.FrameOfReferenceUID == truth.frame_uid
    assert kinds(report) == PLAN_0


def second_set(scene: Scene, change: Callable[[Path], None] = lambda _: None) -> None:
    """Have the second plan on a second image set, which is the first once more."""
    text = scene.file("Patient").read_text("latin-1")
    begin = text.index("  ImageSet ={")
    end = text.index("  };\n", begin) + len("  };\n")
    twin = text[begin:end].replace("ImageSetID = 0", "ImageSetID = 1").replace("ImageSet_0", "ImageSet_1")
    before, _, after = (text[:end] + twin + text[end:]).rpartition("PrimaryCTImageSetID = 0;")
    scene.file("Patient").write_text(f"{before}PrimaryCTImageSetID = 1;{after}", "latin-1")
    for path in list(scene.folder.glob("ImageSet_0*")):
        copy = path.with_name(path.name.replace("ImageSet_0", "ImageSet_1"))
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            shutil.copy(path, copy)
    change(scene.file("ImageSet_1.img"))


@pytest.mark.parametrize("kind", ["img", "dicom"])
def test_images_that_were_imported_twice_are_written_once(tmp_path: Path, kind: str) -> None:
    """And both plans refer to them."""
    scene = written(tmp_path / "a", size="tiny", images=kind, plans=2)
    second_set(scene)
    report = exported(scene)
    assert (kinds(report), report.skipped) == (CT | PLAN_0 | PLAN_1, ())
    found = objects(report)
    resolved(found)
    assert len(found["CT", None, None]) == 8


def test_other_images_under_the_same_uids_are_left_out_with_their_plan(tmp_path: Path) -> None:
    """The first image set and its plan suffer nothing."""

    def brighter(pixels: Path) -> None:
        data = np.frombuffer(pixels.read_bytes(), "<i2") + 1
        pixels.write_bytes(data.astype("<i2").tobytes())

    scene = written(tmp_path / "a", size="tiny", images="img", plans=2)
    second_set(scene, brighter)
    report = exported(scene)
    assert kinds(report) == CT | PLAN_0
    resolved(objects(report))
    reason = (
        "images of image set 1 have the UIDs of those of image set 0, but not their content; "
        "find out in the planning system which are right"
    )
    whats = ("image set 1", "RTSTRUCT of plan 1", "RTPLAN of plan 1, trial 0", "RTDOSE of plan 1, trial 0")
    assert report.skipped == tuple(Left(what, reason) for what in whats)


def test_pixels_that_end_while_they_are_read_make_no_half_series(tmp_path: Path) -> None:
    """Of an old plan nobody would know then where it lies, since these images were the only ones under their UIDs."""
    scene = written(tmp_path / "a", images="img", version="7.4")
    pixels = scene.file("ImageSet_0.img")

    def cut(done: int, _: int) -> None:
        if done == 1:
            os.truncate(pixels, 10 * 64 * 48 * 2)

    report = export(scene.root, tmp_path / "out", on_progress=cut)
    assert report.written == ()
    assert report.skipped[0] == Left(
        "image set 0", "CT of image set 0: its pixels end before slice 11. Fetch the archive again."
    )
    assert {left.what for left in report.skipped[1:]} == {
        "RTSTRUCT of plan 0",
        "RTPLAN of plan 0, trial 0",
        "RTDOSE of plan 0, trial 0",
    }


def identity_of(scene: Scene, gender: str, birth: str = "1961-02-03", **values: Any) -> None:
    """What the archive says of its patient, and other than that what the kept images do."""
    scene.edit("Patient", "^Gender.*", f'Gender = "{gender}";')
    scene.edit("Patient", "^DateOfBirth.*", f'DateOfBirth = "{birth}";')
    for path in scene.kept:
        scene.change(path, **values)


@pytest.mark.parametrize(
    ("said", "values", "corrected"),
    [
        (("",), {"PatientSex": "M"}, None),
        (("Female",), {"PatientSex": "M"}, "PatientSex"),
        (("Female",), {"PatientSex": ""}, "PatientSex"),
        (("", ""), {"PatientBirthDate": "19610203"}, None),
        (("",), {"PatientName": "Doe^Jane^Q^^"}, None),
    ],
)
def test_what_one_of_archive_and_images_does_not_say_keeps_no_plan_back(
    tmp_path: Path, said: Any, values: dict[str, str], corrected: Any
) -> None:
    """Unknown is not another; what both say is the archive's in all."""
    scene = written(tmp_path / "a", size="tiny", images="dicom")
    identity_of(scene, *said, **values)
    report = exported(scene)
    assert (kinds(report), report.skipped) == (CT | PLAN_0, ())
    reason = f"8 DICOM files have another {corrected} than the archive's patient, and got the patient's"
    assert report.warnings == ((Left("CT of image set 0", reason), GREY) if corrected else (GREY,))
    if corrected:
        assert {each.PatientSex for found in objects(report).values() for each in found} == {"F"}


def test_files_are_looked_at_once_for_all_plans(tmp_path: Path, monkeypatch: Any) -> None:
    """Each is read whole for that."""
    looked: list[str] = []

    def look(source: Any, path: str) -> Any:
        looked.append(path)
        return kept.look(source, path)

    monkeypatch.setattr(passing, "look", look)
    exported(written(tmp_path / "a", size="tiny", images="dicom", plans=2))
    assert len(looked) == len(set(looked)) == 8


@pytest.mark.parametrize("by", [0.0, 0.5])
def test_a_series_of_which_some_are_missing_lies_as_high_as_the_image_set(tmp_path: Path, by: float) -> None:
    """Else the images that are made for the missing ones would lie between the others."""
    scene = written(tmp_path / "a", size="tiny", images="both")
    for path in scene.kept[3:5]:
        path.unlink()
    for path in scene.kept[:3] + scene.kept[5:]:
        place = scene.truth.patient.images[0].pictures[scene.kept.index(path)].position
        scene.change(path, ImagePositionPatient=[place[0], place[1], round(place[2] + by, 3)])
    assert converted(scene).series.doubt == (
        None if not by else f"images and image set differ by up to 0.5 mm in where their slices lie; {ADVICE}"
    )


def test_a_folder_of_archives_and_an_archive_that_is_cut_before_its_patient(tmp_path: Path) -> None:
    """Both say what is the matter, not that there is no patient."""
    (tmp_path / "tars").mkdir()
    phantom.write(phantom.Course(images="none", beams=("static",)), tmp_path / "tars/one.tar")
    with pytest.raises(NotFound) as caught:
        export(tmp_path / "tars", tmp_path / "out")
    assert str(caught.value) == "tars holds archives, but no patient of its own. Name one of them."
    cut = tmp_path / "cut.tar"
    with tarfile.open(cut, "w") as tar:
        member = tarfile.TarInfo("Institution_1/Mount_0/Patient_1/ImageSet_0.img")
        member.size = 100_000
        tar.addfile(member, io.BytesIO(bytes(100_000)))
    cut.write_bytes(cut.read_bytes()[:50_000])
    with pytest.raises(BadArchive) as cut_short:
        export(cut, tmp_path / "out")
    assert re.fullmatch(
        r"no patient of Pinnacle can be read in cut\.tar: .+\. Fetch it again from where it was kept\.",
        str(cut_short.value),
    )


def test_a_patient_who_is_in_the_archive_twice_is_told_of(tmp_path: Path) -> None:
    """Both become DICOM, under the same UIDs: an archive would take only one of each."""
    scene = written(tmp_path / "a", size="tiny", images="none")
    shutil.copytree(scene.folder, scene.folder.with_name("Patient_9"))
    report = exported(scene)
    reason = (
        "another folder of the archive is the same patient, and objects of both have the same UIDs; keep one of the two"
    )
    assert [each.warnings[0] for each in report.patients] == [Left("all objects of the patient", reason)] * 2
    assert len({each.folder for each in report.patients}) == 2
