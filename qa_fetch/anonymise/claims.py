"""Which source each file of an output was made of, so that nothing of anybody else's is ever written over."""

from __future__ import annotations

import contextlib
import filecmp
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, Incomplete

_TABLE = """
CREATE TABLE IF NOT EXISTS targets (target TEXT PRIMARY KEY, source BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_source ON targets (source);
"""
_PATIENCE = 60.0  # seconds that other workers may take to note theirs


@dataclass(frozen=True)
class Settled:
    """Whether a file may have its name: yes, unless the same is there already, or there is a problem."""

    is_there: bool = False
    problem: str = ""
    outdated: tuple[str, ...] = ()


class Claims:
    """The list of one output folder, in the folder of the key; each worker opens it.

    Parameters
    ----------
    path
        The SQLite file.
    output
        The folder whose files are listed.
    replaces
        Whether what was made of a source may be made anew; not where the source is gone.
    """

    def __init__(self, path: Path, output: Path, *, replaces: bool) -> None:
        self._path, self._output, self._replaces = path, output, replaces

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """The file, made where it is absent and kept open: who closes it last has to tidy it up, which takes time."""
        self._path.touch(0o600)  # it names sources
        with self._open() as database:
            database.executescript(f"PRAGMA journal_mode = WAL; {_TABLE}")
            yield

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)) as database:
                database.execute("PRAGMA synchronous = NORMAL")
                yield database
        except sqlite3.Error as error:
            raise ConfigError(
                f"the list {self._path} cannot be used ({error}). Check that this user may write to its folder."
            ) from error

    def claim(self, wanted: Sequence[tuple[str, str, Path]]) -> list[Settled]:
        """Settle for each file whether it may have its name.

        Parameters
        ----------
        wanted
            Target below the output, source, and the file that is to go there.
        """
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            settled = [self._settle(database, *one) for one in wanted]
            database.execute("COMMIT")
        return settled

    def _settle(self, database: sqlite3.Connection, target: str, source: str, made: Path) -> Settled:
        there = self._output / target
        row = database.execute("SELECT source FROM targets WHERE target = ?", (target,)).fetchone()
        owner = source if row is None else os.fsdecode(row[0])
        if there.exists():
            if filecmp.cmp(made, there, shallow=False):
                return Settled(is_there=True)
            if row is None:
                return Settled(
                    problem=f"{there} is there already, is another object, and was not made with this key folder. "
                    "Move it away, or name another output folder."
                )
            if owner != source or not self._replaces:
                return Settled(
                    problem="another file holds a different object under the same SOP Instance UID and has become "
                    f"{there}. Remove the one that is wrong, then run again."
                )
        elif owner != source and Path(owner).exists():
            raise Incomplete(
                "two files hold objects with one SOP Instance UID, and the other one is being written. Run again."
            )
        database.execute("INSERT OR REPLACE INTO targets VALUES (?, ?)", (target, os.fsencode(source)))
        return Settled(outdated=self._outdated(database, source, target) if self._replaces else ())

    def _outdated(self, database: sqlite3.Connection, source: str, target: str) -> tuple[str, ...]:
        """What else was made of a source that has changed since, which is forgotten."""
        sql = "SELECT target FROM targets WHERE source = ? AND target <> ?"
        found = database.execute(sql, (os.fsencode(source), target))
        others = tuple(str(row[0]) for row in found)
        database.executemany("DELETE FROM targets WHERE target = ?", [(other,) for other in others])
        return others
