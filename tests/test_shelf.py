"""The shelf: a set's folder holds exactly its files, a change by hand is noticed, and a repeat costs no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Callable

import pytest
from peers.course import PATIENT, Course, default_course
from peers.doubles import ScriptedArchive

from qa_fetch import Archive, Incomplete, part10
from qa_fetch.budget import Budget
from qa_fetch.locks import FileLock
from qa_fetch.shelf import Reference, Shelf, take

IMPLICIT = part10.IMPLICIT_LITTLE


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty shelf of one archive."""
    return Shelf(tmp_path / "shelf", "aria", "dimse ARIA 10.0.0.2")


def put(shelf: Shelf, datasets: Sequence[Any]) -> list[str]:
    """Put objects on a shelf as a backend does; their UIDs."""
    references = [Reference(one.StudyInstanceUID, one.SeriesInstanceUID, str(one.SOPInstanceUID)) for one in datasets]
    with shelf.claim(references, Budget(5)) as claim:
        for one in datasets:
            take(claim.begin, one.SOPClassUID, str(one.SOPInstanceUID), IMPLICIT, part10.encode(one, IMPLICIT))
    return [reference.instance for reference in references]


def edit(path: Path, *, add: bytes = b"\0" * 8) -> None:
    """What a user does who opens a file of a set in an editor."""
    path.chmod(0o600)
    with path.open("ab") as file:
        file.write(add)


