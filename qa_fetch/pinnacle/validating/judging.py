"""One object of ours and its counterpart: what is compared, and when they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from . import contours, doses, drawing, known, parameters
from .found import DOSE, IMAGES, PLAN, STRUCTURES, Key
from .objects_read import Dose, Image, Region, Unusable, calmly, dataset, dose, image, regions
from .results import AGREES, DIFFERS, OPEN, Comparison, Line, Picture, number
from .tolerances import DOSE as SHARE
from .tolerances import HOUNSFIELD, PASSED

_PLACE = 0.01  # mm
_MOST_LINES = 12  # of images that differ


@dataclass
class Side:
    """The images of a side by their UID, for what refers to them."""

    heights: dict[str, float] = field(default_factory=dict)
    paths: dict[float, Path] = field(default_factory=dict)

    def at(self, z: float) -> Optional[Image]:
        """The image nearest to a height; None where there is none there."""
        nearest = min(self.paths, key=lambda height: abs(height - z), default=None)
        if nearest is None or abs(nearest - z) > 10:
            return None
        try:
            return image(dataset(self.paths[nearest]))
        except Unusable:
            return None


def side(paths: Sequence[Path]) -> Side:
    """The heights of images."""
    found = Side()
    for path in paths:
        try:
            with calmly():
                data = dataset(path)
                z = float(data.ImagePositionPatient[2])
                found.heights[str(data.SOPInstanceUID)] = z
        except (Unusable, AttributeError, TypeError, ValueError, IndexError):
            continue  # the comparison of the images tells of it
        found.paths[z] = path
    return found


@dataclass(frozen=True)
class Case:
    """What is compared: the files of both sides, and what they belong to."""

    key: Key
    names: tuple[str, ...]
    ours: Sequence[Path]
    theirs: Sequence[Path]
    scene: Optional[known.Scene]  # None where the other side has no known deficits
    our_images: Side
    their_images: Side


def compared(case: Case) -> Comparison:
    """The comparison of an object; not compared, with the reason, where one side cannot be used."""
    judge = {IMAGES: _images, STRUCTURES: _structures, PLAN: _plan, DOSE: _dose}[case.key.kind]
    try:
        with calmly():
            return judge(case)
    except Unusable as error:
        return opened(case.key, case.names, str(error))


def opened(key: Key, names: tuple[str, ...], reason: str) -> Comparison:
    """An object that could not be compared."""
    return _comparison(key, names, OPEN, notes=(reason,))


def _comparison(key: Key, names: tuple[str, ...], verdict: str, **parts: Any) -> Comparison:
    place = {"image_set": key.number} if key.kind == IMAGES else {"plan": key.number, "trial": key.trial}
    return Comparison(kind=key.kind, what=key.what, verdict=verdict, names=names, **place, **parts)


def _ended(case: Case, lines: list[Line], explained: Sequence[str], **parts: Any) -> Comparison:
    """A comparison by its lines; what is known of the other side is said where something differs."""
    differs = any(not line.agrees for line in lines)
    notes = (*parts.pop("notes", ()), *(explained if differs else ()))
    return _comparison(case.key, case.names, DIFFERS if differs else AGREES, lines=tuple(lines), notes=notes, **parts)


def _explained(lines: Sequence[Line], reasons: Sequence[str]) -> list[Line]:
    """Lines that differ, with what is known of the other side."""
    return [line if line.agrees or line.known else replace(line, known=tuple(reasons)) for line in lines]


# Images


def _images(case: Case) -> Comparison:
    theirs = {str(dataset(path).get("SOPInstanceUID", "")): path for path in case.theirs}
    lines = [Line("images", str(len(case.ours)), str(len(case.theirs)), len(case.ours) == len(case.theirs))]
    worst: Optional[float] = None
    voxels, apart, differ = 0, 0.0, 0
    for path in case.ours:
        mine = dataset(path)
        other = theirs.get(str(mine.SOPInstanceUID)) or _at_height(case.their_images, mine)
        if other is None:
            lines.append(Line(f"image {mine.get('InstanceNumber')}", "is there", "is not"))
            continue
        one, two = image(mine), image(dataset(other))
        found, high, count, away = _image_lines(str(mine.get("InstanceNumber")), one, two)
        voxels, apart = voxels + count, max(apart, away)
        worst = worst if high is None else max(worst or 0.0, high)
        if found:
            differ += 1
            lines += found if differ <= _MOST_LINES else []
    if differ > _MOST_LINES:
        lines.append(Line(f"{differ - _MOST_LINES} more images", "differ in the same ways", ""))
    figures = (
        ("images", str(len(case.ours))),
        ("largest difference", "none has the same size" if worst is None else f"{number(worst, 1)} HU"),
        ("voxels that differ", "" if worst is None else f"{voxels:,}"),
        ("farthest apart", f"{number(apart)} mm"),
    )
    reasons = known.of_images(case.scene) if case.scene is not None else []
    measures = {} if worst is None else {"hounsfield": worst}
    return _ended(case, _explained(lines, reasons), reasons, figures=figures, measures=measures)


def _at_height(there: Side, mine: Any) -> Optional[Path]:
    z = float(mine.ImagePositionPatient[2])
    return next((path for height, path in there.paths.items() if abs(height - z) <= 0.1), None)


def _image_lines(name: str, one: Image, two: Image) -> tuple[list[Line], Optional[float], int, float]:
    """What differs of an image; the largest difference, of how many voxels, and how far its corners are apart."""
    lines = []
    size = [f"{each.values.shape[1]} x {each.values.shape[0]}" for each in (one, two)]
    ends = [[each.x[0], each.x[-1], each.y[0], each.y[-1], each.z] for each in (one, two)]
    away = float(np.abs(np.array(ends[0]) - np.array(ends[1])).max())
    if away > _PLACE:
        said = [f"x {number(x)} to {number(right)}, y {number(y)} to {number(down)}, z {number(z)} mm"
                for x, right, y, down, z in ends]  # fmt: skip
        lines.append(Line(f"image {name}: place", said[0], said[1]))
    if size[0] != size[1]:
        lines.append(Line(f"image {name}: columns x rows", size[0], size[1]))
        return lines, None, 0, away
    apart = np.abs(one.values - two.values)
    count = int((apart > HOUNSFIELD).sum())
    if count:
        row, column = np.unravel_index(int(apart.argmax()), apart.shape)
        said = [f"{number(float(each.values[row, column]), 1)} HU" for each in (one, two)]
        lines.append(Line(f"image {name}: {count:,} voxels, most at x {number(float(one.x[column]), 1)}, "
                          f"y {number(float(one.y[row]), 1)} mm", said[0], said[1]))  # fmt: skip
    return lines, float(apart.max()), count, away


# Structures


def _structures(case: Case) -> Comparison:
    mine, others = regions(dataset(case.ours[0])), regions(dataset(case.theirs[0]))
    lines, found = [], []
    matched = contours.pairs(mine, others)
    for one, other in matched:
        if one is None or other is None:
            name = (one or other or mine[0]).name
            lines.append(Line(name, "—" if one is None else "is there", "—" if other is None else "is there"))
            continue
        found.append(contours.compared(one, other))
        lines += contours.lines(found[-1])
    reasons = known.of_structures(case.scene) if case.scene is not None else []
    lines = _explained(lines, reasons)
    heights = {**case.our_images.heights, **case.their_images.heights}
    wrong = contours.misnamed(mine, case.our_images.heights), contours.misnamed(others, heights)
    reason = known.image_references(case.scene) if case.scene is not None else None
    lines.append(
        Line(
            "contours that name an image of another height",
            str(wrong[0]),
            str(wrong[1]),
            not any(wrong),
            (reason,) if reason else (),
        )
    )
    worst = max((each.worst.hausdorff for each in found if each.worst is not None), default=0.0)
    figures = (
        ("regions and points", str(len(mine))),
        ("farthest apart", f"{number(worst)} mm"),
        ("on average", f"{number(max((each.mean for each in found), default=0.0))} mm at most"),
        ("outlines", str(sum(len(region.contours) for region in mine))),
    )
    pictures = _outline_pictures(case, matched, found)
    explained = [] if reason is None or not wrong[1] else [reason]
    return _ended(
        case, lines, [*reasons, *explained], figures=figures, measures={"outline_mm": worst}, pictures=tuple(pictures)
    )


def _outline_pictures(
    case: Case, matched: Sequence[tuple[Optional[Region], Optional[Region]]], found: Sequence[contours.Compared]
) -> list[Picture]:
    """The outlines at the height where most are, and where the worst is."""
    named = [((one or other).name, one, other) for one, other in matched if (one or other) is not None]  # type: ignore[union-attr]
    central = drawing.best_height([region for _, one, other in named for region in (one, other) if region is not None])
    if central is None:
        return []
    heights = [central]
    worst = max((each for each in found if each.worst is not None and not each.near), default=None, key=_distance)
    if worst is not None and worst.worst is not None and abs(worst.worst.z - central) > 0.5:
        heights.append(worst.worst.z)
    drawable = [
        z for z in heights if any(drawing.contours_at(each, z) for _, one, other in named for each in (one, other))
    ]
    return [drawing.outlines(case.our_images.at(z), named, z) for z in drawable]


def _distance(each: contours.Compared) -> float:
    return each.worst.hausdorff if each.worst is not None else 0.0


# Plans


def _plan(case: Case) -> Comparison:
    mine, others = parameters.beams(dataset(case.ours[0])), parameters.beams(dataset(case.theirs[0]))
    lines: list[Line] = []
    units = []
    for one, other in parameters.pairs(mine, others):
        if one is None or other is None:
            beam = one or other
            assert beam is not None
            there = "is there"
            lines.append(Line(f"beam {beam.number}", there if one else "—", there if other else "—"))
            continue
        found = parameters.lines(one, other)
        lines += known.of_beam(case.scene, one, other, found) if case.scene is not None else found
        given = one.values["monitor units"], other.values["monitor units"]
        if None not in given and given[0]:
            units.append(abs(given[1] / given[0] - 1))
    differ = [line for line in lines if not line.agrees]
    figures = [
        ("beams", str(len(mine))),
        ("control points", str(sum(len(beam.settings) for beam in mine))),
        ("values that differ", f"{len(differ)} of {len(lines)}"),
    ]
    if units:
        figures.append(("monitor units apart", f"{number(100 * max(units), 2)} % at most"))
    explained = list(dict.fromkeys(reason for line in differ for reason in line.known))
    measures = {"units": max(units)} if units else {}
    return _ended(case, lines, explained, figures=tuple(figures), measures=measures)


# Dose


def _dose(case: Case) -> Comparison:
    mine, other = dose(dataset(case.ours[0])), dose(dataset(case.theirs[0]))
    apart = doses.difference(mine, other)
    found = doses.gammas(mine, other, apart)
    reasons = known.of_dose(case.scene, mine) if case.scene is not None else []
    share = apart.largest / other.maximum if other.maximum > 0 else float(apart.largest > 0)
    same_maximum = abs(mine.maximum - other.maximum) <= SHARE * max(mine.maximum, other.maximum)
    lines = [
        Line("highest dose", f"{number(mine.maximum, 4)} Gy", f"{number(other.maximum, 4)} Gy", same_maximum),
        _grid_line(mine, other, apart),
    ]
    figures = [("highest dose", f"{number(mine.maximum, 3)} Gy and {number(other.maximum, 3)} Gy")]
    measures = {"dose_share": share}
    where = "largest difference of a voxel" if apart.same_grid else "largest difference, ours between our voxels"
    figures.append((where, f"{number(apart.largest, 4)} Gy, {number(100 * share, 3)} % of the highest"))
    notes = [f"{apart.outside:,} of their voxels with dose lie outside of our grid"] if apart.outside else []
    if found is None:
        notes.append(
            doses.NO_GAMMA if not doses.can_gamma() else "gamma was not computed: a dose has no extent, or none at all"
        )
        passes = share <= SHARE and not apart.outside
        if passes:
            notes.append("every voxel is so near that gamma would pass everywhere")
        lines.append(Line("largest difference of a voxel", f"{number(100 * share, 3)} %", "", passes))
    for gamma in found or ():
        name = f"gamma {gamma.percent:g} %/{gamma.distance:g} mm"
        looked = "" if gamma.looked_at == gamma.voxels else f", looked at {gamma.looked_at:,}"
        figures.append((name, f"{number(100 * gamma.passed, 2)} % of {gamma.voxels:,} voxels{looked}"))
        measures[f"gamma_{gamma.percent:g}_{gamma.distance:g}"] = gamma.passed
        lines.append(
            Line(f"{name}: voxels that pass", f"{number(100 * gamma.passed, 2)} %", "", gamma.passed >= PASSED)
        )
    backdrop = case.our_images.at(float(mine.z[mine.highest()[0]]))
    pictures = drawing.washes(mine, other, backdrop, apart.values if apart.same_grid else None)
    return _ended(
        case,
        _explained(lines, reasons),
        reasons,
        figures=tuple(figures),
        measures=measures,
        notes=notes,
        pictures=(*pictures, *drawing.profiles(mine, other)),
    )


def _grid_line(mine: Dose, other: Dose, apart: doses.Difference) -> Line:
    """The grids, which may differ: what matters is the dose at each place."""

    def corner(each: Dose, index: int) -> str:
        return ", ".join(number(float(axis[index]), 2) for axis in (each.x, each.y, each.z))

    said = [
        f"{each.x.size} x {each.y.size} x {each.z.size}, from {corner(each, 0)} to {corner(each, -1)} mm"
        for each in (mine, other)
    ]
    return Line("grid" if apart.same_grid else "grid (another one is no fault)", said[0], said[1], True)
