"""What came of a comparison: a verdict for each object, its figures, and every value that is not the same."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from ... import __version__
from ...errors import Incomplete

AGREES, DIFFERS, OPEN = "agrees", "differs", "not compared"


@dataclass(frozen=True)
class Line:
    """A value of both sides; ``known`` says why the other side's is not to be trusted, where that is known."""

    what: str
    ours: str
    theirs: str
    agrees: bool = False
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A drawing as SVG, with what it shows."""

    caption: str
    svg: str
    legend: tuple[tuple[str, str], ...] = ()  # what a colour means: (name, colour)


@dataclass(frozen=True)
class Comparison:
    """One object of ours against its counterpart."""

    kind: str  # images, structures, plan or dose
    what: str  # "RTDOSE of plan 0, trial 1"
    verdict: str
    image_set: Optional[int] = None
    plan: Optional[int] = None
    trial: Optional[int] = None
    names: tuple[str, ...] = ()  # of its plan and its trial
    figures: tuple[tuple[str, str], ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)  # the same for machines, and for the sums of a report
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = field(default=(), repr=False)

    @property
    def differing(self) -> tuple[Line, ...]:
        """The values that are not the same."""
        return tuple(line for line in self.lines if not line.agrees)

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures; of the values, those that differ."""
        return {
            "kind": self.kind,
            "what": self.what,
            "verdict": self.verdict,
            "image_set": self.image_set,
            "plan": self.plan,
            "trial": self.trial,
            "names": list(self.names),
            "figures": dict(self.figures),
            "measures": dict(self.measures),
            "values": len(self.lines),
            "differences": [
                {"what": line.what, "ours": line.ours, "theirs": line.theirs, "known": list(line.known)}
                for line in self.differing
            ],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Validated:
    """The comparisons of one patient."""

    folder: str  # in the archive
    identifier: Optional[str]
    comparisons: tuple[Comparison, ...]
    others: tuple[str, ...] = ()  # what the other side has and nothing of ours was held against


@dataclass(frozen=True)
class Validation:
    """What came of all comparisons of an archive."""

    archive: str
    other: str  # "pymedphys 0.41.0", or the planning system's export
    patients: tuple[Validated, ...]
    settings: tuple[tuple[str, str], ...] = ()  # the tolerances

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All of them, of all patients."""
        return tuple(each for patient in self.patients for each in patient.comparisons)

    @property
    def verdict(self) -> str:
        """Differs where anything does; else not compared where anything was not, or where nothing was compared."""
        found = {each.verdict for each in self.comparisons}
        if DIFFERS in found:
            return DIFFERS
        return AGREES if found == {AGREES} else OPEN

    @property
    def exit_code(self) -> int:
        """What a command ends with: 0 when everything agrees, else 1."""
        return 0 if self.verdict == AGREES else 1

    def counted(self) -> dict[str, int]:
        """How many comparisons ended how."""
        found = Counter(each.verdict for each in self.comparisons)
        return {verdict: found[verdict] for verdict in (AGREES, DIFFERS, OPEN)}

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        return {
            "qa_fetch": __version__,
            "archive": self.archive,
            "compared_with": self.other,
            "verdict": self.verdict,
            "counted": self.counted(),
            "settings": dict(self.settings),
            "patients": [
                {
                    "folder": patient.folder,
                    "medical_record_number": patient.identifier,
                    "comparisons": [each.to_json() for each in patient.comparisons],
                    "not_matched": list(patient.others),
                }
                for patient in self.patients
            ],
        }

    def write(self, target: Path) -> Path:
        """Write the page; it has its name only when it is whole, and is for its owner only."""
        from .page import page

        temporary = ""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.writelines(page(self))
            Path(temporary).replace(target)
        except OSError as error:
            raise Incomplete(
                f"the report {target} cannot be written ({error.strerror}). Free space there, or name another file.",
                retriable=False,
            ) from error
        finally:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
        return target

    def worst(self, measure: str, choose: Callable[[Iterable[float]], float]) -> Optional[float]:
        """The extreme of a measure over all comparisons; None where none has it."""
        found = [each.measures[measure] for each in self.comparisons if measure in each.measures]
        return choose(found) if found else None


def number(value: float, digits: int = 3) -> str:
    """A number as people read it: no needless zeros, and never minus nothing."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
