"""Tables of what the doses do: those of each patient under PDCP's name, and from them those of the cohort."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..bulk.report import cell, written
from ..errors import BadArchive
from ..shelf.disk import make_folder
from .config import Settings
from .dosimetry_records import Dosimetry
from .dosimetry_values import WorkedOut, mark
from .dvh import columns
from .folders import PatientFolder
from .notes import stem

_ADVICE: Final = "Free space there or give another folder, then run: qa-fetch cohort dvh."
_WHOSE: Final = ("patient_id", "roi_name", "roi_number")
# The last column of each is the SOPInstanceUID of the structure set, since two may have regions of one number and name.
METRICS: Final = (*_WHOSE, "suggested_name", "metric", "value", "unit", "reason", "cautions", "structures")
CONSTRAINTS: Final = (
    *("patient_id", "roi_name", "metric", "op", "limit", "unit", "value", "result", "reason", "cautions"),
    "structures",
)
COMPARISON: Final = (*_WHOSE, "plan", "source", "what", "ours", "theirs", "unit", "agrees", "said", "structures")
EQD2: Final = (*_WHOSE, "alpha_beta", "mean", "min", "max", "d95", "d2", "structures")
_TABLES: Final = (
    ("metrics.csv", METRICS),
    ("constraints.csv", CONSTRAINTS),
    ("comparison.csv", COMPARISON),
    ("eqd2.csv", EQD2),
)
_DIGITS: Final = 4
_V_PERCENT: Final = "V%_0.5"  # a column that is there only with a prescription
LOG = logging.getLogger("qa_fetch.cohort")

Line = Mapping[str, Any]


def forget(folder: PatientFolder) -> None:
    """Remove what an earlier run left of a patient, the record first."""
    for name in ("dosimetry.json", f"{stem(folder.patient)}_.csv", *(name for name, _ in _TABLES)):
        (folder.dosimetry / name).unlink(missing_ok=True)


def write(folder: PatientFolder, found: WorkedOut) -> Path:
    """Write the tables of a patient, then the record, which says that all are there."""
    where = make_folder(folder.dosimetry)
    table(where / f"{stem(folder.patient)}_.csv", columns(found.prescribed), found.rows)
    for name, names in _TABLES:
        lines = list(_lines(name, found.dosimetry))
        if lines:
            table(where / name, names, lines)
    return found.dosimetry.write(folder)


def write_all(settings: Settings, folders: Sequence[PatientFolder]) -> Path:
    """Write the tables of the cohort into the folder ``dvh`` of its work; they hold every patient that is up to date.

    Parameters
    ----------
    settings
        Of the cohort.
    folders
        Of the patients that may have a record.
    """
    where = make_folder(settings.work / "dvh")
    current = [folder for folder in folders if is_current(folder)]
    rows = [_path(folder) for folder in current]
    prescribed = any(_V_PERCENT in _header(path) for path in rows)
    table(where / "dvh.csv", columns(prescribed), (line for path in rows for line in _read(path)))
    for name, names in _TABLES:
        table(where / name, names, (line for folder in current for line in _read(folder.dosimetry / name)))
    return where


def is_current(folder: PatientFolder) -> bool:
    """Whether the record of a patient is there, and that of what is built now."""
    try:
        found = Dosimetry.read(folder)
    except BadArchive:
        LOG.warning("a dosimetry.json cannot be read, so its patient is not in the tables of the cohort")
        return False
    return found is not None and found.built == mark(folder)


def table(target: Path, names: Sequence[str], lines: Iterable[Line]) -> None:
    """Write a CSV file, at once or not at all.

    Parameters
    ----------
    target
        The file.
    names, lines
        Its columns, and a value of each for every line; what is not there or None is an empty cell.
    """
    with written(target, "utf-8", _ADVICE) as file:
        out = csv.writer(file)
        out.writerow(names)
        for line in lines:
            out.writerow([cell(line.get(name)) for name in names])


def _path(folder: PatientFolder) -> Path:
    return folder.dosimetry / f"{stem(folder.patient)}_.csv"


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except FileNotFoundError:
        return []


def _read(path: Path) -> Iterator[Line]:
    """The lines of a table of a patient; none where it has no such table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except FileNotFoundError:
        return


def _lines(name: str, found: Dosimetry) -> Iterator[Line]:
    """The lines of a table about a patient."""
    if name == "comparison.csv":
        yield from _compared(found)
        return
    lines = {"metrics.csv": found.metrics, "constraints.csv": found.constraints, "eqd2.csv": found.eqd2}[name]
    suggested: dict[tuple[Any, Any], str] = {(roi.structures, roi.number): roi.suggested_name for roi in found.rois}
    for line in lines:
        yield {
            **line,
            "patient_id": found.patient,
            "roi_name": line["roi"],
            "roi_number": line.get("number"),
            "suggested_name": suggested.get((line["structures"], line.get("number"))),
        }


def _compared(found: Dosimetry) -> Iterator[Line]:
    for roi in found.rois:
        for each in roi.tps:
            yield {
                "patient_id": found.patient,
                "roi_name": roi.name,
                "roi_number": roi.number,
                "plan": each.plan,
                "source": each.source,
                "what": each.what,
                "ours": round(each.ours, _DIGITS),
                "theirs": round(each.theirs, _DIGITS),
                "unit": each.unit,
                "agrees": "yes" if each.agrees else "no",
                "said": each.said,
                "structures": roi.structures,
            }
