"""A plan's trials: ``plan.Trial`` with its prescriptions, beams and control points.

Control points lie in ``CPManager/CPManagerObject/ControlPointList``, in some versions without ``CPManagerObject``.
A beam's tray is ``TrayNumber`` with ``TrayFactor``; an electron beam's applicator ``ElectronApplicatorName``.
"""

from __future__ import annotations

import re
from array import array
from functools import lru_cache
from typing import Optional

from .records import (
    Beam,
    ControlPoint,
    Grid,
    Jaws,
    MonitorUnitInfo,
    Prescription,
    Trial,
    Triple,
    WedgeSetting,
)
from .text import Block, number

_ROW = re.compile(r"=\s*([-+]?\d+\.?\d*)")
_NONE = {"none", "<none>", "no wedge", "nowedge"}


def blocks(content: Block) -> list[Block]:
    """The blocks of the trials of a text: at its top, or in a list."""
    return content.blocks("Trial") or content.members("TrialList")


def trials(content: Block, folder: str) -> tuple[Trial, ...]:
    """The trials of a text; their doses lie in the plan's folder."""
    return tuple(_trial(block, index, folder) for index, block in enumerate(blocks(content)))


def _trial(block: Block, index: int, folder: str) -> Trial:
    return Trial(
        index=index,
        name=block.text("Name"),
        grid=_grid(block),
        prescriptions=tuple(_prescription(each) for each in block.members("PrescriptionList")),
        beams=tuple(_beam(each, number, folder) for number, each in enumerate(block.members("BeamList"))),
        whole=block.whole,
    )


def _grid(block: Block) -> Optional[Grid]:
    """The grid (``DoseGrid .Dimension .X`` and so on); None where one of its numbers is missing or no grid's."""
    dimension, voxel, origin = (_axes(block, part) for part in ("Dimension", "VoxelSize", "Origin"))
    if dimension is None or voxel is None or origin is None:
        return None
    if min(voxel) <= 0 or any(not 0 < count < 1e5 or count != int(count) for count in dimension):
        return None
    turned = _axes(block, "VolRotDelta")
    counts = (int(dimension[0]), int(dimension[1]), int(dimension[2]))
    return Grid(counts, voxel, origin, rotated=turned is not None and any(turned))


def _axes(block: Block, part: str) -> Optional[Triple]:
    within = block.block("DoseGrid", part)
    values = [
        within.number(axis) if within is not None else block.number(f"DoseGrid.{part}.{axis}")
        for axis in ("X", "Y", "Z")
    ]
    return triple(*values)


def triple(x: Optional[float], y: Optional[float], z: Optional[float]) -> Optional[Triple]:
    """Three numbers, or None where one is missing."""
    return None if x is None or y is None or z is None else (x, y, z)


def _prescription(block: Block) -> Prescription:
    return Prescription(
        name=block.text("Name"),
        dose=block.number("PrescriptionDose"),
        percent=block.number("PrescriptionPercent"),
        fractions=block.whole_number("NumberOfFractions"),
        point=_named(block, "PrescriptionPoint"),
        period=block.text("PrescriptionPeriod"),
        requested_monitor_units=block.number("RequestedMonitorUnitsPerFraction"),
    )


def _beam(block: Block, index: int, folder: str) -> Beam:
    machine, version = _machine(block.text("MachineNameAndVersion"))
    manager = block.block("CPManager", "CPManagerObject") or block.block("CPManager") or block
    control_points = manager.members("ControlPointList")
    binary = block.binary("DoseVolume")
    units = block.block("MonitorUnitInfo")
    return Beam(
        index=index,
        name=block.text("Name"),
        field_id=block.text("FieldID"),
        isocentre=_named(block, "IsocenterName"),
        prescription=_named(block, "PrescriptionName"),
        prescription_point=_named(block, "PrescriptionPointName"),
        machine=machine,
        machine_version=version,
        modality=block.text("Modality"),
        energy=block.text("MachineEnergyName"),
        beam_type=block.text("SetBeamType"),
        gantry_clockwise=_clockwise(manager),
        control_points=tuple(_control_point(each) for each in control_points),
        dose=None if binary is None else f"{folder}/plan.Trial.binary.{binary:03d}",
        weight=block.number("Weight"),
        monitor_units_valid=block.flag("MonitorUnitsValid"),
        monitor_units=_monitor_units(units) if units is not None else None,
        dose_rate=block.number("DoseRate"),
        use_mlc=block.flag("UseMLC"),
        applicator=_named(block, "ElectronApplicatorName"),
        tray=_named(block, "TrayNumber"),
        source_surface_distance=block.number("SSD") if block.flag("SSDValid") is not False else None,
        bolus=(block.text("RelyOnBolusNames") or "").strip("& ") or None,
        tray_factor=block.number("TrayFactor"),
        whole=block.whole
        and manager.number("NumberOfControlPoints") in (None, len(control_points))
        and all(map(_leaves_agree, control_points)),
    )


