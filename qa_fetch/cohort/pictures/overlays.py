"""Three planes through the target of a patient: image, outlines and dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Optional

import numpy as np

from ..built import Built
from ..grids import Floats, Volume
from ..roles import OUTSIDE, TARGETS, rank, role
from .drawing import Outline, Part, Scene, Wash, picture
from .drawing import thumbnail as small
from .palette import Colour, of_built, own, window
from .planes import AXIAL, VIEWS, Cuts, Plane, View, centroid, nearest_filled

if TYPE_CHECKING:
    from ..loading import Loaded, LoadedRoi

_MOST: Final = 8  # regions in a picture
_ROOM: Final = 12.0  # mm around the body


class _Chosen(NamedTuple):
    roi: LoadedRoi
    colour: Colour


def planes(loaded: Loaded, regions: Optional[Sequence[LoadedRoi]] = None) -> dict[str, bytes]:
    """The pictures ``axial``, ``coronal`` and ``sagittal``, as PNG.

    Parameters
    ----------
    loaded
        The patient.
    regions
        Those that may be drawn, all of them by default; the eight that tell most are.
    """
    return {scene.plane.view.name: picture(scene) for scene in scenes(loaded, regions)}


def thumbnail(loaded: Loaded, regions: Optional[Sequence[LoadedRoi]] = None) -> bytes:
    """A small axial picture through the target, 240 pixels wide and high, as PNG.

    Parameters
    ----------
    loaded
        The patient.
    regions
        As for ``planes``.
    """
    return small(next(scene for scene in scenes(loaded, regions) if scene.plane.view is AXIAL))


def scenes(loaded: Loaded, regions: Optional[Sequence[LoadedRoi]] = None) -> tuple[Scene, ...]:
    """What is in these pictures, before any of it is drawn.

    Parameters
    ----------
    loaded
        The patient.
    regions
        As for ``planes``.
    """
    cuts = Cuts(loaded.images.grid)
    there = [roi for roi in (loaded.rois if regions is None else regions) if roi.values.any()]
    target = target_of(there)
    points = {view: _point(cuts, view, target, loaded) for view in VIEWS}
    highest = _highest(loaded.dose)
    slices, rows, columns = (slice(0, size) for size in loaded.images.grid.shape)
    everywhere = slices, rows, columns
    known = None if loaded.known is None or loaded.known.all() else loaded.known
    cut = {id(roi): {view: cuts.mask(view, points[view], roi.box, roi.values) for view in VIEWS} for roi in there}
    chosen = _chosen(there, cut, loaded)
    found = []
    for view in VIEWS:
        plane = cuts.plane(view, points[view], loaded.images.values)
        wash = None
        if loaded.dose is not None and highest > 0:
            wash = Wash(
                cuts.plane(view, points[view], loaded.dose.values),
                highest,
                prescription(loaded.built),
                None if known is None else cuts.mask(view, points[view], everywhere, known),
            )
        body = next((cut[id(roi)][view] for roi in there if _role(roi) == OUTSIDE), None)
        found.append(
            Scene(
                plane,
                window(loaded.images),
                view.name.capitalize(),
                said(plane, loaded.images, "" if target is None else named(target)),
                tuple(
                    Outline(each.roi.name, each.colour, cut[id(each.roi)][view], _width(each.roi)) for each in chosen
                ),
                wash,
                None if body is None else around(plane, body, _ROOM),
                _crossing(view, points),
                len(there) - len(chosen),
            )
        )
    return tuple(found)


def target_of(rois: Sequence[LoadedRoi]) -> Optional[LoadedRoi]:
    """The region that is treated: the largest PTV, else CTV, GTV or ITV, else the largest within the body."""

    def place(roi: LoadedRoi) -> tuple[int, int, int]:
        return rank(_role(roi)), -int(np.count_nonzero(roi.values)), roi.number

    return min((roi for roi in rois if roi.values.any()), key=place, default=None)


def prescription(built: Built) -> Optional[float]:
    """What the plans of the doses prescribe together, Gy; None where one of them does not say."""
    known = {plan.uid: plan.prescription_gy for plan in built.plans}
    of_doses = {dose.plan for dose in built.doses}
    found = [known.get(plan) if plan is not None else None for plan in of_doses]
    amounts = [each for each in found if each is not None and each > 0]
    return sum(amounts) if amounts and len(amounts) == len(found) else None


def around(plane: Plane, region: Plane, room: float, least: float = 0.0) -> Optional[Part]:
    """The part of a plane that a region takes up; None where it is not there.

    Parameters
    ----------
    plane, region
        The image and the region's voxels in it.
    room
        mm on each side.
    least
        mm that the part is wide and high, as far as the image reaches.
    """
    rows, columns = (np.flatnonzero(region.values.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    ends = region.places(np.array([[columns[0] - 0.5, rows[0] - 0.5], [columns[-1] + 0.5, rows[-1] + 0.5]]))
    (left, top), (right, bottom) = ends.tolist()
    left, right = _within(left, right, (plane.left, plane.right), room, least)
    top, bottom = _within(top, bottom, (plane.top, plane.bottom), room, least)
    return Part(left, right, top, bottom)


def named(roi: LoadedRoi) -> str:
    """A region's name for people."""
    return roi.name.strip() or f"ROI {roi.number}"


