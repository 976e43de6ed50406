"""The boundary of a region in a plane, as thin smooth curves."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..grids import Floats

_SMOOTH: Final = 1.7  # pixels: how far the steps of the voxels are smoothed, less where a curve is short
_SHORT: Final = 14  # of a curve's length is the most that is smoothed
_STEPS: Final = 2  # points for each pixel of a curve


def boundary(mask: NDArray[np.bool_]) -> list[Floats]:
    """The closed curves along the edges of pixels (n x 2: columns and rows; a pixel reaches half to each side).

    What is inside lies to the right of the way as it is drawn, so holes are gone around the other way. Pixels that
    touch only at a corner are two regions.
    """
    if not mask.any():
        return []
    held = np.pad(mask, 1)
    inner = held[1:-1, 1:-1]
    follows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Each edge of a pixel without a neighbour there: from a corner (row, column) to the next one, clockwise.
    for neighbour, start, end in (
        (held[:-2, 1:-1], (0, 0), (0, 1)),
        (held[1:-1, 2:], (0, 1), (1, 1)),
        (held[2:, 1:-1], (1, 1), (1, 0)),
        (held[1:-1, :-2], (1, 0), (0, 0)),
    ):
        for row, column in np.argwhere(inner & ~neighbour).tolist():
            begin, to = (row + start[0], column + start[1]), (row + end[0], column + end[1])
            follows.setdefault(begin, []).append(to)
    curves = []
    while follows:
        first = at = min(follows)
        before = (0, 0)
        curve = []
        while at in follows:
            nexts = follows[at]
            following = nexts[0] if len(nexts) == 1 else _turning(before, at, nexts)
            nexts.remove(following)
            if not nexts:
                del follows[at]
            curve.append(at)
            before, at = (following[0] - at[0], following[1] - at[1]), following
            if at == first:
                break
        curves.append(np.array(curve, dtype=np.float64)[:, ::-1] - 0.5)
    return curves


def _turning(before: tuple[int, int], at: tuple[int, int], nexts: list[tuple[int, int]]) -> tuple[int, int]:
    """Where two pixels touch at a corner, the way around the one that is being followed: to the right."""
    right = (at[0] + before[1], at[1] - before[0])
    return right if right in nexts else nexts[0]


def smooth(curve: Floats, pixel_mm: tuple[float, float]) -> Floats:
    """A closed curve without the steps of its pixels, as large as it was.

    Parameters
    ----------
    curve
        Of ``boundary``.
    pixel_mm
        How wide and high a pixel is: steps are as long as its longer side.
    """
    sides = np.array(pixel_mm)
    middles = (curve + np.roll(curve, -1, axis=0)) / 2 * sides
    legs = np.linalg.norm(np.roll(middles, -1, axis=0) - middles, axis=1)
    whole = float(legs.sum())
    along = np.concatenate([[0.0], np.cumsum(legs)])
    count = max(int(np.ceil(whole / sides.min())) * _STEPS, 16)
    wanted = np.arange(count) * whole / count
    closed = np.vstack([middles, middles[:1]])
    even = np.interp(wanted, along, closed[:, 0]) + 1j * np.interp(wanted, along, closed[:, 1])
    waves = np.fft.fftfreq(count, whole / count)
    # Smoothed, and what that took away smoothed and given back: a curve does not shrink.
    far = min(_SMOOTH * sides.max(), whole / _SHORT)
    kept = np.exp(-2 * (np.pi * far * waves) ** 2)
    drawn = np.fft.ifft(np.fft.fft(even) * kept * (2 - kept))
    found: Floats = np.column_stack([drawn.real, drawn.imag]) / sides
    return found
