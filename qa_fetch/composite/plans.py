"""What of a plan decides how it is delivered, and how two plans differ in it, in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Optional

from ..archive import Plan
from ..archive.images import short
from ..errors import BadArchive
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
_SHAPING = (
    "ControlPointSequence",
    "BeamLimitingDeviceSequence",
    "WedgeSequence",
    "BlockSequence",
    "ApplicatorSequence",
)
_ALONG = ("NominalBeamEnergy", "DoseRateSet")  # facts of their own, which leave the geometry as it is
_FACTS = {  # of a beam: what changed in these is said in words of their own
    "BeamName",
    "BeamNumber",
    "BeamType",
    "RadiationType",
    "TreatmentMachineName",
    "NumberOfControlPoints",
    "ReferencedToleranceTableNumber",
    *_SHAPING,
}
_SHOWN = {"CS", "DS", "IS", "FD", "FL", "US"}  # codes and numbers; free text might name somebody
_DIGESTS = {"geometry", "along"}
_MADE_BY = 2  # goes up when a digest is made otherwise or of more, since those in records of QATrack+ stay as they are
_CALLED = {
    "geometry": "leaves, jaws or control points",
    "along": "energy or dose rate along the control points",
    "other": "",
    "mu": "MU",
    "dose_rate": "dose rate",
    "tolerance_table": "tolerance table",
    "control_points": "control points",
}


def plan_facts(plan: Plan) -> Results:
    """The beams of a plan with their MU, energy, dose rate, angles and tolerance tables, for a record to hold.

    ``geometry`` of a beam is a digest of every control point (leaves, jaws, angles, MU), so that any change of them
    shows although a record need not hold them all; ``other`` is whatever else its item says, and the ``other`` of the
    plan how the patient lies and what the fractions are. BadArchive where the plan has no BeamSequence.
    """
    dataset = plan.dataset
    if not dataset.get("BeamSequence"):
        raise BadArchive(
            f"the plan {short(plan.label)} has no beams that this check understands (RT Ion and brachytherapy plans "
            "describe theirs elsewhere). Name a plan of photon or electron beams."
        )
    references = _references(dataset)
    tables = {_number(item, "ToleranceTableNumber"): item for item in dataset.get("ToleranceTableSequence") or []}
    beams = {}
    for beam in dataset.BeamSequence:
        number = _number(beam, "BeamNumber")
        table = tables.get(_number(beam, "ReferencedToleranceTableNumber"))
        beams[str(number)] = {**_beam(beam, references.get(number, [])), "tolerance_table": _tolerances(table)}
    return Results(
        {
            "made_by": _MADE_BY,
            "label": plan.label,
            "uid": plan.uid,
            "approval": plan.approval,
            "date": cleaned(plan.date),
            "fractions": _fractions(dataset),
            "mu": round(sum(beam["mu"] or 0 for beam in beams.values()), 4),
            "beams": beams,
            "other": _other_of_plan(dataset),
        }
    )


def _beam(beam: Any, references: list[Any]) -> dict[str, Any]:
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
    facts["geometry"] = _digest([_spelled(beam[keyword], _ALONG) for keyword in _SHAPING if keyword in beam])
    facts["along"] = _along(points)
    facts["mu"] = _float(references[-1], "BeamMeterset") if references else None
    facts["other"] = _other_of_beam(beam, references)
    return facts


def _along(points: list[Any]) -> Optional[str]:
    """A digest of the energy and dose rate of each control point; None where they stay what they are at first."""
    courses = []
    for keyword in _ALONG:
        course: list[Optional[float]] = [None]
        for point in points:
            value = _float(point, keyword)
            course.append(course[-1] if value is None else value)  # a control point need not repeat what stays
        courses.append(course[1:])
    return _digest(courses) if any(len(set(course)) > 1 for course in courses) else None


def _other_of_beam(beam: Any, references: list[Any]) -> dict[str, Any]:
    """What the item of a beam says besides its facts, and what its fraction group says of it besides the MU."""
    said = {part.keyword: _said(part) for part in _elements(beam, _FACTS)}
    for reference in references[-1:]:
        said.update(
            (part.keyword, _said(part)) for part in _elements(reference, ("ReferencedBeamNumber", "BeamMeterset"))
        )
    if len(references) > 1:
        said["further fraction groups"] = _digest(list(map(_item, references[:-1])))
    return said


def _other_of_plan(dataset: Any) -> dict[str, Any]:
    known = ("NumberOfBeams", "NumberOfFractionsPlanned", "ReferencedBeamSequence")
    return {
        keyword: _digest(_spelled(dataset[keyword], known))
        for keyword in ("PatientSetupSequence", "FractionGroupSequence")
        if keyword in dataset
    }


def _elements(item: Any, without: Collection[str]) -> Iterator[Any]:
    """What an item says; an empty element says as much as none.

    Private elements are left out: what is read of them depends on the transfer syntax in which they came.
    """
    return (part for part in item if part.keyword and part.keyword not in without and not part.is_empty)


def _said(element: Any) -> Any:
    """A value as a record shows it, or a digest of what is long or might be about a person."""
    spelled = _spelled(element)
    return spelled[0] if element.VR in _SHOWN and len(spelled) == 1 else _digest(spelled)


def _digest(spelled: Any) -> str:
    return hashlib.sha256(json.dumps(spelled, sort_keys=True).encode()).hexdigest()[:16]


def _spelled(element: Any, without: Collection[str] = ()) -> list[Any]:
    """An element's value in a spelling that no writer changes: 10, 10.0 and 1E1 are the same leaf position."""
    if element.VR == "SQ":
        return [_item(item, without) for item in element.value]
    values = element.value if element.VM > 1 else [element.value]
    return [_rounded(value) for value in values]


def _item(item: Any, without: Collection[str] = ()) -> dict[str, Any]:
    return {part.keyword: _spelled(part, without) for part in _elements(item, without)}


def _rounded(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, (int, float)) or hasattr(value, "as_tuple") else str(value)


def _references(dataset: Any) -> dict[Optional[int], list[Any]]:
    """What the fraction groups say of each beam."""
    found: dict[Optional[int], list[Any]] = {}
    for group in dataset.get("FractionGroupSequence") or []:
        for reference in group.get("ReferencedBeamSequence") or []:
            found.setdefault(_number(reference, "ReferencedBeamNumber"), []).append(reference)
    return found


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
    said = [f"{place}: {_shown(before)} -> {_shown(after)}" for place, before, after in _differences(now, approved)]
    return said if _alike(now, approved) else [_OLDER, *said]


_OLDER = (
    "the approved plan was noted by another version of qa_fetch, which did not look at the same things: look at the "
    "plan, and approve it again"
)


def _alike(now: Mapping[str, Any], approved: Mapping[str, Any]) -> bool:
    return bool(now.get("made_by") == approved.get("made_by"))


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
        # Of two versions, only what both noted alike can be compared.
        keys = {**old, **new} if _alike(now, approved) else [key for key in old if key in new and key not in _DIGESTS]
        for key in keys:
            if new.get(key) != old.get(key):
                yield from _within(f"{name} {_CALLED.get(key, key)}".rstrip(), old.get(key), new.get(key))
    if _alike(now, approved):
        yield from _within("plan", approved["other"], now["other"])


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
