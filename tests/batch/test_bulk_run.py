"""Many items, each done once: resume, retries, what stops nothing else, cancelling, progress."""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import bulk_work
import pytest

from qa_fetch.bulk import DONE, FAILED, WAITING, Done, Item, Ledger, Report, Row, run
from qa_fetch.errors import ConfigError, ConnectionFailed, NotFound


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    """The ledger of an empty output folder."""
    with Ledger(tmp_path / "out" / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between attempts are a hundredth of what they are."""
    monkeypatch.setattr("qa_fetch.bulk.engine.backoff", lambda times: 0.01 * times)
    monkeypatch.setattr("qa_fetch.bulk.outage.backoff", lambda times: 0.01 * times)


def items_to(folder: Path, count: int, **more: Any) -> list[Item]:
    return [Item(f"item {n}", {"to": str(folder), "name": f"{n}", **more}) for n in range(count)]


def rows(report: Report) -> dict[str, Row]:
    return {row.key: row for row in report.rows()}


def test_every_item_is_done_and_written_down(ledger: Ledger, tmp_path: Path) -> None:
    """State, bytes, seconds, worker and what the work gave back."""
    report = run(items_to(tmp_path, 7), bulk_work.write, ledger, workers=3)
    assert (report.done, report.failed, report.waiting, report.already, report.total) == (7, 0, 0, 0, 7)
    assert (report.bytes, report.complete, report.exit_code, report.stopped) == (7 * 1300, True, 0, "")
    row = rows(report)["item 3"]
    assert (row.state, row.attempts, row.error, row.bytes, row.detail) == (DONE, 1, "", 1300, {"name": "3"})
    assert row.seconds > 0
    assert row.worker.startswith("worker_")
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == [f"{n}.txt" for n in range(7)]


def test_a_second_run_does_nothing_again(ledger: Ledger, tmp_path: Path) -> None:
    """Resume is the default, and opens no workers."""
    run(items_to(tmp_path, 5), bulk_work.write, ledger)
    report = run(items_to(tmp_path, 6), bulk_work.write, ledger)
    assert (report.done, report.already, report.bytes) == (6, 5, 1300)
    assert [len(path.read_text().split()) for path in tmp_path.glob("*.begun")] == [1] * 6


def test_only_the_items_of_this_run_are_counted_and_reported(ledger: Ledger) -> None:
    """An item that is no longer in the list stays in the ledger."""
    run([Item("old"), Item("both")], bulk_work.nothing, ledger)
    report = run([Item("both"), Item("new")], bulk_work.nothing, ledger)
    assert (sorted(rows(report)), report.already) == (["both", "new"], 1)
    assert [row.key for row in ledger.rows()] == ["old", "both", "new"]


def test_an_item_with_another_payload_is_done_again(ledger: Ledger) -> None:
    """The same key, but something else is asked for."""
    run([Item("a", {"x": 1, "y": 2}), Item("b", {"x": 1})], bulk_work.nothing, ledger)
    report = run([Item("a", {"y": 2, "x": 1}), Item("b", {"x": 3})], bulk_work.nothing, ledger)
    assert (report.already, report.done, rows(report)["b"].payload) == (1, 2, {"x": 3})


def test_what_failed_is_tried_again_by_the_next_run(ledger: Ledger) -> None:
    """And its old error is gone."""
    assert run([Item("a")], bulk_work.absent, ledger).failed == 1
    report = run([Item("a")], bulk_work.nothing, ledger)
    row = rows(report)["a"]
    assert (report.done, row.state, row.error, row.error_class, row.attempts) == (1, DONE, "", "", 1)


def test_what_is_done_but_gone_is_done_again(ledger: Ledger, tmp_path: Path) -> None:
    """A caller may say how to see that."""
    run(items_to(tmp_path, 3), bulk_work.write, ledger)
    (tmp_path / "1.txt").unlink()

    def intact(payload: Any, detail: Any) -> bool:
        return (Path(payload["to"]) / f"{detail['name']}.txt").exists()

    report = run(items_to(tmp_path, 3), bulk_work.write, ledger, intact=intact)
    assert (report.already, report.done, (tmp_path / "1.txt").exists()) == (2, 3, True)


def test_an_item_that_comes_twice_is_one(ledger: Ledger, tmp_path: Path) -> None:
    """Two rows of a query file may ask for the same series."""
    seen: list[Any] = []
    twice = [*items_to(tmp_path, 3), *items_to(tmp_path, 3)]
    report = run(twice, bulk_work.write, ledger, on_progress=seen.append)
    assert (report.total, report.done, seen[-1].total, seen[-1].left) == (3, 3, 3, 0)


def test_two_items_of_one_name_that_differ_are_a_mistake(ledger: Ledger) -> None:
    """Only one of them could be written down."""
    with pytest.raises(ConfigError) as caught:
        run([Item("a", 1), Item("a", 2)], bulk_work.nothing, ledger)
    assert str(caught.value) == (
        "two items of this run are both called 'a' and ask for different things. Give each item a key of its own."
    )


def test_payloads_and_keys_may_hold_what_files_are_called(ledger: Ledger) -> None:
    """Umlauts, line ends, NUL, bytes that are no letters."""
    keys = ["Müller", "a\nb", "a\x00b", "a\x00c", "caf\udce9", "日本", ""]
    report = run([Item(key, {"path": key}) for key in keys], lambda payload: Done(1, payload), ledger)
    assert (report.done, report.bytes) == (7, 7)
    assert [row.detail["path"] for row in ledger.rows()] == keys
    assert run([Item(key, {"path": key}) for key in keys], bulk_work.nothing, ledger).already == 7


# What goes wrong


def test_a_lasting_failure_is_not_tried_again_and_stops_nothing(ledger: Ledger) -> None:
    """The others go on; the sentence and its class are kept."""

    def work(payload: int) -> Done:
        if payload == 2:
            bulk_work.absent(payload)
        return Done(1)

    report = run([Item(f"{n}", n) for n in range(5)], work, ledger)
    first = next(iter(report.rows()))
    assert (report.done, report.failed, report.exit_code, report.complete) == (4, 1, 1, False)
    assert (first.key, first.state, first.attempts, first.error_class) == ("2", FAILED, 1, "NotFound")
    assert first.error == "the archive has no such series. Check the UID."


def test_what_can_succeed_later_is_tried_again(ledger: Ledger, tmp_path: Path, quick: None) -> None:
    """As often as said, while the others go on."""
    flaky = [Item(f"{n}", {"counter": str(tmp_path / f"{n}"), "failures": n}) for n in range(5)]
    report = run(flaky, bulk_work.shaky, ledger, attempts=3)
    assert {key: (row.state, row.attempts, row.error_class) for key, row in rows(report).items()} == {
        "0": (DONE, 1, ""),
        "1": (DONE, 2, ""),
        "2": (DONE, 3, ""),
        "3": (FAILED, 3, "ConnectionFailed"),
        "4": (FAILED, 3, "ConnectionFailed"),
    }


def test_the_waits_between_attempts_double_up_to_a_minute() -> None:
    """1, 2, 4 and so on."""
    from qa_fetch.bulk.outage import backoff

    assert [backoff(times) for times in (1, 2, 3, 4, 5, 6, 7, 8, 5000)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_item_that_waits_for_another_attempt_holds_up_nobody(ledger: Ledger, tmp_path: Path) -> None:
    """With one worker, whatever comes after it is done before it."""
    order: list[str] = []

    def work(payload: dict[str, Any]) -> Done:
        order.append(payload["name"])
        return bulk_work.shaky(payload)

    listed = [("first", 1), ("second", 0), ("third", 0)]
    flaky = [Item(k, {"name": k, "counter": str(tmp_path / k), "failures": n}) for k, n in listed]
    assert run(flaky, work, ledger, workers=1).complete
    assert order == ["first", "second", "third", "first"]


def test_an_archive_that_is_away_for_a_while_costs_no_item(ledger: Ledger, tmp_path: Path, quick: None) -> None:
    """More attempts fail than an item has, but they are the archive's fault; one item at a time finds out."""
    up, said = tmp_path / "up", []

    def watch(progress: Any) -> None:
        said.append(progress.says)
        if len(said) > 10:
            up.touch()

    listed = items_to(tmp_path, 20, up=str(up))
    report = run(listed, bulk_work.away, ledger, workers=2, attempts=2, outage=60, on_progress=watch)
    assert (report.done, report.failed) == (20, 0)
    assert "the archive cannot be reached; trying again for up to 60 s" in said


def test_an_archive_that_does_not_come_back_ends_the_run(ledger: Ledger, tmp_path: Path, quick: None) -> None:
    """What was not tried often enough is waiting, not failed."""
    listed = items_to(tmp_path, 20, up=str(tmp_path / "up"))
    report = run(listed, bulk_work.away, ledger, workers=2, attempts=3, outage=0.2)
    assert (report.done, report.failed, report.waiting, report.exit_code) == (0, 0, 20, 1)
    assert report.stopped == "the archive could not be reached any more"


def test_a_mistake_of_the_program_is_visible_and_stops_nothing(ledger: Ledger, caplog: Any) -> None:
    """The item names the class; the log has the place; neither has what the exception said, which names a patient."""

    def work(payload: str) -> Any:
        return Done(1) if payload in "xy" else bulk_work.mistaken(payload)

    report = run([Item(f"{n}", n) for n in ("x", "DOE^JOHN", "y")], work, ledger)
    row = next(iter(report.rows()))
    assert (report.done, report.failed, row.error_class) == (2, 1, "KeyError")
    assert row.error == (
        "the work stopped at a mistake of the program (KeyError). "
        "Its place in the code is in the log of qa_fetch.bulk; please report it."
    )
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "qa_fetch.bulk"
    assert record.getMessage().startswith("item 2 of the ledger stopped at a mistake of the program:\n  File ")
    assert 'bulk_work.py", line' in record.getMessage()
    assert "in mistaken" in record.getMessage()
    assert record.getMessage().endswith("KeyError\n")
    assert "DOE" not in record.getMessage()


def test_the_operating_system_is_quoted_without_its_paths(ledger: Ledger) -> None:
    """A full disk is no mistake of the program."""
    row = next(iter(run([Item("a")], bulk_work.unwritten, ledger).rows()))
    assert (row.error_class, row.error) == (
        "OSError",
        "the operating system said: No space left on device. Put that right and run again; what is done stays done.",
    )


def test_a_result_that_is_none_of_ours_fails_its_item(ledger: Ledger) -> None:
    """As does a detail that JSON cannot hold."""
    assert run([Item("a")], lambda payload: 5, ledger).failed == 1  # type: ignore[arg-type,return-value]
    assert run([Item("a")], lambda payload: Done(1, {"x": object()}), ledger).failed == 1
    assert run([Item("a")], lambda payload: None, ledger).done == 1


def test_work_that_ends_the_program_ends_only_itself(ledger: Ledger) -> None:
    """sys.exit in a library that somebody calls."""
    row = next(iter(run([Item("a")], sys.exit, ledger).rows()))
    assert (row.state, row.error_class) == (FAILED, "SystemExit")


def test_a_list_that_fails_loses_nothing_that_was_begun(ledger: Ledger, tmp_path: Path) -> None:
    """The error comes up as it is, after what was being worked on."""

    def listed() -> Any:
        yield from items_to(tmp_path, 4, seconds=0.05)
        while not list(tmp_path.glob("*.begun")):
            threading.Event().wait(0.005)
        raise ConnectionFailed("pacs did not answer. Run again.")

    with pytest.raises(ConnectionFailed) as caught:
        run(listed(), bulk_work.write, ledger, workers=2)
    assert str(caught.value) == "pacs did not answer. Run again."
    begun, done = list(tmp_path.glob("*.begun")), [row for row in ledger.rows() if row.state == DONE]
    assert len(begun) == len(done) == len(list(tmp_path.glob("*.txt"))) > 0
    assert run(items_to(tmp_path, 4, seconds=0.05), bulk_work.write, ledger).already == len(done)


def test_a_watcher_that_fails_ends_the_run_in_order(ledger: Ledger, tmp_path: Path) -> None:
    """What was begun is finished and written down."""

    def watch(progress: Any) -> None:
        if progress.running:
            raise NotFound("the terminal is gone. Open another one.")

    with pytest.raises(NotFound):
        run(items_to(tmp_path, 30, seconds=0.01), bulk_work.write, ledger, workers=2, on_progress=watch)
    assert len([row for row in ledger.rows() if row.state == DONE]) == len(list(tmp_path.glob("*.begun"))) < 30


# Stopping


def test_cancelling_finishes_what_was_begun_and_begins_nothing_new(ledger: Ledger, tmp_path: Path) -> None:
    """The report says how far it came, and the next run goes on from there."""
    stop = threading.Event()

    def watch(progress: Any) -> None:
        if progress.done >= 3:
            stop.set()

    listed = items_to(tmp_path, 50, seconds=0.12)
    report = run(listed, bulk_work.write, ledger, workers=3, on_progress=watch, cancelled=stop)
    begun = list(tmp_path.glob("*.begun"))
    assert report.done == len(begun) == len(list(tmp_path.glob("*.txt"))) < 50
    assert (report.failed, report.waiting, report.stopped, report.exit_code) == (0, 50 - report.done, "cancelled", 1)
    assert run(items_to(tmp_path, 50), bulk_work.nothing, ledger).complete


def test_cancelling_before_the_first_item_does_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """Not even the list is read."""
    stop = threading.Event()
    stop.set()
    report = run(items_to(tmp_path, 5), bulk_work.write, ledger, cancelled=stop)
    assert (report.total, report.whole, report.complete, report.stopped) == (0, False, False, "cancelled")


# Progress


def test_progress_counts_to_the_end(ledger: Ledger) -> None:
    """Done, failed, bytes; a list's length is known from the start, a generator's when it was read."""
    seen: list[Any] = []
    run([Item("before", 7)], bulk_work.nothing, ledger)
    run([Item(f"{n}", n) for n in ("before", *range(1000))], bulk_work.nothing, ledger, on_progress=seen.append)
    run((Item(f"{n}", n) for n in range(1000)), bulk_work.absent, ledger, on_progress=seen.append)
    whole = [one for one in seen if one.total == 1001]
    assert seen[0].total == 1001
    last = whole[-1]
    assert (last.done, last.failed, last.already, last.running, last.bytes) == (1001, 0, 0, 0, sum(range(1000)))
    assert (last.left, last.says, seen[-1].total, seen[-1].already) == (0.0, "", 1000, 1000)
    assert last.rate == last.bytes / last.seconds
    assert [one.done for one in whole] == sorted(one.done for one in whole)


def test_a_list_is_read_while_its_items_are_worked_on(ledger: Ledger, tmp_path: Path) -> None:
    """A generator that asks an archive for each row holds nobody up."""
    first = tmp_path / "0.txt"

    def listed() -> Any:
        yield from items_to(tmp_path, 1)
        for number in range(2000):
            if first.exists():
                yield Item("last", {"to": str(tmp_path), "name": "last"})
                return
            threading.Event().wait(0.005)
            yield Item(f"item {number % 1}", {"to": str(tmp_path), "name": "0"})

    assert run(listed(), bulk_work.write, ledger).done == 2


def test_very_many_items_leave_no_traces_in_memory(ledger: Ledger) -> None:
    """Never are there more futures than workers."""
    going: list[int] = []
    report = run(
        (Item(f"{n}") for n in range(3000)), bulk_work.nothing, ledger, on_progress=lambda p: going.append(p.running)
    )
    assert (report.done, max(going) <= 4) == (3000, True)


def test_wrong_numbers_are_refused_before_anything_begins(ledger: Ledger) -> None:
    """And words that name no place to work in."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"attempts": 0}, "there cannot be 0 attempts at an item. Give at least 1."),
        ({"workers": 0}, "there cannot be 0 workers. Give at least 1."),
        (
            {"where": "clouds"},
            "items cannot be worked on in 'clouds'. "
            "Say threads, processes, or the address of a Dask scheduler such as tcp://host:8786.",
        ),
    ]
    for arguments, says in wrong:
        with pytest.raises(ConfigError) as caught:
            run([Item("a")], bulk_work.nothing, ledger, **arguments)
        assert str(caught.value) == says


def test_the_report_stays_readable_after_the_ledger_is_closed(tmp_path: Path) -> None:
    """Rows are read from the file when they are wanted."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        report = run([Item("a")], bulk_work.nothing, ledger)
    assert [row.key for row in report.rows()] == ["a"]
    assert json.loads(report.write(tmp_path)[1].read_text())["items"][0]["key"] == "a"
    assert {row.state for row in report.rows()}.isdisjoint({WAITING})
