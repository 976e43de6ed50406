"""Peers that break off, fall silent or never begin: nothing half is kept, nothing is left open, others get through."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from raw_pdus import (
    ABORTED,
    C_STORE,
    COMMAND,
    DATA_TYPE,
    EXPLICIT,
    FIELD,
    INSTANCE,
    MESSAGE,
    PRIORITY,
    RELEASE,
    RT_IMAGE,
    SOP_CLASS,
    an_object,
    associate_rq,
    command_set,
    dataset,
    fragments,
    message_bytes,
    p_data,
    store_rq,
)
from raw_sender import CONTEXTS, STORE, Raw, Sender

_DATA = an_object("1.2.1", size=4000)
_OPENING = associate_rq(CONTEXTS)
_COMMAND = b"".join(map(p_data, fragments(STORE, COMMAND, store_rq("1.2.1"), 60)))
_PARTS = [p_data(one) for one in fragments(STORE, 0, _DATA, 1000)]

# Where the peer stops: the bytes it has said so far after its request was answered.
STOPS = {
    "after the acceptance": b"",
    "in the head of a PDU": _COMMAND[:3],
    "between fragments of the command": _COMMAND[: 12 + 60],
    "in the command": _COMMAND[:40],
    "between command and data": _COMMAND,
    "in the head of the data": _COMMAND + _PARTS[0][:8],
    "in the data": _COMMAND + _PARTS[0] + _PARTS[1][:500],
    "between fragments of the data": _COMMAND + _PARTS[0] + _PARTS[1],
    "before the last byte": _COMMAND + b"".join(_PARTS)[:-1],
}
ENDS = ("an abort", "a reset", "a close", "a release", "half a close")


def _end(raw: Raw, how: str) -> None:
    if how == "an abort":
        raw.send(ABORTED)
    elif how == "a release":
        raw.send(RELEASE)
    elif how == "half a close":
        raw.socket.shutdown(socket.SHUT_WR)
        raw.ended()
    raw.reset() if how == "a reset" else raw.socket.close()


@pytest.mark.parametrize("how", ENDS)
def test_an_object_that_breaks_off_anywhere_is_not_kept(receiving: Any, transport: str, how: str) -> None:
    """At every boundary of its messages, and in the middle of them; and the next sender gets through each time."""
    with receiving(transport) as it:
        for where, said in STOPS.items():
            if how in ("an abort", "a release") and where.startswith(("in ", "before")):
                continue  # their bytes would be taken for those of the object
            with Sender(it.port) as sender:
                sender.send(said)
                _end(sender, how)
            assert it.kept() == {}, where
        it.works()
        it.kept_nothing_else()


@pytest.mark.parametrize("cut", [0, 1, 5, 6, 30, 74, len(_OPENING) - 1])
@pytest.mark.parametrize("how", ["a reset", "a close", "half a close"])
def test_a_negotiation_that_breaks_off_is_forgotten(receiving: Any, transport: str, how: str, cut: int) -> None:
    """A peer that gives up before it is answered."""
    with receiving(transport) as it:
        with Raw(it.port) as raw:
            raw.send(_OPENING[:cut])
            _end(raw, how)
        it.works()
        it.kept_nothing_else()


def test_a_peer_that_leaves_without_reading_the_answer_has_its_object_kept(receiving: Any, transport: str) -> None:
    """All of it came; whether the peer hears so or not, it is not lost."""
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            sender.send(message_bytes(STORE, store_rq("1.2.1"), _DATA))
            sender.socket.shutdown(socket.SHUT_WR)
            if transport == "own":
                assert sender.status() == 0x0000
        if transport == "own":
            it.kept_nothing_else(**{"1.2.1": _DATA})
        it.works()


@pytest.mark.parametrize("where", STOPS)
def test_a_peer_that_falls_silent_is_given_up(receiving: Any, where: str) -> None:
    """After the idle time, wherever it stopped: with an abort, and with nothing kept."""
    with receiving("own", idle=0.25) as it, Sender(it.port) as sender:
        sender.send(STOPS[where])
        began = time.monotonic()
        it.works()
        assert sender.ended() == "abort"
        assert 0.15 < time.monotonic() - began < 1.5
        it.kept_nothing_else()


@pytest.mark.parametrize("said", [b"", _OPENING[:1], _OPENING[:-1]])
def test_a_peer_that_never_begins_is_given_up(receiving: Any, said: bytes) -> None:
    """A connection without a request is closed after the time for negotiation."""
    with receiving("own", negotiation=0.25) as it, Raw(it.port) as raw:
        raw.send(said)
        began = time.monotonic()
        it.works()
        assert raw.ended() in ("closed", "abort")
        assert 0.15 < time.monotonic() - began < 1.5


def test_a_peer_that_begins_byte_by_byte_is_given_up(receiving: Any) -> None:
    """The time for negotiation is for all of it: a byte now and then does not prolong it."""
    with receiving("own", negotiation=0.3) as it, Raw(it.port) as raw:
        began, took = time.monotonic(), 0.0
        for at in range(20):
            try:
                raw.socket.sendall(_OPENING[at : at + 1])
            except OSError:
                took = time.monotonic() - began
                break
            time.sleep(0.1)
        it.works()
    assert 0 < took < 1.5


def test_many_silent_connections_keep_nobody_out(receiving: Any, transport: str) -> None:
    """A hundred that say nothing are no associations: the next sender is accepted at once."""
    with receiving(transport, negotiation=3.0) as it:
        silent = [Raw(it.port) for _ in range(100)]
        try:
            it.works()
        finally:
            for one in silent:
                one.socket.close()


def _ends(running: Any, peer: Raw) -> bool:
    """Whether a receiver ends within two seconds while this peer is connected, which leaves then."""
    closing = threading.Thread(target=running.close, daemon=True)
    closing.start()
    closing.join(2.0)
    in_time = not closing.is_alive()
    running.close = lambda: None  # it is on its way
    peer.reset()
    closing.join(10)
    return in_time


def test_a_silent_connection_does_not_delay_the_end(receiving: Any, transport: str) -> None:
    """A call that has its objects must not wait for a connection on which nothing was ever said."""
    with receiving(transport, negotiation=8.0) as it:
        silent = Raw(it.port)
        it.works()
        assert _ends(it.running, silent)


def test_a_peer_that_stops_in_mid_object_does_not_delay_the_end(receiving: Any, transport: str) -> None:
    """The receiver's end ends what is still open."""
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            sender.send(STOPS["in the data"])
            it.works()
            assert _ends(it.running, sender)
            assert it.unfinished() == []
            it.kept_nothing_else()


