"""A beam of an RTPLAN with its control points."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Callable, Final, Optional

from . import leaves as leaf_rows
from . import wedges
from .making import Notes
from .objects import LONG, SHORT, decimal, fitted, warn_once
from .records import Beam, ControlPoint, Machine, Triple
from .scales import Head, Unsure, head

_SEGMENTS: Final = ("static", "step", "segment", "motor")  # in SetBeamType: each control point is a field of its own
_MOVING: Final = ("arc", "dynamic", "sliding")
_STEP = 90.0  # degrees between two control points beyond which their angles do not say which way the gantry turns
_FULL_TURN = 360.001
_HIGHEST_ENERGY = 1000.0  # MV or MeV
_ENERGY = re.compile(r"\d+(?:\.\d+)?")
_SUM = 0.01
_FARTHEST = 1000.0  # cm from the axis


@dataclass(frozen=True)
class Setting:
    """A beam as it is to be written: its control points in DICOM's number, with cumulative weights."""

    points: tuple[ControlPoint, ...]
    cumulative: tuple[float, ...]
    rotation: str  # NONE, CW or CC
    moves: bool


def item(beam: Beam, machine: Optional[Machine], isocentre: Optional[Triple], notes: Notes, what: str) -> Any:
    """The item of BeamSequence; Unsure where a value that it must have is not known.

    Parameters
    ----------
    beam, machine
        The beam, and the machine that it names where the archive describes it.
    isocentre
        In DICOM's coordinates, mm; None where it is not known.
    notes, what
        Where warnings go, and under what.
    """
    from pydicom.dataset import Dataset

    def warn(reason: str) -> None:
        warn_once(notes, what, reason)

    if not beam.whole:
        raise Unsure("it is not whole in plan.Trial")
    first = _first(beam)
    way = head(machine, first.leaf_rows)
    for doubt in way.doubts(beam):
        warn(doubt)
    collimator = leaf_rows.of_beam(beam, machine, warn)
    setting = _setting(beam, way, warn)
    wedge = wedges.wedges(beam, machine, way.turned, warn)
    blocks = wedges.blocks(beam, machine, way.turned, warn)
    _judge(beam, collimator, warn)
    data = Dataset()
    data.BeamNumber = beam.index + 1
    data.BeamName = fitted(beam.name, LONG, notes, f"the name of {what}")
    if beam.field_id is not None:
        data.BeamDescription = fitted(beam.field_id, LONG, notes, f"the field ID of {what}")
    data.BeamType = _beam_type(setting, beam)
    data.RadiationType = _radiation(beam, warn)
    data.TreatmentMachineName = fitted(beam.machine, SHORT, notes, f"the machine's name of {what}")
    data.PrimaryDosimeterUnit = "MU"
    if machine is not None and machine.source_axis_distance is not None:
        data.SourceAxisDistance = leaf_rows.millimetres(machine.source_axis_distance)
    else:
        warn(
            "the archive does not say how far its machine's source is from its axis, so SourceAxisDistance is left out"
        )
    data.BeamLimitingDeviceSequence = leaf_rows.devices(collimator, machine)
    data.ReferencedPatientSetupNumber = 1
    data.TreatmentDeliveryType = "TREATMENT"
    data.NumberOfWedges = len(wedge)
    if wedge:
        data.WedgeSequence = wedge
    data.NumberOfCompensators = 0
    data.NumberOfBoli = 0
    data.NumberOfBlocks = len(blocks)
    if blocks:
        data.BlockSequence = blocks
    applicators = wedges.applicators(beam, warn) if data.RadiationType == "ELECTRON" else []
    if applicators:
        data.ApplicatorSequence = applicators
    data.FinalCumulativeMetersetWeight = 1
    data.NumberOfControlPoints = len(setting.points)
    data.ControlPointSequence = _control_points(beam, machine, way, setting, collimator, bool(wedge))
    _complete(data.ControlPointSequence[0], beam, machine, way, isocentre, warn)
    if "FFF" in (beam.energy or "").upper():
        data.PrimaryFluenceModeSequence = [_unflattened()]
    return data


def _judge(beam: Beam, collimator: Optional[leaf_rows.Leaves], warn: Callable[[str], None]) -> None:
    """Warn of what a user should look at, but which can be written or left out."""
    if any(leaf_rows.cross(point, collimator) for point in beam.control_points):
        warn("some of its jaws or leaves lie beyond those on the other side; compare them with the planning system")
    if beam.bolus is not None:
        warn("it has a bolus, which an RTPLAN can only name by a structure, so it is left out")


