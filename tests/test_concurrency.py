"""Many calls at once, and calls that are killed: one transfer, right answers, nothing half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers.course import PATIENT, Course
from peers.doubles import ScriptedArchive, aria
from peers.process import LOOPBACK, free_port
from processes import results, start

from qa_fetch import Archive, ConnectionFailed
from qa_fetch.receive import receive

TITLE = "QATRACK"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def peer(course: Course, port: int) -> Iterator[ScriptedArchive]:
    """An archive like ARIA: it can only move images to one port of ours."""
    with aria(course.datasets, destinations={TITLE: (LOOPBACK, port)}) as double:
        yield double


def _fields(port: int) -> dict[str, Any]:
    return {"local_ae_title": TITLE, "local_port": port}


def test_eight_processes_fetch_the_same_session_with_one_transfer(
    peer: ScriptedArchive, course: Course, port: int
) -> None:
    """One process fetches, the others wait and find everything on the shelf."""
    question = {"plan": str(course.wl.SOPInstanceUID)}
    answers = results([start(peer.address, _fields(port), PATIENT, question) for _ in range(8)])
    assert [answer.get("uids") for answer in answers] == [course.newest.uids] * 8
    assert {answer["folder"] for answer in answers} == {answers[0]["folder"]}
    assert sorted(uid for uid in peer.sent if uid in course.newest.uids) == sorted(course.newest.uids)


def test_eight_processes_fetch_different_sessions_through_one_port(
    peer: ScriptedArchive, course: Course, port: int
) -> None:
    """Only one can listen at a time; each waits for its turn, and each gets its own images."""
    plan = str(course.wl.SOPInstanceUID)
    asked = [{"plan": plan, "on": str(one.acquired.date())} for one in course.sessions]
    asked += [{"kind": "kv"}, {"kind": "kv", "session": "day"}, {"kind": "cbct"}, {"kind": "portal_dose"}]
    asked += [{"plan": plan, "session": "day"}]
    expected = [one.uids for one in course.sessions] + [course.kv[0].uids]
    expected += [[str(image.SOPInstanceUID) for image in course.mixed_kv] + course.kv[0].uids]
    expected += [[str(image.SOPInstanceUID) for image in course.cbct], course.doses[0].uids, course.newest.uids]
    answers = results([start(peer.address, _fields(port), PATIENT, question) for question in asked])
    assert [answer.get("uids", answer) for answer in answers] == expected


def test_threads_of_one_process_share_an_archive(peer: ScriptedArchive, course: Course, port: int) -> None:
    """Ten threads, as in a CherryPy server, with one Archive and one port."""
    archive = Archive(peer.address, **_fields(port))
    found: list[Any] = [None] * 10

    def fetch(number: int) -> None:
        session = course.sessions[number % 3]
        images = archive.latest(PATIENT, plan=str(course.wl.SOPInstanceUID), on=session.acquired.date())
        found[number] = list(images.uids)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [course.sessions[number % 3].uids for number in range(10)]


def test_a_killed_fetch_leaves_nothing_half_written_and_the_next_one_completes(
    peer: ScriptedArchive, course: Course, port: int, tmp_path: Path
) -> None:
    """kill -9 in mid-transfer: locks are freed, whole objects stay, the rest is fetched."""
    plan = Archive(peer.address, **_fields(port)).plan(PATIENT, "WL_6X", approved=True)
    peer.lies.pause_after = 2
    process = start(peer.address, _fields(port), PATIENT, {"plan": plan.uid})
    assert peer.paused.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    peer.lies.pause_after = None
    peer.resume.set()
    folders = [path for path in (tmp_path / "shelf").glob("*/sets/*") if path.is_dir()]
    assert [len(list(folder.iterdir())) for folder in folders if not folder.name.startswith(".")] == [1]  # the plan
    images = Archive(peer.address, **_fields(port)).latest(PATIENT, plan=plan.uid)
    assert list(images.uids) == course.newest.uids
    assert [image.PixelData for image in images] == [image.PixelData for image in course.newest.images]
    assert list((tmp_path / "shelf").glob("*/incoming/*")) == []


@contextmanager
def _standing(port: int, **options: Any) -> Iterator[list[tuple[int, int]]]:
    """The always-on receiver in a thread; what it counted is in the list when it has ended."""
    ready, end, counted = threading.Event(), threading.Event(), []

    def run() -> None:
        counted.append(receive(port=port, ae_title=TITLE, until=end, ready=lambda *_: ready.set(), **options))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(10)
        yield counted
    finally:
        end.set()
        thread.join()


def test_calls_use_the_receiver_that_is_always_on(peer: ScriptedArchive, course: Course, port: int) -> None:
    """Eight processes at once, none of which has to wait for the port."""
    plan = str(course.wl.SOPInstanceUID)
    with _standing(port) as counted:
        asked = [{"plan": plan, "on": str(course.sessions[number % 3].acquired.date())} for number in range(8)]
        answers = results([start(peer.address, _fields(port), PATIENT, question) for question in asked])
        assert [answer.get("uids", answer) for answer in answers] == [
            course.sessions[number % 3].uids for number in range(8)
        ]
    assert counted == [(12, 0)]  # three sessions of four images, each received once


def test_a_killed_receiver_does_not_stop_anybody(peer: ScriptedArchive, course: Course, port: int) -> None:
    """Its state file stays, its lock does not: the next call receives for itself."""
    code = f"from qa_fetch.receive import receive; receive(port={port}, ready=lambda *_: print('on', flush=True))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    process.kill()
    process.communicate()
    images = Archive(peer.address, **_fields(port)).latest(PATIENT, plan=str(course.wl.SOPInstanceUID))
    assert list(images.uids) == course.newest.uids


def test_a_second_receiver_on_the_same_port_says_so(port: int) -> None:
    """Two listeners on one port would take each other's images."""
    with _standing(port), pytest.raises(ConnectionFailed) as caught:
        receive(port=port)
    assert str(caught.value) == (
        f"port {port} is held by another qa_fetch process. "
        "Wait until its transfer ends, stop that receiver, or choose another port."
    )


