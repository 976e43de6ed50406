"""Codes and day shifts for a project: from a De-ID service, or from a list of one's own."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, TypeVar

from ..errors import ConfigError, NotFound
from .deid import DeidService
from .keyfolder import Codes, bare, locked, read_own, read_own_offsets, read_table, write_json

_DRAWN = 30  # days in either direction
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Pseudonyms:
    """What was written: the codes, the day shifts where they were asked for, and of how many patients."""

    new_ids: Path
    day_shift: Optional[Path]
    patients: int


def pseudonyms(
    patient_ids: Iterable[str], project: str, *, service: DeidService, to: Path, shift_days: bool = False
) -> Pseudonyms:
    """Ask a De-ID service for the codes of a project's patients; ``Identities`` takes the files that are written.

    Parameters
    ----------
    patient_ids
        The patients; each is asked for once.
    project
        The project, as the service knows it.
    service
        Which service.
    to
        The folder of ``new_ids_<project>.json`` and ``day_shift_<project>.json``; what they hold already stays.
    shift_days
        Whether to ask for day shifts too.
    """
    patients = _checked(patient_ids, project)
    codes = service.codes(project, patients)
    shifts = service.shifts(project, patients) if shift_days else None
    with locked(to):
        return _written(to, project, codes, None if shifts is None else lambda one, before: shifts[one])


def custom_pseudonyms(
    patient_ids: Iterable[str], project: str, *, codes: Path, to: Path, shift_days: bool = False
) -> Pseudonyms:
    """Take the codes of a project's patients from a CSV of two columns, old and new; else as ``pseudonyms``.

    Parameters
    ----------
    patient_ids, project, to
        As there.
    codes
        The CSV; its first line may name the columns.
    shift_days
        Whether to draw day shifts, of 1 to 30 days in either direction; those drawn before stay.
    """
    patients = _checked(patient_ids, project)
    rows = read_table(codes)
    if rows and bare(rows[0][1]) not in patients:
        rows = rows[1:]  # the names of the columns, or a patient that nobody asks for
    listed = Codes.of(rows, codes.name)
    found = {patient: code for patient in patients if (code := listed.get(patient)) is not None}
    lacking = len(patients) - len(found)
    if lacking:
        raise NotFound(f"{codes.name} has no code for {lacking} of the {len(patients)} patients. Add them, run again.")
    with locked(to):
        return _written(to, project, found, _drawn if shift_days else None)


def _checked(patient_ids: Iterable[str], project: str) -> list[str]:
    """The bare IDs, each once; ConfigError where one cannot be asked for."""
    if not project.strip() or not project.isprintable() or len(project) > 64:
        raise ConfigError("the project has no name of 1 to 64 printable characters. Give it one.")
    patients = list(dict.fromkeys(map(bare, patient_ids)))
    if not patients:
        raise ConfigError("no patient is named. Give at least one PatientID.")
    if any(not one or len(one) > 64 or not one.isprintable() or set(one) & set("*?\\") for one in patients):
        raise ConfigError(
            "a PatientID is empty, too long, or holds * ? or another character that no ID has. "
            "Name each patient by the whole ID."
        )
    return patients


def _drawn(patient: str, before: Optional[int]) -> int:
    """The days drawn before, or new ones."""
    if before is not None:
        return before
    drawn = secrets.randbelow(2 * _DRAWN) - _DRAWN
    return drawn + (drawn >= 0)


def _written(
    to: Path,
    project: str,
    codes: Mapping[str, str],
    days: Optional[Callable[[str, Optional[int]], int]],
) -> Pseudonyms:
    """Put codes and shifts beside what an earlier run wrote; ConfigError where the two contradict each other."""
    name = _file_name(project)
    new_ids, day_shift = to / f"new_ids_{name}.json", to / f"day_shift_{name}.json"
    known = read_own(new_ids)
    kept = _beside(dict(known.items()) if known else {}, codes, new_ids, "code")
    if len({code.casefold() for code in kept.values()}) < len(kept):
        raise ConfigError(f"a code that {new_ids} has for one patient is now another's. Give each a code of its own.")
    shifts: dict[str, int] = {}
    if days is not None:
        offsets = read_own_offsets(day_shift)
        before = dict(offsets.items()) if offsets else {}
        shifts = _beside(before, {one: days(one, before.get(one)) for one in codes}, day_shift, "day shift")
        write_json(day_shift, {f"sub-{one}": moved for one, moved in shifts.items()})
    write_json(new_ids, {f"sub-{one}": code for one, code in kept.items()})
    return Pseudonyms(new_ids, None if days is None else day_shift, len(codes))


def _beside(before: dict[str, _Value], now: Mapping[str, _Value], path: Path, what: str) -> dict[str, _Value]:
    for patient, value in now.items():
        if before.setdefault(patient, value) != value:
            raise ConfigError(
                f"a patient has another {what} in {path} than now. "
                "Find out which is right, or name another folder for the new ones."
            )
    return before


def _file_name(project: str) -> str:
    """A project as part of a file's name; what has to be changed gets a mark, so that no two projects share a file."""
    plain = re.sub("[^A-Za-z0-9_-]+", "_", project)
    mark = hashlib.sha256(project.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return plain if plain == project else f"{plain}-{mark}"
