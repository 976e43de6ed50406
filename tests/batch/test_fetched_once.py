"""What is there and opens is not fetched again, whatever else is asked for; what is there no more is."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from peers import course as courses

from qa_fetch import Archive, part10
from qa_fetch.batch import fetch_csv
from qa_fetch.bulk import Report
from qa_fetch.node import NodeOptions, NodeProcess

TAKEN = datetime(2015, 5, 12, 14, 5)
SLICES = [courses.ct_slice(courses.new_series("P", name), TAKEN, n) for name in "AB" for n in (1, 2, 3)]
for _one in SLICES:
    _one.DeviceSerialNumber, _one.ImageType = "H192273", ["ORIGINAL", "PRIMARY", "AXIAL"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """A node with two series of three slices."""
    folder = tmp_path_factory.mktemp("archive")
    with NodeProcess(NodeOptions(folder / "node", port=0)) as node:
        Archive(node.address, shelf=folder / "shelf").send(courses.write_all(SLICES, folder / "files"))
        yield Archive(node.address)


class Bringing:
    """One output folder, into which queries are run."""

    def __init__(self, archive: Archive, folder: Path) -> None:
        self.archive, self.asked, self.out = archive, folder / "query.csv", folder / "out"

    def __call__(self, query: str = "PatientID\nP\n", **options: Any) -> Report:
        self.asked.write_text(query, encoding="utf-8")
        return fetch_csv(self.asked, self.archive, to=self.out, **options)

    def files(self) -> dict[Path, int]:
        """The objects, and which file of the disk each of them is."""
        return {path: path.stat().st_ino for path in sorted(self.out.glob("sub-*/ses-*/*/*.dcm"))}

    def uids(self) -> set[str]:
        return {str(part10.read(path).SOPInstanceUID) for path in self.files()}

    def logged(self) -> list[str]:
        """How many objects the log of the run has for each series."""
        with (self.out / "logs" / "run_log.csv").open(encoding="utf-8", newline="") as file:
            return [row["FilesFound"] for row in csv.DictReader(file)]

    def tables(self) -> list[dict[str, str]]:
        found = []
        for path in sorted(self.out.glob("sub-*/ses-*/*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                found += list(csv.DictReader(file))
        return found


@pytest.fixture
def bring(archive: Archive, tmp_path: Path) -> Bringing:
    return Bringing(archive, tmp_path)


def test_a_table_that_is_asked_for_later_fetches_no_object_again(bring: Bringing) -> None:
    """Nor does saving after that: the two are independent of each other."""
    first = bring()
    before = bring.files()
    assert (first.done, first.bytes, len(before)) == (2, sum(path.stat().st_size for path in before), 6)
    for options in ({"info": True}, {"save": False, "info": True}, {}, {"info": True}, {"info": True}):
        again = bring(**options)
        assert (again.done, again.failed, again.bytes) == (2, 0, 0), options
        assert bring.logged() == ["3", "3"], options
        assert bring.files() == before, options
    assert again.already == 2
    assert len(bring.tables()) == 2


def test_an_object_that_is_cut_short_is_fetched_again(bring: Bringing) -> None:
    """Its name alone does not make it whole; the same after a table was written beside it."""
    bring()
    for options in ({}, {"info": True}):
        cut = next(iter(bring.files()))
        cut.chmod(0o600)
        os.truncate(cut, 100)
        mended = bring(**options)
        assert (mended.done, mended.failed) == (2, 0)
        assert mended.bytes > 0
        assert part10.read(cut).SOPInstanceUID
        assert bring.uids() == {str(one.SOPInstanceUID) for one in SLICES}
    assert not list(bring.out.rglob("*.part"))


def test_one_object_of_a_series_that_is_there_is_there(bring: Bringing) -> None:
    """The others stay where they are."""
    bring()
    before = bring.files()
    report = bring(f"SOPInstanceUID\n{SLICES[1].SOPInstanceUID}\n")
    assert (report.done, report.failed, report.bytes) == (1, 0, 0)
    assert bring.files() == before


def test_objects_of_one_series_that_are_asked_for_one_by_one_gather_in_its_folder(bring: Bringing) -> None:
    """What an earlier run was asked for is not taken away for what a later one is."""
    for count in (1, 2):
        bring(f"SOPInstanceUID\n{SLICES[count - 1].SOPInstanceUID}\n")
        assert bring.uids() == {str(one.SOPInstanceUID) for one in SLICES[:count]}
    assert bring().done == 2
    assert bring.uids() == {str(one.SOPInstanceUID) for one in SLICES}


@pytest.mark.parametrize("kind", ["object", "folder"])
def test_what_has_taken_the_name_of_an_object_is_left_as_it_is(bring: Bringing, kind: str) -> None:
    """An object of another series, or a folder."""
    bring()
    first, other = (path for path in sorted(bring.out.glob("sub-*/ses-*/*")) if path.is_dir())
    lost, stranger = sorted(first.iterdir())[0], sorted(other.iterdir())[0]
    lost.unlink()
    if kind == "object":
        lost.write_bytes(stranger.read_bytes())
    else:
        lost.mkdir()
    before = bring.files()
    report = bring(attempts=1)
    (failed,) = report.failures()
    assert failed.error == (
        f"{first.name} holds something else under the name of an object of its series, so it was left as it is. "
        "Move that away, or give another output folder."
    )
    assert (report.done, report.bytes, bring.files()) == (1, 0, before)


def with_own_files(series: Path, other: Path) -> dict[Path, bytes]:
    """What a user may put into the folder of a series: notes, sidecars, a folder, and an object of another series."""
    for name in ("mask.json", ".DS_Store", "notes/one.txt"):
        (series / name).parent.mkdir(exist_ok=True)
        (series / name).write_text("mine", encoding="utf-8")
    (series / "0.dcm").write_bytes(other.read_bytes())  # comes before the others by its name
    (series / "link").symlink_to("mask.json")
    own = ("mask.json", ".DS_Store", "notes/one.txt", "0.dcm", "link")
    return {series / name: (series / name).read_bytes() for name in own}


def test_files_that_a_user_has_put_beside_objects_stay_there(bring: Bringing) -> None:
    """They neither hold up a series that is there, nor get lost where it is filled, nor get into its table."""
    bring()
    first, other = (path for path in sorted(bring.out.glob("sub-*/ses-*/*")) if path.is_dir())
    lost = sorted(first.iterdir())[0]
    own, before = with_own_files(first, sorted(other.iterdir())[0]), bring.files()
    again = bring(info=True)
    assert (again.done, again.failed, again.bytes, bring.files()) == (2, 0, 0, before)
    lost.unlink()
    filled = bring(info=True)
    assert (filled.done, filled.failed, filled.bytes > 0, set(bring.files())) == (2, 0, True, set(before))
    assert {path: path.read_bytes() for path in own} == own
    assert (first / "link").is_symlink()
    assert len({row["SeriesInstanceUID"] for row in bring.tables()}) == 2


def test_the_ledger_of_an_earlier_version_is_gone_on_with(bring: Bringing) -> None:
    """It told what was done with a series in other words."""
    bring()
    before = bring.files()
    with closing(sqlite3.connect(bring.out / "ledger.sqlite")) as database:
        for number, payload in database.execute("SELECT number, payload FROM items").fetchall():
            old = json.dumps({**json.loads(payload), "what": {"info": False, "move": "", "save": True}})
            database.execute(
                "UPDATE items SET payload = ?, detail = ? WHERE number = ?", (old, '{"objects": 3}', number)
            )
        database.commit()
    report = bring()
    assert (report.done, report.failed, report.bytes) == (2, 0, 0)
    assert (bring.files(), bring.logged()) == (before, ["3", "3"])


def test_what_is_here_is_moved_elsewhere_all_the_same(bring: Bringing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; and stays here."""
    moved: list[str] = []
    monkeypatch.setattr(Archive, "move", lambda self, to, *, series: moved.append(series) or [to] * 3)
    bring()
    before = bring.files()
    for _ in range(2):
        assert bring(save=False, move="ELSEWHERE").done == 2
        assert sorted(moved) == sorted({str(one.SeriesInstanceUID) for one in SLICES})
    assert (bring().bytes, bring.files()) == (0, before)


