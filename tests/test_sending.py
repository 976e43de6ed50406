"""Sending files: byte for byte where the archive takes them so, and each accounted for, whatever happens to others."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Callable

import pytest
from peers.course import CT, Course, write_all
from peers.process import LOOPBACK, Missing, ServerProcess, program, skip_or_fail
from peers.taker import BIG, DEFLATED, EXPLICIT, IMPLICIT, JPEG, Taker, a_file, dataset_of, problems, uid_of
from peers.wire import Association

from qa_fetch import Archive, part10
from qa_fetch.backends import open_backend
from qa_fetch.backends.pool import POOL
from qa_fetch.budget import Budget
from qa_fetch.config import Config

LOST = "SCRIPTED dropped the connection or stopped answering. Try again; if it happens again, "
LOST += "check that it knows QA_FETCH as a client, and run: qa-fetch echo SCRIPTED"


# --- byte for byte


class Storescp(ServerProcess):
    """DCMTK's storescp."""

    ae_title = "STORESCP"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self._program, self._options = program("storescp", "dcmtk"), options

    def command(self, ports: list[int]) -> list[str]:
        (self.folder / "in").mkdir(exist_ok=True)
        return [self._program, "-od", "in", *self._options, str(ports[0])]

    @property
    def received(self) -> dict[str, Path]:
        """The files that came, by UID."""
        return {uid_of(path): path for path in (self.folder / "in").iterdir()}


def storescp(*options: str) -> Storescp:
    try:
        return Storescp(*options)
    except Missing as missing:
        skip_or_fail(missing)


ENCODINGS = (EXPLICIT, IMPLICIT, DEFLATED, BIG, JPEG)


def test_every_encoding_arrives_byte_for_byte(
    course: Course, tmp_path: Path, taker: Taker, takes: Callable[..., None]
) -> None:
    """In one call, each in a context of its own."""
    takes(*ENCODINGS)
    files = [a_file(tmp_path, course.newest.images[0], one, n) for n, one in enumerate(ENCODINGS)]
    assert problems(Archive(taker.address), files) == [""] * 5
    assert [(one.syntax, one.data) for one in taker.stored] == [
        (syntax, dataset_of(path)) for syntax, path in zip(ENCODINGS, files)
    ]


def test_dcmtk_writes_the_same_bytes(course: Course, tmp_path: Path) -> None:
    """Kept as they came (bit preserving), in each encoding that it knows."""
    files = [a_file(tmp_path, course.newest.images[0], one, n) for n, one in enumerate(ENCODINGS)]
    with storescp("+B", "+xa") as peer:
        assert problems(Archive(peer.address), files) == [""] * 5
        came = peer.received
        assert len(came) == 5
        for path in files:
            assert dataset_of(came[uid_of(path)]) == dataset_of(path)


def test_dcmtk_takes_only_implicit_and_gets_the_same_pixels(course: Course, tmp_path: Path) -> None:
    """Explicit and deflated are turned into it; JPEG cannot be, nor pixels in another byte order."""
    files = [a_file(tmp_path, course.newest.images[0], one, n) for n, one in enumerate(ENCODINGS)]
    with storescp("+B", "+xi") as peer:
        said = problems(Archive(peer.address), files)
        came = peer.received
    no = "STORESCP does not accept objects of this class in this transfer syntax"
    assert said[:3] == ["", "", ""] and said[4] == no
    assert said[3] == (
        "an object's pixels cannot be turned from one byte order into the other. "
        "Convert the file to Explicit VR Little Endian first (DCMTK: dcmconv +te)"
    )
    assert len(came) == 3


@pytest.mark.parametrize("has", [EXPLICIT, IMPLICIT, DEFLATED])
@pytest.mark.parametrize("takes_only", [EXPLICIT, IMPLICIT])
def test_plain_encodings_are_turned_into_one_another(
    course: Course, tmp_path: Path, taker: Taker, takes: Callable[..., None], has: str, takes_only: str
) -> None:
    """The values and the pixels are the same after it."""
    takes(takes_only)
    path = a_file(tmp_path, course.newest.images[0], has)
    assert problems(Archive(taker.address), [path]) == [""]
    (stored,) = taker.stored
    assert stored.syntax == takes_only
    before, after = part10.read(path), part10.decode(stored.data, takes_only)
    assert after.PixelData == before.PixelData == course.newest.images[0].PixelData
    assert [str(element.value) for element in after] == [str(element.value) for element in before]


