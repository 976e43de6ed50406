"""The index of a folder of Pinnacle archives: every archive is opened once, and again only when it has changed."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from phantom import Course, write

from qa_fetch import ConfigError, ConnectionFailed
from qa_fetch.backends.pinnacle_folder import identifier
from qa_fetch.backends.pinnacle_index import Index, Known
from qa_fetch.budget import Budget


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """A folder of archives in every form, in folders of any depth, with files that are none among them."""
    folder = tmp_path / "tars"
    (folder / "2012" / "left").mkdir(parents=True)
    write(Course(beams=("static",), identifier="A1", plans=2), folder / "a.tar")
    write(Course(beams=("static",), identifier="B1"), folder / "2012" / "b.tar.gz")
    write(Course(beams=("static",), identifier="C1", patients=2), folder / "2012" / "left" / "unpacked")
    (folder / "list.csv").write_text("nothing of Pinnacle\n")
    return folder


def _index(folder: Path) -> Index:
    return Index("tars", folder, folder.parent / "shelf" / "pinnacle")


def _patients(index: Index) -> list[str]:
    index.refresh(Budget(20))
    return [identifier(held.patient) for held in index.held()]


def _spoil(tar: Path) -> None:
    """Write rubbish over an archive so that its size and its time stay: whoever opens it now gets nothing."""
    status = tar.stat()
    tar.write_bytes(b"x" * status.st_size)
    os.utime(tar, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_patients_are_found_in_every_form_of_archive_and_in_every_depth(tars: Path) -> None:
    """Tars, compressed tars and unpacked patients; an unpacked archive of several patients gives each of them."""
    index = _index(tars)
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    assert index.counts() == (4, 4, 0)
    assert index.problems() == []
    (held,) = index.held("A1")
    assert held.archive == tars / "a.tar"
    assert [entry.name for entry in held.patient.plans] == ["PLAN_1", "PLAN_2"]
    assert held.trials == {0: ("Trial_1",), 1: ("Trial_1",)}
    index.close()


def test_the_index_lies_beside_the_shelf_for_its_owner_only(tars: Path) -> None:
    """It names patients; and nothing is written into the folder of archives."""
    before = sorted(tars.rglob("*"))
    index = _index(tars)
    _patients(index)
    assert sorted(tars.rglob("*")) == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in index.place.iterdir() if path.is_file()} == {0o600}
    assert stat.S_IMODE(index.place.stat().st_mode) == 0o700
    index.close()


def test_an_archive_that_has_not_changed_is_not_opened_again(tars: Path) -> None:
    """Its size and its time tell: another process does not even notice that it cannot be read any more."""
    first = _index(tars)
    _patients(first)
    first.close()
    _spoil(tars / "a.tar")
    again = _index(tars)
    assert _patients(again) == ["A1", "B1", "C1", "C1_2"]
    assert again.problems() == []
    again.close()


def test_an_archive_that_has_changed_is_read_again(tars: Path) -> None:
    """So is a file of an unpacked one."""
    index = _index(tars)
    _patients(index)
    write(Course(beams=("static",), identifier="A2"), tars / "a.tar")
    patient = next(tars.glob("2012/left/unpacked/**/Patient_1/Patient"))
    patient.write_bytes(patient.read_bytes().replace(b'"C1"', b'"C9"'))
    assert _patients(index) == ["A2", "B1", "C1_2", "C9"]
    index.close()


def test_archives_that_are_gone_are_not_shown_and_come_back_unread(tars: Path) -> None:
    """A share that was not mounted for a day costs nothing, and what was converted stays current."""
    index = _index(tars)
    _patients(index)
    before = index.state("A1"), index.since("A1")
    away = tars.parent / "away.tar"
    (tars / "a.tar").rename(away)
    assert _patients(index) == ["B1", "C1", "C1_2"]
    _spoil(away)
    away.rename(tars / "a.tar")
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    assert (index.state("A1"), index.since("A1")) == before
    index.close()


def test_a_damaged_archive_is_named_with_its_reason_and_stops_no_other(tars: Path) -> None:
    """What a cut tar still holds is found all the same."""
    (tars / "none.tar").write_bytes(b"no tar at all")
    whole = write(Course(beams=("static",), identifier="D1"), tars / "cut.tar").path.read_bytes()
    (tars / "cut.tar").write_bytes(whole[: int(len(whole) * 0.9)])
    index = _index(tars)
    found = _patients(index)
    assert found[:4] == ["A1", "B1", "C1", "C1_2"]
    assert [path for path, _ in index.problems()] == ["cut.tar", "none.tar"]
    assert dict(index.problems())["none.tar"] == (
        "none.tar is no tar archive that can be read. Fetch it again from where it was kept."
    )
    index.close()


def test_what_the_system_could_not_read_is_tried_again(tars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that fails for a moment makes no damaged archive of a sound one, which has not changed since."""

    def failing(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    index = _index(tars)
    with monkeypatch.context() as broken:
        broken.setattr("qa_fetch.pinnacle.stores.Plain.read_at", failing)
        assert "A1" not in _patients(index)
        assert dict(index.problems())["a.tar"] == (
            "a.tar cannot be read (Input/output error). Check the disk or the share that it lies on."
        )
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    assert index.problems() == []
    index.close()


@pytest.mark.parametrize("name", ["plan.Points", "plan.Trial", "plan.Trial.binary.000", "ImageSet_0.header"])
def test_a_file_without_rights_keeps_no_patient_from_being_found(
    tars: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an unpacked archive; it is looked at again each time, since rights change without a trace."""
    sound = os.open

    def refusing(path: Any, *rest: Any, **more: Any) -> int:
        if Path(os.fsdecode(path)).name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return sound(path, *rest, **more)

    read = name not in ("plan.Trial.binary.000", "ImageSet_0.header")  # others are only read to convert
    index = _index(tars)
    with monkeypatch.context() as broken:
        broken.setattr(os, "open", refusing)
        assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
        assert sorted({problem for _, problem in index.problems()}) == (
            [
                "files in it that cannot be read: 1 (the system could not read it (Permission denied)). "
                "Check the rights of this user, or the disk or share that they lie on."
            ]
            if read
            else []
        )
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    assert index.problems() == []
    index.close()


def test_archives_that_are_compressed_otherwise_are_named(tars: Path) -> None:
    """They are not read, but nobody shall believe that they are not there."""
    (tars / "old.tar.bz2").write_bytes(b"BZh9 and so on")
    index = _index(tars)
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    assert index.problems() == [
        ("old.tar.bz2", "old.tar.bz2 is compressed with bzip2, which is not read. Unpack it first: bunzip2")
    ]
    index.close()


def test_a_patient_without_a_number_is_counted_and_not_found(tars: Path) -> None:
    """Nobody can ask for it by an ID; the connection test says that it is there."""
    write(Course(beams=("static",), identifier=""), tars / "nameless.tar")
    index = _index(tars)
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    assert index.counts() == (5, 4, 1)
    index.close()


def test_reading_many_archives_goes_on_in_the_next_call(tars: Path) -> None:
    """The budget ends the first call; what it has read is not read again."""
    index = _index(tars)
    with pytest.raises(ConnectionFailed) as caught:
        index.refresh(Budget(0))
    assert str(caught.value) == (
        "tars has 4 more archives than can be read within 0 s. "
        "Call again to go on from there, or allow more with budget=."
    )
    assert caught.value.retriable
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    index.close()


def test_processes_that_start_together_read_each_archive_once(tars: Path) -> None:
    """All of them get the same answer."""
    worker = (
        "import sys; from pathlib import Path\n"
        "from qa_fetch.backends.pinnacle_index import Index\n"
        "from qa_fetch.backends.pinnacle_folder import identifier\n"
        "from qa_fetch.budget import Budget\n"
        "index = Index('tars', Path(sys.argv[1]), Path(sys.argv[2])); index.refresh(Budget(60))\n"
        "print(*(identifier(held.patient) for held in index.held()))\n"
    )
    place = tars.parent / "shelf" / "pinnacle"
    running = [
        subprocess.Popen([sys.executable, "-c", worker, str(tars), str(place)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0] for process in running] == ["A1 B1 C1 C1_2\n"] * 3
    index = _index(tars)
    index.refresh(Budget(20))
    assert index.counts() == (4, 4, 0)
    index.close()


def test_a_damaged_index_is_made_anew(tars: Path) -> None:
    """It holds nothing that the archives do not."""
    index = _index(tars)
    _patients(index)
    index.close()
    (file,) = index.place.glob("*.sqlite3")
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(ConnectionFailed) as caught:
        index.refresh(Budget(20))
    assert str(caught.value) == (
        "the index of tars was damaged (file is not a database), so it was removed. Call again: it is made anew."
    )
    assert caught.value.retriable
    assert _patients(index) == ["A1", "B1", "C1", "C1_2"]
    index.close()


def test_a_place_where_no_index_can_be_kept_is_named(tars: Path) -> None:
    """The message says what to set."""
    (tars.parent / "file").write_text("in the way")
    index = Index("tars", tars, tars.parent / "file" / "pinnacle")
    with pytest.raises(ConfigError) as caught:
        index.refresh(Budget(20))
    assert str(caught.value) == (
        f"the index of tars in {index.place} cannot be used (Not a directory). "
        "Check that this user may write there, or set another [shelf] path."
    )


def test_what_another_version_has_converted_is_converted_anew(tars: Path) -> None:
    """It may have been converted less well."""
    index = _index(tars)
    _patients(index)
    state, since = index.state("A1"), index.since("A1")[0]
    index.note("A1", state, Known([{"SOPInstanceUID": "1.2"}], ["a dose"]))
    assert index.known("A1") == Known([{"SOPInstanceUID": "1.2"}], ["a dose"])
    index.close()
    (file,) = index.place.glob("*.sqlite3")
    database = sqlite3.connect(file)
    with database:
        database.execute("UPDATE made SET version = 'older'")
    database.close()
    index.refresh(Budget(20))
    assert index.known("A1") is None
    assert index.state("A1") == state and index.since("A1")[0] > since
    index.close()


def test_many_archives_that_have_not_changed_are_only_looked_at_from_outside(tmp_path: Path) -> None:
    """None of them is opened: rubbish in their places is not noticed."""
    folder = tmp_path / "many"
    folder.mkdir()
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("Institution"))
    for number in range(200):
        (folder / f"{number}.tar").write_bytes(empty.getvalue())
    index = _index(folder)
    _patients(index)
    for tar_file in folder.iterdir():
        _spoil(tar_file)
    assert _patients(index) == []
    assert (index.counts(), index.problems()) == ((200, 0, 0), [])
    index.close()
