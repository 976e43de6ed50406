"""Planar imaging phantoms whose truth is known: Standard Imaging's QC-3 for MV and QCkV-1 for kV, drawn analytically.

Both are a plate with five bar patterns along its long axis and six uniform steps beside them, imaged at 45 degrees.
Every edge is drawn as the step that a Gaussian blur makes of it, so that no pixel grid stands between the drawing and
its truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from phantom_epid import AS1000, AS1200, Imager, stored
from pydicom.dataset import Dataset
from scipy.special import ndtr

from qa_fetch.demo.objects import Series, kv_image, portal_image


@dataclass(frozen=True)
class Model:
    """A phantom in mm from its centre: ``u`` along its long axis, ``v`` a quarter turn clockwise from there."""

    name: str
    plate: tuple[float, float]
    patterns: tuple[tuple[float, float], ...]  # where along u: line pairs per mm; the coarsest first
    steps: tuple[tuple[float, float], ...]  # the first is the background that the others are compared with
    side: float  # of each pattern and step
    field: float  # side of the open field


QC3 = Model(
    name="QC-3",
    plate=(132, 105.6),
    patterns=((42.1, 0.1), (-42.1, 0.2), (21.8, 0.25), (-21.8, 0.45), (0, 0.76)),
    steps=((0, 30.1), (0, -30.1), (20.7, 29.6), (20.7, -29.6), (-22.2, 28.5), (-22.2, -28.5)),
    side=19,
    field=200,
)
QCKV = Model(
    name="QCkV-1",
    plate=(110.6, 90.2),
    patterns=((39.3, 0.66), (-39.3, 0.98), (20.4, 1.5), (-20.4, 2.0), (0, 2.46)),
    steps=((0, 28.1), (0, -28.1), (19.3, 27.6), (19.3, -27.6), (-20.7, 26.6), (-20.7, -26.6)),
    side=17,
    field=180,
)


@dataclass(frozen=True)
class Drawing:
    """What is drawn, and with that the truth.

    Parameters
    ----------
    blur
        Standard deviation of the Gaussian blur in mm at the isocentre.
    contrasts
        Michelson contrast of each step with the background, above what the closed field reads.
    noise
        Standard deviation of a pixel as a share of its value.
    shift
        Where the centre of the phantom is, in mm to the right of and below the centre of the image.
    turned
        Degrees by which the phantom misses 45, clockwise.
    scale
        Size of the image of the phantom over what it should be at the isocentre.
    """

    model: Model
    blur: float
    contrasts: tuple[float, ...] = (0.02, 0.04, 0.07, 0.10, 0.15)
    noise: float = 0.001
    shift: tuple[float, float] = (0, 0)
    turned: float = 0
    scale: float = 1
    closed: float = 1000
    opened: float = 45000
    background: float = 36000
    bars: tuple[float, float] = field(default=(16000, 34000))  # behind lead, between the bars

    @property
    def modulation(self) -> dict[float, float]:
        """The modulation of each pattern over that of the coarsest, from the Fourier series of a square wave."""
        waves = {pairs: _square_wave_response(pairs / self.scale, self.blur) for _, pairs in self.model.patterns}
        coarsest = waves[self.model.patterns[0][1]]
        return {pairs: waves[pairs] / coarsest for pairs in sorted(waves)}

    def resolution(self, percent: float) -> float:
        """The line pairs per mm whose relative modulation is so many percent, between two patterns on a line."""
        modulation = self.modulation
        falling = sorted((share, pairs) for pairs, share in modulation.items())
        return float(np.interp(percent / 100, *zip(*falling)))

    @property
    def steps(self) -> tuple[float, ...]:
        """The pixel values of the steps, the background first."""
        above = self.background - self.closed
        return (self.background, *(self.closed + above * (1 - share) / (1 + share) for share in self.contrasts))

    @property
    def uniformity(self) -> float:
        """Percent integral uniformity: noise alone parts the 1st from the 99th percentile of a uniform step."""
        darkest = min(self.steps)
        return 100 * (1 - 2.3263 * self.noise * darkest / (darkest - self.closed))

    def pixels(self, shape: tuple[int, int], size: float) -> np.ndarray:
        """The image as an array; ``size`` is that of a pixel in mm at the isocentre."""
        y, x = (np.indices(shape) - (np.array(shape).reshape(2, 1, 1) - 1) / 2) * size
        half = self.model.field / 2
        image = self.closed + (self.opened - self.closed) * _box(x, half, self.blur) * _box(y, half, self.blur)
        x, y = (x - self.shift[0]) / self.scale, (y - self.shift[1]) / self.scale
        angle = math.radians(45 + self.turned)
        u = x * math.cos(angle) + y * math.sin(angle)
        v = y * math.cos(angle) - x * math.sin(angle)
        blur = self.blur / self.scale
        plate = 0.5 * (self.opened + self.background)
        image += (plate - self.opened) * _box(u, self.model.plate[0] / 2, blur) * _box(v, self.model.plate[1] / 2, blur)
        for (along, across), value in zip(self.model.steps, self.steps):
            near, part = _window(u, v, along, across, self.model.side, blur)
            image[near] += (value - plate) * part
        lead, gap = self.bars
        for along, pairs in self.model.patterns:
            near, part = _window(u, v, along, 0, self.model.side, blur)
            image[near] += (gap - plate + (lead - gap) * _bars(u[near] - along, pairs, self.model.side, blur)) * part
        noise = np.random.default_rng(3).normal(1, self.noise, shape)
        return np.round(image * noise).astype(np.uint16)


def _square_wave_response(pairs: float, blur: float) -> float:
    """How much of the amplitude of a square wave a Gaussian blur leaves at the middle of a bar."""
    orders = range(1, 200, 2)
    terms = ((-1) ** (order // 2) / order * math.exp(-2 * (math.pi * blur * order * pairs) ** 2) for order in orders)
    return 4 / math.pi * sum(terms)


def _box(distance: np.ndarray, half: float, blur: float) -> np.ndarray:
    return ndtr((distance + half) / blur) - ndtr((distance - half) / blur)


def _bars(along: np.ndarray, pairs: float, side: float, blur: float) -> np.ndarray:
    """Bars as wide as the gaps between them, one of them in the middle."""
    period = 1 / pairs
    count = math.ceil(side * pairs) + 1
    return sum((_box(along - number * period, period / 4, blur) for number in range(-count, count + 1)), 0 * along)


def _window(
    u: np.ndarray, v: np.ndarray, along: float, across: float, side: float, blur: float
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The pixels near a square, and how much of each is in it."""
    reach = side / 2 + 5 * blur
    near = np.nonzero((np.abs(u - along) < reach) & (np.abs(v - across) < reach))
    return near, _box(u[near] - along, side / 2, blur) * _box(v[near] - across, side / 2, blur)


MV = Drawing(QC3, blur=0.48, shift=(2, -1.5))
KV = Drawing(QCKV, blur=0.15, shift=(-1, 2))


def planar_mv(series: Series, plan: Dataset, acquired: datetime, drawing: Drawing = MV) -> Dataset:
    """An MV image of a QC-3, of the first beam of a plan."""
    meterset = float(plan.FractionGroupSequence[0].ReferencedBeamSequence[0].BeamMeterset)
    pixels = _as_dicom(AS1200, drawing)
    return portal_image(pixels, series, plan, acquired=acquired, number=1, beam=1, meterset=meterset)


def planar_kv(series: Series, plan: Dataset, acquired: datetime, drawing: Drawing = KV) -> Dataset:
    """A kV image of a QCkV-1."""
    return kv_image(_as_dicom(AS1000, drawing), series, plan, acquired=acquired, number=1)


def _as_dicom(imager: Imager, drawing: Drawing) -> Dataset:
    """More radiation is a larger value, and the header says so: without the sign old versions of pylinac invert."""
    image = stored(drawing.pixels((imager.rows, imager.columns), imager.pixel), imager)
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LIN", 1
    return image
