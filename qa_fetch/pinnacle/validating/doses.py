"""Doses: their maximum, every voxel, and gamma by pymedphys."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from .objects_read import Dose, Floats
from .tolerances import CUTOFF, GAMMAS

_MOST_SEARCHED = 2_000  # voxels around which a dose is searched for that passes: 20 s of one core
_HIGHEST_GAMMA = 1.1  # looking for more costs time and tells nothing

NO_GAMMA = (
    "gamma was not computed: it needs pymedphys and scipy in this Python (3.10 to 3.12), "
    'installed by: pip install "qa_fetch[pinnacle]"'
)


@dataclass(frozen=True)
class Gamma:
    """The share of voxels that pass, of how many, and how many of these were looked at."""

    percent: float
    distance: float
    passed: float
    voxels: int
    looked_at: int


@dataclass(frozen=True)
class Difference:
    """Ours against theirs at their voxels, Gy; where ours ends there is none."""

    same_grid: bool
    values: Floats  # ours minus theirs
    outside: int  # of their voxels with dose, those beyond our grid

    @property
    def largest(self) -> float:
        """The largest difference, of either sign."""
        return float(np.nanmax(np.abs(self.values))) if np.isfinite(self.values).any() else 0.0


def difference(ours: Dose, theirs: Dose) -> Difference:
    """Voxel by voxel on the same grid, else ours interpolated at their voxels."""
    same = all(
        one.shape == other.shape and np.allclose(one, other, atol=0.01) for one, other in zip(ours.axes, theirs.axes)
    )
    if same:
        return Difference(True, ours.values - theirs.values, 0)
    found = ours.values
    for axis, (known, wanted) in enumerate(zip(ours.axes, theirs.axes)):
        found = _along(found, axis, known, wanted)
    values = found - theirs.values
    outside = np.isnan(values) & (theirs.values >= CUTOFF / 100 * theirs.maximum)
    return Difference(False, values, int(outside.sum()))


def _along(values: Floats, axis: int, known: Floats, wanted: Floats) -> Floats:
    """Linear interpolation along one axis; not a number beyond its ends."""
    if known.size == 1:
        weights = np.where(np.abs(wanted - known[0]) <= 0.01, 1.0, np.nan)
        return np.take(values, np.zeros(wanted.size, dtype=int), axis=axis) * _shaped(weights, axis)
    place = np.interp(wanted, known, np.arange(known.size, dtype=float))
    low = np.minimum(place.astype(int), known.size - 2)
    share = place - low
    share[(wanted < known[0] - 0.01) | (wanted > known[-1] + 0.01)] = np.nan
    part = _shaped(share, axis)
    return np.asarray(np.take(values, low, axis=axis) * (1 - part) + np.take(values, low + 1, axis=axis) * part)


def _shaped(line: Floats, axis: int) -> Floats:
    return line.reshape([-1 if each == axis else 1 for each in range(3)])


def can_gamma() -> bool:
    """Whether this Python has what gamma needs."""
    return all(importlib.util.find_spec(name) is not None for name in ("pymedphys", "scipy"))


def gammas(ours: Dose, theirs: Dose, apart: Difference) -> Optional[list[Gamma]]:
    """The share of their voxels that pass; None without pymedphys."""
    if not can_gamma() or not theirs.maximum > 0 or min(*ours.values.shape, *theirs.values.shape) < 2:
        return None
    high = theirs.values >= CUTOFF / 100 * theirs.maximum
    with np.errstate(invalid="ignore"):
        return [_gamma(ours, theirs, percent, distance, high, np.abs(apart.values)) for percent, distance in GAMMAS]


def _gamma(ours: Dose, theirs: Dose, percent: float, distance: float, high: NDArray[np.bool_], apart: Floats) -> Gamma:
    """Voxels near enough at their own place pass; of the others as many are searched for as time allows.

    Parameters
    ----------
    ours, theirs
        The doses.
    percent, distance
        How far they may differ, of the highest dose and in mm.
    high
        Their voxels that count.
    apart
        How far ours is from each of them; not a number beyond our grid.
    """
    import pymedphys

    count = int(high.sum())
    open_ones = np.flatnonzero(high & ~(apart <= percent / 100 * theirs.maximum))
    if not open_ones.size:
        return Gamma(percent, distance, 1.0, count, count)
    searched = open_ones[:: -(-open_ones.size // _MOST_SEARCHED)]
    wanted = np.zeros(theirs.values.size)  # a dose below the cutoff is not searched for
    wanted[searched] = theirs.values.ravel()[searched]
    gamma = pymedphys.gamma(
        theirs.axes,
        wanted.reshape(theirs.values.shape),
        ours.axes,
        ours.values,
        percent,
        distance,
        lower_percent_dose_cutoff=CUTOFF,
        max_gamma=_HIGHEST_GAMMA,
        global_normalisation=theirs.maximum,
        skip_once_passed=True,
        ram_available=1 << 28,
        interp_algo="scipy",  # the other one needs numba
    )
    share = float((gamma.ravel()[searched] <= 1.0).mean())  # beyond our grid it is no number, which does not pass
    passed = (count - open_ones.size + share * open_ones.size) / count
    return Gamma(percent, distance, passed, count, count - open_ones.size + searched.size)
