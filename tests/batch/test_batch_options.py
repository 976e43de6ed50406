"""Which options of ``qa-fetch batch`` go together, whatever is done: what would do nothing is refused."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers import course as courses

WHEN = datetime(2015, 5, 12, 14, 5)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process."""
    return lambda *arguments: Ran(capsys, arguments)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of one series, and an archive that has it, too."""
    slices = [courses.ct_slice(courses.new_series("P1", "A"), WHEN, number) for number in (1, 2)]
    courses.write_all(slices, tmp_path / "data" / "sub-P1" / "ses-1" / "00001-A")
    courses.write_all(slices, tmp_path / "source")
    (tmp_path / "sink").mkdir()
    (tmp_path / "query.csv").write_text("PatientID\nP1\n")
    return tmp_path / "data"


HOW = [
    ("--profile", "basic"),
    ("--new-ids", "nosuch.json"),
    ("--offsets", "nosuch.csv"),
    ("--ids", "who"),
]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("what", [("--upload", "data"), ("query.csv", "--dry-run"), ("query.csv", "--to", "out")])
def test_whoever_says_how_objects_are_anonymised_needs_a_key_for_whatever_is_done(
    run: Any, data: Path, how: tuple[str, str], what: tuple[str, ...]
) -> None:
    """Else identifiers would leave although somebody asked for the contrary."""
    ran = run("batch", *what, "--archive", "folder:sink", *how)
    failed(ran, 2, f"{how[0]} says how objects are anonymised. Name the key with --anonymise as well.")
    assert list(Path("sink").iterdir()) == []
    assert not Path("out").exists()


@pytest.mark.parametrize("option", [("--cluster", "tcp://127.0.0.1:9"), ("--processes",)])
def test_an_upload_refuses_to_run_where_it_cannot(run: Any, data: Path, option: tuple[str, ...]) -> None:
    """It would run in threads all the same."""
    ran = run("batch", "--upload", "data", "--archive", "folder:sink", *option)
    failed(ran, 2, f"--upload sends with threads of this machine. Leave out {option[0]}.")
    assert list(Path("sink").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--cluster", "tcp://127.0.0.1:9", "--processes"),
            "--cluster and --processes are two ways to run it. Leave one of them out.",
        ),
        (
            ("--move", "OTHER", "--anonymise", "trial.key"),
            "--move has the archive send its objects as they are, so --anonymise cannot be. Leave one of them out.",
        ),
        (
            ("--anonymise", "trial.key", "--offsets", "nosuch.csv"),
            "{folder}/nosuch.csv cannot be read (No such file or directory). Check the path and its permissions.",
        ),
        (
            ("--anonymise", "trial.key", "--profile", "nonsense"),
            "no profile is called 'nonsense'; expected basic, research-rt or the path of a TOML file.",
        ),
    ],
)
def test_a_dry_run_refuses_what_the_run_itself_would(
    run: Any, data: Path, options: tuple[str, ...], sentence: str
) -> None:
    """And makes no key."""
    ran = run("batch", "query.csv", "--archive", "folder:source", "--dry-run", *options)
    failed(ran, 2, sentence.format(folder=data.parent))
    assert not Path("trial.key").exists()


def test_a_dry_run_with_a_new_key_does_not_make_it(run: Any, data: Path) -> None:
    """It only says what would be fetched."""
    ran = run("batch", "query.csv", "--archive", "folder:source", "--dry-run", "--anonymise", "trial.key", "--json")
    assert (ran.code, [one["objects"] for one in ran.json["series"]]) == (0, [2])
    assert not Path("trial.key").exists()


def test_an_upload_leaves_the_reports_of_the_fetching_alone(run: Any, data: Path) -> None:
    """Its own lie in a folder that it names."""
    fetched = {data / f"report.{kind}" for kind in ("csv", "json", "html")}
    for path in fetched:
        path.write_text("of the fetching")
    ran = run("batch", "--upload", "data", "--archive", "folder:sink")
    assert (ran.code, ran.rows[-1]) == (0, ["report", "data/logs/upload-sink/report.html"])
    assert {path.read_text() for path in fetched} == {"of the fetching"}
    assert "00001-A" in Path("data/logs/upload-sink/report.html").read_text()
