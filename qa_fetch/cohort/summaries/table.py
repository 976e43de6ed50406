"""All rows of a cohort in one SQLite file, for whoever asks more of them than PDCP's tables can tell.

``SELECT * FROM instances`` has one row per object, ``patients`` one per patient. Numbers are numbers, what a header
lacks is NULL, and ``counts`` is 0 where PDCP's table leaves a row out, since its study lacks a modality. ``cells`` has
the same letter by letter.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from ...errors import Incomplete
from ...shelf.disk import make_folder
from ..columns import COLUMNS, MISSING
from .source import Row

_WHOLE = frozenset(
    (
        "AcquisitionNumber BitsAllocated BitsStored Columns HighBit InstanceNumber LargestImagePixelValue "
        "NumberOfFrames PixelRepresentation Rows SamplesPerPixel SeriesNumber SmallestImagePixelValue "
        "len_of_associated_ct_slices"
    ).split()
)
_REAL = frozenset("DoseGridScaling KVP RescaleIntercept RescaleSlope SliceLocation SliceThickness".split())
_CALLED = {"StudyId": "study_level_StudyID"}  # to SQLite it is the same name as StudyID
_WAIT = 60.0  # seconds, while other processes write their patients
_VERSION = 1


_PATIENT = COLUMNS.index("PatId")
_KEY = [COLUMNS.index(column) for column in ("SOPInstanceUID", "SeriesInstanceUID")]  # NULL is no key
_NAMES = tuple(_CALLED.get(column, column) for column in COLUMNS)
_INSERT = f"INSERT OR REPLACE INTO cells VALUES ({', '.join('?' * (len(_NAMES) + 1))})"


def _shown(column: str, name: str) -> str:
    """A column of the view: what is no number in a column of numbers is NULL, and never 0."""
    if column not in _WHOLE | _REAL:
        return f'"{name}"'
    kind, letters = ("INTEGER", "0-9+-") if column in _WHOLE else ("REAL", "0-9eE.+-")
    return f"""CASE WHEN "{name}" GLOB '*[0-9]*' AND "{name}" NOT GLOB '*[^{letters}]*'
        THEN CAST("{name}" AS {kind}) END AS "{name}\""""


_TABLES = f"""
CREATE TABLE cells (
    {", ".join(f'"{name}" TEXT' for name in _NAMES)}, counts INTEGER NOT NULL,
    PRIMARY KEY ("PatId", "SOPInstanceUID", "SeriesInstanceUID")
);
CREATE VIEW instances AS SELECT {", ".join(map(_shown, COLUMNS, _NAMES))}, counts FROM cells;
CREATE TABLE patients (
    "PatId" TEXT PRIMARY KEY, identifier TEXT NOT NULL, outcome TEXT NOT NULL, instances INTEGER NOT NULL,
    modalities TEXT NOT NULL, made REAL NOT NULL
);
"""


class Stamp(NamedTuple):
    """Where a patient's rows come from: the identifier and the modalities that were asked for, if that is known."""

    identifier: str
    modalities: tuple[str, ...]

    @property
    def text(self) -> str:
        """The modalities as they are stored."""
        return " ".join(self.modalities)


class Table:
    """The file, made when it is first written to; several processes may write at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(
        self,
        patient: str,
        outcome: str,
        stamp: Stamp,
        rows: Iterable[Row] = (),
        others: Iterable[Row] = (),
    ) -> None:
        """Put the rows of a patient in place of those that were there.

        Parameters
        ----------
        patient, outcome
            As PDCP's file has them in its name.
        stamp
            Where the rows come from.
        rows, others
            Those that PDCP's table has, and those that it leaves out.
        """
        lines = [_line(patient, row, counts=1) for row in rows] + [_line(patient, row, counts=0) for row in others]
        with self._opened() as database, database:
            database.execute("BEGIN IMMEDIATE")
            database.execute('DELETE FROM cells WHERE "PatId" = ?', (patient,))
            database.executemany(_INSERT, lines)
            about = (patient, stamp.identifier, outcome, len(lines), stamp.text, time.time())
            database.execute("INSERT OR REPLACE INTO patients VALUES (?, ?, ?, ?, ?, ?)", about)

    def stamp(self, patient: str) -> Optional[Stamp]:
        """Where a patient's rows come from; None where there are none."""
        if not self._path.is_file():
            return None
        with self._opened() as database:
            asked = database.execute(
                "SELECT identifier, modalities FROM patients WHERE \"PatId\" = ? AND outcome <> 'ERROR'", (patient,)
            )
            found = asked.fetchone()
        return Stamp(found[0], tuple(found[1].split())) if found else None

    def rows(self, patient: str, *, counting: bool = False) -> list[Row]:
        """The rows of a patient as they were found, also those that PDCP's table leaves out unless only it counts."""
        with self._opened() as database:
            found = database.execute(
                'SELECT * FROM cells WHERE "PatId" = ? AND counts >= ? ORDER BY rowid', (patient, int(counting))
            )
            lines = found.fetchall()
        return [{column: MISSING if value is None else value for column, value in zip(COLUMNS, line)} for line in lines]

    def forget(self, patient: str) -> None:
        """Take a patient out, who is not in the archive any more."""
        if not self._path.is_file():
            return
        with self._opened() as database, database:
            database.execute("BEGIN IMMEDIATE")
            for table in ("cells", "patients"):
                database.execute(f'DELETE FROM {table} WHERE "PatId" = ?', (patient,))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The file for one transaction; threads and processes share nothing but it."""
        try:
            make_folder(self._path.parent)
            database = sqlite3.connect(str(self._path), timeout=_WAIT, isolation_level=None)
            try:
                if _version(database) != _VERSION:
                    _prepare(database)
                yield database
            finally:
                database.close()
        except (sqlite3.Error, OSError) as error:
            raise Incomplete(
                f"the table {self._path} cannot be used ({type(error).__name__}: {_reason(error)}). "
                "Free space there, or remove the file and run again.",
                retriable=False,
            ) from error


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables, unless another process has made them a moment ago."""
    database.execute("BEGIN IMMEDIATE")
    if _version(database) != _VERSION:
        for statement in filter(str.strip, _TABLES.split(";")):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("COMMIT")


def _line(patient: str, row: Mapping[str, str], *, counts: int) -> Sequence[object]:
    """A row as it is stored: its patient is the one that was asked for, however a header spells it."""
    cells = [None if cell == MISSING else _stored(cell) for cell in map(row.__getitem__, COLUMNS)]
    for place in _KEY:
        cells[place] = cells[place] or ""
    cells[_PATIENT] = patient
    return (*cells, counts)


def _stored(cell: str) -> str:
    """A cell as SQLite takes it."""
    return cell if cell.isascii() else cell.encode("utf-8", "replace").decode("utf-8")


def _reason(error: Exception) -> str:
    return str(error.strerror) if isinstance(error, OSError) else str(error)