def test_a_peer_that_reads_no_answers_is_given_up(receiving: Any) -> None:
    """Its objects are kept, and its connection is not waited for longer than the idle time."""
    with receiving("own", idle=0.3) as it, Sender(it.port) as sender:
        sender.socket.settimeout(0.2)
        block = message_bytes(STORE, store_rq("1.2.1", data=False))
        began, took = time.monotonic(), 0.0
        while time.monotonic() - began < 8:
            try:
                sender.socket.sendall(block * 200)
            except (TimeoutError, socket.timeout):
                continue
            except OSError:
                took = time.monotonic() - began
                break
        assert took
        it.works()


# --- objects that are not what the message says


def _command(**elements: Any) -> bytes:
    whole = {SOP_CLASS: RT_IMAGE, FIELD: C_STORE, MESSAGE: 1, PRIORITY: 0, DATA_TYPE: 1, INSTANCE: "1.2.1"}
    return command_set({number: value for number, value in {**whole, **elements.get("but", {})}.items() if value != ""})


_NAMELESS = dataset([(0x0008, 0x0016, b"UI", RT_IMAGE), (0x0020, 0x000D, b"UI", "1.2.3")], EXPLICIT)
FALSE = {
    "the UID of another object": (_command(), an_object("1.2.2")),
    "the class of another object": (_command(), an_object("1.2.1", sop_class="1.2.840.10008.5.1.4.1.1.2")),
    "no UID in the data": (_command(), _NAMELESS),
    "no UID in the command": (_command(but={INSTANCE: ""}), an_object("1.2.1")),
    "an empty UID in the command": (_command(but={INSTANCE: b""}), an_object("1.2.1")),
    "no class in the command": (_command(but={SOP_CLASS: ""}), an_object("1.2.1")),
    "no data": (_command(), b""),
    "data that is cut short": (_command(), an_object("1.2.1")[:-3]),
    "data of garbage": (_command(), b"\xff\xd8\xff\xe0" * 40),
    "a UID of another directory": (_command(but={INSTANCE: "../../1.2.1"}), an_object("1.2.1")),
    "a UID of 70,000 characters": (_command(but={INSTANCE: "1." * 20_000 + "1"}), an_object("1.2.1")),
}


@pytest.mark.parametrize("what", FALSE)
def test_an_object_that_is_not_what_its_message_says_is_not_acknowledged(
    receiving: Any, transport: str, what: str, tmp_path: Path
) -> None:
    """A wrong object under a right name is the worst that can happen: it is refused, or the association ends."""
    command, data = FALSE[what]
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            sender.send(message_bytes(STORE, command, data))
            status = sender.status() if transport == "own" and "no UID in the com" not in what else None
            if status is None:
                try:
                    sender.socket.settimeout(1.0)
                    status = sender.status()
                except Exception:  # noqa: BLE001 - it was aborted, or not answered
                    status = 0xFFFF
        assert status != 0x0000
        it.works()
        it.kept_nothing_else()
        assert [path for path in tmp_path.rglob("*1.2.1*")] == []


def test_a_request_without_data_is_answered_and_the_next_object_is_taken(receiving: Any, transport: str) -> None:
    """A C-STORE that says that no data set follows."""
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            sender.send(message_bytes(STORE, store_rq("1.2.1", data=False)))
            if transport == "own":
                assert sender.status() == 0xC000
                assert sender.store("1.2.2", message=2) == 0x0000
                sender.release()
        it.works()
        it.kept_nothing_else(**({"1.2.2": an_object("1.2.2")} if transport == "own" else {}))


# --- a disk that is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 256 kB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "qa_fetch-test", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("NOT TESTED: this user may not mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_in_mid_object_is_told_and_the_next_object_fits_again(
    receiving: Any, transport: str, small_disk: Path
) -> None:
    """Out of resources, on the same association; what was acknowledged before stays, and what comes after is taken."""
    with receiving(transport, folder=small_disk) as it:
        with Sender(it.port) as sender:
            first = an_object("1.2.1", size=100_000)
            assert sender.store("1.2.1", first) == 0x0000
            assert sender.store("1.2.2", an_object("1.2.2", size=900_000), message=2) == 0xA700
            assert sender.store("1.2.3", message=3) == 0x0000
            sender.release()
        it.kept_nothing_else(**{"1.2.1": first, "1.2.3": an_object("1.2.3")})
        it.works()
