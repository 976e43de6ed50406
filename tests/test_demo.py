"""The demo: what it finds is what it made, and nothing of it is left running or lying about."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import qa_fetch.demo
from qa_fetch import ConfigError, Incomplete
from qa_fetch.cli import main
from qa_fetch.demo import DemoResult, demo, report, show

THREE_LINES = """\
images = Archive().latest("QA_DEMO", plan="WL_6X", kind="portal", approved=True)
analysis = WinstonLutz(str(images.folder))
analysis.analyze(bb_size_mm=5)"""

ONE = r"WL_6X \(of [0-9-]{10}, %s, UID \.\.\.[0-9.]{12}\)"
BOTH = [ONE % "APPROVED, course C2", ONE % "UNAPPROVED, course C1"]  # in the order of the archive, which is any
AMBIGUOUS = (
    f"node has 2 plans called WL_6X: ({'; '.join(BOTH)}|{'; '.join(reversed(BOTH))})"
    r'\. Choose with approved=True, pick="newest", or plan=<its UID>\.'
)


# One whole run


@dataclass
class Ran:
    """A run of the demo: what it returned and said, and what it left in the places it may use."""

    result: DemoResult
    steps: list[str]
    to: Path
    left: list[str]
    environment: dict[str, str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The demo for a user who has settings of his own, which point elsewhere."""
    place = tmp_path_factory.mktemp("demo")
    (place / "temporary").mkdir()
    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(place / "temporary"))
        patch.setenv("QA_FETCH_DEFAULT", "dimse://NOBODY@127.0.0.1:1")
        patch.setenv("QA_FETCH_ARCHIVE_NODE", "folder:/nowhere")
        result = demo(place / "to", on_step=steps.append)
        environment = {name: value for name, value in os.environ.items() if name.startswith("QA_FETCH")}
    left = [path.name for path in (place / "temporary").iterdir()]
    return Ran(result, steps, place / "to", left, environment)


@pytest.mark.analysis
@pytest.mark.node
def test_the_demo_finds_the_session_and_the_bb_that_it_made(ran):
    """Of two sessions, two plans and six kV images, the eight images of yesterday and a BB 0.5 mm to the left."""
    found = ran.result
    assert found.lines == THREE_LINES
    assert (found.images, found.kilovoltage, found.sent) == (8, 2, 18)
    assert found.acquired == found.made_acquired
    assert (found.plan, found.made_plans) == ("WL_6X, approved", "approved and unapproved")
    assert (found.position.left, found.position.up, found.position.into) == pytest.approx((0.5, 0, 0), abs=0.1)
    assert found.distance == pytest.approx(0.5, abs=0.1)
    assert found.again_from_shelf
    assert re.fullmatch(AMBIGUOUS, found.without_approved)


@pytest.mark.analysis
@pytest.mark.node
def test_the_demo_leaves_a_pdf_and_a_picture_and_nothing_else(ran):
    """Both lie in a new folder; the node, its storage, the shelf and the settings are gone."""
    found = ran.result
    assert found.pdf.read_bytes().startswith(b"%PDF") and found.picture.read_bytes().startswith(b"\x89PNG")
    assert found.pdf.parent == found.picture.parent and found.pdf.parent.parent == ran.to
    assert sorted(path.name for path in ran.to.rglob("*.*")) == ["winston_lutz.pdf", "winston_lutz.png"]
    assert ran.left == []
    assert ran.environment["QA_FETCH_DEFAULT"] == "dimse://NOBODY@127.0.0.1:1"
    assert "QA_FETCH_CONFIG" not in ran.environment
    port = int(re.search(r"port = (\d+)", found.settings)[1])
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", port))


@pytest.mark.analysis
@pytest.mark.node
def test_the_demo_says_what_it_is_doing(ran):
    """Each step has a few words."""
    assert ran.steps == [
        "loading pylinac",
        "starting a DICOM node on a free port",
        "making a Winston-Lutz course",
        "sending 18 objects to the node",
        "running the three lines",
        "writing the PDF and the picture",
    ]


# What is printed


@dataclass(frozen=True)
class Where:
    """A BB position that needs no pylinac."""

    left: float
    up: float
    into: float


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the command show a result without a run."""
    result = DemoResult(
        lines=THREE_LINES,
        settings='default = "node"\n\n[archives.node]\nkind = "dimse"\n',
        sent=18,
        images=8,
        made_images=8,
        kilovoltage=2,
        acquired=datetime(2025, 11, 3, 17, 5),
        made_acquired=datetime(2025, 11, 3, 17, 5),
        plan="WL_6X, approved",
        made_plans="approved and unapproved",
        position=Where(0.4813, -0.0021, 0.0),  # type: ignore[arg-type]
        made_position=Where(0.5, 0, 0),  # type: ignore[arg-type]
        distance=0.506,
        made_distance=0.5,
        first_seconds=0.731,
        again_seconds=0.204,
        again_from_shelf=True,
        without_approved="node has 2 plans called WL_6X.",
        pdf=Path("demo/1/winston_lutz.pdf"),
        picture=Path("demo/1/winston_lutz.png"),
    )
    monkeypatch.setenv("MPLBACKEND", "Agg")  # which the command sets; put back here
    monkeypatch.setattr(qa_fetch.demo, "demo", lambda to, on_step: result)


def test_the_command_prints_the_lines_the_result_and_where_it_lies(instant, capsys):
    """What a new user sees, whole; square brackets are not taken for colours."""
    assert main(["demo", "--to", "demo"]) == 0
    said = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert (
        said
        == f"""\
