"""Whole archives exported: what comes out is what the phantom holds, and what is broken is named and nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Optional

import phantom
import pytest
from phantom_breakages import BREAKAGES, BROKEN, INCOMPLETE, UNUSUAL
from phantom_breaking import Breakage, Lost
from pinnacle_compared import (
    Key,
    archives,
    expected,
    files_below,
    kinds,
    names,
    objects,
    resolved,
    said,
    same_dose,
    same_images,
    same_patient,
    same_plan,
    same_structures,
)

from qa_fetch import BadArchive, NotFound
from qa_fetch.pinnacle import Report, export


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., phantom.Truth]:
    """Archives of the options of a course."""
    return archives(tmp_path)


def whole(report: Report, truth: phantom.Truth, number: int = 0) -> None:
    """Everything of a patient is there and right."""
    patient = truth.patients[number]
    found = objects(report, number)
    assert set(found) == expected(patient)
    resolved(found)
    for datasets in found.values():
        for dataset in datasets:
            same_patient(patient, dataset)
    for image_set in patient.images:
        same_images(image_set, found[image_set.modality, None, None])
    for plan in patient.plans:
        same_structures(plan, found["CT", None, None], found["RTSTRUCT", plan.number, None][0])
        for trial in plan.trials:
            same_plan(trial, found["RTPLAN", plan.number, trial.index][0])
            same_dose(trial, found["RTDOSE", plan.number, trial.index][0])


# Right


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
@pytest.mark.parametrize(("version", "images"), [("16.0", "img"), ("7.4", "dicom")])
def test_a_patient_in_every_position_comes_out_where_it_is(archive, tmp_path, position, version, images):
    """Voxels to the HU, contours and dose to 0.05 mm and 0.05 %, whatever the version."""
    truth = archive(version=version, position=position, images=images)
    report = export(truth.path, tmp_path / "out")
    assert report.skipped == ()
    whole(report, truth)


@pytest.mark.parametrize(
    ("version", "images"), [("6.2", "img"), ("8.0", "both"), ("9.10", "dicom"), ("14.0", "both"), ("16.0", "both")]
)
def test_every_version_comes_out_where_it_is(archive, tmp_path, version, images):
    """The versions before 9 count from elsewhere, where DICOM images are there."""
    truth = archive(version=version, images=images, size="tiny")
    report = export(truth.path, tmp_path / "out")
    assert report.skipped == ()
    whole(report, truth)


@pytest.mark.parametrize("position", ["HFS", "FFP"])
def test_every_sort_of_beam_comes_out_as_it_is(archive, tmp_path, position):
    """Static, segments, arcs with every control point, wedges, blocks, and machines of other leaves or none."""
    sorts = tuple(sort for sort in phantom.SORTS if sort != "electrons")
    truth = archive(position=position, beams=sorts, size="tiny")
    report = export(truth.path, tmp_path / "out")
    assert report.skipped == ()
    whole(report, truth)


@pytest.mark.parametrize(
    "options",
    [
        {"uneven": True, "byte_order": "big"},
        {"long_values": True, "odd_colours": True},
        {"last_name": "Müller", "machines": ()},
        {"last_name": "Čapková", "encoding": "utf-8", "mr": True, "position": "FFS"},
    ],
    ids=lambda options: ", ".join(options),
)
def test_what_is_unusual_and_not_wrong_comes_out_as_it_is(archive, tmp_path, options):
    """Uneven slices, the other byte order, long numbers, odd colours, letters beyond ASCII, no machines."""
    truth = archive(size="tiny", **options)
    report = export(truth.path, tmp_path / "out")
    assert report.skipped == ()
    whole(report, truth)


@pytest.mark.parametrize("name", ["archive.tar.gz", "folder"])
def test_compressed_tars_and_unpacked_archives_are_the_same(archive, tmp_path, name):
    """Every file of the output has the same bytes, wherever the archive's files lie."""
    options = {"mr": True, "rt_images": 2, "foreign": True, "images": "both", "size": "tiny"}
    first = export(archive(**options).path, tmp_path / "first")
    second = export(archive(name, **options).path, tmp_path / "second")
    assert files_but_report(first.patients[0].folder) == files_but_report(second.patients[0].folder)
    assert len(first.written) == 8 + 12 + 3 + 3


def files_but_report(folder: Optional[Path]) -> dict[str, bytes]:
    assert folder is not None
    return {name: data for name, data in files_below(folder).items() if name != "report.json"}


def test_ct_mr_and_what_the_archive_keeps_besides(archive, tmp_path):
    """Both image sets, RT images and somebody's plan go along; each object is written once."""
    truth = archive(mr=True, rt_images=2, foreign=True, images="both", size="tiny")
    report = export(truth.path, tmp_path / "out")
    found = objects(report)
    for image_set in truth.patient.images:
        same_images(image_set, found[image_set.modality, None, None])
    kept = {(each.modality, each.sop_instance) for each in report.written if each.image_set is None}
    assert {(modality, uid) for modality, uid, _ in truth.patient.others} <= kept
    assert report.skipped == ()


