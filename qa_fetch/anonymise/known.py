"""What has been learnt of whom, and what stands for whom."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from ..errors import BadArchive, ConfigError, NotFound, QAFetchError
from .harvest import Harvest, Person
from .identities import Identities
from .keyed import Key
from .keyfolder import locked, write_json
from .profile import Profile
from .text import Scrubber
from .values import Subject

_HARVESTS, _STUDIES = "harvests.json", "studies.json"
_TRUE, _GONE = "UNMODIFIED", ("MODIFIED", "REMOVED")  # what an object says of its dates


class Recipe(NamedTuple):
    """What an anonymiser is made of, for other processes to make the same."""

    key: Path
    profile: Profile
    new_ids: Union[Mapping[str, str], Path, None]
    offsets: Optional[Path]
    ids: Path


@dataclass(frozen=True)
class Learnt:
    """What one object says: who it is about, of which study it is, and what identifies that patient.

    ``has_id`` tells a PatientID from what stands for one where it is missing.
    """

    patient: str
    study: str
    harvest: Harvest
    has_id: bool = False

    @classmethod
    def of(cls, person: Person, harvest: Harvest) -> Learnt:
        """From what was read of it."""
        patient = person.identity or (_nobody(person.study) if person.study else "")
        return cls(patient, person.study, harvest, bool(person.patient_id))


def _nobody(study: str) -> str:
    """Who an object is of that names nobody, unless its study knows more."""
    return f"study {study}"


class Known:
    """Everybody of whom an anonymiser knows something; it is kept in the folder beside the key.

    The same person may have several identities: an ID, another one, or none but a name. Those that share a study know
    each other's strings, and what has no ID is of the only ID of its study.
    """

    def __init__(self, key: Key, recipe: Recipe) -> None:
        self.identities = Identities(key, recipe.ids, new_ids=recipe.new_ids, offsets=recipe.offsets)
        self._folder = recipe.ids
        self._dates = recipe.profile.dates
        self._keeps_institution = "retain-institution-identity" in recipe.profile.options
        self._harvests = {name: Harvest.from_json(one) for name, one in _read(recipe.ids / _HARVESTS).items()}
        self._studies: dict[str, dict[str, bool]] = _read(recipe.ids / _STUDIES)  # with IDs told from names
        self._visits: dict[str, set[str]] = {}  # the same the other way around
        for study, identities in self._studies.items():
            for patient in identities:
                self._visits.setdefault(patient, set()).add(study)
        self._subjects: dict[str, dict[str, Subject]] = {}  # by what an object says of its dates
        self._lock = threading.RLock()

    @property
    def owners(self) -> set[str]:
        """Everybody of whom there is an object, by the identity that has the code; codes themselves are nobody."""
        alone = ((patient, "") for patient in self._harvests if patient and patient not in self._visits)
        visits = ((patient, study) for study, identities in self._studies.items() for patient in identities)
        return {self.owner(*one) for one in (*alone, *visits) if not self.identities.is_code(one[0])}

    def take(self, learnt: Learnt) -> None:
        """Put what an object says to what is known."""
        patient = learnt.patient
        with self._lock:
            is_new = self._has_visited(learnt)
            known = self._harvests.setdefault(patient, Harvest())
            if not learnt.harvest <= known:
                known |= learnt.harvest
                is_new = True
            for name in self._related(patient) if is_new else ():
                self._subjects.pop(name, None)
                self._subjects.pop(self.identities.known_code(name), None)

    def _has_visited(self, learnt: Learnt) -> bool:
        """Note of which study an object is; whether that is new."""
        patient, study = learnt.patient, learnt.study
        if not study or self._studies.get(study, {}).get(patient) in (True, learnt.has_id):
            return False
        if self.identities.is_code(patient):
            return False  # it was anonymised before, perhaps under the same UID
        self._studies.setdefault(study, {})[patient] = learnt.has_id
        self._visits.setdefault(patient, set()).add(study)
        return True

    def _related(self, patient: str) -> set[str]:
        """The identities in the studies of one of them."""
        studies = self._visits.get(patient, ())
        return {patient}.union(*(self._studies[study] for study in studies))

    def owner(self, patient: str, study: str) -> str:
        """Whose an object is; one without an ID is of the patient of its study, where that is clear."""
        with self._lock:
            identities = self._studies.get(study, {})
            if identities.get(patient, True):
                return patient
            named = [name for name in identities if name != _nobody(study)]
            others = [name for name in named if identities[name]] or named
            return others[0] if len(others) == 1 else patient

    def strings(self, owner: str) -> Harvest:
        """What identifies a patient, in whichever object it stands and under whichever identity."""
        found = Harvest()
        for name in self._related(owner):
            found |= self._harvests.get(name, Harvest())
        return found

    def subject(self, owner: str, dates: str = "") -> Subject:
        """What stands for a patient, and takes the patient's strings out of text.

        Parameters
        ----------
        owner
            The patient, or the code of one.
        dates
            What the object says of its dates, which counts where it was anonymised before.
        """
        with self._lock:
            found = self._subjects.setdefault(owner, {})
            is_done = self.identities.is_code(owner)
            said = dates if is_done else ""
            if said not in found:
                days = self._days_again(owner, said) if is_done else self.identities.days(owner)
                code, known = self.identities.code(owner), self.strings(owner)
                behind = self.identities.patient(owner) if said == _TRUE else ""
                if behind:  # its text too is as it was: it may tell the days of objects that are elsewhere
                    known |= self.strings(behind)
                scrubber = Scrubber(self._scrubbed(known, code, has_moved=is_done and said != _TRUE))
                found[said] = Subject(code, days, scrubber, _last(known.days))
            return found[said]

    def _days_again(self, code: str, said: str) -> int:
        """By how many days the dates of what was anonymised before move: none where they have moved or gone."""
        if self._dates == "keep" and said != _TRUE:
            raise BadArchive(
                "an object was anonymised before and does not say that its dates are the true ones "
                "(LongitudinalTemporalInformationModified), so they cannot be kept as such. "
                "Anonymise its original, or use a profile that does not keep dates."
            )
        if self._dates != "shift" or said in _GONE:
            return 0
        if said != _TRUE:
            raise BadArchive(
                "an object was anonymised before and does not say whether its dates have moved "
                "(LongitudinalTemporalInformationModified). "
                "Anonymise its original, or use a profile that removes dates."
            )
        patient = self.identities.patient(code)
        if not patient:
            raise NotFound(
                "an object was anonymised before with its dates kept, and the key's folder does not say who its "
                "patient is, so they cannot be moved. Name the folder of that run, or use a profile that removes dates."
            )
        return self.identities.days(patient)

    def _scrubbed(self, known: Harvest, code: str, *, has_moved: bool) -> Harvest:
        """What is taken out of a patient's text: not the code itself, nor an institution that the profile keeps."""
        others = set() if self._keeps_institution else known.others
        days = set() if has_moved else known.days  # of an output they have moved: nobody knows them
        return Harvest(known.names - {code}, known.ids - {code}, known.dates, others, days)

    def name(self, owners: Iterable[str]) -> None:
        """Settle who becomes whom, where that can be: a patient who is on no list will be told file by file."""
        for owner in sorted(owners):
            if self.identities.is_code(owner):
                continue  # that was settled before
            try:
                self.subject(owner)
            except QAFetchError:
                continue

    def save(self) -> None:
        """Put who is who, and what identifies whom, into the key's folder."""
        self.identities.save()
        with self._lock, locked(self._folder):
            harvests = {name: Harvest.from_json(one) for name, one in _read(self._folder / _HARVESTS).items()}
            for patient, harvest in self._harvests.items():
                known = harvests.setdefault(patient, Harvest())
                known |= harvest
            write_json(self._folder / _HARVESTS, {name: one.to_json() for name, one in sorted(harvests.items())})
            studies = _read(self._folder / _STUDIES)
            for study, identities in self._studies.items():
                studies[study] = {**studies.get(study, {}), **identities}
            write_json(self._folder / _STUDIES, studies)


def _last(days: Iterable[str]) -> str:
    """The last day on which anything was done, for which somebody had to be alive: not one still to come."""
    today = f"{date.today():%Y%m%d}"
    return max((day for day in days if day <= today), default="")


def _read(path: Path) -> dict[str, Any]:
    """What an earlier run has kept: by patient or by study."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not isinstance(entries, dict) or not all(isinstance(one, dict) for one in entries.values()):
        raise _unreadable(path)
    return entries


def _unreadable(path: Path) -> ConfigError:
    return ConfigError(f"{path} cannot be read. Move it away, and anonymise the whole folder again.")
