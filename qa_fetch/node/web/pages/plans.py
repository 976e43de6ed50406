"""An RT plan as people read it: its beams, its fractions, its approval."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass
from typing import Any, Optional

from pydicom.dataset import Dataset

from ...headers import UNREADABLE


@dataclass(frozen=True)
class Beam:
    """One beam, in the words of the plan."""

    number: str
    name: str
    machine: str
    kind: str
    delivery: str
    radiation: str
    energy: str
    meterset: str
    gantry: str
    collimator: str
    couch: str
    field: str
    control_points: int
    dose_rate: str
    modifiers: str


@dataclass(frozen=True)
class FractionGroup:
    """How often which beams are given."""

    number: str
    fractions: str
    beams: int
    meterset: Optional[float]


@dataclass(frozen=True)
class Plan:
    """What a page shows of a plan."""

    label: str
    name: str
    date: str
    time: str
    intent: str
    approval: str
    reviewer: str
    reviewed: str
    description: str
    beams: tuple[Beam, ...]
    groups: tuple[FractionGroup, ...]


def read(dataset: Dataset) -> Plan:
    """What a data set says of its plan; what cannot be read is left empty."""
    groups = list(_items(dataset, "FractionGroupSequence"))
    metersets = {
        _text(reference, "ReferencedBeamNumber"): _text(reference, "BeamMeterset")
        for group in groups
        for reference in _items(group, "ReferencedBeamSequence")
    }
    return Plan(
        label=_text(dataset, "RTPlanLabel"),
        name=_text(dataset, "RTPlanName"),
        date=_text(dataset, "RTPlanDate"),
        time=_text(dataset, "RTPlanTime"),
        intent=_text(dataset, "PlanIntent"),
        approval=_text(dataset, "ApprovalStatus"),
        reviewer=_text(dataset, "ReviewerName"),
        reviewed=_text(dataset, "ReviewDate"),
        description=_text(dataset, "RTPlanDescription"),
        beams=tuple(_beam(item, metersets) for item in _items(dataset, "BeamSequence")),
        groups=tuple(_group(item) for item in groups),
    )


def _group(item: Dataset) -> FractionGroup:
    references = list(_items(item, "ReferencedBeamSequence"))
    metersets = [number for number in (_number(each, "BeamMeterset") for each in references) if number is not None]
    return FractionGroup(
        number=_text(item, "FractionGroupNumber"),
        fractions=_text(item, "NumberOfFractionsPlanned"),
        beams=len(references),
        meterset=sum(metersets) if metersets else None,
    )


def _beam(item: Dataset, metersets: dict[str, str]) -> Beam:
    points = list(_items(item, "ControlPointSequence"))
    first = points[0] if points else Dataset()
    number = _text(item, "BeamNumber")
    return Beam(
        number=number,
        name=_text(item, "BeamName"),
        machine=_text(item, "TreatmentMachineName"),
        kind=_text(item, "BeamType").lower(),
        delivery=_text(item, "TreatmentDeliveryType").lower(),
        radiation=_text(item, "RadiationType").lower(),
        energy=_energy(first, item),
        meterset=_rounded(metersets.get(number, "")),
        gantry=_way(points, "GantryAngle", "GantryRotationDirection"),
        collimator=_way(points, "BeamLimitingDeviceAngle", "BeamLimitingDeviceRotationDirection"),
        couch=_way(points, "PatientSupportAngle", "PatientSupportRotationDirection"),
        field=_field(first),
        control_points=len(points),
        dose_rate=_rounded(_text(first, "DoseRateSet")),
        modifiers=_modifiers(item),
    )


def _energy(first: Dataset, beam: Dataset) -> str:
    energy = _rounded(_text(first, "NominalBeamEnergy"))
    mode = next((_text(each, "FluenceModeID") for each in _items(beam, "PrimaryFluenceModeSequence")), "")
    unit = "MeV" if _text(beam, "RadiationType") == "ELECTRON" else "MV"
    return " ".join(part for part in (energy, unit, mode) if part) if energy else ""


def _way(points: list[Dataset], keyword: str, direction: str) -> str:
    """An angle, or from where to where it moves."""
    angles = [found for found in (_rounded(_text(point, keyword)) for point in points) if found]
    if not angles:
        return ""
    turns = {_text(point, direction) for point in points} & {"CW", "CC"}
    if not turns and len(set(angles)) == 1:
        return f"{angles[0]}\u00b0"
    how = {"CW": " clockwise", "CC": " counter-clockwise"}[turns.pop()] if len(turns) == 1 else ""
    return f"{angles[0]}\u00b0 to {angles[-1]}\u00b0{how}"


def _field(first: Dataset) -> str:
    """The jaws of the first control point, in centimetres."""
    sides = []
    for axis, names in (("X", ("X", "ASYMX")), ("Y", ("Y", "ASYMY"))):
        for item in _items(first, "BeamLimitingDevicePositionSequence"):
            if _text(item, "RTBeamLimitingDeviceType") in names:
                ends = [float(end) / 10 for end in _values(item, "LeafJawPositions")[:2] if _is_number(end)]
                sides += [f"{axis}\u00a0{ends[0]:.1f}\u00a0to\u00a0{ends[1]:.1f}"] if len(ends) == 2 else []
    return ", ".join(sides)


def _modifiers(beam: Dataset) -> str:
    found = []
    counts = (("NumberOfWedges", "wedge"), ("NumberOfBlocks", "block"), ("NumberOfBoli", "bolus"))
    for keyword, name in (*counts, ("NumberOfCompensators", "compensator")):
        count = _number(beam, keyword)
        found += [f"{count:.0f} {name}{'s' if count > 1 else ''}"] if count else []
    return ", ".join(found)


def _items(dataset: Dataset, keyword: str) -> Iterable[Dataset]:
    try:
        found = dataset.get(keyword) or ()
    except UNREADABLE:
        return ()
    return [item for item in found if isinstance(item, Dataset)] if not isinstance(found, (str, bytes)) else ()


def _values(dataset: Dataset, keyword: str) -> list[str]:
    try:
        found: Any = dataset.get(keyword)
    except UNREADABLE:
        return []
    if found is None or isinstance(found, bytes):
        return []
    listed = list(found) if isinstance(found, MutableSequence) else [found]
    return [str(value).strip() for value in listed]


def _text(dataset: Dataset, keyword: str) -> str:
    return ", ".join(_values(dataset, keyword))


def _number(dataset: Dataset, keyword: str) -> Optional[float]:
    text = _text(dataset, keyword)
    return float(text) if _is_number(text) else None


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < 1e12
    except ValueError:
        return False


def _rounded(text: str) -> str:
    return f"{float(text):.2f}".rstrip("0").rstrip(".") if _is_number(text) else text
