"""What planes of contours stand for: half way to their neighbours, but no farther than planes of a region usually lie.

The one rule for masks and for histograms, so that a region has the same volume in both.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Optional

import numpy as np

from .grids import Floats

ON_SLICE: Final = 0.1  # of a slice by which contours may miss its centre
_NEARLY: Final = 2 * ON_SLICE  # of a slice by which planes that lie as far apart as slices may miss that
_SAME: Final = 0.05  # of the usual distance by which one that is the same may miss it
_REGULAR: Final = 0.75  # of the distances between planes that must be the same, to stand for more than one slice
_FARTHEST: Final = 4.0  # slices apart that planes may be drawn and still stand for those between


class Slab(NamedTuple):
    """From where to where a plane reaches."""

    low: float
    high: float

    @property
    def thick(self) -> float:
        """How far that is."""
        return self.high - self.low


class Slabs(NamedTuple):
    """What all planes of a region stand for.

    ``thickness`` is the usual one, ``empty`` how many planes between the others are not drawn. With ``on_slices`` each
    plane is one slice, which it lies on.
    """

    slabs: tuple[Slab, ...]
    thickness: float
    empty: int
    on_slices: bool


def of(heights: Floats, spacing: Optional[float]) -> Slabs:
    """What planes stand for.

    Parameters
    ----------
    heights
        Of the planes, ascending, from the centre of a slice, whichever.
    spacing
        Of the slices; where it is not known, planes lie as far apart as they usually do, and there have to be two.
    """
    gaps = np.diff(heights)
    thickness = _thickness(gaps, spacing)
    empty = int(np.maximum(np.rint(gaps / thickness) - 1, 0).sum())
    if spacing is not None and thickness == spacing:
        nearest = np.rint(heights / spacing)
        if (np.diff(nearest) > 0).all() and np.abs(heights / spacing - nearest).max() <= ON_SLICE:
            slabs = (Slab(float(low), float(low + spacing)) for low in (nearest - 0.5) * spacing)
            return Slabs(tuple(slabs), thickness, empty, True)
    half = np.minimum(gaps, thickness) / 2
    lows, highs = heights - np.append(thickness / 2, half), heights + np.append(half, thickness / 2)
    slabs = (Slab(float(low), float(high)) for low, high in zip(lows, highs))
    return Slabs(tuple(slabs), thickness, empty, False)


def _thickness(gaps: Floats, spacing: Optional[float]) -> float:
    """How thick a plane is: a slice, unless contours are drawn closer, or regularly farther apart."""
    if not gaps.size and spacing is not None:
        return spacing
    usual = float(np.sort(gaps)[(gaps.size - 1) // 2])
    if spacing is None or usual < spacing * (1 - _NEARLY):
        return usual
    regular = gaps.size > 1 and float((np.abs(gaps - usual) <= _SAME * usual).mean()) >= _REGULAR
    return usual if regular and spacing * (1 + _NEARLY) < usual <= spacing * _FARTHEST else spacing
