"""What came of a migration, patient by patient: the whole collection, not only what was converted."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Optional, TextIO

from ..bulk import Report
from ..bulk.report import cell, written
from .page import page
from .states import ABSENT, ALIVE, CONVERTED, FAILED, OMISSIONS, STATES, WAITING

_COLUMNS = "row line patient name status state why folder objects omissions archives".split()


@dataclass(frozen=True)
class Said:
    """Something that was left out, or that somebody should know: of which archive, what, and the reason."""

    archive: str
    what: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """What became of one patient.

    Parameters
    ----------
    patient, name
        The patient ID, and the name as the archive has it.
    row, status
        Which row of the list names the patient and what it says; 0 and empty where it does not.
    state, why
        One of ``STATES``, and the reason where there is one.
    folder
        The name in the import folder, also where it was an earlier run that delivered it.
    archives
        Which archives hold the patient.
    objects
        How many were delivered of each modality.
    omissions, warnings
        What could not be converted, and what somebody should know; ``omitted`` and ``warned`` count them all.
    line
        Where that row stands in the file, as a spreadsheet numbers it.
    """

    patient: str
    name: str
    row: int
    status: str
    state: str
    why: str = ""
    folder: str = ""
    archives: tuple[str, ...] = ()
    objects: Mapping[str, int] = field(default_factory=dict)
    omissions: tuple[Said, ...] = ()
    omitted: int = 0
    warnings: tuple[Said, ...] = ()
    warned: int = 0
    line: int = 0

    @property
    def delivered(self) -> bool:
        """Whether its objects have arrived, all of them or those that could be converted."""
        return self.state in (CONVERTED, OMISSIONS)

    @property
    def wrong(self) -> bool:
        """Whether somebody has to look at it."""
        return self.state in (FAILED, OMISSIONS, WAITING) or (self.state == ABSENT and self.status == ALIVE)


@dataclass(frozen=True)
class Migration:
    """The end of a run, and the state of the collection.

    Parameters
    ----------
    run
        The report of the bulk engine on the living patients: numbers and times.
    entries
        Every patient of the list and of the archives, those that need attention first.
    problems
        Archives that could not be read, or not to their end, and why.
    notes
        What the writer of the list should know.
    to, sent_to
        The import folder, and the archive that was sent to; empty where there is none.
    work
        The folder of the job, with its ledger and reports.
    whole
        Whether all archives were looked at.
    stopped
        Why the run ended before its list did, if so.
    """

    run: Report
    entries: tuple[Entry, ...]
    problems: Mapping[str, str]
    notes: tuple[str, ...]
    to: str
    sent_to: str
    work: Path
    whole: bool = True
    stopped: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many patients are in each state."""
        found = Counter(entry.state for entry in self.entries)
        return {state: found[state] for state in STATES}

    @property
    def complete(self) -> bool:
        """Whether every living patient is delivered as a whole, and every archive could be read."""
        return self.whole and self.run.complete and not self.problems and not any(each.wrong for each in self.entries)

    @property
    def exit_code(self) -> int:
        """What a command ends with: 0 when nothing needs attention, else 1."""
        return 0 if self.complete else 1

    def of(self, *states: str) -> list[Entry]:
        """The patients in some states."""
        return [entry for entry in self.entries if entry.state in states]

    def write(self, folder: Optional[Path] = None) -> list[Path]:
        """Write ``report.html``, ``report.json`` and ``report.csv``, for their owner only; gives their paths.

        They name patients. Without a folder they go into that of the job.
        """
        targets = [(folder or self.work) / f"report.{kind}" for kind in ("html", "json", "csv")]
        for target, fill in zip(targets, (self._as_page, self._as_json, self._as_csv)):
            with written(target, "utf-8-sig" if target.suffix == ".csv" else "utf-8") as file:
                fill(file)
        return targets

    def _as_page(self, file: TextIO) -> None:
        file.writelines(page(self))

    def _as_json(self, file: TextIO) -> None:
        facts = {
            "title": self.run.title,
            "begun": self.run.begun.isoformat(timespec="seconds"),
            "seconds": round(self.run.seconds, 3),
            "run": self.run.run,
            "complete": self.complete,
            "stopped": self.stopped,
            "to": self.to,
            "sent_to": self.sent_to,
            "counts": self.counts,
            "archives_with_problems": dict(self.problems),
            "notes": self.notes,
            "patients": [asdict(entry) for entry in self.entries],
        }
        json.dump(facts, file, indent=1)
        file.write("\n")

    def _as_csv(self, file: TextIO) -> None:
        lines = csv.writer(file)
        lines.writerow(_COLUMNS)
        for entry in self.entries:
            said = (f"{each.what}: {each.reason}" for each in entry.omissions)
            values = {
                **vars(entry),
                "row": entry.row or "",
                "line": entry.line or "",
                "objects": sum(entry.objects.values()) or "",
                "omissions": " | ".join(said),
                "archives": " | ".join(entry.archives),
            }
            lines.writerow([cell(values[column]) for column in _COLUMNS])
