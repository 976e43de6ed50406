"""The step ``quarantine``: every set of objects of a patient that a person has to choose from, and the choice itself.

Each candidate lies in ``<patient>_<index>`` as PDCP has it, with its notes and its summary beside it. The index behind
the last ``_`` is a number, so that no folder can belong to two patients: ``1_2`` is the candidate 2 of patient ``1``,
and all those of patient ``1_2`` are called ``1_2_0``, ``1_2_1`` ...
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

from ..budget import Budget
from ..bulk import Done, Item, Report
from ..bulk.progress import OnProgress
from ..errors import BadArchive, ConfigError, Incomplete
from ..locks import FileLock
from ..shelf.disk import make_folder, remove_tree
from . import candidates, choices, codes, columns, marks, verifying
from .built import Built
from .candidates import Candidate, listed, place_of
from .choices import Choice
from .config import Settings
from .folders import PatientFolder
from .linking import Chain, Decision, decide, select
from .listing import patients_of
from .moving import moved
from .notes import Notes
from .steps import run_step

__all__ = ["Candidate", "choose", "listed", "quarantine"]

_WAITING = (codes.I_EXEC_007, codes.II_EXEC_003)
_WAIT = 10.0  # seconds, while another command chooses
_ALONE = "taken by itself, for a person to look at"


def quarantine(
    settings: Settings,
    patients: Optional[Sequence[Union[str, int]]] = None,
    *,
    workers: Optional[int] = None,
    where: str = "processes",
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Build every candidate of the patients for whom a person has to choose, and say in a table what differs.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Their IDs; all that wait where None are given.
    workers, where, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.

    Raises
    ------
    ConfigError
        The quarantine is where other things of the cohort lie.
    """
    _check_place(settings)
    make_folder(settings.thequarantine)
    report = run_step(
        "quarantine",
        settings,
        _items(settings, patients_of(settings, patients)),
        partial(_build, settings),
        where=where,
        workers=workers,
        intact=partial(_intact, settings),
        on_progress=on_progress,
        cancelled=cancelled,
    )
    candidates.describe(settings)
    return report


def choose(settings: Settings, patient: Union[str, int], index: int) -> Notes:
    """Let a patient go on with one of its candidates: it moves to ``data``, the others stay where they are.

    The choice is kept, so that ``verify`` comes to the same from now on.

    Parameters
    ----------
    settings
        Of the cohort.
    patient
        The ID.
    index
        Which candidate, as the table has it.

    Raises
    ------
    ConfigError
        There is no such candidate, it cannot be used, or the patient has a folder in ``data`` already.
    """
    lock = FileLock(make_folder(settings.work) / "choose.lock")
    if not lock.acquire(Budget(_WAIT)):
        raise ConfigError("another command is choosing in this cohort. Wait until it has ended, then choose again.")
    try:
        return _chosen(settings, str(patient), index)
    finally:
        lock.release()


def _chosen(settings: Settings, patient: str, index: int) -> Notes:
    candidate = _candidate(settings, patient, index)
    target = PatientFolder.of(settings, patient).root
    source = candidate.folder / target.name
    before = choices.of(settings, patient)
    if before is None or before.uids != candidate.uids or source.exists():  # else an earlier try came so far
        _check_choice(settings, candidate, target)
        choices.record(settings, patient, candidate.uids)
        moved(source, target)
    earlier = Notes.read(candidate.folder, patient)
    if not target.is_dir() or earlier is None:
        raise ConfigError("this candidate is not there any more. Run qa-fetch cohort quarantine, then choose again.")
    notes = verifying.renewed(settings, decide(patient, settings), earlier)
    _relocate(notes, source, target)
    notes.write(settings.patientnotesdir)
    candidates.describe(settings)
    return notes


def _candidate(settings: Settings, patient: str, index: int) -> Candidate:
    found = [candidate for candidate in listed(settings) if candidate.patient == patient]
    known = {candidate.index: candidate for candidate in found}
    if not found:
        raise ConfigError("this patient has no candidates in quarantine. Run: qa-fetch cohort quarantine.")
    if index not in known:
        there = ", ".join(map(str, sorted(known)))
        raise ConfigError(f"this patient has no candidate {index} in quarantine. Choose one of {there}.")
    return known[index]


def _check_choice(settings: Settings, candidate: Candidate, target: Path) -> None:
    """Refuse what cannot be used, before anything is written."""
    if target.exists() or target.is_symlink():
        raise ConfigError(
            f"this patient has a folder in {settings.datadirectory} already, and nothing is overwritten. "
            "Move it away, then choose again."
        )
    code = codes.CODES.get(candidate.code)
    if candidate.status == codes.EXECLUDE and code is not None:
        raise ConfigError(f"candidate {candidate.index} cannot be used: {code} in its notes. {code.sentence}")
    possible = {chain.uids for chain in _possible(settings, candidate.patient)}
    if candidate.uids not in possible:
        raise ConfigError(
            f"candidate {candidate.index} is none any more, since the rules or the summary have changed. "
            "Run qa-fetch cohort verify and qa-fetch cohort quarantine, then choose again."
        )


