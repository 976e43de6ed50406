"""Our conversion held against an export of the planning system: here one of our own, with one thing changed in it."""

from __future__ import annotations

import argparse
import functools
import html.parser
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import phantom
import pydicom
import pytest

from qa_fetch import ConfigError, Incomplete, NotFound
from qa_fetch.cli.pinnacle_validate import add_validate
from qa_fetch.pinnacle import export
from qa_fetch.pinnacle.validating import AGREES, DIFFERS, OPEN, Comparison, Validation, validate

Change = Callable[[Any], None]


class Scene:
    """An archive, and what the planning system would have exported of it."""

    def __init__(self, truth: phantom.Truth, exported: Path) -> None:
        self.truth, self.exported = truth, exported

    @property
    def files(self) -> list[Path]:
        return sorted(self.exported.rglob("*.dcm"))

    def change(self, modality: str, change: Change, most: int = 1) -> None:
        """Change the first files of a modality."""
        for path in [path for path in self.files if path.name.startswith(modality)][:most]:
            data = pydicom.dcmread(path)
            change(data)
            data.save_as(path)

    def remove(self, modality: str) -> None:
        for path in self.files:
            if path.name.startswith(modality):
                path.unlink()

    def validated(self, **options: Any) -> Validation:
        return validate(self.truth.path, reference=self.exported, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[phantom.Truth, Path]]:
    """Archives and exports of them, each made once."""

    @functools.cache
    def of(course: phantom.Course) -> tuple[phantom.Truth, Path]:
        folder = tmp_path_factory.mktemp("made")
        truth = phantom.write(course, folder / "archive.tar")
        export(truth.path, folder / "exported")
        return truth, folder / "exported"

    return of


@pytest.fixture
def scene(tmp_path: Path, made: Callable[..., tuple[phantom.Truth, Path]]) -> Callable[..., Scene]:
    def of(**options: Any) -> Scene:
        truth, exported = made(phantom.Course(**{"images": "dicom", "beams": ("static",), **options}))
        return Scene(truth, Path(shutil.copytree(exported, tmp_path / "exported")))

    return of


def of(validation: Validation, what: str) -> Comparison:
    (found,) = [each for each in validation.comparisons if each.what == what]
    return found


def values(comparison: Comparison) -> list[tuple[str, str, str]]:
    return [(line.what, line.ours, line.theirs) for line in comparison.differing]


def test_an_export_of_the_same_agrees_in_everything(scene):
    """Every image set, plan and trial of it; nothing is said to be known of the other side."""
    found = scene(plans=2, trials=2, beams=("static", "arc"), mr=True).validated()
    assert (found.verdict, found.exit_code, found.counted()) == (AGREES, 0, {AGREES: 12, DIFFERS: 0, OPEN: 0})
    assert [each.what for each in found.comparisons][:6] == [
        "images of image set 0",
        "images of image set 1",
        "RTSTRUCT of plan 0",
        "RTDOSE of plan 0, trial 0",
        "RTPLAN of plan 0, trial 0",
        "RTDOSE of plan 0, trial 1",
    ]
    assert of(found, "RTSTRUCT of plan 1").measures == {"outline_mm": 0.0}
    assert of(found, "RTDOSE of plan 1, trial 1").measures["dose_share"] == 0.0
    assert of(found, "images of image set 0").measures == {"hounsfield": 0.0}
    assert of(found, "RTPLAN of plan 0, trial 1").names == ("PLAN_1", "Trial_2")


def test_a_contour_that_lies_elsewhere_is_found_with_its_distance(scene):
    """Moved by 3 mm to the side: that is how far its corners lie from the other outline at most."""
    made = scene()

    def move(data: Any) -> None:
        contour = data.ROIContourSequence[1].ContourSequence[2]
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3) + [3.0, 0.0, 0.0]
        contour.ContourData = [f"{value:.4f}" for value in points.ravel()]

    made.change("RTSTRUCT", move)
    found = of(made.validated(), "RTSTRUCT of plan 0")
    z = made.truth.plan.contours[1].contours[2][0, 2]
    assert found.verdict == DIFFERS
    ((what, ours, theirs),) = values(found)
    assert (what, theirs) == ("PTV_60: outlines", "")
    assert re.fullmatch(rf"(2\.[5-9]\d*|3) mm apart at z {z:g} mm", ours)
    assert len(found.pictures) == 2  # where most regions are, and where this is


