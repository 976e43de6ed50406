"""When the rows of a batch are asked for: not outside of the allowed hours, and no longer than somebody wants."""

from __future__ import annotations

import signal
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from peers import course as courses
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive
from qa_fetch.batch import fetch_csv, look_up
from qa_fetch.bulk import Pace

WHEN = datetime(2015, 5, 12, 14, 5)
NIGHT = Pace(hours="22:00-06:00")
WAITING = "outside of the allowed hours (22:00-06:00); it goes on at 22:00"


class Clock:
    """This machine's clock, which moves when a test says so, and what was asked at which hour."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hour = 12
        self.asked: list[int] = []
        find = Archive.find

        def noted(archive: Archive, *given: Any, **more: Any) -> Any:
            self.asked.append(self.hour)
            return find(archive, *given, **more)

        monkeypatch.setattr(Archive, "find", noted)
        monkeypatch.setattr("qa_fetch.bulk.pace._now", lambda: datetime(2026, 3, 2, self.hour))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Noon, when nobody may be asked."""
    return Clock(monkeypatch)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Two patients with a series each."""
    slices = [courses.ct_slice(courses.new_series(patient, "A"), WHEN, 1) for patient in ("P1", "P2")]
    courses.write_all(slices, tmp_path / "archive")
    return Archive(f"folder:{tmp_path / 'archive'}")


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "query.csv"
    path.write_text("PatientID\nP1\nP2\n")
    return path


def test_outside_of_the_hours_nothing_is_asked(clock: Clock, archive: Archive, asked: Path, tmp_path: Path) -> None:
    """And who watches is told why; when the hours come, it goes on by itself."""
    said = []

    def watch(now: Any) -> None:
        said.append(now.says)
        clock.hour = 23

    report = fetch_csv(asked, archive, to=tmp_path / "out", pace=NIGHT, on_progress=watch)
    assert (report.done, said[0], set(clock.asked)) == (2, WAITING, {23})


def test_hours_that_end_between_two_rows_hold_back_the_second(
    clock: Clock, archive: Archive, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is finished."""
    clock.hour, find = 5, Archive.find
    waited = []

    def last(archive: Archive, *given: Any, **more: Any) -> Any:
        found = find(archive, *given, **more)
        clock.hour = 6 if clock.hour == 5 else clock.hour
        return found

    def watch(now: Any) -> None:
        if now.says == WAITING:
            waited.append(len(clock.asked))
            clock.hour = 22

    monkeypatch.setattr(Archive, "find", last)
    report = fetch_csv(asked, archive, to=tmp_path / "out", pace=NIGHT, on_progress=watch)
    assert (report.done, waited, clock.asked[:2]) == (2, [1], [5, 22])


def test_a_dry_run_keeps_to_the_hours(clock: Clock, archive: Archive, asked: Path) -> None:
    """Its questions are the same."""
    plan = look_up(asked, archive, pace=NIGHT, on_progress=lambda now: setattr(clock, "hour", 22))
    assert (len(plan.series), set(clock.asked)) == (2, {22})


def test_a_batch_that_waits_for_its_hours_can_be_cancelled(
    clock: Clock, archive: Archive, asked: Path, tmp_path: Path
) -> None:
    """And ends as one that was cancelled later."""
    cancelled = threading.Event()
    report = fetch_csv(
        asked,
        archive,
        to=tmp_path / "out",
        pace=NIGHT,
        cancelled=cancelled,
        on_progress=lambda now: cancelled.set(),
    )
    assert (report.stopped, report.whole, report.total, report.exit_code, clock.asked) == ("cancelled", False, 0, 1, [])


def test_a_batch_that_is_cancelled_before_every_row_was_asked_for_leaves_the_log_as_it_is(
    clock: Clock, archive: Archive, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of the run before says more; after the next one it is of that."""
    clock.hour, cancelled, log = 23, threading.Event(), tmp_path / "out" / "logs" / "run_log.csv"
    assert fetch_csv(asked, archive, to=tmp_path / "out").done == 2
    before, rows = log.read_text(encoding="utf-8"), len(clock.asked)
    assert len(before.splitlines()) == 3
    find = Archive.find

    def last(archive: Archive, *given: Any, **more: Any) -> Any:
        cancelled.set()
        return find(archive, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "find", last)
        report = fetch_csv(asked, archive, to=tmp_path / "out", cancelled=cancelled)
    assert (report.stopped, len(clock.asked)) == ("cancelled", rows + 1)
    assert log.read_text(encoding="utf-8") == before
    asked.write_text("PatientID\nP2\n")
    assert fetch_csv(asked, archive, to=tmp_path / "out").done == 1
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2


def test_ctrl_c_while_it_waits_for_its_hours_ends_it_with_a_report(
    clock: Clock, archive: Archive, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does while series are fetched."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupted: list[None] = []

    def watch(now: Any) -> None:
        if not interrupted:
            interrupted.append(signal.raise_signal(signal.SIGINT))

    try:
        report = fetch_csv(asked, archive, to=tmp_path / "out", pace=NIGHT, on_progress=watch)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert (report.stopped, report.exit_code, clock.asked) == ("stopped with Ctrl-C", 1, [])
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_batch_that_waits_for_a_silent_archive_can_be_cancelled(asked: Path, tmp_path: Path) -> None:
    """Not after ten minutes only."""
    cancelled, begun = threading.Event(), time.monotonic()
    threading.Timer(0.5, cancelled.set).start()
    report = fetch_csv(
        asked, f"dimse://NOBODY@{LOOPBACK}:{free_port()}", to=tmp_path / "out", cancelled=cancelled, outage=600
    )
    assert (report.stopped, report.total) == ("cancelled", 0)
    assert time.monotonic() - begun < 60  # a promise that it ends, not a speed
