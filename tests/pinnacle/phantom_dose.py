"""Dose grids of a phantom archive: smooth, and unlike themselves when turned, swapped or shifted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from phantom_course import Course
from phantom_truth import Array


def beam_grid(course: Course, seed: int) -> Array:
    """cGy per MU of a beam in single precision, indexed by z, y and x of Pinnacle, all ascending."""
    size = course.sizes()
    x, y, z = (
        size.dose_origin[axis] + size.dose_voxel[axis] * np.arange(size.dose_dimension[axis]) for axis in range(3)
    )
    # another middle, width and slope for every beam
    along_x = np.exp(-(((x - 1.1 - 0.4 * (seed % 7)) / (6.0 + 0.3 * (seed % 4))) ** 2)) * (1 + 0.030 * x)
    along_y = np.exp(-(((y + 0.6 - 0.3 * (seed % 5)) / (5.0 + 0.2 * (seed % 3))) ** 2)) * (1 + 0.025 * y)
    along_z = np.exp(-(((z - 0.3 + 0.1 * (seed % 6)) / 8.0) ** 2)) * (1 + 0.03 * z)
    grid = 0.81 * along_z[:, None, None] * along_y[None, :, None] * along_x[None, None, :]
    return np.maximum(grid, 0.0).astype(np.float32)


def written_grid(course: Course, seed: int) -> bytes:
    """A dose file: big-endian single precision, z ascending, y descending, x ascending."""
    return bytes(beam_grid(course, seed)[:, ::-1, :].astype(">f4").tobytes())


def at_point(course: Course, seed: int, point: Sequence[float]) -> float:
    """The dose of a point (cm) between its eight neighbours, cGy per MU."""
    size = course.sizes()
    grid = beam_grid(course, seed).astype(np.float64)
    found = 0.0
    places = [(point[axis] - size.dose_origin[axis]) / size.dose_voxel[axis] for axis in range(3)]
    low = [int(np.floor(place)) for place in places]
    for corner in range(8):
        weight, index = 1.0, []
        for axis in range(3):
            up = corner >> axis & 1
            part = places[axis] - low[axis]
            weight *= part if up else 1.0 - part
            index.append(low[axis] + up)
        found += weight * float(grid[index[2], index[1], index[0]])
    return found
