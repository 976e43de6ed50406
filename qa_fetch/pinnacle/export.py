"""A Pinnacle archive becomes DICOM: every image set, plan and trial of its patients, in one folder per patient.

What cannot be converted is left out and named in the report; nothing else suffers from it. Objects are made, written
and forgotten one by one, so that memory does not grow with the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional, Union

from ..errors import ConfigError
from .choosing import Chosen, Name, check_units, choose, everybody, trial_names
from .making import Left
from .naming import folders
from .releasing import Workplace, refuse_foreign, save_report
from .report import Converted, Origin, Report
from .sources import Source, opened

if TYPE_CHECKING:
    from .converting import Conversion

OnProgress = Callable[[int, int], None]


def export(
    archive: Union[str, Path],
    to: Union[str, Path],
    *,
    patient: Optional[str] = None,
    plan: Name = None,
    trial: Name = None,
    mu: str = "agree",
    on_progress: Optional[OnProgress] = None,
) -> Report:
    """Convert an archive; each patient appears in the output in one step, with a ``report.json`` beside its objects.

    An output that is there already is left as it is: that is fine where it holds the same objects, and an error where
    it does not.

    Parameters
    ----------
    archive
        A tar, a compressed tar or an unpacked archive.
    to
        The output folder; each patient gets a folder in it, named by the medical record number.
    patient
        A medical record number, or the patient's folder in the archive; without it, all patients.
    plan, trial
        Names or numbers; without them, all plans and all trials, and the image sets that no plan uses too.
    mu
        Monitor units are worked out by a formula and from the dose grid. ``agree`` takes them where both say the same,
        ``formula`` and ``grid`` take one of them.
    on_progress
        Called with how many objects are written, and of how many, as far as is known.
    """
    path, output = Path(archive), Path(to)
    _check(path, output, mu)
    with opened(path) as source:
        patients = everybody(source)
        chosen = choose(source, patients, patient, plan, trial)
        names = folders(patients)
        for each in chosen:
            refuse_foreign(output / names[each.patient.folder])
        origin = Origin(source.name, source.refused, source.stop, {"plan": plan, "trial": trial, "mu": mu})
        told = _Count(source, chosen, on_progress)
        with Workplace(output) as workplace:
            done = tuple(
                _converted(source, origin, each, workplace, names[each.patient.folder], mu, told) for each in chosen
            )
        return Report(source.name, done)


def _check(path: Path, output: Path, mu: str) -> None:
    """ConfigError where a conversion cannot be, before anything is read."""
    check_units(mu)
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file. Name a folder.")
    if path.is_dir() and path.resolve() in (output.resolve(), *output.resolve().parents):
        raise ConfigError(f"{output} lies within {path}, whose files are read. Name a folder outside of it.")
    try:
        import numpy  # noqa: F401
    except ImportError:
        raise ConfigError('converting from Pinnacle needs numpy. Run: pip install "qa_fetch[pinnacle]"') from None


class _Count:
    """How far all patients together have come."""

    def __init__(self, source: Source, chosen: Sequence[Chosen], on_progress: Optional[OnProgress]) -> None:
        self._on_progress, self._done, self._total = on_progress, 0, 0
        if on_progress is not None:
            self._total = sum(_expected(source, each) for each in chosen)

    def __call__(self) -> None:
        if self._on_progress is not None:
            self._done += 1
            self._on_progress(self._done, max(self._done, self._total))


def _expected(source: Source, chosen: Chosen) -> int:
    """How many objects a patient gives, as far as that is known before it is converted."""
    used = {each.entry.image_set for each in chosen.plans}
    images = [entry.images or 0 for entry in chosen.patient.image_sets if chosen.whole or entry.number in used]
    trials = [1 if each.trial is not None else len(trial_names(source, each.entry)) for each in chosen.plans]
    return sum(images) + sum(1 + 2 * count for count in trials)


def _converted(
    source: Source, origin: Origin, chosen: Chosen, workplace: Workplace, name: str, mu: str, told: Callable[[], None]
) -> Converted:
    """Convert a patient and release what has been made; without any object nothing is released."""
    from .converting import Conversion

    folder = workplace.folder(name)
    conversion = Conversion(source, chosen, folder, mu, told)
    conversion.all()
    made = _described(origin, chosen, conversion)
    if not made.written:
        return made
    save_report(folder, made.text())
    try:
        target = workplace.release(folder)
    except ConfigError as error:  # the patients after this one can be converted all the same
        return replace(made, written=(), skipped=(*made.skipped, Left("all that was converted", str(error))))
    return replace(
        made, folder=target, written=tuple(replace(each, path=target / each.path.name) for each in made.written)
    )


def _described(origin: Origin, chosen: Chosen, conversion: Conversion) -> Converted:
    patient = chosen.patient
    return Converted(
        origin=origin,
        source=patient.folder,
        medical_record_number=patient.medical_record_number,
        last_name=patient.last_name,
        first_name=patient.first_name,
        folder=None,
        plans=tuple(conversion.plans),
        written=tuple(conversion.written),
        skipped=conversion.skipped,
        warnings=conversion.warnings,
        damages=conversion.damages,
    )