def test_regions_and_planes_that_one_side_lacks_are_named(scene):
    """A region is missing, another one has a contour less."""
    made = scene()

    def lose(data: Any) -> None:
        del data.StructureSetROISequence[0], data.ROIContourSequence[0]
        del data.ROIContourSequence[0].ContourSequence[-1]

    made.change("RTSTRUCT", lose)
    found = values(of(made.validated(), "RTSTRUCT of plan 0"))
    z = made.truth.plan.contours[1].contours[-1][0, 2]
    assert found[:3] == [
        ("BODY", "is there", "—"),
        ("PTV_60: planes", "6", "5"),
        ("PTV_60: planes on one side only", f"z {z:g}", "—"),
    ]
    assert found[3][0] == "PTV_60: area of all outlines"


def test_contours_that_name_the_wrong_image_are_counted(scene):
    """Every contour of a region names the first image."""
    made = scene()

    def misname(data: Any) -> None:
        contours = data.ROIContourSequence[0].ContourSequence
        for contour in contours:
            contour.ContourImageSequence = contours[0].ContourImageSequence

    made.change("RTSTRUCT", misname)
    found = of(made.validated(), "RTSTRUCT of plan 0")
    assert values(found) == [("contours that name an image of another height", "0", "5")]


def test_a_dose_on_the_same_grid_that_is_one_per_cent_higher_differs(scene):
    """By its maximum and at every voxel."""
    made = scene()
    made.change("RTDOSE", lambda data: setattr(data, "DoseGridScaling", f"{float(data.DoseGridScaling) * 1.01:.9e}"))
    found = of(made.validated(), "RTDOSE of plan 0, trial 0")
    assert found.verdict == DIFFERS
    assert found.measures["dose_share"] == pytest.approx(0.01 / 1.01, rel=1e-6)
    assert found.differing[0].what == "highest dose"


@pytest.mark.parametrize("flipped", [(False, True), (True, False), (True, True)])
def test_a_dose_whose_rows_and_planes_run_the_other_way_is_the_same_dose(scene, flipped):
    """What counts is where each value lies, not in which order they are written."""
    made = scene()
    rows, planes = flipped

    def turn(data: Any) -> None:
        values = data.pixel_array
        origin = [float(value) for value in data.ImagePositionPatient]
        spacing, offsets = [float(value) for value in data.PixelSpacing], [float(v) for v in data.GridFrameOffsetVector]
        if rows:
            values = values[:, ::-1, ::-1]
            origin[0] += spacing[1] * (data.Columns - 1)
            origin[1] += spacing[0] * (data.Rows - 1)
            data.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        if planes:
            values = values[::-1]
            origin[2] += offsets[-1]
            data.GridFrameOffsetVector = [-value for value in offsets]
        data.ImagePositionPatient = [f"{value:.6f}" for value in origin]
        data.PixelData = np.ascontiguousarray(values).tobytes()

    made.change("RTDOSE", turn)
    found = of(made.validated(), "RTDOSE of plan 0, trial 0")
    assert (found.verdict, found.measures["dose_share"]) == (AGREES, 0.0)


