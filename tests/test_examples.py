"""Each example is run as a script, on images whose truth is known."""

from __future__ import annotations

import re
import runpy
import sys
from datetime import datetime
from pathlib import Path
from typing import Callable

import pytest
from pydicom.dataset import Dataset

from qa_fetch.demo import objects
from qa_fetch.demo.objects import Beam, Course, Series, rt_plan

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PATIENT = "QA_EXAMPLE"
BEGAN = datetime(2025, 9, 1, 9, 30)
EARLIER, NEWEST = datetime(2025, 10, 27, 17, 5), datetime(2025, 11, 3, 17, 5)
GANTRIES = tuple(Beam(f"G{angle}", gantry=angle) for angle in (0, 90, 180, 270))

# pylinac 3.49 uses names that scikit-image 0.26 has renamed; it still gets the same numbers.
pylinac_is_behind_its_libraries = pytest.mark.filterwarnings("ignore:`RegionProperties:FutureWarning:pylinac")

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an example as ``python examples/NAME.py ARGUMENTS`` does and give its exit code."""

    def run_it(name: str, *arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return int(ended.value.code or 0)

    return run_it


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The folder that is the archive of a test."""
    return tmp_path / "archive"


def planned(label: str, *beams: Beam) -> tuple[Course, Dataset]:
    course = Course(PATIENT, "C1", BEGAN)
    return course, rt_plan(course, label, BEGAN, beams)


def number_after(words: str, text: str) -> float:
    found = re.search(re.escape(words) + r" ?(-?[0-9.]+)", text)
    assert found, f"{words!r} is not in {text!r}"
    return float(found[1])


def test_every_example_says_how_it_is_run():
    """The first lines of each are what a physicist reads."""
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert names == ["catphan_cbct", "cohort", "picket_fence", "plan_check", "portal_dose", "winston_lutz"]
    for name in names:
        text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        first = "cohort.toml" if name == "cohort" else "aria "  # tests/cohort/orthanc runs that one
        assert f"python examples/{name}.py {first}" in text.split('"""')[1]


# Winston-Lutz


