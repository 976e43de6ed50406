"""The beams of a phantom archive: their control points, and what each must be in DICOM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
from phantom_course import DESIGNS, ENERGIES, THIN_ENDS, WEDGES, BeamSpec, Course
from phantom_dose import at_point, beam_grid
from phantom_text import dose_per_mu
from phantom_truth import Array, Blocking, Field, Setting, Triple, Wedging

OUTPUT_FACTOR = 1.02155
_JAWS = (6.5, 5.0, 7.0, 4.5)  # left, right, top, bottom: each on its own side, none like another
OUTLINE = ((-4.1, -3.2), (-4.6, 1.3), (-1.2, 4.4), (2.3, 3.1), (3.9, -0.4), (1.1, -2.9))


@dataclass(frozen=True)
class Step:
    """A control point as the archive has it."""

    weight: float
    gantry: float  # by IEC 61217
    jaws: tuple[float, float, float, float]  # left, right, top, bottom
    leaves: Array  # rows x (left, right), cm


def steps(spec: BeamSpec) -> list[Step]:
    """The control points of a beam; every one with its own leaves."""
    count = spec.control_points
    weights = _weights(spec)
    design = DESIGNS[spec.machine]
    found = []
    for number in range(count):
        gantry = spec.gantry
        if spec.kind == "arc":
            turn = spec.arc * number / (count - 1)
            gantry = round((spec.gantry + (turn if spec.clockwise else -turn)) % 360.0, 3)
        left, right, top, bottom = _JAWS
        if spec.kind == "arc":
            left, right = round(left - 0.1 * (number % 7), 4), round(right - 0.05 * (number % 9), 4)
        leaves = np.zeros((len(design.centres), 2))
        for row, centre in enumerate(design.centres):
            if -top < centre < bottom:
                wobble = 0.1 * ((number * 3 + row) % 5)
                leaves[row] = (round(left - 0.5 - wobble, 2), round(right - 0.3 + 0.2 * centre / 7 - wobble, 2))
        found.append(Step(weights[number], gantry, (left, right, top, bottom), leaves))
    return found


def _weights(spec: BeamSpec) -> list[float]:
    """Weights as they stand: they sum to 1, and one end of an arc has none where a convention says so."""
    count = spec.control_points
    if count == 1:
        return [1.0]
    shares = [1.0 + 0.3 * ((number * 2) % 5) for number in range(count)]
    if spec.kind == "arc" and spec.weights == "arrival":
        shares[0] = 0.0
    if spec.kind == "arc" and spec.weights == "departure":
        shares[-1] = 0.0
    total = sum(shares)
    return [float(f"{share / total:g}") for share in shares]


def settings(spec: BeamSpec, given: Sequence[Step]) -> tuple[Setting, ...]:
    """The control points of DICOM: two of each segment, those of an arc as they are."""
    if spec.kind == "arc":
        weights = [step.weight for step in given]
        if spec.weights == "arrival":
            shares = weights[1:]
        elif spec.weights == "departure":
            shares = weights[:-1]
        else:
            shares = [(one + other) / 2 for one, other in zip(weights, weights[1:])]
        total = sum(shares)
        sums = [0.0]
        for share in shares:
            sums.append(sums[-1] + share / total)
        return tuple(_setting(spec, step, done) for step, done in zip(given, sums))
    total = sum(step.weight for step in given)
    found, done = [], 0.0
    for step in given:
        found.append(_setting(spec, step, done))
        done += step.weight / total
        found.append(_setting(spec, step, done))
    return tuple(found)


def turned(spec: BeamSpec, points: Array) -> Array:
    """From Pinnacle's drawing of a field (cm: x to the right jaw, y to the bottom jaw) to DICOM's (mm)."""
    return np.asarray(points) * (np.array([10, -10]) if DESIGNS[spec.machine].negated else np.array([-10, 10]))


def _setting(spec: BeamSpec, step: Step, done: float) -> Setting:
    left, right, top, bottom = step.jaws
    corners = np.sort(turned(spec, [(-left, -top), (right, bottom)]), axis=0)
    leaves: Optional[tuple[float, ...]] = None
    if uses_leaves(spec):
        rows = []
        for centre, (one, other) in zip(DESIGNS[spec.machine].centres, step.leaves.tolist()):
            tips = turned(spec, [(-one, centre), (other, centre)])
            rows.append((float(tips[0, 1]), float(tips[:, 0].min()), float(tips[:, 0].max())))
        rows.sort()
        leaves = tuple(row[1] for row in rows) + tuple(row[2] for row in rows)
    jaws = (float(corners[0, 0]), float(corners[1, 0]), float(corners[0, 1]), float(corners[1, 1]))
    return Setting(done, step.gantry, spec.collimator, spec.couch, jaws, leaves)


def uses_leaves(spec: BeamSpec) -> bool:
    """Whether its field is shaped by leaves."""
    return DESIGNS[spec.machine].has_leaves and spec.block is None and spec.applicator is None


def boundaries(spec: BeamSpec) -> Optional[tuple[float, ...]]:
    """LeafPositionBoundaries (mm), ascending."""
    if not uses_leaves(spec):
        return None
    design = DESIGNS[spec.machine]
    edges = [(0.0, centre - width / 2) for centre, width in zip(design.centres, design.widths)]
    edges.append((0.0, design.centres[-1] + design.widths[-1] / 2))
    return tuple(np.sort(turned(spec, edges)[:, 1]).tolist())


def _wedge(spec: BeamSpec) -> Optional[Wedging]:
    """A wedge; its orientation is the angle from Y2 over X1 to where its thin end lies."""
    if spec.wedge is None:
        return None
    name, orientation, angle = spec.wedge
    x, y = turned(spec, THIN_ENDS[orientation]).tolist()
    return Wedging(name, angle, math.degrees(math.atan2(-x, y)) % 360.0, WEDGES[name][3])


def truth(
    course: Course,
    spec: BeamSpec,
    place: int,
    seed: int,
    reference: Triple,
    isocentre: Optional[Triple],
    fractions: int,
    dose_file: str,
) -> tuple[Field, float]:
    """What a beam must be in DICOM, and its NormalizedDose.

    Parameters
    ----------
    course, spec
        The options, and the beam's own.
    place
        Which beam of its trial it is, from 0.
    seed
        Of its dose grid.
    reference
        Its prescription point, cm.
    isocentre
        Its isocentre in DICOM's coordinates.
    fractions
        Of its prescription.
    dose_file
        The name of its dose file.
    """
    design = DESIGNS[spec.machine]
    energy, modality = ENERGIES[spec.energy]
    electrons = modality == "Electrons"
    at = at_point(course, seed, reference)
    calibration = dose_per_mu(spec.energy, design)
    wanted = 87.3 + 13.7 * place + 5.1 * (seed // 10)
    prescribed = float(f"{wanted * at:g}")
    # the normalised dose of electrons refers to the prescription's percent
    percent = course.percent / 100 if electrons else 1.0
    normalised = float(f"{at / (OUTPUT_FACTOR * calibration * spec.transmission * percent):g}")
    described = course.machines is None or spec.machine in course.machines
    field = Field(
        number=place + 1,
        name=f"{place + 1:02d} {spec.kind} {spec.energy}",
        field_id=f"{place + 1:02d}",
        beam_type="STATIC" if spec.kind == "static" else "DYNAMIC",
        radiation="ELECTRON" if electrons else "PHOTON",
        energy=energy,
        machine=spec.machine,
        machine_described=described,
        isocentre=isocentre,
        prescription=place % course.prescriptions,
        fractions=fractions,
        rotation=("CW" if spec.clockwise else "CC") if spec.kind == "arc" else "NONE",
        source_surface_distance=928.0 + place,
        settings=settings(spec, steps(spec)),
        weights_known=not (spec.kind == "arc" and spec.weights == "neither"),
        boundaries=boundaries(spec),
        wedge=_wedge(spec),
        applicator=spec.applicator,
        block=Blocking(spec.block, turned(spec, OUTLINE)) if spec.block else None,
        dose_at_point=at,
        prescribed=prescribed,
        by_formula=prescribed / (normalised * OUTPUT_FACTOR * calibration * spec.transmission) if described else None,
        by_grid=prescribed / at,
        dose_file=dose_file,
        grid=lambda: beam_grid(course, seed),
    )
    return field, normalised
