"""Which files of either side hold which object of an archive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional

from ..report import Converted

IMAGES, STRUCTURES, PLAN, DOSE = "images", "structures", "plan", "dose"
KINDS = {"RTSTRUCT": STRUCTURES, "RTPLAN": PLAN, "RTDOSE": DOSE}
MODALITIES = {kind: modality for modality, kind in KINDS.items()}


class Key(NamedTuple):
    """An object of an archive; ``number`` is of its image set or its plan."""

    kind: str
    number: int
    trial: Optional[int] = None

    @property
    def what(self) -> str:
        """As reports name it."""
        if self.kind == IMAGES:
            return f"images of image set {self.number}"
        of = f"{MODALITIES[self.kind]} of plan {self.number}"
        return of if self.trial is None else f"{of}, trial {self.trial}"


@dataclass
class Found:
    """The files of each object, and why there are none of one."""

    paths: dict[Key, list[Path]] = field(default_factory=dict)
    missing: dict[Key, str] = field(default_factory=dict)  # clauses
    others: list[str] = field(default_factory=list)  # what belongs to no object of ours
    notes: list[str] = field(default_factory=list)


def ours(converted: Converted) -> Found:
    """What our own conversion wrote, and why it did not write the rest."""
    found = Found()
    for each in converted.written:
        if each.image_set is not None:
            found.paths.setdefault(Key(IMAGES, each.image_set), []).append(each.path)
        elif each.plan is not None and each.modality in KINDS:
            found.paths.setdefault(Key(KINDS[each.modality], each.plan, each.trial), []).append(each.path)
    for key in _expected(converted):
        if key not in found.paths:
            found.missing[key] = _reason(converted, key)
    return found


def _expected(converted: Converted) -> Iterable[Key]:
    for plan in converted.plans:
        yield Key(STRUCTURES, plan.number)
        for trial in plan.trials:
            yield Key(PLAN, plan.number, trial)
            yield Key(DOSE, plan.number, trial)


def _reason(converted: Converted, key: Key) -> str:
    """What the conversion says of an object that it left out."""
    whole = f"plan {key.number}"
    trial = f" of {whole}, trial {key.trial}"
    for left in converted.skipped:
        if left.what in (key.what, whole) or (MODALITIES[key.kind] in left.what and left.what.endswith(trial)):
            return left.reason
    return "the archive does not have it, or not whole"
