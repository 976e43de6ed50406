"""How a run holds itself back: hours of the day, batches, bytes a second."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import bulk_work
import pytest

from qa_fetch.bulk import Hours, Item, Ledger, Pace, run
from qa_fetch.bulk.pace import Keeper
from qa_fetch.errors import ConfigError


class Clocks:
    """Both clocks, which move when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        self.moment = datetime(2026, 3, 2, 12, 0)
        monkeypatch.setattr("qa_fetch.bulk.pace.time.monotonic", lambda: self.seconds)
        monkeypatch.setattr("qa_fetch.bulk.pace._now", lambda: self.moment)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Noon on a Monday."""
    return Clocks(monkeypatch)


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02 {clock}")


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("22:00-06:00", ["22:00", "23:59:59", "00:00", "05:59:59"], ["06:00", "12:00", "21:59:59"]),
        ("12:00-13:30", ["12:00", "13:29"], ["11:59", "13:30", "00:00"]),
        ("22:00-06:00, 12:00-13:00", ["12:30", "23:00"], ["13:00", "06:00"]),
        ("0:00-24:00", ["00:00", "12:00", "23:59"], []),
        ("18:00-24:00", ["18:00", "23:59"], ["00:00", "17:59"]),
    ],
)
def test_hours_begin_with_their_first_minute_and_end_before_their_last(
    hours: str, inside: list[str], outside: list[str]
) -> None:
    """Also across midnight, and several."""
    spans = Hours.parse(hours)
    assert [clock for clock in inside if not spans.allow(at(clock))] == []
    assert [clock for clock in outside if spans.allow(at(clock))] == []


def test_the_next_hours_begin_today_or_tomorrow() -> None:
    """Whichever comes first."""
    assert Hours.parse("22:00-06:00").next(at("12:00")) == at("22:00")
    assert Hours.parse("08:00-09:00,20:00-21:00").next(at("21:30")) == datetime(2026, 3, 3, 8, 0)
    assert Hours.parse("08:00-09:00,20:00-21:00").next(at("10:00")) == at("20:00")


@pytest.mark.parametrize(
    "hours",
    ["22-6", "25:00-06:00", "22:60-06:00", "24:00-06:00", "06:00-06:00", "22:00-06:00,", "night", "06:00-24:01"],
)
def test_hours_that_are_not_understood_are_refused_with_an_example(hours: str) -> None:
    """Before anything begins."""
    with pytest.raises(ConfigError) as caught:
        Pace(hours=hours)
    assert str(caught.value) == (
        f"the hours {hours!r} are not understood. Write them as 22:00-06:00, several with commas between."
    )


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", -1), ("batch_wait", -0.5), ("bytes_per_second", float("nan"))]
)
def test_a_pace_below_zero_is_refused(name: str, value: float) -> None:
    """So is what is no number."""
    with pytest.raises(ConfigError) as caught:
        Pace(**{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name} is {value}. Give a number that is not below 0."


def test_without_a_pace_nothing_is_held(clocks: Clocks) -> None:
    """The default."""
    keeper = Keeper(Pace())
    keeper.finished(10**12)
    assert keeper.hold() is None


def test_after_every_batch_there_is_a_wait(clocks: Clocks) -> None:
    """Counted in items that are finished."""
    keeper = Keeper(Pace(batch_size=2, batch_wait=5))
    keeper.finished(1)
    assert keeper.hold() is None
    keeper.finished(1)
    clocks.seconds += 1
    hold = keeper.hold()
    assert hold is not None
    assert (hold.seconds, hold.says, hold.asleep) == (4, "waiting after a batch of 2", False)
    clocks.seconds += 4
    assert keeper.hold() is None
    keeper.finished(1)
    assert keeper.hold() is None


def test_bytes_a_second_are_an_average_over_the_run(clocks: Clocks) -> None:
    """A large item is followed by a wait that makes up for it."""
    keeper = Keeper(Pace(bytes_per_second=100))
    keeper.finished(1000)
    clocks.seconds += 4
    hold = keeper.hold()
    assert hold is not None
    assert (hold.seconds, hold.says) == (6, "waiting, so as not to exceed 100 bytes a second")
    clocks.seconds += 6
    assert keeper.hold() is None


def test_the_night_is_no_allowance_for_the_morning(clocks: Clocks) -> None:
    """Hours in which nothing may begin do not count for the average."""
    keeper = Keeper(Pace(bytes_per_second=100, hours="12:00-13:00"))
    keeper.finished(6000)
    assert keeper.hold() is not None
    clocks.moment = at("14:00")
    hold = keeper.hold()
    assert hold is not None
    assert hold.asleep
    clocks.seconds += 3600
    assert keeper.hold() is not None
    clocks.moment = at("12:00")
    hold = keeper.hold()
    assert hold is not None
    assert (round(hold.seconds), hold.asleep) == (60, False)


# In a run


def items_to(folder: Path, count: int, **more: Any) -> list[Item]:
    return [Item(f"item {n}", {"to": str(folder), "name": f"{n}", **more}) for n in range(count)]


def test_outside_of_its_hours_a_run_finishes_what_was_begun_and_says_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is not read either; when the hours come, it goes on by itself."""
    moment, said, read = [at("05:59")], [], []

    def watch(progress: Any) -> None:
        said.append((progress.says, progress.done, progress.running))
        if progress.done >= 2:
            moment[0] = at("06:00")
        if len([1 for says, _, _ in said if says]) > 3:
            moment[0] = at("22:00")

    def listed() -> Any:
        for item in items_to(tmp_path, 2000):
            read.append((item.key, moment[0]))
            yield item

    monkeypatch.setattr("qa_fetch.bulk.pace._now", lambda: moment[0])
    monkeypatch.setattr("qa_fetch.bulk.progress._EVERY", 0.0)
    monkeypatch.setattr("qa_fetch.bulk.engine._TICK", 0.01)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        report = run(listed(), bulk_work.nothing, ledger, workers=2, pace=Pace(hours="22:00-06:00"), on_progress=watch)
    assert report.done == 2000
    waits = [one for one in said if one[0]]
    assert {says for says, _, _ in waits} == {"outside of the allowed hours (22:00-06:00); it goes on at 22:00"}
    assert len({done for _, done, running in waits if not running}) == 1, "nothing began in the meantime"


