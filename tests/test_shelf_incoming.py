"""Objects on their way to the shelf: whole or not at all, whatever the disk, the archive or a kill does to them."""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Callable

import pytest
from peers.course import CT, Course

from qa_fetch import BadArchive, Incomplete, part10
from qa_fetch.budget import Budget
from qa_fetch.shelf import Claim, Reference, Shelf, Taken, take

EXPLICIT = part10.EXPLICIT_LITTLE
STUDY, SERIES, OTHER_SERIES = "1.2.1", "1.2.2", "1.2.3"


def an_object(uid: str, size: int = 512, *, series: str = SERIES, fill: int = 7) -> bytes:
    """An encoded data set with so many bytes of pixels."""
    data = b""
    for tag, value in (((8, 0x16), CT), ((8, 0x18), uid), ((0x20, 0x0D), STUDY), ((0x20, 0x0E), series)):
        text = value.encode() + b"\0" * (len(value) % 2)
        data += struct.pack("<HH2sH", *tag, b"UI", len(text)) + text
    return data + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size) + bytes([fill]) * size


def uid_of(number: int) -> str:
    return f"1.2.3.{number}"


def references(count: int, series: str = SERIES) -> list[Reference]:
    return [Reference(STUDY, series, uid_of(number), CT) for number in range(count)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf", "pacs", "dimse://PACS")


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Nothing half-written, and no descriptor."""
    before = descriptors()
    yield
    assert list((tmp_path / "shelf").glob("*/incoming/*")) == []
    if descriptors() > before:
        gc.collect()  # what an error's traceback still holds
    assert descriptors() <= before


def bring(claim: Claim, uid: str, data: bytes, pieces: int = 1 << 30) -> Taken:
    """As a transport does it: begun, written piece by piece, finished, closed."""
    incoming = claim.begin(CT, uid, EXPLICIT)
    if incoming is None:
        return Taken.UNWANTED
    try:
        for at in range(0, len(data), pieces):
            incoming.write([memoryview(data)[at : at + pieces]])
        return incoming.finish()
    finally:
        incoming.close()


def kept(shelf: Shelf, uid: str) -> bytes:
    return shelf.object_path(uid).read_bytes()


# --- whole


@pytest.mark.parametrize("size", [2, 60_000, 65_000, 66_000, 1 << 20, (1 << 25) + 2])
@pytest.mark.parametrize("pieces", [1 << 30, 10_007], ids=["at once", "in pieces"])
def test_small_ones_and_large_ones_are_the_same_bytes_on_the_disk(shelf: Shelf, size: int, pieces: int) -> None:
    """Held in memory or streamed; the note has its size and a checksum: at once, or from when a set is made of it."""
    uid = uid_of(0)
    data = an_object(uid, size)
    with shelf.claim(references(1), Budget(5)) as claim:
        assert bring(claim, uid, data, pieces) is Taken.KEPT
        assert claim.complete
    whole = kept(shelf, uid)
    assert whole == part10.file_meta(CT, uid, EXPLICIT) + data
    note = json.loads(shelf.object_path(uid).with_suffix(".json").read_text())
    assert note["size"] == len(whole)
    assert note.get("crc32") == (zlib.crc32(whole) if size <= 65_000 else None)
    shelf.gather([uid], "one")
    note = json.loads(shelf.object_path(uid).with_suffix(".json").read_text())
    assert note.get("sha256") == (hashlib.sha256(whole).hexdigest() if size > 65_000 else None)
    assert shelf.has(uid)
    assert shelf.object_path(uid).stat().st_mode & 0o777 == 0o400


def test_a_thousand_pieces_in_one_call_are_written_in_their_order(shelf: Shelf) -> None:
    """More than one system call takes."""
    uid = uid_of(0)
    data = an_object(uid, 200_000)
    with shelf.claim(references(1), Budget(5)) as claim:
        incoming = claim.begin(CT, uid, EXPLICIT)
        assert incoming is not None
        incoming.write([data[at : at + 100] for at in range(0, len(data), 100)])
        assert incoming.finish() is Taken.KEPT
        incoming.close()
    assert kept(shelf, uid).endswith(data)


def test_a_disk_that_takes_only_a_part_at_a_time_gets_the_rest(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """As network file systems and signals make it."""
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: writev(descriptor, [bytes(pieces[0])[:1000]]))
    for number, size in enumerate((3000, 300_000)):
        uid = uid_of(number)
        data = an_object(uid, size)
        with shelf.claim([Reference(STUDY, SERIES, uid, CT)], Budget(5)) as claim:
            assert bring(claim, uid, data, 70_000) is Taken.KEPT
        assert kept(shelf, uid) == part10.file_meta(CT, uid, EXPLICIT) + data


def test_a_large_object_that_changes_before_a_set_is_made_of_it_is_fetched_again(shelf: Shelf) -> None:
    """Its checksum is not known yet; its time and size are."""
    uid = uid_of(0)
    with shelf.claim(references(1), Budget(5)) as claim:
        bring(claim, uid, an_object(uid, 100_000))
    path = shelf.object_path(uid)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(90_000)
        file.write(b"changed")
    assert not shelf.has(uid)
    with pytest.raises(Incomplete) as caught:
        shelf._add(shelf.folder / "set.dcm", uid)  # as when it changes between the look and the set
    assert str(caught.value) == (
        f"an object on the shelf {shelf.folder} is not what arrived any more, so it was removed. "
        "Call again to fetch it."
    )
    assert not path.exists()


def test_five_hundred_objects_leave_no_descriptor_open(shelf: Shelf) -> None:
    """Nor ever more than a few hundred."""
    with shelf.claim(references(500), Budget(20)) as claim:
        for number in range(500):
            assert bring(claim, uid_of(number), an_object(uid_of(number))) is Taken.KEPT
        assert claim.complete and claim.arrived == 500
    assert all(shelf.has(uid_of(number)) for number in range(500))


# --- what is not wanted, comes twice, or is not what it says


def test_what_nobody_wants_is_not_begun(shelf: Shelf) -> None:
    """And nothing is written for it."""
    with shelf.claim(references(1), Budget(5)) as claim:
        assert claim.begin(CT, "1.2.99", EXPLICIT) is None
        assert take(claim.begin, CT, "1.2.99", EXPLICIT, an_object("1.2.99")) is Taken.UNWANTED


def test_of_a_welcome_series_everything_is_kept(shelf: Shelf) -> None:
    """Of other series only what was asked for."""
    with shelf.claim(references(1), Budget(5)) as claim:
        claim.welcome(SERIES)
        assert bring(claim, "1.2.98", an_object("1.2.98")) is Taken.KEPT
        assert bring(claim, "1.2.99", an_object("1.2.99", series=OTHER_SERIES)) is Taken.UNWANTED
        assert bring(claim, uid_of(0), an_object(uid_of(0))) is Taken.KEPT
    assert (shelf.has("1.2.98"), shelf.has("1.2.99"), shelf.has(uid_of(0))) == (True, False, True)


@pytest.mark.parametrize("size", [512, 200_000])
def test_the_same_again_changes_nothing(shelf: Shelf, size: int) -> None:
    """Some archives send everything twice, within a call or between calls."""
    data = an_object(uid_of(0), size)
    with shelf.claim(references(2), Budget(5)) as claim:
        assert bring(claim, uid_of(0), data) is Taken.KEPT
        assert bring(claim, uid_of(0), data) is Taken.REPEATED
        assert (claim.arrived, len(claim.missing)) == (1, 1)
    with shelf.claim(references(2), Budget(5)) as claim:
        assert bring(claim, uid_of(0), data) is Taken.REPEATED
    assert kept(shelf, uid_of(0)).endswith(data)


@pytest.mark.parametrize("size", [512, 200_000])
def test_two_different_objects_under_one_uid_are_both_refused(shelf: Shelf, size: int) -> None:
    """Nobody can say which is right, so the call ends and neither stays."""
    with pytest.raises(BadArchive) as ended, shelf.claim(references(2), Budget(5)) as claim:
        assert bring(claim, uid_of(0), an_object(uid_of(0), size)) is Taken.KEPT
        with pytest.raises(BadArchive) as caught:
            bring(claim, uid_of(0), an_object(uid_of(0), size, fill=8))
        assert not claim.complete
    assert (
        str(caught.value)
        == str(ended.value)
        == (
            "the archive sent two different objects under one UID, so neither is used. "
            "Report it to the archive's administrator."
        )
    )
    assert not shelf.has(uid_of(0))


def test_an_object_under_the_uid_of_another_ends_the_call(shelf: Shelf) -> None:
    """What the message says and what the object says must agree."""
    with pytest.raises(BadArchive) as ended, shelf.claim(references(2), Budget(5)) as claim:
        with pytest.raises(BadArchive):
            bring(claim, uid_of(0), an_object(uid_of(1)))
    assert str(ended.value) == (
        "the archive sent one object under the UID of another, so none of this set is used. "
        "Report it to the archive's administrator."
    )
    assert not shelf.has(uid_of(0)) and not shelf.has(uid_of(1))


@pytest.mark.parametrize("size", [512, 200_000])
def test_an_object_that_is_cut_short_is_not_kept_and_the_next_one_is(shelf: Shelf, size: int) -> None:
    """It can come again, whole."""
    data = an_object(uid_of(0), size)
    with shelf.claim(references(1), Budget(5)) as claim:
        with pytest.raises(BadArchive) as caught:
            bring(claim, uid_of(0), data[:-10])
        assert claim.spoilt is caught.value and claim.failure is None
        assert bring(claim, uid_of(0), data) is Taken.KEPT
    assert str(caught.value) == (
        "an object is cut short: it ends in the middle of an element. Fetch or export it again."
    )


@pytest.mark.parametrize("written", [0, 100, 100_000])
def test_an_object_that_is_given_up_leaves_nothing(shelf: Shelf, written: int) -> None:
    """The connection broke; discarding it twice does no harm."""
    with shelf.claim(references(1), Budget(5)) as claim:
        incoming = claim.begin(CT, uid_of(0), EXPLICIT)
        assert incoming is not None
        incoming.write([an_object(uid_of(0), 200_000)[:written]])
        incoming.close()
        incoming.close()
        assert not claim.complete


def test_an_object_without_any_data_is_no_object(shelf: Shelf) -> None:
    """A header alone."""
    with shelf.claim(references(1), Budget(5)) as claim, pytest.raises(BadArchive) as caught:
        bring(claim, uid_of(0), b"")
    assert str(caught.value) == "an object arrived without any data. Fetch or export it again."


# --- a disk that is full


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def after(count: int, call: Callable[..., Any]) -> Callable[..., Any]:
    """A system call that fails once it has been made so often."""
    left = [count]

    def once(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        return full() if left[0] < 0 else call(*arguments, **more)

    return once


STEPS = [("open", 0), ("open", 1), ("open", 2), ("writev", 0), ("writev", 1), ("fsync", 0), ("fsync", 1)]


@pytest.mark.parametrize(("step", "count"), STEPS, ids=[f"{step} {count}" for step, count in STEPS])
@pytest.mark.parametrize("size", [512, 200_000], ids=["small", "large"])
def test_a_disk_that_is_full_at_any_step_ends_the_call_with_one_sentence(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, step: str, count: int, size: int
) -> None:
    """What was whole before stays, nothing half-written does, and the next call brings the rest."""
    objects = {uid_of(number): an_object(uid_of(number), size) for number in range(3)}
    with monkeypatch.context() as patch, pytest.raises(Incomplete) as caught:
        with shelf.claim(references(3), Budget(5)) as claim:
            patch.setattr(os, step, after(count, getattr(os, step)))
            for uid, data in objects.items():
                bring(claim, uid, data)
    assert str(caught.value) == (
        f"the disk of the shelf {shelf.folder} is full, so fetching stopped and nothing half-written was kept. "
        "Free space there, run qa-fetch shelf prune, or set another [shelf] path."
    )
    assert not caught.value.retriable
    for uid, data in objects.items():
        if shelf.has(uid):
            assert kept(shelf, uid) == part10.file_meta(CT, uid, EXPLICIT) + data
    assert not all(map(shelf.has, objects))
    with shelf.claim(references(3), Budget(5)) as claim:
        for reference in claim.missing:
            assert bring(claim, reference.instance, objects[reference.instance]) is Taken.KEPT
    assert all(map(shelf.has, objects))


def test_what_could_not_be_settled_does_not_count(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk says so in the background, after the object was taken: the call ends with it all the same."""
    with monkeypatch.context() as patch, pytest.raises(Incomplete):
        with shelf.claim(references(1), Budget(5)) as claim:
            patch.setattr(os, "fsync", full)
            assert bring(claim, uid_of(0), an_object(uid_of(0))) is Taken.KEPT
    assert not shelf.has(uid_of(0))
    assert [reference.instance for reference in claim.missing] == [uid_of(0)]


# --- a kill


@pytest.mark.parametrize("left", ["nothing", "an empty note", "half a note"])
def test_a_kill_between_the_name_and_the_note_has_the_object_fetched_again(shelf: Shelf, left: str) -> None:
    """Without its note it does not count, and the new one takes its place."""
    data = an_object(uid_of(0))
    with shelf.claim(references(1), Budget(5)) as claim:
        bring(claim, uid_of(0), data)
    note = shelf.object_path(uid_of(0)).with_suffix(".json")
    said = note.read_text()
    note.unlink()
    if left != "nothing":
        note.write_text("" if left == "an empty note" else said[:20])
    assert not shelf.has(uid_of(0))
    with shelf.claim(references(1), Budget(5)) as claim:
        assert [reference.instance for reference in claim.missing] == [uid_of(0)]
        assert bring(claim, uid_of(0), an_object(uid_of(0), fill=9)) is Taken.KEPT
    assert kept(shelf, uid_of(0)).endswith(an_object(uid_of(0), fill=9))
    assert shelf.has(uid_of(0))


def test_what_a_killed_process_left_half_written_is_swept_by_the_next(shelf: Shelf) -> None:
    """Under the same lock, and only there: another series may be arriving."""
    with shelf.claim(references(1), Budget(5)) as claim:
        incoming = claim.begin(CT, uid_of(0), EXPLICIT)
        assert incoming is not None
        (draft,) = (shelf.folder / "incoming").iterdir()
        incoming.close()
    draft.write_bytes(b"left by a killed process")
    stranger = draft.with_name("zz" + draft.name[2:])
    stranger.write_bytes(b"of another lock")
    with shelf.claim(references(1), Budget(5)):
        assert (draft.exists(), stranger.exists()) == (False, True)
    stranger.unlink()


def test_a_file_of_an_export_is_taken_like_an_object_from_the_wire(
    shelf: Shelf, course: Course, tmp_path: Path
) -> None:
    """Byte for byte, with a header of ours."""
    image = deepcopy(course.cbct[0])
    part10.write(image, tmp_path / "export.dcm")
    uid = str(image.SOPInstanceUID)
    with shelf.claim([Reference(str(image.StudyInstanceUID), str(image.SeriesInstanceUID), uid)], Budget(5)) as claim:
        assert claim.take_file(tmp_path / "export.dcm") is Taken.KEPT
    before = part10.split((tmp_path / "export.dcm").read_bytes(), "before")
    after_it = part10.split(kept(shelf, uid), "after")
    assert (bytes(after_it.dataset), after_it.transfer_syntax) == (bytes(before.dataset), before.transfer_syntax)
