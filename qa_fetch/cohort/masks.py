"""Regions as masks: which share of each voxel lies within the outlines.

Lines run through the outlines of a plane, several in each row of voxels. Where a line crosses outlines is worked out
exactly, and it is inside between its first and second crossing, its third and fourth, and so on. So outlines within
outlines are holes, islands in these are not, and a keyhole's channel has no width. All outlines of many planes are
worked out at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BadArchive, NotFound
from . import slabs
from .contours import Region
from .grids import Floats, Grid, Volume
from .slabs import ON_SLICE, Slab, Slabs

_SAME_PLANE: Final = 0.1  # mm by which outlines of one plane may differ
_ASKEW: Final = 0.25  # of a slice by which an outline may leave its plane
_LINES: Final = 4  # in each row of voxels; a power of two, so that all shares are exact
_LINES_OF_SMALL: Final = 16
_SMALL: Final = 64  # rows
_SHARES: Final = 1 << 16  # steps into which a voxel is divided along its row: sums of them have no rounding
_HALF: Final = 1e-4  # of a voxel by which a half may miss that
_AT_ONCE: Final = 1 << 20  # voxels; bounds the memory


@dataclass(frozen=True, eq=False)
class Mask:
    """Which voxels a region takes up, of the box around it."""

    grid: Grid
    box: tuple[slice, slice, slice]  # slices, rows and columns of the grid
    fraction: NDArray[np.float32]  # of each voxel in the box, 0 to 1
    volume_cc: float  # of the fractions: nearer to the truth than the number of voxels
    warnings: tuple[str, ...]  # sentences

    @cached_property
    def values(self) -> NDArray[np.bool_]:
        """The voxels of the box of which more than a half lies within, and of exact halves those at one side.

        Outlines are often drawn through the centres of voxels; with the halves of both sides a region would be too big.
        """
        found = np.asarray(self.fraction > 0.5 + _HALF)
        halves = np.argwhere((self.fraction >= 0.5 - _HALF) & ~found)
        if len(halves):
            around = np.pad(self.fraction, 1)
            rise = np.zeros(len(halves), dtype=np.float32)
            for step in np.eye(3, dtype=np.intp):
                rise += around[tuple((halves + 1 + step).T)] - around[tuple((halves + 1 - step).T)]
            found[tuple(halves[rise > -_HALF].T)] = True
        return found

    def whole(self) -> NDArray[np.bool_]:
        """The same for the whole grid."""
        found = np.zeros(self.grid.shape, dtype=np.bool_)
        found[self.box] = self.values
        return found

    def volume(self) -> Volume:
        """The same as a volume of 0 and 1, on the grid of the images."""
        return Volume(self.grid, self.whole().view(np.uint8), "SEG", "")


class _Planes(NamedTuple):
    """The outlines of a region by plane, ascending; a voxel's edges are whole numbers."""

    heights: Floats  # of each plane, in slices
    of: NDArray[np.intp]  # the plane of each point
    rows: Floats  # of each point
    columns: Floats
    following: NDArray[np.intp]  # the next point of the outline


def mask(region: Region, grid: Grid) -> Mask:
    """The mask of a region on the grid of its images.

    Raises BadArchive where its outlines cannot be filled, NotFound where none of them lies on the images. What is
    smaller than the region as drawn is said in ``warnings``.
    """
    planes = _planes(region, grid)
    standing = slabs.of(planes.heights, 1.0)
    said = [*region.warnings, *_elsewhere(region, grid), *_drawn(standing, float(grid.spacing[0]))]
    weights = [_weights(slab, grid.shape[0]) for slab in standing.slabs]
    used = [index for index, each in enumerate(weights) if each]
    slices = [number for each in weights for number in each]
    rows, columns = (_stretch(values, size) for values, size in zip((planes.rows, planes.columns), grid.shape[1:]))
    if not slices or rows.start >= rows.stop or columns.start >= columns.stop:
        raise NotFound(
            f"ROI {region.number} has no mask: it lies outside of the images. "
            "Check that the structure set belongs to this series."
        )
    box = (slice(min(slices), max(slices) + 1), rows, columns)
    fraction = np.zeros([each.stop - each.start for each in box], dtype=np.float32)
    for index, share in _coverage(planes, used, rows, columns):
        for number, weight in weights[index].items():
            fraction[number - box[0].start] += share if weight == 1 else share * np.float32(weight)
    said += _beyond(planes, weights, standing.slabs, grid)
    volume = float(fraction.sum(dtype=np.float64)) * grid.voxel_cc
    found = Mask(grid, box, fraction, volume, tuple(said))
    if found.values.any():
        return found
    return replace(found, warnings=(*said, "It is thinner than a voxel, so its mask is empty."))