A DICOM node was given 18 objects: two plans with one label, two sessions of MV images, and kV images.

These three lines ran:
{THREE_LINES}

                         found              made
{"─" * 71}
MV images                8                  8, and 2 kV in their series
acquired                 2025-11-03 17:05   2025-11-03 17:05
plan                     WL_6X, approved    approved and unapproved
BB to the left           0.48 mm            0.50 mm
BB upwards               0.00 mm            0.00 mm
BB towards the gantry    0.00 mm            0.00 mm
max 2D CAX-BB distance   0.51 mm            0.50 mm
first call               0.73 s             over DICOM
the same call again      0.20 s             from the shelf

Two plans have this label. Without approved=True the answer is:
node has 2 plans called WL_6X.

The lines hold no address, because qa_fetch.toml does:
default = "node"

[archives.node]
kind = "dimse"

Left for you:
demo/1/winston_lutz.pdf
demo/1/winston_lutz.png
"""
    )


def test_the_command_prints_json_for_machines(instant, capsys):
    """Every field, and nothing beside it."""
    assert main(["demo", "--to", "demo", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["lines"] == THREE_LINES
    assert (said["images"], said["acquired"], said["distance"]) == (8, "2025-11-03 17:05:00", 0.506)
    assert said["position"] == {"left": 0.4813, "up": -0.0021, "into": 0.0}
    assert set(said) == set(DemoResult.__dataclass_fields__)


# What is missing


@pytest.mark.parametrize(("missing", "name"), [("pylinac", "pylinac"), ("django", "Django")])
def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch, tmp_path, capsys, missing, name):
    """One line, wrong use, and no folder is made."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(show, "find_spec", lambda name: None if name == missing else object())
    assert main(["demo", "--to", str(tmp_path / "to")]) == 2
    assert capsys.readouterr().err == (
        f"qa-fetch: the demo needs {name}, which is not installed. Run: pip install 'qa_fetch[analysis,node]'\n"
    )
    assert not (tmp_path / "to").exists()


def test_a_pylinac_that_does_not_fit_is_one_line_too(monkeypatch, tmp_path):
    """An old one has no image generator."""
    monkeypatch.setattr(show, "find_spec", lambda name: object())
    monkeypatch.delattr(qa_fetch.demo, "course", raising=False)
    monkeypatch.setitem(sys.modules, "qa_fetch.demo.course", None)
    with pytest.raises(ConfigError) as caught:
        demo(tmp_path / "to")
    assert str(caught.value).startswith("the demo cannot use the pylinac that is installed (")
    assert str(caught.value).endswith("). Run: pip install 'qa_fetch[analysis,node]'")


# What is left when something fails


