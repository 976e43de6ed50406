"""Points all over a region, the dose at each, and what volume each stands for.

A contour stands for a slab that reaches half way to the next planes. What lies in an odd number of a plane's contours
is inside, so holes are holes whether they are drawn as a second contour or with a keyhole. Along rows the edge is
exact, and the points of a plane together stand for exactly its area.

Points never lie in step: where a dose changes along one axis only, all those of a row would have the same dose, and a
histogram be a stair. Nothing is left to chance, so the same data give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import BadArchive, Incomplete
from . import slabs
from .contours import Region
from .grids import Floats, Grid, Volume
from .masks import Mask
from .slabs import Slab

_POINTS: Final = 60_000  # in a region, at least, as far as the next constant allows
_FINEST: Final = 8  # points along each side of a voxel
_COARSEST: Final = 3.0  # mm
_MANY: Final = 2_000_000  # voxels of a mask; more are taken together
_SAME_PLANE: Final = 0.1  # mm
_FLAT: Final = 0.5  # mm by which a contour may leave its plane
# Multiples of these, without their whole part, fill an interval, a square and a cube evenly however many they are.
_ONE: Final = (0.6180339887498949,)
_TWO: Final = (0.7548776662466927, 0.5698402909980532)
_THREE: Final = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)


class Sampled(NamedTuple):
    """A region's volume, its points' doses, a line for each volume of doses (NaN outside of it), and their volumes."""

    volume_cc: float
    doses: Floats
    weights: Floats  # cc
    gaps: int = 0  # planes without contours between the others


class _Plane(NamedTuple):
    """Where the edges of a plane's contours start and end, mm across (along rows) and up, 2 x edges."""

    height: float
    starts: Floats
    ends: Floats


# Contours


def of_region(region: Region, doses: Sequence[Volume], images: Optional[Grid] = None) -> Sampled:
    """The points of a region that is drawn as contours; they are the same for all doses.

    Parameters
    ----------
    region, doses
        What is sampled.
    images
        On which the contours were drawn.
    """
    if region.fault is not None:
        raise BadArchive(f"ROI {region.number} has no DVH: {region.fault}.")
    contours = [contour.points for contour in region.contours]
    frame = _frame(region, contours, images)
    planes = _planes(region, contours, frame)
    standing = _standing(region, planes, images)
    strips = [_strips(plane) for plane in planes]
    volumes = [float(weights.sum()) * slab.thick for (_, weights), slab in zip(strips, standing.slabs)]  # cubic mm
    if not sum(volumes):
        raise _enclosing_nothing(region)
    side = min(*(float(dose.grid.spacing.min()) for dose in doses), _COARSEST)
    side /= _finer(sum(volumes) / side**3)
    layers = math.ceil(max(slab.thick for slab in standing.slabs) / side)
    phases = _spread(0, layers * len(planes), _ONE)[0].reshape(len(planes), layers)
    # From across, up and along to each dose's own slices, rows and columns, at once.
    turns = [np.linalg.solve(dose.grid.steps.T, frame.T) for dose in doses]
    starts = [dose.grid.indices(np.zeros((1, 3))).T for dose in doses]
    found: list[Floats] = []
    shares: list[Floats] = []
    count = 0
    for plane, slab, strip, volume, phase in zip(planes, standing.slabs, strips, volumes, phases):
        if not volume:
            continue
        points, weights = _points(plane, side, phase, count)
        if not weights.sum() > 0:  # thinner than rows lie apart
            points, weights = strip
        count += len(weights)
        # Corners weigh nothing, and hold the extremes: a point within seldom does.
        corners = [np.array([*plane.starts, np.full(plane.starts.shape[1], z)]) for z in (0.0, 0.5, 1.0)]
        places = np.concatenate([points, *corners], axis=1)
        places[2] = places[2] * slab.thick + slab.low
        found.append(
            np.array([dose.between((turn @ places + start).T) for dose, turn, start in zip(doses, turns, starts)])
        )
        shares += [weights * (volume / 1000 / weights.sum()), np.zeros(3 * plane.starts.shape[1])]
    return Sampled(sum(volumes) / 1000, np.concatenate(found, axis=1), np.concatenate(shares), standing.empty)