# Planes


def _planes(region: Region, grid: Grid) -> _Planes:
    """All outlines of a region in voxels, sorted by plane."""
    if region.fault is not None:
        raise BadArchive(f"ROI {region.number} has no mask: {region.fault}.")
    lengths = np.array([len(contour.points) for contour in region.contours])
    places = grid.indices(np.concatenate([contour.points for contour in region.contours]))
    starts = np.cumsum(lengths) - lengths
    lowest, highest = (least.reduceat(places[:, 0], starts) for least in (np.minimum, np.maximum))
    if (highest - lowest).max() > _ASKEW:
        raise BadArchive(
            f"ROI {region.number} has no mask: its contours do not lie in the planes of the images. "
            "Use the series that they were drawn on."
        )
    middles = (lowest + highest) / 2
    order = np.argsort(middles, kind="stable")
    new = np.diff(middles[order], prepend=-np.inf) > _SAME_PLANE / grid.spacing[0]
    plane = np.cumsum(new) - 1
    heights = np.bincount(plane, middles[order]) / np.bincount(plane)
    places = np.concatenate([places[starts[index] : starts[index] + lengths[index]] for index in order])
    lengths = lengths[order]
    ends = np.cumsum(lengths)
    following = np.arange(1, len(places) + 1)
    following[ends - 1] = ends - lengths
    return _Planes(heights, np.repeat(plane, lengths), places[:, 1] + 0.5, places[:, 2] + 0.5, following)


def _elsewhere(region: Region, grid: Grid) -> list[str]:
    """That the coordinates of a region may not be those of the images."""
    frames = {region.frame_of_reference, grid.frame_of_reference} - {None}
    return ["It is drawn in another frame of reference than that of the images."] if len(frames) > 1 else []


def _drawn(found: Slabs, spacing: float) -> list[str]:
    """How a region is drawn where that is not one plane on each image.

    Parameters
    ----------
    found
        What its planes stand for, in slices.
    spacing
        Of the slices, mm.
    """
    said = []
    if found.thickness != 1:
        said.append(
            f"Its contours lie {found.thickness * spacing:.2f} mm apart on images that lie {spacing:.2f} mm apart, "
            "and each stands for its own distance."
        )
    if found.empty:
        said.append(f"Planes without contours between its first and its last were left empty: {found.empty}.")
    if not found.on_slices:
        said.append("Its contours lie between the images and were shared out among them.")
    return said


def _weights(slab: Slab, count: int) -> dict[int, float]:
    """Which slices a slab covers, and how much of each."""
    first, last = int(np.floor(slab.low + 0.5)), int(np.ceil(slab.high - 0.5))
    found = {}
    for number in range(max(first, 0), min(last, count - 1) + 1):
        shared = min(slab.high, number + 0.5) - max(slab.low, number - 0.5)
        if shared > 1e-6:
            found[number] = float(shared)
    return found


def _stretch(places: Floats, size: int) -> slice:
    """The voxels of an axis that lie between the lowest and the highest place."""
    return slice(max(int(np.floor(places.min())), 0), min(int(np.ceil(places.max())), size))


def _beyond(planes: _Planes, weights: Sequence[dict[int, float]], standing: Sequence[Slab], grid: Grid) -> list[str]:
    """What of a region lies outside of the images.

    Parameters
    ----------
    planes, standing
        The outlines, and what their planes stand for.
    weights
        What of that lies on slices.
    grid
        Of the images.
    """
    said = []
    cut = sum(sum(each.values()) < slab.high - slab.low - 0.01 for each, slab in zip(weights, standing))
    if cut:
        said.append(
            f"Planes of contours that lie beyond the first or last image were cut off: {cut} of {len(standing)}."
        )
    if any(
        places.min() < -ON_SLICE or places.max() > size + ON_SLICE
        for places, size in zip((planes.rows, planes.columns), grid.shape[1:])
    ):
        said.append("It reaches beyond the edge of the images, where it was cut off.")
    return said