def _first(beam: Beam) -> ControlPoint:
    """The first control point of a beam whose control points all have what each must have."""
    if not beam.control_points:
        raise Unsure("it has no control points")
    for number, point in enumerate(beam.control_points):
        jaws = point.jaws
        values = {
            "gantry angle": point.gantry,
            "couch angle": point.couch,
            "collimator angle": point.collimator,
            "position of its jaws": None if jaws is None else max(map(abs, astuple(jaws))),
        }
        for name, value in values.items():
            if value is None or not math.isfinite(value):
                raise Unsure(f"the {name} of its control point {number} is missing")
        if any(not abs(value) < _FARTHEST for value in (*point.leaves, values["position of its jaws"] or 0.0)):
            raise Unsure(f"the jaws or leaves of its control point {number} are where none can be")
    return beam.control_points[0]


def _setting(beam: Beam, way: Head, warn: Callable[[str], None]) -> Setting:
    points = beam.control_points
    kind = (beam.beam_type or "").lower()
    turns = len({way.gantry(_gantry(point)) for point in points}) > 1
    if len({(point.couch, point.collimator) for point in points}) > 1:
        raise Unsure("its couch or its collimator turns between control points, which is not converted")
    if turns or any(word in kind for word in _MOVING):
        if len(points) < 2:
            raise Unsure(f"it moves (SetBeamType {'is missing' if not kind else 'says so'}), but has one control point")
        if not turns and "arc" in kind:
            raise Unsure("it is an arc, but its control points do not say how far its gantry turns")
        rotation = _rotation(beam, way, warn) if turns else "NONE"
        return Setting(points, _along(points, warn), rotation, True)
    if len(points) > 1 and not any(word in kind for word in _SEGMENTS):
        raise Unsure("its sort (SetBeamType) is not known, so what lies between its control points is not either")
    shares = _shares([1.0] if len(points) == 1 else [point.weight for point in points], warn)
    cumulative = [0.0]
    for share in shares:
        cumulative += [cumulative[-1] + share] * 2
    doubled = tuple(point for point in points for _ in range(2))
    return Setting(doubled, tuple(cumulative[:-1]), "NONE", False)


def _gantry(point: ControlPoint) -> float:
    assert point.gantry is not None  # _first has looked
    return point.gantry


def _along(points: Sequence[ControlPoint], warn: Callable[[str], None]) -> tuple[float, ...]:
    """Cumulative weights of a moving beam, whose weights belong to the way to a control point or from it."""
    weights = [point.weight for point in points]
    first, last = weights[0] == 0, weights[-1] == 0
    _shares(weights, warn)
    known = [weight for weight in weights if weight is not None]
    if first and not last:
        ways = known[1:]
    elif last and not first:
        ways = known[:-1]
    else:
        ways = [(one + other) / 2 for one, other in zip(known, known[1:])]
        warn(
            "its weights do not say whether they belong to the way to a control point or from it, so half of each is "
            "given to either; compare them with the planning system"
        )
    total, cumulative = sum(ways), [0.0]
    for way in ways:
        cumulative.append(cumulative[-1] + way / total)
    return tuple(cumulative)


def _shares(weights: Sequence[Optional[float]], warn: Callable[[str], None]) -> list[float]:
    """Weights as parts of one; Unsure where one is missing or below zero."""
    known = [weight for weight in weights if weight is not None and math.isfinite(weight) and weight >= 0]
    total = sum(known)
    if len(known) != len(weights) or total <= 0:
        raise Unsure("the weights of its control points are missing or below zero")
    if abs(total - 1.0) > _SUM:
        warn(f"the weights of its control points add up to {total:g} and not to 1; they are written as parts of that")
    return [weight / total for weight in known]


def _rotation(beam: Beam, way: Head, warn: Callable[[str], None]) -> str:
    """CW or CC by IEC 61217: by the angles where control points are close and many, else as the beam says."""
    angles = [way.gantry(_gantry(point)) for point in beam.control_points]
    steps = [(other - one + 180.0) % 360.0 - 180.0 for one, other in zip(angles, angles[1:])]
    steps = [step for step in steps if step]
    said = None if beam.gantry_clockwise is None else "CW" if beam.gantry_clockwise else "CC"
    # from one angle to one other there are always two ways: 181 to 179 is nearly a full turn, or hardly any
    if len(steps) == 1 or any(abs(step) > _STEP for step in steps):
        if said is None:
            raise Unsure("nothing says which way its gantry turns")
        turned = sum(step % 360.0 if said == "CW" else -step % 360.0 for step in steps)
        if turned > _FULL_TURN:
            raise Unsure("its control points contradict the way that GantryIsCCW says its gantry turns")
        if turned > 180.0 and len(steps) == 1:
            warn(
                f"its two angles are {360.0 - turned:g} degrees apart, but GantryIsCCW says that its gantry turns the "
                f"other way, by {turned:g}, which is written; compare it with the planning system"
            )
        return said
    ways = {"CW" if step > 0 else "CC" for step in steps}
    if len(ways) > 1:
        raise Unsure("its gantry turns back on its way, which is not converted")
    found = ways.pop()
    if said is not None and said != found:
        warn(
            "its control points go the other way round than GantryIsCCW says, so the way of the control points is "
            "written; compare it with the planning system"
        )
    return found


