"""Looking after a shelf: list, verify, prune; and a disk that is full, or that this user may not write."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Callable

import pytest
from peers.course import PATIENT, Course, default_course
from peers.doubles import ScriptedArchive
from peers.process import LOOPBACK, free_port

import qa_fetch
from qa_fetch import Archive, Images, Incomplete
from qa_fetch.shelf import entries, prune, verify

HOUR, DAY = 3600, 86400


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The shelf of this test."""
    return tmp_path / "shelf"


@pytest.fixture
def archive(course_files: Path) -> Archive:
    """The course in a folder."""
    return Archive(f"folder:{course_files}")


def _portal(archive: Archive, day: int = 3) -> Images:
    month = 11 if day == 3 else 10
    return archive.latest(PATIENT, plan="WL_6X", approved=True, on=date(2025, month, day))


def _age(images: Images, seconds: float) -> None:
    """As if the set had last been used, and its objects been fetched, so long ago."""
    then = time.time() - seconds
    manifest = images.folder.with_name(images.folder.name + ".json")
    for path in (manifest, *images.folder.parent.parent.rglob("*.dcm")):
        if path == manifest or path.stem in images.uids:
            os.utime(path, (then, then))


def _kept(root: Path) -> set[str]:
    return {path.stem for path in root.glob("*/objects/*/*.dcm")}


# --- list


def test_the_list_says_what_each_set_is_without_naming_a_patient(archive: Archive, root: Path) -> None:
    """A list may be shown on any screen."""
    images = _portal(archive)
    doses = archive.latest(PATIENT, plan="PDIP_10X", kind="portal_dose")
    _age(images, DAY)
    found = list(entries(root))
    assert [(entry.about, entry.files, entry.folder) for entry in found] == [
        ("acquired portal dose image for plan PDIP_10X", 1, doses.folder),
        ("portal image for plan WL_6X", 4, images.folder),
    ]
    assert {entry.archive for entry in found} == {archive.name.replace("-", "_")}
    everything = " ".join(map(str, found)) + " ".join(str(path) for path in root.rglob("*"))
    for manifest in (*root.glob("*/sets/*.json"), *root.glob("*/answers/*.json")):
        if manifest.parent.name == "sets":
            everything += manifest.read_text()
    assert PATIENT not in everything.replace(str(root), "")
    assert "Müller" not in everything


# --- verify


def test_verify_names_the_file_in_which_one_bit_has_changed(archive: Archive, root: Path) -> None:
    """By time and size nothing has happened; the hash knows better."""
    images = _portal(archive)
    assert verify(root).damaged == []
    target = images.files[2]
    state, data = target.stat(), target.read_bytes()
    target.chmod(0o600)
    target.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))
    report = verify(root)
    stored = next(root.glob(f"*/objects/*/{images.uids[2]}.dcm"))  # a hard link: the same bytes
    assert report.damaged == [target, stored]
    assert report.checked == len(images) + len(_kept(root))
    assert target.read_bytes() != data


def test_verify_reads_objects_that_belong_to_no_set(archive: Archive, root: Path) -> None:
    """A plan that was only looked at is kept too."""
    images = _portal(archive)
    loose = next(path for path in root.glob("*/objects/*/*.dcm") if path.stem not in images.uids)
    loose.chmod(0o600)
    loose.write_bytes(loose.read_bytes()[:-2] + b"xx")
    assert verify(root).damaged == [loose]


def test_verify_names_what_is_missing_and_what_was_added(archive: Archive, root: Path) -> None:
    """A set is what was fetched, no more and no less."""
    images = _portal(archive)
    images.files[0].unlink()
    (images.folder / "notes.txt").write_text("mine")
    assert verify(root).damaged == [images.files[0], images.folder / "notes.txt"]
    assert (images.folder / "notes.txt").is_file()


def test_verify_and_list_survive_a_damaged_list_of_files(archive: Archive, root: Path) -> None:
    """It is named like any other damage."""
    images = _portal(archive)
    manifest = images.folder.with_name(images.folder.name + ".json")
    manifest.write_text("{")
    assert manifest in verify(root).damaged
    assert list(entries(root)) == []


# --- prune