@pytest.fixture(scope="module")
def winston_lutz_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sessions, of which the newest has the BB 0.5 mm left, 0.3 mm down and 0.8 mm in."""
    from qa_fetch.demo.course import Position, winston_lutz

    folder = tmp_path_factory.mktemp("winston_lutz")
    course, plan = planned("WL_6X", *GANTRIES)
    earlier = winston_lutz(Series(course, EARLIER), plan, EARLIER, Position(0.0, 0.0, 0.0), GANTRIES[:2])
    newest = winston_lutz(Series(course, NEWEST), plan, NEWEST, Position(0.5, -0.3, 0.8), GANTRIES)
    objects.write([plan, *earlier, *newest], folder)
    return folder


@pytest.mark.analysis
@pylinac_is_behind_its_libraries
def test_winston_lutz_finds_where_the_bb_was_put(run, winston_lutz_folder, tmp_path, capsys):
    """The shift agrees with the generator in all three directions, and the report is written."""
    report = tmp_path / "wl.pdf"
    code = run("winston_lutz", f"folder:{winston_lutz_folder}", PATIENT, "--tolerance", 1.5, "--pdf", report)
    said = capsys.readouterr().out
    assert code == 0
    assert said.startswith("4 images of WL_6X (of 2025-09-01, APPROVED, course C1, UID ...")
    assert "acquired 2025-11-03 17:05\n" in said
    assert number_after("right", said) == pytest.approx(0.5, abs=0.1)
    assert number_after("in", said.partition("right")[2]) == pytest.approx(-0.8, abs=0.1)
    assert number_after("up", said) == pytest.approx(0.3, abs=0.1)
    assert number_after("from CAX to BB:", said) == pytest.approx(0.943, abs=0.1)
    assert said.endswith(f"report: {report}\n")
    assert report.read_bytes().startswith(b"%PDF")


@pytest.mark.analysis
@pylinac_is_behind_its_libraries
def test_winston_lutz_out_of_tolerance_is_an_exit_code(run, winston_lutz_folder):
    """A scheduled job sees it without reading the text."""
    assert run("winston_lutz", f"folder:{winston_lutz_folder}", PATIENT, "--tolerance", 0.5) == 1


@pytest.mark.analysis
def test_winston_lutz_overwrites_no_report(run, tmp_path, capsys):
    """The name of a file that exists is refused before anything is fetched."""
    report = tmp_path / "wl.pdf"
    report.write_text("mine")
    assert run("winston_lutz", "folder:nowhere", PATIENT, "--pdf", report) == 2
    assert capsys.readouterr().err.endswith(f"error: {report} exists already; give the name of a new file\n")
    assert report.read_text() == "mine"


@pytest.mark.analysis
def test_half_a_session_is_not_analysed(run, winston_lutz_folder, capsys):
    """The session of that day has two images and four make a test."""
    assert run("winston_lutz", f"folder:{winston_lutz_folder}", PATIENT, "--on", "2025-10-27") == 1
    assert capsys.readouterr().err == (
        f"the newest session in {winston_lutz_folder.name} (portal image for plan WL_6X, 27 October 2025 17:05) "
        "has 2 of at least 4 images. Send the rest to the archive, ask for another day, or lower at_least.\n"
    )


# Picket fence, portal dose, plan check, CatPhan


@pytest.mark.analysis
@pylinac_is_behind_its_libraries
def test_picket_fence_names_the_leaf_that_is_off(run, archive, capsys):
    """Leaf pair 25 misses the third picket by 0.67 mm, and no other."""
    from example_images import PIXEL_AT_ISOCENTRE, picket_fence

    course, plan = planned("PF_6X", Beam("PF", meterset=100))
    objects.write([plan, picket_fence(Series(course, NEWEST), plan, NEWEST, (25, 3))], archive)
    assert run("picket_fence", f"folder:{archive}", PATIENT) == 1
    said = capsys.readouterr().out
    assert "\n10 pickets, " in said
    assert number_after("pickets, ", said) == pytest.approx(15, abs=0.1)
    assert number_after("largest error:", said) == pytest.approx(3 * PIXEL_AT_ISOCENTRE, abs=0.1)
    assert said.partition("mm, ")[2].startswith("picket 3, leaf 25\n")


@pytest.mark.analysis
@pylinac_is_behind_its_libraries
def test_portal_dose_sees_the_output_change(run, archive, capsys):
    """The field has the size that was drawn, and 3 % more dose than the week before."""
    from example_images import portal_dose

    course, plan = planned("PDIP_10X", Beam("DIP", meterset=100))
    earlier = portal_dose(Series(course, EARLIER), plan, EARLIER, output=1.0)
    newest = portal_dose(Series(course, NEWEST), plan, NEWEST, output=1.03)
    objects.write([plan, earlier, newest], archive)
    assert run("portal_dose", f"folder:{archive}", PATIENT) == 1
    said = capsys.readouterr().out
    assert "acquired 2025-11-03 17:05\ncompared with 2025-10-27 17:05\n" in said
    size = re.search(r"beam 1: ([0-9.]+) x ([0-9.]+) mm", said)
    assert size
    assert (float(size[1]), float(size[2])) == (pytest.approx(100, abs=0.5), pytest.approx(150, abs=0.5))
    assert number_after("changed by +", said) == pytest.approx(3, abs=0.1)


def delivered(series: Series, plan: Dataset, beam: int, meterset: float, gantry: float) -> Dataset:
    """A portal image without pixels: the plan check reads headers only."""
    image = Dataset()
    image.GantryAngle, image.BeamLimitingDeviceAngle, image.PatientSupportAngle, image.RTImageSID = gantry, 0, 0, 1500
    return objects.portal_image(image, series, plan, acquired=NEWEST, number=beam, beam=beam, meterset=meterset)


def test_plan_check_finds_what_was_not_delivered_as_planned(run, archive, capsys):
    """One beam as planned, one short of monitor units, one at another angle, one never given."""
    course, plan = planned("WL_6X", *GANTRIES)
    series = Series(course, NEWEST)
    given = ((1, 20.1, 359.9), (2, 18.0, 90.0), (3, 20.0, 175.0))
    objects.write([plan, *(delivered(series, plan, *facts) for facts in given)], archive)
    assert run("plan_check", f"folder:{archive}", PATIENT, "--plan", "WL_6X") == 1
    first, *beams = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"WL_6X \(of 2025-09-01, APPROVED, course C1, UID \.\.\.[0-9.]+\), delivered 2025-11-03 17:05", first
    )
    assert beams == [
        "  1 G0           as planned",
        "  2 G90          20 MU planned, 18 MU delivered",
        "  3 G180         gantry 180 planned, 175 found",
        "  4 G270         no image",
    ]


def test_plan_check_of_a_good_delivery_succeeds(run, archive, capsys):
    """And a plan that is not there is one line on standard error."""
    course, plan = planned("WL_6X", *GANTRIES)
    series = Series(course, NEWEST)
    images = [delivered(series, plan, number, 20, beam.gantry) for number, beam in enumerate(GANTRIES, 1)]
    objects.write([plan, *images], archive)
    assert run("plan_check", f"folder:{archive}", PATIENT, "--plan", "WL_6X") == 0
    assert run("plan_check", f"folder:{archive}", PATIENT, "--plan", "VMAT") == 1
    assert capsys.readouterr().err == (
        "archive has no plan called VMAT for this patient; it has WL_6X. Check the label.\n"
    )


@pytest.mark.analysis
@pylinac_is_behind_its_libraries
@pytest.mark.parametrize(("teflon", "code"), [(1000, 0), (900, 1)])
def test_catphan_measures_the_phantom_that_was_drawn(run, archive, capsys, teflon, code):
    """Inserts, geometry, slice thickness and uniformity agree with the drawing; a wrong insert is an exit code."""
    from example_images import catphan
    from peers.course import write_all

    write_all(catphan(PATIENT, NEWEST, teflon=teflon), archive)
    assert run("catphan_cbct", f"folder:{archive}", PATIENT) == code
    said = capsys.readouterr().out
    assert said.startswith("53 slices, acquired 2025-11-03 17:05\n")
    drawn = {"Air": -1000, "PMP": -196, "LDPE": -104, "Poly": -47, "Acrylic": 115, "Delrin": 365, "Teflon": teflon}
    found = {name: float(hu) for name, hu in re.findall(r"  (\w+) +(-?\d+) HU", said)}
    assert found == pytest.approx(drawn, abs=3)
    assert number_after("geometry:", said) == pytest.approx(50, abs=0.1)
    assert number_after("slice thickness:", said) == pytest.approx(2.5, abs=0.2)
    assert "uniformity: within 40 HU\n" in said
    assert number_after("MTF 50 %:", said) == pytest.approx(0.42, abs=0.08)  # of the blur that was drawn


@pytest.mark.analysis
@pylinac_is_behind_its_libraries
@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_scan_without_a_catphan_is_one_line(run, archive, capsys):
    """What pylinac raises does not reach the physicist as a traceback."""
    from peers.course import ct_slice, new_series, write_all

    series = new_series(PATIENT, "head", study="CBCT", began=NEWEST)
    write_all([ct_slice(series, NEWEST, number) for number in range(1, 41)], archive)
    assert run("catphan_cbct", f"folder:{archive}", PATIENT) == 1
    assert capsys.readouterr().err.startswith("pylinac does not find a CatPhan 504 in this scan: ")
