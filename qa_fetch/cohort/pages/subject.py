"""What is known of a patient when pages are written: notes, links, what was built, and what the doses do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional, TypeVar

from ...errors import QAFetchError
from .. import codes
from ..built import Built
from ..codes import CODES, EXECLUDE, REVIEW, Code
from ..columns import given
from ..config import Settings
from ..dosimetry_records import Dosimetry
from ..folders import PatientFolder
from ..linking import Decision, Edge, Node, decide
from ..listing import patients_of
from ..notes import Notes, stem

USABLE, CHOOSE, FAILED, OPEN, EXCLUDED = "usable", "waits for a choice", "failed", "not built yet", "excluded"
STATES = (USABLE, CHOOSE, FAILED, OPEN, EXCLUDED)
LOOKS = {USABLE: "good", CHOOSE: "open", FAILED: "bad", OPEN: "open", EXCLUDED: "off"}
_TO_CHOOSE = (codes.I_EXEC_007, codes.II_EXEC_003)
_SUMMARISE = (codes.I_EXEC_001, codes.I_EXEC_002)
_FETCH = (codes.XI_EXEC_002, codes.XI_EXEC_02, codes.XIII_EXEC_001, codes.XV_EXEC_001, codes.XVI_EXEC_001)
_DECIDING = ("I", "II")
_ORDER = {name: place for place, name in enumerate(CODES)}  # that of the steps
_Found = TypeVar("_Found")


class Listed(NamedTuple):
    """The patients of a cohort, and how many notes are of somebody whose ID nobody knows."""

    patients: list[str]
    unknown: int


@dataclass(frozen=True)
class Subject:
    """One patient; ``troubles`` says what could not be read."""

    patient: str
    folder: PatientFolder
    notes: Notes
    written: bool  # whether the notes are on disk, and not only what the rules would say
    decision: Optional[Decision]
    built: Optional[Built]
    dosimetry: Optional[Dosimetry]
    troubles: tuple[str, ...] = ()

    @property
    def code(self) -> Optional[Code]:
        """The first code, in the order of the steps, that excludes the patient."""
        return first_excluding(self.notes)

    @property
    def state(self) -> str:
        """One of ``STATES``."""
        return state_of(self.code, self.notes.ready)

    @property
    def reviews(self) -> list[Code]:
        """The codes that ask for a look."""
        return [code for code in dict.fromkeys(self.notes.codes) if code.outcome == REVIEW]

    @property
    def chosen(self) -> frozenset[str]:
        """The UIDs of what the patient goes into the cohort with."""
        built = self.built
        if built is not None:
            objects = [each.uid for each in built.structures] + [each.uid for each in built.plans]
            return frozenset([built.series, *objects, *(each.uid for each in built.doses)])
        if self.decision is None or self.decision.chosen is None or self.code in _TO_CHOOSE:
            return frozenset()
        return self.decision.chosen.uids

    @property
    def links(self) -> list[Edge]:
        """The links between what is chosen."""
        decision, chosen = self.decision, self.chosen
        if decision is None:
            return []
        if decision.chosen is not None and decision.chosen.uids == chosen:
            return list(decision.chosen.links)
        return [edge for edge in decision.graph.edges if {edge.source, edge.target} <= chosen]

    @property
    def others(self) -> list[Node]:
        """What there is of the patient and does not count."""
        nodes = self.decision.graph.nodes.values() if self.decision is not None else ()
        return [node for node in nodes if node.uid not in self.chosen]

    @property
    def outdated(self) -> Optional[str]:
        """What the rules say now, where it is something else than what was done."""
        decision = self.decision
        if decision is None or not self.written:
            return None
        now, before = first_excluding(decision.notes), self.code
        before = before if before is not None and before.step in _DECIDING else None
        by_hand = decision.quarantine and before is None  # a person has chosen since
        if now != before and not by_hand:
            return f"By the rules as they are now: {now.sentence if now else 'one set of objects belongs together.'}"
        if decision.chosen is not None and self.built is not None and decision.chosen.uids != self.chosen:
            return "The rules as they are now choose other objects than what was built."
        return None

    @property
    def name(self) -> str:
        """The patient's name, as the first object has it."""
        nodes = self.decision.graph.nodes.values() if self.decision is not None else ()
        return next((name for node in nodes for name in [given(node.first["PatientName"])] if name), "")

    @property
    def command(self) -> str:
        """What to run next; nothing where nothing is to be done."""
        if self.state == CHOOSE:
            return "qa-fetch cohort quarantine CONFIG"
        if self.state == FAILED:
            return f"qa-fetch cohort {'summarise' if self.code in _SUMMARISE else 'build'} CONFIG"
        return "qa-fetch cohort build CONFIG" if self.state == OPEN else ""


def state_of(code: Optional[Code], ready: bool) -> str:
    """What has become of a patient whom this code excludes, or none."""
    if code in _TO_CHOOSE:
        return CHOOSE
    if code in (*_SUMMARISE, *_FETCH):
        return FAILED
    if code is not None:
        return EXCLUDED
    return USABLE if ready else OPEN


def first_excluding(notes: Notes) -> Optional[Code]:
    """The code that excludes a patient, in the order of the steps."""
    excluding = [code for code in notes.codes if code.outcome == EXECLUDE]
    return min(excluding, key=lambda code: _ORDER[code.name], default=None)


def read(settings: Settings, patient: str, *, linked: bool = True) -> Subject:
    """Everything of a patient; what cannot be read is told, and does not keep the rest away.

    Parameters
    ----------
    settings
        Of the cohort.
    patient
        The ID.
    linked
        Whether to link the objects as well, which takes longer than all else.
    """
    troubles: list[str] = []
    folder = PatientFolder.of(settings, patient)
    notes = _tried(lambda: Notes.read(settings.patientnotesdir, patient), troubles)
    decision = _tried(lambda: decide(patient, settings), troubles) if linked else None
    known = notes or (decision.notes if decision is not None else Notes(patient))
    code = first_excluding(known)
    built = dosimetry = None
    if notes is not None and (code is None or code.step not in _DECIDING):  # else it is of an earlier run
        built = _tried(lambda: Built.read(folder), troubles)
        dosimetry = _tried(lambda: Dosimetry.read(folder), troubles) if built is not None else None
    return Subject(patient, folder, known, notes is not None, decision, built, dosimetry, tuple(troubles))


def _tried(get: Callable[[], Optional[_Found]], troubles: list[str]) -> Optional[_Found]:
    try:
        return get()
    except QAFetchError as error:
        troubles.append(str(error))
    except OSError as error:
        troubles.append(f"a file of the patient cannot be read ({error.strerror}). Check its permissions.")
    return None


def patients(settings: Settings) -> Listed:
    """Everybody in the list of ids, and whoever has a summary or notes, in the order that people expect."""
    found = patients_of(settings)
    stems = {stem(patient) for patient in found}
    noted = [path.stem for path in settings.patientnotesdir.glob("*.json") if path.stem not in stems]
    plain = [name for name in noted if stem(name) == name]
    return Listed(sorted([*found, *plain], key=_naturally), len(noted) - len(plain))


def _naturally(patient: str) -> list[tuple[int, str]]:
    """``2`` before ``12``, whatever stands around it."""
    parts = re.split("([0-9]+)", patient)
    return [(len(part.lstrip("0")) if at % 2 else 0, part.casefold()) for at, part in enumerate(parts)]
