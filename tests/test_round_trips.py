"""``latest`` costs as few round trips as the archive allows, and several associations only where the way is long."""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

import pytest
from peers.course import PATIENT, Session, plan, session, write_all
from peers.doubles import ScriptedArchive, aria
from peers.lies import Lies
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from pydicom.dataset import Dataset

from qa_fetch import Archive
from qa_fetch.node import NodeOptions, NodeProcess

TITLE = "QATRACK"
NEWEST = datetime(2025, 11, 3, 17, 5)
BEFORE = NEWEST + timedelta(hours=1)  # so that the answer does not depend on today

_ASSOCIATE, _DATA = 0x01, 0x04
_KINDS = {0x0001: "C-STORE", 0x0010: "C-GET", 0x0020: "C-FIND", 0x0021: "C-MOVE", 0x0030: "C-ECHO"}
_FIELD = struct.pack("<HHL", 0x0000, 0x0100, 2)


class _Reader:
    """The requests in a stream of PDUs, by name."""

    def __init__(self) -> None:
        self._waiting = b""
        self._command = b""

    def feed(self, data: bytes) -> list[str]:
        """More of the stream: what was asked in it."""
        self._waiting += data
        found = []
        while len(self._waiting) >= 6:
            kind, length = struct.unpack_from(">BxL", self._waiting)
            if len(self._waiting) < 6 + length:
                break
            body, self._waiting = self._waiting[6 : 6 + length], self._waiting[6 + length :]
            if kind == _ASSOCIATE:
                found.append("A-ASSOCIATE")
            elif kind == _DATA:
                found += self._fragments(body)
        return found

    def _fragments(self, body: bytes) -> list[str]:
        found, at = [], 0
        while at < len(body):
            length, _, control = struct.unpack_from(">LBB", body, at)
            if control & 1:
                self._command += body[at + 6 : at + 4 + length]
            at += 4 + length
            if control & 3 == 3:
                field = self._command.index(_FIELD) + len(_FIELD)
                name = _KINDS.get(struct.unpack_from("<H", self._command, field)[0])
                found += [name] if name else []
                self._command = b""
        return found


class Proxy:
    """Between a client and a server of loopback; ``delay`` seconds are added in each direction."""

    def __init__(self, port: int, delay: float = 0.0) -> None:
        self.asked: Counter[str] = Counter()
        self.ended = 0  # connections that are over
        self._target = port
        self._delay = delay
        self._guard = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def taken(self) -> dict[str, int]:
        """What was asked since the last time."""
        with self._guard:
            asked, self.asked = dict(self.asked), Counter()
        return asked

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((LOOPBACK, self._target))
                self._sockets += [near, far]
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for source, target, reader in ((near, far, _Reader()), (far, near, None)):
                    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    self._start(self._read, source, waiting, reader)
                    self._start(self._write, target, waiting)

    def _read(
        self, source: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]], reader: Optional[_Reader]
    ) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            if reader is not None:
                with self._guard:
                    self.asked.update(reader.feed(data))
                    self.ended += not data
            waiting.put((time.monotonic() + self._delay, data))

    def _write(self, target: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while True:
                due, data = waiting.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)


# --- the archive: one session of 10 images, 199 older series of one image each


@pytest.fixture(scope="module")
def wl() -> Dataset:
    """The plan of all sessions."""
    return plan("WL_6X")


@pytest.fixture(scope="module")
def sessions(wl: Dataset) -> list[Session]:
    """Newest first, one a day."""
    newest = session(wl, NEWEST, images=10, rows=2)
    return [newest, *(session(wl, NEWEST - timedelta(days=n), images=1, rows=2) for n in range(1, 200))]


@pytest.fixture(scope="module")
def held(wl: Dataset, sessions: list[Session]) -> list[Dataset]:
    """All that the archives hold."""
    return [wl, *(image for one in sessions for image in one.images)]


