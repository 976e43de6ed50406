"""Convert an archive, have somebody else's conversion of it beside ours, and hold each object against the other."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Optional, Protocol, Union

from ... import part10
from ...errors import BadArchive, ConfigError, NotFound
from .. import reading
from ..choosing import Name, everybody
from ..export import export
from ..records import Patient
from ..report import Converted
from ..sources import Source, opened
from . import found as keys
from . import judging
from .found import IMAGES, PLAN, Found, Key
from .known import Scene, of_trial
from .reference import Reference
from .results import Comparison, Validated, Validation
from .second_engine import Pymedphys
from .tolerances import SAID

ENGINES = ("pymedphys",)
_LIMIT = 3600.0  # seconds for a call of the engine
_VERSION = re.compile(r"(\d+\.\d+)")


class Other(Protocol):
    """The other side: an engine, or an export."""

    name: str
    knows: bool  # whether its deficits are known

    def found(self, source: Source, patient: Patient, converted: Converted, ours: Found) -> Found:
        """Its counterparts of our objects of a patient."""
        ...


def validate(
    archive: Union[str, Path],
    *,
    reference: Union[str, Path, None] = None,
    engine: str = "pymedphys",
    patient: Optional[str] = None,
    plan: Name = None,
    trial: Name = None,
    mu: str = "agree",
    limit: float = _LIMIT,
    on_progress: Optional[Callable[[int, int], None]] = None,
) -> Validation:
    """Compare our conversion of an archive with that of a second engine, or with the planning system's own export.

    Parameters
    ----------
    archive
        A tar, a compressed tar or an unpacked archive.
    reference
        A folder that the planning system exported the patient to; without it, the engine converts the archive too.
    engine
        The second engine: ``pymedphys``.
    patient, plan, trial, mu
        As for ``export``.
    limit
        How many seconds one call of the engine may take.
    on_progress
        Called with how many objects are compared, and of how many, as far as is known.
    """
    if engine not in ENGINES:
        raise ConfigError(f"there is no second engine {engine!r}. Say one of: {', '.join(ENGINES)}.")
    with tempfile.TemporaryDirectory(prefix="qa_fetch-validate-") as name:
        work = Path(name)
        for part in ("ours", "theirs"):
            (work / part).mkdir()
        other: Other = Reference(Path(reference)) if reference is not None else Pymedphys(work / "theirs", limit)
        report = export(archive, work / "ours", patient=patient, plan=plan, trial=trial, mu=mu)
        with opened(Path(archive)) as source:
            entries = {entry.folder: entry for entry in everybody(source)}
            patients = tuple(
                _validated(source, entries[each.source], each, other, on_progress) for each in report.patients
            )
        return Validation(report.archive, other.name, patients, SAID)


def _validated(
    source: Source,
    patient: Patient,
    converted: Converted,
    other: Other,
    on_progress: Optional[Callable[[int, int], None]],
) -> Validated:
    ours = keys.ours(converted)
    theirs = other.found(source, patient, converted, ours)
    wanted = sorted({*ours.paths, *ours.missing}, key=_place)
    done = []
    for count, comparison in enumerate(_comparisons(source, patient, converted, other, ours, theirs, wanted), 1):
        done.append(comparison)
        if on_progress is not None:
            on_progress(count, len(wanted))
    return Validated(patient.folder, patient.medical_record_number, tuple(done), (*theirs.notes, *theirs.others))


def _place(key: Key) -> tuple[bool, int, int, str]:
    """Images first, then plan by plan its structures and its trials."""
    return key.kind != IMAGES, key.number, -1 if key.trial is None else key.trial, key.kind


def _comparisons(
    source: Source, patient: Patient, converted: Converted, other: Other, ours: Found, theirs: Found, wanted: list[Key]
) -> Iterator[Comparison]:
    sets = {entry.number: entry.image_set for entry in patient.plans}
    sides = {
        number: tuple(judging.side(side.paths.get(Key(IMAGES, number), [])) for side in (ours, theirs))
        for number in {key.number for key in wanted if key.kind == IMAGES}
        | {each for each in sets.values() if each is not None}
    }
    nothing = (judging.Side(), judging.Side())
    for key in wanted:
        names = _names(converted, key)
        reason = _reason(ours, theirs, key)
        if reason is not None:
            yield judging.opened(key, names, reason)
            continue
        image_set = key.number if key.kind == IMAGES else sets.get(key.number)
        here, there = sides.get(image_set, nothing) if image_set is not None else nothing
        scene = _scene(source, patient, converted, ours, key, image_set) if other.knows else None
        yield judging.compared(judging.Case(key, names, ours.paths[key], theirs.paths[key], scene, here, there))


def _reason(ours: Found, theirs: Found, key: Key) -> Optional[str]:
    """Why an object cannot be compared; None where both sides have it."""
    if key not in ours.paths:
        return f"our conversion left it out: {ours.missing[key]}"
    if key not in theirs.paths:
        return theirs.missing.get(key, "the other side has none")
    return None


def _names(converted: Converted, key: Key) -> tuple[str, ...]:
    if key.kind == IMAGES:
        return ()
    plan = next(each for each in converted.plans if each.number == key.number)
    names = (plan.name, plan.trials.get(key.trial) if key.trial is not None else None)
    return tuple(name for name in names if name)


def _scene(
    source: Source, patient: Patient, converted: Converted, ours: Found, key: Key, image_set: Optional[int]
) -> Scene:
    """What decides which deficits of an engine there can be."""
    position, dicom, version = "", False, None
    if image_set is not None:
        try:
            held = reading.image_set(source, patient, image_set)
            position, dicom = held.patient_position or "", bool(held.dicom)
        except (BadArchive, NotFound):
            dicom = False
        for path in ours.paths.get(Key(IMAGES, image_set), [])[:1]:
            position = str(part10.read(path, keywords=["PatientPosition"]).get("PatientPosition", "")) or position
    for plan in converted.plans if key.kind != IMAGES else ():
        said = _VERSION.search(plan.version or "") if plan.number == key.number else None
        version = float(said[1]) if said else version
    return Scene(position, version, dicom, _units(source, patient, key) if key.kind == PLAN else {})


def _units(source: Source, patient: Patient, key: Key) -> dict[tuple[int, float], float]:
    """The monitor units that an engine is expected to find."""
    entry = next(each for each in patient.plans if each.number == key.number)
    try:
        plan = reading.plan(source, patient, entry)
    except (BadArchive, NotFound):
        return {}
    return next((of_trial(trial, plan.machines) for trial in plan.trials if trial.index == key.trial), {})