# --- the table itself

IN_OBJECTS = {"DeviceSerialNumber": "H192273", "ImageType": "ORIGINAL\\PRIMARY\\AXIAL", "AcquisitionDate": "20150512"}


@pytest.mark.parametrize("save", [True, False])
def test_a_table_says_what_only_the_objects_tell(bring: Bringing, save: bool) -> None:
    """Archives answer none of it for a series; without the objects here, one of them is asked for by its header."""
    report = bring(save=save, info=True)
    assert report.done == 2
    assert [{column: row[column] for column in IN_OBJECTS} for row in bring.tables()] == [IN_OBJECTS] * 2


def test_an_archive_that_does_not_answer_for_objects_either_is_looked_up_in_one(
    bring: Bringing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves out it has not said to be absent; of the object that is fetched nothing stays."""
    found = Archive.find

    def sparing(self: Archive, level: str, *given: Any, **more: Any) -> list[Any]:
        rows = found(self, level, *given, **more)
        for row in rows if level == "IMAGE" else ():
            del row.DeviceSerialNumber
        return rows

    monkeypatch.setattr(Archive, "find", sparing)
    report = bring("PatientID\nP\nNOBODY\n", save=False, info=True)
    assert (report.done, report.failed, report.bytes > 0) == (2, 1, True)
    assert [row["DeviceSerialNumber"] for row in bring.tables()] == ["H192273"] * 2
    assert not list(bring.out.rglob("*.dcm"))


def test_a_series_of_which_no_object_is_listed_has_no_table(bring: Bringing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaps would look as if there were nothing to say."""
    found = Archive.find

    def forgetful(self: Archive, level: str, *given: Any, **more: Any) -> list[Any]:
        return [] if level == "IMAGE" else found(self, level, *given, **more)

    monkeypatch.setattr(Archive, "find", forgetful)
    report = bring(save=False, info=True)
    assert [row.error for row in report.failures()] == [
        f"{bring.archive.name} lists no object of this series, so its table would have gaps. "
        "Run again; if it stays so, its index needs to be looked at."
    ] * 2
    assert bring.tables() == []
