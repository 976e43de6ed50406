"""Every patient of the list and of the archives, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..bulk import DONE, FAILED, Row
from .collection import Collection, Record
from .outcome import Entry, Said
from .patients import Listed, Patients
from .states import ABSENT, ALIVE, CONVERTED, KEPT, OMISSIONS, STATES, UNLISTED, WAITING
from .states import FAILED as BROKEN

_STOPPED = "the run was stopped before all archives were looked at"


def entries(listed: Patients, found: Collection, rows: Mapping[str, Row]) -> list[Entry]:
    """Everybody, those that need attention first.

    Parameters
    ----------
    listed, found
        The list, and what the archives hold.
    rows
        What the ledger says of each patient.
    """
    every = [*(_listed(one, found, rows) for one in listed), *_unlisted(listed, found)]
    return sorted(every, key=lambda entry: (STATES.index(entry.state), not entry.wrong, not entry.row, entry.row))


def _listed(one: Listed, found: Collection, rows: Mapping[str, Row]) -> Entry:
    records = found.patients.get(one.patient, [])
    if not records and not found.whole:
        return Entry(one.patient, "", one.row, one.status, WAITING, _STOPPED)
    if not records:
        why, archives = _why_absent(one, found)
        return Entry(one.patient, "", one.row, one.status, ABSENT, why, archives=archives)
    row = rows.get(one.patient)
    if one.status != ALIVE:
        before = "an earlier run has converted it" if row is not None and row.state == DONE else ""
        return _entry(records, one, KEPT, before)
    if row is None:
        return _entry(records, one, WAITING, _STOPPED)
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
    return _entry(records, one, BROKEN if row.state == FAILED else WAITING, row.error or "not reached in this run")


def _entry(records: Sequence[Record], one: Listed, state: str, why: str = "", **more: object) -> Entry:
    archives = tuple(dict.fromkeys(record.archive for record in records))
    return Entry(one.patient, records[0].name, one.row, one.status, state, why, archives=archives, **more)  # type: ignore[arg-type]


def _unlisted(listed: Patients, found: Collection) -> Iterator[Entry]:
    """Who is in an archive and not on the list."""
    known = {one.patient for one in listed}
    for patient, records in sorted(found.patients.items()):
        if patient not in known:
            alike = [one.row for one in listed if one.patient.lstrip("0") == patient.lstrip("0")]
            why = (
                f"the ID of row {alike[0]} is the same but for leading zeros" if alike else "the list does not name it"
            )
            archives = tuple(dict.fromkeys(record.archive for record in records))
            yield Entry(patient, records[0].name, 0, "", UNLISTED, why, archives=archives)
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
    damaged = tuple(name for name in found.problems if one.patient in name)
    if damaged:
        reason = found.problems[damaged[0]].rstrip(".")
        return f"no archive that can be read holds this patient, and one called so is damaged: {reason}.", damaged
    return "no archive holds this patient. Look whether its tar was copied, and under which ID it was planned.", ()