def test_prune_removes_what_was_not_used_for_so_long(archive: Archive, root: Path) -> None:
    """The set and its objects go; what was used since stays, its objects too."""
    old, new = _portal(archive, 20), _portal(archive, 3)
    _age(old, 91 * DAY)
    report = prune(root, older_than_days=90, dry_run=True)
    assert old.folder in report.removed
    assert report.freed == sum(path.stat().st_size for path in old.files)
    assert old.folder.is_dir()
    assert set(old.uids) <= _kept(root)
    assert prune(root, older_than_days=90) == report
    assert not old.folder.exists()
    assert set(old.uids).isdisjoint(_kept(root))
    assert set(new.uids) <= _kept(root)
    assert verify(root).damaged == []
    assert prune(root, older_than_days=90).removed == []


def test_prune_leaves_what_a_user_put_beside_the_images(archive: Archive, root: Path) -> None:
    """A report that somebody wrote into a set's folder is theirs."""
    images = _portal(archive)
    report = images.folder / "report.pdf"
    report.write_text("mine")
    _age(images, 2 * DAY)
    prune(root, older_than_days=1)
    assert [path.name for path in images.folder.iterdir()] == ["report.pdf"]
    assert report.read_text() == "mine"
    again = _portal(archive)
    assert (len(again), again.folder != images.folder) == (4, True)


def test_what_was_pruned_is_fetched_again(archive: Archive, root: Path) -> None:
    """A shelf is a convenience: losing it costs a transfer and nothing else, for settled answers too."""
    old = _portal(archive, 20)
    _age(old, 91 * DAY)
    prune(root, older_than_days=90)
    again = _portal(archive, 20)
    assert (again.uids, again.from_shelf) == (old.uids, False)


def test_prune_makes_room_by_removing_the_longest_unused(archive: Archive, root: Path) -> None:
    """Room is made on the disk and not only in the list, with --older-than beside it too."""
    sets = [_portal(archive, day) for day in (20, 27, 3)]
    for number, images in enumerate(sets):
        _age(images, (5 - number) * DAY)
    size = sum(path.stat().st_size for path in sets[0].files)
    report = prune(root, older_than_days=90, max_bytes=2 * size)
    assert sets[0].folder in report.removed
    assert sets[1].folder not in report.removed
    assert [images.folder.is_dir() for images in sets] == [False, True, True]
    assert set(sets[0].uids).isdisjoint(_kept(root))
    assert set(sets[1].uids) | set(sets[2].uids) <= _kept(root)


def test_an_object_in_two_sets_counts_once(archive: Archive, root: Path, course: Course) -> None:
    """The shelf fits, so nothing has to go."""
    portal = _portal(archive)
    series = archive.fetch(series=course.newest.series.uid)
    _age(series, 5 * DAY)
    _age(portal, 4 * DAY)
    prune(root, max_bytes=sum(path.stat().st_size for path in series.files))
    assert portal.folder.is_dir()
    assert series.folder.is_dir()


def test_prune_never_takes_what_was_used_within_the_hour_to_make_room(archive: Archive, root: Path) -> None:
    """It may be in use at this moment; older objects without a set go."""
    recent, older = _portal(archive, 3), _portal(archive, 20)
    _age(recent, HOUR - 60)
    _age(older, HOUR + 60)
    prune(root, max_bytes=0)
    assert recent.folder.is_dir()
    assert set(recent.uids) <= _kept(root)
    assert not older.folder.exists()


def test_a_use_keeps_a_set_from_being_pruned(archive: Archive, root: Path) -> None:
    """What counts is the last use and not the day of the transfer."""
    images = _portal(archive)
    _age(images, 91 * DAY)
    _portal(archive)
    prune(root, older_than_days=90)
    assert images.folder.is_dir()
    assert set(images.uids) <= _kept(root)


