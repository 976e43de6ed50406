"""Star shots whose spokes all touch one circle of known size and place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from phantom_epid import AS1000, Imager, Planned, picture, strip
from pydicom.dataset import Dataset

from qa_fetch.demo.objects import Beam

SPOKES = 6
BEAMS = tuple(Beam(f"C{angle}", collimator=angle, meterset=50) for angle in range(0, 180, 180 // SPOKES))
_WIDTH, _LENGTH, _BLUR = 6.0, 95.0, 1.0


@dataclass(frozen=True)
class Starshot:
    """Spokes around a circle of ``diameter`` mm, whose centre is so many mm right of the central axis and up."""

    images: tuple[Dataset, ...]
    diameter: float
    right: float
    up: float


def starshot(
    planned: Planned,
    began: datetime,
    *,
    diameter: float = 0.0,
    right: float = 0.0,
    up: float = 0.0,
    together: bool = True,
    imager: Imager = AS1000,
) -> Starshot:
    """Six spokes.

    Parameters
    ----------
    planned, began
        Where the images belong, and when the first was taken.
    diameter
        Of the smallest circle that touches all spokes, in mm.
    right, up
        Where its centre is.
    together
        True for one image of all spokes, False for one image of each, of a plan of ``BEAMS``.
    imager
        What they are drawn on.
    """
    spokes = []
    for number, beam in enumerate(BEAMS):
        # Neighbours pass the centre on alternate sides: only so is no smaller circle touched by all.
        side = diameter / 2 * (-1) ** number
        turned = math.radians(beam.collimator)
        x, y = imager.right - right, imager.up - up
        aside = x * math.cos(turned) + y * math.sin(turned) - side
        along = y * math.cos(turned) - x * math.sin(turned)
        spokes.append(strip(aside, -_WIDTH / 2, _WIDTH / 2, _BLUR) * strip(along, -_LENGTH, _LENGTH, _BLUR))
    if together:
        pictures = [picture(0.2 * np.sum(spokes, axis=0), imager)]
    else:
        angles = [(0.0, beam.collimator, 0.0) for beam in BEAMS]
        pictures = [picture(0.5 * spoke, imager, angles=axes) for spoke, axes in zip(spokes, angles)]
    return Starshot(planned.session(pictures, began), diameter, right, up)
