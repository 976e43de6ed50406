"""Planes through a volume as radiologists hang them, however the images were stored.

A picture runs along the patient's own axes: in an axial one the patient's right is on the left and the front is on
top, in a coronal one the right is on the left and the head on top, in a sagittal one the front is on the left and the
head on top. Where the axes of the images are those of the patient, a plane is theirs, turned and flipped; else it is
worked out between the voxels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..grids import Floats, Grid, Volume

_NEAR: Final = math.cos(math.radians(1))  # an axis of the images that is as near to the patient's is taken for it
_LARGEST: Final = 1024  # pixels along each side of a plane that is worked out
_AT_ONCE: Final = 1 << 16  # of these; bounds the memory

Box = tuple[slice, slice, slice]


class View(NamedTuple):
    """Which of the patient's axes (0 to the left, 1 to the back, 2 to the head) run how through a picture."""

    name: str
    letter: str  # of the axis through the picture, as DICOM calls it
    across: int  # the axis to the right; always along it
    down: int
    downwards: int  # whether it is along that axis (1) or against it (-1)
    through: int
    edges: tuple[str, str, str, str]  # what lies at the left, right, top and bottom


AXIAL: Final = View("axial", "z", 0, 1, 1, 2, ("R", "L", "A", "P"))
CORONAL: Final = View("coronal", "y", 0, 2, -1, 1, ("R", "L", "H", "F"))
SAGITTAL: Final = View("sagittal", "x", 1, 2, -1, 0, ("A", "P", "H", "F"))
VIEWS: Final = (AXIAL, CORONAL, SAGITTAL)


@dataclass(frozen=True, eq=False)
class Plane:
    """Values as they are drawn, the first row on top, and where in the patient their edges lie (mm)."""

    view: View
    values: NDArray[Any]
    left: float
    right: float
    top: float
    bottom: float
    at: float  # along the axis through the picture

    @property
    def size_mm(self) -> tuple[float, float]:
        """How wide and how high it is."""
        return abs(self.right - self.left), abs(self.bottom - self.top)

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """How wide and how high a pixel is."""
        (width, height), (rows, columns) = self.size_mm, self.values.shape
        return width / columns, height / rows

    def places(self, pixels: Floats) -> Floats:
        """Pixels (n x 2: columns and rows, a whole number is the centre of one) as mm to the right and down."""
        shares = (pixels + 0.5) / np.array(self.values.shape[::-1])
        ends = np.array([[self.left, self.top], [self.right, self.bottom]])
        found: Floats = ends[0] + shares * (ends[1] - ends[0])
        return found


