"""What became of an archive: every object written, every one left out and why, as dataclasses and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from .. import __version__
from .making import Left
from .records import Damage

REPORT = "report.json"
_MOST = 1000  # refused members that a report names; a hostile archive can hold a hundred thousand


@dataclass(frozen=True)
class Written:
    """An object in the output; ``plan`` and ``trial`` are their numbers, None where it belongs to none."""

    path: Path
    modality: str
    sop_class: str
    sop_instance: str
    image_set: Optional[int] = None
    plan: Optional[int] = None
    plan_name: Optional[str] = None
    trial: Optional[int] = None
    trial_name: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report, which lies in the same folder as the object."""
        return {**vars(self), "path": self.path.name}


@dataclass(frozen=True)
class Contents:
    """A plan that was asked for, and its trials by number."""

    number: int
    name: Optional[str]
    version: Optional[str]
    written: Optional[str]
    trials: Mapping[int, Optional[str]]

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        trials = [{"number": number, "name": name} for number, name in self.trials.items()]
        return {**vars(self), "trials": trials}


@dataclass(frozen=True)
class Origin:
    """The archive of a report: its name, what of it was not read, and what was asked of it."""

    name: str
    refused: Mapping[str, str] = field(default_factory=dict)  # members that are never followed -> why
    stop: Optional[str] = None  # where the archive is cut short
    asked: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        named = [{"path": path, "reason": reason} for path, reason in sorted(self.refused.items())[:_MOST]]
        refused = {"refused": named, "refused_in_all": len(self.refused)}
        return {"name": self.name, **refused, "stopped": self.stop, "asked": dict(self.asked)}


@dataclass(frozen=True)
class Converted:
    """What became of one patient; ``folder`` is None where nothing of it was written."""

    origin: Origin
    source: str  # the patient's folder in the archive
    medical_record_number: Optional[str]
    last_name: Optional[str]
    first_name: Optional[str]
    folder: Optional[Path]
    plans: tuple[Contents, ...]
    written: tuple[Written, ...]
    skipped: tuple[Left, ...]
    warnings: tuple[Left, ...]
    damages: tuple[Damage, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return not self.skipped

    def to_json(self) -> dict[str, Any]:
        """What the report beside the objects says."""
        patient = {
            "folder": self.source,
            "medical_record_number": self.medical_record_number,
            "last_name": self.last_name,
            "first_name": self.first_name,
        }
        return {
            "qa_fetch": __version__,
            "archive": self.origin.to_json(),
            "patient": patient,
            "complete": self.complete,
            "plans": [plan.to_json() for plan in self.plans],
            "written": [each.to_json() for each in self.written],
            "skipped": [vars(left) for left in self.skipped],
            "warnings": [vars(left) for left in self.warnings],
            "damages": [vars(damage) for damage in self.damages],
        }

    def text(self) -> bytes:
        """The file ``report.json``; the same conversion gives the same bytes."""
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"
        return text.encode("utf-8", "backslashreplace")  # names of members may be no UTF-8; \udc80 is good JSON


@dataclass(frozen=True)
class Report:
    """What became of an archive, patient by patient."""

    archive: str
    patients: tuple[Converted, ...]

    @property
    def written(self) -> tuple[Written, ...]:
        """Every object of every patient."""
        return tuple(each for patient in self.patients for each in patient.written)

    @property
    def skipped(self) -> tuple[Left, ...]:
        """Everything that was not written, and why."""
        return tuple(left for patient in self.patients for left in patient.skipped)

    @property
    def warnings(self) -> tuple[Left, ...]:
        """What somebody should know of what was written."""
        return tuple(left for patient in self.patients for left in patient.warnings)

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return all(patient.complete for patient in self.patients)

    @property
    def exit_code(self) -> int:
        """What a command ends with: 0 when nothing was left out, else 1."""
        return 0 if self.complete else 1

    def to_json(self) -> dict[str, Any]:
        """The reports of all patients, ready for ``json.dumps``, with the folder of each."""
        patients = [{"output": _text(each.folder), **each.to_json()} for each in self.patients]
        return {"qa_fetch": __version__, "archive": self.archive, "complete": self.complete, "patients": patients}


def _text(path: Optional[Path]) -> Optional[str]:
    return None if path is None else str(path)