def test_a_dose_on_a_coarser_grid_of_the_same_is_no_difference(scene):
    """Every second plane: ours is compared at their voxels."""
    made = scene()

    def thin(data: Any) -> None:
        values = data.pixel_array[::2]
        data.GridFrameOffsetVector = list(data.GridFrameOffsetVector)[::2]
        data.NumberOfFrames, data.PixelData = len(values), np.ascontiguousarray(values).tobytes()

    made.change("RTDOSE", thin)
    found = of(made.validated(), "RTDOSE of plan 0, trial 0")
    (grid,) = [line for line in found.lines if line.what.startswith("grid")]
    assert (grid.what, grid.agrees) == ("grid (another one is no fault)", True)
    assert found.measures["dose_share"] < 1e-9
    assert [line.what for line in found.differing] in ([], ["highest dose"])  # it may lie between their planes


def test_without_pymedphys_a_dose_is_compared_voxel_by_voxel(scene, monkeypatch):
    """What gamma would say is sure where every voxel is near enough, and the report says what is missing."""
    monkeypatch.setitem(sys.modules, "pymedphys", None)
    made = scene()
    found = of(made.validated(), "RTDOSE of plan 0, trial 0")
    assert found.verdict == AGREES
    assert found.notes == (
        "gamma was not computed: it needs pymedphys and scipy in this Python (3.10 to 3.12), "
        'installed by: pip install "qa_fetch[pinnacle]"',
        "every voxel is so near that gamma would pass everywhere",
    )
    made.change("RTDOSE", lambda data: setattr(data, "DoseGridScaling", f"{float(data.DoseGridScaling) * 1.01:.9e}"))
    found = of(made.validated(), "RTDOSE of plan 0, trial 0")
    assert [line.what for line in found.differing] == ["highest dose", "largest difference of a voxel"]


def test_each_setting_of_a_plan_that_differs_is_named_with_both_values(scene):
    """Of the beam and of its control points, and nothing else."""
    made = scene(beams=("static", "arc"))

    def alter(data: Any) -> None:
        data.FractionGroupSequence[0].ReferencedBeamSequence[0].BeamMeterset = 100
        first, arc = data.BeamSequence
        first.TreatmentMachineName = "Other"
        first.ControlPointSequence[0].IsocenterPosition = [0, 0, 0]
        arc.ControlPointSequence[3].GantryAngle = 7
        jaws = first.ControlPointSequence[0].BeamLimitingDevicePositionSequence[0]
        jaws.LeafJawPositions = [jaws.LeafJawPositions[0], jaws.LeafJawPositions[1] + 2]

    made.change("RTPLAN", alter)
    found = of(made.validated(), "RTPLAN of plan 0, trial 0")
    field, arc = made.truth.trial.fields
    x1, x2 = (f"{value:g}" for value in field.settings[0].jaws[:2])
    iso = ", ".join(f"{value:g}" for value in field.isocentre)
    assert values(found) == [
        ("beam 1: machine", "Sixty", "Other"),
        ("beam 1: monitor units", f"{field.monitor_units:.3f}".rstrip("0").rstrip(".") + " MU", "100 MU"),
        ("beam 1, control point 0 to 1: isocentre", f"{iso} mm", "0, 0, 0 mm"),
        ("beam 1, control point 0: X jaws", f"{x1}, {x2} mm", f"{x1}, {float(x2) + 2:g} mm"),
        ("beam 2, control point 3: gantry", f"{arc.settings[3].gantry:.3f}".rstrip("0").rstrip(".") + "°", "7°"),
    ]


def test_a_voxel_of_an_image_that_differs_is_found(scene):
    """One value of one image."""
    made = scene()

    def brighten(data: Any) -> None:
        values = data.pixel_array.copy()
        values[5, 7] += 30
        data.PixelData = values.tobytes()

    made.change("CT", brighten)
    found = of(made.validated(), "images of image set 0")
    assert found.measures == {"hounsfield": 30.0}
    (difference,) = found.differing
    assert re.fullmatch(r"image \d+: 1 voxels, most at x -?[\d.]+, y -?[\d.]+ mm", difference.what)


