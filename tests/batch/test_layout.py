"""Where series go, and what is written beside them: as PACSMAN has it, but that no value of a peer does any harm."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from qa_fetch.batch.info import COLUMNS, harmless, write_info
from qa_fetch.batch.layout import Layout
from qa_fetch.part10 import plain

FACTS = {
    "PatientID": "123421",
    "StudyDate": "20150512",
    "StudyTime": "140500",
    "SeriesNumber": "3",
    "SeriesDescription": "CT HEAD",
}


def folder(series: str = "1.2.3", **facts: str) -> str:
    return Layout().folder(series, {**FACTS, **facts})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "sub-123421/ses-20150512140500/00003-CTHEAD"),
        ({"SeriesDescription": ""}, "sub-123421/ses-20150512140500/00003-No_series_description"),
        ({"SeriesDescription": "Head 1.0 / soft"}, "sub-123421/ses-20150512140500/00003-Head1_0_soft"),
        ({"SeriesNumber": ""}, "sub-123421/ses-20150512140500/00000-CTHEAD"),
        ({"SeriesNumber": "123456"}, "sub-123421/ses-20150512140500/123456-CTHEAD"),
        ({"StudyTime": "140500.123456"}, "sub-123421/ses-20150512140500.123456/00003-CTHEAD"),
        ({"StudyTime": ""}, "sub-123421/ses-20150512/00003-CTHEAD"),
        ({"StudyDate": ""}, "sub-123421/ses-undated/00003-CTHEAD"),
        ({"PatientID": "../../esc"}, "sub-_esc/ses-20150512140500/00003-CTHEAD"),
        ({"PatientID": "Müller 1"}, "sub-Muller1/ses-20150512140500/00003-CTHEAD"),
        ({"PatientID": "日本"}, "sub-unknown/ses-20150512140500/00003-CTHEAD"),
        ({"SeriesDescription": "a\0b\nc"}, "sub-123421/ses-20150512140500/00003-a_b_c"),
    ],
)
def test_a_series_has_the_folder_that_pacsman_gave_it(facts: dict[str, str], expected: str) -> None:
    """Whatever an archive writes into its values."""
    assert folder(**facts) == expected


def test_two_series_never_share_a_folder() -> None:
    """Nor where only the letter case differs, which some disks do not tell apart."""
    layout = Layout()
    first, second = layout.folder("1.1", FACTS), layout.folder("1.2", FACTS)
    third = layout.folder("1.3", {**FACTS, "SeriesDescription": "ct head"})
    assert len({first.casefold(), second.casefold(), third.casefold()}) == 3
    assert layout.folder("1.1", FACTS) == first


def test_two_patients_never_share_a_folder() -> None:
    """Although PACSMAN writes their IDs alike."""
    layout = Layout()
    ids = ("A B", "AB", "A/B", "ab")
    subjects = [layout.folder(f"1.{n}", {**FACTS, "PatientID": patient}) for n, patient in enumerate(ids)]
    assert len({subject.partition("/")[0].casefold() for subject in subjects}) == 4


def test_what_an_earlier_run_has_given_stays() -> None:
    """A series that comes later gets another folder."""
    layout = Layout()
    layout.keep("sub-123421/ses-20150512140500/00003-CTHEAD", "1.1", "123421")
    assert layout.folder("1.2", FACTS) != "sub-123421/ses-20150512140500/00003-CTHEAD"
    assert layout.folder("1.1", FACTS) == "sub-123421/ses-20150512140500/00003-CTHEAD"


def test_no_name_is_longer_than_disks_take() -> None:
    """Descriptions of archives can be."""
    assert len(plain("x" * 500)) == 64


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("=5", "'=5"),
        ("@5", "'@5"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "' =1"),
        ('x;=HYPERLINK("http://evil","y")', 'x;\'=HYPERLINK("http://evil","y")'),
        ("a\nb", "a b"),
    ],
)
def test_a_formula_is_not_written_back_as_one(value: str, written: str) -> None:
    """A spreadsheet would run it, also where a semicolon makes it a cell of its own."""
    assert harmless(value) == written


@pytest.mark.parametrize("value", ["-5", "+3.5", "-.5", "-1.5E-3", "CT", "", "20150512-"])
def test_a_value_that_is_no_formula_is_written_as_it_is(value: str) -> None:
    """A negative number is one."""
    assert harmless(value) == value


def test_the_table_of_a_series_has_pacsmans_columns(tmp_path: Path) -> None:
    """One row, beside the folder and called like it."""
    path = write_info(tmp_path / "sub-1" / "ses-2" / "00003-CTHEAD", {**FACTS, "PatientName": "=HYPERLINK(1)"})
    assert path == tmp_path / "sub-1" / "ses-2" / "00003-CTHEAD.csv"
    with path.open(encoding="utf-8", newline="") as file:
        header, row = csv.reader(file)
    assert header == COLUMNS
    assert dict(zip(header, row))["PatientName"] == "'=HYPERLINK(1)"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_table_is_for_its_owner_only(tmp_path: Path) -> None:
    """It names the patient, as the reports do."""
    path = write_info(tmp_path / "00003-CTHEAD", FACTS)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["00003-CTHEAD.csv"]
