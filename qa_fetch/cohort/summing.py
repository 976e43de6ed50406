"""A course of several plans: what all their doses together do to a region, and what each does.

All doses are looked up at the same points of the region, each on its own grid, so nothing is blurred by bringing them
onto one. Where one of them does not reach, the sum is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Optional, Union

import numpy as np

from . import dvh, eqd2
from .contours import Region
from .dvh import Dvh
from .grids import Grid, Volume, resampled
from .masks import Mask

_SAME_PLACE = 1e-3  # mm


class Phase(NamedTuple):
    """The dose of one plan, and in how many fractions it is given, where that is known."""

    dose: Volume
    fractions: Optional[int] = None


class Summed(NamedTuple):
    """The histograms of a region: of all phases together, of each, and of all in EQD2 where that was asked for."""

    total: Dvh
    parts: tuple[Dvh, ...]
    eqd2: Optional[Dvh] = None


def of(
    roi: Union[Region, Mask],
    phases: Sequence[Phase],
    images: Optional[Grid] = None,
    alpha_beta: Optional[float] = None,
) -> Summed:
    """The histograms of a region under all phases of a course; fails as ``dvh.of`` does.

    Parameters
    ----------
    roi, images
        As for ``dvh.of``.
    phases
        One for each plan.
    alpha_beta
        Gy; without it, or where the fractions of a phase are not known, there is no EQD2.
    """
    doses = [phase.dose for phase in phases]
    sampled = dvh.points(roi, doses, images)
    total = dvh.of_points(roi, doses, sampled, sampled.doses.sum(axis=0))
    parts: tuple[Dvh, ...] = (total,)
    if len(phases) > 1:
        parts = tuple(dvh.of_points(roi, [dose], sampled, found) for dose, found in zip(doses, sampled.doses))
    fractions = [phase.fractions for phase in phases if phase.fractions is not None]
    if alpha_beta is None or len(fractions) < len(phases):
        return Summed(total, parts)
    if len(phases) == 1:
        return Summed(total, parts, eqd2.of_dvh(total, fractions[0], alpha_beta))
    added = eqd2.added(list(zip(sampled.doses, fractions)), alpha_beta)
    return Summed(total, parts, dvh.of_points(roi, doses, sampled, added))


def added(doses: Sequence[Volume]) -> Volume:
    """The sum of doses on the finest of their grids; NaN where one of them does not reach.

    It is exact at the voxels of that grid, and meant for the whole of a patient; for a region ``of`` is better.
    """
    finest = min((dose.grid for dose in doses), key=lambda grid: grid.voxel_cc)
    if len(doses) == 1:
        return doses[0]
    total = np.zeros(finest.shape, dtype=np.float32)
    for dose in doses:
        same = _same(dose.grid, finest)
        total += dose.values if same else resampled(dose, finest, outside=np.nan).values
    frames = {dose.grid.frame_of_reference for dose in doses}
    grid = replace(finest, frame_of_reference=frames.pop() if len(frames) == 1 else None)
    return Volume(grid, total, "RTDOSE", "")


def highest(doses: Sequence[Volume]) -> Optional[float]:
    """The highest dose of all together, Gy; None where they do not overlap."""
    values = added(doses).values
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else None


def _same(one: Grid, two: Grid) -> bool:
    if one.shape != two.shape:
        return False
    ends = np.array([[0, 0, 0], np.array(one.shape) - 1])
    return bool(np.abs(one.points(ends) - two.points(ends)).max() <= _SAME_PLACE)
