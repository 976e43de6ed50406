"""Associations that are kept open between calls, and C-GETs that go wrong: the next call works, nothing is lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from raw_archive import RawArchive, Served, answer, found, honest
from raw_pdus import (
    ABORTED,
    COMPLETED,
    EXPLICIT,
    FAILED,
    FIELD,
    IMPLICIT,
    PENDING,
    REMAINING,
    RT_IMAGE,
    STUDY_GET,
    WARNING,
    an_object,
    dataset,
    fragments,
    message_bytes,
    p_data,
    store_rq,
)

from qa_fetch import Archive, ConnectionFailed, Incomplete, QAFetchError
from qa_fetch.backends import Local, link
from qa_fetch.backends.link import Purpose
from qa_fetch.budget import Budget
from qa_fetch.config import Config
from qa_fetch.matching import query
from qa_fetch.shelf import Claim, Reference, Shelf

BUDGET = 2.0


def _archive(peer: RawArchive, transport: str, **fields: Any) -> Archive:
    whole = {"local_ae_title": "QATRACK", "transport": transport, "budget": BUDGET, "timeout": 0.6, **fields}
    return Archive(peer.address, **whole)


def _studies(archive: Archive) -> list[str]:
    return [str(one.StudyInstanceUID) for one in archive.find("STUDY", PatientID="P")]


# --- an association that stands idle


@pytest.mark.parametrize("how", ["closes", "resets", "aborts", "ends it in good order"])
def test_an_idle_association_that_the_archive_ends_is_opened_anew(transport: str, how: str) -> None:
    """The next call succeeds as if nothing had happened."""
    ended = threading.Event()

    def once(served: Served) -> None:
        served.accept()
        served.send(found(served.request(), "1.2.1"))
        peer.wait(0.05)
        if how == "aborts":
            served.send(ABORTED)
        elif how == "ends it in good order":
            served.send(b"\5\0\0\0\0\4" + bytes(4))
        if how == "resets":
            served.reset()
        elif how == "closes":
            served.socket.close()
        ended.set()
        peer.wait(5)

    with RawArchive(once, honest("1.2.1", "1.2.2")) as peer:
        archive = _archive(peer, transport)
        assert _studies(archive) == ["1.2.1"]
        assert ended.wait(5)
        time.sleep(0.05)
        assert _studies(archive) == ["1.2.1", "1.2.2"]
        assert peer.connections == 2


@pytest.mark.parametrize("how", ["closes", "resets", "aborts"])
def test_an_association_that_breaks_when_it_is_used_again_is_opened_anew(transport: str, how: str) -> None:
    """The archive had given it up, and says so only when it is asked."""

    def once(served: Served) -> None:
        served.accept()
        served.send(found(served.request(), "1.2.1"))
        served.request()
        if how == "aborts":
            served.send(ABORTED)
        if how == "resets":
            served.reset()

    with RawArchive(once, honest("1.2.1", "1.2.2")) as peer:
        archive = _archive(peer, transport)
        assert _studies(archive) == ["1.2.1"]
        assert _studies(archive) == ["1.2.1", "1.2.2"]
        assert peer.connections == 2


def test_an_association_that_falls_silent_when_it_is_used_again_is_opened_anew(transport: str) -> None:
    """After the archive's timeout, and within the budget of the call."""

    def once(served: Served) -> None:
        served.accept()
        served.send(found(served.request(), "1.2.1"))
        served.ended()

    with RawArchive(once, honest("1.2.1", "1.2.2")) as peer:
        archive = _archive(peer, transport)
        assert _studies(archive) == ["1.2.1"]
        began = time.monotonic()
        assert _studies(archive) == ["1.2.1", "1.2.2"]
        assert time.monotonic() - began < BUDGET
        assert peer.connections == 2


def test_an_archive_that_falls_silent_for_good_is_called_slow_and_not_a_stranger(transport: str) -> None:
    """The time is over while a kept association is used: the sentence is about time, not about host and port."""

    def silent(served: Served) -> None:
        served.accept()
        served.send(found(served.request(), "1.2.1"))
        served.ended()

    def deaf(served: Served) -> None:
        served.ended()

    with RawArchive(silent, deaf) as peer:
        archive = _archive(peer, transport, timeout=15.0)
        assert _studies(archive) == ["1.2.1"]
        began = time.monotonic()
        with pytest.raises(ConnectionFailed) as caught:
            _studies(archive)
        assert time.monotonic() - began < BUDGET + 1.0
    assert str(caught.value) == (
        "RAW took longer than the time budget allows: the C-FIND was not answered. "
        "Call again, or allow more with budget=."
    )


def test_an_answer_that_comes_late_is_not_that_to_the_next_question(transport: str) -> None:
    """The association whose question ran out of time is given up, with all that still comes over it."""

    def late(served: Served) -> None:
        served.accept()
        asked = served.request()
        peer.wait(0.9)
        served.send(found(asked, "9.9.9"))
        served.ended()

    with RawArchive(late, honest("1.2.1")) as peer:
        archive = _archive(peer, transport)
        with pytest.raises(ConnectionFailed):
            _studies(archive)
        time.sleep(0.5)
        assert _studies(archive) == ["1.2.1"]


def test_a_stray_message_before_the_question_spoils_no_answer(transport: str) -> None:
    """What comes unasked over an idle association is not taken for the answer to the next question."""

    def twice(served: Served) -> None:
        served.accept()
        asked = served.request()
        served.send(found(asked, "1.2.1") + found(asked, "9.9.9"))
        served.ended()

    with RawArchive(twice, honest("1.2.1", "1.2.2")) as peer:
        archive = _archive(peer, transport)
        assert _studies(archive) == ["1.2.1"]
        time.sleep(0.05)
        try:
            assert _studies(archive) == ["1.2.1", "1.2.2"]
        except ConnectionFailed:
            assert transport == "pynetdicom"  # which finds out too late, but does find out


