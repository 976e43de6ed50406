"""What must come out in DICOM of a phantom archive: worked out by the generator, never read back from its files.

Lengths are in mm and doses in Gy, in DICOM's patient coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

Array = Any  # numpy.ndarray: numpy 1 and 2 differ in how it is annotated
Triple = tuple[float, float, float]

SIGNS: dict[str, Triple] = {
    "HFS": (1.0, -1.0, -1.0),
    "HFP": (-1.0, 1.0, -1.0),
    "FFS": (-1.0, -1.0, 1.0),
    "FFP": (1.0, 1.0, 1.0),
}


def in_dicom(points: Array, position: str, shift: Triple = (0.0, 0.0, 0.0)) -> Array:
    """Points of Pinnacle (cm) in DICOM's patient coordinates (mm)."""
    return np.asarray(points, dtype=np.float64) * 10.0 * np.array(SIGNS[position]) + np.array(shift)


@dataclass(frozen=True)
class Picture:
    """One image of a series; ``values`` are HU for CT, plain values for MR."""

    position: Triple  # ImagePositionPatient
    values: Array  # rows x columns
    instance_uid: str
    number: int


@dataclass(frozen=True)
class Images:
    """An image set."""

    number: int
    modality: str
    rows: int
    columns: int
    pixel_spacing: tuple[float, float]  # between rows, between columns
    orientation: tuple[float, float, float, float, float, float]
    pictures: tuple[Picture, ...]  # in the order of the archive: z of Pinnacle ascending
    study_uid: str
    series_uid: str
    frame_uid: str
    patient_position: str
    kept_as: str  # "img", "dicom", "both" or "none"


@dataclass(frozen=True)
class Contours:
    """A region of interest: an array (n, 3) for each contour, without the first point again at its end."""

    name: str
    colour: str
    rgb: tuple[int, int, int]
    interpreted_type: str
    contours: tuple[Array, ...]


@dataclass(frozen=True)
class Mark:
    """A point of interest."""

    name: str
    position: Triple
    colour: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Setting:
    """A control point of DICOM."""

    cumulative: float
    gantry: float
    collimator: float
    couch: float
    jaws: tuple[float, float, float, float]  # x1, x2, y1, y2
    leaves: Optional[tuple[float, ...]]  # LeafJawPositions: x1 bank by ascending y, then x2 bank


@dataclass(frozen=True)
class Wedging:
    """A wedge of a beam."""

    name: str
    angle: float
    orientation: float
    wedge_type: str  # STANDARD, MOTORIZED, DYNAMIC


@dataclass(frozen=True)
class Blocking:
    """A block: its outline in the isocentre's plane, mm."""

    block_type: str  # APERTURE or SHIELDING
    outline: Array


@dataclass(frozen=True)
class Field:
    """A beam as the RTPLAN must tell it."""

    number: int
    name: str
    field_id: str
    beam_type: str  # STATIC or DYNAMIC
    radiation: str  # PHOTON or ELECTRON
    energy: float
    machine: str
    machine_described: bool
    isocentre: Optional[Triple]
    prescription: int  # index of its prescription
    fractions: int
    rotation: str  # NONE, CW or CC
    source_surface_distance: float
    settings: tuple[Setting, ...]
    weights_known: bool  # False: the weights follow neither convention, halves to both sides
    boundaries: Optional[tuple[float, ...]]  # LeafPositionBoundaries, ascending
    wedge: Optional[Wedging]
    applicator: Optional[str]
    block: Optional[Blocking]
    dose_at_point: float  # cGy per MU at its prescription point, by the grid
    prescribed: float  # cGy of this beam in a fraction
    by_formula: Optional[float]  # MU; None without the machine
    by_grid: float
    dose_file: str
    grid: Callable[[], Array] = field(repr=False)  # cGy per MU in Pinnacle's axes: z, y, x all ascending

    @property
    def monitor_units(self) -> Optional[float]:
        """The MU that formula and grid agree on within half a percent, or the only ones known; else None."""
        if self.by_formula is None:
            return self.by_grid
        return self.by_formula if abs(self.by_formula / self.by_grid - 1.0) <= 0.005 else None

    def units(self, choice: str) -> Optional[float]:
        """The MU by the choice of a user: agree, formula or grid."""
        return {"agree": self.monitor_units, "formula": self.by_formula, "grid": self.by_grid}[choice]


@dataclass(frozen=True)
class Group:
    """A prescription: a fraction group of the RTPLAN."""

    name: str
    fractions: int
    dose: float  # Gy of a fraction
    beams: tuple[int, ...]  # numbers of its beams


@dataclass(frozen=True)
class Dose:
    """A dose, with its axes ascending."""

    x: Array
    y: Array
    z: Array
    values: Array  # Gy: z, y, x


@dataclass(frozen=True)
class Trial:
    """A trial: an RTPLAN and an RTDOSE."""

    index: int
    name: str
    fields: tuple[Field, ...]
    groups: tuple[Group, ...]
    position: str
    shift: Triple
    origin: Triple  # cm, Pinnacle
    voxel: Triple  # cm
    dimension: tuple[int, int, int]

    def axes(self) -> tuple[Array, Array, Array]:
        """The positions of the voxels along x, y and z in DICOM's coordinates, ascending."""
        found = []
        for axis in range(3):
            line = self.origin[axis] + self.voxel[axis] * np.arange(self.dimension[axis])
            found.append(np.sort(line * 10.0 * SIGNS[self.position][axis] + self.shift[axis]))
        return found[0], found[1], found[2]

    def dose(self, choice: str = "agree") -> Optional[Dose]:
        """The dose in all; None where the MU of a beam are not known, so that no dose may be written."""
        total = np.zeros(self.dimension[::-1], dtype=np.float64)
        for beam in self.fields:
            units = beam.units(choice)
            if units is None:
                return None
            total += beam.grid().astype(np.float64) * (units * beam.fractions / 100.0)
        for axis, sign in enumerate(SIGNS[self.position]):
            if sign < 0:
                total = np.flip(total, axis=2 - axis)
        return Dose(*self.axes(), total)


@dataclass(frozen=True)
class Plan:
    """A plan: an RTSTRUCT and what its trials give."""

    number: int
    name: str
    folder: str
    shift: Triple
    contours: tuple[Contours, ...]
    marks: tuple[Mark, ...]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Patient:
    """A patient of the archive."""

    folder: str  # path in the archive
    identifier: str  # PatientID
    name: str  # PatientName
    birth_date: str
    sex: str
    images: tuple[Images, ...]
    plans: tuple[Plan, ...]
    others: tuple[tuple[str, str, str], ...]  # (modality, SOPInstanceUID, path) of the DICOM kept beside the images


@dataclass(frozen=True)
class Truth:
    """What an archive holds."""

    path: Path
    patients: tuple[Patient, ...]

    @property
    def patient(self) -> Patient:
        """The first patient."""
        return self.patients[0]

    @property
    def plan(self) -> Plan:
        """The first plan of the first patient."""
        return self.patients[0].plans[0]

    @property
    def trial(self) -> Trial:
        """The first trial of the first plan of the first patient."""
        return self.patients[0].plans[0].trials[0]

    def trials(self) -> Iterator[tuple[Patient, Plan, Trial]]:
        """Every trial with its plan and its patient."""
        for patient in self.patients:
            for plan in patient.plans:
                for trial in plan.trials:
                    yield patient, plan, trial
