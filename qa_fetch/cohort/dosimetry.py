"""The step ``dvh``: what the doses of every patient do to the regions, as records and tables."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional, Union

from ..bulk import Done, Item, Report
from ..bulk.progress import OnProgress
from ..errors import BadArchive, ConfigError, NotFound
from . import constraints as constraint_files
from . import dosimetry_tables, dosimetry_values, eqd2, listing, loading
from . import metrics as metric_texts
from .built import Built
from .config import Settings
from .dosimetry_records import Dosimetry
from .dosimetry_values import Asked
from .folders import PatientFolder
from .notes import Notes, stem
from .steps import run_step

_EDITION = 2  # another one where the same doses give other values
_USUAL = ("Volume", "Dmean", "Dmax", "D95%", "D2%")  # the metrics where none are asked for
_HIGHEST = 200.0  # Gy


def dvh(
    settings: Settings,
    patients: Optional[Sequence[Union[str, int]]] = None,
    *,
    constraints: Optional[Path] = None,
    metrics: Sequence[str] = (),
    alpha_beta: Optional[float] = None,
    prescription: Optional[float] = None,
    workers: Optional[int] = None,
    where: str = "processes",
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Work out the dose-volume histograms of patients who are built, and write the tables of the cohort.

    A patient is done again where the build or anything that is asked for here has changed.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Their IDs; all by default.
    constraints
        A file of constraints (``constraints.read``).
    metrics
        Of every region, in the language of ``metrics``; by default Volume, Dmean, Dmax, D95% and D2%.
    alpha_beta
        Gy, where EQD2 is wanted.
    prescription
        Gy over all fractions of all plans, instead of what the plans say.
    workers, where, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.

    Raises
    ------
    ConfigError
        The profile has no dose, or what is asked for cannot be understood.
    """
    if not settings.profile.dose:
        raise ConfigError(
            f"profile {settings.profile.name} has no doses, so there are no DVHs to work out. "
            "Choose profile CRDP or CRD, then verify and build again."
        )
    asked = _asked(constraints, metrics, alpha_beta, prescription)
    wanted = _patients(settings, patients)
    window = (settings.suspicious_max_dose_lower_bound, settings.suspicious_max_dose_upper_bound)
    digest = _digest({"edition": _EDITION, "window": window, **asdict(asked)})
    items = [Item(each, {"patient": each, "asked": digest, **_state(settings, each)}) for each in wanted]
    work = functools.partial(patient, settings, asked)
    report = run_step(
        "dvh",
        settings,
        items,
        work,
        where=where,
        workers=workers,
        intact=functools.partial(_is_there, settings),
        on_progress=on_progress,
        cancelled=cancelled,
    )
    told = [each for each in _built_folders(settings) if loading.excluded_by(settings, each.patient) is None]
    dosimetry_tables.write_all(settings, told)
    return report


def patient(settings: Settings, asked: Asked, payload: Mapping[str, Any]) -> Done:
    """The work for one patient: first whether all can be loaded, which may exclude it, then the values.

    Parameters
    ----------
    settings, asked
        Of the step.
    payload
        ``patient`` is the ID.

    Raises
    ------
    NotFound
        It is not built.
    """
    name = str(payload["patient"])
    folder = PatientFolder.of(settings, name)
    dosimetry_tables.forget(folder)
    notes = Notes.read(settings.patientnotesdir, name) or Notes(name, settings.version)
    notes.forget(*loading.STEPS)
    if notes.excluded_by is not None:
        return _excluded(notes)
    built = Built.read(folder)
    if built is None:
        raise NotFound("this patient is not built. Run: qa-fetch cohort build.")
    if built.patient != name:
        raise BadArchive("the folder of this patient holds another one. Remove it, then run: qa-fetch cohort build.")
    loading.check(settings, name, notes)
    notes.write(settings.patientnotesdir)
    if notes.excluded_by is not None:
        return _excluded(notes)
    found = dosimetry_values.worked_out(folder, built, asked)
    dosimetry_tables.write(folder, found)
    return Done(detail={"status": notes.status, **_counted(found.dosimetry)})


def _excluded(notes: Notes) -> Done:
    return Done(detail={"status": notes.status, "code": str(notes.excluded_by)})


def _counted(found: Dosimetry) -> dict[str, int]:
    return {
        "rois": len(found.rois),
        "failed_constraints": sum(each["result"] == "fail" for each in found.constraints),
        "disagreements": sum(not each.agrees for roi in found.rois for each in roi.tps),
    }


def _asked(
    constraints: Optional[Path], metrics: Sequence[str], alpha_beta: Optional[float], prescription: Optional[float]
) -> Asked:
    """What is asked for, understood.

    Parameters
    ----------
    constraints, metrics, alpha_beta, prescription
        As for ``dvh``.
    """
    if isinstance(metrics, str):
        metrics = [metrics]
    parsed = tuple(metric_texts.parse(text) for text in dict.fromkeys(metrics or _USUAL))
    if alpha_beta is not None:
        eqd2.equivalent(0.0, 1, alpha_beta)  # refuses what is no ratio
    if prescription is not None and not (_is_number(prescription) and 0 < prescription <= _HIGHEST):
        raise ConfigError(
            f"the prescription {prescription!r} is no dose of a course. Give it in Gy, from above 0 to {_HIGHEST:g}."
        )
    limits = () if constraints is None else tuple(constraint_files.read(Path(constraints)))
    return Asked(parsed, limits, alpha_beta, prescription)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _patients(settings: Settings, patients: Optional[Sequence[Union[str, int]]]) -> list[str]:
    """Those who are named, else all who are built or known to the cohort."""
    if patients is not None:
        return listing.patients_of(settings, patients)
    built = [folder.patient for folder in _built_folders(settings)]
    try:
        known = listing.patients_of(settings)
    except ConfigError:
        if not built:
            raise
        known = []
    return list(dict.fromkeys([*known, *built]))


def _built_folders(settings: Settings) -> Iterator[PatientFolder]:
    """The folders of all patients who are built; one that cannot be read is told when its patient's turn comes."""
    data = settings.datadirectory
    for path in sorted(data.iterdir()) if data.is_dir() else ():
        folder = PatientFolder(path, "", settings.profile.images)
        if not folder.built.is_file():
            continue
        try:
            built = Built.read(folder)
        except BadArchive:
            continue
        if built is not None and stem(built.patient) == path.name:
            yield PatientFolder.of(settings, built.patient)


def _state(settings: Settings, name: str) -> dict[str, str]:
    """What of a patient decides whether its values still hold: the build, and whether an earlier step excludes it."""
    notes = _notes(settings, name)
    excluded = "" if notes is None or notes.excluded_by is None else notes.excluded_by.name
    return {"built": dosimetry_values.mark(PatientFolder.of(settings, name)), "excluded": excluded}


def _notes(settings: Settings, name: str) -> Optional[Notes]:
    """The notes of a patient without what loading said; None where they are gone or broken, which its turn tells."""
    try:
        notes = Notes.read(settings.patientnotesdir, name)
    except BadArchive:
        return None
    if notes is not None:
        notes.forget(*loading.STEPS)
    return notes


def _is_there(settings: Settings, payload: Any, detail: Any) -> bool:
    """Whether what was worked out of a patient is still there; of an excluded one nothing is."""
    if detail.get("code"):
        return True
    try:
        return Dosimetry.read(PatientFolder.of(settings, str(payload["patient"]))) is not None
    except BadArchive:
        return False


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()[:32]
