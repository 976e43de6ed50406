"""What of a plan decides how it is delivered, and how two plans differ in it, in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ..archive import Plan
from .cleaning import cleaned
from .results import Results

_TOLERANCES = (
    "GantryAngleTolerance",
    "BeamLimitingDeviceAngleTolerance",
    "PatientSupportAngleTolerance",
    "TableTopEccentricAngleTolerance",
    "TableTopVerticalPositionTolerance",
    "TableTopLongitudinalPositionTolerance",
    "TableTopLateralPositionTolerance",
    "TableTopPitchAngleTolerance",
    "TableTopRollAngleTolerance",
)
_SCALES = {"gantry": "GantryAngle", "collimator": "BeamLimitingDeviceAngle", "couch": "PatientSupportAngle"}
_NAMED = {"DoseRateSet", "NominalBeamEnergy"}  # facts of their own, which leave the geometry as it is
_CALLED = {
    "geometry": "leaves, jaws or control points",
    "mu": "MU",
    "dose_rate": "dose rate",
    "tolerance_table": "tolerance table",
    "control_points": "control points",
}


def plan_facts(plan: Plan) -> Results:
    """The beams of a plan with their MU, energy, dose rate, angles and tolerance tables, for a record to hold.

    ``geometry`` of a beam is a digest of every control point (leaves, jaws, angles, MU), so that any change of them
    shows although a record need not hold them all.
    """
    dataset = plan.dataset
    metersets = _metersets(dataset)
    tables = {_number(item, "ToleranceTableNumber"): item for item in dataset.get("ToleranceTableSequence") or []}
    beams = {}
    for beam in dataset.get("BeamSequence") or []:
        number = _number(beam, "BeamNumber")
        table = tables.get(_number(beam, "ReferencedToleranceTableNumber"))
        beams[str(number)] = {**_beam(beam), "mu": metersets.get(number), "tolerance_table": _tolerances(table)}
    return Results(
        {
            "label": plan.label,
            "uid": plan.uid,
            "approval": plan.approval,
            "date": cleaned(plan.date),
            "fractions": _fractions(dataset),
            "mu": round(sum(beam["mu"] or 0 for beam in beams.values()), 4),
            "beams": beams,
        }
    )


def _beam(beam: Any) -> dict[str, Any]:
    points = list(beam.get("ControlPointSequence") or [])
    fluence = [
        item.get("FluenceModeID") or item.get("FluenceMode") for item in beam.get("PrimaryFluenceModeSequence") or []
    ]
    facts: dict[str, Any] = {
        "name": _text(beam, "BeamName"),
        "machine": _text(beam, "TreatmentMachineName"),
        "type": _text(beam, "BeamType"),
        "radiation": _text(beam, "RadiationType"),
        "energy": _values(points, "NominalBeamEnergy"),
        "fluence": [str(mode) for mode in fluence if mode],
        "dose_rate": _values(points, "DoseRateSet"),
    }
    facts.update((name, _ends(points, keyword)) for name, keyword in _SCALES.items())
    facts["control_points"] = len(points)
    facts["geometry"] = _digest(beam)
    return facts


def _digest(beam: Any) -> str:
    """Of all that is delivered: control points and what shapes the beam, in a spelling that no writer changes."""
    shaping = (
        "ControlPointSequence",
        "BeamLimitingDeviceSequence",
        "WedgeSequence",
        "BlockSequence",
        "ApplicatorSequence",
    )
    said = [_spelled(beam[keyword]) for keyword in shaping if keyword in beam]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _spelled(element: Any) -> Any:
    """An element's value with numbers as numbers: 10, 10.0 and 1E1 are the same leaf position."""
    if element.VR == "SQ":
        return [
            {str(part.tag): _spelled(part) for part in item if part.keyword not in _NAMED} for item in element.value
        ]
    values = element.value if element.VM > 1 else [element.value]
    return [_rounded(value) for value in values]


def _rounded(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, (int, float)) or hasattr(value, "as_tuple") else str(value)


def _metersets(dataset: Any) -> dict[Optional[int], Optional[float]]:
    groups = dataset.get("FractionGroupSequence") or []
    beams = [beam for group in groups for beam in group.get("ReferencedBeamSequence") or []]
    return {_number(beam, "ReferencedBeamNumber"): _float(beam, "BeamMeterset") for beam in beams}


def _fractions(dataset: Any) -> Optional[int]:
    groups = dataset.get("FractionGroupSequence") or []
    return _number(groups[0], "NumberOfFractionsPlanned") if groups else None


def _tolerances(table: Any) -> Optional[dict[str, Any]]:
    if table is None:
        return None
    limits: dict[str, Any] = {keyword: _float(table, keyword) for keyword in _TOLERANCES if keyword in table}
    for item in table.get("BeamLimitingDeviceToleranceSequence") or []:
        limits[_text(item, "RTBeamLimitingDeviceType")] = _float(item, "BeamLimitingDevicePositionTolerance")
    return {"label": _text(table, "ToleranceTableLabel"), **limits}


def _number(item: Any, keyword: str) -> Optional[int]:
    value = item.get(keyword)
    return None if value in (None, "") else int(value)


def _float(item: Any, keyword: str) -> Optional[float]:
    value = item.get(keyword)
    return None if value in (None, "") else round(float(value), 4)


def _text(item: Any, keyword: str) -> str:
    return str(item.get(keyword) or "").strip()


def _values(points: list[Any], keyword: str) -> list[float]:
    """The values of a beam in the order in which they come, each once: a control point repeats what stays the same."""
    found = [value for value in (_float(point, keyword) for point in points) if value is not None]
    return list(dict.fromkeys(found))


def _ends(points: list[Any], keyword: str) -> list[float]:
    """Where a scale is at the first and at the last control point that says it."""
    found = [value for value in (_float(point, keyword) for point in points) if value is not None]
    return [found[0], found[-1]] if found and found[0] != found[-1] else found[:1]


def plan_changes(now: Mapping[str, Any], approved: Mapping[str, Any]) -> list[str]:
    """How a plan differs from the one that was approved, one sentence each; nothing where it is delivered alike.

    Parameters
    ----------
    now, approved
        What ``plan_facts`` said of either.
    """
    return [f"{place}: {_shown(before)} -> {_shown(after)}" for place, before, after in _differences(now, approved)]


def _differences(now: Mapping[str, Any], approved: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in ("label", "uid", "approval", "fractions"):
        if now[key] != approved[key]:
            yield key, approved[key], now[key]
    beams, before = now["beams"], approved["beams"]
    for number in sorted({*beams, *before}, key=int):
        new, old = beams.get(number), before.get(number)
        name = f"beam {number} ({(new or old)['name']})"
        if new is None or old is None:
            yield name, "absent" if old is None else "present", "absent" if new is None else "present"
            continue
        changed = [key for key in {**old, **new} if new.get(key) != old.get(key)]
        for key in changed:
            yield from _within(f"{name} {_CALLED.get(key, key)}", old.get(key), new.get(key))


def _within(place: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """A change of a value, or each change within a table of values."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        yield place, before, after
        return
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            yield f"{place} {key}", before.get(key), after.get(key)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(_shown, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):  # a whole table that came or went
        return str(value.get("label") or "a table without a name")
    return "none" if value in (None, "") else str(value)