def test_several_patients_get_a_folder_each(archive, tmp_path):
    """Two patients of one tar, each whole."""
    truth = archive(patients=2, size="tiny")
    report = export(truth.path, tmp_path / "out")
    assert [patient.folder for patient in report.patients] == [tmp_path / "out/PH0001", tmp_path / "out/PH0001_2"]
    whole(report, truth, 0)
    whole(report, truth, 1)


def test_the_same_archive_gives_the_same_bytes_and_is_left_alone(archive, tmp_path):
    """A second export into the same folder changes nothing, not even the time of a file."""
    truth = archive(plans=2, trials=2, size="tiny")
    first = export(truth.path, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert export(truth.path, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    other = export(truth.path, tmp_path / "other")
    assert files_below(tmp_path / "out") == files_below(tmp_path / "other")
    assert other.to_json()["patients"][0]["written"] == first.to_json()["patients"][0]["written"]


def test_equal_names_at_equal_times_are_different_plans(archive, tmp_path):
    """No UID comes from a name, so nothing is written over."""
    truth = archive("folder", plans=2, trials=2, size="tiny")
    BREAKAGES["equal plans at equal times"](truth.path)
    report = export(truth.path, tmp_path / "out")
    assert len({each.sop_instance for each in report.written}) == len(report.written) == 8 + 2 + 4 + 4
    assert len(list((tmp_path / "out/PH0001").glob("*.dcm"))) == len(report.written)


# Broken


class Shelf:
    """Whole archives of the courses that are broken, and what they give, made once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[phantom.Course, tuple[phantom.Truth, dict[str, bytes]]] = {}

    def of(self, name: str) -> tuple[phantom.Truth, dict[str, bytes]]:
        course = replace(BREAKAGES[name].course, size="tiny")
        if name in UNUSUAL or name in INCOMPLETE:  # there everything is written, so that one trial is enough
            course = replace(course, plans=1 + ("plans" in name), trials=1 + ("trials" in name))
        if course not in self._made:
            place = self._root / str(len(self._made))
            truth = phantom.write(course, place)
            report = export(place, self._root / f"{place.name}.out")
            self._made[course] = (truth, {each.path.name: each.path.read_bytes() for each in report.written})
        return self._made[course]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """What breakages start from."""
    return Shelf(tmp_path_factory.mktemp("whole"))


def broken(breakage: Breakage, truth: phantom.Truth, tmp_path: Path) -> Path:
    """A copy of an archive, broken."""
    folder = tmp_path / "broken"
    shutil.copytree(truth.path, folder)
    if breakage.of_tar:
        tar = phantom.packed(folder, tmp_path / "broken.tar")
        breakage(tar)
        return tar
    breakage(folder)
    return folder


def any_of(lost: tuple[Lost, ...], key: Key) -> bool:
    return any(
        each.modality == key[0] and each.plan in (None, key[1]) and each.trial in (None, key[2]) for each in lost
    )


@pytest.mark.parametrize("name", [name for name, breakage in BREAKAGES.items() if not breakage.refused])
def test_what_is_broken_is_named_and_nothing_else_is_lost(shelf, tmp_path, name):
    """Exactly the objects that cannot be made are missing; what is written is right."""
    breakage = BREAKAGES[name]
    truth, whole_files = shelf.of(name)
    report = export(broken(breakage, truth, tmp_path), tmp_path / "out")
    found, wanted = kinds(report), expected(truth.patient)
    missing = wanted - found
    assert found <= wanted
    assert {key for key in wanted if any_of(breakage.lost, key)} <= missing
    assert [key for key in missing if not any_of((*breakage.lost, *breakage.may_lose), key)] == []
    assert [key for key in missing if not names(report, key)] == []
    assert report.complete == (report.skipped == ())
    assert re.search(breakage.says, said(report), re.IGNORECASE)
    read = objects(report, images=False)
    resolved(read)
    for (modality, plan, trial), (dataset,) in read.items():
        same_patient(truth.patient, dataset, breakage.tags)
        if modality == "RTDOSE":
            same_dose(truth.patient.plans[plan].trials[trial], dataset)
    if name in BROKEN and "DICOM" not in name:  # not a byte of the other plan and of the images differs
        others = [each.path for each in report.written if each.plan != 0]
        assert [path.name for path in others if path.read_bytes() != whole_files[path.name]] == []


NO_TAR = "broken.tar is no tar archive that can be read. Fetch it again from where it was kept."


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("empty tar", BadArchive, NO_TAR),
        ("tar of noise", BadArchive, NO_TAR),
        (
            "no Patient",
            NotFound,
            "broken holds no patient of Pinnacle: no folder in it has a file called Patient. Name another one.",
        ),
    ],
)  # fmt: skip
def test_an_archive_of_which_nothing_is_to_be_had(shelf, tmp_path, name, kind, sentence):
    """One sentence, and no output."""
    truth, _ = shelf.of(name)
    with pytest.raises(kind) as caught:
        export(broken(BREAKAGES[name], truth, tmp_path), tmp_path / "out")
    assert str(caught.value) == sentence
    assert not (tmp_path / "out").exists()
