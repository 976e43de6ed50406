"""The DICOMDIR of a file-set: what is in it is kept in a database on disk while files come, and written at the end.

pydicom's ``FileSet`` is not used to write: it compares every object with all before it (3,000 take 40 s), keeps every
record in memory (12 kB each) and puts a second, encoded anew, copy of every object into the temporary folder. It reads
what is written here, which a test proves.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Optional

from .. import part10
from ..errors import BadArchive
from .directory_records import DIRECTORY_CLASS, Described, Place, Record

_ROOT, _NEW = 0, -1  # parents of what has none, and of what is not here yet
_PREFIXES = ("PT", "ST", "SE", "IM")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SCHEMA = """
CREATE TABLE node (
    id INTEGER PRIMARY KEY, level INTEGER, key TEXT, parent INTEGER, number INTEGER, record BLOB, rank, source TEXT,
    UNIQUE (level, key)
);
CREATE INDEX below ON node (parent, number);
"""
# FileSetID (empty), the offsets of the first and last record of the top level, FileSetConsistencyFlag 0, and the head
# of the DirectoryRecordSequence with its length.
_HEAD = struct.Struct("<HH2sH HH2sHL HH2sHL HH2sHH HH2s2xL")
_ITEM = struct.Struct("<HHL")
_OFFSET = struct.Struct("<L")
# Every record begins with the same elements: (0004,1400) with the offset of the next one, (0004,1410), and (0004,1420)
# with the offset of the first one below it.
_NEXT, _LOWER = _ITEM.size + 8, _ITEM.size + 30


class Directory:
    """Patients, studies, series and objects, each once, and what the DICOMDIR says of them."""

    def __init__(self) -> None:
        self._nodes = sqlite3.connect("", isolation_level=None)  # a file of its own that ends with the connection
        self._nodes.executescript(f"PRAGMA journal_mode = OFF; {_SCHEMA} BEGIN;")

    def close(self) -> None:
        """Forget it all."""
        self._nodes.close()

    def counts(self) -> tuple[int, int, int, int]:
        """How many patients, studies, series and objects."""
        found = dict(self._nodes.execute("SELECT level, count(*) FROM node GROUP BY level"))
        return found.get(0, 0), found.get(1, 0), found.get(2, 0), found.get(3, 0)

    def source_of(self, sop_instance: str) -> Optional[str]:
        """From which file an object came; None for one that is not here."""
        row = self._nodes.execute("SELECT source FROM node WHERE level = 3 AND key = ?", (sop_instance,)).fetchone()
        return None if row is None else str(row[0])

    def places(self, described: Described, source: str) -> list[Place]:
        """Where an object and what is above it belong; BadArchive where an object that is here says otherwise."""
        found, parent = [], _ROOT
        for level, key in enumerate(described.keys):
            row = self._nodes.execute(
                "SELECT id, parent, number, source FROM node WHERE level = ? AND key = ?", (level, key)
            ).fetchone()
            if row is None:
                found.append(Place(level, key, self._next_number(parent), False))
                parent = _NEW
            elif row[1] == parent:
                found.append(Place(level, key, row[2], True))
                parent = row[0]
            else:
                one, several = ("study", "patients") if level == 1 else ("series", "studies")
                raise BadArchive(
                    f"{row[3]} and {source} say that one {one} belongs to two {several}, which a DICOMDIR cannot hold. "
                    "Correct or remove the one that is wrong, then run again."
                )
        return found

    def _next_number(self, parent: int) -> int:
        row = self._nodes.execute("SELECT max(number) + 1 FROM node WHERE parent = ?", (parent,)).fetchone()
        return row[0] or 0

    def add(self, places: Sequence[Place], records: Sequence[Record], source: str) -> None:
        """Keep the records of the places that are new."""
        parent, new = _ROOT, iter(records)
        for place in places:
            if place.known:
                row = self._nodes.execute("SELECT id FROM node WHERE level = ? AND key = ?", place[:2]).fetchone()
                parent = row[0]
            else:
                encoded, rank = next(new)
                made = self._nodes.execute(
                    "INSERT INTO node (level, key, parent, number, record, rank, source) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (place.level, place.key, parent, place.number, encoded, rank, source),
                )
                parent = made.lastrowid or _NEW

    def write(self, target: Path, uid: str) -> None:
        """Write the DICOMDIR with this File-set UID."""
        with target.open("wb") as file:
            file.write(part10.file_meta(DIRECTORY_CLASS, uid, part10.EXPLICIT_LITTLE))
            start = file.tell()
            file.write(_head(0, 0, 0))
            first, last = self._write_below(file, _ROOT)
            length = file.seek(0, 2) - start - _HEAD.size
            file.seek(start)
            file.write(_head(first, last, length))

    def _write_below(self, file: BinaryIO, parent: int) -> tuple[int, int]:
        """Write a node's children, each with all below it; where the first and the last of them begin."""
        first = last = 0
        rows = self._nodes.execute("SELECT id, record FROM node WHERE parent = ? ORDER BY rank, number", (parent,))
        for node, record in rows:
            begins = file.tell()
            file.write(_ITEM.pack(0xFFFE, 0xE000, len(record)))
            file.write(record)
            if last:
                _point(file, last + _NEXT, begins)
            first, last = first or begins, begins
            lower, _ = self._write_below(file, node)
            if lower:
                _point(file, begins + _LOWER, lower)
        return first, last


def file_id(places: Sequence[Place]) -> list[str]:
    """Where an object's copy lies: components of 8 characters (PS3.10 8.5), such as PT000000, ST000000, SE00001Z."""
    return [f"{prefix}{_six_digits(place.number)}" for prefix, place in zip(_PREFIXES, places)]


def _six_digits(number: int) -> str:
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _head(first: int, last: int, length: int) -> bytes:
    names = (4, 0x1130, b"CS"), (4, 0x1200, b"UL"), (4, 0x1202, b"UL"), (4, 0x1212, b"US"), (4, 0x1220, b"SQ")
    values = ((0,), (4, first), (4, last), (2, 0), (length,))
    return _HEAD.pack(*(part for name, value in zip(names, values) for part in (*name, *value)))


def _point(file: BinaryIO, at: int, offset: int) -> None:
    """Write where another record begins into one that is written."""
    file.seek(at)
    file.write(_OFFSET.pack(offset))
    file.seek(0, 2)
