"""Every patient of the list and of the archives, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from ..bulk import DONE, FAILED, Item, Row
from .collection import Collection, Record
from .outcome import Entry, Said
from .patients import Listed, Patients
from .states import ABSENT, ALIVE, CONVERTED, KEPT, OMISSIONS, STATES, UNLISTED, WAITING
from .states import FAILED as BROKEN

_STOPPED = "the run was stopped before all archives were looked at"


@dataclass(frozen=True)
class Known:
    """What the ledger and the job know of each patient.

    Parameters
    ----------
    rows
        What became of them.
    wanted
        What this run asked of them: a row that is done counts only for just that.
    before
        The folders of those of whom an earlier run has delivered something.
    """

    rows: Mapping[str, Row]
    wanted: Mapping[str, Item]
    before: Mapping[str, str]


def entries(listed: Patients, found: Collection, known: Known) -> list[Entry]:
    """Everybody, those that need attention first.

    Parameters
    ----------
    listed, found
        The list, and what the archives hold.
    known
        What the ledger says of each patient.
    """
    every = [*(_listed(one, found, known) for one in listed), *_unlisted(listed, found, known)]
    return sorted(every, key=lambda entry: (STATES.index(entry.state), not entry.wrong, not entry.row, entry.row))


def _listed(one: Listed, found: Collection, known: Known) -> Entry:
    records = found.patients.get(one.patient, [])
    before, folder = _before(one.patient, known)
    earlier = {"folder": folder}
    if one.status != ALIVE and records:
        why = f"{before}. Remove it there if it is not to stay." if before else ""
        return _entry(records, one, KEPT, why, **earlier)
    unreached = "; ".join(filter(None, ("not reached in this run" if found.whole else _STOPPED, before)))
    if not records and not found.whole:
        return _entry(records, one, WAITING, unreached, **earlier)
    if not records:
        why, archives = _why_absent(one, found)
        return _entry(archives, one, ABSENT, f"{before}; now {why}" if before else why, **earlier)
    row, wanted = known.rows.get(one.patient), known.wanted.get(one.patient)
    if row is None or wanted is None or row.payload != wanted.payload:
        return _entry(records, one, WAITING, unreached, **earlier)
    if row.state == DONE:
        detail = row.detail
        return _entry(
            records,
            one,
            OMISSIONS if detail["omitted"] else CONVERTED,
            folder=row.payload["folder"] if row.payload["to"] else "",
            objects=detail["objects"],
            omissions=tuple(Said(*said) for said in detail["omissions"]),
            omitted=detail["omitted"],
            warnings=tuple(Said(*said) for said in detail["warnings"]),
            warned=detail["warned"],
        )
    why = row.error or "not reached in this run"
    if before:
        why = f"{why.rstrip('.')}. Before that {before}; that is as it was."
    return _entry(records, one, BROKEN if row.state == FAILED else WAITING, why, **earlier)


def _entry(held: Sequence[Union[Record, str]], one: Listed, state: str, why: str = "", **more: Any) -> Entry:
    """Of a patient on the list, with the records of it or the archives that may be its."""
    name = _names(record for record in held if isinstance(record, Record))
    archives = tuple(dict.fromkeys(each if isinstance(each, str) else each.archive for each in held))
    place: dict[str, Any] = {"row": one.row, "line": one.line, "status": one.status}
    return Entry(one.patient, name, state=state, why=why, archives=archives, **place, **more)


def _names(records: Iterable[Record]) -> str:
    """The names that archives have for a patient: several where one has married, or where two are mixed up."""
    return " / ".join(dict.fromkeys(record.name for record in records if record.name))


def _before(patient: str, known: Known) -> tuple[str, str]:
    """What an earlier run has done with a patient, where it has, and the folder; sentences never name that."""
    if patient not in known.before:
        return "", ""
    return "an earlier run has delivered it", known.before[patient]


def _unlisted(listed: Patients, found: Collection, known: Known) -> Iterator[Entry]:
    """Who is in an archive and not on the list."""
    named = {one.patient for one in listed}
    alike = {one.patient.lstrip("0"): one.line for one in reversed(listed)}
    for patient, records in sorted(found.patients.items()):
        if patient not in named:
            bare = patient.lstrip("0")
            why = (
                f"the ID in line {alike[bare]} of the list is the same but for leading zeros"
                if bare in alike
                else "the list does not name it"
            )
            before, folder = _before(patient, known)
            archives = tuple(dict.fromkeys(record.archive for record in records))
            why = f"{why}; {before}" if before else why
            yield Entry(patient, _names(records), 0, "", UNLISTED, why, folder, archives)
    for record in found.nameless:
        why = "its Patient file has no medical record number, by which the list could name it"
        yield Entry("", record.name, 0, "", UNLISTED, why, archives=(record.archive,))


def _why_absent(one: Listed, found: Collection) -> tuple[str, tuple[str, ...]]:
    """Why there is no archive of a patient, and which may be it: a file's name proves nothing, but may help."""
    bare = one.patient.lstrip("0")
    alike = [records[0].archive for other, records in found.patients.items() if other.lstrip("0") == bare]
    if alike:
        return (
            "an archive has this ID but for leading zeros, which spreadsheets drop. "
            "Format the column of the list as text and write the ID as the archive has it."
        ), tuple(alike)
    called = re.compile(rf"(?<![0-9A-Za-z]){re.escape(one.patient)}(?![0-9A-Za-z])")
    damaged = tuple(name for name in found.problems if called.search(name))
    if damaged:
        reason = found.problems[damaged[0]].rstrip(".")
        return f"no archive that can be read holds this patient, and one called so is damaged: {reason}.", damaged
    return "no archive holds this patient. Look whether its tar was copied, and under which ID it was planned.", ()
