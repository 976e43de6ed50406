"""What came of a run: the numbers, and every item by name, as CSV, JSON and a page."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from ..errors import Incomplete
from ..shelf.disk import flush_folder, make_folder
from .items import DONE, FAILED, RUNNING, WAITING, Row
from .ledger import rows_of
from .report_page import page

_COLUMNS = ("key", "state", "attempts", "error_class", "error", "bytes", "seconds", "worker", "detail")
_ADVICE = "Free space there or give another folder; the ledger has everything that it would say."
_LONGEST_CELL = 32_000  # letters; spreadsheets end a cell a little later
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LATER_FORMULA = re.compile(r"(?<=;)(?=[=+\-@])")  # a cell begins there where commas do not separate


@dataclass(frozen=True)
class Report:
    """The end of a run.

    ``done`` counts the items of this run's list that are done, ``already`` those of them that were so before;
    ``waiting`` ones were not reached, or not tried as often as they might be. ``bytes`` and ``seconds`` are of this
    run. ``whole`` says whether the list was read to its end, and ``stopped`` why not everything was done.
    """

    ledger: Path
    run: int
    title: str
    begun: datetime
    seconds: float
    done: int
    failed: int
    waiting: int
    already: int
    bytes: int
    whole: bool
    stopped: str

    @property
    def total(self) -> int:
        """How many items the list had, as far as it was read."""
        return self.done + self.failed + self.waiting

    @property
    def complete(self) -> bool:
        """Whether every item is done."""
        return self.whole and self.done == self.total

    @property
    def exit_code(self) -> int:
        """What a command ends with: 0 when every item is done, else 1."""
        return 0 if self.complete else 1

    def rows(self) -> Iterator[Row]:
        """Every item of this run: what failed, what was not reached, then the rest."""
        return itertools.chain(self.failures(), self.unfinished(), self.finished())

    def failures(self) -> Iterator[Row]:
        """What failed."""
        return rows_of(self.ledger, self.run, FAILED)

    def unfinished(self) -> Iterator[Row]:
        """What was not reached, or not tried as often as it might be."""
        return rows_of(self.ledger, self.run, WAITING, RUNNING)

    def finished(self) -> Iterator[Row]:
        """What is done."""
        return rows_of(self.ledger, self.run, DONE)

    def write(self, folder: Path) -> list[Path]:
        """Write ``report.csv``, ``report.json`` and ``report.html`` into a folder; gives their paths."""
        targets = [Path(folder) / f"report.{kind}" for kind in ("csv", "json", "html")]
        for target, fill in zip(targets, (self._as_csv, self._as_json, self._as_page)):
            with written(target, "utf-8-sig" if target.suffix == ".csv" else "utf-8") as file:
                fill(file)
        return targets

    def _as_csv(self, file: TextIO) -> None:
        lines = csv.writer(file)
        lines.writerow(_COLUMNS)
        for row in self.rows():
            detail = json.dumps(row.detail, ensure_ascii=False) if row.detail else ""
            values = {**row._asdict(), "detail": detail, "seconds": round(row.seconds, 3)}
            lines.writerow([cell(values[column]) for column in _COLUMNS])

    def _as_json(self, file: TextIO) -> None:
        facts: dict[str, Any] = asdict(self)
        facts.update(ledger=str(self.ledger), begun=self.begun.isoformat(timespec="seconds"), total=self.total)
        facts["complete"] = self.complete
        file.write(json.dumps(facts, indent=1).rstrip("\n}") + ',\n "items": [')
        for before, row in zip(itertools.chain(["\n  "], itertools.repeat(",\n  ")), self.rows()):
            file.write(before + json.dumps(row._asdict()))
        file.write("\n ]\n}\n")

    def _as_page(self, file: TextIO) -> None:
        file.writelines(page(self))


def cell(value: object) -> object:
    """A value as a cell of a CSV file: on one line, and never a formula where a spreadsheet opens it."""
    if not isinstance(value, str):
        return value
    text = _LATER_FORMULA.sub("'", _CONTROL.sub(" ", value))
    if len(text) > _LONGEST_CELL:
        text = text[:_LONGEST_CELL] + "…"
    return f"'{text}" if value.startswith(_FORMULA) else text


@contextlib.contextmanager
def written(target: Path, encoding: str, advice: str = _ADVICE) -> Iterator[TextIO]:
    """A file that has its name only when it is whole, for its owner only.

    Parameters
    ----------
    target, encoding
        The file, and how its letters are written.
    advice
        What to do where the disk does not take it.
    """
    temporary = ""
    try:
        make_folder(target.parent)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
        with os.fdopen(descriptor, "w", encoding=encoding, newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
        flush_folder(target.parent)
    except OSError as error:
        raise Incomplete(
            f"the report {target} cannot be written ({error.strerror}). {advice}", retriable=False
        ) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
