"""Where in the patient each voxel lies, and what lies between voxels.

Values are ordered ``[slice, row, column]``; slices ascend along the normal of the images, which is rows x columns. So
whichever way a patient lay and an archive sorts, an index and a place in mm belong together by ``Grid`` alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_EDGE: Final = 1e-3  # of a voxel; what lies this far outside is on the edge
_CROOKED: Final = 0.01  # voxels by which the axes of two grids may run apart and still be worked out one by one


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie: three steps in mm of the patient (DICOM's x, y, z), from the centre of the first voxel."""

    shape: tuple[int, int, int]  # slices, rows, columns
    origin: Floats
    steps: Floats  # 3 x 3: from one slice, row and column to the next
    frame_of_reference: Optional[str]
    images: tuple[str, ...] = ()  # SOPInstanceUID of each slice, where each is an object of its own

    @property
    def spacing(self) -> Floats:
        """Between slices, rows and columns, mm."""
        found: Floats = np.linalg.norm(self.steps, axis=1)
        return found

    @property
    def normal(self) -> Floats:
        """The direction in which slices ascend."""
        found: Floats = self.steps[0] / np.linalg.norm(self.steps[0])
        return found

    @property
    def voxel_cc(self) -> float:
        """The volume of a voxel."""
        return float(abs(np.linalg.det(self.steps))) / 1000

    @property
    def affine(self) -> Floats:
        """From (column, row, slice, 1) to DICOM's x, y, z in mm, 4 x 4."""
        found = np.eye(4)
        found[:3, :3] = self.steps[::-1].T
        found[:3, 3] = self.origin
        return found

    def indices(self, points: ArrayLike) -> Floats:
        """Points (n x 3, mm) as fractions of slices, rows and columns; a whole number is the centre of a voxel."""
        found: Floats = (np.asarray(points, dtype=np.float64) - self.origin) @ np.linalg.inv(self.steps)
        return found

    def points(self, indices: ArrayLike) -> Floats:
        """Slices, rows and columns (n x 3, also fractions) as points in mm."""
        found: Floats = np.asarray(indices, dtype=np.float64) @ self.steps + self.origin
        return found


@dataclass(frozen=True, eq=False)
class Volume:
    """Values on a grid: HU of a CT, Gy of a dose, what is stored of others, 0 and 1 of a mask."""

    grid: Grid
    values: NDArray[Any]
    modality: str
    uid: str  # of the series of images, or of the dose

    def at(self, points: ArrayLike, outside: float = np.nan) -> Floats:
        """The values at points (n x 3, mm), between voxels trilinear; ``outside`` beyond the centres of the last."""
        return self.between(self.grid.indices(points), outside)

    def between(self, indices: ArrayLike, outside: float = np.nan) -> Floats:
        """The same at fractions of slices, rows and columns."""
        places = np.asarray(indices, dtype=np.float64).T
        inside = np.ones(places.shape[1], dtype=np.bool_)
        for along, size in zip(places, self.values.shape):
            inside &= (along >= -_EDGE) & (along <= size - 1 + _EDGE)
        if inside.all():
            return self._between(places)
        found = np.full(places.shape[1], outside, dtype=np.float64)
        found[inside] = self._between(places[:, inside])
        return found

    def _between(self, places: Floats) -> Floats:
        """The values at places (3 x n) that lie inside: halved axis by axis, from eight voxels to one value."""
        at = np.zeros(places.shape[1], dtype=np.intp)
        shares, steps = [], []
        for axis, size in enumerate(self.values.shape):
            below, share = _below(places[axis], size)
            step = math.prod(self.values.shape[axis + 1 :])
            at += below * step
            shares.append(share)
            steps.append(step if size > 1 else 0)
        found: list[Floats] = []
        for corner in np.ndindex(2, 2):
            first = at + (corner[0] * steps[0] + corner[1] * steps[1])
            low, high = (self._flat.take(index).astype(np.float64) for index in (first, first + steps[2]))
            found.append(low + (high - low) * shares[2])
        for share in (shares[1], shares[0]):
            found = [low + (high - low) * share for low, high in zip(found[0::2], found[1::2])]
        return found[0]

    @cached_property
    def _flat(self) -> NDArray[Any]:
        return self.values.reshape(-1)


def resampled(volume: Volume, grid: Grid, outside: float = 0.0) -> Volume:
    """A volume on another grid, such as a dose on the CT: trilinear, and ``outside`` beyond its own.

    Parameters
    ----------
    volume
        The values.
    grid
        Where they are wanted.
    outside
        The value beyond the centres of the outermost voxels of ``volume``.
    """
    turn: Floats = grid.steps @ np.linalg.inv(volume.grid.steps)
    start = volume.grid.indices(grid.origin[None])[0]
    found = np.full(grid.shape, outside, dtype=np.float32)
    crooked = (turn - np.diag(np.diag(turn))) * np.array(grid.shape)[:, None]
    if np.abs(crooked).max() < _CROOKED:
        _separately(volume, start, np.diag(turn), found)
    else:
        plane = np.moveaxis(np.indices((1, *grid.shape[1:]), dtype=np.float64), 0, -1).reshape(-1, 3) @ turn + start
        for index in range(grid.shape[0]):
            found[index] = volume.between(plane + index * turn[0], outside).reshape(grid.shape[1:])
    return Volume(grid, found, volume.modality, volume.uid)


def _along(places: Floats, size: int) -> tuple[NDArray[np.intp], Floats, NDArray[np.bool_]]:
    """The voxel below each place of an axis, the share of the next one, and which places lie on the axis."""
    inside = (places >= -_EDGE) & (places <= size - 1 + _EDGE)
    low, share = _below(np.where(inside, places, 0.0), size)
    return low, share, inside


def _below(places: Floats, size: int) -> tuple[NDArray[np.intp], Floats]:
    """The voxel below each place that lies on an axis, and the share of the next one."""
    held = np.maximum(np.minimum(places, size - 1), 0)
    low = np.minimum(held.astype(np.intp), max(size - 2, 0))
    return low, held - low


def _separately(volume: Volume, start: Floats, steps: Floats, found: NDArray[np.float32]) -> None:
    """Fill ``found`` slice by slice, first between slices, then rows, then columns."""
    axes = [
        _along(start[axis] + steps[axis] * np.arange(found.shape[axis]), volume.values.shape[axis]) for axis in range(3)
    ]
    if not all(inside.any() for _, _, inside in axes):
        return
    rows, columns = (np.flatnonzero(inside) for _, _, inside in axes[1:])
    (low, share, inside), (row, across, _), (column, along, _) = axes
    row, across, column, along = row[rows], across[rows, None], column[columns], along[columns]
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # what lies inside is one stretch
    next_row, next_column = (np.minimum(at + 1, size - 1) for at, size in zip((row, column), volume.values.shape[1:]))
    for index in np.flatnonzero(inside):
        plane = volume.values[low[index]] * (1 - share[index])
        if share[index]:
            plane = plane + volume.values[low[index] + 1] * share[index]
        plane = plane[row] * (1 - across) + plane[next_row] * across
        found[index][box] = plane[:, column] * (1 - along) + plane[:, next_column] * along