# --- files


def test_files_that_cannot_be_sent_are_accounted_for(course: Course, tmp_path: Path, taker: Taker) -> None:
    """Cut short, none of DICOM, empty, a loop of links, vanished: each with its reason, and the others are sent."""
    good = write_all(course.newest.images[:2], tmp_path)
    short, other, empty, header, gone = (
        tmp_path / f"{name}.dcm" for name in ("short", "text", "empty", "head", "gone")
    )
    short.write_bytes(good[0].read_bytes()[:-10])
    other.write_bytes(b"no DICOM at all" * 100)
    empty.write_bytes(b"")
    header.write_bytes(good[0].read_bytes()[:200])
    files = [good[0], short, other, empty, header, gone, good[1]]

    config = Config.load()
    backend = open_backend(config.archive(taker.address), config)
    sent = backend.store(files, Budget(20))
    backend.close()
    assert [(one.path.name, one.problem) for one in sent] == [
        (good[0].name, ""),
        ("short.dcm", "an object is cut short: it ends in the middle of an element. Fetch or export it again"),
        ("text.dcm", "text.dcm is not a DICOM Part-10 file. Leave it out, or convert it first"),
        ("empty.dcm", "empty.dcm is empty. Fetch or export it again"),
        ("head.dcm", "head.dcm is cut short in its file header. Fetch or export it again"),
        ("gone.dcm", "gone.dcm cannot be read (No such file or directory)"),
        (good[1].name, ""),
    ]
    assert [one.uid for one in taker.stored] == [path.stem for path in good]


def test_a_file_that_vanishes_before_its_turn_is_named(course: Course, tmp_path: Path) -> None:
    """It was there when the sending began."""
    files = write_all(course.newest.images, tmp_path / "out")

    def act(taker: Taker, association: Association, uid: str) -> int:
        files[2].unlink(missing_ok=True)
        return 0x0000

    with Taker(act) as taker:
        said = problems(Archive(taker.address), files)
    assert said == ["", "", f"{files[2].name} cannot be read (No such file or directory)", ""]


# --- an archive that breaks off


def large(course: Course, folder: Path, count: int) -> list[Path]:
    """Objects of a megabyte each."""
    images = []
    for number in range(count):
        image = deepcopy(course.newest.images[0])
        image.SOPInstanceUID = f"1.2.3.{number}"
        image.Rows, image.Columns = 512, 1024
        image.PixelData = bytes([number]) * (2 * 512 * 1024)
        images.append(image)
    return write_all(images, folder)


def test_an_archive_that_breaks_off_in_mid_object_gets_everything_all_the_same(
    course: Course, tmp_path: Path, taker: Taker
) -> None:
    """The rest goes over another association, the lost object too, and none twice."""
    files = large(course, tmp_path / "out", 5)
    taker.breaks_off = 1
    assert problems(Archive(taker.address), files) == [""] * 5
    assert sorted(one.data for one in taker.stored) == sorted(dataset_of(path) for path in files)
    assert len(taker.callers) == 2


def test_one_object_that_kills_the_archive_does_not_keep_the_others_away(course: Course, tmp_path: Path) -> None:
    """It is tried three times at most and then named; the four others are there."""
    files = large(course, tmp_path / "out", 5)

    def act(taker: Taker, association: Association, uid: str) -> int:
        if uid == files[1].stem:
            association.abort()
        return 0x0000

    with Taker(act) as taker:
        assert problems(Archive(taker.address), files) == ["", LOST, "", "", ""]
        assert taker.tried.count(files[1].stem) <= 3
        stored = [one.uid for one in taker.stored if one.uid != files[1].stem]
    assert sorted(stored) == sorted(path.stem for path in files if path != files[1])


def test_an_archive_that_always_breaks_off_is_given_up(course: Course, tmp_path: Path) -> None:
    """After three connections, each file with the reason."""
    files = write_all(course.newest.images, tmp_path / "out")

    def act(taker: Taker, association: Association, uid: str) -> int:
        association.abort()
        return 0xFFFF

    with Taker(act) as taker:
        assert problems(Archive(taker.address), files) == [LOST] * 4
        assert len(taker.callers) == 3


