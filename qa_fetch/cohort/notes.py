"""What was found out about a patient, as PDCP's notes: one JSON file per patient, whole or not there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from ..errors import BadArchive, Incomplete
from ..part10 import plain
from ..shelf.disk import write_text
from .codes import CODES, EXECLUDE, REVIEW, SUCCESS, Code

KEYS = (
    "raw_images_summary list_of_values verification_notes verified_images_summary version retrieval_notes "
    "loading_notes status code imagesummary patientimagingfilesready"
).split()
VALUES = (
    "PatId CT_SeriesIdentifier RTSTRUCT_SOPInstanceUID StructureSetDate StudyDate RTDOSE_SOPInstanceUID "
    "RTPLAN_SOPInstanceUID CT_orthanc_identifier RTSTRUCT_orthanc_identifiers RTDOSE_orthanc_identifiers "
    "RTPLAN_orthanc_identifiers thedir ct_directory rtdoses_directory rtdoses_directory_nifti rtstruct_directory "
    "masks_directory nifti_directory"
).split()  # the keys of list_of_values
_SECTIONS = ("verification_notes", "retrieval_notes", "loading_notes")
_LARGEST = 1 << 26  # bytes
_PLAIN_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._^+-]{0,78}[A-Za-z0-9_^+-])?")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # what Windows makes no file of


def stem(patient: Union[str, int]) -> str:
    """A patient's ID as the name of files and folders: itself wherever that is safe, as PDCP's scripts expect it.

    Other IDs are marked with ``~``, which no safe one holds, so that two patients never share a name.
    """
    text = str(patient)
    if _PLAIN_ID.fullmatch(text) and not _DEVICE.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{plain(text)[:40] or 'patient'}~{digest}"


def pat_id(patient: Union[str, int]) -> Union[str, int]:
    """A patient's ID as PDCP writes it into JSON: a number where the same digits come back from it."""
    text = str(patient)
    return int(text) if re.fullmatch("0|[1-9][0-9]{0,17}", text) else text


