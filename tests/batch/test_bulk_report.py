"""What is left of a run for people and programs: CSV, JSON and a page."""

from __future__ import annotations

import csv
import json
import threading
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import bulk_work
import pytest

from qa_fetch.bulk import Done, Item, Ledger, Report, run
from qa_fetch.bulk.report import cell
from qa_fetch.bulk.report_page import duration, size
from qa_fetch.errors import Incomplete, NotFound

HOSTILE = [
    '=cmd|"/c calc"!A1',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "a\nb\x00c",
    "<script>alert(1)</script>",
    "x;=1+1",
    "ü\u202egnp",
]


class Read(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] += data


def some_fail(payload: int) -> Done:
    if payload % 3 == 1:
        raise NotFound("pacs has no series <1.2.3> & nothing like it. Check the UID.")
    return Done(1_500_000 * payload, {"n": payload})


@pytest.fixture
def written(tmp_path: Path) -> tuple[Report, Path]:
    """A run with failures and hostile names, and the folder of its reports."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        listed = [Item(key, number) for number, key in enumerate(HOSTILE)]
        report = run(listed, some_fail, ledger, workers=1, title="qa-fetch batch <b>cohort</b>.csv")
    report.write(tmp_path / "reports")
    return report, tmp_path / "reports"


def test_the_csv_has_every_item_and_no_formula(written: tuple[Report, Path]) -> None:
    """Failures first; what a spreadsheet would run has an apostrophe before it."""
    _, folder = written
    text = (folder / "report.csv").read_text(encoding="utf-8-sig")
    assert (folder / "report.csv").read_bytes().startswith(b"\xef\xbb\xbf"), "a spreadsheet needs it to see UTF-8"
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["key"] for row in rows] == [
        "'+1",
        "'\t=1".replace("\t", " "),
        "x;'=1+1",
        "'" + HOSTILE[0],
        "'-1",
        "'@SUM(A1)",
        "a b c",
        HOSTILE[6],
        HOSTILE[8],
    ]
    assert [row["state"] for row in rows] == ["failed"] * 3 + ["done"] * 6
    assert (rows[0]["error_class"], rows[0]["attempts"], rows[0]["detail"]) == ("NotFound", "1", "")
    assert rows[0]["error"] == "pacs has no series <1.2.3> & nothing like it. Check the UID."
    assert (rows[4]["bytes"], json.loads(rows[4]["detail"])) == ("3000000", {"n": 2})


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("1.2.840", "1.2.840"),
        (-5, -5),
        (1.5, 1.5),
        ("", ""),
        ("=1", "'=1"),
        ("\r=1", "' =1"),
        ("\n@x", "' @x"),
        ("a;=1;-2;b", "a;'=1;'-2;b"),
        ("x" * 40_000, "x" * 32_000 + "…"),
    ],
)
def test_a_cell_is_one_line_and_never_a_formula(value: object, becomes: object) -> None:
    """Numbers stay numbers; ten megabytes become what a spreadsheet can hold."""
    assert cell(value) == becomes


def test_the_json_has_everything_as_it_is(written: tuple[Report, Path]) -> None:
    """For programs, nothing is changed or cut."""
    report, folder = written
    read = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert {item["key"] for item in read["items"]} == set(HOSTILE)
    assert (read["done"], read["failed"], read["waiting"], read["total"]) == (6, 3, 0, 9)
    assert (read["complete"], read["run"], read["title"]) == (False, 1, "qa-fetch batch <b>cohort</b>.csv")
    assert datetime.fromisoformat(read["begun"]) == report.begun.replace(microsecond=0)
    assert read["items"][0]["payload"] == 1


def test_the_json_of_an_empty_list_is_json(tmp_path: Path) -> None:
    """And says that everything is done."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        report = run([], bulk_work.nothing, ledger)
    read = json.loads(report.write(tmp_path)[1].read_text())
    assert (read["items"], read["complete"], report.exit_code) == ([], True, 0)
    assert "Everything is done." in Read((tmp_path / "report.html").read_text()).text


