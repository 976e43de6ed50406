"""Connections that are kept between calls, and what a large object costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.http_double import HttpDouble, Reply

from qa_fetch import Archive
from qa_fetch.backends.http import connection

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def double() -> Iterator[HttpDouble]:
    """A server that has no studies."""
    with HttpDouble(lambda asked: Reply(200, b"[]")) as double:
        yield double
    connection.close_all()


def find(double: HttpDouble) -> None:
    assert Archive(f"orthanc+{double.url}", budget=5).find("STUDY", PatientID="X") == []


def test_one_connection_serves_call_after_call(double: HttpDouble) -> None:
    """Also calls of different Archive objects."""
    for _ in range(5):
        find(double)
    assert (len(double.asked), double.connections) == (5, 1)


def test_a_refused_request_does_not_cost_the_connection(double: HttpDouble) -> None:
    """Its answer is read away."""
    double.script = lambda asked: Reply(404, b"x" * 30_000)
    for _ in range(3):
        with pytest.raises(Exception, match="HTTP 404"):
            find(double)
    assert double.connections == 1


def test_a_connection_that_the_server_closed_is_opened_again(double: HttpDouble) -> None:
    """Whether it said so, did so while we were away, or does so when it is asked again."""
    double.script = lambda asked: Reply(200, b"[]", headers={"Connection": "close"}, close=True)
    find(double)
    double.script = lambda asked: Reply(200, b"[]", close=True)
    find(double)
    find(double)
    time.sleep(0.05)
    find(double)
    assert (len(double.asked), double.connections) == (4, 4)


def test_a_stale_connection_is_replaced_when_nothing_was_answered(
    double: HttpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; the request goes out again over a new connection."""
    monkeypatch.setattr(connection.Connection, "fresh", True)
    double.script = lambda asked: Reply(200, b"[]", close=True)
    find(double)
    time.sleep(0.05)
    find(double)
    assert (len(double.asked), double.connections) == (2, 2)


def test_a_server_that_never_answers_is_asked_twice_at_most(
    double: HttpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection that breaks off is a failure."""
    find(double)
    double.script = lambda asked: Reply(raw=[])
    with pytest.raises(Exception, match="broke off in the middle of its answer"):
        find(double)
    assert (len(double.asked), double.connections) == (3, 2)


def test_no_connection_is_kept_longer_than_the_server_keeps_it(double: HttpDouble) -> None:
    """It says for how long: Orthanc for one second."""
    double.script = lambda asked: Reply(200, b"[]", headers={"Keep-Alive": "timeout=0, max=5"})
    find(double)
    find(double)
    assert double.connections == 2
    assert connection._seconds("timeout=1") == 0.8
    assert connection._seconds("max=100, timeout=10") == 8.0
    assert connection._seconds("") == connection._seconds("timeout=x") == 4.0


def test_connections_that_nobody_uses_are_closed(double: HttpDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server's process does not hold an archive's connections for ever."""
    monkeypatch.setattr(connection, "_IDLE", 0.1)
    find(double)
    pools = [pool for pool in connection._pools.values() if pool.port == double.port]
    assert [len(pool._kept) for pool in pools] == [1]
    end = time.monotonic() + 8
    while pools[0]._kept and time.monotonic() < end:
        time.sleep(0.05)
    assert pools[0]._kept == []


def test_threads_never_share_a_connection(double: HttpDouble) -> None:
    """Each takes one of its own from those that wait."""
    threads = [threading.Thread(target=lambda: [find(double) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(double.asked) == 80
    assert double.connections <= 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_connections_of_its_own(double: HttpDouble) -> None:
    """Two processes on one connection would read each other's answers; the parent's stays open."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = (
        "import os, sys\nfrom qa_fetch import Archive\n"
        "def find(): assert Archive(sys.argv[1], budget=5).find('STUDY', PatientID='X') == []\n"
        "find()\nchild = os.fork()\nfind()\n"
        "if not child: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\nfind()\n"
    )
    subprocess.run([sys.executable, "-c", code, f"orthanc+{double.url}"], env=environment, check=True, timeout=30)
    assert (len(double.asked), double.connections) == (4, 2)


_MEMORY = """
import sys, tracemalloc
from qa_fetch.backends.http.arrival import receive
from qa_fetch.backends.http.multipart import Multipart
from qa_fetch import part10
from qa_fetch.shelf import Reference, Shelf
from qa_fetch.budget import Budget
from pathlib import Path
import struct
from pydicom.dataset import Dataset

header = Dataset()
header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
header.StudyInstanceUID, header.SeriesInstanceUID, header.PatientID = "1.2", "1.2.1", "P"
size = 300 << 20
start = part10.file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", part10.EXPLICIT_LITTLE)
start += part10.encode(header, part10.EXPLICIT_LITTLE) + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, size)
head = b"--b\\r\\nContent-Type: application/dicom\\r\\n\\r\\n" + start

class Source:
    def __init__(self): self.waiting, self.left, self.ended = head, size, False
    def readinto(self, target):
        if not self.waiting and self.left:
            count = min(len(target), self.left); self.left -= count
            return count  # whatever is in the buffer: nobody looks at pixels
        if not self.waiting and not self.ended:
            self.waiting, self.ended = b"\\r\\n--b--", True
        count = min(len(target), len(self.waiting))
        target[:count], self.waiting = self.waiting[:count], self.waiting[count:]
        return count

shelf = Shelf(Path(sys.argv[1]), "x", "y")
with shelf.claim([Reference("1.2", "1.2.1", "1.2.3")], Budget(60)) as claim:
    tracemalloc.start()
    for part in Multipart(Source(), "b", "pacs"):
        assert receive(part, claim, "pacs").value == "kept"
assert claim.complete
print(tracemalloc.get_traced_memory()[1])
"""


def test_a_large_object_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """300 MB through one buffer of a megabyte; what is allocated is counted, not what the system maps."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(done.stdout) < 8 << 20
