"""Associations that stay open between calls: used again, given up in time, and shared by nobody."""

from __future__ import annotations

import gc
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Optional

import pytest
from peers.course import PATIENT, Course, write_all
from peers.doubles import ScriptedArchive
from peers.process import LOOPBACK

from qa_fetch import Archive
from qa_fetch.backends import Local
from qa_fetch.backends.link import Link, Purpose, connect
from qa_fetch.backends.pool import POOL
from qa_fetch.backends.storage import VERIFICATION
from qa_fetch.budget import Budget
from qa_fetch.config import ArchiveConfig, Config

pytestmark = pytest.mark.filterwarnings("error")


class Tunnel:
    """Ends TLS in front of a plain server, or begins it in front of an encrypted one; a context manager."""

    def __init__(
        self, target: int, accept: Optional[ssl.SSLContext] = None, dial: Optional[ssl.SSLContext] = None
    ) -> None:
        self._target, self._wraps, self._dials = target, accept, dial
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Tunnel:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                connection, _ = self._listener.accept()
                connection.settimeout(5)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, near: socket.socket) -> None:
        with ExitStack() as ends, suppress(OSError):
            ends.callback(near.close)
            if self._wraps is not None:
                near = ends.enter_context(self._wraps.wrap_socket(near, server_side=True))
            far = ends.enter_context(socket.create_connection((LOOPBACK, self._target), timeout=5))
            if self._dials is not None:
                far = ends.enter_context(self._dials.wrap_socket(far, server_hostname=LOOPBACK))
            self._pump(near, far)

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        while not self._over.is_set():
            ready = [one for one in other if isinstance(one, ssl.SSLSocket) and one.pending()]
            for one in ready or select.select(list(other), [], [], 0.05)[0]:
                data = one.recv(1 << 16)
                if not data:
                    return
                other[one].sendall(data)


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


@pytest.fixture(autouse=True)
def nothing_left(alone: None) -> Iterator[None]:
    """After ``POOL.clear()`` there is no thread and no socket of ours."""
    POOL.clear()
    before = descriptors()
    yield
    POOL.clear()
    gc.collect()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("qa_fetch")] == []
    assert descriptors() <= before


@pytest.fixture
def double(course: Course) -> Iterator[ScriptedArchive]:
    """It counts its callers."""
    with ScriptedArchive(course.datasets) as running:
        yield running
        POOL.clear()


def find(double: ScriptedArchive, **fields: Any) -> int:
    """A call of its own, by an archive of its own."""
    return len(Archive(double.address, **fields).find("STUDY", PatientID=PATIENT))


def still_open(double: ScriptedArchive) -> int:
    return len(double._open)


