"""Which patients the archives of a folder hold: by the ``Patient`` file in each, never by the archive's own name.

What was found is kept in a ledger, so that a later run opens only archives that are new or have changed.
"""

from __future__ import annotations

import os
import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

from .. import part10
from ..backends import pinnacle_folder
from ..bulk import DONE, FAILED, Done, Item, Ledger, Pace, run
from ..bulk.progress import OnProgress
from ..bulk.stopping import Stop
from ..errors import ConfigError, Incomplete, QAFetchError
from ..pinnacle import reading
from ..pinnacle.records import Patient
from ..pinnacle.sources import opened

LEDGER = "archives"  # a folder of its own, since a ledger is alone in its
_ATTEMPTS = 2


@dataclass(frozen=True)
class Record:
    """A patient as one archive has it; texts are empty where the archive does not say."""

    archive: str  # below the folder of archives, with forward slashes
    folder: str  # in the archive
    patient: str  # the medical record number
    number: str = ""  # Pinnacle's own
    last: str = ""
    first: str = ""
    middle: str = ""
    birth: str = ""
    written: str = ""  # when the newest of its plans was
    plans: int = 0

    @property
    def name(self) -> str:
        """The name as people write it."""
        return ", ".join(filter(None, (self.last, self.first)))


@dataclass
class Collection:
    """What a folder of archives holds.

    Parameters
    ----------
    patients
        The records of each patient, the newest first.
    nameless
        Records without a medical record number.
    problems
        Why archives could not be read, or not to their end.
    states
        Size and time of each archive, by which a change is noticed.
    whole
        Whether all archives were looked at.
    """

    patients: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    nameless: list[Record] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    states: dict[str, list[int]] = field(default_factory=dict)
    whole: bool = True


def collect(
    archives: Path,
    work: Path,
    *,
    workers: Optional[int] = None,
    pace: Optional[Pace] = None,
    on_progress: Optional[OnProgress] = None,
    cancelled: Union[threading.Event, Stop, None] = None,
) -> Collection:
    """Look into every archive below a folder.

    Parameters
    ----------
    archives
        The folder; tars, compressed tars and unpacked archives in it.
    work
        The folder of the job, which keeps what was found.
    workers, pace, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    states = find(archives)
    items = [Item(name, {"archive": name, "state": state}) for name, state in states.items()]
    with Ledger(work / LEDGER / "ledger.sqlite") as ledger:
        report = run(
            items,
            partial(look, str(archives)),
            ledger,
            workers=workers,
            pace=pace,
            attempts=_ATTEMPTS,
            on_progress=on_progress,
            cancelled=cancelled,
        )
        found = Collection(states=states, whole=report.whole and not report.waiting)
        for row in ledger.rows():
            if row.payload["state"] != states.get(row.key):
                continue  # it has gone or changed since
            if row.state == FAILED:
                found.problems[row.key] = row.error
            elif row.state == DONE:
                _take(row.key, row.detail, found)
    for records in found.patients.values():
        records.sort(key=lambda record: (record.written, states[record.archive][1], record.archive), reverse=True)
    return found


def look(root: str, payload: Mapping[str, Any]) -> Done:
    """Find the patients of one archive."""
    name = payload["archive"]
    path = Path(root, name)
    try:
        with opened(path) as source:
            records = [asdict(_record(name, patient)) for patient in reading.patients(source)]
            stop = source.stop
    except QAFetchError as error:
        raise type(error)(without_names(error.message, path), retriable=error.retriable) from error
    if list(pinnacle_folder.state(path)) != payload["state"]:
        raise Incomplete("it changed while it was read. Run again when nobody writes to the archives.", retriable=True)
    return Done(detail={"records": records, "stop": stop or ""})


def without_names(message: str, archive: Path) -> str:
    """A sentence without the archive's name, which is often the patient's; the report has it in a column of its own."""
    whole = message.replace(str(archive), "the archive")
    return re.sub(rf"(?<!\w){re.escape(archive.name)}(?!\w)", "the archive", whole)


def find(root: Path) -> dict[str, list[int]]:
    """Every archive below a folder, by its path there; ConfigError where there is none."""
    if not root.is_dir():
        raise ConfigError(f"{root} is no folder. Name the folder that holds the archives.")
    found = {os.fsdecode(path): list(state) for path, state in pinnacle_folder.scan(root.name, root).items()}
    if not found:
        raise ConfigError(f"{root} holds no archives (.tar, .tar.gz or .tgz). Name the folder that does.")
    return found


def strangers(records: Sequence[Record]) -> str:
    """Why records under one patient ID are not of one person, as happens with IDs for tests; empty where they are."""
    newest = records[0]
    for record in records[1:]:
        if newest.birth and record.birth and newest.birth != record.birth:
            return "birth dates"
        if _differ(newest.last, record.last) and _differ(newest.first, record.first):
            return "names"
    return ""


def _differ(one: str, other: str) -> bool:
    """Whether two names that are both given are not the same, whatever their case and accents."""
    plain = [part10.plain(name).casefold() for name in (one, other)]
    return all(plain) and plain[0] != plain[1]


def _record(archive: str, patient: Patient) -> Record:
    return Record(
        archive=archive,
        folder=patient.folder,
        patient=(patient.medical_record_number or "").strip(),
        number=(patient.number or "").strip(),
        last=patient.last_name or "",
        first=patient.first_name or "",
        middle=patient.middle_name or "",
        birth=patient.birth_date or "",
        written=max((plan.written or "" for plan in patient.plans), default=""),
        plans=len(patient.plans),
    )


def _take(archive: str, detail: Mapping[str, Any], found: Collection) -> None:
    if detail["stop"]:
        found.problems[archive] = f"{detail['stop']}; patients behind that are not known"
    if not detail["records"]:
        found.problems.setdefault(archive, "no folder in it has a file called Patient, so it holds no patient")
    for fields in detail["records"]:
        record = Record(**fields)
        if record.patient:
            found.patients[record.patient].append(record)
        else:
            found.nameless.append(record)
