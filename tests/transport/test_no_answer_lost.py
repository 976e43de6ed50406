"""Thousands of quick queries in four threads: every answer is what it must be.

QA_FETCH_FINDS sets how many there are, for a long run by hand: ``QA_FETCH_FINDS=40000 pytest -s`` says how many it was.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from fast_responder import expected
from peers.process import LOOPBACK
from peers.pynet import PENDING, associate, hang_up, question
from pynetdicom import evt
from raw_pdus import STUDY_FIND

from qa_fetch import Archive
from qa_fetch.backends import Local, link, reactor
from qa_fetch.backends.link import Purpose
from qa_fetch.budget import Budget
from qa_fetch.config import Config
from qa_fetch.matching import query

_FINDS = {"own": 6000, "pynetdicom": 1600, "plain": 400, "widened": 200}
_THREADS = 4
_LONGEST = 900.0


@pytest.fixture(scope="module")
def responder() -> Iterator[int]:
    """The port of a peer that answers at once, in a process of its own."""
    program = str(Path(__file__).with_name("fast_responder.py"))
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


def _finds(kind: str) -> int:
    return int(os.environ.get("QA_FETCH_FINDS", _FINDS[kind]))


Ask = Callable[[str], list[str]]


def _load(finds: int, asking: Callable[[], tuple[Ask, Callable[[], None]]]) -> tuple[int, list[str]]:
    """Ask so often in four threads, each with what ``asking`` gives: how many were asked, and what was wrong."""
    wrong: list[str] = []
    asked: list[int] = []

    def run(thread: int) -> None:
        ask, end = asking()
        done = 0
        try:
            for number in range(finds // _THREADS):
                patient = str(1000 + thread * 1_000_000 + number)
                try:
                    answers = ask(patient)
                except Exception as error:  # noqa: BLE001 - counted
                    answers = [f"{type(error).__name__}: {error}"]
                done += 1
                if answers != expected(patient):
                    wrong.append(f"{patient}: {answers}")
        finally:
            asked.append(done)
            end()

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(_THREADS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_LONGEST)
    print(f"{sum(asked)} finds in {time.monotonic() - began:.1f} s, {len(wrong)} wrong")
    return sum(asked), wrong


def _over_links(port: int, transport: str) -> Callable[[], tuple[Ask, Callable[[], None]]]:
    """Each thread with an association of its own."""

    def asking() -> tuple[Ask, Callable[[], None]]:
        archive = Config.load(None).archive(f"dimse://FAST@{LOOPBACK}:{port}", timeout=5.0)
        local = Local("QATRACK", LOOPBACK, 1, Path("unused"), transport)
        opened = link.connect(archive, local, Purpose((STUDY_FIND,)), Budget(30))

        def ask(patient: str) -> list[str]:
            rows = opened.find(query("STUDY", {"PatientID": patient}, ["StudyInstanceUID"]), STUDY_FIND, Budget(30))
            assert rows is not None and {row.PatientID for row in rows} <= {patient}
            return [str(row.StudyInstanceUID) for row in rows]

        return ask, opened.release

    return asking


def test_queries_over_associations_of_their_own_lose_no_answer(responder: int, transport: str) -> None:
    """One association a thread, one question after the other."""
    asked, wrong = _load(_finds(transport), _over_links(responder, transport))
    assert wrong == []
    assert asked == _finds(transport) // _THREADS * _THREADS


def test_queries_of_one_archive_in_threads_lose_no_answer(responder: int, transport: str) -> None:
    """As a web server does it: the pool gives each call an association."""
    archive = Archive(f"dimse://FAST@{LOOPBACK}:{responder}", transport=transport, budget=30.0)

    def asking() -> tuple[Ask, Callable[[], None]]:
        return lambda patient: [str(row.StudyInstanceUID) for row in archive.find("STUDY", PatientID=patient)], (
            lambda: None
        )

    asked, wrong = _load(_finds(transport) // 4, asking)
    assert wrong == []
    assert asked == _finds(transport) // 4 // _THREADS * _THREADS


class _Dawdling(threading.Event):
    """pynetdicom's checkpoint, whose passer-by takes 3 ms for the step after it, as on a busy machine."""

    def wait(self, timeout: Any = None) -> bool:
        passed = super().wait(timeout)
        time.sleep(0.003)
        return passed


def _plainly(port: int, *handlers: Any) -> Callable[[], tuple[Ask, Callable[[], None]]]:
    """Plain pynetdicom with TCP_NODELAY; an association on which an answer was lost is replaced."""
    peer = SimpleNamespace(port=port, ae_title="FAST")

    def prompt(event: Any) -> None:
        event.assoc.dul.socket.socket.setsockopt(6, 1, 1)

    def begun() -> Any:
        association = associate(peer, STUDY_FIND, handlers=[(evt.EVT_CONN_OPEN, prompt), *handlers])
        association.dimse_timeout = 0.5
        return association

    def asking() -> tuple[Ask, Callable[[], None]]:
        held = [begun()]

        def ask(patient: str) -> list[str]:
            if not held[0].is_established:
                hang_up(held[0])
                held[0] = begun()
            keys = question("STUDY", PatientID=patient, StudyInstanceUID="")
            rows, last = [], None
            for status, row in held[0].send_c_find(keys, STUDY_FIND):
                last = status.get("Status")
                if last in PENDING:
                    rows.append(str(row.StudyInstanceUID))
            return rows if last == 0x0000 else ["no answer"]

        return ask, lambda: hang_up(held[0])

    return asking


def _silently(wrong: list[str]) -> list[str]:
    """Those of the wrong answers that ended with Success: matches lost without a word."""
    return [one for one in wrong if "no answer" not in one and "Error" not in one]


def test_the_check_sees_the_answers_that_plain_pynetdicom_loses(responder: int) -> None:
    """pynetdicom's race, forced: its reactor thread takes 3 ms for the step after the checkpoint (in this test only).

    Without that a short run shows it on some machines and not on others.
    """

    def dawdle(event: Any) -> None:
        event.assoc._reactor_checkpoint = _Dawdling()
        event.assoc._reactor_checkpoint.set()

    _, wrong = _load(_finds("widened"), _plainly(responder, (evt.EVT_CONN_OPEN, dawdle)))
    assert _silently(wrong) != []


def test_the_gate_loses_nothing_although_the_race_is_forced(responder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same dawdling behind our gate."""

    class Dawdling(reactor.Checkpoint):
        def wait(self, timeout: Any = None) -> bool:
            passed = super().wait(timeout)
            time.sleep(0.003)
            return passed

    monkeypatch.setattr("qa_fetch.backends.pynetdicom_link.Checkpoint", Dawdling)
    asked, wrong = _load(_finds("widened"), _over_links(responder, "pynetdicom"))
    assert wrong == []
    assert asked == _finds("widened") // _THREADS * _THREADS


def test_plain_pynetdicom_under_the_same_load_is_measured(responder: int) -> None:
    """How many it loses is printed and not asserted: it depends on the machine."""
    asked, wrong = _load(_finds("plain"), _plainly(responder))
    assert asked == _finds("plain") // _THREADS * _THREADS
    print(f"plain pynetdicom: {len(wrong)} wrong of {asked}, {len(_silently(wrong))} of them with Success")
