"""What lies in a folder of Pinnacle archives, in an SQLite file beside the shelf: no archive is opened twice for it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from .. import __version__
from ..budget import Budget
from ..errors import ConfigError, ConnectionFailed, Incomplete
from ..locks import FileLock
from ..shelf.disk import is_full, make_folder
from .pinnacle_folder import Contents, Held, State, contents, identifier, scan

_log = logging.getLogger("qa_fetch.backends")

_VERSION = 1  # of the tables and of what is noted in them, and so of the file's name
_TABLES = (
    "CREATE TABLE archives (number INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, "
    "changed INTEGER NOT NULL, present INTEGER NOT NULL, problem TEXT NOT NULL)",
    "CREATE TABLE patients (archive INTEGER NOT NULL, id TEXT NOT NULL, held TEXT NOT NULL)",
    "CREATE INDEX patients_by_id ON patients (id)",
    "CREATE INDEX patients_by_archive ON patients (archive)",
    "CREATE TABLE states (id TEXT PRIMARY KEY, state TEXT NOT NULL, since INTEGER NOT NULL)",
    "CREATE TABLE conversions (id TEXT PRIMARY KEY, state TEXT NOT NULL, skipped TEXT NOT NULL)",
    "CREATE TABLE objects (id TEXT NOT NULL, study TEXT NOT NULL, series TEXT NOT NULL, instance TEXT NOT NULL, "
    "header TEXT NOT NULL, since INTEGER NOT NULL)",
    "CREATE INDEX objects_by_id ON objects (id)",
    "CREATE INDEX objects_by_study ON objects (study)",
    "CREATE INDEX objects_by_series ON objects (series)",
    "CREATE INDEX objects_by_instance ON objects (instance)",
    "CREATE TABLE made (version TEXT NOT NULL)",
    f"PRAGMA user_version = {_VERSION}",
)
_WHERE_PRESENT = "FROM patients JOIN archives ON number = archive WHERE present"

Header = dict[str, Any]  # what is kept of an object: DICOM keyword to value


class Known(NamedTuple):
    """What a conversion has made of a patient: the headers of its objects, and what was left out."""

    headers: list[Header]
    skipped: list[str]


class Index:
    """The index of one folder of archives.

    Parameters
    ----------
    name
        The archive's name in messages.
    root
        The folder of archives, which is only read.
    place
        The folder beside the shelf where the index is kept: it names patients, so only its owner reads it.
    """

    def __init__(self, name: str, root: Path, place: Path) -> None:
        self.name = name
        self.root = root
        self.place = place
        self._path = place / f"index-{_VERSION}.sqlite3"
        self._database: Optional[sqlite3.Connection] = None

    # --- keeping it current

    def refresh(self, budget: Budget) -> None:
        """Look into every archive that is new or has changed since it was last looked into.

        What was read stays when the budget ends, so that the next call goes on from there.
        """
        there = scan(self.name, self.root)
        with self._open() as database:
            _require_version(database, self.place)
            if there == _noted(database):
                return
        with FileLock(self.place / "index.lock") as lock:
            if not lock.acquire(budget):
                raise ConnectionFailed(
                    f"another process is reading the archives of {self.name} and has not finished within {budget}. "
                    "Call again to go on from there."
                )
            with self._open() as database:
                new = _compared(database, there)
            for done, path in enumerate(new):
                if budget.spent:
                    raise ConnectionFailed(
                        f"{self.name} has {len(new) - done} more archives than can be read within {budget}. "
                        "Call again to go on from there, or allow more with budget=."
                    )
                self._add(path)
            with self._open() as database:
                _note_states(database, _clock(self.place))

    def _add(self, path: bytes) -> None:
        """Read one archive and note what it holds, or why it cannot be read."""
        found = contents(self.root / os.fsdecode(path))
        if found.problem:
            _log.warning("%s: an archive cannot be read as a whole; run: qa-fetch echo %s", self.name, self.name)
        with self._open() as database:
            _put(database, path, found)

    # --- what it knows

    def held(self, patient: Optional[str] = None) -> list[Held]:
        """Patients as each archive holds them, or one of them; the archive that was written last comes last."""
        only, values = ("AND id = ?", (patient,)) if patient is not None else ("AND id <> ''", ())
        with self._open() as database:
            rows = database.execute(
                f"SELECT path, size, changed, problem, held {_WHERE_PRESENT} {only} ORDER BY id, changed, path", values
            ).fetchall()
        return [
            Held.of(self.root / os.fsdecode(path), State(size, changed), problem, text)
            for path, size, changed, problem, text in rows
        ]

    def counts(self) -> tuple[int, int, int]:
        """How many archives there are, how many patients, and how many more without a number to be asked by."""
        with self._open() as database:
            archives = database.execute("SELECT COUNT(*) FROM archives WHERE present").fetchone()[0]
            patients = [found for (found,) in database.execute(f"SELECT id {_WHERE_PRESENT}")]
        return archives, len(set(filter(None, patients))), patients.count("")

    def problems(self) -> list[tuple[str, str]]:
        """The archives that cannot be read as a whole, each with its reason."""
        with self._open() as database:
            rows = database.execute("SELECT path, problem FROM archives WHERE present AND problem <> '' ORDER BY path")
            return [(os.fsdecode(path), problem) for path, problem in rows]

    def state(self, patient: str) -> str:
        """What tells of which archives a patient is made up, as they are now."""
        with self._open() as database:
            found = database.execute("SELECT state FROM states WHERE id = ?", (patient,)).fetchone()
        return str(found[0]) if found else ""

    def since(self, patient: str) -> tuple[int, dict[str, int]]:
        """Since when a patient's archives are as they are now (ns since 1970), and later moments for some objects."""
        with self._open() as database:
            found = database.execute("SELECT since FROM states WHERE id = ?", (patient,)).fetchone()
            later = database.execute("SELECT instance, since FROM objects WHERE id = ? AND since > 0", (patient,))
            return (int(found[0]) if found else 0), {str(uid): int(since) for uid, since in later}

    def known(self, patient: str) -> Optional[Known]:
        """What a conversion has made of a patient; None where its archives have not been converted as they are now."""
        with self._open() as database:
            found = database.execute(
                "SELECT skipped FROM conversions JOIN states USING (id, state) WHERE id = ?", (patient,)
            ).fetchone()
            rows = database.execute("SELECT header FROM objects WHERE id = ? ORDER BY rowid", (patient,)).fetchall()
        return Known([json.loads(header) for (header,) in rows], json.loads(found[0])) if found else None

    def patients_of(self, level: str, uids: Sequence[str]) -> set[str]:
        """Whose studies, series or objects these are, as far as they have been converted before."""
        column = {"STUDY": "study", "SERIES": "series", "IMAGE": "instance"}[level]
        found: set[str] = set()
        with self._open() as database:
            for uid in uids:
                found.update(one for (one,) in database.execute(f"SELECT id FROM objects WHERE {column} = ?", (uid,)))
        return found

    def note(self, patient: str, state: str, known: Known) -> None:
        """Keep what a conversion has made of a patient.

        Parameters
        ----------
        patient, state
            The PatientID, and what tells of which archives it was made up.
        known
            What was made.
        """
        keys = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        with self._open() as database:
            before = dict(database.execute("SELECT instance, since FROM objects WHERE id = ?", (patient,)).fetchall())
            now = _clock(self.place)
            database.execute("DELETE FROM objects WHERE id = ?", (patient,))
            rows = []
            for header in known.headers:
                study, series, instance = (header.get(key, "") for key in keys)
                moment = before.get(instance, now if _is_known(database, instance) else 0)
                rows.append((patient, study, series, instance, json.dumps(header), moment))
            database.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.execute(
                "INSERT OR REPLACE INTO conversions VALUES (?, ?, ?)", (patient, state, json.dumps(known.skipped))
            )

    def overtake(self, patient: str) -> None:
        """A patient's objects are on a shelf now: there, no other patient's lie under the same UIDs any more.

        Images have the UIDs of their scanner, and several patients of Pinnacle may be copies of one.
        """
        with self._open() as database:
            database.execute(
                "UPDATE objects SET since = ? "
                "WHERE id <> ? AND instance IN (SELECT instance FROM objects WHERE id = ?)",
                (_clock(self.place) + 1, patient, patient),  # the last file may have come at this very moment
            )

    # --- the file

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file, within one transaction; what SQLite or the system says about it becomes a sentence."""
        try:
            if self._database is None:
                self._database = _opened(self._path)
            with self._database:
                yield self._database
        except sqlite3.OperationalError as error:
            raise self._in_words(str(error), full="is full" in str(error)) from error
        except sqlite3.DatabaseError as error:
            self.close()
            self._path.unlink(missing_ok=True)
            raise ConnectionFailed(
                f"the index of {self.name} was damaged ({error}), so it was removed. Call again: it is made anew."
            ) from error
        except OSError as error:
            raise self._in_words(str(error.strerror), full=is_full(error)) from error

    def _in_words(self, said: str, *, full: bool) -> Exception:
        if full:
            return Incomplete(
                f"the disk of {self.place} is full, so the index of {self.name} cannot be kept there. "
                "Free space there, or set another [shelf] path.",
                retriable=False,
            )
        return ConfigError(
            f"the index of {self.name} in {self.place} cannot be used ({said}). "
            "Check that this user may write there, or set another [shelf] path."
        )

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _opened(path: Path) -> sqlite3.Connection:
    """The file, for its owner only, with its tables."""
    make_folder(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path, timeout=10)
    try:
        if not database.execute("PRAGMA user_version").fetchone()[0]:
            database.execute("BEGIN IMMEDIATE")
            with database:
                if not database.execute("PRAGMA user_version").fetchone()[0]:  # another process may have been faster
                    for statement in _TABLES:
                        database.execute(statement)
    except BaseException:  # an interrupt too: nobody else has the connection yet
        database.close()
        raise
    return database


def _noted(database: sqlite3.Connection) -> dict[bytes, State]:
    rows = database.execute("SELECT path, size, changed FROM archives WHERE present")
    return {bytes(path): State(size, changed) for path, size, changed in rows}


def _compared(database: sqlite3.Connection, there: Mapping[bytes, State]) -> list[bytes]:
    """The archives that have to be read; what was noted of those that are gone waits for them to come back."""
    for path in _noted(database).keys() - there.keys():
        database.execute("UPDATE archives SET present = 0 WHERE path = ?", (path,))
    back = [(path, *state) for path, state in there.items()]
    database.executemany("UPDATE archives SET present = 1 WHERE path = ? AND size = ? AND changed = ?", back)
    noted = _noted(database)
    return [path for path, state in there.items() if noted.get(path) != state]


def _put(database: sqlite3.Connection, path: bytes, found: Contents) -> None:
    """Note what an archive holds instead of what was noted of it before."""
    database.execute("DELETE FROM patients WHERE archive IN (SELECT number FROM archives WHERE path = ?)", (path,))
    database.execute("DELETE FROM archives WHERE path = ?", (path,))
    number = database.execute(
        "INSERT INTO archives (path, size, changed, present, problem) VALUES (?, ?, ?, 1, ?)",
        (path, *found.state, found.problem.encode("utf-8", "backslashreplace").decode("utf-8")),
    ).lastrowid
    rows = [(number, identifier(held.patient), held.text()) for held in found.patients]
    database.executemany("INSERT INTO patients (archive, id, held) VALUES (?, ?, ?)", rows)


def _note_states(database: sqlite3.Connection, now: int) -> None:
    """Note of which archives each patient is made up now; one whose archives are all gone may come back as it was."""
    made_up: dict[str, list[Any]] = {}
    for patient, *state in database.execute(f"SELECT DISTINCT id, path, size, changed {_WHERE_PRESENT} ORDER BY path"):
        made_up.setdefault(patient, []).append(state)
    noted = dict(database.execute("SELECT id, state FROM states").fetchall())
    for patient, states in made_up.items():
        digest = hashlib.sha256(repr(states).encode()).hexdigest()
        if noted.get(patient) != digest:
            database.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", (patient, digest, now))


def _is_known(database: sqlite3.Connection, instance: str) -> bool:
    return database.execute("SELECT 1 FROM objects WHERE instance = ?", (instance,)).fetchone() is not None


def _require_version(database: sqlite3.Connection, place: Path) -> None:
    """What another version of this program has converted is converted anew: it may do it better."""
    if database.execute("SELECT version FROM made").fetchall() != [(__version__,)]:
        database.execute("UPDATE states SET since = ?", (_clock(place),))
        database.execute("DELETE FROM conversions")
        database.execute("DELETE FROM made")
        database.execute("INSERT INTO made VALUES (?)", (__version__,))


def _clock(folder: Path) -> int:
    """The time as files get it there, in nanoseconds: what is compared with it are times of files."""
    descriptor, name = tempfile.mkstemp(prefix=".clock-", dir=folder)
    try:
        return os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)
        Path(name).unlink()
