"""Writing the pages of a cohort: everybody is looked at twice, and only one patient is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ...bulk.report import written
from ...shelf.disk import make_folder, remove_file
from ..config import Settings
from . import cohort, outliers, patient, subject
from .outliers import Figures

_ADVICE = "Free space there or give another folder, then run: qa-fetch cohort report."


def report(settings: Settings) -> Path:
    """Write a page for the cohort and one for each patient into ``report`` in the work folder; gives the first.

    Pages of patients who are in the cohort no more are removed.
    """
    folder = make_folder(settings.work / "report")
    everybody, unknown = subject.patients(settings)
    unusual = outliers.of_all(_figures(settings, everybody))
    lines = []
    for place, one in enumerate(everybody):
        found = subject.read(settings, one)
        before, after = everybody[place - 1] if place else None, next(iter(everybody[place + 1 : place + 2]), None)
        pieces = patient.page(found, unusual.get(one, ()), patient.Neighbours(before, after))
        with written(folder / "patients" / patient.name_of(one), "utf-8", _ADVICE) as file:
            file.writelines(pieces)
        lines.append(cohort.line_of(found))
    target = folder / "index.html"
    with written(target, "utf-8", _ADVICE) as file:
        file.writelines(cohort.page(lines, unusual, settings, unknown=unknown, made=datetime.now()))
    _remove_others(folder / "patients", {patient.name_of(one) for one in everybody})
    return target


def _figures(settings: Settings, everybody: list[str]) -> Iterator[Figures]:
    for one in everybody:
        found = outliers.figures(subject.read(settings, one, linked=False))
        if found is not None:
            yield found


def _remove_others(folder: Path, kept: set[str]) -> None:
    for path in folder.glob("*.html"):
        if path.name not in kept:
            remove_file(path)