def _machine(told: Optional[str]) -> tuple[Optional[str], Optional[str]]:
    """A machine's name and version, of ``Clinac: 2020-01-01 10:00:00``."""
    name, parts, version = (told or "").rpartition(": ")
    return (name.strip() or None, version.strip() or None) if parts else (told, None)


def _leaves_agree(control_point: Block) -> bool:
    """Whether there are as many leaf positions as are told."""
    table = control_point.block("MLCLeafPositions", "RawData")
    told = table.number("NumberOfPoints") if table is not None else None
    found = table.numbers("Points[]") if table is not None else None
    return told is None or 2 * told == len(found or ())


def _named(block: Block, key: str) -> Optional[str]:
    """A name, or None where Pinnacle says that there is none."""
    text = block.text(key)
    return None if text is None or text.lower() in _NONE else text


def _clockwise(manager: Block) -> Optional[bool]:
    """Which way the gantry turns: ``GantryIsCCW`` or ``GantryIsCW``; None where they do not say one way."""
    counter, clockwise = manager.flag("GantryIsCCW"), manager.flag("GantryIsCW")
    if counter is None or clockwise is None:
        return clockwise if counter is None else not counter
    return clockwise if clockwise != counter else None


def _monitor_units(block: Block) -> MonitorUnitInfo:
    return MonitorUnitInfo(
        prescription_dose=block.number("PrescriptionDose"),
        normalized_dose=block.number("NormalizedDose"),
        collimator_output_factor=block.number("CollimatorOutputFactor"),
        total_transmission_fraction=block.number("TotalTransmissionFraction"),
        source_to_prescription_point=block.number("SourceToPrescriptionPointDistance"),
        prescription_point_depth=block.number("PrescriptionPointDepth"),
    )


def _control_point(block: Block) -> ControlPoint:
    positions = block.block("MLCLeafPositions")
    table = block.block("MLCLeafPositions", "RawData")
    painted, outside = _blocks(block)
    return ControlPoint(
        gantry=block.number("Gantry"),
        couch=block.number("Couch"),
        collimator=block.number("Collimator"),
        jaws=_jaws(block),
        weight=block.number("Weight"),
        leaves=(table.numbers("Points[]") if table is not None else None) or array("d"),
        leaf_rows=_rows(positions) if positions is not None else (),
        wedge=_wedge(block.block("WedgeContext")),
        dose_rate=block.number("DoseRate"),
        block_contours=painted,
        block_outside=outside,
    )


def _jaws(block: Block) -> Optional[Jaws]:
    left, right = block.number("LeftJawPosition"), block.number("RightJawPosition")
    top, bottom = block.number("TopJawPosition"), block.number("BottomJawPosition")
    if left is None or right is None or top is None or bottom is None:
        return None
    return Jaws(left, right, top, bottom)


def _rows(positions: Block) -> tuple[Optional[float], ...]:
    """The y of each row from its label (``  1. Y = 19.50 cm``)."""
    return tuple(_row(each.text("String") or "") for each in positions.members("RowLabelList"))


@lru_cache(maxsize=1024)  # the same labels stand at every control point
def _row(label: str) -> Optional[float]:
    found = _ROW.search(label)
    return number(found[1]) if found else None


def _wedge(block: Optional[Block]) -> Optional[WedgeSetting]:
    """The wedge of a ``WedgeContext``; None where it says that there is none."""
    name = _named(block, "WedgeName") if block is not None else None
    if block is None or name is None:
        return None
    return WedgeSetting(name, _named(block, "Orientation"), _named(block, "Angle"))


def _blocks(block: Block) -> tuple[tuple[array[float], ...], Optional[str]]:
    """The contours that somebody drew (``ModifierList``), and what lies outside of them where all agree."""
    contours: list[array[float]] = []
    modes = set()
    for modifier in block.members("ModifierList"):
        for painter in modifier.members("ContourList"):
            curve = painter.block("Curve", "RawData")
            points = curve.numbers("Points[]") if curve is not None else None
            if points:
                contours.append(points)
                modes.add(modifier.text("OutsideMode"))
    return tuple(contours), modes.pop() if len(modes) == 1 else None
