"""A beam's dose file: big-endian single precision, z ascending, y descending, x ascending, cGy for a MU."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import BinaryIO, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import BadArchive
from .records import Grid, Triple
from .sources import Source

_VOXEL = np.dtype(">f4")
_EDGE = 1e-6  # of a voxel; a point that lies this far outside lies on the edge


def planes(source: Source, path: str, grid: Grid) -> Iterator[NDArray[np.float32]]:
    """The planes of a dose one by one; BadArchive or NotFound where the file is not one of exactly this grid."""
    _check(source, path, grid)
    with source.open(path) as file:
        for _ in range(grid.dimension[2]):
            yield _plane(file, grid)


def at(source: Source, path: str, grid: Grid, place: Triple) -> Optional[float]:
    """The dose at a point (cm) between its eight neighbours; None where it lies outside of the grid."""
    _check(source, path, grid)
    low, parts = [], []
    for axis in range(3):
        last = grid.dimension[axis] - 1
        index = (place[axis] - grid.origin[axis]) / grid.voxel[axis]
        if not -_EDGE <= index <= last + _EDGE:
            return None
        index = min(max(index, 0.0), float(last))
        low.append(min(int(index), max(last - 1, 0)))
        parts.append(index - low[-1])
    (column, row, plane), (x, y, z) = low, parts
    with source.open(path) as file:
        file.seek(plane * grid.dimension[0] * grid.dimension[1] * _VOXEL.itemsize, io.SEEK_SET)
        found = 0.0
        for along, share in ((plane, 1.0 - z), (plane + 1, z)):
            if along < grid.dimension[2]:
                values = _plane(file, grid)[::-1][row : row + 2, column : column + 2].astype(np.float64)
                weights = np.outer([1.0 - y, y][: values.shape[0]], [1.0 - x, x][: values.shape[1]])
                found += share * float((values * weights).sum())
    return found if math.isfinite(found) else None


def _check(source: Source, path: str, grid: Grid) -> None:
    columns, rows, count = grid.dimension
    expected, length = columns * rows * count * _VOXEL.itemsize, source.size(path)
    if length != expected:
        what = "empty" if not length else "cut short" if length < expected else "longer than its grid"
        raise BadArchive(f"a dose file is {what} ({length} bytes instead of {expected}). Restore it from its backup.")


def _plane(file: BinaryIO, grid: Grid) -> NDArray[np.float32]:
    columns, rows, _ = grid.dimension
    data = file.read(columns * rows * _VOXEL.itemsize)
    if len(data) != columns * rows * _VOXEL.itemsize:
        raise BadArchive("a dose file ends before its grid does. Restore it from its backup.")
    return np.frombuffer(data, dtype=_VOXEL).reshape(rows, columns)