class Notes:
    """The notes of one patient; they grow step by step, and are written as a whole."""

    def __init__(self, patient: Union[str, int], version: str = "") -> None:
        self.patient = str(patient)
        self.codes: list[Code] = []
        self.ready = False
        self._facts: dict[str, Any] = {"version": version}
        self._said: dict[str, list[str]] = {}

    def say(self, section: str, text: str) -> None:
        """Add a line to ``verification_notes``, ``retrieval_notes`` or ``loading_notes``."""
        if section not in _SECTIONS:
            raise KeyError(section)
        self._said.setdefault(section, []).append(text)

    def give(self, code: Code, detail: str = "", **facts: object) -> Code:
        """Add a code: PDCP's words for it, then the code itself.

        Parameters
        ----------
        code
            Which one.
        detail
            What else is known, a sentence that stands before both.
        **facts
            What stands in the braces of PDCP's words.
        """
        if detail:
            self.say(code.section, f"{code.step}: {detail}")
        self.say(code.section, code.told(**facts))
        whom = f":{self.patient}" if code.step in ("I", "II") and code.outcome != EXECLUDE else ""
        self.say(code.section, f"{code.step}: {code}{whom}")
        self.codes.append(code)
        return code

    def put(self, key: str, value: Any) -> None:
        """Set one of the other keys; KeyError where PDCP has no such key."""
        if key not in KEYS or key in (*_SECTIONS, "status", "code", "patientimagingfilesready"):
            raise KeyError(key)
        self._facts[key] = value

    def lines(self, section: str) -> tuple[str, ...]:
        """What has been said in a section."""
        return tuple(self._said.get(section, ()))

    @property
    def excluded_by(self) -> Optional[Code]:
        """The last code that excludes the patient; None where none does."""
        return next((code for code in reversed(self.codes) if code.outcome == EXECLUDE), None)

    @property
    def status(self) -> str:
        """``EXECLUDE`` where a code says so, else ``REVIEW`` where one does, else ``SUCCESS``."""
        outcomes = {code.outcome for code in self.codes}
        return EXECLUDE if EXECLUDE in outcomes else REVIEW if REVIEW in outcomes else SUCCESS

    @property
    def deciding(self) -> Optional[Code]:
        """The code that the status comes from: one that excludes, else one that asks for a review, else the last."""
        reviewed = (code for code in reversed(self.codes) if code.outcome == REVIEW)
        return self.excluded_by or next(reviewed, None) or next(iter(reversed(self.codes)), None)

    def to_dict(self) -> dict[str, Any]:
        """PDCP's keys, as far as the patient has come, in the order of its example."""
        known: dict[str, Any] = {**self._facts, **self._said, "status": self.status}
        known["patientimagingfilesready"] = self.ready and self.status != EXECLUDE
        if self.excluded_by is not None:
            known["code"] = str(self.excluded_by)
        return {key: known[key] for key in KEYS if key in known}

    def write(self, folder: Path) -> Path:
        """Write ``<patient>.json``, which a reader finds as it was or as it is, never half."""
        target = notes_path(folder, self.patient)
        try:
            write_text(target, json.dumps(self.to_dict()))
        except OSError as error:
            raise Incomplete(
                f"notes cannot be written to {folder} ({error.strerror}). Free space there or give another folder.",
                retriable=False,
            ) from error
        return target

    @classmethod
    def read(cls, folder: Path, patient: Union[str, int]) -> Optional[Notes]:
        """The notes of exactly this patient, ours or PDCP's; None where there are none.

        Raises
        ------
        BadArchive
            The file holds something else.
        """
        path = notes_path(folder, patient)
        try:
            with path.open("rb") as file:
                written = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Incomplete(
                f"notes in {folder} cannot be read ({error.strerror}). Check the folder and its permissions."
            ) from error
        found = _parsed(written)
        if found is None:
            raise BadArchive(
                f"notes in {folder} are not the JSON that PDCP writes. Remove the file that is broken, "
                "then run: qa-fetch cohort verify."
            )
        notes = cls(patient)
        notes._take(found)
        return notes

    def forget(self, *steps: str) -> None:
        """Take back what steps, by their Roman numbers, have said, since they are done again."""
        self.codes = [code for code in self.codes if code.step not in steps]
        for section, lines in list(self._said.items()):
            kept = [line for line in lines if line.partition(":")[0] not in steps]
            self._said[section] = kept
            if not kept:
                del self._said[section]
        self.ready = False

    def _take(self, found: Mapping[str, Any]) -> None:
        for section in _SECTIONS:
            lines = found.get(section)
            if isinstance(lines, list):
                self._said[section] = [line for line in lines if isinstance(line, str)]
                self.codes += codes_in(self._said[section])
        excluding = str(found.get("code", "")).partition(":")[0].strip()
        if excluding in CODES and CODES[excluding] not in self.codes:
            self.codes.append(CODES[excluding])
        fixed = (*_SECTIONS, "status", "code", "patientimagingfilesready")
        self._facts.update({key: found[key] for key in KEYS if key in found and key not in fixed})
        self.ready = found.get("patientimagingfilesready") is True


def notes_path(folder: Path, patient: Union[str, int]) -> Path:
    """Where the notes of a patient lie."""
    return folder / f"{stem(patient)}.json"


def codes_in(lines: Sequence[str]) -> list[Code]:
    """The codes in a list of notes, however their colons are spaced."""
    parts = ([part.strip() for part in line.split(":")] for line in lines)
    return [CODES[part[1]] for part in parts if len(part) > 2 and part[1] in CODES]


def summary_of(
    patient: Union[str, int], rows: Sequence[Mapping[str, str]], modalities: Sequence[str]
) -> dict[str, Any]:
    """How much there is of a patient, as ``raw_images_summary`` and ``verified_images_summary`` have it."""
    found: dict[str, Any] = {
        "PatId": pat_id(patient),
        "number_of_patient_studies": len({row["StudyIdentifier"] for row in rows}),
    }
    for modality in modalities:
        of_it = [row for row in rows if row["Modality"] == modality]
        found[f"number_of_{modality}_series"] = len({row["SeriesIdentifier"] for row in of_it})
        found[f"number_of_{modality}_instances"] = len(of_it)
    return found


def _parsed(written: bytes) -> Optional[dict[str, Any]]:
    try:
        found = json.loads(written.decode("utf-8")) if len(written) <= _LARGEST else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
