"""Objects over a slow line: compressed where that was found to be faster, and the same when they are here."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Callable

import pytest
from peers.course import PATIENT, ct_slice, new_series, write_all
from peers.http_double import HttpDouble, Reply
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail

from qa_fetch import Archive, BadArchive
from qa_fetch.backends.http.client import Client
from qa_fetch.backends.http.coding import GZIP, PLAIN, Codings, codings
from qa_fetch.budget import Budget
from qa_fetch.config import Config
from qa_fetch.errors import ConnectionFailed

MB = 1 << 20
DAMAGED = "127.0.0.1 sent a compressed object that cannot be unpacked, so it is not used. Fetch it again."


@pytest.fixture
def double() -> Iterator[HttpDouble]:
    """A server that answers as a test says."""
    with HttpDouble(lambda asked: Reply(404)) as double:
        yield double


def body_of(double: HttpDouble, coding: str = GZIP) -> bytes:
    client = Client(Config.load(None).archive(f"orthanc+{double.url}"))
    with client.request("retrieve", "GET", "/x", Budget(5), coding=coding) as answer:
        answer.check_plain()
        return answer.body.read(100 * MB, lambda: BadArchive("too large"))


def test_a_line_is_tried_before_anything_is_compressed() -> None:
    """A megabyte of objects as they are; a fast line never asks for anything else."""
    line = Codings()
    assert line.choose() == PLAIN
    line.note(PLAIN, MB // 2, 10)
    assert line.choose() == PLAIN
    line.note(PLAIN, MB // 2, 10)
    assert line.choose() == GZIP
    fast = Codings()
    fast.note(PLAIN, 20 * MB, 1)
    assert fast.choose() == PLAIN


@pytest.mark.parametrize(("seconds", "better"), [(5.0, GZIP), (15.0, PLAIN)])
def test_the_faster_of_the_two_is_kept(seconds: float, better: str) -> None:
    """What counts is how much of the object arrives in a second, not how many bytes cross the line."""
    line = Codings()
    line.note(PLAIN, MB, 10)
    line.note(GZIP, MB, seconds)
    assert line.choose() == better


def test_small_objects_say_nothing_about_a_line() -> None:
    """They take a round trip, however they are coded."""
    line = Codings()
    for _ in range(1000):
        line.note(PLAIN, 9000, 1)
    assert line.choose() == PLAIN


def test_a_line_that_changed_is_noticed() -> None:
    """After 64 MB both are tried again: a laptop has come back from home."""
    line = Codings()
    line.note(PLAIN, MB, 10)
    line.note(GZIP, 63 * MB, 10)
    assert line.choose() == GZIP
    line.note(GZIP, MB, 1)
    assert line.choose() == PLAIN


def test_a_compressed_answer_is_unpacked_as_it_comes(double: HttpDouble) -> None:
    """In one piece or in chunks; a server that does not compress is fine too."""
    data = bytes(range(256)) * 5000
    packed = gzip.compress(data)
    double.script = lambda asked: Reply(200, packed, "application/dicom", {"Content-Encoding": "gzip"})
    assert body_of(double) == data
    assert double.asked[-1].headers["Accept-Encoding"] == "gzip"
    pieces = [packed[:7], packed[7:100], packed[100:]]
    double.script = lambda asked: Reply(200, pieces, "application/dicom", {"Content-Encoding": "gzip"})
    assert body_of(double) == data
    double.script = lambda asked: Reply(200, data, "application/dicom")
    assert body_of(double) == data


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-9],
        lambda packed: packed + b"more",
        lambda packed: b"\0" + packed,
        lambda packed: packed[:50] + bytes(8) + packed[58:],
        lambda packed: b"",
    ],
    ids=["cut", "longer", "no gzip", "damaged", "empty"],
)
def test_a_compressed_answer_that_is_damaged_is_not_used(double: HttpDouble, spoil: Callable[[bytes], bytes]) -> None:
    """Its checksum covers every byte."""
    packed = spoil(gzip.compress(bytes(range(256)) * 500))
    double.script = lambda asked: Reply(200, packed, "application/dicom", {"Content-Encoding": "gzip"})
    with pytest.raises(BadArchive) as raised:
        body_of(double)
    assert str(raised.value) == DAMAGED


def test_a_connection_that_breaks_in_a_compressed_answer_is_named(double: HttpDouble) -> None:
    """As one that breaks in any other."""
    packed = gzip.compress(bytes(range(256)) * 500)
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nContent-Encoding: gzip\r\n"
    head += f"Content-Length: {len(packed)}\r\n\r\n"
    double.script = lambda asked: Reply(raw=[head.encode() + packed[:100]])
    with pytest.raises(ConnectionFailed) as raised:
        body_of(double)
    assert str(raised.value) == (
        "127.0.0.1 broke off in the middle of its answer. "
        "Call again; if it does so again, run: qa-fetch echo 127.0.0.1."
    )


def test_a_small_answer_that_unpacks_to_a_large_one_needs_no_memory(double: HttpDouble) -> None:
    """100 MB of zeros come in 64 kB at a time."""
    packed = gzip.compress(bytes(100 * MB))
    double.script = lambda asked: Reply(200, packed, "application/dicom", {"Content-Encoding": "gzip"})
    client = Client(Config.load(None).archive(f"orthanc+{double.url}"))
    view, total = memoryview(bytearray(1 << 16)), 0
    tracemalloc.start()
    with client.request("retrieve", "GET", "/x", Budget(20), coding=GZIP) as answer:
        while count := answer.body.readinto(view):
            total += count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == answer.body.count == 100 * MB
    assert peak < 2 * MB


def test_a_real_orthanc_is_fetched_from_in_both_codings(tmp_path: Path) -> None:
    """The same bytes; each way is measured."""
    try:
        running = Orthanc()
    except Missing as missing:
        skip_or_fail(missing)
    image = ct_slice(new_series(PATIENT, "ct", study="CT"), datetime(2025, 11, 3, 16, 0), 1, rows=256)
    with running:
        Archive(running.rest_address).send(write_all([image], tmp_path / "out"))
        fetched = []
        line = codings(running.rest_address.partition("+")[2])
        for size in (0, MB):
            line.note(PLAIN, size, 100)
            archive = Archive(running.rest_address, shelf=tmp_path / f"shelf{size}")
            fetched.append(archive.fetch(instance=image.SOPInstanceUID).files[0].read_bytes())
        assert fetched[0] == fetched[1]
        assert line._brought[GZIP].size == len(fetched[0])
