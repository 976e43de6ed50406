"""``qa-fetch receive`` as a process: killed in mid-stream it has kept what it acknowledged; busy, it keeps count."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from peers.course import PATIENT, Course
from peers.doubles import ScriptedArchive
from peers.process import LOOPBACK, free_port
from raw_pdus import EXPLICIT, RT_IMAGE, an_object, message_bytes, store_rq
from raw_sender import STORE, Gone, Raw, Sender

from qa_fetch import Archive, part10
from qa_fetch.backends import Local
from qa_fetch.backends.standing import Standing
from qa_fetch.shelf import Taken


@contextmanager
def _process(folder: Path, transport: str, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """``qa-fetch receive --to`` on a free port, ready."""
    port = free_port()
    settings = tmp_path / "qa_fetch.toml"
    settings.write_text(f'[local]\ntransport = "{transport}"\nhost = "{LOOPBACK}"\n')
    command = [sys.executable, "-m", "qa_fetch.cli", "receive", "--port", str(port), "--to", str(folder)]
    environment = {**os.environ, "QA_FETCH_CONFIG": str(settings)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        end = time.monotonic() + 20
        while True:
            with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
                break
            assert time.monotonic() < end and process.poll() is None, "it does not listen"
            time.sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.wait()


def _stream(port: int, peer: int, acknowledged: list[str]) -> None:
    """Send object after object until the receiver is gone; note each that it acknowledged."""
    with suppress(Gone, OSError, AssertionError), Sender(port) as sender:
        for number in range(100_000):
            uid = f"1.2.{peer}.{number}"
            data = an_object(uid, EXPLICIT, 1000 + number % 7 * 40_000)
            if sender.store(uid, data, message=number % 60_000 + 1) == 0x0000:
                acknowledged.append(uid)


@pytest.mark.parametrize("objects", [12, 150])
def test_a_receiver_that_is_killed_has_kept_all_that_it_acknowledged(
    transport: str, tmp_path: Path, objects: int
) -> None:
    """kill -9 with six senders in mid-stream: each acknowledged object is there, whole, under its name."""
    folder = tmp_path / "inbox"
    acknowledged: list[str] = []
    with _process(folder, transport, tmp_path) as (port, process):
        senders = [threading.Thread(target=_stream, args=(port, peer, acknowledged)) for peer in range(6)]
        for sender in senders:
            sender.start()
        end = time.monotonic() + 30
        while len(acknowledged) < objects and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for sender in senders:
            sender.join(20)
    assert len(acknowledged) >= objects
    kept = {}
    for path in folder.glob("*.dcm"):
        whole = part10.split(path.read_bytes(), path.name)
        assert whole.transfer_syntax == EXPLICIT
        kept[path.stem] = bytes(whole.dataset)
    for uid in acknowledged:
        assert kept.get(uid) == an_object(uid, EXPLICIT, 1000 + int(uid.rpartition(".")[2]) % 7 * 40_000), uid
    for uid, data in kept.items():  # the last one of each sender may have been kept without an answer
        assert data == an_object(uid, EXPLICIT, 1000 + int(uid.rpartition(".")[2]) % 7 * 40_000), uid
    assert len(kept) <= len(acknowledged) + len(senders)
    others = [path.name for path in folder.iterdir() if path.suffix != ".dcm"]
    assert all(name.startswith(".") and name.endswith(".part") for name in others)


def test_a_receiver_that_is_ended_leaves_nothing_half(transport: str, tmp_path: Path) -> None:
    """SIGTERM in mid-object: nothing but whole objects is left in the folder."""
    folder = tmp_path / "inbox"
    with _process(folder, transport, tmp_path) as (port, process), Sender(port) as sender:
        assert sender.store("1.2.1") == 0x0000
        whole = message_bytes(STORE, store_rq("1.2.2", message=2), an_object("1.2.2", size=50_000))
        sender.send(whole[:-5000])
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(5)
        assert [path.name for path in folder.iterdir()] == ["1.2.1.dcm"]


def test_strangers_at_the_port_of_a_transfer_neither_stop_nor_slow_it(course: Course) -> None:
    """A silent connection and garbage, while an archive sends what was asked for; pynetdicom's threads die of it."""
    port = free_port()
    over = threading.Event()

    def strange() -> None:
        opened: list[Raw] = []
        while not over.wait(0.005):
            with suppress(OSError, Gone):
                opened.append(Raw(port))
                opened[-1].send(b"" if len(opened) % 2 else b"GET / HTTP/1.1\r\n\r\n")
        for raw in opened:
            raw.socket.close()

    with ScriptedArchive(course.datasets, destinations={"QATRACK": (LOOPBACK, port)}) as double:
        fields: dict[str, Any] = {"local_ae_title": "QATRACK", "local_port": port, "retrieve": "move"}
        archive = Archive(double.address, transport="own", budget=8.0, **fields)
        stranger = threading.Thread(target=strange)
        stranger.start()
        try:
            began = time.monotonic()
            images = archive.latest(PATIENT, plan="WL_6X", approved=True)
            assert time.monotonic() - began < 5.0
        finally:
            over.set()
            stranger.join()
    assert list(images.uids) == course.newest.uids
    assert [image.PixelData for image in images] == [image.PixelData for image in course.newest.images]


def test_requests_that_come_and_go_cost_the_standing_receiver_no_object(tmp_path: Path) -> None:
    """Callers write and remove their lists of UIDs while objects come: each wanted one is taken, by many threads."""
    local = Local("QATRACK", LOOPBACK, free_port(), tmp_path / "shelf")
    problems: list[BaseException] = []
    before = sys.getswitchinterval()
    with Standing(local) as standing:
        place = tmp_path / "shelf" / "receivers" / str(local.port)
        over = threading.Event()

        def come_and_go(caller: int) -> None:
            number = 0
            while not over.is_set():
                number += 1
                folder = place / f"want-{caller}-{number}"
                folder.mkdir()
                (folder / "wanted").write_text("9.9.9")
                (folder / "wanted").unlink()
                folder.rmdir()

        steady = place / "want-steady"
        steady.mkdir()
        (steady / "wanted").write_text("1.2.1")

        def ask() -> None:
            try:
                for _ in range(150):
                    incoming = standing._route(RT_IMAGE, "1.2.1", EXPLICIT)
                    assert incoming is not None
                    incoming.write([an_object("1.2.1")])
                    assert incoming.finish() is Taken.KEPT
            except BaseException as problem:  # noqa: BLE001 - told below
                problems.append(problem)

        sys.setswitchinterval(1e-5)
        try:
            callers = [threading.Thread(target=come_and_go, args=(caller,)) for caller in range(3)]
            askers = [threading.Thread(target=ask) for _ in range(4)]
            for thread in callers + askers:
                thread.start()
            for thread in askers:
                thread.join()
            over.set()
            for thread in callers:
                thread.join()
        finally:
            sys.setswitchinterval(before)
    assert problems == []