# The scan line


def _coverage(
    planes: _Planes, used: Sequence[int], rows: slice, columns: slice
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Of each plane the share of each voxel of the box that lies within its outlines.

    Parameters
    ----------
    planes
        The outlines.
    used
        The planes that are wanted, ascending.
    rows, columns
        The box.
    """
    height, width = rows.stop - rows.start, columns.stop - columns.start
    step = max(1, _AT_ONCE // (height * (width + 2)))
    ends = np.searchsorted(planes.of, np.arange(len(planes.heights) + 1))
    for at in range(0, len(used), step):
        first, last = used[at], used[min(at + step, len(used)) - 1]
        points = slice(ends[first], ends[last + 1])
        found = _filled(planes, points, first, (last - first + 1, rows, columns))
        for index in used[at : at + step]:
            yield index, found[index - first]


def _filled(planes: _Planes, points: slice, first: int, box: tuple[int, slice, slice]) -> NDArray[np.float32]:
    """The shares of several planes at once.

    Parameters
    ----------
    planes, points
        The outlines, and which of their points belong to these planes.
    first
        The first of these planes.
    box
        How many planes, and the rows and columns.
    """
    count, rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    lines = _LINES_OF_SMALL if height <= _SMALL else _LINES
    crossed, at = _crossings(planes, points, (rows.start * lines, rows.stop * lines), lines)
    plane = np.repeat(planes.of[points], crossed.counts) - first
    line = plane * (height * lines) + crossed.lines - rows.start * lines
    # One number for line and place sorts both; it is exact to 1e-7 of a voxel.
    span = float(width + 1)
    key = line * span + np.clip(at - columns.start, 0, width)
    key.sort()
    line = (key // span).astype(np.intp)
    place = np.rint((key - line * span) * _SHARES) / _SHARES
    voxel = np.minimum(place.astype(np.intp), width)
    share = (place - voxel) / lines
    enters = np.where(np.arange(len(key)) % 2 == 0, 1.0, -1.0)  # every line has an even number of crossings
    cell = line // lines * (width + 2) + voxel
    change = np.bincount(
        np.concatenate([cell, cell + 1]),
        np.concatenate([enters * (1.0 / lines - share), enters * share]),
        minlength=count * height * (width + 2),
    ).reshape(count, height, width + 2)
    return np.cumsum(change, axis=2, dtype=np.float32)[:, :, :width]


class _Crossed(NamedTuple):
    """How many lines each edge crosses, and all of these one after the other."""

    counts: NDArray[np.intp]
    lines: NDArray[np.intp]


def _crossings(planes: _Planes, points: slice, within: tuple[int, int], lines: int) -> tuple[_Crossed, Floats]:
    """Where edges cross lines: each edge with the line at its lower end, without the one at its upper end.

    Parameters
    ----------
    planes, points
        The outlines, and the points at which the edges start.
    within
        The first line, and the one after the last.
    lines
        How many run through a row.
    """
    following = planes.following[points]
    ends = planes.rows[points], planes.rows[following]
    turned = ends[0] > ends[1]  # from its lower end, so that an edge that is gone both ways gives the same place twice
    low, high = np.minimum(*ends), np.maximum(*ends)
    left = np.where(turned, planes.columns[following], planes.columns[points])
    right = np.where(turned, planes.columns[points], planes.columns[following])
    first, last = (np.clip(np.ceil(end * lines - 0.5), *within).astype(np.intp) for end in (low, high))
    counts = last - first
    start = np.cumsum(counts) - counts
    number = np.arange(int(counts.sum())) + np.repeat(first - start, counts)
    slope = (right - left) / np.where(high > low, high - low, 1.0)
    at = np.repeat(left, counts) + np.repeat(slope, counts) * ((number + 0.5) / lines - np.repeat(low, counts))
    return _Crossed(counts, number), at
