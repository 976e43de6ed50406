"""What lies in quarantine, and the table of what differs, by which a person chooses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..bulk.report import cell
from ..errors import Incomplete
from ..shelf.disk import make_folder, write_text
from . import choices
from .built import Built
from .columns import given
from .config import Settings
from .linking.course import fractions, slices_of
from .linking.graph import Chain, Node
from .notes import Notes, stem

_FORMAT = 1
_LARGEST = 1 << 24  # bytes
_FILE = "candidate.json"


@dataclass(frozen=True)
class Candidate:
    """A set of objects that a patient may go on with.

    ``facts`` say what a person needs for the choice; ``status`` and ``code`` are what its notes come to, and
    ``chosen`` says whether a person took this one.
    """

    patient: str
    index: int
    folder: Path
    uids: frozenset[str]
    facts: Mapping[str, str]
    status: str
    code: str
    chosen: bool = False


def place_of(settings: Settings, patient: str, index: int) -> Path:
    """The folder of one candidate."""
    return settings.thequarantine / f"{stem(patient)}_{index}"


def owner_of(place: Path) -> Optional[str]:
    """The patient that a folder of a candidate is of; None where there is none that we made."""
    found = _parsed(place)
    return None if found is None else str(found["patient"])


def is_finished(place: Path, patient: str) -> bool:
    """Whether a candidate of this patient lies in a folder, written down to the end."""
    found = _parsed(place)
    return found is not None and found["patient"] == patient and "uids" in found


def own(place: Path, patient: str) -> None:
    """Make the folder of a candidate, and mark whose it is."""
    write_text(make_folder(place) / _FILE, json.dumps({"format": _FORMAT, "patient": patient}))


def finish(place: Path, patient: str, index: int, chain: Chain, built: Optional[Built], notes: Notes) -> None:
    """Write down what a candidate is, when it is built.

    Parameters
    ----------
    place, patient, index
        Which one.
    chain
        Its objects.
    built
        What was built of them, where anything was.
    notes
        What came of it.
    """
    found = {
        "format": _FORMAT,
        "patient": patient,
        "index": index,
        "uids": sorted(chain.uids),
        "facts": {**_facts(chain), **_built_facts(built)},
        "status": notes.status,
        "code": notes.deciding.name if notes.deciding is not None else "",
    }
    write_text(place / _FILE, json.dumps(found, indent=1))


def listed(settings: Settings) -> list[Candidate]:
    """Every candidate that is built, those of one patient together."""
    places = sorted(settings.thequarantine.iterdir()) if settings.thequarantine.is_dir() else []
    found = [one for place in places for one in [_candidate(settings, place)] if one is not None]
    return sorted(found, key=lambda one: (one.patient, one.index))


def _candidate(settings: Settings, place: Path) -> Optional[Candidate]:
    """What lies in a folder; None where it is no candidate, or not built to the end."""
    written = _parsed(place)
    if written is None or "uids" not in written:
        return None
    patient, uids, choice = written["patient"], frozenset(written["uids"]), choices.of(settings, written["patient"])
    return Candidate(
        patient,
        int(written["index"]),
        place,
        uids,
        written["facts"],
        written["status"],
        written["code"],
        choice is not None and choice.uids == uids,
    )


def differences(candidates: Sequence[Candidate]) -> list[str]:
    """The facts in which the candidates of a patient are not alike."""
    names = dict.fromkeys(name for one in candidates for name in one.facts)
    return [name for name in names if len({one.facts.get(name, "") for one in candidates}) > 1]


def table_of(settings: Settings, patient: str) -> Path:
    """Where the table of a patient's candidates lies."""
    return settings.thequarantine / f"{stem(patient)}_candidates.csv"


def describe(settings: Settings) -> None:
    """Write a table for each patient in quarantine: a line for each fact, a column for each candidate."""
    by_patient: dict[str, list[Candidate]] = {}
    for one in listed(settings):
        by_patient.setdefault(one.patient, []).append(one)
    for patient, found in by_patient.items():
        text = io.StringIO(newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["what", "differs", *(f"candidate {one.index}" for one in found)])
        apart = differences(found)
        for name in dict.fromkeys(name for one in found for name in one.facts):
            values = [cell(one.facts.get(name, "")) for one in found]
            lines.writerow([name, "yes" if name in apart else "", *values])
        lines.writerow(["notes", "", *(f"{one.status} {one.code}" for one in found)])
        lines.writerow(["chosen", "", *("yes" if one.chosen else "" for one in found)])
        try:
            write_text(table_of(settings, patient), text.getvalue())
        except OSError as error:
            raise Incomplete(
                f"the table of candidates cannot be written to {settings.thequarantine} ({error.strerror}). "
                "Free space there, then run qa-fetch cohort quarantine again.",
                retriable=False,
            ) from error


def _parsed(place: Path) -> Optional[dict[str, Any]]:
    try:
        with (place / _FILE).open("rb") as file:
            found = json.loads(file.read(_LARGEST))
        return dict(found) if found["format"] == _FORMAT and isinstance(found["patient"], str) else None
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return None  # not ours


def _facts(chain: Chain) -> dict[str, str]:
    """What the summary tells of a candidate."""
    images = chain.images
    return {
        "study date": _each([images], "StudyDate"),
        "study": _each([images], "StudyDescription"),
        "image series": _each([images], "SeriesDescription"),
        "slices": str(slices_of(images)),
        "structure sets": str(len(chain.structures)),
        "structures of": _each(chain.structures, "StructureSetDate"),
        "plans": _each(chain.plans, "RTPlanLabel"),
        "plan descriptions": _each(chain.plans, "RTPlanDescription"),
        "plans of": _each(chain.plans, "RTPlanDate"),
        "approval": _each(chain.plans, "ApprovalStatus"),
        "fractions": ", ".join(str(fractions(plan) or "?") for plan in chain.plans),
        "doses": str(len(chain.doses)),
    }


def _built_facts(built: Optional[Built]) -> dict[str, str]:
    """What only the objects themselves tell."""
    if built is None:
        return {}
    prescribed = [plan.prescription_gy for plan in built.plans]
    return {
        "prescription [Gy]": ", ".join("?" if dose is None else f"{dose:g}" for dose in prescribed),
        "highest dose [Gy]": ", ".join(f"{dose.highest_gy:.2f}" for dose in built.doses),
        "ROIs": ", ".join(sorted({roi.name for found in built.structures for roi in found.rois})),
    }


def _each(nodes: Sequence[Node], column: str) -> str:
    return ", ".join(given(node.first[column]) or "?" for node in nodes)
