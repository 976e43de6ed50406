"""Who becomes whom, and by how many days: as given, as an earlier run had it, or as the key makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Optional, Union

from ..errors import ConfigError, NotFound
from ..shelf.disk import write_text
from .keyed import Key
from .keyfolder import (
    Codes,
    bare,
    fault_of,
    locked,
    read_codes,
    read_offsets,
    read_own,
    read_own_offsets,
    write_json,
)

NEW_IDS, NEW_ID, MAPPER, OFFSETS = "new_ids.json", "new_id.txt", "mapper.json", "date_offsets.csv"


class Identities:
    """The codes and day shifts of a run, kept in a folder that belongs to the key.

    What the folder holds from an earlier run stays true: whoever gives a patient another code now is told so.

    Parameters
    ----------
    key
        Makes what is not given.
    folder
        Where ``new_ids.json``, ``mapper.json`` and ``date_offsets.csv`` are kept; made by ``save()`` if absent.
    new_ids
        The codes: a ``new_ids.json`` or the same as a mapping, or a text file with the code of the only patient.
    offsets
        The day shifts: a ``date_offsets.csv`` or a ``day_shift_<project>.json``.
    """

    def __init__(
        self,
        key: Key,
        folder: Path,
        *,
        new_ids: Union[Mapping[str, str], Path, None] = None,
        offsets: Optional[Path] = None,
    ) -> None:
        self.folder = folder
        self._key = key
        alone = folder / NEW_ID
        if new_ids is None and alone.is_file():
            new_ids = alone
        self._given: Union[Codes, str, None] = None if new_ids is None else read_codes(new_ids)
        self._list = new_ids.name if isinstance(new_ids, Path) else "new_ids"
        self._offsets = None if offsets is None else read_offsets(offsets)
        kept = read_own(folder / NEW_IDS)
        self._kept = dict(kept.items()) if kept else {}
        self._kept_offsets = read_own_offsets(folder / OFFSETS)
        self._codes: dict[str, str] = {}  # of this run
        self._days: dict[str, int] = {}
        self._owners = {code.casefold(): patient for patient, code in self._kept.items()}
        self._taken = set(self._kept.values())
        if isinstance(self._given, Codes):
            self._taken.update(code for _, code in self._given.items())
        elif self._given is not None:
            self._taken.add(self._given)

    def code(self, patient_id: str) -> str:
        """The code of a patient, and a code as it is; NotFound where a list was given that lacks the patient."""
        patient = bare(patient_id)
        if patient not in self._codes:
            if self.is_code(patient):
                return patient
            self._codes[patient] = self._own(patient, self._found(patient))
        return self._codes[patient]

    def is_code(self, patient_id: str) -> bool:
        """Whether this is a code already, of the key or of a list, so that its data have been anonymised before."""
        listed = isinstance(self._given, Codes) and self._given.get(patient_id) is not None
        known = listed or patient_id in self._kept
        return self._key.made_code(patient_id) or (patient_id in self._taken and not known)

    def patient(self, code: str) -> str:
        """Whose code this is; empty where the folder does not say."""
        return self._owners.get(code.casefold(), "")

    def known_code(self, patient_id: str) -> str:
        """The code that the folder or this run has for a patient; empty where there is none yet."""
        patient = bare(patient_id)
        return self._codes.get(patient) or self._kept.get(patient, "")

    def days(self, patient_id: str) -> int:
        """By how many days the dates of a patient move, never 0; NotFound where a list was given that lacks it."""
        patient, code = bare(patient_id), self.code(patient_id)
        if code in self._days:
            return self._days[code]
        found = self._found_days(patient, code)
        if patient in self._codes:  # else it is a code itself, of which no days are made for others to find
            self._days[code] = found
        return found

    def _found_days(self, patient: str, code: str) -> int:
        kept = self._kept_offsets.get(code, patient) if self._kept_offsets else None
        if self._offsets is None:
            return self._key.days(patient) if kept is None else kept
        given = self._offsets.get(code, patient)
        if given is None:
            raise NotFound(f"{self._offsets.where} has no days for one of the patients. Add them and run again.")
        if kept is not None and kept != given:
            raise _other_days(self.folder)
        return given

    def save(self) -> None:
        """Put what this run used beside what the folder holds; ConfigError where the two contradict each other."""
        with locked(self.folder):
            found = read_own(self.folder / NEW_IDS)
            kept = dict(found.items()) if found else {}
            owners = {code.casefold(): patient for patient, code in kept.items()}
            for patient, code in self._codes.items():
                if kept.setdefault(patient, code) != code:
                    raise _other_code(self.folder)
                if owners.setdefault(code.casefold(), patient) != patient:
                    raise _one_for_two(self.folder)
            offsets = read_own_offsets(self.folder / OFFSETS)
            days = dict(offsets.items()) if offsets else {}
            for code, moved in self._days.items():
                if days.setdefault(code, moved) != moved:
                    raise _other_days(self.folder)
            write_json(self.folder / NEW_IDS, {f"sub-{patient}": code for patient, code in kept.items()})
            write_json(self.folder / MAPPER, {code: patient for patient, code in kept.items()})
            rows = "".join(f"{code},{moved}\n" for code, moved in sorted(days.items()))
            write_text(self.folder / OFFSETS, f"pseudonym,offset_days\n{rows}")

    def _found(self, patient: str) -> str:
        if not patient:
            raise NotFound("an object says nothing about who its patient is, so no code fits. Leave it out.")
        kept = self._kept.get(patient)
        if self._given is None:
            return kept or self._key.code(patient)
        if isinstance(self._given, str):
            if self._codes:
                raise ConfigError(
                    f"{self._list} has one code, and there are several patients. "
                    "Give a new_ids.json with a code for each of them."
                )
            fault = fault_of(self._given, patient)
            if fault:
                raise ConfigError(f"{self._list}: {fault}")
            given: Optional[str] = self._given
        else:
            given = self._given.get(patient)
        if given is None:
            raise NotFound(f"{self._list} has no code for one of the patients. Add it and run again.")
        if kept is not None and kept != given:
            raise _other_code(self.folder)
        return given

    def _own(self, patient: str, code: str) -> str:
        if self._owners.setdefault(code.casefold(), patient) != patient:
            raise _one_for_two(self.folder)
        return code


def outside(folder: Path, output: Path) -> Path:
    """The folder of the identities, resolved; ConfigError where it lies inside the output."""
    kept, out = folder.resolve(), output.resolve()
    for above in (kept, *kept.parents):
        if above == out or (above.exists() and out.exists() and above.samefile(out)):
            raise ConfigError(
                f"{folder} holds who is who and lies inside the output {output}. Name a folder outside of it."
            )
    return kept


def _other_code(folder: Path) -> ConfigError:
    return ConfigError(
        f"a patient has another code in {folder / NEW_IDS} than now. "
        "Use the list of the earlier run, or another key and folder for a project of its own."
    )


def _one_for_two(folder: Path) -> ConfigError:
    return ConfigError(
        f"a code that {folder / NEW_IDS} or this run has for one patient is now given to another. "
        "Give each patient a code of its own."
    )


def _other_days(folder: Path) -> ConfigError:
    return ConfigError(
        f"a patient has another day shift in {folder / OFFSETS} than now. "
        "Use the offsets of the earlier run, or another key and folder for a project of its own."
    )
