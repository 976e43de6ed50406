"""A folder of Pinnacle archives as an archive: patients are converted when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConfigError, ConnectionFailed, Incomplete
from ..locks import FileLock
from ..matching import Value, query
from ..pinnacle import objects
from ..pinnacle.labels import called
from ..pinnacle.making import Notes
from ..pinnacle.records import Patient
from ..pinnacle.uids import Uids
from ..shelf import Claim, Reference
from . import Local, Sent, Step
from .levels import UNIQUE, answered, check_level, chosen, level_of, only, require_anchor
from .pinnacle_conversion import KEPT, Conversion, row_of, superseded
from .pinnacle_folder import Held, identifier, person, state
from .pinnacle_index import Header, Index, Known

_RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
_SHOWN = 5  # damaged archives that a connection test names one by one


class PinnacleBackend:
    """Tars of Pinnacle patients, and unpacked ones, in a folder and below it.

    What the archives hold is kept in an index, so patients and plans are found without opening one. Studies, series
    and objects have UIDs that only the conversion knows: it is done at the first question for them. A conversion that
    has begun is brought to its end whatever the budget, since half of one is worth nothing to the next call.
    """

    relational = True

    def __init__(self, archive: ArchiveConfig, local: Local) -> None:
        self.name = archive.name
        self._root: Path = archive["path"]
        if not self._root.is_dir():
            raise ConfigError(
                f"{self.name}: {self._root} is one archive. Name the folder that holds it: pinnacle:{self._root.parent}"
                if self._root.is_file()
                else f"{self.name}: {self._root} is not a folder. Correct path."
            )
        digest = hashlib.sha256(str(self._root.absolute()).encode("utf-8", "surrogatepass")).hexdigest()[:10]
        self._place = local.shelf / f"pinnacle-{digest}"
        self._index = Index(self.name, self._root, self._place)
        self._current = False
        self._since: dict[str, tuple[int, dict[str, int]]] = {}
        self._conversion: Optional[Conversion] = None
        self._converted = ""

    # --- find

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Entities of a level that fit the keys: patients and plans as the index has them, others as converted."""
        level = check_level(level)
        self._refresh(budget)
        people = self._people(keys)
        if level == "PATIENT" and len(only("PATIENT", keys)) == len(keys):
            rows = [query("PATIENT", _of_patient(held[-1].patient)) for held in people.values()]
            return chosen(rows, level, {}, whole=True)
        headers = self._headers(people, keys, budget)
        return answered([row_of(header) for header in headers], level, keys, returned, whole=set(keys) <= set(KEPT))

    def _people(self, keys: Mapping[str, Value]) -> dict[str, list[Held]]:
        """Whom the keys may mean: each patient in the archives that hold it, the newest last."""
        given = {keyword: value for keyword, value in keys.items() if level_of(keyword) == "PATIENT"}
        given = {keyword: value for keyword, value in given.items() if not keyword.startswith("NumberOf")}
        exact = given.get("PatientID")
        known = isinstance(exact, str) and not set(exact) & set("*?\\")
        people: dict[str, list[Held]] = {}
        for held in self._index.held(str(exact).strip() if known else None):
            people.setdefault(identifier(held.patient), []).append(held)
        rows = (query("PATIENT", _of_patient(held[-1].patient)) for held in people.values())
        return {str(row.PatientID): people[str(row.PatientID)] for row in chosen(rows, "PATIENT", given, whole=True)}

    def _headers(self, people: Mapping[str, list[Held]], keys: Mapping[str, Value], budget: Budget) -> list[Header]:
        """The headers of everything that these patients have, as far as the keys can mean it."""
        plans = keys.get("Modality") is not None and _listed(keys["Modality"]) == ["RTPLAN"]
        if not only("PATIENT", keys):
            named = self._owners(keys)
            if named is None and not plans:
                require_anchor(self.name, keys)
            if named is not None:
                people = {patient: held for patient, held in people.items() if patient in named}
        known = {patient: self._index.known(patient) for patient in people}
        unknown = [patient for patient, found in known.items() if found is None]
        if unknown and not plans:
            if len(unknown) > 1:
                raise ConfigError(
                    f"{self.name} would have to convert {len(unknown)} patients to answer that. Ask for one PatientID."
                )
            known[unknown[0]] = self._convert(unknown[0], budget)
        found = []
        for patient, held in people.items():
            made = known[patient]
            found += made.headers if made is not None else planned(held)
        return found

    def _owners(self, keys: Mapping[str, Value]) -> Optional[set[str]]:
        """Whose the UIDs among the keys are; None without such keys."""
        asked = {level: keys[UNIQUE[level]] for level in ("STUDY", "SERIES", "IMAGE") if keys.get(UNIQUE[level])}
        if not asked:
            return None
        owners = [self._index.patients_of(level, _listed(value)) for level, value in asked.items()]
        return set.intersection(*owners)

    # --- retrieve

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Convert the patients of these objects into the claim, which keeps whatever else belongs to them too."""
        self._refresh(budget)
        for patient in dict.fromkeys(self._patient_of(reference) for reference in references):
            known = self._convert(patient, budget, files=True) if patient else None
            if known is None or self._conversion is None:
                continue
            for series in {header["SeriesInstanceUID"] for header in known.headers if "SeriesInstanceUID" in header}:
                claim.welcome(series)
            for path in self._conversion.files:
                claim.take_file(path)
            self._index.overtake(patient)
            absent = [one for one in claim.missing if self._patient_of(one) == patient]
            if absent:
                raise Incomplete(
                    f"{self.name} cannot convert {len(absent)} of these objects. {_reasons(known.skipped)}",
                    retriable=False,
                    missing=[reference.instance for reference in absent],
                )

    def _patient_of(self, reference: Reference) -> str:
        return reference.patient or next(iter(sorted(self._index.patients_of("IMAGE", [reference.instance]))), "")

    def _convert(self, patient: str, budget: Budget, *, files: bool = False) -> Optional[Known]:
        """What a conversion makes of a patient; with ``files`` these must be at hand, and not only be known."""
        if self._converted == patient:
            return self._index.known(patient)
        digest = hashlib.sha256(patient.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        with FileLock(self._place / "locks" / f"{digest}.lock") as lock:
            if not lock.acquire(budget):
                raise ConnectionFailed(
                    f"another process is converting this patient of {self.name} and has not finished within {budget}. "
                    "Call again to go on from there."
                )
            known = self._index.known(patient)  # another process may have converted it while we waited
            if known is not None and not files:
                return known
            held = self._index.held(patient)
            if not held:
                return None
            _require_one_person(self.name, held)
            made_of = self._index.state(patient)
            self._forget_conversion()
            self._conversion = Conversion(self._place)
            known = self._conversion.convert(held)
            self._require_unchanged(held)
            self._index.note(patient, made_of, known)
            self._converted = patient
            self._since.pop(patient, None)
            return known

    def _refresh(self, budget: Budget) -> None:
        """Look at the folder once for each call of an ``Archive``."""
        if not self._current:
            self._index.refresh(budget)
            self._current = True

    def _require_unchanged(self, held: Sequence[Held]) -> None:
        """What was converted from an archive that somebody was just writing is not used."""
        if any(state(one.archive) != one.state for one in held):
            raise ConnectionFailed(
                f"an archive of {self.name} changed while it was converted, so nothing of it is used. "
                "Call again when it is written to its end."
            )

    # --- what only a converting archive can say

    @property
    def converts(self) -> bool:
        """That its objects are made here."""
        return True

    def left_out(self, patient: str, budget: Budget) -> list[str]:
        """What of a patient could not be converted, each with its reason."""
        self._refresh(budget)
        known = self._index.known(patient)
        return known.skipped if known is not None else []

    def where_else(self, budget: Budget) -> str:
        """What to do where a patient is not found: archives that cannot be read, or have no number, may hold it."""
        self._refresh(budget)
        archives, _, nameless = self._index.counts()
        unread = len(self._index.problems())
        if not archives:
            return f"There are no archives in {self._root}. Check the path, and whether it is mounted."
        doubts = [f"{unread} of its archives cannot be read as a whole"] if unread else []
        doubts += [f"{nameless} of its patients have no number"] if nameless else []
        if doubts:
            return f"Check the ID; {' and '.join(doubts)}: qa-fetch echo pinnacle:{self._root}"
        return f"Check the ID: qa-fetch find pinnacle:{self._root} PATIENT"

    def since(self, reference: Reference, budget: Budget) -> int:
        """Since when an object is as it would be converted now, in nanoseconds."""
        self._refresh(budget)
        patient = self._patient_of(reference)
        if patient not in self._since:
            self._since[patient] = self._index.since(patient)
        moment, later = self._since[patient]
        return max(moment, later.get(reference.instance, 0))

    # --- the rest

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Nothing is ever written into the folder of archives."""
        problem = f"{self.name} is a folder of Pinnacle archives, which is only read; send to another archive"
        return [Sent(path, problem) for path in files]

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Whether the folder can be read, what is in it, and which archives are damaged."""
        self._refresh(budget)
        yield Step("folder", True, f"{self._root} can be read")
        archives, patients, nameless = self._index.counts()
        says = f"archives: {archives}, patients in them: {patients}"
        says += f", and {nameless} without a number, for qa-fetch pinnacle export only" if nameless else ""
        yield Step("archives", True if patients else None, says)
        problems = self._index.problems()
        for path, problem in problems[:_SHOWN]:
            yield Step(path, False, problem)
        if len(problems) > _SHOWN:
            yield Step("further archives", False, f"{len(problems) - _SHOWN} more cannot be read as a whole")
        if patient:
            plans = self.find("IMAGE", {"PatientID": patient, "Modality": "RTPLAN"}, [], budget)
            yield Step("patient", bool(plans), f"plans of that patient: {len(plans)}")

    def close(self) -> None:
        """Remove converted files that are not on the shelf, and close the index."""
        self._forget_conversion()
        self._index.close()

    def _forget_conversion(self) -> None:
        if self._conversion is not None:
            conversion, self._conversion, self._converted = self._conversion, None, ""
            conversion.close()


def planned(held: Sequence[Held]) -> list[Header]:
    """The plans of a patient that has not been converted: one for each trial, as it will be written."""
    found: list[Header] = []
    for one, elsewhere in zip(held, superseded(held)):
        uids, own = Uids(one.patient), _of_patient(one.patient)
        for entry in one.patient.plans:
            trials = one.trials.get(entry.number, ()) if entry.number not in elsewhere else ()
            for number, trial in enumerate(trials):
                told = called(one.patient, entry, trials, number)
                row = {
                    **own,
                    "Modality": "RTPLAN",
                    "SOPClassUID": _RT_PLAN,
                    "SOPInstanceUID": uids.uid("instance RTPLAN", entry.number, number, trial),
                    "SeriesInstanceUID": uids.uid("series RTPLAN", entry.number, number, trial),
                    "RTPlanLabel": told.label,
                    "RTPlanName": objects.fitted(told.name, objects.LONG, Notes(), ""),
                    "RTPlanDate": told.date,
                    "RTPlanTime": told.time,
                    "ApprovalStatus": "UNAPPROVED",
                }
                found.append({keyword: value for keyword, value in row.items() if value})
    return found


def _of_patient(patient: Patient) -> Header:
    """The attributes of a patient as its objects have them."""
    return {
        "PatientID": identifier(patient),
        "PatientName": person(patient),
        "PatientBirthDate": patient.birth_date or "",
        "PatientSex": patient.sex or "",
    }


def _require_one_person(name: str, held: Sequence[Held]) -> None:
    """Archives that name two people under one number are never put together."""
    births = {one.patient.birth_date for one in held}
    if len(births - {None}) > 1 or (None in births and len({person(one.patient).casefold() for one in held}) > 1):
        raise BadArchive(
            f"{len(held)} archives of {name} have this patient ID with different birth dates or names, so they are not "
            "put together. Convert the right one by itself: qa-fetch pinnacle export."
        )


def _reasons(skipped: Sequence[str]) -> str:
    """What was left out, shortly."""
    if not skipped:
        return "Look why: qa-fetch pinnacle export."
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"Left out: {skipped[0].rstrip('.')}{more}."


def _listed(value: Value) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple, set, frozenset)) else [str(value)]
