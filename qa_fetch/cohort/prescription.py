"""The prescription of an RTPLAN, as far as the plan is clear about it; nothing is guessed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Optional

_HIGHEST: Final = 200.0  # Gy; what is above was written in cGy or comes of a damaged number
_MOST_FRACTIONS: Final = 1000
_SAME: Final = 0.005  # Gy
_SAME_SHARE: Final = 0.02
_TODO: Final = "Give the prescription yourself where you need it."


class Target(NamedTuple):
    """What one dose reference prescribes over all fractions, and the ROI that it names."""

    dose: float  # Gy
    roi_number: Optional[int]
    description: Optional[str]


@dataclass(frozen=True)
class Prescription:
    """Dose (Gy over all fractions) and fractions of a plan; each is None where ``reasons`` says why."""

    dose: Optional[float]
    fractions: Optional[int]
    targets: tuple[Target, ...]
    reasons: tuple[str, ...]  # sentences

    @property
    def cgy(self) -> Optional[float]:
        """The dose in cGy, as PDCP has it."""
        return None if self.dose is None else self.dose * 100

    @property
    def highest(self) -> Optional[float]:
        """The highest dose of all targets, Gy: that of a simultaneous boost."""
        return max((target.dose for target in self.targets), default=None)


def read(plan: Any) -> Prescription:
    """The prescription of a plan's data set."""
    reasons: list[str] = []
    targets = tuple(_targets(plan, reasons))
    groups = list(plan.get("FractionGroupSequence") or ())
    fractions = _fractions(groups, reasons)
    beams = _of_beams(groups)
    doses = sorted({target.dose for target in targets})
    if not doses:
        reasons.append(f"The plan names no TargetPrescriptionDose{_said(beams)}. {_TODO}")
    elif doses[-1] - doses[0] > _SAME:
        named = ", ".join(f"{dose:g}" for dose in doses)
        reasons.append(f"The plan prescribes several doses ({named} Gy), and none of them is that of all. {_TODO}")
    else:
        dose = doses[-1]
        doubt = _doubt(dose, fractions, beams)
        if doubt is None:
            return Prescription(dose, fractions, targets, tuple(reasons))
        reasons.append(doubt)
    return Prescription(None, fractions, targets, tuple(reasons))


def _targets(plan: Any, reasons: list[str]) -> Iterator[Target]:
    """Every dose that is prescribed to a target."""
    for item in plan.get("DoseReferenceSequence") or ():
        if str(item.get("DoseReferenceType") or "").strip().upper() != "TARGET":
            continue
        dose = _number(item, "TargetPrescriptionDose")
        if dose is None or dose <= 0:
            continue
        if dose > _HIGHEST:
            reasons.append(f"A TargetPrescriptionDose is {dose:g}, which is none in Gy; it was left out. {_TODO}")
            continue
        number = _number(item, "ReferencedROINumber")
        text = str(item.get("DoseReferenceDescription") or "").strip() or None
        yield Target(dose, None if number is None else int(number), text)


def _fractions(groups: list[Any], reasons: list[str]) -> Optional[int]:
    """How many there are, where the plan has one group of them."""
    if len(groups) != 1:
        what = f"The plan has {len(groups)} fraction groups" if groups else "The plan has no fraction group"
        reasons.append(f"{what}, so its number of fractions is not clear. Give it yourself where you need it.")
        return None
    count = _number(groups[0], "NumberOfFractionsPlanned")
    if count is None or not 1 <= count <= _MOST_FRACTIONS or count != int(count):
        reasons.append("The plan has no usable NumberOfFractionsPlanned. Give it yourself where you need it.")
        return None
    return int(count)


def _of_beams(groups: list[Any]) -> Optional[float]:
    """What the beams of all groups give at their own points, Gy over all fractions; None where one does not say."""
    total = 0.0
    for group in groups:
        count = _number(group, "NumberOfFractionsPlanned")
        doses = [_number(beam, "BeamDose") for beam in group.get("ReferencedBeamSequence") or ()]
        known = [dose for dose in doses if dose is not None]
        if count is None or len(known) < len(doses):
            return None
        total += count * sum(known)
    return total if 0 < total <= _HIGHEST else None


def _doubt(dose: float, fractions: Optional[int], beams: Optional[float]) -> Optional[str]:
    """Why a dose is that of one fraction rather than of all: what the beams give says so."""
    if fractions is None or fractions < 2 or beams is None or abs(beams / fractions / dose - 1) > _SAME_SHARE:
        return None
    return (
        f"TargetPrescriptionDose is {dose:g} Gy, but the beams give {beams:.4g} Gy in {fractions} fractions, "
        f"so it may be that of one. {_TODO}"
    )


def _said(beams: Optional[float]) -> str:
    return "" if beams is None else f"; its beams give {beams:.4g} Gy at their own points"


def _number(item: Any, keyword: str) -> Optional[float]:
    try:
        found = float(item.get(keyword))
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
