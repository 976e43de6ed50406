"""Which source each file of an output was made of, so that nothing of anybody else's is ever written over."""

from __future__ import annotations

import contextlib
import filecmp
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
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
    """Whether a file may have its name: yes, unless the same is there already, or there is a problem.

    ``outdated`` is to be removed when the file is there; ``elsewhere`` holds the same object as another patient's.
    """

    is_there: bool = False
    problem: str = ""
    outdated: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


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

    def remove(self, outdated: Iterable[str]) -> None:
        """Remove what is outdated, unless it was claimed again in the meantime."""
        sql = "DELETE FROM made WHERE target = ? AND source = ?"
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            for target in outdated:
                if database.execute(sql, (target, os.fsencode(_NO_MORE))).rowcount:
                    (self._output / target).unlink(missing_ok=True)
            database.execute("COMMIT")

    def _settle(self, database: sqlite3.Connection, target: str, source: str, made: Path) -> Settled:
        there = self._output / target
        if there == Path(source):
            return Settled()  # in place, by other rules than before
        row = database.execute("SELECT source FROM made WHERE target = ?", (target,)).fetchone()
        owner = source if row is None else os.fsdecode(row[0])
        is_there = there.exists() and filecmp.cmp(made, there, shallow=False)
        if there.exists() and not is_there:
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
        elif not is_there and owner not in (source, _NO_MORE) and Path(owner).exists():
            raise Incomplete(
                "two files hold objects with one SOP Instance UID, and the other one is being written. Run again."
            )
        instance = self._key.uid(there.stem)  # the same for a UID that was mapped and for one that was kept
        if not is_there or owner == _NO_MORE:
            database.execute("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", (target, os.fsencode(source), instance))
        outdated = _outdated(database, source, target, instance) if self._replaces else set()
        elsewhere = (
            other
            for other, _ in _others(database, instance, target)
            if not _are_of_one(other, target) and other not in outdated and (self._output / other).exists()
        )
        return Settled(is_there, outdated=tuple(sorted(outdated)), elsewhere=tuple(elsewhere))


def _others(database: sqlite3.Connection, instance: str, target: str) -> list[tuple[str, bytes]]:
    """The other files that the same object has become, and their sources."""
    sql = "SELECT target, source FROM made WHERE instance = ? AND target <> ? ORDER BY target"
    return database.execute(sql, (instance, target)).fetchall()


def _are_of_one(target: str, other: str) -> bool:
    """Whether two files are of one patient."""
    return target.partition("/")[0] == other.partition("/")[0]


def _outdated(database: sqlite3.Connection, source: str, target: str, instance: str) -> set[str]:
    """Where the same object was before, and what this source was before if that has become another file.

    Either may come first, where sources are called anew. All that this source has become before is without one then.
    """
    path, no_more = os.fsencode(source), os.fsencode(_NO_MORE)
    outdated = {
        other
        for other, of in _others(database, instance, target)
        if of == path or (of == no_more and _are_of_one(other, target))
    }
    sql = "SELECT target, instance FROM made WHERE source = ? AND target <> ?"
    for other, held in database.execute(sql, (path, target)).fetchall():
        if any(_are_of_one(other, newer) for newer, _ in _others(database, held, other)):
            outdated.add(other)
    database.execute("UPDATE made SET source = ? WHERE source = ? AND target <> ?", (no_more, path, target))
    return outdated
