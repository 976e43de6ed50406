"""A CatPhan 504 whose truth is known, as a series of a cone-beam CT.

Every edge is drawn as the step that a Gaussian blur makes of it, so that sizes and places hold to a small part of a
pixel. The line-pair bars are straight; their modulation follows from the blur.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

import numpy as np
from peers.course import ct_slice, new_series, uid
from pydicom.dataset import Dataset
from scipy.special import ndtr

HU = MappingProxyType(
    {"Air": -1000, "PMP": -196, "LDPE": -104, "Poly": -47, "Acrylic": 115, "Delrin": 365, "Teflon": 1000}
)
_INSERTS = {-90: "Air", 90: "Air", -120: "PMP", 180: "LDPE", 120: "Poly", 60: "Acrylic", 0: "Delrin", -60: "Teflon"}
_LINE_PAIRS = ((2, 5.0), (3, 2.5), (4, 1.67), (4, 1.25), (4, 1.0), (5, 0.83), (5, 0.71), (5, 0.63))  # bars, their mm
_SECTORS = (0, 0.107, 0.173, 0.236, 0.286, 0.335, 0.387, 0.434, 0.479)  # where each group is, in turns
_LOW_CONTRAST = {-87.4: 7.5, -69.1: 4.5, -52.7: 4.0, -38.5: 3.5, -25.1: 3.0, -12.9: 2.5}  # angle: radius in mm
_RAMP = math.radians(23)
_BODY, _LOW, _BAR, _WIRE = 100.0, 50.0, 1500.0, 500.0  # HU; the wire is above the body
_RADIUS, _PATTERNS = 100.0, 47.0  # mm, of the phantom and of the circle of line pairs

Slab = np.ndarray


@dataclass(frozen=True)
class CatPhan:
    """What is drawn, and with that the truth.

    Parameters
    ----------
    hu
        What the inserts measure.
    nodes
        Distances between the geometric nodes, across and down, in mm; 50 without distortion.
    spacing, thickness
        What the headers say of the distance between the slices, and how thick a slice really is, in mm.
    base, cupping
        HU in the middle of the uniformity module, and how much more it is 53 mm from there.
    blur, noise
        Standard deviations: of the Gaussian blur in mm, and of a pixel in HU.
    contrast
        HU of the low-contrast targets above what is around them.
    roll, shift
        Degrees clockwise, and mm to the right and down, by which the phantom is off.
    """

    hu: Mapping[str, float] = field(default_factory=lambda: HU)
    nodes: tuple[float, float] = (50, 50)
    spacing: float = 2.5
    thickness: float = 2.5
    base: float = 4
    cupping: float = 10
    blur: float = 0.4
    noise: float = 4
    contrast: float = 10
    roll: float = 0
    shift: tuple[float, float] = (0, 0)
    size: int = 400
    pixel: float = 0.55

    @property
    def uniformity_index(self) -> float:
        """The largest difference from the middle, as a percentage of what the middle is above air."""
        return 100 * self.cupping / (1000 + self.base)

    @property
    def sampling_blur(self) -> float:
        """Standard deviation in mm of what pylinac's profile adds: the nearest pixel, and a filter of 1/1000 turn."""
        return math.hypot(self.pixel / math.sqrt(12), 2 * math.pi * _PATTERNS / 1000)

    def modulation(self, *, extra_blur: float = 0) -> dict[float, float]:
        """The relative modulation of each group of line pairs.

        Parameters
        ----------
        extra_blur
            Standard deviation in mm of what the measurement adds: sampling on pixels, smoothing of the profile.
        """
        blur = math.hypot(self.blur, extra_blur)
        waves = {}
        for number, (bars, width) in enumerate(_LINE_PAIRS, 1):
            places = (np.arange(bars) - (bars - 1) / 2) * 2 * width
            peaks, valleys = (
                sum(_box(at - place, width / 2, blur) for place in places).mean()
                for at in (places, places[:-1] + width)
            )
            waves[number / 10] = (peaks - valleys) / (peaks + valleys)
        return {pairs: wave / waves[0.1] for pairs, wave in waves.items()}

    def resolution(self, percent: float, *, extra_blur: float = 0) -> float:
        """The line pairs per mm whose relative modulation is so many percent, between two groups on a line."""
        falling = sorted((share, pairs) for pairs, share in self.modulation(extra_blur=extra_blur).items())
        return float(np.interp(percent / 100, *zip(*falling)))

    def slices(self, patient: str, acquired: datetime) -> Iterator[Dataset]:
        """The series, from the uniformity module to beyond the line pairs."""
        series = new_series(patient, f"catphan {acquired}", study="CBCT", description="CBCT CatPhan", began=acquired)
        generator = np.random.default_rng(504)
        places = self._places()
        modules = self._modules(*places)
        corner = -(self.size - 1) / 2 * self.pixel
        for number, z in enumerate(np.arange(-80.0, 50.1, self.spacing), 1):
            hu = modules[_module(z)]
            if _module(z) == "linearity":
                hu = hu + self._wires(*places, z)
            noisy = hu + generator.normal(0, self.noise, hu.shape)
            dataset = ct_slice(series, acquired, number, rows=16)
            dataset.SOPInstanceUID = uid(series.uid, "slice", number, repr(self))
            dataset.Rows = dataset.Columns = self.size
            dataset.PixelSpacing = [self.pixel, self.pixel]
            dataset.SliceThickness = self.spacing
            dataset.ImagePositionPatient = [corner, corner, float(z)]
            dataset.PixelData = np.clip(np.round(noisy + 1024), 0, 4095).astype("<u2").tobytes()
            yield dataset

    def _places(self) -> tuple[Slab, Slab]:
        """Where each pixel is in the phantom, in mm from its axis."""
        y, x = (np.indices((self.size, self.size)) - (self.size - 1) / 2) * self.pixel
        x, y = x - self.shift[0], y - self.shift[1]
        roll = math.radians(self.roll)
        return x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll)

    def _modules(self, x: Slab, y: Slab) -> dict[str, Slab]:
        radius = np.hypot(x, y)
        inside = ndtr((_RADIUS - radius) / self.blur)
        levels = {"linearity": _BODY, "line pairs": _BODY, "low contrast": _LOW}
        modules = {name: -1000 + (1000 + level) * inside for name, level in levels.items()}
        cupped = np.where(radius < 95, self.base + self.cupping * (radius / 53) ** 2, _BODY)
        modules["uniformity"] = -1000 + (1000 + cupped) * inside
        for angle, name in _INSERTS.items():
            self._add_disk(modules["linearity"], x, y, _polar(58.7, angle), 6.5, self.hu[name] - _BODY)
        across, down = self.nodes[0] / 2, self.nodes[1] / 2
        for node, value in (((-across, -down), -1000), ((across, -down), -1000), ((-across, down), -1000)):
            self._add_disk(modules["linearity"], x, y, node, 1.5, value - _BODY)
        self._add_disk(modules["linearity"], x, y, (across, down), 1.5, 1000 - _BODY)
        for angle, size in _LOW_CONTRAST.items():
            self._add_disk(modules["low contrast"], x, y, _polar(50, angle), size, self.contrast)
        self._add_bars(modules["line pairs"], x, y)
        return modules

    def _add_disk(
        self, hu: Slab, x: Slab, y: Slab, centre: tuple[float, float], radius: float, difference: float
    ) -> None:
        reach = radius + 5 * self.blur
        near = np.nonzero((np.abs(x - centre[0]) < reach) & (np.abs(y - centre[1]) < reach))
        distance = np.hypot(x[near] - centre[0], y[near] - centre[1])
        hu[near] += difference * ndtr((radius - distance) / self.blur)

    def _add_bars(self, hu: Slab, x: Slab, y: Slab) -> None:
        """The groups lie on a circle, from the left side anticlockwise in the order of their fineness."""
        near = np.nonzero(np.abs(np.hypot(x, y) - _PATTERNS) < 10)
        x, y = x[near], y[near]
        for (bars, width), start, end in zip(_LINE_PAIRS, _SECTORS, _SECTORS[1:]):
            for bar in range(bars):
                turned = math.pi - (start + end) * math.pi - (bar - (bars - 1) / 2) * 2 * width / _PATTERNS
                outwards = x * math.cos(turned) + y * math.sin(turned)
                sideways = y * math.cos(turned) - x * math.sin(turned)
                part = _box(outwards - _PATTERNS, 6, self.blur) * _box(sideways, width / 2, self.blur)
                hu[near] += (_BAR - _BODY) * part

    def _wires(self, x: Slab, y: Slab, z: float) -> Slab:
        """Four wires that rise by 23 degrees: a slice holds a piece as long as it is thick, over the tangent."""
        wires = np.zeros_like(x)
        scale = self.thickness / self.spacing / math.tan(_RAMP)
        for along, across in ((y, x), (x, y)):
            for side in (-38, 38):
                near = np.nonzero((np.abs(across - side) < 4) & (np.abs(along) < 35))
                piece = _box(along[near] - z * scale, self.spacing * scale / 2, self.blur)
                wires[near] += _WIRE * piece * _box(across[near] - side, 0.7, self.blur)
        return wires


def _module(z: float) -> str:
    """Which module of the phantom is there, mm from the middle of the inserts."""
    if abs(z) < 12.5:
        return "linearity"
    if 17.5 < z < 42.5:
        return "line pairs"
    return "low contrast" if -42.5 < z < -17.5 else "uniformity"


def _box(distance: np.ndarray, half: float, blur: float) -> np.ndarray:
    return ndtr((distance + half) / blur) - ndtr((distance - half) / blur)


def _polar(distance: float, angle: float) -> tuple[float, float]:
    turned = math.radians(angle)
    return distance * math.cos(turned), distance * math.sin(turned)
