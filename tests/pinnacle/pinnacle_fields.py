"""Beams, machines and doses of a small plan, made by hand for the writers of RTPLAN and RTDOSE."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from pinnacle_work import ENTRY, PATIENT

from qa_fetch.pinnacle.making import Notes, Work
from qa_fetch.pinnacle.records import (
    Beam,
    ControlPoint,
    Energy,
    Grid,
    Jaws,
    Leaf,
    Machine,
    MonitorUnitInfo,
    Plan,
    Point,
    Prescription,
    Scale,
    Trial,
    Wedge,
    WedgeSetting,
)
from qa_fetch.pinnacle.sources import Folder

Array = Any  # numpy.ndarray
GRID = Grid((4, 3, 5), (0.5, 0.4, 0.3), (-1.0, -0.5, -0.6))
ROWS = (2.5, 1.5, 0.75, 0.25, -0.25, -0.75, -1.5, -2.5)  # as this machine labels them: highest first
LEAVES = array("d", [0, 0, 0, 0, 1.1, 2.1, 1.2, 2.2, 1.3, -0.3, 1.4, 2.4, 0, 0, 0, 0])
JAWS = Jaws(left=4.0, right=5.0, top=6.0, bottom=7.0)
POINT = ControlPoint(
    gantry=79.0,
    couch=355.0,
    collimator=10.0,
    jaws=JAWS,
    weight=1.0,
    leaves=LEAVES,
    leaf_rows=ROWS,
    wedge=None,
    dose_rate=None,
)
INFO = MonitorUnitInfo(
    prescription_dose=110.0,
    normalized_dose=1.1,
    collimator_output_factor=1.02,
    total_transmission_fraction=1.0,
    source_to_prescription_point=100.0,
    prescription_point_depth=7.0,
)
FORMULA = 110.0 / (1.1 * 1.02 * 0.8)
MACHINE = Machine(
    name="Linac",
    version="2019-03-13 11:12:23",
    source_axis_distance=100.0,
    leaves=tuple(Leaf(y, 1.0 if abs(y) > 1 else 0.5) for y in (*sorted(ROWS),)),
    leaves_along_left_right=True,
    energies=(Energy("6X", 6.0, "Photons", 0.8), Energy("9E", 9.0, "Electrons", 0.8)),
    wedges=(
        Wedge("30 Wedge", None, 30.0, False, "Steel"),
        Wedge("EDW", None, 0.0, True, None),
        Wedge("Universal", None, 60.0, False, None, universal=True),
    ),
    manufacturer="Varian",
    model="Clinac",
    leaves_negated=True,
    gantry_scale=Scale(0.0, False),
    collimator_scale=Scale(180.0, True),
    couch_scale=Scale(0.0, True),
    left_right_jaw_distance=44.4,
    top_bottom_jaw_distance=35.8,
    leaf_distance=53.83,
    block_tray_distance=64.5,
)
OUTLINE = array("d", [-4.1, -3.2, -4.6, 1.3, 2.3, 3.1, -4.1, -3.2])  # of a block, its first point again
PRESCRIPTION = Prescription("Presc", 220.0, 100.0, 12, "iso", "Per Fraction", None)
ISOCENTRE = Point("iso", (-0.25, 0.1, 0.3), "red", "MARKER")


def wedged(
    name: str = "30 Wedge", orientation: Optional[str] = "WedgeLeftToRight", angle: str = "Fixed"
) -> ControlPoint:
    """A control point with a wedge."""
    return replace(POINT, wedge=WedgeSetting(name, orientation, angle))


def field(index: int = 0, *points: ControlPoint, **changes: Any) -> Beam:
    """A beam, of one control point where nothing else is said."""
    beam = Beam(
        index=index,
        name=f"Field {index}",
        field_id=f"0{index}",
        isocentre="iso",
        prescription="Presc",
        prescription_point="iso",
        machine="Linac",
        machine_version="2019-03-13 11:12:23",
        modality="Photons",
        energy="6X",
        beam_type="Static",
        gantry_clockwise=None,
        control_points=points or (POINT,),
        dose=f"dose.{index}",
        weight=50.0,
        monitor_units_valid=True,
        monitor_units=INFO,
        dose_rate=600.0,
        use_mlc=True,
        applicator=None,
        tray=None,
        source_surface_distance=92.8,
        bolus=None,
    )
    return replace(beam, **changes)


def arc(angles: Sequence[float], weights: Sequence[Optional[float]]) -> tuple[ControlPoint, ...]:
    """Control points of an arc, each with leaves of its own."""
    return tuple(
        replace(POINT, gantry=angle, weight=weight, leaves=array("d", [value + number / 10 for value in LEAVES]))
        for number, (angle, weight) in enumerate(zip(angles, weights))
    )


def trial(*beams: Beam, prescriptions: Optional[Sequence[Prescription]] = None, **changes: Any) -> Trial:
    """A trial of these beams; its prescription asks for what they give where no other is said."""
    given = beams or (field(),)
    doses = [beam.monitor_units.prescription_dose or 0.0 for beam in given if beam.monitor_units is not None]
    asked = prescriptions if prescriptions is not None else (replace(PRESCRIPTION, dose=sum(doses) or 220.0),)
    return replace(Trial(0, "Trial_1", GRID, tuple(asked), given), **changes)


def grid_dose(number: int = 0, grid: Grid = GRID) -> Array:
    """cGy for a MU by z, y and x of Pinnacle, all ascending: linear in each, so that what lies between is known."""
    x, y, z = (grid.origin[axis] + grid.voxel[axis] * np.arange(grid.dimension[axis]) for axis in range(3))
    at = _linear(x[None, None, :], y[None, :, None], z[:, None, None], number)
    return at.astype(np.float32)


def _linear(x: Any, y: Any, z: Any, number: int) -> Any:
    return 0.8 + 0.05 * number + 0.1 * x + 0.2 * y + 0.07 * z


def dose_at(number: int = 0, place: Sequence[float] = ISOCENTRE.position or ()) -> float:
    """The dose of a point, cGy for a MU."""
    return float(_linear(*place, number))


def agreeing(number: int = 0, **changes: Any) -> MonitorUnitInfo:
    """What makes formula and grid agree for a beam."""
    normalised = dose_at(number) / (1.02 * 0.8)
    return replace(INFO, normalized_dose=normalised, **changes)


def work(
    folder: Path,
    of: Trial,
    *,
    machines: Sequence[Machine] = (MACHINE,),
    points: Sequence[Point] = (ISOCENTRE,),
    doses: Optional[Sequence[Union[Array, bytes, None]]] = None,
) -> Work:
    """A plan of one trial with its dose files, which are of known truth where they are not given.

    Parameters
    ----------
    folder
        Where the dose files are written.
    of
        The trial.
    machines, points
        What the plan describes.
    doses
        For each beam an array by z, y and x ascending, the bytes of its file, or None for no file.
    """
    folder.mkdir(exist_ok=True)
    given = doses if doses is not None else [grid_dose(beam.index) for beam in of.beams]
    for beam, dose in zip(of.beams, given):
        if dose is not None and beam.dose is not None:
            data = dose if isinstance(dose, bytes) else dose[:, ::-1, :].astype(">f4").tobytes()
            (folder / beam.dose).write_bytes(data)
    plan = Plan(replace(ENTRY, name="BRAIN"), "HFS", 16.0, (of,), (), tuple(points), tuple(machines))
    patient = replace(PATIENT, plans=(plan.entry,))
    return Work(Folder(folder), patient, None, plan, Notes())
