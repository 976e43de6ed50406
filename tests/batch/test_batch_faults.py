"""What a long run meets: it is killed, the archive goes down, and somebody starts a second one."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from peers import course as courses
from peers.doubles import ScriptedArchive
from peers.lies import Lies
from peers.process import LOOPBACK, free_port
from pydicom.dataset import Dataset

import qa_fetch
from qa_fetch import Archive
from qa_fetch.batch import fetch_csv, upload
from qa_fetch.node import NodeOptions, NodeProcess

PATIENTS, SERIES = 6, 4
KILLS = 20


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """24 series of three slices."""
    return courses.write_all(made([f"P{patient}" for patient in range(PATIENTS)], SERIES), tmp_path_factory.mktemp("f"))


def made(patients: Sequence[str], series: int) -> list[Dataset]:
    """Series of three slices."""
    taken = datetime(2015, 5, 12, 14, 5)
    return [
        courses.ct_slice(courses.new_series(patient, f"S{number}", description=f"S{number}"), taken, n, rows=64)
        for patient in patients
        for number in range(series)
        for n in (1, 2, 3)
    ]


@pytest.fixture
def node(tmp_path: Path, files: list[Path]) -> Iterator[NodeProcess]:
    """An archive that holds them, on a port that it keeps when it is started again."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=free_port())) as running:
        Archive(running.address, shelf=tmp_path / "shelf").send(files)
        yield running


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "query.csv"
    path.write_text("PatientID\n" + "".join(f"P{patient}\n" for patient in range(PATIENTS)), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, str]:
    """Every object of a data set by its place, with a digest of its bytes."""
    paths = [path for path in folder.glob("sub-*/ses-*/**/*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


PACED = ("--batch-size", "1", "--batch-wait", "0.02")


def started(asked: Path, address: str, out: Path, pace: Sequence[str] = PACED) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "qa_fetch.cli", "batch", str(asked), "--archive", address, "--to", str(out)]
        + ["--workers", "1", *pace],
        env={**os.environ, "PYTHONPATH": str(Path(qa_fetch.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def noted(out: Path) -> tuple[int, dict[str, str]]:
    """How many runs the ledger of a folder has, and the state of each series by its folder; nothing is changed."""
    if not (out / "ledger.sqlite").exists():
        return 0, {}
    try:
        with closing(sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True)) as database:
            (runs,) = database.execute("SELECT COUNT(*) FROM runs").fetchone()
            rows = database.execute("SELECT payload, state FROM items").fetchall()
    except sqlite3.OperationalError:  # it is being made
        return 0, {}
    return runs, {json.loads(payload)["folder"]: state for payload, state in rows}


def done(states: dict[str, str]) -> set[str]:
    return {folder for folder, state in states.items() if state == "done"}


def stamps(out: Path) -> dict[Path, tuple[int, int]]:
    """Every object in its place, and which file it is: one that was fetched again is another."""
    files = ((path, path.stat()) for path in out.glob("sub-*/ses-*/*/*.dcm") if not path.parent.name.startswith("."))
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in files}


def test_a_run_that_is_killed_twenty_times_ends_like_one_that_was_not(node: NodeProcess, tmp_path: Path) -> None:
    """Byte for byte, with no half file left, and nothing that was in its place fetched again."""
    count, asked = 120, tmp_path / "query.csv"
    Archive(node.address, shelf=tmp_path / "shelf").send(courses.write_all(made(["MANY"], count), tmp_path / "many"))
    asked.write_text("PatientID\nMANY\n", encoding="utf-8")
    whole = fetch_csv(asked, node.address, to=tmp_path / "whole")
    assert (whole.done, whole.failed) == (count, 0)
    out, chance = tmp_path / "out", random.Random(6)
    placed: dict[Path, tuple[int, int]] = {}
    in_work = 0
    for kill in range(KILLS):
        runs, states = noted(out)
        assert runs == kill
        before = states
        running = started(asked, node.address, out, pace=())
        while runs <= kill or not done(states) > done(before):
            assert running.poll() is None, "it ended before it was killed"
            time.sleep(0.005)
            runs, states = noted(out)
        time.sleep(chance.uniform(0, 0.05))
        assert running.poll() is None, "it ended before it was killed"
        running.send_signal(signal.SIGKILL)
        running.communicate()
        _, states = noted(out)
        in_work += "running" in states.values()
        now = stamps(out)
        assert done(before) <= done(states), "what was noted stays so"
        folders = Counter(str(path.parent.relative_to(out)) for path in now)
        assert done(states) <= set(folders)
        assert set(folders.values()) == {3}, "a folder that has its name is whole"
        assert {path: now[path] for path in placed} == placed
        placed = now
    assert in_work > KILLS // 2, "it was killed in the midst of a series"
    assert len(done(states)) < count
    report = fetch_csv(asked, node.address, to=out)
    assert (report.done, report.failed, report.waiting) == (count, 0, 0)
    assert (report.run, report.already) == (KILLS + 1, len(done(states)))
    assert contents(out) == contents(tmp_path / "whole")
    assert not list(out.rglob("*.part"))
    assert {path: stamps(out)[path] for path in placed} == placed


def test_an_archive_that_is_down_for_a_while_is_waited_for(node: NodeProcess, asked: Path, tmp_path: Path) -> None:
    """Nothing fails because of it."""
    node.stop()
    running = started(asked, f"dimse://QA_NODE@{LOOPBACK}:{node.options.port}", tmp_path / "out")
    time.sleep(1.5)
    node.start()
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said.decode()
    assert len(contents(tmp_path / "out")) == 3 * PATIENTS * SERIES


def test_a_second_run_into_one_folder_is_refused(node: NodeProcess, asked: Path, tmp_path: Path) -> None:
    """The first one goes on."""
    out = tmp_path / "out"
    first = started(asked, node.address, out)
    while first.poll() is None and not (out / "ledger.sqlite").exists():
        time.sleep(0.01)
    second = started(asked, node.address, out)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"another run is working in {out}. Wait until it has ended, or give another output folder." in said.decode()
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_an_archive_that_says_success_and_sends_less_is_not_believed(tmp_path: Path) -> None:
    """The series is named as failed, and nothing of it is in its place."""
    course = courses.default_course()
    lies = Lies(send_nothing=True)
    asked = tmp_path / "query.csv"
    asked.write_text("PatientID,Modality\nQA_TB1,CT\n", encoding="utf-8")
    with ScriptedArchive(course.datasets, lies) as double:
        report = fetch_csv(asked, Archive(double.address, retrieve="get"), to=tmp_path / "out", attempts=1)
    assert (report.done, report.failed) == (0, 1)
    (failed,) = report.failures()
    assert failed.error.startswith("SCRIPTED sent 0 of 4 objects and called it complete. Call again to fetch the rest;")
    assert contents(tmp_path / "out") == {}


def test_a_data_set_goes_back_into_an_archive_once(node: NodeProcess, asked: Path, tmp_path: Path) -> None:
    """And again only what has changed."""
    out = tmp_path / "out"
    fetch_csv(asked, node.address, to=out)
    with NodeProcess(NodeOptions(tmp_path / "other", port=0)) as other:
        assert upload(out, other.address).done == PATIENTS * SERIES
        again = upload(out, other.address)
        assert (again.done, again.already) == (PATIENTS * SERIES, PATIENTS * SERIES)
        assert len(Archive(other.address).find("SERIES", PatientID="P0")) == SERIES