def test_prune_removes_what_killed_processes_left_and_answers_nobody_asks_for(archive: Archive, root: Path) -> None:
    """What is a day old is no longer being written."""
    images = _portal(archive)
    home = images.folder.parent.parent
    left = [home / "incoming" / "ab-1-1.2.part", home / "sets" / ".new-abc" / "0001.dcm", home / "sets" / ".x.tmp"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    fresh = home / "incoming" / "ab-2-1.2.part"
    fresh.write_bytes(b"half")
    answer = next((home / "answers").iterdir())
    for path in (*left, left[1].parent, answer):
        os.utime(path, (time.time() - 100 * DAY,) * 2)
    prune(root, older_than_days=90)
    assert [path.exists() for path in (*left, left[1].parent, answer)] == [False] * 5
    assert fresh.exists()
    assert images.folder.is_dir()


# --- a disk that is full, or closed to us


def _mounted(place: Path) -> bool:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "qa_fetch-test", str(place)]
    return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A shelf on a full disk, and what frees it: a tmpfs of 256 kB where this user may mount one, else a pretence."""
    place = tmp_path / "small"
    if _mounted(place):
        print("full disk: a tmpfs of 256 kB")
        ballast = place / "ballast"
        ballast.write_bytes(b"\0" * 200_000)
        try:
            yield place / "shelf", ballast.unlink
        finally:
            subprocess.run(["umount", str(place)], check=True)
        return
    print("full disk: simulated, since this user may not mount a tmpfs")
    full = threading.Event()
    full.set()

    def fsync(descriptor: int) -> None:
        if full.is_set() and os.fstat(descriptor).st_size > 40_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("qa_fetch.shelf.disk.os.fsync", fsync)
    yield place / "shelf", full.clear


@pytest.mark.parametrize("way", ["folder", "get", "move"])
def test_a_full_disk_keeps_nothing_half_and_the_same_call_completes_when_there_is_space(
    small_disk: Any, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says which disk; no part and no set is left there."""
    shelf, free_space = small_disk
    monkeypatch.setenv("QA_FETCH_SHELF", str(shelf))
    course = default_course(rows=150)  # images of 45 kB, four of which do not fit
    course.write(tmp_path / "course")
    port = free_port()
    with ScriptedArchive(course.datasets, destinations={"QATRACK": (LOOPBACK, port)}) as double:
        local = {"local_ae_title": "QATRACK", "local_port": port, "retrieve": way}
        archive = Archive(f"folder:{tmp_path / 'course'}") if way == "folder" else Archive(double.address, **local)
        with pytest.raises(Incomplete) as caught:
            archive.latest(PATIENT, plan="WL_6X")
        home = next(path for path in shelf.iterdir() if path.name != "receivers")
        assert str(caught.value) == (
            f"the disk of the shelf {home} is full, so fetching stopped and nothing half-written was kept. "
            "Free space there, run qa-fetch shelf prune, or set another [shelf] path."
        )
        assert not caught.value.retriable
        assert caught.value.missing
        assert [path for path in shelf.rglob("*") if path.suffix == ".part" or path.parent.name == "sets"] == []
        assert verify(shelf).damaged == []
        free_space()
        images = archive.latest(PATIENT, plan="WL_6X")
    assert [image.PixelData for image in images] == [image.PixelData for image in course.newest.images]


def test_a_disk_that_fills_while_a_set_is_put_together_leaves_no_half_set(
    archive: Archive, root: Path, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no hard links, copies need room of their own."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        patch.setattr("qa_fetch.shelf.disk.shutil.copyfile", full)
        with pytest.raises(Incomplete) as caught:
            _portal(archive)
    home = next(root.iterdir())
    assert str(caught.value) == (
        f"the disk of the shelf {home} is full, so putting a set together stopped and nothing half-written was kept. "
        "Free space there, run qa-fetch shelf prune, or set another [shelf] path."
    )
    assert list((home / "sets").iterdir()) == []
    assert list(_portal(archive).uids) == course.newest.uids


def test_a_shelf_of_another_user_is_named(course_files: Path, tmp_path: Path) -> None:
    """The first call was made with sudo, the web server comes second: one line, and no traceback of pathlib."""
    shelf = tmp_path / "shelf"
    _portal(Archive(f"folder:{course_files}"))
    code = (
        "import os, sys; from qa_fetch import Archive, Incomplete\n"
        f"archive = Archive({f'folder:{course_files}'!r})\n"
        f"for home in {[str(path) for path in shelf.iterdir()]!r}: os.chmod(home, 0)\n"
        "os.getuid() or os.setuid(65534)\n"
        f"try: archive._shelf.has('1.2.3')\n"
        "except Incomplete as error: print(error)\n"
        "try: archive._shelf.recall({})\n"
        "except Incomplete as error: print(error)\n"
    )
    # The files of this test lie below folders that only their owner may enter: enough for this user to be refused.
    package = str(Path(qa_fetch.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": package}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    for home in shelf.iterdir():
        home.chmod(0o700)
    (home,) = shelf.iterdir()
    sentence = (
        f"the shelf {home} cannot be used for reading (Permission denied). "
        "Check that this user may write there, or set another [shelf] path."
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [sentence, sentence]
