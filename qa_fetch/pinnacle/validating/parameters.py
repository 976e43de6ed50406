"""Plans: every machine setting of every beam and control point."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

from .objects_read import Unusable
from .results import Line, number
from .tolerances import ANGLE, DISTANCE, UNITS, WEIGHT

_JAWS = {"ASYMX": "X jaws", "X": "X jaws", "ASYMY": "Y jaws", "Y": "Y jaws"}
_ANGLES = {"gantry": "GantryAngle", "collimator": "BeamLimitingDeviceAngle", "couch": "PatientSupportAngle"}
NOTHING = "—"


@dataclass(frozen=True)
class Setting:
    """A control point with what it takes over from those before it."""

    values: dict[str, Any]


@dataclass(frozen=True)
class Beam:
    """A beam as plain values."""

    number: int
    names: tuple[str, ...]
    values: dict[str, Any]
    settings: tuple[Setting, ...] = field(repr=False)


def beams(data: Any) -> list[Beam]:
    """The beams of an RTPLAN; Unusable where it does not even number them."""
    try:
        return _beams(data)
    except (AttributeError, TypeError, ValueError) as error:
        raise Unusable("its beams are not described as they must be") from error


def _beams(data: Any) -> list[Beam]:
    given: dict[int, dict[str, Any]] = {}
    for group in data.get("FractionGroupSequence") or ():
        for item in group.get("ReferencedBeamSequence") or ():
            given[int(item.ReferencedBeamNumber)] = {
                "fractions": _integer(group.get("NumberOfFractionsPlanned")),
                "monitor units": _float(item.get("BeamMeterset")),
            }
    return [_beam(item, given.get(int(item.BeamNumber), {})) for item in data.get("BeamSequence") or ()]


def _beam(item: Any, given: dict[str, Any]) -> Beam:
    names = tuple(str(item.get(keyword) or "").strip() for keyword in ("BeamName", "BeamDescription"))
    values: dict[str, Any] = {
        "beam type": str(item.get("BeamType") or ""),
        "radiation": str(item.get("RadiationType") or ""),
        "machine": str(item.get("TreatmentMachineName") or ""),
        "fractions": given.get("fractions"),
        "monitor units": given.get("monitor units"),
        "control points": len(item.get("ControlPointSequence") or ()),
        "wedges": tuple(_wedge(each) for each in item.get("WedgeSequence") or ()),
        "applicator": tuple(str(each.get("ApplicatorID") or "") for each in item.get("ApplicatorSequence") or ()),
        "blocks": tuple(str(each.get("BlockType") or "") for each in item.get("BlockSequence") or ()),
    }
    for device in item.get("BeamLimitingDeviceSequence") or ():
        kind = str(device.get("RTBeamLimitingDeviceType"))
        if kind.startswith("MLC"):
            values["leaf boundaries"] = _floats(device.get("LeafPositionBoundaries"))
    return Beam(int(item.BeamNumber), tuple(filter(None, names)), values, tuple(_settings(item)))


def _wedge(item: Any) -> str:
    angle, orientation = _float(item.get("WedgeAngle")), _float(item.get("WedgeOrientation"))
    parts = [str(item.get("WedgeType") or "")]
    parts += [f"{number(angle)}°"] if angle is not None else []
    parts += [f"towards {number(orientation)}°"] if orientation is not None else []
    return " ".join(parts)


def _settings(item: Any) -> list[Setting]:
    final = _float(item.get("FinalCumulativeMetersetWeight")) or 1.0
    carried: dict[str, Any] = {}
    found = []
    for point in item.get("ControlPointSequence") or ():
        for name, keyword in _ANGLES.items():
            carried[name] = _float(point.get(keyword), carried.get(name))
        carried["energy"] = _float(point.get("NominalBeamEnergy"), carried.get("energy"))
        carried["gantry direction"] = str(point.get("GantryRotationDirection") or carried.get("gantry direction", ""))
        carried["isocentre"] = _floats(point.get("IsocenterPosition")) or carried.get("isocentre")
        for device in point.get("BeamLimitingDevicePositionSequence") or ():
            kind = str(device.get("RTBeamLimitingDeviceType"))
            name = _JAWS.get(kind, "leaves" if kind.startswith("MLC") else kind)
            carried[name] = _floats(device.get("LeafJawPositions"))
        weight = _float(point.get("CumulativeMetersetWeight"))
        carried["weight"] = None if weight is None else weight / final
        found.append(Setting(dict(carried)))
    return found


def pairs(ours: Sequence[Beam], theirs: Sequence[Beam]) -> list[tuple[Optional[Beam], Optional[Beam]]]:
    """Beams of the same name where it is the only one, else of the same number."""
    left = list(theirs)
    found: list[tuple[Optional[Beam], Optional[Beam]]] = []
    for beam in ours:
        named = [each for each in left if set(each.names) & set(beam.names)]
        numbered = [each for each in left if each.number == beam.number]
        other = (
            named[0] if len(named) == 1 else next(iter([each for each in numbered if each in named] or numbered), None)
        )
        if other is not None:
            left.remove(other)
        found.append((beam, other))
    return found + [(None, beam) for beam in left]


def lines(ours: Beam, theirs: Beam) -> list[Line]:
    """What a report says of a beam: each value once where all agree, each control point's where it does not."""
    label = f"beam {ours.number}"
    said = []
    for what in dict.fromkeys([*ours.values, *theirs.values]):
        one, other = ours.values.get(what), theirs.values.get(what)
        said.append(_line(f"{label}: {what}", what, one, other))
    count = min(len(ours.settings), len(theirs.settings))
    every = dict.fromkeys(name for setting in (*ours.settings, *theirs.settings) for name in setting.values)
    for what in every:
        points = [
            _line(what, what, ours.settings[at].values.get(what), theirs.settings[at].values.get(what))
            for at in range(count)
        ]
        if all(line.agrees for line in points):
            said += [replace(line, what=f"{label}: {what}") for line in points[:1]]
        else:
            said += _ranges(label, points)
    return said


