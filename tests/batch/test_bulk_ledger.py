"""The file in which it is written what is done."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import bulk_work
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa_fetch.bulk import DONE, FAILED, RUNNING, WAITING, Item, Ledger, run
from qa_fetch.bulk.attempt import Outcome
from qa_fetch.errors import BadArchive, ConfigError, Incomplete


def test_what_was_running_when_a_run_was_killed_waits_again(tmp_path: Path) -> None:
    """Without a word from that run."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.begin_run()
        ledger.begin(ledger.offer(Item("a")).number)
        ledger.commit()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert [row.state for row in ledger.rows()] == [RUNNING]
        ledger.begin_run()
        assert [row.state for row in ledger.rows()] == [WAITING]


def test_done_is_written_once(tmp_path: Path) -> None:
    """A result that comes a second time, from a worker that was thought lost, changes nothing."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.begin_run()
        number = ledger.offer(Item("a")).number
        ledger.begin(number)
        assert ledger.finish(number, Outcome(worker="first", bytes=5), DONE) is True
        assert ledger.finish(number, Outcome(worker="second", error_class="NotFound"), FAILED) is False
        (row,) = ledger.rows()
    assert (row.state, row.worker, row.bytes, row.error_class) == (DONE, "first", 5, "")


def test_what_is_committed_is_seen_by_others(tmp_path: Path) -> None:
    """Another program may look into the ledger while a run goes on."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.begin_run()
        ledger.offer(Item("a", {"x": 1}))
        ledger.commit()
        other = sqlite3.connect(ledger.path)
        assert other.execute("SELECT key, payload, state FROM items").fetchall() == [("a", '{"x":1}', "waiting")]
        other.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_only_its_owner_reads_a_ledger_and_its_reports(tmp_path: Path) -> None:
    """Keys and payloads may name patients."""
    with Ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        report = run([Item("a")], bulk_work.nothing, ledger)
        report.write(tmp_path / "out")
        files = list((tmp_path / "out").iterdir())
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert len(files) >= 5


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    """And the folder is free again."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database" * 100)
    for _ in range(2):
        with pytest.raises(BadArchive) as caught:
            Ledger(path)
        assert str(caught.value) == (
            f"the ledger {path} is damaged (file is not a database). Move it away and run again: "
            "every item is then looked at anew."
        )


def test_a_ledger_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """An older program would write what the newer one does not understand."""
    path = tmp_path / "ledger.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ConfigError) as caught:
        Ledger(path)
    assert str(caught.value) == (
        f"the ledger {path} was written by a newer qa_fetch. Update qa_fetch, or give another output folder."
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Here because a file is in its place."""
    (tmp_path / "out").write_text("a file")
    path = tmp_path / "out" / "ledger.sqlite"
    with pytest.raises(ConfigError) as caught:
        Ledger(path)
    assert str(caught.value).startswith(f"the ledger {path} cannot be used (")
    assert str(caught.value).endswith("). Check that this user may write to its folder.")


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """SQLite says so itself when its file may not grow; with room again it goes on where it stopped."""
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger._database.execute("PRAGMA max_page_count = 12")
        with pytest.raises(Incomplete) as caught:
            run((Item(f"{n}", "x" * 2000) for n in range(500)), bulk_work.nothing, ledger)
        assert (str(caught.value), caught.value.retriable) == (
            f"the disk of {tmp_path} is full, so the run stopped. Free space there and run again: "
            "it goes on where it stopped.",
            False,
        )
    with Ledger(path) as ledger:
        known = [row.key for row in ledger.rows() if row.state == DONE]
        report = run((Item(f"{n}", "x" * 2000) for n in range(500)), bulk_work.nothing, ledger)
    assert (report.done, report.already) == (500, len(known))


_LISTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 1)), unique_by=lambda pair: pair[0], max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(st.tuples(_LISTS, st.sets(st.sampled_from("abcdefgh"))), max_size=4))
def test_after_any_runs_an_item_is_done_exactly_where_its_last_payload_succeeded(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[list[tuple[str, int]], set[str]]]
) -> None:
    """Whatever failed in between, nothing that is done is worked on, and everything else is."""
    done: dict[str, int] = {}
    with Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite") as ledger:
        for listed, failing in runs:
            worked: list[str] = []

            def work(payload: Any, worked: list[str] = worked, failing: set[str] = failing) -> None:
                worked.append(payload[0])
                if payload[0] in failing:
                    bulk_work.absent(payload)

            report = run([Item(key, [key, value]) for key, value in listed], work, ledger, workers=1)
            assert sorted(worked) == sorted(key for key, value in listed if done.get(key) != value)
            for key, value in listed:
                if key in worked:
                    done.pop(key, None)
                    done.update({} if key in failing else {key: value})
            assert {row.key for row in report.rows() if row.state == DONE} == {key for key, _ in listed if key in done}