def closed_within(double: ScriptedArchive, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while still_open(double) and time.monotonic() < end:
        time.sleep(0.01)
    return still_open(double) == 0


def test_calls_one_after_another_use_one_association(double: ScriptedArchive) -> None:
    """Whichever ``Archive`` makes them."""
    assert {find(double) for _ in range(5)} == {3}
    assert len(double.callers) == 1
    assert len(double.requested("C-FIND")) == 5


def test_a_fetch_and_a_send_after_another_use_theirs_again(
    double: ScriptedArchive, course: Course, tmp_path: Path
) -> None:
    """One for questions, one for objects of a class, one for what is sent."""
    files = write_all(course.newest.images, tmp_path / "out")
    for number, session in enumerate(course.sessions):
        archive = Archive(double.address, retrieve="get")
        archive.latest(PATIENT, plan=str(course.wl.SOPInstanceUID), on=session.acquired.date())
        archive.send(files)
        if not number:
            first = len(double.callers)
    assert first <= 4 and len(double.callers) == first


def test_an_association_is_closed_when_nobody_wants_it_for_a_while(double: ScriptedArchive) -> None:
    """After keep_open seconds, released in good order; the next call opens another."""
    find(double, keep_open=0.3)
    assert still_open(double) == 1
    began = time.monotonic()
    assert closed_within(double, 3)
    assert 0.1 < time.monotonic() - began < 1
    find(double, keep_open=0.3)
    assert len(double.callers) == 2


def test_each_use_begins_the_time_anew(double: ScriptedArchive) -> None:
    """A worker that calls every now and then keeps its association."""
    for _ in range(6):
        find(double, keep_open=0.4)
        time.sleep(0.15)
    assert len(double.callers) == 1


def test_nothing_is_kept_where_nothing_may_be(double: ScriptedArchive) -> None:
    """keep_open = 0: closed with the call, each with its own."""
    for _ in range(3):
        find(double, keep_open=0)
        assert closed_within(double, 1)
    assert len(double.callers) == 3


@pytest.fixture
def config(double: ScriptedArchive) -> tuple[ArchiveConfig, Local]:
    """What links are opened with."""
    loaded = Config.load()
    return loaded.archive(double.address), Local.of(loaded)


_ECHO = Purpose((VERIFICATION,))


def link_of(config: tuple[ArchiveConfig, Local], purpose: Purpose = _ECHO) -> Link:
    return connect(*config, purpose, Budget(5))


def test_one_idle_association_for_each_purpose(double: ScriptedArchive, config: tuple[ArchiveConfig, Local]) -> None:
    """A second one is released at once."""
    first, second = link_of(config), link_of(config)
    POOL.give(*config, first)
    POOL.give(*config, second)
    assert POOL.take(*config, _ECHO) is first
    assert POOL.take(*config, _ECHO) is None
    assert not second.alive
    first.release()


def test_an_association_serves_only_its_own_purpose(
    double: ScriptedArchive, config: tuple[ArchiveConfig, Local]
) -> None:
    """Nor another AE title, archive, or certificate."""
    archive, local = config
    POOL.give(archive, local, link_of(config))
    assert POOL.take(archive, local, Purpose(("1.2.840.10008.5.1.4.1.2.2.1",))) is None
    loaded = Config.load()
    for fields in ({"port": 104}, {"host": "localhost"}, {"ae_title": "OTHER"}, {"tls": True}, {"ca_file": "x"}):
        assert POOL.take(loaded.archive(double.address, **fields), local, _ECHO) is None
    for instead in ({"ae_title": "OTHER"}, {"transport": "pynetdicom"}):
        assert POOL.take(archive, Local.of(loaded, **instead), _ECHO) is None
    link = POOL.take(archive, local, _ECHO)
    assert link is not None and link.reused
    link.release()


def test_idle_associations_are_bounded(double: ScriptedArchive, config: tuple[ArchiveConfig, Local]) -> None:
    """Archives limit how many a client may have."""
    for number in range(20):
        local = Local.of(Config.load(), ae_title=f"CALLER{number}")
        POOL.give(config[0], local, connect(config[0], local, _ECHO, Budget(5)))
    end = time.monotonic() + 2
    while still_open(double) > 16 and time.monotonic() < end:
        time.sleep(0.01)
    assert still_open(double) == 16


def test_threads_never_share_an_association(double: ScriptedArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten threads, thirty calls each: nobody is given what another one uses."""
    from qa_fetch.backends.wire_link import WireLink

    in_use: set[int] = set()
    shared: list[int] = []
    find_over = WireLink.find

    def watched(self: WireLink, *arguments: Any, **more: Any) -> Any:
        if id(self) in in_use:
            shared.append(id(self))
        in_use.add(id(self))
        try:
            return find_over(self, *arguments, **more)
        finally:
            in_use.discard(id(self))

    monkeypatch.setattr(WireLink, "find", watched)
    found: list[int] = []

    def work() -> None:
        found.extend(find(double) for _ in range(30))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [3] * 300
    assert shared == []


@pytest.mark.parametrize("how", ["released", "aborted", "reset"])
def test_what_the_archive_has_closed_meanwhile_is_opened_anew(double: ScriptedArchive, how: str) -> None:
    """Nobody notices."""
    find(double)
    (idle,) = double._open
    # Closed by the thread that reads from it: a descriptor that another closes may be that of the next connection.
    if how == "reset":
        idle._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        idle.hang_up()
    elif how == "aborted":
        idle._write(b"\x07\0\0\0\0\4\0\0\0\0")
        idle.hang_up()
    else:
        idle._write(b"\x05\0\0\0\0\4\0\0\0\0")
    time.sleep(0.05)
    assert find(double) == 3
    assert len(double.callers) == 2


def test_an_archive_that_was_started_anew_is_asked_again(course: Course) -> None:
    """On the same port, with another crew."""
    with ScriptedArchive(course.datasets) as first:
        assert find(first) == 3
    with ScriptedArchive(course.datasets) as second:
        archive = Archive(f"dimse://SCRIPTED@{LOOPBACK}:{first.port}", port=second.port)
        assert len(archive.find("STUDY", PatientID=PATIENT)) == 3


def test_clear_may_be_called_at_any_time(double: ScriptedArchive) -> None:
    """While others take and give, and twice."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            find(double)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(50):
        POOL.clear()
        time.sleep(0.005)
    over.set()
    thread.join(10)
    POOL.clear()
    POOL.clear()
    assert closed_within(double, 2)


def test_what_ends_by_itself_leaves_no_thread(double: ScriptedArchive) -> None:
    """The watcher goes with the last association, and comes back with the next."""
    for _ in range(2):
        find(double, keep_open=0.1)
        end = time.monotonic() + 3
        while time.monotonic() < end and "qa_fetch idle" in {thread.name for thread in threading.enumerate()}:
            time.sleep(0.01)
        assert "qa_fetch idle" not in {thread.name for thread in threading.enumerate()}


# --- children


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("lasting", [5, 0.3], ids=["used again", "left to expire"])
def test_a_forked_child_leaves_its_parents_associations_alone(
    double: ScriptedArchive, lasting: float, tmp_path: Path
) -> None:
    """It opens its own; the parent's still works after the child has asked, expired and ended."""
    find(double, keep_open=lasting)
    child = os.fork()
    if child == 0:
        try:
            said = []
            sys.unraisablehook = lambda error: said.append(repr(error.exc_value))
            gc.collect()
            assert find(double, keep_open=lasting) == 3
            time.sleep(lasting if lasting < 1 else 0)
            POOL.clear()
            (tmp_path / "child").write_text("\n".join(said) or "well")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "child").read_text() == "well"
    assert len(double.callers) == 2
    assert find(double, keep_open=lasting) == 3
    assert len(double.callers) == (2 if lasting > 1 else 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_children_of_a_worker_pool_each_have_their_own(double: ScriptedArchive, tmp_path: Path) -> None:
    """As gunicorn forks them after the application was loaded, and asked something."""
    find(double)
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            try:
                counts = [find(double) for _ in range(5)]
                (tmp_path / str(number)).write_text(str(counts))
                POOL.clear()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert [(tmp_path / str(number)).read_text() for number in range(4)] == [str([3] * 5)] * 4
    assert len(double.callers) == 5
    assert find(double) == 3
    assert len(double.callers) == 5