# --- C-GET


def _claimed(peer: RawArchive, transport: str, tmp_path: Path) -> tuple[QAFetchError, Claim, float]:
    """A retrieve of two objects that fails: how, what has come, and how long it took."""
    fields = {"local_ae_title": "QATRACK", "transport": transport, "timeout": 0.6, "retrieve": "get"}
    archive = Config.load(None).archive(peer.address, **fields)
    local = Local("QATRACK", "127.0.0.1", 1, tmp_path / "shelf", transport)
    purpose = Purpose((STUDY_GET,), (RT_IMAGE,))
    references = [Reference("1.2.3", "1.2.3.4", uid, RT_IMAGE) for uid in ("1.2.1", "1.2.2")]
    budget = Budget(BUDGET)
    began = time.monotonic()
    opened = link.connect(archive, local, purpose, budget)
    try:
        with Claim(Shelf(tmp_path / "shelf", "RAW", peer.address), references, budget) as claim:
            identifier = query("SERIES", {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"})
            with pytest.raises(QAFetchError) as caught:
                status, _ = opened.get(identifier, STUDY_GET, budget, lambda: claim.failure is not None, claim.begin)
                raise claim.failure or Incomplete(f"status {status:04X}.", missing=())
    finally:
        opened.abort()
    return caught.value, claim, time.monotonic() - began


def _counts(remaining: int, completed: int, failed: int = 0) -> dict[int, Any]:
    return {REMAINING: remaining, COMPLETED: completed, FAILED: failed, WARNING: 0}


@pytest.mark.parametrize("after", ["the request", "an object", "half an object", "a pending answer"])
@pytest.mark.parametrize("how", ["aborts", "resets", "closes", "is silent"])
def test_a_retrieve_that_breaks_off_keeps_whole_objects_only(
    transport: str, after: str, how: str, tmp_path: Path
) -> None:
    """At every boundary of its messages, and inside an object."""
    data = an_object("1.2.1", IMPLICIT, 3000)

    def script(served: Served) -> None:
        served.accept()
        asked = served.request()
        store = served.context_of(RT_IMAGE)
        whole = message_bytes(store, store_rq("1.2.1"), data, 1000)
        if after == "half an object":
            served.send(whole[: whole.index(data[1000:1010]) - 12])  # between two of its fragments
        elif after != "the request":
            served.send(whole)
            served.request()
        if after == "a pending answer":
            served.send(answer(asked, PENDING, None, _counts(1, 1)))
        if how == "aborts":
            served.send(ABORTED)
        elif how == "resets":
            served.reset()
        elif how == "is silent":
            served.ended()

    with RawArchive(script) as peer:
        error, claim, took = _claimed(peer, transport, tmp_path)
    assert isinstance(error, ConnectionFailed)
    assert took < BUDGET + 1
    expected = ["1.2.1"] if after in ("an object", "a pending answer") else []
    kept = [path.stem for path in (tmp_path / "shelf").glob("*/objects/*/*.dcm")]
    assert kept == expected
    assert [one.instance for one in claim.missing] == [uid for uid in ("1.2.1", "1.2.2") if uid not in expected]
    assert list((tmp_path / "shelf").glob("*/incoming/*")) == []


@pytest.mark.parametrize("what", ["an unknown context", "another message", "a query's answer", "no number"])
def test_a_retrieve_whose_messages_are_wrong_is_given_up(transport: str, what: str, tmp_path: Path) -> None:
    """Nothing that comes in them is kept."""

    def script(served: Served) -> None:
        served.accept()
        asked = served.request()
        said = {
            "an unknown context": message_bytes(201, store_rq("1.2.1"), an_object("1.2.1", EXPLICIT)),
            "another message": answer(asked, 0, None, {**_counts(0, 2), 0x0120: 900}),
            "a query's answer": answer(asked, 0, None, {FIELD: 0x8020}),
            "no number": answer(asked, 0, None, {0x0120: b""}),
        }
        served.send(said[what])
        served.ended()

    with RawArchive(script) as peer:
        error, claim, took = _claimed(peer, transport, tmp_path)
    assert isinstance(error, ConnectionFailed)
    assert took < BUDGET + 1
    assert len(claim.missing) == 2
    assert list((tmp_path / "shelf").glob("*/objects/*/*.dcm")) == []


def test_pending_answers_without_end_cost_the_budget_and_no_more(transport: str, tmp_path: Path) -> None:
    """A retrieve that always has one more to go."""

    def script(served: Served) -> None:
        served.accept()
        asked = served.request()
        while True:
            served.send(answer(asked, PENDING, None, _counts(1, 0)))
            peer.wait(0.01)

    with RawArchive(script) as peer:
        _, claim, took = _claimed(peer, transport, tmp_path)
    assert BUDGET - 0.5 < took < BUDGET + 1
    assert len(claim.missing) == 2


def test_an_object_without_end_costs_the_budget_and_no_more(transport: str, tmp_path: Path) -> None:
    """It comes a little at a time, and never as a whole."""

    def script(served: Served) -> None:
        served.accept()
        served.request()
        store = served.context_of(RT_IMAGE)
        head = dataset([(0x0008, 0x0018, b"UI", "1.2.1")])
        served.send(message_bytes(store, store_rq("1.2.1")))
        while True:
            served.send(p_data(fragments(store, 0, head)[0][:5] + b"\0" + head))
            peer.wait(0.02)

    with RawArchive(script) as peer:
        _, claim, took = _claimed(peer, transport, tmp_path)
    assert took < BUDGET + 1
    assert len(claim.missing) == 2
    assert list((tmp_path / "shelf").glob("*/incoming/*")) == []
