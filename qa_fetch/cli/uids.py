"""The options that name patients, studies, series and objects, also by a list in a file."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

from ..errors import ConfigError

_COLUMNS = {
    "patientid": "PATIENT",
    "studyinstanceuid": "STUDY",
    "studyuid": "STUDY",
    "seriesinstanceuid": "SERIES",
    "seriesuid": "SERIES",
    "sopinstanceuid": "IMAGE",
    "instanceuid": "IMAGE",
}
_LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")


def add_uids(made: argparse.ArgumentParser, before: str = "", *, patients: bool = True) -> None:
    """The options; each may be given several times."""
    group = made.add_argument_group("what (each may be given several times)")
    if patients:
        group.add_argument("--patient", metavar="ID", action="append", help=f"{before}everything of this patient")
    group.add_argument("--study", metavar="UID", action="append", help=f"{before}everything of this study")
    group.add_argument("--series", metavar="UID", action="append", help=f"{before}everything of this series")
    group.add_argument("--instance", metavar="UID", action="append", help=f"{before}this object")
    group.add_argument(
        "--uids", metavar="FILE.csv", action="append", help="a list of them: study UIDs, or columns by their keywords"
    )


def uids_of(given: argparse.Namespace) -> dict[str, list[str]]:
    """For each level what the options name; empty when they name nothing."""
    found: dict[str, list[str]] = {
        "PATIENT": list(getattr(given, "patient", None) or ()),
        "STUDY": list(given.study or ()),
        "SERIES": list(given.series or ()),
        "IMAGE": list(given.instance or ()),
    }
    for name in given.uids or ():
        for level, value in read_uids(Path(name)):
            found[level].append(value)
    return {level: values for level, values in found.items() if values}


def read_uids(path: Path) -> list[tuple[str, str]]:
    """The levels and UIDs of a list: one study UID a line, or columns such as SeriesInstanceUID under a header.

    Where a line has several, the one of the lowest level counts.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text. Save it as that.") from None
    lines = [line for line in text.splitlines() if line.strip()]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=_delimiter(lines))]
    levels = [_COLUMNS.get(cell.replace("_", "").replace(" ", "").lower(), "") for cell in rows[0]] if rows else []
    if any(levels):
        found = [_lowest(zip(levels, row)) for row in rows[1:]]
    else:
        found = [("STUDY", row[0]) for row in rows]
    bad = next((number for number, (level, value) in enumerate(found, 1 + any(levels)) if not _fits(level, value)), 0)
    if bad or not found:
        where = f"line {bad} of {path} names nothing" if bad else f"{path} names nothing"
        raise ConfigError(
            f"{where}. Write one study UID a line, or a header with PatientID, StudyInstanceUID, SeriesInstanceUID "
            "or SOPInstanceUID and the values below it."
        )
    return list(dict.fromkeys(found))


def _delimiter(lines: list[str]) -> str:
    return max(";\t,", key=lines[0].count) if lines else ","


def _lowest(cells: Iterable[tuple[str, str]]) -> tuple[str, str]:
    named = [(level, value) for level, value in cells if level and value]
    return max(named, key=lambda cell: _LEVELS.index(cell[0]), default=("", ""))


def _fits(level: str, value: str) -> bool:
    return bool(value) and (level == "PATIENT" or (bool(level) and not set(value) - set("0123456789.")))
