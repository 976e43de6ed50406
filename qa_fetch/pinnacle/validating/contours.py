"""Structure sets: how far the outlines of each region lie apart, plane by plane."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from .objects_read import Floats, Region
from .results import Line, number
from .tolerances import AREA, DISTANCE

_SAME_PLANE = 0.5  # mm
_DENSEST = 2_000  # points of an outline that distances are worked out from at once


@dataclass(frozen=True)
class Apart:
    """How two outlines of a region differ, mm."""

    hausdorff: float
    mean: float
    z: float  # where that is


@dataclass(frozen=True)
class Compared:
    """A region of both sides."""

    name: str
    planes: tuple[int, int]
    missing: tuple[float, ...]  # z of planes that only we have
    surplus: tuple[float, ...]  # z of planes that only the other side has
    worst: Optional[Apart]
    mean: float
    areas: tuple[float, float]  # mm2, of all outlines

    @property
    def near(self) -> bool:
        """Whether the outlines lie on each other."""
        return not self.missing and not self.surplus and (self.worst is None or self.worst.hausdorff <= DISTANCE)

    @property
    def same_area(self) -> bool:
        """Whether the areas are the same."""
        return abs(self.areas[0] - self.areas[1]) <= AREA * max(*self.areas, 1.0)


def pairs(ours: Sequence[Region], theirs: Sequence[Region]) -> list[tuple[Optional[Region], Optional[Region]]]:
    """Regions of the same name, in the order of ours; several of one name as they follow each other."""
    waiting: dict[str, list[Region]] = defaultdict(list)
    for region in theirs:
        waiting[region.name.strip()].append(region)
    found: list[tuple[Optional[Region], Optional[Region]]] = []
    for region in ours:
        others = waiting[region.name.strip()]
        found.append((region, others.pop(0) if others else None))
    return found + [(None, region) for others in waiting.values() for region in others]


def compared(ours: Region, theirs: Region) -> Compared:
    """Hold the outlines of a region against each other."""
    here, there = _planes(ours), _planes(theirs)
    matched, missing, surplus = _matched(sorted(here), sorted(there))
    apart = [_apart(here[one], there[other], one) for one, other in matched]
    worst = max(apart, key=lambda each: each.hausdorff, default=None)
    mean = float(np.mean([each.mean for each in apart])) if apart else 0.0
    areas = sum(map(_area, ours.contours)), sum(map(_area, theirs.contours))
    return Compared(ours.name, (len(here), len(there)), missing, surplus, worst, mean, areas)


def lines(found: Compared) -> list[Line]:
    """What a report says of a region."""
    name, (here, there) = found.name, found.planes
    said = [Line(f"{name}: planes", f"{here}", f"{there}", here == there)]
    if found.missing or found.surplus:
        said.append(Line(f"{name}: planes on one side only", _heights(found.missing), _heights(found.surplus)))
    if found.worst is not None:
        distance = f"{number(found.worst.hausdorff)} mm apart at z {number(found.worst.z, 2)} mm"
        said.append(
            Line(
                f"{name}: outlines", "on each other" if found.near else distance, "", found.worst.hausdorff <= DISTANCE
            )
        )
    ours, theirs = (f"{number(area / 100, 2)} cm²" for area in found.areas)
    said.append(Line(f"{name}: area of all outlines", ours, theirs, found.same_area))
    return said


def _heights(planes: Sequence[float]) -> str:
    return ", ".join(f"z {number(z, 2)}" for z in planes[:6]) + (" …" if len(planes) > 6 else "") or "—"


def misnamed(regions: Sequence[Region], heights: Mapping[str, float]) -> int:
    """How many contours name an image that another image of the series is nearer to."""
    places = np.array(sorted(heights.values()))
    wrong = 0
    for region in regions:
        for contour, image in zip(region.contours, region.images):
            if region.point or image is None or image not in heights or not len(contour):
                continue
            z = float(contour[:, 2].mean())
            wrong += abs(heights[image] - z) > float(np.abs(places - z).min()) + DISTANCE
    return wrong


def _planes(region: Region) -> dict[float, list[Floats]]:
    found: dict[float, list[Floats]] = {}
    for contour in region.contours:
        if len(contour):
            z = round(float(contour[:, 2].mean()), 4)
            near = next((each for each in found if abs(each - z) < 0.01), z)
            found.setdefault(near, []).append(contour)
    return found


def _matched(
    here: Sequence[float], there: Sequence[float]
) -> tuple[list[tuple[float, float]], tuple[float, ...], tuple[float, ...]]:
    """Planes of nearly the same height, and those that only one side has."""
    matched, missing, left = [], [], list(there)
    for z in here:
        nearest = min(left, key=lambda other: abs(other - z), default=None)
        if nearest is None or abs(nearest - z) > _SAME_PLANE:
            missing.append(z)
        else:
            matched.append((z, nearest))
            left.remove(nearest)
    return matched, tuple(missing), tuple(left)


def _apart(ours: Sequence[Floats], theirs: Sequence[Floats], z: float) -> Apart:
    """How far the outlines of a plane lie apart, from the corners of each side to the edges of the other."""
    if len(ours) == len(theirs) and all(one.shape == other.shape for one, other in zip(ours, theirs)):
        direct = np.concatenate([np.sqrt(((one - other) ** 2).sum(axis=1)) for one, other in zip(ours, theirs)])
        if direct.max() <= DISTANCE / 10:  # corner by corner: they cannot be farther apart than that
            return Apart(float(direct.max()), float(direct.mean()), z)
    distances = np.concatenate([_from(ours, theirs), _from(theirs, ours)])
    return Apart(float(distances.max()), float(distances.mean()), z)


def _from(corners: Sequence[Floats], outlines: Sequence[Floats]) -> Floats:
    """The distance of each corner from the nearest edge."""
    starts = np.concatenate(outlines)
    ends = np.concatenate([np.roll(outline, -1, axis=0) for outline in outlines])
    along = ends - starts
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    found = []
    points = np.concatenate(corners)
    step = max(1, _DENSEST * 500 // len(starts))
    for at in range(0, len(points), step):
        to = points[at : at + step, None, :] - starts[None]
        share = np.clip((to * along[None]).sum(axis=2) / length, 0.0, 1.0)
        found.append(np.sqrt((((share[..., None] * along[None]) - to) ** 2).sum(axis=2).min(axis=1)))
    return np.concatenate(found)


def _area(contour: Floats) -> float:
    x, y = contour[:, 0], contour[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