def _ranges(label: str, points: Sequence[Line]) -> list[Line]:
    """The control points that differ; those that follow each other with the same values as one."""
    found = []
    for line, several in itertools.groupby(enumerate(points), key=lambda each: each[1]):
        indices = [index for index, _ in several]
        if not line.agrees:
            where = f"{indices[0]}" if len(indices) == 1 else f"{indices[0]} to {indices[-1]}"
            found.append(replace(line, what=f"{label}, control point {where}: {line.what}"))
    return found


def _line(label: str, what: str, one: Any, other: Any) -> Line:
    agrees = _same(what, one, other)
    if not agrees and what in ("leaves", "leaf boundaries") and one and other and len(one) == len(other):
        at = max(range(len(one)), key=lambda index: abs(one[index] - other[index]))
        differ = sum(abs(a - b) > DISTANCE for a, b in zip(one, other))
        return Line(
            f"{label}, {differ} of {len(one)}, most at {at + 1}",
            f"{number(one[at])} mm",
            f"{number(other[at])} mm",
            False,
        )
    return Line(label, _shown(what, one), _shown(what, other), agrees)


def _same(what: str, one: Any, other: Any) -> bool:
    if one in (None, "", ()) or other in (None, "", ()):
        return (one in (None, "", ())) == (other in (None, "", ()))
    return _RULES.get(what, _equal)(one, other)


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other)


def _near_angle(one: float, other: float) -> bool:
    return abs((one - other + 180) % 360 - 180) <= ANGLE


def _near_places(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= DISTANCE for a, b in zip(one, other))


def _near_units(one: float, other: float) -> bool:
    return abs(one - other) <= UNITS * max(abs(one), abs(other))


_RULES: dict[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(_ANGLES, _near_angle),
    **dict.fromkeys(("isocentre", "leaves", "leaf boundaries", "X jaws", "Y jaws"), _near_places),
    "monitor units": _near_units,
    "weight": lambda one, other: abs(one - other) <= WEIGHT,
    "energy": lambda one, other: abs(one - other) <= 0.01,
}
_UNITS = {
    **dict.fromkeys(_ANGLES, "°"),
    **dict.fromkeys(("isocentre", "X jaws", "Y jaws"), " mm"),
    "monitor units": " MU",
}


def _shown(what: str, value: Any) -> str:
    if value in (None, "", ()):
        return NOTHING
    unit = _UNITS.get(what, "")
    if isinstance(value, float):
        return f"{number(value)}{unit}"
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return f"{len(value)} values" if len(value) > 6 else ", ".join(map(number, value)) + unit
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _float(value: Any, otherwise: Optional[float] = None) -> Optional[float]:
    try:
        return otherwise if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return otherwise


def _integer(value: Any) -> Optional[int]:
    found = _float(value)
    return None if found is None else int(found)


def _floats(value: Any) -> tuple[float, ...]:
    if value in (None, ""):
        return ()
    try:
        return tuple(float(each) for each in value)
    except (TypeError, ValueError):
        return ()