@pytest.mark.parametrize(
    ("modality", "what", "reason"),
    [
        ("RTSTRUCT", "RTSTRUCT of plan 0", "the export has none that fits"),
        ("RTPLAN", "RTPLAN of plan 0, trial 0", "the export has none that fits"),
        ("RTDOSE", "RTDOSE of plan 0, trial 0", "no dose of the export refers to its plan"),
        ("CT", "images of image set 0", "the export has no such series"),
    ],
)
def test_what_the_export_lacks_is_not_compared_and_says_so(scene, modality, what, reason):
    """Nothing differs, yet not everything agrees."""
    made = scene()
    made.remove(modality)
    found = made.validated()
    assert (found.verdict, found.exit_code) == (OPEN, 1)
    assert (of(found, what).verdict, of(found, what).notes) == (OPEN, (reason,))


def test_what_we_leave_out_ourselves_is_not_compared_either(scene):
    """The units of an electron beam are not sure, so there is no dose of it: our own reason is given."""
    made = scene(beams=("electrons",))
    found = of(made.validated(), "RTDOSE of plan 0, trial 0")
    assert found.verdict == OPEN
    assert found.notes[0].startswith("our conversion left it out: the monitor units of beam 0 are not sure")


def test_trials_that_cannot_be_told_apart_are_not_guessed_at(scene):
    """Two plans of the export have the same beams, and no names that say which trial they are."""
    made = scene(trials=2)

    def unname(data: Any) -> None:
        data.RTPlanLabel, data.RTPlanName = "x", ""

    made.change("RTPLAN", unname, most=2)
    found = made.validated()
    reason = "several of the export fit equally well, and none is named so"
    assert of(found, "RTPLAN of plan 0, trial 0").notes == (reason,)
    assert found.exit_code == 1


def test_one_trial_of_one_plan(scene):
    """As an export can be of a part."""
    found = scene(plans=2, trials=2).validated(plan="PLAN_2", trial="Trial_1")
    assert [each.what for each in found.comparisons] == [
        "images of image set 0",
        "RTSTRUCT of plan 1",
        "RTDOSE of plan 1, trial 0",
        "RTPLAN of plan 1, trial 0",
    ]
    assert found.verdict == AGREES


def test_a_file_that_is_no_dicom_in_the_export_is_passed_by(scene):
    """A note of the clinic lies beside it."""
    made = scene()
    (made.exported / "readme.txt").write_text("exported on Monday")
    assert made.validated().verdict == AGREES


# Words


def test_wrong_use_is_one_sentence(tmp_path, monkeypatch):
    """An engine nobody knows, one that is not installed, an export that is not there or is empty."""
    archive = tmp_path / "archive.tar"
    with pytest.raises(ConfigError) as caught:
        validate(archive, engine="raystation")
    assert str(caught.value) == "there is no second engine 'raystation'. Say one of: pymedphys."
    monkeypatch.setitem(sys.modules, "pymedphys", None)
    with pytest.raises(ConfigError) as caught:
        validate(archive)
    assert str(caught.value) == (
        "the second engine pymedphys is not installed, or not with all it needs. Run, with Python 3.10 to 3.12: "
        'pip install "qa_fetch[pinnacle]"; or compare with the planning system\'s own export: --reference DIR'
    )
    with pytest.raises(ConfigError) as caught:
        validate(archive, reference=tmp_path / "nowhere")
    assert str(caught.value) == (
        f"there is no folder {tmp_path / 'nowhere'}. Name the one that the planning system exported to."
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound) as caught:
        validate(archive, reference=tmp_path / "empty")
    assert str(caught.value) == (
        f"{tmp_path / 'empty'} holds no DICOM files. Name the folder that the planning system exported to."
    )


# The page


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its text, its tags, and what it asks others for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_the_page_needs_nothing_else_and_says_the_verdict_first(scene, tmp_path):
    """Pictures are in it, with outlines, doses and profiles; every link is in the page itself."""
    made = scene()
    path = made.validated().write(tmp_path / "reports" / "report.html")
    page = Page(path.read_text(encoding="utf-8"))
    said = " ".join(" ".join(page.said).split())
    beginning = (
        "Validation of archive.tar Converted to DICOM by qa_fetch, and compared with the export in exported. "
        "Agrees: 4 of 4 objects agree."
    )
    assert beginning in said
    assert page.tags.count("svg") == 1 + 3 + 3
    assert {link.split(",")[0] for link in page.links} == {"data:image/png;base64"}
    assert list(path.parent.iterdir()) == [path]