@pytest.fixture
def without_pylinac(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A demo of one small object, so that the way to the node can be tried without pylinac; gives its scratch place."""
    course = objects_course()
    made = SimpleNamespace(datasets=course, position=None)
    monkeypatch.setattr(show, "_check_installed", lambda: None)
    monkeypatch.setattr(show, "_load", lambda: (SimpleNamespace(make=lambda now: made), None))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    return scratch


def objects_course() -> list[Any]:
    from qa_fetch.demo.objects import Beam, Course, rt_plan

    now = datetime(2025, 9, 1)
    return [rt_plan(Course("QA_DEMO", "C1", now), "WL_6X", now, [Beam("G0")])]


@pytest.mark.node
@pytest.mark.parametrize("ending", [Incomplete("the node is full."), KeyboardInterrupt()])
def test_a_demo_that_fails_leaves_nothing_behind(monkeypatch, without_pylinac, tmp_path, ending):
    """Whatever ends it, the node is stopped, its folder removed, and no empty folder stays."""
    children: list[Any] = []
    start = show.NodeProcess.start

    def started(node: Any) -> None:
        start(node)
        children.append(node._child)

    def fail(*_: object) -> None:
        raise ending

    monkeypatch.setattr(show.NodeProcess, "start", started)
    monkeypatch.setattr(show, "_run", fail)
    with pytest.raises(type(ending)):
        demo(tmp_path / "to")
    assert [child.poll() is None for child in children] == [False]
    assert list(without_pylinac.glob("qa_fetch-demo-*")) == []
    assert list((tmp_path / "to").iterdir()) == []
    assert "QA_FETCH_CONFIG" not in os.environ


@pytest.mark.analysis
@pytest.mark.node
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without a signal that it could act on")
def test_a_terminated_demo_cleans_up(tmp_path):
    """SIGTERM, as from a shutdown, unwinds it: exit code 143, and its folder and node are gone."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(Path(qa_fetch.__file__).parents[1])}
    command = [sys.executable, "-m", "qa_fetch.cli", "demo", "--to", str(tmp_path / "to")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        end = time.monotonic() + 60
        while not list(scratch.glob("qa_fetch-demo-*/node/index.sqlite3")):
            assert time.monotonic() < end and running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (143, b"")
    assert list(scratch.glob("qa_fetch-demo-*")) == []
    assert list((tmp_path / "to").iterdir()) == []


# Where it writes


def test_each_run_has_a_folder_of_its_own(monkeypatch, tmp_path):
    """Two runs in one second do not meet, nothing that is there is touched, and half a report goes."""
    monkeypatch.setattr(report, "datetime", SimpleNamespace(now=lambda: datetime(2025, 11, 3, 17, 5, 9)))
    for expected in ("2025-11-03_170509", "2025-11-03_170509-2", "2025-11-03_170509-3"):
        with report.new_folder(tmp_path) as folder:
            assert folder == tmp_path / expected
            (folder / "winston_lutz.pdf").write_text(expected)
    with pytest.raises(KeyboardInterrupt), report.new_folder(tmp_path) as interrupted:
        (interrupted / "winston_lutz.pdf").write_text("half a report")
        raise KeyboardInterrupt
    assert not interrupted.exists()
    assert [path.read_text() for path in sorted(tmp_path.rglob("*.pdf"))] == [
        "2025-11-03_170509",
        "2025-11-03_170509-2",
        "2025-11-03_170509-3",
    ]


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path):
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError) as caught, report.new_folder(tmp_path / "file"):
        pass
    assert str(caught.value) == (
        f"the demo cannot write to {tmp_path / 'file'} (File exists). Give another folder with --to."
    )


# What it makes


@pytest.mark.analysis
def test_the_course_looks_like_one_from_an_archive():
    """Kinds are told apart by the rules that real images are told apart by."""
    from qa_fetch.demo.course import make
    from qa_fetch.kinds import kind

    now = datetime(2025, 11, 4, 8, 0)
    made = make(now)
    images = [dataset for dataset in made.datasets if dataset.Modality == "RTIMAGE"]
    portal = [image for image in images if kind("portal").fits(image, whole=True)]
    kilovoltage = [image for image in images if kind("kv").fits(image, whole=True)]
    assert (len(portal), len(kilovoltage), len(images)) == (12, 4, 16)
    assert {image.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID for image in images} == {
        made.plans[0].SOPInstanceUID
    }
    in_newest = [image for image in kilovoltage if image.SeriesInstanceUID == made.newest[0].SeriesInstanceUID]
    assert len(in_newest) == made.kilovoltage == 2
    assert [str(plan.ApprovalStatus) for plan in made.plans] == ["APPROVED", "UNAPPROVED"]
    assert {str(plan.RTPlanLabel) for plan in made.plans} == {"WL_6X"}
    assert made.acquired == datetime(2025, 11, 3, 17, 5)
    first = made.newest[0]
    assert (first.ImageType, first.PrimaryDosimeterUnit) == (["ORIGINAL", "PRIMARY", "PORTAL"], "MU")
    assert (first.AcquisitionDate, first.AcquisitionTime, first.RTImageSID) == ("20251103", "170500", 1500)
    uids = [str(dataset.SOPInstanceUID) for dataset in made.datasets]
    assert len(set(uids)) == len(uids) == 18


@pytest.mark.analysis
# pylinac 3.49 uses names that scikit-image 0.26 has renamed; it still gets the same numbers.
@pytest.mark.filterwarnings("ignore:`RegionProperties:FutureWarning:pylinac")
def test_the_position_is_right_in_every_direction(tmp_path):
    """A BB that is off in all three comes back with the same signs."""
    from pylinac import WinstonLutz

    from qa_fetch.demo.course import BEAMS, Position, winston_lutz
    from qa_fetch.demo.objects import Course, Series, rt_plan, write

    now = datetime(2025, 11, 3, 17, 5)
    course = Course("QA_DEMO", "C1", now)
    plan = rt_plan(course, "WL_6X", now, BEAMS[:4])
    write(winston_lutz(Series(course, now), plan, now, Position(0.4, -0.6, 0.8), BEAMS[:4]), tmp_path)
    analysis = WinstonLutz(str(tmp_path))
    analysis.analyze(bb_size_mm=5)
    found = show._position(analysis.bb_shift_vector, Position)
    assert (found.left, found.up, found.into) == pytest.approx((0.4, -0.6, 0.8), abs=0.1)
