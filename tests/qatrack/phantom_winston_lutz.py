"""Winston-Lutz images with the BB anywhere, projected by IEC 61217 and not by the analysis's own code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from phantom_epid import Imager, Planned, picture, strip
from pydicom.dataset import Dataset
from scipy.special import erf

from qa_fetch.demo.objects import Beam

_ANGLES = ((0, 0, 0), (90, 0, 0), (180, 0, 0), (270, 0, 0), (0, 90, 0), (0, 270, 0), (0, 0, 45), (0, 0, 315))
BEAMS = tuple(Beam(f"G{angles[0]}C{angles[1]}T{angles[2]}", *angles) for angles in _ANGLES)
IMAGER = Imager(256, 256, 0.392)  # the middle of an AS1000
_FIELD, _BB, _BLUR = 20.0, 5.0, 1.0


@dataclass(frozen=True)
class WinstonLutz:
    """Images of a BB that is so many mm left of the isocentre, above it and towards the gantry."""

    images: tuple[Dataset, ...]
    left: float
    up: float
    into: float
    offsets: tuple[tuple[float, float], ...]  # right and up in each image

    @property
    def shift(self) -> dict[str, float]:
        """What brings the BB to the isocentre: x to the right, y towards the gantry, z upwards."""
        return {"x": self.left, "y": -self.into, "z": -self.up}

    @property
    def largest(self) -> float:
        """The largest distance of the BB from the axis in an image."""
        return max(math.hypot(*offset) for offset in self.offsets)


def winston_lutz(
    planned: Planned, began: datetime, *, left: float = 0, up: float = 0, into: float = 0, images: int = len(BEAMS)
) -> WinstonLutz:
    """One image for each of the first beams of a plan of ``BEAMS``.

    Parameters
    ----------
    planned, began
        Where the images belong, and when the first was taken.
    left, up, into
        Where the BB is, in mm.
    images
        How many.
    """
    angles = _ANGLES[:images]
    offsets = tuple(_projected((-left, into, up), gantry, couch) for gantry, _, couch in angles)
    pictures = [picture(_drawn(*offset), IMAGER, angles=axes) for offset, axes in zip(offsets, angles)]
    return WinstonLutz(planned.session(pictures, began), left, up, into, offsets)


def _projected(position: tuple[float, float, float], gantry: float, couch: float) -> tuple[float, float]:
    """Where a point on the couch (x, y towards the gantry, z up) is seen in the image: right and up of the axis."""
    x, y, z = position
    turn, angle = math.radians(couch), math.radians(gantry)
    x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    across, towards_source = x * math.cos(angle) - z * math.sin(angle), x * math.sin(angle) + z * math.cos(angle)
    nearer = 1000 / (1000 - towards_source)
    return across * nearer, y * nearer


def _drawn(right: float, up: float) -> np.ndarray:
    field = strip(IMAGER.right, -_FIELD / 2, _FIELD / 2, _BLUR) * strip(IMAGER.up, -_FIELD / 2, _FIELD / 2, _BLUR)
    away = np.hypot(IMAGER.right - right, IMAGER.up - up)
    ball = (1 - erf((away - _BB / 2) / (np.sqrt(2) * _BLUR / 2))) / 2
    return field * (1 - 0.4 * ball)