def test_the_page_says_first_what_failed_and_folds_the_rest_away(written: tuple[Report, Path]) -> None:
    """Title, when, how long, how many, the sentences of what failed; then what is done."""
    report, folder = written
    page = Read((folder / "report.html").read_text(encoding="utf-8"))
    text = page.text
    assert "qa-fetch batch <b>cohort</b>.csv" in text
    assert f"{report.begun:%A, %d %B %Y, %H:%M}; it took" in text
    assert "3 items failed." in text
    order = [text.index(part) for part in ("What failed", "pacs has no series <1.2.3>", "6 items done", "@SUM(A1)")]
    assert order == sorted(order)
    assert [attributes for tag, attributes in page.tags if tag == "details"] == [{}], "closed at first"
    assert page.cells[:3] == ["+1", "pacs has no series <1.2.3> & nothing like it. Check the UID.", "1×\n"]


def test_nothing_of_an_item_becomes_part_of_the_page(written: tuple[Report, Path]) -> None:
    """No script, no element that is not ours, nothing fetched, no text that runs backwards."""
    raw = (written[1] / "report.html").read_text(encoding="utf-8")
    page = Read(raw)
    ours = set("html head meta title style body main h1 h2 p dl div dt dd table thead tbody tr th td span".split())
    assert {tag for tag, _ in page.tags} <= ours | {"details", "summary"}
    assert "http://" not in raw and "https://" not in raw and "\u202e" not in raw and "\x00" not in raw
    (policy,) = [attributes for tag, attributes in page.tags if attributes.get("http-equiv")]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_a_page_stays_small_enough_for_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves out is in the CSV, and it says so."""
    monkeypatch.setattr("qa_fetch.bulk.report_page._MOST_FAILURES", 10)
    monkeypatch.setattr("qa_fetch.bulk.report_page._MOST_OTHERS", 5)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        listed = [Item("k" * 1000 + f"{n}", n) for n in range(60)]
        report = run(listed, some_fail, ledger)
    report.write(tmp_path)
    page = Read((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.cells) == 10 * 3 + 5 * 4
    assert "The first 10 of 20; report.csv has them all." in page.text
    assert "The first 5 of 40; report.csv has them all." in page.text
    assert page.cells[0] == "k" * 400 + "…"
    assert len((tmp_path / "report.csv").read_text(encoding="utf-8-sig").splitlines()) == 61


def test_a_run_that_ended_early_says_why_and_what_is_left(tmp_path: Path) -> None:
    """What was not reached comes after what failed."""
    stop = threading.Event()

    def stop_soon(payload: int) -> Done:
        if payload == 4:
            stop.set()
        return some_fail(payload)

    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        listed = [Item(f"{n}", n) for n in range(9)]
        report = run(listed, stop_soon, ledger, workers=1, cancelled=stop)
        report.write(tmp_path)
    page = Read((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "2 items failed, 4 items not done yet. The run ended early: cancelled." in page.text
    assert page.cells[3 * 2 : 3 * 2 + 3] == ["5", "not reached in this run", "\n"]
    order = [page.text.index(part) for part in ("What failed", "4 items not done yet\n", "3 items done")]
    assert order == sorted(order)


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Here because a file is in the place of its folder; nothing half is left."""
    (tmp_path / "reports").write_text("a file")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        report = run([Item("a")], bulk_work.nothing, ledger)
    with pytest.raises(Incomplete) as caught:
        report.write(tmp_path / "reports")
    assert str(caught.value).startswith(f"the report {tmp_path / 'reports' / 'report.csv'} cannot be written (")
    assert str(caught.value).endswith(
        "). Free space there or give another folder; the ledger has everything that it would say."
    )


def test_times_and_sizes_read_as_people_write_them() -> None:
    """No needless digits."""
    assert [duration(seconds) for seconds in (0.04, 59.94, 61, 3599, 3600, 90_000)] == [
        "0.0 s",
        "59.9 s",
        "1 min 1 s",
        "59 min 59 s",
        "1 h 0 min",
        "25 h 0 min",
    ]
    assert [size(amount) for amount in (0, 999, 1500, 2.5e6, 3.25e9)] == [
        "0 bytes",
        "999 bytes",
        "2 kB",
        "2 MB",
        "3.2 GB",
    ]
