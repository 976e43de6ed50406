"""Colours of regions that are told apart on black, also by the colour blind, and the window of an image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Optional

import numpy as np

from ..built import Built
from ..grids import Volume
from ..roles import OUTSIDE, TARGETS, rank, role

Colour = tuple[int, int, int]

# Of Okabe and Ito, and of Tol, those that are light enough on black; in the order in which they are taken.
PALETTE: Final[tuple[Colour, ...]] = (
    (230, 75, 53),
    (86, 180, 233),
    (240, 228, 66),
    (0, 200, 140),
    (230, 159, 0),
    (221, 145, 199),
    (170, 221, 221),
    (153, 153, 255),
    (187, 204, 51),
    (255, 170, 187),
    (120, 255, 120),
    (200, 110, 60),
)
_OUTSIDE: Final[Colour] = (205, 205, 205)  # of the body
_ALIKE: Final = 90.0  # by which two colours differ at least, of 441
_DARK: Final = 90.0  # luminance, of 255
_SOFT_TISSUE: Final = (-160.0, 240.0)  # HU
_SHARES: Final = {"MR": (1.0, 99.0), "PT": (5.0, 99.7)}  # per cent
_LOOKED_AT: Final = 1 << 18  # voxels


def of_built(built: Built) -> dict[tuple[str, int], Colour]:
    """The colour of each region of a patient, in pictures and histograms alike, by structure set and ROINumber."""
    regions = [(at, each.uid, roi) for at, each in enumerate(built.structures) for roi in each.rois]
    roles = {(uid, roi.number): role(roi.kind, roi.name) for _, uid, roi in regions}
    ordered = sorted(
        regions,
        key=lambda found: (
            found[2].file is None,  # whatever is not drawn takes a colour from nobody
            rank(roles[found[1], found[2].number]),
            -(found[2].volume_cc or 0.0) if roles[found[1], found[2].number] in TARGETS else 0.0,
            found[0],
            found[2].number,
        ),
    )
    keys = [(uid, roi.number) for _, uid, roi in ordered]
    shades = colours([roi.colour for _, _, roi in ordered], [roles[key] == OUTSIDE for key in keys])
    return dict(zip(keys, shades))


def own(colour: Optional[Colour]) -> Colour:
    """The colour of a region that nothing else is drawn beside."""
    return colours([colour], [False])[0]


def colours(given: Sequence[Optional[Colour]], outside: Sequence[bool]) -> list[Colour]:
    """A colour for each region: its own, lightened where it is dark, or of the palette where another's is like it.

    Parameters
    ----------
    given
        The regions' own colours, the most important region first.
    outside
        Which of them is the outside of the body: it is grey, and leaves the colours to the others.
    """
    found: list[Colour] = []
    for colour, body in zip(given, outside):
        if body:
            found.append(_OUTSIDE)
            continue
        taken = [_OUTSIDE, *found]
        wished = [] if colour is None else [_light(colour)]
        free = (each for each in (*wished, *PALETTE) if _nearest(each, taken) >= _ALIKE)
        farthest = max(PALETTE, key=partial(_nearest, taken=taken))
        if _nearest(farthest, taken) == 0:  # all are taken: the one that fewest have
            farthest = min(PALETTE, key=found.count)
        found.append(next(free, farthest))
    return found


def window(volume: Volume) -> tuple[float, float]:
    """What is black and what is white: soft tissue of a CT, else by what share of the voxels is darker."""
    if volume.modality == "CT":
        return _SOFT_TISSUE
    step = max(round((volume.values.size / _LOOKED_AT) ** (1 / 3)), 1)
    looked_at = np.asarray(volume.values[::step, ::step, ::step], dtype=np.float64)
    known = looked_at[np.isfinite(looked_at)]
    of_body = known[known > known.min()] if known.size and known.max() > known.min() else known  # without the air
    if not of_body.size:
        return 0.0, 1.0
    low, high = np.percentile(of_body, _SHARES.get(volume.modality, _SHARES["MR"]))
    return float(low), float(high) if high > low else float(low) + 1.0


def _light(colour: Colour) -> Colour:
    """The same hue, light enough on black."""
    luminance = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    share = max(_DARK - luminance, 0.0) / (255 - min(luminance, _DARK))
    red, green, blue = (round(part + (255 - part) * share) for part in colour)
    return red, green, blue


def _nearest(colour: Colour, taken: Sequence[Colour]) -> float:
    """How far it is from the one that is most like it."""
    return min(float(np.linalg.norm(np.subtract(colour, other))) for other in taken)