def _within(begin: float, end: float, edges: tuple[float, float], room: float, least: float) -> tuple[float, float]:
    """A stretch with room on both sides, of the same direction, that stays within the edges."""
    low, high = sorted((begin, end))
    more = max(room, (least - (high - low)) / 2)
    first, last = sorted(edges)
    low, high = max(low - more, first), min(high + more, last)
    return (low, high) if edges[0] <= edges[1] else (high, low)


def _role(roi: LoadedRoi) -> str:
    return role(roi.kind, roi.name)


def _width(roi: LoadedRoi) -> float:
    of = _role(roi)
    return 2.2 if of in TARGETS else 1.2 if of == OUTSIDE else 1.6


def _point(cuts: Cuts, view: View, target: Optional[LoadedRoi], loaded: Loaded) -> Floats:
    """A point of the plane: the middle of the target, and where it is hollow the nearest plane that it is on."""
    grid = cuts.grid
    if target is None:
        dose = loaded.dose
        place = np.array([(size - 1) / 2 for size in grid.shape])
        if dose is not None and _highest(dose) > 0:
            place = np.array(np.unravel_index(int(np.nanargmax(dose.values)), dose.values.shape), dtype=np.float64)
        return grid.points(place[None]).reshape(3)
    middle = centroid(target.box, target.values)
    return on_region(cuts, view, grid.points([middle]).reshape(3), target)


def on_region(cuts: Cuts, view: View, point: Floats, roi: LoadedRoi) -> Floats:
    """A point moved along its view to the nearest slice, row or column of the images that has the region.

    Parameters
    ----------
    cuts, view
        Of the plane.
    point
        mm.
    roi
        The region.
    """
    if not cuts.straight:
        return point
    axis = cuts.axes[view.through]
    index = cuts.index(view, point)
    place = cuts.grid.indices(point[None])[0]
    place[axis] = nearest_filled(roi.box, roi.values, axis, index)
    return cuts.grid.points(place[None]).reshape(3)


def _highest(dose: Optional[Volume]) -> float:
    if dose is None or not np.isfinite(dose.values).any():
        return 0.0
    return float(np.nanmax(dose.values))


def _chosen(rois: Sequence[LoadedRoi], cut: Mapping[int, Mapping[View, Plane]], loaded: Loaded) -> list[_Chosen]:
    """The regions that are drawn: those that a plane meets, targets first, then by what dose they get."""

    def place(roi: LoadedRoi) -> tuple[bool, int, float, int]:
        of = _role(roi)
        met = any(plane.values.any() for plane in cut[id(roi)].values())
        weight = float(np.count_nonzero(roi.values))
        if loaded.dose is not None and of not in TARGETS:
            inside = roi.values if loaded.known is None else roi.values & loaded.known[roi.box]
            known = loaded.dose.values[roi.box][inside]
            weight = float(known.mean(dtype=np.float64)) if known.size else 0.0
        return not met, rank(of), -weight, roi.number

    shades = of_built(loaded.built)
    first = sorted(rois, key=place)[:_MOST]
    return [_Chosen(roi, shades.get((roi.structures, roi.number)) or own(roi.colour)) for roi in first]


def said(plane: Plane, images: Volume, through: str = "") -> str:
    """What stands beside a picture's title.

    Parameters
    ----------
    plane
        Which says where it lies.
    images
        Which it was cut out of.
    through
        What it runs through, where that is worth saying.
    """
    parts = [f"{plane.view.letter} = {plane.at:+.1f} mm"]
    if through:
        parts.append(f"through {through}")
    if images.modality == "CT":
        low, high = window(images)
        parts.append(f"{low:.0f} to {high:.0f} HU")
    return " · ".join(parts)


def _crossing(view: View, points: Mapping[View, Floats]) -> tuple[float, float]:
    """Where the two other planes cross this one: mm to the right and down."""
    lies = {other.through: float(points[other][other.through]) for other in points}
    return lies[view.across], lies[view.down]