def test_a_run_that_waits_for_its_hours_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says that it did nothing."""
    stop, said = threading.Event(), []

    def watch(progress: Any) -> None:
        said.append(progress.says)
        stop.set()

    monkeypatch.setattr("qa_fetch.bulk.pace._now", lambda: at("07:00"))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        hours = Pace(hours="05:00-06:00")
        report = run(items_to(tmp_path, 3), bulk_work.nothing, ledger, pace=hours, on_progress=watch, cancelled=stop)
    assert said[0] == "outside of the allowed hours (05:00-06:00); it goes on at 05:00 tomorrow"
    assert (report.total, report.stopped, report.exit_code) == (0, "cancelled", 1)


def test_batches_hold_a_run_back(tmp_path: Path) -> None:
    """With one worker and batches of two, seven items wait three times; not after the last one."""
    said: list[str] = []
    pace = Pace(batch_size=2, batch_wait=0.05)
    begun = time.monotonic()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        report = run(
            items_to(tmp_path, 7),
            bulk_work.write,
            ledger,
            workers=1,
            pace=pace,
            on_progress=lambda p: said.append(p.says),
        )
    assert report.complete
    assert time.monotonic() - begun >= 0.15  # a wait that is promised, not a speed
    assert "waiting after a batch of 2" in said


def test_bytes_a_second_hold_a_run_back(tmp_path: Path) -> None:
    """Never more than agreed, on average, before the last item."""
    begun = time.monotonic()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        listed = [Item(f"{n}", 1000) for n in range(5)]
        run(listed, bulk_work.nothing, ledger, workers=1, pace=Pace(bytes_per_second=20_000))
    assert time.monotonic() - begun >= 4 * 1000 / 20_000