def _beam_type(setting: Setting, beam: Beam) -> str:
    """DYNAMIC where the gantry or the field's shape changes; a wedge that comes and goes does not count."""
    shapes = {(point.jaws, point.leaves.tobytes()) for point in beam.control_points}
    return "DYNAMIC" if setting.moves or len(shapes) > 1 else "STATIC"


def _radiation(beam: Beam, warn: Callable[[str], None]) -> str:
    found = {"photon": "PHOTON", "electron": "ELECTRON"}.get((beam.modality or "").lower().rstrip("s"), "")
    if not found:
        warn("the archive does not say its sort of radiation, which stays empty")
    return found


def _control_points(
    beam: Beam,
    machine: Optional[Machine],
    way: Head,
    setting: Setting,
    collimator: Optional[leaf_rows.Leaves],
    wedge: bool,
) -> list[Any]:
    from pydicom.dataset import Dataset

    items = []
    last = len(setting.points) - 1
    for number, (point, cumulative) in enumerate(zip(setting.points, setting.cumulative)):
        data = Dataset()
        data.ControlPointIndex = number
        data.CumulativeMetersetWeight = "1" if number == last else decimal(round(cumulative, 10))
        data.BeamLimitingDevicePositionSequence = leaf_rows.positions(point, collimator, way.turned)
        if number == 0 or setting.moves:
            data.GantryAngle = decimal(way.gantry(_gantry(point)))
            data.GantryRotationDirection = setting.rotation if number < last else "NONE"
        if wedge:
            data.WedgePositionSequence = wedges.wedge_positions(point)
        items.append(data)
    return items


def _complete(
    data: Any,
    beam: Beam,
    machine: Optional[Machine],
    way: Head,
    isocentre: Optional[Triple],
    warn: Callable[[str], None],
) -> None:
    """What the first control point says for all."""
    point = beam.control_points[0]
    assert point.collimator is not None and point.couch is not None  # _first has looked
    energy = _energy(beam, machine)
    if energy is not None:
        data.NominalBeamEnergy = decimal(energy)
    else:
        warn("neither its machine nor the name of its energy says how high that is, so NominalBeamEnergy is left out")
    rate = next((value for value in (point.dose_rate, beam.dose_rate) if value is not None and 0 < value < 1e5), None)
    if len({each.dose_rate for each in beam.control_points}) > 1:
        warn("its dose rate is not the same at all its control points, so DoseRateSet is left out")
    elif rate is not None:
        data.DoseRateSet = decimal(rate)
    data.BeamLimitingDeviceAngle = decimal(way.collimator(point.collimator))
    data.BeamLimitingDeviceRotationDirection = "NONE"
    data.PatientSupportAngle = decimal(way.couch(point.couch))
    data.PatientSupportRotationDirection = "NONE"
    data.TableTopEccentricAngle = "0"
    data.TableTopEccentricRotationDirection = "NONE"
    data.TableTopVerticalPosition = None
    data.TableTopLongitudinalPosition = None
    data.TableTopLateralPosition = None
    data.IsocenterPosition = None if isocentre is None else [decimal(round(value, 6)) for value in isocentre]
    distance = beam.source_surface_distance
    if distance is not None and distance > 0:
        data.SourceToSurfaceDistance = leaf_rows.millimetres(distance)


def _energy(beam: Beam, machine: Optional[Machine]) -> Optional[float]:
    """MV or MeV: as the machine describes the beam's energy, else the number in its name (``6X``)."""
    for energy in machine.energies if machine is not None else ():
        if energy.name == beam.energy and energy.modality in (beam.modality, None) and _is_energy(energy.value):
            return energy.value
    found = _ENERGY.match(beam.energy or "")
    named = float(found[0]) if found else None
    return named if _is_energy(named) else None


def _is_energy(value: Optional[float]) -> bool:
    return value is not None and 0 < value < _HIGHEST_ENERGY


def _unflattened() -> Any:
    """The item of PrimaryFluenceModeSequence of a beam without a flattening filter."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.FluenceMode = "NON_STANDARD"
    item.FluenceModeID = "FFF"
    return item
