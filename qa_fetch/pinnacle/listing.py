"""What Pinnacle archives hold, without converting or unpacking them: patients, image sets, plans and trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ..errors import QAFetchError
from . import reading
from .choosing import everybody
from .records import Damage, ImageSetEntry, Patient, PlanEntry
from .sources import SQUEEZED, TARS, Source, opened


@dataclass(frozen=True)
class ListedPlan:
    """A plan and the names of its trials; ``problem`` says why those are not known."""

    entry: PlanEntry
    trials: tuple[Optional[str], ...]
    problem: Optional[str] = None


@dataclass(frozen=True)
class ListedPatient:
    """A patient of an archive."""

    patient: Patient
    plans: tuple[ListedPlan, ...]

    @property
    def image_sets(self) -> tuple[ImageSetEntry, ...]:
        """Its image sets, as its own file lists them."""
        return self.patient.image_sets

    @property
    def damages(self) -> tuple[Damage, ...]:
        """What of its own file could not be read."""
        return self.patient.damages


@dataclass(frozen=True)
class Listed:
    """What an archive holds; ``problem`` says why it could not be read, or not to its end."""

    archive: str
    path: Path
    patients: tuple[ListedPatient, ...]
    refused: int = 0  # members that are never followed: links, devices, names that lead outside
    problem: Optional[str] = None

    @property
    def complete(self) -> bool:
        """Whether all of it could be read."""
        problems = [plan.problem for patient in self.patients for plan in patient.plans]
        damages = [damage for patient in self.patients for damage in patient.damages]
        return not (self.problem or any(problems) or any(damage.loses for damage in damages))

    def to_json(self) -> dict[str, Any]:
        """Ready for ``json.dumps``."""
        return {
            "archive": self.archive,
            "path": str(self.path),
            "problem": self.problem,
            "refused": self.refused,
            "patients": [_patient(each) for each in self.patients],
        }


def listing(path: Union[str, Path]) -> Iterator[Listed]:
    """What an archive holds, or each of the tars of a folder.

    Parameters
    ----------
    path
        A tar, a compressed tar, an unpacked archive, or a folder with tars.
    """
    place = Path(path)
    files = place.iterdir() if place.is_dir() else ()
    tars = sorted(each for each in files if each.name.lower().endswith(TARS + SQUEEZED))
    if not tars:
        yield _listed(place)
        return
    for tar in tars:
        try:
            yield _listed(tar)
        except QAFetchError as error:  # the others can be listed all the same
            yield Listed(tar.name, tar, (), problem=str(error))


def _listed(path: Path) -> Listed:
    with opened(path) as source:
        patients = tuple(
            ListedPatient(patient, tuple(_plan(source, entry) for entry in patient.plans))
            for patient in everybody(source)
        )
        return Listed(source.name, path, patients, len(source.refused), source.stop)


def _plan(source: Source, entry: PlanEntry) -> ListedPlan:
    try:
        trials = tuple(reading.trial_names(source, entry))
    except QAFetchError as error:
        return ListedPlan(entry, (), str(error))
    return ListedPlan(entry, trials, None if trials else "no trial of it can be read")


def _patient(listed: ListedPatient) -> dict[str, Any]:
    lists = ("plans", "image_sets", "damages")
    own = {key: value for key, value in asdict(listed.patient).items() if key not in lists}
    plans = [{**asdict(each.entry), "trials": list(each.trials), "problem": each.problem} for each in listed.plans]
    sets, damages = [asdict(each) for each in listed.image_sets], [asdict(each) for each in listed.damages]
    return {**own, "image_sets": sets, "plans": plans, "damages": damages}
