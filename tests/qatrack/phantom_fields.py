"""Open fields of known shape, as portal dose images in calibrated units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from phantom_epid import AS1000, FULL_SCALE, Imager, Planned, picture, strip
from pydicom.dataset import Dataset

from qa_fetch.demo.objects import Beam

BEAMS = (Beam("DIP", meterset=100),)
_MEASURED = 0.8  # of the field's width: where flatness and symmetry are taken


@dataclass(frozen=True)
class Profile:
    """Dose along one axis: 1 in the middle, ``horns`` more at 80 % of the field, ``tilt`` more to the right or up."""

    size: float
    horns: float = 0.0
    tilt: float = 0.0
    centre: float = 0.0  # mm right or up

    def drawn(self, at: np.ndarray) -> np.ndarray:
        """The profile at these places."""
        inside = strip(at - self.centre, -self.size / 2, self.size / 2, 1.5)
        return self._shape((at - self.centre) / (_MEASURED * self.size / 2)) * inside

    def _shape(self, relative: np.ndarray) -> np.ndarray:
        return 1 + self.horns * relative**2 + self.tilt * relative

    @property
    def flatness(self) -> float:
        """Largest dose minus smallest over their sum, in per cent, within 80 % of the field."""
        doses = self._shape(np.linspace(-1, 1, 2001))
        return float(100 * (doses.max() - doses.min()) / (doses.max() + doses.min()))

    @property
    def symmetry(self) -> float:
        """The largest difference of two opposite points, in per cent of the middle: how much more right or up has."""
        return 200 * self.tilt


@dataclass(frozen=True)
class PortalDose:
    """An acquired dose image: ``dose`` in CU in the middle of a field of these profiles."""

    images: tuple[Dataset, ...]
    dose: float
    across: Profile
    along: Profile


def portal_dose(
    planned: Planned,
    began: datetime,
    *,
    dose: float = 1.0,
    across: Profile = Profile(100, horns=0.03),
    along: Profile = Profile(120, horns=0.03),
    imager: Imager = AS1000,
) -> PortalDose:
    """One open field.

    Parameters
    ----------
    planned, began
        Where the image belongs, and when it was taken.
    dose
        In CU, in the middle of the field.
    across, along
        From left to right, and from the couch's foot to the gantry.
    imager
        What it is drawn on.
    """
    drawn = across.drawn(imager.right) * along.drawn(imager.up)
    (image,) = planned.session([picture(drawn, imager)], began)
    image.ImageType = ["ORIGINAL", "PRIMARY", "PORTAL", "ACQUIRED_DOSE"]
    image.RescaleSlope = f"{dose / FULL_SCALE:.10g}"
    image.RescaleIntercept = f"{-0.01 * dose:.10g}"  # what ``picture`` adds everywhere is no dose
    image.RescaleType = "CU"
    return PortalDose((image,), dose, across, along)
