"""A portal imager for generated images: dose drawn in mm at the isocentre, stored as an archive has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset
from scipy.special import erf

from qa_fetch.demo import objects
from qa_fetch.demo.objects import Beam, Course, Series

PATIENT = "QA_TB1"
FULL_SCALE = 40000  # what a dose of 1 is stored as
_BETWEEN_IMAGES = timedelta(seconds=40)


@dataclass(frozen=True)
class Imager:
    """A detector of so many pixels, ``spacing`` mm apart; ``right`` and ``up`` are distances at the isocentre."""

    rows: int
    columns: int
    spacing: float
    sid: float = 1500

    @property
    def pixel(self) -> float:
        """The distance of two pixels at the isocentre, in mm."""
        return self.spacing * 1000 / self.sid

    @property
    def right(self) -> np.ndarray:
        """How far right of the central axis each column is, seen from the source."""
        return (np.arange(self.columns) - (self.columns - 1) / 2)[np.newaxis, :] * self.pixel

    @property
    def up(self) -> np.ndarray:
        """How far each row is from the central axis towards the gantry, which is up in the image."""
        return ((self.rows - 1) / 2 - np.arange(self.rows))[:, np.newaxis] * self.pixel


AS500 = Imager(384, 512, 0.784)
AS1000 = Imager(768, 1024, 0.392)
AS1200 = Imager(1280, 1280, 0.336)


def strip(at: np.ndarray, lower: float, upper: float, blur: float) -> np.ndarray:
    """1 between two edges and 0 outside, with a Gaussian penumbra: an edge may lie anywhere between two pixels."""
    width = np.sqrt(2) * blur
    return (erf((at - lower) / width) - erf((at - upper) / width)) / 2


def picture(
    dose: np.ndarray, imager: Imager, *, angles: tuple[float, float, float] = (0, 0, 0), noise: float = 0.0005
) -> Dataset:
    """The pixels of an image and what pylinac has to know of them.

    Parameters
    ----------
    dose
        What was drawn, up to 1.6.
    imager
        What it was drawn on.
    angles
        Of gantry, collimator and couch, on the IEC 61217 scale.
    noise
        Its standard deviation, on the scale of the dose; the same at every call.
    """
    background = 0.01
    drawn = dose + background + np.random.default_rng(2025).normal(0, noise, dose.shape)
    return stored(np.clip(np.round(drawn * FULL_SCALE), 0, 65535), imager, angles)


def stored(values: np.ndarray, imager: Imager, angles: tuple[float, float, float] = (0, 0, 0)) -> Dataset:
    """Values of 16 bits as the pixels of an image, with what pylinac has to know of them."""
    image = Dataset()
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = imager.rows, imager.columns
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    image.add_new("PixelData", "OW", values.astype("<u2").tobytes())
    image.RTImagePlane = "NORMAL"
    image.ImagePlanePixelSpacing = [imager.spacing, imager.spacing]
    image.RTImagePosition = [-(imager.columns - 1) / 2 * imager.spacing, (imager.rows - 1) / 2 * imager.spacing]
    image.RadiationMachineSAD = 1000
    image.RTImageSID = imager.sid
    image.GantryAngle, image.BeamLimitingDeviceAngle, image.PatientSupportAngle = angles
    return image


@dataclass(frozen=True)
class Planned:
    """A plan and the course that it belongs to."""

    course: Course
    plan: Dataset

    def session(self, pictures: Sequence[Dataset], began: datetime) -> tuple[Dataset, ...]:
        """Make pictures the portal images of one session: a series of its own, and a beam for each."""
        series = Series(self.course, began, "MV images")
        doses = self.plan.FractionGroupSequence[0].ReferencedBeamSequence
        return tuple(
            objects.portal_image(
                pixels,
                series,
                self.plan,
                acquired=began + number * _BETWEEN_IMAGES,
                number=number + 1,
                beam=doses[number].ReferencedBeamNumber,
                meterset=float(doses[number].BeamMeterset),
            )
            for number, pixels in enumerate(pictures)
        )


def planned(
    label: str, beams: Sequence[Beam], *, patient: str = PATIENT, made: datetime = datetime(2025, 9, 1, 9, 30)
) -> Planned:
    """A plan of these beams, in a course of its own."""
    course = Course(patient, "C1", made)
    return Planned(course, objects.rt_plan(course, label, made, beams))