def _enclosing_nothing(region: Region) -> BadArchive:
    return BadArchive(f"ROI {region.number} has no DVH: its contours enclose nothing. Draw it, or leave it out.")


def _finer(voxels: float) -> int:
    """Into how many parts each side of so many voxels is divided."""
    wanted = math.ceil((_POINTS / voxels) ** (1 / 3)) if voxels > 0 else _FINEST
    return min(max(wanted, 1), _FINEST)


def _spread(first: int, count: int, by: tuple[float, ...]) -> list[Floats]:
    """Numbers from 0 to 1 for points, which together fill a space of as many dimensions as ``by`` has numbers."""
    index = np.arange(first, first + count) + 0.5
    turns = [index * step for step in by]
    return [turn - np.floor(turn) for turn in turns]  # np.mod takes five times as long


def _counted(counts: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For ``[2, 3]``: whose turn it is, ``[0, 0, 1, 1, 1]``, and the how-manieth of its own, ``[0, 1, 0, 1, 2]``."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _frame(region: Region, contours: list[Floats], images: Optional[Grid]) -> Floats:
    """The directions of rows, of columns and of the normal of the planes that contours lie in, 3 x 3."""
    areas = [np.cross(each - each[0], np.roll(each, -1, axis=0) - each[0]).sum(axis=0) for each in contours]
    largest = max(areas, key=lambda area: float(area @ area), default=np.zeros(3))
    if images is not None:
        normal = images.normal
    elif largest.any():
        normal = largest / np.linalg.norm(largest)
        main = int(np.abs(normal).argmax())
        if all(np.ptp(each[:, main]) <= _SAME_PLANE for each in contours):  # what is rounded must not tilt the planes
            normal = np.eye(3)[main]
    else:
        raise _enclosing_nothing(region)
    across = np.eye(3)[int(np.abs(normal).argmin())]
    across = across - normal * (across @ normal)
    across /= np.linalg.norm(across)
    return np.array([across, np.cross(normal, across), normal])


def _planes(region: Region, contours: list[Floats], frame: Floats) -> list[_Plane]:
    placed = sorted((each @ frame.T for each in contours), key=lambda each: float(each[:, 2].mean()))
    groups: list[list[Floats]] = []
    for each in placed:
        if np.ptp(each[:, 2]) > _FLAT:
            raise BadArchive(
                f"ROI {region.number} has no DVH: its contours do not lie in parallel planes, or not in those of the "
                "images. Use the series that they were drawn on."
            )
        if not groups or each[:, 2].mean() - groups[-1][0][:, 2].mean() > _SAME_PLANE:
            groups.append([])
        groups[-1].append(each)
    return [
        _Plane(
            float(group[0][:, 2].mean()),
            np.concatenate([each[:, :2] for each in group]).T,
            np.concatenate([np.roll(each[:, :2], -1, axis=0) for each in group]).T,
        )
        for group in groups
    ]


def _standing(region: Region, planes: list[_Plane], images: Optional[Grid]) -> slabs.Slabs:
    """What each plane stands for."""
    heights = np.array([plane.height for plane in planes])
    if images is not None:
        first = float(images.origin @ images.normal)
        found = slabs.of(heights - first, float(images.spacing[0]))
        return found._replace(slabs=tuple(Slab(low + first, high + first) for low, high in found.slabs))
    if len(planes) < 2:
        raise Incomplete(
            f"ROI {region.number} has no DVH: it is drawn on one plane only, and nothing says how far its images lie "
            "apart. Give the images as well.",
            retriable=False,
        )
    return slabs.of(heights, None)


def _strips(plane: _Plane) -> tuple[Floats, Floats]:
    """The middle (3 x n) of each part of a plane between two corners' heights, and its area: together it is exact."""
    edges = np.unique(plane.starts[1])
    left, right, row = _spans(plane, (edges[1:] + edges[:-1]) / 2)
    up = (edges[1:] + edges[:-1])[row] / 2
    return np.array([(left + right) / 2, up, np.full(len(up), 0.5)]), (right - left) * np.diff(edges)[row]


def _spans(plane: _Plane, heights: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Where rows at ascending heights run inside of a plane's contours: from, to, and which row it is."""
    turned = plane.starts[1] > plane.ends[1]  # from its lower end: a keyhole's two edges are crossed in the same place
    left, low = np.where(turned, plane.ends, plane.starts)
    right, high = np.where(turned, plane.starts, plane.ends)
    first = np.searchsorted(heights, low)
    edge, index = _counted(np.searchsorted(heights, high) - first)
    row = first[edge] + index
    across = left[edge] + (right - left)[edge] * ((heights[row] - low[edge]) / (high - low)[edge])
    order = np.lexsort((across, row))
    # A closed line crosses a row an even number of times, so each two are a way in and the way out.
    across, row = across[order], row[order]
    return across[0::2], across[1::2], row[0::2]


def _points(plane: _Plane, side: float, phases: Floats, first: int) -> tuple[Floats, Floats]:
    """Points of a plane's slab (3 x n): across, up and in shares of its thickness; and how much each stands for.

    Parameters
    ----------
    plane, side
        What is sampled, and how finely, mm.
    phases
        For each layer of the slab, where between two rows its own rows lie.
    first
        How many points the region has already.
    """
    bottom, top = float(plane.starts[1].min()), float(plane.starts[1].max())
    rows = max(math.ceil((top - bottom) / side), 1)
    step = (top - bottom) / rows
    parts = []
    for layer, phase in enumerate(phases):
        heights = bottom + (np.arange(rows) + phase) * step
        left, right, row = _spans(plane, heights)
        begin = np.floor(left / side)
        owner, index = _counted((np.ceil(right / side) - begin).astype(np.intp))
        cell = (begin[owner] + index) * side
        low, high = np.maximum(left[owner], cell), np.minimum(right[owner], cell + side)
        parts.append(np.array([low, high - low, heights[row[owner]], np.full(len(low), float(layer))]))
    low, wide, up, layer_of = np.concatenate(parts, axis=1)
    along, depth = _spread(first, len(low), _TWO)
    return np.array([low + along * wide, up, (layer_of + depth) / len(phases)]), wide


# Masks


def of_mask(mask: Mask, doses: Sequence[Volume]) -> Sampled:
    """The points of a region that is given as the filled share of each voxel."""
    filled, wide = mask.fraction, 1
    while np.count_nonzero(filled) > _MANY:
        filled, wide = _halved(filled), wide * 2
    size = np.array([1, wide, wide])
    parts = _finer(int(np.count_nonzero(filled)))
    cells = np.array(list(np.ndindex(parts, parts, parts)), dtype=np.float64)
    start = np.array([each.start for each in mask.box]) - 0.5
    found: list[Floats] = []
    shares: list[Floats] = []
    count = 0
    for index, plane in enumerate(filled):
        rows, columns = np.nonzero(plane)
        corner = np.column_stack([np.full(len(rows), index), rows, columns]) * size + start
        within = np.tile(cells, (len(rows), 1))
        within += np.column_stack(_spread(count, len(within), _THREE))
        count += len(within)
        places = np.repeat(corner, len(cells), axis=0) + within * size / parts
        found.append(np.array([dose.at(mask.grid.points(places)) for dose in doses]))
        share = plane[rows, columns].astype(np.float64)  # sums of millions of single ones would not be exact
        shares.append(np.repeat(share * (mask.grid.voxel_cc * wide**2 / len(cells)), len(cells)))
    weights = np.concatenate(shares)
    total = float(weights.sum())
    weights = weights * (mask.volume_cc / total) if total else weights
    return Sampled(mask.volume_cc, np.concatenate(found, axis=1), weights)


def _halved(filled: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each two by two voxels of a slice."""
    slices, rows, columns = filled.shape
    even = np.pad(filled, ((0, 0), (0, rows % 2), (0, columns % 2)))
    found = even.reshape(slices, (rows + 1) // 2, 2, (columns + 1) // 2, 2).mean(axis=(2, 4))
    return np.asarray(found, dtype=np.float32)