def test_a_port_that_another_program_holds_is_waited_for_and_then_named(course: Course) -> None:
    """The budget bounds the wait."""
    import socket

    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with aria(course.datasets, destinations={TITLE: (LOOPBACK, taken)}) as double:
            archive = Archive(double.address, budget=1.0, **_fields(taken))
            with pytest.raises(ConnectionFailed) as caught:
                archive.latest(PATIENT, kind="cbct")
    assert str(caught.value) == (
        f"port {taken} of this machine was in use by another program or transfer for 1 s. "
        "Try again, run one always-on receiver (qa-fetch receive), or set another [local] port."
    )


def test_what_nobody_asked_for_is_refused_unless_there_is_a_place_for_it(
    course: Course, port: int, tmp_path: Path
) -> None:
    """With --to, objects sent by hand are kept under their UIDs; without it they are refused."""
    files = course.write(tmp_path / "by-hand")[:3]
    sender = Archive(f"dimse://{TITLE}@{LOOPBACK}:{port}")
    with _standing(port) as counted:
        outcome = {sent.problem for sent in _sent(sender, files)}
    assert counted == [(0, 3)]
    assert outcome == {
        f"{TITLE} does not allow QA_FETCH to do this (C-STORE 0x0124). "
        "Ask its administrator to grant C-STORE to that AE title"
    }
    with _standing(port, to=tmp_path / "inbox") as counted:
        assert {sent.problem for sent in _sent(sender, files)} == {""}
        assert {sent.problem for sent in _sent(sender, files)} == {""}  # the same again changes nothing
    assert counted == [(6, 0)]
    assert sorted(path.name for path in (tmp_path / "inbox").iterdir()) == sorted(path.name for path in files)


def _sent(archive: Archive, files: list[Path]) -> list[Any]:
    from qa_fetch import Incomplete

    try:
        return archive.send(files)
    except Incomplete as error:
        return list(error.outcome)  # type: ignore[attr-defined]  # facts of an error are set by name
