"""Where the phantom lies in DICOM's patient coordinates, and how its pixels run.

In its own frame nothing ever moves: x, y and z are those of slices whose rows run along x. What a patient position or a
plane changes is only how that frame is laid into the patient and from which corner images begin: every truth stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from truth_shapes import Array

# which way rows and columns run for each position of the patient
POSITIONS = {"HFS": (1, 1), "HFP": (-1, -1), "FFS": (-1, 1), "FFP": (1, -1)}


def _oblique() -> Array:
    one, two = math.radians(20), math.radians(15)
    about_x = np.array([[1, 0, 0], [0, math.cos(one), -math.sin(one)], [0, math.sin(one), math.cos(one)]])
    about_z = np.array([[math.cos(two), -math.sin(two), 0], [math.sin(two), math.cos(two), 0], [0, 0, 1]])
    return about_z @ about_x


# columns: where the phantom's x, y and z point in the patient
PLANES = {
    "axial": np.eye(3),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sagittal": np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "oblique": _oblique(),
}
MIDDLE = np.array([12.0, -35.0, 210.0])  # of the phantom, in the patient: nowhere near anything's origin


@dataclass(frozen=True)
class Frame:
    """How the phantom is laid into the patient."""

    position: str = "HFS"
    plane: str = "axial"

    def signs(self) -> tuple[int, int]:
        """Which way rows and columns run in the phantom."""
        return POSITIONS[self.position]

    def along_normal(self) -> int:
        """Whether the normal of the images is the phantom's z or its opposite."""
        across, down = self.signs()
        return across * down

    def to_patient(self, points: Array) -> Array:
        """Points of the phantom (n, 3) in the patient."""
        placed: Array = np.asarray(points, dtype=np.float64) @ PLANES[self.plane].T + MIDDLE
        return placed

    def to_phantom(self, points: Array) -> Array:
        """Points of the patient (n, 3) in the phantom."""
        back: Array = (np.asarray(points, dtype=np.float64) - MIDDLE) @ PLANES[self.plane]
        return back

    def orientation(self) -> list[str]:
        """ImageOrientationPatient."""
        across, down = self.signs()
        turned = PLANES[self.plane]
        return [ds(value) for value in (*(across * turned[:, 0]), *(down * turned[:, 1]))]


@dataclass(frozen=True)
class Lattice:
    """The middles of pixels in the phantom; spacing and numbers in the order x, y, z."""

    count: tuple[int, int, int]
    spacing: tuple[float, float, float]
    middle: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def axis(self, number: int) -> Array:
        """The places along x, y or z, ascending."""
        steps = np.arange(self.count[number]) - (self.count[number] - 1) / 2
        places: Array = self.middle[number] + self.spacing[number] * steps
        return places

    def corner(self, frame: Frame, z: float) -> list[str]:
        """ImagePositionPatient of the image at this z."""
        across, down = frame.signs()
        x, y = self.axis(0)[0 if across > 0 else -1], self.axis(1)[0 if down > 0 else -1]
        return [ds(value) for value in frame.to_patient(np.array([[x, y, z]]))[0]]

    def pixel_spacing(self) -> list[str]:
        """PixelSpacing: between rows, then between columns."""
        return [ds(self.spacing[1]), ds(self.spacing[0])]

    def image(self, values: Array, frame: Frame) -> Array:
        """Values by y and x as the rows of an image run."""
        across, down = frame.signs()
        return values[..., ::down, ::across]

    def inside(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> bool:
        """Whether a box lies between the outermost middles."""
        ends = [(float(self.axis(number)[0]), float(self.axis(number)[-1])) for number in range(3)]
        return all(ends[number][0] <= low[number] and high[number] <= ends[number][1] for number in range(3))


def ds(value: float) -> str:
    """A number as DICOM writes it, in 16 characters at most."""
    return format(round(float(value), 10) + 0.0, ".10g")
