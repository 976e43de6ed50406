"""Images of MLC tests: picket fences with one leaf pair off, and the open and DMLC images of DRGS and DRMLC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Optional

import numpy as np
from phantom_epid import AS1000, Imager, Planned, picture, strip
from pydicom.dataset import Dataset

from qa_fetch.demo.objects import Beam

PICKET_FENCE_BEAMS = (Beam("PF", meterset=100),)
VMAT_BEAMS = (Beam("OPEN", meterset=200), Beam("DMLC", meterset=400))
_LEAF = 5.0  # mm: of the pairs 11 to 50 of the 120-leaf MLC, all that an AS1000 sees at 1500 mm


@dataclass(frozen=True)
class PicketFence:
    """A fence whose one leaf pair is off by ``error`` mm to the right at one picket."""

    images: tuple[Dataset, ...]
    pickets: tuple[float, ...]  # mm right of the central axis
    leaf: int  # 1 is the lowest in the image
    picket: int  # counted from 0, as pylinac does, from the left
    error: float

    @property
    def spacing(self) -> float:
        """How far apart the pickets are."""
        return (self.pickets[-1] - self.pickets[0]) / (len(self.pickets) - 1)


def picket_fence(
    planned: Planned,
    began: datetime,
    *,
    leaf: int = 25,
    picket: int = 2,
    error: float = 0.0,
    shift: float = 0.0,
    imager: Imager = AS1000,
) -> PicketFence:
    """Ten pickets, 20 mm apart and 3 mm wide.

    Parameters
    ----------
    planned, began
        Where the image belongs, and when it was taken.
    leaf, picket, error
        Which leaf pair is off, where, and by how many mm to the right.
    shift
        How far the whole fence is to the right, in mm.
    imager
        What it is drawn on.
    """
    pickets = tuple((number - 4.5) * 20 + shift for number in range(10))
    row = np.floor(imager.up / _LEAF)  # -20 is the lowest leaf pair in view, number 11
    dose = np.zeros((imager.rows, imager.columns))
    for number, place in enumerate(pickets):
        off = np.where(row + 31 == leaf, error if number == picket else 0.0, 0.0)
        dose += strip(imager.right - place - off, -1.5, 1.5, 0.8)
    images = planned.session([picture(dose, imager)], began)
    return PicketFence(images, pickets, leaf, picket, error)


@dataclass(frozen=True)
class Vmat:
    """An open and a DMLC image, one of whose segments has ``deviation`` per cent more dose than the others."""

    images: tuple[Dataset, ...]
    offsets: tuple[float, ...]  # mm right of the central axis, of each segment
    segment: int  # counted from 0, from the left
    deviation: float

    @property
    def deviations(self) -> tuple[float, ...]:
        """In per cent of the mean of all segments, as the test reports it: one that is high makes the others low."""
        mean = 1 + self.deviation / 100 / len(self.offsets)
        doses = [1 + self.deviation / 100 * (number == self.segment) for number in range(len(self.offsets))]
        return tuple(100 * (dose / mean - 1) for dose in doses)


_SEGMENTS = {"drgs": ((-60, -40, -20, 0, 20, 40, 60), 19.0), "drmlc": ((-45, -15, 15, 45), 29.0)}


def vmat(
    planned: Planned,
    began: datetime,
    *,
    test: str,
    segment: int = 1,
    deviation: float = 0.0,
    open_first: bool = True,
    imager: Optional[Imager] = None,
) -> Vmat:
    """The two images of one test.

    Parameters
    ----------
    planned, began
        Where the images belong, and when the first was taken.
    test
        ``drgs`` (seven segments) or ``drmlc`` (four).
    segment, deviation
        Which segment has so many per cent more dose.
    open_first
        False where the DMLC image was taken before the open one.
    imager
        What they are drawn on: an AS1000.
    """
    imager = imager or AS1000
    offsets, width = _SEGMENTS[test]
    reach = offsets[-1] + 10
    along = strip(imager.up, -75, 75, 1.5)
    horns = 1 + 0.03 * (imager.right / reach) ** 2
    opened = 0.8 * horns * along * strip(imager.right, -reach, reach, 1.5)
    doses = [1 + deviation / 100 * (number == segment) for number in range(len(offsets))]
    swept = sum(dose * strip(imager.right, at - width / 2, at + width / 2, 1.5) for dose, at in zip(doses, offsets))
    pictures = [picture(opened, imager), picture(0.72 * horns * along * swept, imager)]
    return Vmat(planned.session(pictures if open_first else pictures[::-1], began), offsets, segment, deviation)
