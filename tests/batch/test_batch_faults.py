"""What a long run meets: it is killed, the archive goes down, and somebody starts a second one."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from peers import course as courses
from peers.doubles import ScriptedArchive
from peers.lies import Lies
from peers.process import LOOPBACK, free_port

import qa_fetch
from qa_fetch import Archive
from qa_fetch.batch import fetch_csv, upload
from qa_fetch.node import NodeOptions, NodeProcess

PATIENTS, SERIES = 6, 4


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """24 series of three slices."""
    taken = datetime(2015, 5, 12, 14, 5)
    slices = [
        courses.ct_slice(courses.new_series(f"P{patient}", f"S{number}", description=f"S{number}"), taken, n, rows=64)
        for patient in range(PATIENTS)
        for number in range(SERIES)
        for n in (1, 2, 3)
    ]
    return courses.write_all(slices, tmp_path_factory.mktemp("files"))


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


def started(asked: Path, address: str, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "qa_fetch.cli", "batch", str(asked), "--archive", address, "--to", str(out)]
        + ["--workers", "1", "--batch-size", "1", "--batch-wait", "0.02"],
        env={**os.environ, "PYTHONPATH": str(Path(qa_fetch.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def test_a_run_that_is_killed_twenty_times_ends_like_one_that_was_not(
    node: NodeProcess, asked: Path, tmp_path: Path
) -> None:
    """Byte for byte, with no half file left, and nothing that was complete fetched again."""
    whole = fetch_csv(asked, node.address, to=tmp_path / "whole")
    assert (whole.done, whole.failed) == (PATIENTS * SERIES, 0)
    out, chance = tmp_path / "out", random.Random(6)
    kept: dict[str, int] = {}
    for _ in range(20):
        running = started(asked, node.address, out)
        while running.poll() is None and not (out / "ledger.sqlite").exists():
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.25))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        for path in out.glob("sub-*/ses-*/*/*.dcm"):
            kept.setdefault(str(path), path.stat().st_ino)
    report = fetch_csv(asked, node.address, to=out)
    assert (report.done, report.failed, report.waiting) == (PATIENTS * SERIES, 0, 0)
    assert contents(out) == contents(tmp_path / "whole")
    assert not list(out.rglob("*.part"))
    again = [path for path, inode in kept.items() if Path(path).stat().st_ino != inode]
    assert len(again) <= 3 * 20  # what a kill fell between its place and the ledger's line is put there again


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