def test_an_archive_that_serves_one_association_at_a_time_is_not_kept_waiting(course: Course, tmp_path: Path) -> None:
    """What is kept open for another kind of object is given up first: storescp answers nobody else meanwhile."""
    image, slice_ = write_all([course.newest.images[0], course.cbct[0]], tmp_path / "out")
    with storescp("--ignore") as peer:
        began = time.monotonic()
        assert problems(Archive(peer.address), [image]) == [""]
        assert problems(Archive(peer.address), [slice_]) == [""]
        assert time.monotonic() - began < 2
        POOL.clear()


# --- what the archive says


NO_ROOM, NO_FIT, NOT_UNDERSTOOD = (
    "SCRIPTED has no room for the object (C-STORE {}). Free space in the archive, then send again",
    "SCRIPTED says that the object does not fit its SOP class (C-STORE {}). "
    "Check the object with a DICOM validator; the archive's log names the attribute",
    "SCRIPTED could not understand the object (C-STORE {}). "
    "Check the object with a DICOM validator; the archive's log names the attribute",
)
SAYS = {
    0x0111: "SCRIPTED has an object under this UID already and did not take this one (C-STORE {}). "
    "Compare the two, since they may differ; a qa_fetch node lists this one under Conflicts",
    0x0124: "SCRIPTED does not allow QA_FETCH to do this (C-STORE {}). "
    "Ask its administrator to grant C-STORE to that AE title",
    0x1234: "SCRIPTED refused with a status that DICOM does not define (C-STORE {}). "
    "Its log or conformance statement says what it means",
    **dict.fromkeys((0xA700, 0xA7FF), NO_ROOM),
    **dict.fromkeys((0xA900, 0xA9A9), NO_FIT),
    **dict.fromkeys((0xC000, 0xC123), NOT_UNDERSTOOD),
}


@pytest.mark.parametrize("status", SAYS, ids=[f"{status:04X}" for status in SAYS])
def test_each_status_has_its_sentence(course: Course, tmp_path: Path, status: int) -> None:
    """One object of four; the others are there."""
    files = write_all(course.newest.images, tmp_path / "out")
    with Taker(lambda taker, association, uid: status if uid == files[1].stem else 0x0000) as taker:
        assert problems(Archive(taker.address), files) == ["", SAYS[status].format(f"0x{status:04X}"), "", ""]
        assert len(taker.callers) == 1


# --- many kinds, and large ones


def test_more_kinds_than_one_association_has_room_for(course: Course, tmp_path: Path, taker: Taker) -> None:
    """70 classes in two syntaxes each: several associations, and every object is there."""
    files = []
    for number in range(140):
        image = deepcopy(course.cbct[0])
        image.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.9999.{number // 2}"
        files.append(a_file(tmp_path, image, (EXPLICIT, IMPLICIT)[number % 2], number))
    assert problems(Archive(taker.address, associations=1), files) == [""] * 140
    assert sorted(one.data for one in taker.stored) == sorted(dataset_of(path) for path in files)
    assert len(taker.callers) == 3


_CHILD = """
import json, sys
from pathlib import Path
from qa_fetch import Archive

def peak():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024

address, small, large = sys.argv[1:]
archive = Archive(address, keep_open=0)
archive.send(small)
before = peak()
archive.send(large)
print(json.dumps([before, peak()]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc on this platform")
def test_an_object_of_100_megabytes_costs_no_memory(course: Course, tmp_path: Path) -> None:
    """It goes from the disk to the socket piece by piece."""
    size = 100 << 20
    image = deepcopy(course.cbct[0])
    del image.PixelData
    small, path = write_all([course.newest.images[0]], tmp_path)[0], tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.write(part10.file_meta(CT, str(image.SOPInstanceUID), EXPLICIT) + part10.encode(image, EXPLICIT))
        file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size))
        file.truncate(file.tell() + size)
    with storescp("--ignore") as peer:
        command = [sys.executable, "-c", _CHILD, f"dimse://STORESCP@{LOOPBACK}:{peer.port}", str(small), str(path)]
        before, after = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert after - before < 16 << 20