@pytest.fixture(scope="module")
def folder(held: list[Dataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as files, for archives that have to be filled."""
    place = tmp_path_factory.mktemp("held")
    write_all(held, place)
    return place


def _opened(port: int, title: str, **fields: Any) -> Archive:
    return Archive(f"dimse://{title}@{LOOPBACK}:{port}", local_ae_title=TITLE, **{"keep_open": 30.0, **fields})


def _uids(archive: Archive, before: datetime = BEFORE) -> list[str]:
    return list(archive.latest(PATIENT, plan="WL_6X", before=before).uids)


# --- how often is asked

EARLIER = BEFORE - timedelta(days=1)
# For an archive that answers across series.
QUESTIONS = [
    ("C-FIND", "IMAGE"),  # which plan has this label
    ("C-FIND", "IMAGE"),  # the images of the last seven days
    ("C-FIND", "IMAGE"),  # the newest of their series whole: a range of days may cut a sitting, or miss an image
    ("C-FIND", "SERIES"),  # series since then that the range did not show: their images may have no AcquisitionDate
]


def _requests(double: ScriptedArchive) -> list[tuple[str, str]]:
    asked = [(request.service, request.level) for request in double.requests]
    double.requests.clear()
    return asked


def test_aria_is_asked_four_questions_and_moves_once(held: list[Dataset], sessions: list[Session]) -> None:
    """Relational, no C-GET: everything over one association, which the second call still finds open."""
    port = free_port()
    with aria(held, destinations={TITLE: (LOOPBACK, port)}) as double, Proxy(double.port) as proxy:
        archive = _opened(proxy.port, "ARIA", local_port=port)
        assert _uids(archive) == sessions[0].uids
        # The ten images are not their whole series in the archive's view until it was asked, so they go by UID.
        assert _requests(double) == [*QUESTIONS, ("C-MOVE", "IMAGE")]
        assert proxy.taken() == {"A-ASSOCIATE": 1, "C-FIND": 4, "C-MOVE": 1}
        assert _uids(archive, EARLIER) == sessions[1].uids
        assert proxy.taken() == {"C-FIND": 4, "C-MOVE": 1}
        assert proxy.ended == 0


def test_a_relational_archive_is_asked_four_questions_and_gives_once(
    held: list[Dataset], sessions: list[Session]
) -> None:
    """C-GET needs an association of its own, since it has to name the classes that may come."""
    with ScriptedArchive(held) as double, Proxy(double.port) as proxy:
        archive = _opened(proxy.port, "SCRIPTED")
        assert _uids(archive) == sessions[0].uids
        assert _requests(double) == [*QUESTIONS, ("C-GET", "IMAGE")]
        assert proxy.taken() == {"A-ASSOCIATE": 2, "C-FIND": 4, "C-GET": 1}
        assert _uids(archive, EARLIER) == sessions[1].uids
        assert proxy.taken() == {"C-FIND": 4, "C-GET": 1}
        assert proxy.ended == 0


def test_orthanc_is_asked_no_more_than_that(folder: Path, sessions: list[Session]) -> None:
    """The same as the double, with a real archive."""
    try:
        peer = Orthanc()
    except Missing as missing:
        skip_or_fail(missing)
    with peer, Proxy(peer.port) as proxy:
        Archive(peer.address).send(folder)
        archive = _opened(proxy.port, "ORTHANC")
        assert _uids(archive) == sessions[0].uids
        assert proxy.taken() == {"A-ASSOCIATE": 2, "C-FIND": 4, "C-GET": 1}
        assert _uids(archive, EARLIER) == sessions[1].uids
        assert proxy.taken() == {"C-FIND": 4, "C-GET": 1}


@pytest.mark.node
def test_our_node_is_asked_no_more_than_that(folder: Path, sessions: list[Session], tmp_path: Path) -> None:
    """The same with the archive that a demo runs."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0)) as node, Proxy(node.port) as proxy:
        Archive(node.address).send(folder)
        archive = _opened(proxy.port, "QA_NODE")
        assert _uids(archive) == sessions[0].uids
        assert proxy.taken() == {"A-ASSOCIATE": 2, "C-FIND": 4, "C-GET": 1}
        assert _uids(archive, EARLIER) == sessions[1].uids
        assert proxy.taken() == {"C-FIND": 4, "C-GET": 1}


def test_an_archive_that_must_be_walked_opens_only_the_newest_series(
    held: list[Dataset], sessions: list[Session]
) -> None:
    """It wants study and series with every question: 201 series are listed, two are opened."""
    with ScriptedArchive(held, Lies(relational=False)) as double, Proxy(double.port) as proxy:
        archive = _opened(proxy.port, "SCRIPTED")
        assert _uids(archive) == sessions[0].uids
        assert _requests(double) == [
            ("C-FIND", "IMAGE"),  # the plan, across series: refused, and not tried again in this process
            ("C-FIND", "STUDY"),  # so down from the patient's studies,
            ("C-FIND", "SERIES"),  # over the series of plans,
            ("C-FIND", "IMAGE"),  # to the plan
            ("C-FIND", "SERIES"),  # the series of images, across studies: refused too, which is known per level
            ("C-FIND", "STUDY"),
            ("C-FIND", "SERIES"),  # they come with their dates, so that
            ("C-FIND", "IMAGE"),  # only the newest is opened,
            ("C-FIND", "IMAGE"),  # and the one of the day before, whose sitting might have lasted beyond midnight
            ("C-GET", "IMAGE"),
        ]
        assert proxy.taken() == {"A-ASSOCIATE": 2, "C-FIND": 9, "C-GET": 1}
        assert _uids(archive, EARLIER) == sessions[1].uids
        # Nothing is tried that was refused; the newest session, which is too new now, has to be opened as well.
        assert proxy.taken() == {"C-FIND": 8, "C-GET": 1}


def test_the_same_question_again_costs_nothing(held: list[Dataset], sessions: list[Session]) -> None:
    """Its span is long over and its images are on the shelf: it is answered although the archive is gone."""
    with ScriptedArchive(held) as double, Proxy(double.port) as proxy:
        archive = _opened(proxy.port, "SCRIPTED")
        assert _uids(archive) == sessions[0].uids
        proxy.taken()
        assert _uids(archive) == sessions[0].uids
        assert proxy.taken() == {}


def test_an_old_session_costs_as_little_as_the_newest(held: list[Dataset], sessions: list[Session]) -> None:
    """Series that began after the span are not looked into, however many there are."""
    with ScriptedArchive(held) as double:
        archive = _opened(double.port, "SCRIPTED")
        assert _uids(archive, BEFORE - timedelta(days=100)) == sessions[100].uids
        assert _requests(double) == [*QUESTIONS, ("C-GET", "IMAGE")]


# --- how long associations stay open


def _ended(proxy: Proxy, number: int) -> int:
    end = time.monotonic() + 2
    while proxy.ended < number and time.monotonic() < end:
        time.sleep(0.01)
    return proxy.ended


def test_nothing_stays_open_where_that_is_not_wanted(held: list[Dataset], sessions: list[Session]) -> None:
    """``keep_open=0``: released when the call returns, and opened anew by the next."""
    with ScriptedArchive(held) as double, Proxy(double.port) as proxy:
        archive = _opened(proxy.port, "SCRIPTED", keep_open=0)
        _uids(archive)
        assert _ended(proxy, 2) == 2
        assert proxy.taken()["A-ASSOCIATE"] == 2
        _uids(archive, EARLIER)
        assert _ended(proxy, 4) == 4
        assert proxy.taken()["A-ASSOCIATE"] == 2


def test_what_nobody_needs_any_more_is_released_in_time(held: list[Dataset], sessions: list[Session]) -> None:
    """Open while ``keep_open`` lasts, gone soon after."""
    with ScriptedArchive(held) as double, Proxy(double.port) as proxy:
        _uids(_opened(proxy.port, "SCRIPTED", keep_open=0.4))
        assert proxy.ended == 0
        assert _ended(proxy, 2) == 2


# --- how many associations


@pytest.fixture(scope="module")
def forty(wl: Dataset) -> list[Dataset]:
    """One session of 40 images, and its plan."""
    return [wl, *session(wl, NEWEST, images=40, rows=2).images]


def _fetched(forty: list[Dataset], delay: float, **fields: Any) -> dict[str, int]:
    with ScriptedArchive(forty) as double, Proxy(double.port, delay) as proxy:
        assert len(_uids(_opened(proxy.port, "SCRIPTED", **fields))) == 40
        return proxy.taken()


@pytest.mark.parametrize(
    ("fields", "members"),
    # The limit is 8 unless set; 32 are cut to half of the objects, since one with a single object is not worth it.
    [({}, 8), ({"associations": 3}, 3), ({"associations": 2}, 2), ({"associations": 32}, 20)],
    ids=["default", "3", "2", "32"],
)
def test_over_a_long_way_several_associations_share_the_work(
    forty: list[Dataset], fields: dict[str, int], members: int
) -> None:
    """5 ms each way; each of them asks once for its share."""
    asked = _fetched(forty, 0.005, **fields)
    assert asked.pop("C-GET") == members
    assert asked == {
        "A-ASSOCIATE": 1 + members,  # one for the questions
        "C-FIND": 4,
        "C-ECHO": 1,  # was the handshake slow because of the way, or because of the archive?
    }


def test_one_association_is_enough_where_no_more_are_allowed(forty: list[Dataset]) -> None:
    """Not even the question whether several would help is asked, and the whole series goes by its own UID."""
    asked = _fetched(forty, 0.005, associations=1)
    assert asked == {"A-ASSOCIATE": 2, "C-FIND": 4, "C-GET": 1}


def test_over_a_short_way_no_further_association_is_opened(
    forty: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although eight are allowed; a busy test machine must not pass for a long way, hence the patience."""
    monkeypatch.setattr("qa_fetch.backends.crew._FAST", 0.25)
    assert _fetched(forty, 0.0) == {"A-ASSOCIATE": 2, "C-FIND": 4, "C-GET": 1}