def _undecided(settings: Settings, patient: str, choice: Optional[Choice] = None) -> Decision:
    """What the rules say without what a person chose."""
    outcome, path = columns.find(settings.imagesummaries, patient) or (None, None)
    rows = columns.read(path) if path is not None and outcome == "SUCCESS" else ()
    return select(patient, rows, settings, outcome=outcome, choice=choice)


def _possible(settings: Settings, patient: str) -> tuple[Chain, ...]:
    """What a person may choose from; the only set too, where what was chosen before is not there any more."""
    decision = _undecided(settings, patient)
    return decision.candidates if decision.chosen is None else (decision.chosen,)


def _relocate(notes: Notes, source: Path, target: Path) -> None:
    """Let the notes name the folders where they are now."""
    values = notes.to_dict().get("list_of_values")
    if isinstance(values, dict):
        notes.put("list_of_values", {key: _relocated(value, str(source), str(target)) for key, value in values.items()})


def _relocated(value: Any, source: str, target: str) -> Any:
    inside = isinstance(value, str) and (value == source or value.startswith((f"{source}/", f"{source}\\")))
    return target + value[len(source) :] if inside else value


# The step


def _check_place(settings: Settings) -> None:
    """The folders of candidates must not be among those of patients."""
    own = settings.thequarantine.resolve()
    for key in ("datadirectory", "patientnotesdir", "imagesummaries"):
        if getattr(settings, key).resolve() == own:
            raise ConfigError(
                f"thequarantine and {key} are one folder, in which candidates would be taken for patients. "
                "Give thequarantine a folder of its own."
            )


def _items(settings: Settings, patients: Sequence[str]) -> Iterator[Item]:
    """One for each candidate of those who wait; what was built of candidates that are none any more is removed."""
    rules = marks.rules(settings)
    for patient in patients:
        decision = _waiting(settings, patient)
        if decision is None:
            continue
        for index, chain in enumerate(decision.candidates):
            payload = {"patient": patient, "index": index, "rules": rules, "chosen": marks.chosen(settings, chain)}
            yield Item(f"{patient}_{index}", payload)
        _remove_from(settings, patient, len(decision.candidates))


def _waiting(settings: Settings, patient: str) -> Optional[Decision]:
    """The decision about a patient for whom a person has to choose; None for all others."""
    notes = verifying.noted(settings, patient)
    if notes is not None and notes.excluded_by not in _WAITING:
        return None
    try:
        decision = decide(patient, settings)
    except BadArchive:
        return None  # of its summary verify tells
    return decision if decision.quarantine else None


def _remove_from(settings: Settings, patient: str, index: int) -> None:
    while candidates.owner_of(place_of(settings, patient, index)) == patient:
        remove_tree(place_of(settings, patient, index))
        index += 1


def _intact(settings: Settings, payload: Any, detail: Any) -> bool:
    place = place_of(settings, payload["patient"], payload["index"])
    return (
        candidates.owner_of(place) == payload["patient"] and _folder(settings, place, payload["patient"]).root.is_dir()
    )


def _folder(settings: Settings, place: Path, patient: str) -> PatientFolder:
    return PatientFolder.of(replace(settings, datadirectory=place), patient)


def _build(settings: Settings, payload: Any) -> Done:
    """Build one candidate as if it were all that there is of the patient."""
    from .building import build_patient

    patient, index = payload["patient"], payload["index"]
    waiting = _possible(settings, patient)
    if index >= len(waiting) or marks.chosen(settings, waiting[index]) != payload["chosen"]:
        raise Incomplete("the summary of this patient has just changed. Run the quarantine again.", retriable=False)
    chain, place = waiting[index], place_of(settings, patient, index)
    if candidates.owner_of(place) != patient and place.exists():
        raise ConfigError(
            "the folder of a candidate is taken by something that qa-fetch has not written. Move it out of "
            "thequarantine, then run again."
        )
    candidates.own(place, patient)  # unfinished from here on; what is built already of the same objects is kept
    columns.write(place, patient, "SUCCESS", _rows_of(chain))
    decision = _undecided(settings, patient, Choice(chain.uids, _ALONE))
    own = replace(settings, datadirectory=place, patientnotesdir=place, imagesummaries=place)
    notes = build_patient(own, patient, decision)
    built = Built.read(_folder(settings, place, patient))
    candidates.finish(place, patient, index, chain, built, notes)
    return Done(detail={"status": notes.status, "code": str(notes.deciding)})


def _rows_of(chain: Chain) -> list[Any]:
    nodes = (chain.images, *chain.structures, *chain.plans, *chain.doses)
    return [row for node in nodes for row in node.rows]