class Cuts:
    """Cuts planes out of all that is stored on a grid."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        turned = grid.steps / grid.spacing[:, None]
        # The axes of the grid that are nearest to x, y and z; each is one of them.
        self.axes: tuple[int, ...] = max(
            itertools.permutations(range(3)),
            key=lambda axes: sum(abs(turned[axis, of]) for of, axis in enumerate(axes)),
        )
        self.straight = all(abs(turned[axis, of]) >= _NEAR for of, axis in enumerate(self.axes))
        self._ahead = [bool(turned[axis, of] > 0) for of, axis in enumerate(self.axes)]
        ends = np.array(np.meshgrid(*([-0.5, size - 0.5] for size in grid.shape), indexing="ij")).reshape(3, -1).T
        corners = grid.points(ends)
        self._low, self._high = corners.min(axis=0), corners.max(axis=0)

    def plane(self, view: View, point: Floats, values: NDArray[Any], outside: float = np.nan) -> Plane:
        """The plane through a point (mm) of values on the whole grid.

        Parameters
        ----------
        view, point
            Which plane.
        values
            As ``Volume`` has them.
        outside
            What is drawn beyond the images, where these lie askew.
        """
        if not self.straight:
            return self._between(view, point, Volume(self.grid, values, "", ""), outside)
        axis = self.axes[view.through]
        index = self.index(view, point)
        return self._framed(view, index, self._turned(view, values[(slice(None),) * axis + (index,)]))

    def mask(self, view: View, point: Floats, box: Box, values: NDArray[np.bool_]) -> Plane:
        """The plane of a region, of which only the box is stored.

        Parameters
        ----------
        view, point
            Which plane.
        box, values
            The region.
        """
        if not self.straight:
            # With a rim of nothing, a region that is one voxel thick is still found between voxels.
            start = self.grid.points([[each.start - 1 for each in box]])[0]
            lengths = [size + 2 for size in values.shape]
            rim = Grid((lengths[0], lengths[1], lengths[2]), start, self.grid.steps, None)
            found = self._between(view, point, Volume(rim, np.pad(values, 1).astype(np.float32), "", ""), 0.0)
            return Plane(view, found.values >= 0.5, found.left, found.right, found.top, found.bottom, found.at)
        axis = self.axes[view.through]
        index = self.index(view, point)
        shape = [size for number, size in enumerate(self.grid.shape) if number != axis]
        whole = np.zeros(shape, dtype=np.bool_)
        if box[axis].start <= index < box[axis].stop:
            kept = tuple(each for number, each in enumerate(box) if number != axis)
            whole[kept] = values[(slice(None),) * axis + (index - box[axis].start,)]
        return self._framed(view, index, self._turned(view, whole))

    def index(self, view: View, point: Floats) -> int:
        """The slice, row or column of the images that is nearest to the plane through a point."""
        axis = self.axes[view.through]
        index = int(np.rint(self.grid.indices(np.asarray(point)[None])[0, axis]))
        return min(max(index, 0), self.grid.shape[axis] - 1)

    def _turned(self, view: View, flat: NDArray[Any]) -> NDArray[Any]:
        """A plane of the images as it is hung."""
        if self.axes[view.down] > self.axes[view.across]:
            flat = flat.T
        down = slice(None, None, 1 if self._ahead[view.down] == (view.downwards > 0) else -1)
        across = slice(None, None, 1 if self._ahead[view.across] else -1)
        return flat[down, across]

    def _framed(self, view: View, index: int, values: NDArray[Any]) -> Plane:
        """With its edges in the patient: those of a grid that is straight, as far as ``straight`` goes."""
        axis = self.axes[view.through]
        middle = [(size - 1) / 2 for size in self.grid.shape]
        middle[axis] = index
        centre = self.grid.points([middle])[0]
        half = [self.grid.spacing[self.axes[number]] * self.grid.shape[self.axes[number]] / 2 for number in range(3)]
        down = half[view.down] * view.downwards
        return Plane(
            view,
            values,
            float(centre[view.across] - half[view.across]),
            float(centre[view.across] + half[view.across]),
            float(centre[view.down] - down),
            float(centre[view.down] + down),
            float(centre[view.through]),
        )

    def _between(self, view: View, point: Floats, volume: Volume, outside: float) -> Plane:
        """A plane along the patient's axes through images that lie otherwise."""
        step = float(self.grid.spacing.min())
        sizes = [float(self._high[axis] - self._low[axis]) for axis in (view.across, view.down)]
        counts = [min(max(int(round(size / step)), 1), _LARGEST) for size in sizes]
        across, down = (
            self._low[axis] + (np.arange(count) + 0.5) * size / count
            for axis, count, size in zip((view.across, view.down), counts, sizes)
        )
        if view.downwards < 0:
            down = down[::-1]
        at = float(np.clip(point[view.through], self._low[view.through], self._high[view.through]))
        values = np.empty((counts[1], counts[0]), dtype=np.float32)
        rows = max(_AT_ONCE // counts[0], 1)
        for first in range(0, counts[1], rows):
            part = down[first : first + rows]
            points = np.empty((len(part), counts[0], 3))
            points[..., view.across], points[..., view.down], points[..., view.through] = across, part[:, None], at
            values[first : first + rows] = volume.at(points.reshape(-1, 3), outside).reshape(len(part), -1)
        low, high = self._low, self._high
        top, bottom = (low, high) if view.downwards > 0 else (high, low)
        return Plane(
            view,
            values,
            float(low[view.across]),
            float(high[view.across]),
            float(top[view.down]),
            float(bottom[view.down]),
            at,
        )


def centroid(box: Sequence[slice], values: NDArray[np.bool_]) -> Floats:
    """The middle of a region, which has a voxel, as a slice, a row and a column, also between them."""
    count = int(np.count_nonzero(values))
    found = []
    for axis in range(3):
        others = tuple(number for number in range(3) if number != axis)
        share = values.sum(axis=others, dtype=np.int64)
        found.append(box[axis].start + float(share @ np.arange(values.shape[axis])) / count)
    return np.array(found)


def nearest_filled(box: Sequence[slice], values: NDArray[np.bool_], axis: int, index: int) -> int:
    """The index along an axis of the grid, nearest to the one given, at which a region has a voxel."""
    others = tuple(number for number in range(3) if number != axis)
    filled = np.flatnonzero(values.any(axis=others)) + box[axis].start
    return int(filled[np.argmin(np.abs(filled - index))])
