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
from .keyed import Key

_TABLE = """
CREATE TABLE IF NOT EXISTS made (target TEXT PRIMARY KEY, source BLOB NOT NULL, instance TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_source ON made (source);
CREATE INDEX IF NOT EXISTS by_instance ON made (instance);
"""
_NO_MORE = ""  # the source of a file whose source is another object now: a staging folder is used again
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
    key
        By which UIDs of instances became what they are in the output, unless they were kept.
    replaces
        Whether what was made of a source may be made anew; not where the source is gone.
    """

    def __init__(self, path: Path, output: Path, key: Key, *, replaces: bool) -> None:
        self._path, self._output, self._key, self._replaces = path, output, key, replaces

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
        if there == Path(source):
            return Settled()  # in place, by other rules than before
        row = database.execute("SELECT source FROM made WHERE target = ?", (target,)).fetchone()
        owner = source if row is None else os.fsdecode(row[0])
        if there.exists():
            if filecmp.cmp(made, there, shallow=False):
                return Settled(is_there=True)
            if row is None:
                return Settled(
                    problem=f"{there} is there already, is another object, and was not made with this key folder. "
                    "Move it away, or name another output folder."
                )
            if owner not in (source, _NO_MORE) or not self._replaces:
                return Settled(
                    problem="another file holds a different object under the same SOP Instance UID and has become "
                    f"{there}. Remove the one that is wrong, then run again."
                )
        elif owner not in (source, _NO_MORE) and Path(owner).exists():
            raise Incomplete(
                "two files hold objects with one SOP Instance UID, and the other one is being written. Run again."
            )
        instance = self._key.uid(there.stem)  # the same for a UID that was mapped and for one that was kept
        database.execute("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", (target, os.fsencode(source), instance))
        return Settled(outdated=_outdated(database, source, target, instance) if self._replaces else ())


def _outdated(database: sqlite3.Connection, source: str, target: str, instance: str) -> tuple[str, ...]:
    """Where the same object was before, which is forgotten; what was made of another one of this name stays."""
    subject, path = target.partition("/")[0], os.fsencode(source)
    sql = "SELECT target, source FROM made WHERE instance = ? AND target <> ? AND source IN (?, ?)"
    found = database.execute(sql, (instance, target, path, os.fsencode(_NO_MORE))).fetchall()
    outdated = tuple(str(there) for there, of in found if of == path or there.partition("/")[0] == subject)
    database.executemany("DELETE FROM made WHERE target = ?", [(there,) for there in outdated])
    of_no_more = "UPDATE made SET source = ? WHERE source = ? AND target <> ?"
    database.execute(of_no_more, (os.fsencode(_NO_MORE), path, target))
    return outdated
