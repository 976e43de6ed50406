"""What is done and what is not, in an SQLite file beside the output.

What an attempt came to is committed before anything else begins, so that a run that is killed loses nothing that was
finished; against a power cut SQLite's write-ahead log keeps the file whole, and the last items may be done again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Optional

from ..budget import Budget
from ..errors import BadArchive, ConfigError, Incomplete, QAFetchError
from ..locks import FileLock
from ..shelf.disk import is_full, make_folder
from .attempt import Outcome
from .items import DONE, FAILED, RUNNING, WAITING, Item, Row

LOCK = ".qa_fetch.lock"
_VERSION = 1
_LEAST = 1 << 16  # bytes that SQLite needs beside a ledger to begin with
_TABLES = """
CREATE TABLE items (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, payload TEXT NOT NULL, run INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', error_class TEXT NOT NULL DEFAULT '', bytes INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE runs (number INTEGER PRIMARY KEY, begun REAL NOT NULL);
"""
_COLUMNS = "key, payload, state, attempts, error, error_class, bytes, seconds, worker, detail"
_FRESH = "attempts = 0, error = '', error_class = '', bytes = 0, seconds = 0, worker = '', detail = '{}'"


class Offered(NamedTuple):
    """What the ledger says of an item that a run brings: its number, its state before, and whether it came before."""

    number: int
    state: str
    again: bool


class Ledger:
    """The ledger of one output folder, which nobody else may work in meanwhile.

    Parameters
    ----------
    path
        The file, made when it is not there; its folder is the output folder.
    wait
        Seconds to wait for another run on the same folder to end; without it a second run is refused.
    """

    def __init__(self, path: Path, *, wait: float = 0.0) -> None:
        self.path = Path(path)
        self.folder = self.path.absolute().parent
        self._run = 0
        self._lock = FileLock(self.folder / LOCK)
        with self._sentences():
            make_folder(self.folder)
            if not self._lock.acquire(Budget(wait)):
                raise ConfigError(
                    f"another run is working in {self.folder}. Wait until it has ended, or give another output folder."
                )
        try:
            with self._sentences():
                self._database = _opened(self.path)
        except BaseException:  # an interrupt too: nobody else would release the lock
            self._lock.release()
            raise

    def begin_run(self) -> int:
        """Number this run; whatever an earlier one was working on when it was killed is waiting again."""
        with self._transaction() as database:
            database.execute("UPDATE items SET state = ? WHERE state = ?", (WAITING, RUNNING))
            self._run = int(database.execute("INSERT INTO runs (begun) VALUES (?)", (time.time(),)).lastrowid or 0)
        return self._run

    def offer(self, item: Item) -> Offered:
        """Take an item into this run: a new one, or one that is not done, waits; one with another payload again."""
        key, payload = _storable(item.key), json.dumps(item.payload, sort_keys=True, separators=(",", ":"))
        with self._sentences():
            known = self._database.execute("SELECT number, payload, state, run FROM items WHERE key = ?", (key,))
            row = known.fetchone()
            if row is None:
                values = (key, payload, self._run)
                new = self._database.execute("INSERT INTO items (key, payload, run) VALUES (?, ?, ?)", values)
                return Offered(int(new.lastrowid or 0), WAITING, again=False)
            number, before, state, run = row
            if run == self._run:
                if before != payload:
                    raise ConfigError(
                        f"two items of this run are both called {key!r} and ask for different things. "
                        "Give each item a key of its own."
                    )
                return Offered(number, state, again=True)
            if state == DONE and before == payload:
                self._database.execute("UPDATE items SET run = ? WHERE number = ?", (self._run, number))
                return Offered(number, DONE, again=False)
            self._wait_anew(number, payload)
        return Offered(number, WAITING, again=False)

    def reopen(self, number: int) -> None:
        """An item that was done waits again, because what it made is there no more."""
        with self._sentences():
            self._wait_anew(number, self.payload(number))

    def _wait_anew(self, number: int, payload: str) -> None:
        self._database.execute(
            f"UPDATE items SET state = ?, payload = ?, run = ?, {_FRESH} WHERE number = ?",
            (WAITING, payload, self._run, number),
        )

    def begin(self, number: int) -> str:
        """Note that an item is being worked on; gives its payload as JSON."""
        with self._sentences():
            self._database.execute(
                "UPDATE items SET state = ?, attempts = attempts + 1 WHERE number = ?", (RUNNING, number)
            )
            return self.payload(number)

    def finish(self, number: int, outcome: Outcome, state: str) -> bool:
        """Note how an attempt ended; False where the item was not being worked on, so that nothing is counted twice.

        Parameters
        ----------
        number
            The item.
        outcome
            What came of the attempt.
        state
            Done, failed, or waiting for another attempt.
        """
        with self._sentences():
            noted = self._database.execute(
                "UPDATE items SET state = ?, error = ?, error_class = ?, bytes = ?, seconds = seconds + ?, worker = ?, "
                "detail = ? WHERE number = ? AND state = ?",
                (
                    state,
                    _storable(outcome.error),
                    outcome.error_class,
                    outcome.bytes,
                    outcome.seconds,
                    _storable(outcome.worker),
                    outcome.detail,
                    number,
                    RUNNING,
                ),
            )
        return noted.rowcount == 1

    def put_back(self, number: int) -> None:
        """An attempt that never came about, and does not count."""
        with self._sentences():
            self._database.execute(
                "UPDATE items SET state = ?, attempts = attempts - 1 WHERE number = ? AND state = ?",
                (WAITING, number, RUNNING),
            )

    def commit(self) -> None:
        """Keep what was noted since the last time."""
        with self._sentences():
            if self._database.in_transaction:
                self._database.commit()

    def payload(self, number: int) -> str:
        """The payload of an item, as JSON."""
        found = self._database.execute("SELECT payload FROM items WHERE number = ?", (number,)).fetchone()
        return str(found[0])

    def detail(self, number: int) -> Any:
        """What the work of an item that is done gave back."""
        with self._sentences():
            found = self._database.execute("SELECT detail FROM items WHERE number = ?", (number,)).fetchone()
        return json.loads(found[0])

    def counts(self) -> dict[str, int]:
        """How many items of the current run are in which state."""
        with self._sentences():
            found = self._database.execute(
                "SELECT state, COUNT(*) FROM items WHERE run = ? GROUP BY state", (self._run,)
            )
            counted = dict(found.fetchall())
        return {state: int(counted.get(state, 0)) for state in (DONE, FAILED, WAITING, RUNNING)}

    def rows(self) -> Iterator[Row]:
        """Every item that the ledger knows, whichever run brought it, in the order in which they came first."""
        with self._sentences():
            for row in self._database.execute(f"SELECT {_COLUMNS} FROM items ORDER BY number"):
                yield _row(row)

    def close(self) -> None:
        """Write the file's last page and let others work in the folder."""
        try:
            with self._sentences():
                self.commit()
        finally:
            self._database.close()
            self._lock.release()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._sentences():
            yield self._database
            self._database.commit()

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise _in_words(error, self.path) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def rows_of(path: Path, run: int, *states: str) -> Iterator[Row]:
    """The items of one run in some states, from a ledger that is open or closed.

    Parameters
    ----------
    path
        The ledger.
    run
        The number of the run.
    states
        Which items.
    """
    places = ", ".join("?" * len(states))
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            for row in database.execute(
                f"SELECT {_COLUMNS} FROM items WHERE run = ? AND state IN ({places}) ORDER BY number", (run, *states)
            ):
                yield _row(row)
    except sqlite3.Error as error:
        raise _in_words(error, path) from error


def _opened(path: Path) -> sqlite3.Connection:
    """The file, for its owner only, with its tables."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # keys and payloads may name patients
    database = sqlite3.connect(path, timeout=10)
    try:
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version > _VERSION:
            raise ConfigError(
                f"the ledger {path} was written by a newer qa_fetch. Update qa_fetch, or give another output folder."
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:  # an interrupt too: nobody else has the connection yet
        database.close()
        raise
    return database


def _row(found: tuple[Any, ...]) -> Row:
    key, payload, state, attempts, error, error_class, size, seconds, worker, detail = found
    return Row(key, json.loads(payload), state, attempts, error, error_class, size, seconds, worker, json.loads(detail))


def _storable(text: str) -> str:
    """A text as SQLite takes it: names of files may hold bytes that are no letters."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def full_disk(folder: Path) -> Incomplete:
    """What to say where a run cannot write down what came of it."""
    return Incomplete(
        f"the disk of {folder} is full, so the run stopped. Free space there and run again: "
        "it goes on where it stopped.",
        retriable=False,
    )


def _means_full(error: Exception, folder: Path) -> bool:
    """Whether there is no room; of the files that it shares with others SQLite says only that they failed."""
    if isinstance(error, OSError):
        return is_full(error)
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return "is full" in str(error) or (folder.is_dir() and shutil.disk_usage(folder).free < _LEAST)


def _in_words(error: Exception, path: Path) -> QAFetchError:
    """What SQLite or the operating system says about the ledger, as one line."""
    said = str(error) if isinstance(error, sqlite3.Error) else getattr(error, "strerror", "") or type(error).__name__
    if _means_full(error, path.parent):
        return full_disk(path.parent)
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return BadArchive(
            f"the ledger {path} is damaged ({said}). Move it away and run again: every item is then looked at anew."
        )
    return ConfigError(f"the ledger {path} cannot be used ({said}). Check that this user may write to its folder.")
