"""What was done with a folder: the numbers for everybody, and by name beside the key, since that says who is who."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Optional

from ..bulk import DONE, FAILED, Row
from ..bulk.report import cell, written
from ..shelf.disk import write_text
from .dictionary import name_of
from .sources import paths

_written = partial(written, encoding="utf-8", advice="Free space there and run again.")
_COLUMNS = ("source", "became", "file or reason")


@dataclass
class Anonymised:
    """What came of a folder.

    ``done`` counts the files that were written anew, those of earlier runs (``already``) too, and of them ``same``
    the files that hold an object once more. ``held`` counts the objects that were held back, by reason; ``left`` the
    files that are no objects, by what they are; ``attributes`` in how many files what was done to an attribute, by
    tag and action. ``audit`` is the folder with the reports, which is private.
    """

    output: Optional[Path]
    audit: Optional[Path] = None
    done: int = 0
    already: int = 0
    same: int = 0
    failed: int = 0
    waiting: int = 0
    held: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    empty_folders: int = 0
    warnings: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stopped: str = ""
    actions: Counter[str] = field(default_factory=Counter)
    attributes: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """Whether every file was written anew, held back or left out as asked for."""
        return not (self.failed or self.waiting or self.stopped)

    @property
    def exit_code(self) -> int:
        """What a command ends with."""
        return 0 if self.complete else 1

    def table(self) -> list[tuple[str, str, str, int]]:
        """What was or would be done: keyword, tag, action and in how many files, in the order of tags."""
        return [
            (name_of(tag), f"({tag >> 16:04X},{tag & 0xFFFF:04X})", action, files)
            for (tag, action), files in sorted(self.attributes.items())
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything that says nothing about anybody."""
        numbers = ("done", "already", "same", "failed", "waiting", "warnings", "empty_folders", "bytes", "stopped")
        columns = ("keyword", "tag", "action", "files")
        return {
            **{name: getattr(self, name) for name in numbers},
            "seconds": round(self.seconds, 3),
            "held": dict(self.held),
            "left": dict(self.left),
            "actions": dict(sorted(self.actions.items())),
            "attributes": [dict(zip(columns, row)) for row in self.table()],
        }

    def count(self, detail: Mapping[str, Any]) -> None:
        """Add what a worker says of a handful of files."""
        self.done += len(detail["made"]) + detail["own"]
        self.already += detail["own"]
        self.same += len(detail["same"])
        self.held.update(detail["held"].values())
        self.left.update(detail["left"].values())
        self.warnings += len(detail["warnings"])
        for name, (times, files) in detail["actions"].items():
            tag, action = name.split(" ")
            self.actions[action] += times
            self.attributes[int(tag, 16), action] += files


def lines(row: Row) -> Iterator[tuple[str, str, str]]:
    """What became of each file of a handful, one line for each."""
    detail = row.detail
    if row.state != DONE:
        state, why = ("failed", row.error) if row.state == FAILED else ("not done", "")
        yield from ((relative, state, why) for relative, _ in paths(Path(), row.payload))
        return
    same = set(detail["same"])
    for relative, (place, _) in detail["made"].items():
        yield relative, "the same once more" if relative in same else "anonymised", place
    for became, files in (("held back", detail["held"]), ("left out", detail["left"]), ("failed", detail["failed"])):
        yield from ((relative, became, why) for relative, why in files.items())


def write_reports(
    folder: Path, anonymised: Anonymised, facts: Mapping[str, Any], rows: Iterable[Row], notes: Iterable[str]
) -> None:
    """Write what was done, into a folder beside the key.

    ``audit.json`` names nobody and may be passed on with the data; ``private.csv`` has a line for each file, and
    ``warnings.txt`` the text that looks like somebody's name, and objects that are there as another patient's too.

    Parameters
    ----------
    folder
        Where to.
    anonymised, facts
        The numbers, and how it was done.
    rows
        What the ledger says of each handful.
    notes
        What else the user should know, such as folders that were empty before.
    """
    made = {"made": f"{datetime.now():%Y-%m-%dT%H:%M:%S}", **facts, **anonymised.as_json()}
    write_text(folder / "audit.json", json.dumps(made, indent=1) + "\n")
    with _written(folder / "private.csv") as file, _written(folder / "warnings.txt") as warnings:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for row in rows:
            table.writerows([cell(_readable(value)) for value in line] for line in lines(row))
            warnings.writelines(f"{_readable(warning)}\n" for warning in row.detail.get("warnings", ()))
        warnings.writelines(f"{_readable(note)}\n" for note in notes)


def _readable(text: str) -> str:
    """A name that may hold bytes which are no letters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