def test_names_from_the_archive_cannot_become_html(scene, tmp_path):
    """A region is called like a script."""
    evil = "<script>alert(1)</script>"
    made = scene()

    def rename(data: Any) -> None:
        data.StructureSetROISequence[0].ROIName = evil

    made.change("RTSTRUCT", rename)
    text = made.validated().write(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "script" not in Page(text).tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_page_that_cannot_be_written_is_one_sentence(scene, tmp_path):
    """A file is where its folder should be."""
    (tmp_path / "file").write_text("")
    found = scene().validated()
    with pytest.raises(Incomplete) as caught:
        found.write(tmp_path / "file" / "report.html")
    assert str(caught.value) == (
        f"the report {tmp_path / 'file' / 'report.html'} cannot be written (File exists). "
        "Free space there, or name another file."
    )


# The command


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_validate(parser.add_subparsers())
    given = parser.parse_args(["validate", *map(str, arguments)])
    code: int = given.run(given)
    return code


def test_the_command_says_what_came_of_each_object(scene, tmp_path, capsys):
    """A table, the verdict, the page, and exit code 0 or 1."""
    made = scene()
    page = tmp_path / "report.html"
    options = (made.truth.path, "--reference", made.exported, "--to", page)
    assert command(*options) == 0
    out, err = capsys.readouterr()
    assert "compared with the export in exported" in out
    assert re.search(r"^verdict +agrees$", out, re.MULTILINE)
    assert (err, page.is_file()) == ("", True)
    made.remove("RTDOSE")
    assert command(*options) == 1
    assert capsys.readouterr().err == (
        "qa-fetch: archive.tar does not agree in everything with the export in exported. "
        f"The report says what differs and where that is known of the other side: {page}\n"
    )


def test_the_command_speaks_json(scene, tmp_path, capsys):
    """Everything but the pictures."""
    made = scene()
    assert command(made.truth.path, "--reference", made.exported, "--to", tmp_path / "r.html", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["counted"]) == ("agrees", {"agrees": 4, "differs": 0, "not compared": 0})
    (patient,) = said["patients"]
    assert patient["medical_record_number"] == "PH0001"
    assert [each["kind"] for each in patient["comparisons"]] == ["images", "structures", "dose", "plan"]
    assert said["report"] == str(tmp_path / "r.html")


def test_a_folder_is_no_name_for_the_page(tmp_path):
    """Said before anything is converted."""
    with pytest.raises(ConfigError) as caught:
        command(tmp_path / "archive.tar", "--to", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is a folder. Name a file for the report: --to {tmp_path / 'validation.html'}"
    )


def test_objects_of_the_export_that_are_no_use_are_not_compared(scene):
    """A rotated dose, a beam without a number, a contour of no points: each says why, and costs no other."""
    made = scene()
    made.change("RTDOSE", lambda data: setattr(data, "ImageOrientationPatient", [0, 1, 0, -1, 0, 0]))
    made.change("RTPLAN", lambda data: delattr(data.BeamSequence[0], "BeamNumber"))
    made.change("RTSTRUCT", lambda data: setattr(data.ROIContourSequence[0].ContourSequence[0], "ContourData", [1, 2]))
    found = made.validated()
    reasons = {each.kind: each.notes for each in found.comparisons if each.verdict == OPEN}
    assert reasons == {
        "structures": ("a contour of it has values that are no points",),
        "plan": ("its beams are not described as they must be",),
        "dose": ("its grid is rotated against the patient's axes",),
    }
    assert of(found, "images of image set 0").verdict == AGREES