def below(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_set_is_a_folder_with_exactly_its_files_in_order(shelf: Shelf, course: Course) -> None:
    """The names count up in the order that was asked for, and the files are what arrived."""
    uids = put(shelf, course.newest.images)[::-1]
    folder = shelf.gather(uids, "portal image")
    assert sorted(path.name for path in folder.path.iterdir()) == ["0001.dcm", "0002.dcm", "0003.dcm", "0004.dcm"]
    assert [part10.read(path).SOPInstanceUID for path in folder.files] == uids == list(folder.uids)
    assert [part10.read(path).PixelData for path in folder.files] == [
        image.PixelData for image in course.newest.images[::-1]
    ]


def test_the_same_set_is_the_same_folder_and_another_order_another_one(shelf: Shelf, course: Course) -> None:
    """A set is known by its UIDs and their order."""
    uids = put(shelf, course.newest.images)
    assert shelf.gather(uids, "a") == shelf.gather(uids, "b")
    assert shelf.gather(uids, "a").path != shelf.gather(uids[::-1], "a").path


def test_what_is_not_there_is_no_set(shelf: Shelf, course: Course) -> None:
    """Half a set is never put together."""
    uids = put(shelf, course.newest.images[:3])
    missing = str(course.newest.images[3].SOPInstanceUID)
    with pytest.raises(Incomplete) as caught:
        shelf.gather([*uids, missing], "portal image")
    assert str(caught.value) == "1 of 4 objects are not on the shelf any more. Call again to fetch them."
    assert (caught.value.missing, caught.value.retriable) == ([missing], True)
    assert not (shelf.folder / "sets").exists()


def test_a_half_written_file_of_a_killed_process_is_swept_and_never_counted(shelf: Shelf, course: Course) -> None:
    """Who next fetches of that series removes it; nobody ever reads it."""
    image = course.newest.images[0]
    stripe = hashlib.sha256(str(image.SeriesInstanceUID).encode()).hexdigest()[:2]
    other = "00" if stripe != "00" else "01"
    incoming = shelf.folder / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{stripe}-4711-{image.SOPInstanceUID}.part").write_bytes(b"half")
    (incoming / f"{other}-4711-1.2.3.part").write_bytes(b"of another, who may still be writing")
    assert not shelf.has(image.SOPInstanceUID)
    put(shelf, [image])
    assert shelf.has(image.SOPInstanceUID)
    assert [path.name for path in incoming.iterdir()] == [f"{other}-4711-1.2.3.part"]


def test_a_set_that_a_killed_process_left_without_its_list_is_taken_over(shelf: Shelf, course: Course) -> None:
    """The folder got its name, the list of its files did not."""
    uids = put(shelf, course.newest.images)
    folder = shelf.gather(uids, "portal image")
    (folder.path.with_name(folder.path.name + ".json")).unlink()
    assert shelf.gather(uids, "portal image") == folder


def test_a_list_that_a_power_cut_left_empty_is_no_list(shelf: Shelf, course: Course) -> None:
    """Neither a set's list, nor an object's note, nor an answer ends a call when it cannot be read."""
    uids = put(shelf, course.newest.images)
    folder = shelf.gather(uids, "portal image")
    folder.path.with_name(folder.path.name + ".json").write_bytes(b"")
    assert len(shelf.gather(uids, "portal image").files) == 4
    shelf.remember({"q": 1}, {"a": 2})
    next((shelf.folder / "answers").iterdir()).write_bytes(b"")
    assert shelf.recall({"q": 1}) is None
    shelf.object_path(uids[0]).with_suffix(".json").write_bytes(b"")
    assert [shelf.has(uid) for uid in uids] == [False, True, True, True]


@pytest.fixture
def from_folder(course_files: Path) -> Callable[[], Any]:
    """The newest portal images, asked for anew at each call."""
    return lambda: Archive(f"folder:{course_files}").latest(PATIENT, plan="WL_6X", approved=True)


def test_a_file_changed_by_hand_stays_and_the_images_come_again_elsewhere(
    from_folder: Callable[[], Any], course: Course
) -> None:
    """The user's work is not thrown away, and it never passes for what the archive has."""
    first = from_folder()
    edit(first.files[1])
    edited = first.files[1].read_bytes()
    again = from_folder()
    assert again.folder != first.folder
    assert not again.from_shelf
    assert first.files[1].read_bytes() == edited
    assert [image.PixelData for image in again] == [image.PixelData for image in course.newest.images]
    assert from_folder().folder == again.folder


def test_a_file_changed_by_hand_gets_into_no_other_set(course_files: Path, course: Course) -> None:
    """Sets share files as hard links: the edit of one must not be what another holds."""
    archive = Archive(f"folder:{course_files}")
    first = archive.latest(PATIENT, plan="WL_6X", approved=True)
    pixels = first.files[1].read_bytes()
    first.files[1].chmod(0o600)
    first.files[1].write_bytes(pixels[:-1] + bytes([pixels[-1] ^ 1]))
    series = archive.fetch(series=course.newest.series.uid)
    by_uid = {str(image.SOPInstanceUID): image.PixelData for image in series}
    assert [by_uid[uid] for uid in course.newest.uids] == [image.PixelData for image in course.newest.images]


def test_a_change_that_hides_behind_the_old_time_is_found_when_the_next_set_is_made(
    shelf: Shelf, course: Course
) -> None:
    """A flipped bit leaves time and size as they were; making a set reads every byte."""
    uids = put(shelf, course.newest.images)
    _flip(shelf.object_path(uids[2]))
    with pytest.raises(Incomplete) as caught:
        shelf.gather(uids, "portal image")
    assert str(caught.value) == (
        f"an object on the shelf {shelf.folder} is not what arrived any more, so it was removed. "
        "Call again to fetch it."
    )
    assert (caught.value.missing, caught.value.retriable) == ([uids[2]], True)
    assert list((shelf.folder / "sets").iterdir()) == []
    put(shelf, course.newest.images)
    assert len(shelf.gather(uids, "portal image").files) == 4


def _flip(path: Path) -> None:
    """Change the last byte and nothing else that ``ls`` shows."""
    state, data = path.stat(), path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_file_that_the_user_added_stays_and_the_next_call_has_a_clean_folder(
    from_folder: Callable[[], Any],
) -> None:
    """A report written among the images must not be analysed as one, nor be deleted."""
    first = from_folder()
    (first.folder / "report.pdf").write_text("mine")
    again = from_folder()
    assert again.folder != first.folder
    assert sorted(path.name for path in again.folder.iterdir()) == ["0001.dcm", "0002.dcm", "0003.dcm", "0004.dcm"]
    assert (first.folder / "report.pdf").read_text() == "mine"
    assert again.from_shelf


def test_a_file_or_a_folder_deleted_by_hand_comes_back(from_folder: Callable[[], Any], course: Course) -> None:
    """Without the network, since the object itself is still there."""
    first = from_folder()
    first.files[0].unlink()
    again = from_folder()
    assert (len(again.files), again.from_shelf) == (4, True)
    shutil.rmtree(again.folder)
    assert [image.PixelData for image in from_folder()] == [image.PixelData for image in course.newest.images]


def test_whoever_writes_into_every_folder_is_told_to_stop(shelf: Shelf, course: Course) -> None:
    """A hundred spoilt copies are a program that writes its results among the images."""
    uids = put(shelf, course.newest.images[:1])
    for _ in range(100):
        (shelf.gather(uids, "portal image").path / "result.txt").write_text("")
    with pytest.raises(Incomplete) as caught:
        shelf.gather(uids, "portal image")
    assert str(caught.value) == (
        f"all 100 copies of this set in {shelf.folder / 'sets'} hold changed or foreign files. "
        "Write results elsewhere, and delete those folders."
    )
    assert not caught.value.retriable


def test_without_hard_links_sets_are_copies(shelf: Shelf, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT sticks and some network shares have none."""

    def no_links(*_: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    uids = put(shelf, course.newest.images)
    folder = shelf.gather(uids, "portal image")
    assert [path.stat().st_nlink for path in folder.files] == [1, 1, 1, 1]
    assert [part10.read(path).SOPInstanceUID for path in folder.files] == uids
    edit(folder.files[0])
    assert shelf.has(uids[0])
    assert shelf.gather(uids, "portal image").path != folder.path


def test_two_archives_share_nothing_of_one_uid(tmp_path: Path) -> None:
    """One may have the anonymised copy; a relative path in two working directories is two archives as well."""
    found = []
    for number, change in enumerate(("", "ANON", "OTHER")):
        course = default_course()
        for one in course.datasets:
            one.StudyDescription = change
        course.write(tmp_path / str(number) / "images")
    for place in ("0", "1"):
        found.append(Archive(f"folder:{tmp_path / place / 'images'}").latest(PATIENT, plan="WL_6X"))
    with pytest.MonkeyPatch.context() as patch:
        for place in ("0", "2"):
            patch.chdir(tmp_path / place)
            found.append(Archive("folder:images").latest(PATIENT, plan="WL_6X"))
    assert [str(images.datasets[0].StudyDescription) for images in found] == ["", "ANON", "", "OTHER"]
    assert [images.from_shelf for images in found] == [False, False, True, False]


@pytest.mark.parametrize("name", ["1.2.x", "../../x", "1" * 65, "1..2", "..\\..\\x", "1.2\x003", ".1", ""])
def test_what_is_no_uid_is_kept_under_a_digest(shelf: Shelf, name: str) -> None:
    """A peer never chooses a path."""
    path = shelf.object_path(name)
    assert path.parent.parent == shelf.folder / "objects"
    assert path.stem.startswith("x-")
    assert len(path.stem) == 42
    assert path.stem[2:].isalnum()


def test_a_uid_of_64_digits_is_its_own_name(shelf: Shelf) -> None:
    """That is as long as DICOM allows."""
    assert shelf.object_path("1" * 64).name == "1" * 64 + ".dcm"


def test_eight_threads_that_put_one_set_together_share_it(shelf: Shelf, course: Course) -> None:
    """One folder, eight equal answers, nothing left over."""
    uids = put(shelf, course.newest.images)
    start, found = threading.Barrier(8), []

    def gather() -> None:
        start.wait()
        found.append(shelf.gather(uids, "portal image"))

    threads = [threading.Thread(target=gather) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 8
    assert sorted(path.name for path in (shelf.folder / "sets").iterdir()) == [
        found[0].path.name,
        found[0].path.name + ".json",
    ]


def test_a_claim_that_fails_half_way_gives_its_locks_back(shelf: Shelf) -> None:
    """Of two series one is being fetched by somebody else: the other must not stay locked with the error."""
    references = [Reference("1", f"1.{number}", f"1.{number}.1") for number in range(6)]
    stripes = sorted({hashlib.sha256(one.series.encode()).hexdigest()[:2] for one in references})
    held = FileLock(shelf.folder / "locks" / f"{stripes[-1]}.lock")
    assert held.try_acquire()
    with pytest.raises(Incomplete) as caught, shelf.claim(references, Budget(0.1)):
        pass
    held.release()
    assert str(caught.value) == (
        "another process is fetching the same objects and has not finished within 0.1 s. "
        "Call again to go on from there."
    )
    (shelf.folder / "locks" / f"{stripes[-1]}.lock").unlink()
    (shelf.folder / "locks" / f"{stripes[-1]}.lock").mkdir()  # a lock that cannot be opened
    with pytest.raises(Incomplete) as caught, shelf.claim(references, Budget(5)):
        pass
    assert str(caught.value).startswith(f"the shelf {shelf.folder} cannot be used for locking (")
    for stripe in stripes[:-1]:
        lock = FileLock(shelf.folder / "locks" / f"{stripe}.lock")
        assert lock.try_acquire()
        lock.release()


# --- answers that can no longer change


def test_a_question_about_the_past_is_asked_once(course: Course) -> None:
    """The second time the archive hears nothing at all, with wait=True neither."""
    with ScriptedArchive(course.datasets) as double:
        archive = Archive(double.address)
        asked = {"plan": "WL_6X", "approved": True, "before": datetime(2025, 11, 4)}
        first = archive.latest(PATIENT, **asked)
        double.requests.clear()
        double.callers.clear()
        again = archive.latest(PATIENT, **asked)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.sleep", lambda seconds: pytest.fail("waited for what is settled"))
            waited = archive.latest(PATIENT, wait=True, **asked)
        assert (double.requests, double.callers) == ([], [])
    assert (again.folder, again.uids, again.plan, again.from_shelf) == (first.folder, first.uids, first.plan, True)
    assert waited.uids == first.uids


def test_a_question_about_now_is_asked_again_and_transfers_nothing(course: Course) -> None:
    """A newer session may have come; the images of the old one need not come again."""
    with ScriptedArchive(course.datasets) as double:
        archive = Archive(double.address)
        first = archive.latest(PATIENT, plan="WL_6X", approved=True)
        double.requests.clear()
        double.sent.clear()
        again = archive.latest(PATIENT, plan="WL_6X", approved=True)
        assert {request.service for request in double.requests} == {"C-FIND"}
        assert double.sent == []
    assert (again.folder, again.from_shelf) == (first.folder, True)


def test_images_that_come_late_are_found_until_the_answer_has_settled(
    course: Course, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some minutes after a session its last images may still be on their way to the archive."""
    late = course.newest.images[3]
    (tmp_path / "qa_fetch.toml").write_text("[shelf]\nsettle_minutes = 10")
    before = course.newest.acquired + timedelta(minutes=5)
    asked = {"plan": "WL_6X", "approved": True, "before": before}

    with ScriptedArchive([one for one in course.datasets if one is not late]) as double:
        archive = Archive(double.address)
        _set_clock(monkeypatch, before + timedelta(minutes=9))
        assert list(archive.latest(PATIENT, **asked).uids) == course.newest.uids[:3]
        double.datasets.append(late)
        _set_clock(monkeypatch, before + timedelta(minutes=11))
        assert list(archive.latest(PATIENT, **asked).uids) == course.newest.uids
        double.requests.clear()
        assert list(archive.latest(PATIENT, **asked).uids) == course.newest.uids
        assert double.requests == []


def _set_clock(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now

    monkeypatch.setattr("qa_fetch.archive.question.datetime", Clock)


def test_no_plan_and_a_plan_called_none_are_two_questions(course: Course) -> None:
    """A settled answer to the one must never be given to the other."""
    archive_of_two = [*course.datasets]
    with ScriptedArchive(archive_of_two) as double:
        archive = Archive(double.address)
        archive.latest(PATIENT, plan=None, before="2025-11-04")
        with pytest.raises(Exception, match="has no plan called None for this patient") as caught:
            archive.latest(PATIENT, plan="None", before="2025-11-04")
    assert type(caught.value).__name__ == "NotFound"
