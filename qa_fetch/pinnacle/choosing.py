"""Which patients, plans and trials of an archive are meant; a name that stands for several is not guessed at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Optional, Union

from ..errors import Ambiguous, BadArchive, ConfigError, NotFound, QAFetchError
from . import reading
from .objects import plain
from .records import Patient, PlanEntry
from .sources import Source
from .uids import Uids

UNITS = ("agree", "formula", "grid")  # ways to monitor units

Name = Union[str, int, None]  # a plan or a trial by its name or its number


@dataclass(frozen=True)
class ChosenPlan:
    """A plan that is asked for; ``trial`` is the number of the one trial that is, None for all."""

    entry: PlanEntry
    trial: Optional[int]


@dataclass(frozen=True)
class Chosen:
    """A patient, and what of it is asked for; ``whole`` where that is everything."""

    patient: Patient
    plans: tuple[ChosenPlan, ...]
    whole: bool
    twin: bool = False  # whether another folder of the archive is the same patient, as far as UIDs go


def check_units(way: str) -> None:
    """ConfigError where there is no such way to monitor units."""
    if way not in UNITS:
        raise ConfigError(f"there is no way {way!r} to find monitor units. Name one of {', '.join(UNITS)}.")


def everybody(source: Source) -> list[Patient]:
    """The patients of an archive; NotFound where it is none of Pinnacle's, BadArchive where that is not seen."""
    found = reading.patients(source)
    if not found and source.stop is not None:
        raise BadArchive(
            f"no patient of Pinnacle can be read in {source.name}: {source.stop}. "
            "Fetch it again from where it was kept."
        )
    if not found and any(name.lower().endswith((".tar", ".tar.gz", ".tgz")) for name in source.names()):
        raise NotFound(f"{source.name} holds archives, but no patient of its own. Name one of them.")
    if not found:
        raise NotFound(
            f"{source.name} holds no patient of Pinnacle: no folder in it has a file called Patient. Name another one."
        )
    return found


def choose(
    source: Source, patients: Sequence[Patient], patient: Optional[str], plan: Name, trial: Name
) -> list[Chosen]:
    """What is asked for, of every patient that has it; NotFound where none has, Ambiguous where one has it twice.

    Parameters
    ----------
    source, patients
        The archive, and all its patients.
    patient
        A medical record number, or a patient's folder (``Patient_1``, or with all folders above); None for all.
    plan, trial
        Names or numbers; None for all.
    """
    named = patients if patient is None else _called(source, patients, patient)
    whole = plan is None and trial is None
    same = Counter(Uids(each).patient for each in patients)
    chosen = [
        Chosen(each, tuple(_plans(source, each, plan, trial)), whole, same[Uids(each).patient] > 1) for each in named
    ]
    if whole:
        return chosen
    chosen = [each for each in chosen if each.plans]
    if not chosen:
        what = "no such plan" if trial is None else "no such trial" if plan is None else "no such plan and trial"
        raise NotFound(f"{source.name} has {what}. {_look(source)}")
    return chosen


def _called(source: Source, patients: Sequence[Patient], wanted: str) -> list[Patient]:
    named = [each for each in patients if wanted.strip() == (each.medical_record_number or "").strip()]
    named = named or [each for each in patients if wanted.strip("/") in (each.folder, PurePosixPath(each.folder).name)]
    if not named:
        raise NotFound(
            f"{source.name} has no such patient, neither as a medical record number nor as a folder. {_look(source)}"
        )
    if len(named) > 1:
        folders = [each.folder for each in named]
        raise Ambiguous(
            f"{source.name} has {len(named)} patients that are called so: {_some(folders)}. Choose one by its folder.",
            candidates=folders,
        )
    return named


def _plans(source: Source, patient: Patient, plan: Name, trial: Name) -> list[ChosenPlan]:
    entries = list(patient.plans)
    if plan is not None:
        entries = [entry for entry in entries if _same(entry.name, plan)] if isinstance(plan, str) else []
        entries = entries or [entry for entry in patient.plans if entry.number == _number(plan)]
        if len(entries) > 1:
            raise Ambiguous(
                f"{source.name} has {len(entries)} plans of that name: "
                f"{_some([f'number {entry.number} of {entry.written or chr(63)}' for entry in entries])}. "
                "Choose one by its number.",
                candidates=entries,
            )
    if trial is None:
        return [ChosenPlan(entry, None) for entry in entries]
    found = [ChosenPlan(entry, _trial(source, entry, trial)) for entry in entries]
    return [each for each in found if each.trial is not None]


def _trial(source: Source, entry: PlanEntry, trial: Union[str, int]) -> Optional[int]:
    """The number of the trial that is meant in a plan; None where it has none such."""
    names = trial_names(source, entry)
    found = [number for number, name in enumerate(names) if isinstance(trial, str) and _same(name, trial)]
    if len(found) > 1:
        raise Ambiguous(
            f"plan {entry.number} of {source.name} has {len(found)} trials of that name: "
            f"{_some([f'number {number}' for number in found])}. Choose one by its number.",
            candidates=found,
        )
    number = _number(trial)
    return found[0] if found else number if number is not None and number < len(names) else None


def trial_names(source: Source, entry: PlanEntry) -> Sequence[Optional[str]]:
    """The names of a plan's trials; none where they cannot be read, which the conversion explains."""
    try:
        return reading.trial_names(source, entry)
    except QAFetchError:
        return ()


def _same(name: Optional[str], wanted: Union[str, int]) -> bool:
    return name is not None and name.strip() == str(wanted).strip()


def _number(wanted: Union[str, int]) -> Optional[int]:
    text = str(wanted).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(plain, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _look(source: Source) -> str:
    return f"Look what it has: qa-fetch pinnacle list {source.name}"
