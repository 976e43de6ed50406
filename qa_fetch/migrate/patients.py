"""The list of patients: who is alive and is converted, and of whom only the archive is kept."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError
from ..sheet import Moment, Sheet, Wrong, as_typed
from .states import ALIVE, DECEASED, UNKNOWN

_WORDS = {
    ALIVE: "alive living lives vivant vivante vivants lebend lebt lebendig vivo viva",
    DECEASED: "deceased dead died expired decede decedee dcd mort morte verstorben tot gestorben deceduto deceduta",
    UNKNOWN: "unknown notknown inconnu inconnue unbekannt sconosciuto sconosciuta",
}
_STATUSES = {word: status for status, words in _WORDS.items() for word in words.split()}
# As hospitals call these columns, without what is neither letter nor digit.
_IDS = frozenset(
    "patientid pid id mrn medicalrecordnumber medicalrecordno recordnumber patientnumber patientno ipp nip "
    "numeropatient nopatient idpatient patientennummer patientennr patientnr patid paziente idpaziente".split()
)
_STATUS = frozenset(
    "status state vitalstatus lifestatus patientstatus vital statut statutvital etat etatvital vitalstatut "
    "lebensstatus zustand stato statovitale".split()
)
_FIRST = 10  # mistakes that a sentence names
_LONGEST = 40  # letters of a word that a sentence repeats


class Listed(NamedTuple):
    """A row of the list: its number among the rows, where it stands in the file, the patient and the status."""

    row: int
    line: int
    patient: str
    status: str


class Patients(list[Listed]):
    """The rows of a list, each patient once, and what its writer should know."""

    notes: tuple[str, ...] = ()


def read(path: Path) -> Patients:
    """The patients of a list, CSV or ``.xlsx``; ConfigError with all of its mistakes at once."""
    return _Reading(path).all()


def plain_word(text: str) -> str:
    """A word as it is compared: without accents, case, and what is neither letter nor digit."""
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub("[^0-9a-z]", "", letters.casefold())


class _Reading:
    """One way through a list."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wrong: list[str] = []
        self._sheet = Sheet(path, lambda line, text: self._wrong.append(f"line {line}: {text}"))
        self._first: dict[str, Listed] = {}
        self._repeats: list[int] = []

    def all(self) -> Patients:
        lines = self._sheet.lines()
        _, names = next(lines, (0, {}))
        id_column, status_column = self._columns(names)
        found = Patients()
        number = 0
        for line, cells in lines:
            number += 1
            if not cells:
                continue
            patient = self._patient(f"row {number} (line {line})", cells.get(id_column, ""))
            status = self._status(f"row {number} (line {line})", cells.get(status_column, ""))
            if patient and status:
                self._take(Listed(number, line, patient, status), found)
        if self._wrong:
            raise ConfigError(self._sentence())
        if not found:
            raise ConfigError(f"{self._path} names no patients. Write one into each row below its first line.")
        found.notes = tuple(self._notes())
        return found

    def _columns(self, names: dict[int, str]) -> tuple[int, int]:
        plain = {position: plain_word(name) for position, name in names.items()}
        ids = [position for position, name in plain.items() if name in _IDS]
        statuses = [position for position, name in plain.items() if name in _STATUS]
        for what, found, example in (("patient IDs", ids, "patient_id"), ("the status", statuses, "status")):
            if not found:
                raise ConfigError(
                    f"{self._path} has no column for {what} in its first line. Call that column {example}."
                )
            if len(found) > 1:
                columns = " and ".join(str(position + 1) for position in sorted(found))
                raise ConfigError(
                    f"{self._path} has several columns for {what} ({columns}). Call only the right one {example}."
                )
        return ids[0], statuses[0]

    def _patient(self, place: str, cell: str) -> str:
        """The patient ID of a cell; no sentence repeats it."""
        if not cell:
            self._wrong.append(f"{place} has no patient ID")
            return ""
        if isinstance(cell, Moment):
            self._wrong.append(f"{place}, patient ID: Excel has made a date of this cell; format the column as text")
            return ""
        try:
            return as_typed(cell)
        except Wrong as error:
            self._wrong.append(f"{place}, patient ID: {error}")
            return ""

    def _status(self, place: str, cell: str) -> str:
        status = "" if "?" in cell else _STATUSES.get(plain_word(cell), "")  # who doubts has to decide
        if not cell:
            self._wrong.append(f"{place} has no status; write alive, deceased or unknown")
        elif not status:
            shown = cell if len(cell) <= _LONGEST else f"{cell[:_LONGEST]}..."
            self._wrong.append(f"{place} has the status {shown!r}; write alive, deceased or unknown")
        return status

    def _take(self, listed: Listed, found: Patients) -> None:
        first = self._first.setdefault(listed.patient, listed)
        if first is listed:
            found.append(listed)
        elif first.status != listed.status:
            self._wrong.append(
                f"row {listed.row} (line {listed.line}) says {listed.status} of the patient "
                f"of whom row {first.row} says {first.status}"
            )
        else:
            self._repeats.append(listed.row)

    def _notes(self) -> Sequence[str]:
        notes = list(self._sheet.notes)
        if self._repeats:
            rows = ", ".join(map(str, self._repeats[:_FIRST])) + (" and more" if len(self._repeats) > _FIRST else "")
            notes.append(f"{len(self._repeats)} of its rows repeat a patient of an earlier one: {rows}.")
        return notes

    def _sentence(self) -> str:
        if len(self._wrong) == 1:
            return f"{self._path} has a mistake, so nothing was converted: {self._wrong[0]}. Correct it and run again."
        first = "; ".join(f"[{count}] {mistake}" for count, mistake in enumerate(self._wrong[:_FIRST], 1))
        more = f"; and {len(self._wrong) - _FIRST} more" if len(self._wrong) > _FIRST else ""
        return (
            f"{self._path} has {len(self._wrong)} mistakes, so nothing was converted: {first}{more}. "
            "Correct them and run again."
        )
