"""What has been learnt of whom, and what stands for whom."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from ..errors import ConfigError, QAFetchError
from .harvest import Harvest, Person
from .identities import Identities
from .keyed import Key
from .keyfolder import locked, write_json
from .profile import Profile
from .text import Scrubber
from .values import Subject

_HARVESTS, _STUDIES = "harvests.json", "studies.json"
_STUDY = "study "  # who an object is of that names nobody: whoever the others of its study are of


class Recipe(NamedTuple):
    """What an anonymiser is made of, for other processes to make the same."""

    key: Path
    profile: Profile
    new_ids: Union[Mapping[str, str], Path, None]
    offsets: Optional[Path]
    ids: Path


@dataclass(frozen=True)
class Learnt:
    """What one object says: who it is about, of which study it is, and what identifies that patient."""

    patient: str
    study: str
    harvest: Harvest

    @classmethod
    def of(cls, person: Person, harvest: Harvest) -> Learnt:
        """From what was read of it."""
        nobody = f"{_STUDY}{person.study}" if person.study else ""
        return cls(person.identity or nobody, person.study if person.identity else "", harvest)


class Known:
    """Everybody of whom an anonymiser knows something; it is kept in the folder beside the key."""

    def __init__(self, key: Key, recipe: Recipe) -> None:
        self.identities = Identities(key, recipe.ids, new_ids=recipe.new_ids, offsets=recipe.offsets)
        self._folder = recipe.ids
        self._keeps_institution = "retain-institution-identity" in recipe.profile.options
        self._harvests = {name: Harvest.from_json(one) for name, one in _read(recipe.ids / _HARVESTS).items()}
        self._studies: dict[str, str] = _read(recipe.ids / _STUDIES)
        self._subjects: dict[str, Subject] = {}
        self._lock = threading.RLock()

    @property
    def patients(self) -> list[str]:
        """Everybody who has a name in some object."""
        return sorted(patient for patient in self._harvests if patient and not patient.startswith(_STUDY))

    def take(self, learnt: Learnt) -> None:
        """Put what an object says to what is known."""
        with self._lock:
            if learnt.study:
                self._studies.setdefault(learnt.study, learnt.patient)
            known = self._harvests.setdefault(learnt.patient, Harvest())
            if not learnt.harvest <= known:
                known |= learnt.harvest
                self._subjects.pop(self.owner(learnt.patient), None)

    def owner(self, patient: str) -> str:
        """Whose an object is; one that names nobody is of the patient of its study."""
        return self._studies.get(patient[len(_STUDY) :], patient) if patient.startswith(_STUDY) else patient

    def strings(self, patient: str) -> Harvest:
        """What identifies a patient, in whichever object it stands."""
        owner = self.owner(patient)
        found = Harvest()
        for name in {owner, patient}:
            found |= self._harvests.get(name, Harvest())
        if not owner.startswith(_STUDY):
            for study, whose in self._studies.items():
                if whose == owner and f"{_STUDY}{study}" in self._harvests:
                    found |= self._harvests[f"{_STUDY}{study}"]
        return found

    def subject(self, patient: str) -> Subject:
        """What stands for a patient, and takes the patient's strings out of text."""
        with self._lock:
            owner = self.owner(patient)
            if owner not in self._subjects:
                is_done = self.identities.is_code(owner)
                code = self.identities.code(owner)
                days = 0 if is_done else self.identities.days(owner)
                self._subjects[owner] = Subject(code, days, Scrubber(self._scrubbed(owner, code)))
            return self._subjects[owner]

    def _scrubbed(self, patient: str, code: str) -> Harvest:
        """What is taken out of this patient's text: not the code itself, nor an institution that the profile keeps."""
        known = self.strings(patient)
        others = set() if self._keeps_institution else known.others
        return Harvest(known.names - {code}, known.ids - {code}, known.dates, others)

    def name(self, patients: Iterable[str]) -> None:
        """Settle who becomes whom, where that can be: a patient who is on no list will be told file by file."""
        for patient in sorted(patients):
            try:
                self.subject(patient)
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
            write_json(self._folder / _STUDIES, {**_read(self._folder / _STUDIES), **self._studies})


def _read(path: Path) -> dict[str, Any]:
    """What an earlier run has kept."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not isinstance(entries, dict):
        raise _unreadable(path)
    return entries


def _unreadable(path: Path) -> ConfigError:
    return ConfigError(f"{path} cannot be read. Move it away, and anonymise the whole folder again.")
