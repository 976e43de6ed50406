"""What a batch writes beside the series: its log and its patients' new IDs, and what it says where it cannot."""

from __future__ import annotations

import csv
import errno
import sqlite3
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Ran
from peers import course as courses

from qa_fetch import Archive
from qa_fetch.anonymise import Anonymiser
from qa_fetch.batch import fetch_csv
from qa_fetch.bulk import Ledger
from qa_fetch.errors import ConfigError, Incomplete

WHEN = datetime(2015, 5, 12, 14, 5)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Two series of P1, and one of P2."""
    add(tmp_path, "P1", "A")
    add(tmp_path, "P1", "B")
    add(tmp_path, "P2", "A")
    return Archive(f"folder:{tmp_path / 'archive'}")


def add(folder: Path, patient: str, name: str) -> None:
    courses.write_all(
        [courses.ct_slice(courses.new_series(patient, name, description=name), WHEN, 1)], folder / "archive"
    )


def query(folder: Path, text: str) -> Path:
    path = folder / "query.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_log_tells_of_this_run_only(archive: Archive, tmp_path: Path) -> None:
    """What an earlier run did not find, and this one did, is no failure any more."""
    out, asked = tmp_path / "out", query(tmp_path, "PatientID\nP2\nP3\n")
    assert fetch_csv(asked, archive, to=out).failed == 1
    add(tmp_path, "P3", "A")
    assert fetch_csv(asked, Archive(f"folder:{tmp_path / 'archive'}"), to=out).complete
    with (out / "logs" / "run_log.csv").open(encoding="utf-8", newline="") as file:
        told = [(row["Rows"], row["Completed"], row["Problem"]) for row in csv.DictReader(file)]
    assert told == [("1", "True", ""), ("2", "True", "")]


# New IDs


def test_a_new_id_lies_beside_its_patient(archive: Archive, tmp_path: Path) -> None:
    """Of whom nothing was fetched has none."""
    fetch_csv(query(tmp_path, "PatientID,new_ids\nP1,C1\nNOBODY,C2\nP2,\n"), archive, to=tmp_path / "out")
    found = {path.parent.name: path.read_text() for path in (tmp_path / "out").rglob("new_id.txt")}
    assert found == {"sub-P1": "C1\n"}


@pytest.mark.parametrize("anonymised", [False, True])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Modality,new_ids\nCT,C0001\n",
            "the query file gives one new ID to several patients, so nothing was fetched. "
            "Give each patient a row and a new ID of its own.",
        ),
        (
            "PatientID,SeriesDescription,new_ids\nP1,A,C1\nP*,B,C2\n",
            "the query file gives several new IDs to one patient, so nothing was fetched. Keep one of them.",
        ),
    ],
)
def test_new_ids_that_are_not_one_for_each_patient_are_refused_before_anything_is_fetched(
    archive: Archive, tmp_path: Path, text: str, sentence: str, anonymised: bool
) -> None:
    """Which patients a row means only the archive tells."""
    anonymiser = Anonymiser(tmp_path / "trial.key") if anonymised else None
    with pytest.raises(ConfigError) as caught:
        fetch_csv(query(tmp_path, text), archive, to=tmp_path / "out", anonymise=anonymiser)
    assert str(caught.value) == sentence
    assert [path for path in tmp_path.rglob("*.dcm") if tmp_path / "archive" not in path.parents] == []


def test_a_new_id_that_cannot_be_a_code_is_refused_before_anything_is_fetched(archive: Archive, tmp_path: Path) -> None:
    """Not after hours."""
    asked = query(tmp_path, "PatientID,new_ids\nP1,sub-C1\n")
    with pytest.raises(ConfigError) as caught:
        fetch_csv(asked, archive, to=tmp_path / "out", anonymise=Anonymiser(tmp_path / "trial.key"))
    assert str(caught.value) == (
        "new_ids, entry 1: the code begins with sub-, which folders get anyway. Leave that out."
    )
    assert [path for path in tmp_path.rglob("*.dcm") if tmp_path / "archive" not in path.parents] == []


# A disk that is full


def sentence(folder: Path) -> str:
    return (
        f"the disk of {folder} is full, so the run stopped. Free space there and run again: "
        "it goes on where it stopped."
    )


def test_a_disk_that_is_full_when_the_log_is_written_is_named(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words of the ledger; the next run writes it."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    query(tmp_path, "PatientID\nP2\n")
    command = ("batch", "query.csv", "--archive", "folder:archive", "--to", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("qa_fetch.batch.job.write_table", full)
        ran = Ran(capsys, command)
    assert (ran.code, ran.err) == (1, f"qa-fetch: {sentence(tmp_path / 'out')}\n")
    assert Ran(capsys, command).code == 0
    assert (tmp_path / "out" / "logs" / "run_log.csv").is_file()


@pytest.mark.parametrize(("free", "full"), [(1000, True), (10**9, False)])
def test_a_ledger_without_room_for_its_other_files_does_not_speak_of_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, full: bool
) -> None:
    """SQLite says only that it could not write."""

    class Failing(SimpleNamespace):
        def execute(self, *_: Any) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    ledger = Ledger(tmp_path / "ledger.sqlite")
    with monkeypatch.context() as patch:
        patch.setattr("qa_fetch.bulk.ledger.shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
        patch.setattr(ledger, "_database", Failing())
        with pytest.raises(Incomplete if full else ConfigError) as caught:
            ledger.begin_run()
    ledger.close()
    rights = f"the ledger {ledger.path} cannot be used (disk I/O error). Check that this user may write to its folder."
    assert str(caught.value) == (sentence(tmp_path) if full else rights)


def test_a_ledger_on_a_disk_whose_share_is_used_up_does_not_speak_of_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user may have a part of a disk only."""

    def full(*_: Any) -> None:
        raise OSError(getattr(errno, "EDQUOT", errno.ENOSPC), "Disk quota exceeded")

    monkeypatch.setattr("qa_fetch.bulk.ledger.make_folder", full)
    with pytest.raises(Incomplete) as caught:
        Ledger(tmp_path / "ledger.sqlite")
    assert str(caught.value) == sentence(tmp_path)
