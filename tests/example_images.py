"""What the examples are tried on: images whose truth is known, as an archive would hold them."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
from peers.course import ct_slice, new_series
from pydicom.dataset import Dataset
from pylinac.core.image_generator import AS1200Image, FilteredFieldLayer, GaussianFilterLayer, PerfectFieldLayer
from scipy.ndimage import gaussian_filter

from qa_fetch.demo.objects import Series, portal_image

PIXEL_AT_ISOCENTRE = AS1200Image.pixel_size / 1.5  # mm; what is drawn lands on whole pixels


def picket_fence(series: Series, plan: Dataset, acquired: datetime, leaf_error: tuple[int, float]) -> Dataset:
    """Ten pickets, 15 mm apart; one leaf pair of the third misses it by so many pixels."""
    leaf, pixels = leaf_error
    simulator = AS1200Image(sid=1500)
    centre = (30.5 - leaf) * 5  # mm below the axis: leaf 1 of the 120-leaf MLC is the lowest in the image
    for number in range(10):
        across = (number - 4.5) * 15
        if number != 2:
            simulator.add_layer(PerfectFieldLayer((200, 3), (0, across)))
            continue
        above, below = centre - 2.5 + 100, 100 - centre - 2.5
        simulator.add_layer(PerfectFieldLayer((above, 3), (-100 + above / 2, across)))
        simulator.add_layer(PerfectFieldLayer((below, 3), (100 - below / 2, across)))
        simulator.add_layer(PerfectFieldLayer((5, 3), (centre, across + pixels * PIXEL_AT_ISOCENTRE)))
    simulator.add_layer(GaussianFilterLayer(sigma_mm=0.5))
    return portal_image(
        simulator.as_dicom(), series, plan, acquired=acquired, number=1, beam=1, meterset=plan_meterset(plan)
    )


def portal_dose(series: Series, plan: Dataset, acquired: datetime, output: float) -> Dataset:
    """An open field of 100 mm x 150 mm; ``output`` scales its dose."""
    simulator = AS1200Image(sid=1500)
    simulator.add_layer(FilteredFieldLayer((150, 100), alpha=0.6 * output, gaussian_height=0.03 * output))
    simulator.add_layer(GaussianFilterLayer(sigma_mm=1))
    image = portal_image(
        simulator.as_dicom(), series, plan, acquired=acquired, number=1, beam=1, meterset=plan_meterset(plan)
    )
    image.ImageType = ["ORIGINAL", "PRIMARY", "PORTAL", "ACQUIRED_DOSE"]
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = "0.00002", "0", "CU"
    return image


def plan_meterset(plan: Dataset) -> float:
    """The monitor units of a plan's first beam."""
    return float(plan.FractionGroupSequence[0].ReferencedBeamSequence[0].BeamMeterset)


# A CatPhan 504 in numbers: HU, and mm from the axis of the phantom

_INSERTS = {-90: -1000, 90: -1000, -120: -196, 180: -104, 120: -47, 60: 115, 0: 365, -60: 1000}  # angle: HU
_LINE_PAIRS = ((2, 5.0), (3, 2.5), (4, 1.67), (4, 1.25), (4, 1.0), (5, 0.83), (5, 0.71), (5, 0.63))  # bars, mm
_SECTORS = (0, 0.107, 0.173, 0.236, 0.286, 0.335, 0.387, 0.434, 0.479)  # shares of the circle
_LOW_CONTRAST = {-87.4: 7.5, -69.1: 4.5, -52.7: 4, -38.5: 3.5, -25.1: 3, -12.9: 2.5}  # angle: radius
_THICKNESS, _PIXEL, _SIZE = 2.5, 0.5, 480


def catphan(patient: str, acquired: datetime, *, teflon: float = 1000) -> list[Dataset]:
    """A cone-beam CT of a synthetic CatPhan 504; ``teflon`` is what its Teflon insert measures."""
    series = new_series(patient, "catphan", study="CBCT", description="CBCT CatPhan", began=acquired)
    noise = np.random.default_rng(504)
    slices = []
    for number, z in enumerate(np.arange(-80.0, 50.1, _THICKNESS), 1):
        hu = gaussian_filter(_cross_section(z, teflon), 0.45 / _PIXEL) + noise.normal(0, 3, (_SIZE, _SIZE))
        dataset = ct_slice(series, acquired, number, rows=16)
        dataset.Rows = dataset.Columns = _SIZE
        dataset.PixelSpacing = [_PIXEL, _PIXEL]
        dataset.SliceThickness = _THICKNESS
        dataset.ImagePositionPatient = [-_SIZE * _PIXEL / 2, -_SIZE * _PIXEL / 2, float(z)]
        dataset.PixelData = np.clip(np.round(hu + 1024), 0, 4095).astype("<u2").tobytes()
        slices.append(dataset)
    return slices


def _cross_section(z: float, teflon: float) -> np.ndarray:
    half = (_SIZE - 1) / 2
    y, x = (np.indices((_SIZE, _SIZE)) - half) * _PIXEL
    hu = np.where(np.hypot(x, y) < 100, 50.0, -1000.0)
    if abs(z) < 12.5:
        _draw_linearity(hu, x, y, z, teflon)
    elif 17.5 < z < 42.5:
        _draw_line_pairs(hu, x, y)
    elif -42.5 < z < -17.5:
        for angle, radius in _LOW_CONTRAST.items():
            hu[_disk(x, y, angle, 50, radius)] = 62
    else:
        hu[np.hypot(x, y) < 95] = 4
    return hu


def _draw_linearity(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: float, teflon: float) -> None:
    """CTP404: the inserts, four nodes 50 mm apart, and wires that rise by 23 degrees."""
    for angle, value in _INSERTS.items():
        hu[_disk(x, y, angle, 58.7, 6.5)] = teflon if value == 1000 else value
    for node, value in (((-25, -25), -1000), ((25, -25), -1000), ((-25, 25), -1000), ((25, 25), 1000)):
        hu[np.hypot(x - node[0], y - node[1]) < 1.5] = value
    slope = 1 / math.tan(math.radians(23))
    for along, across in ((x, y), (y, x)):
        inside = np.abs(along - z * slope) < _THICKNESS * slope / 2
        for side in (-38, 38):
            hu[inside & (np.abs(across - side) < 1)] += 400


def _draw_line_pairs(hu: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """CTP528: groups of bars on a circle of 47 mm, from the left side downwards in the order of their fineness."""
    radius, turn = np.hypot(x, y), (np.pi - np.arctan2(y, x)) % (2 * np.pi)
    around = np.abs(radius - 47) < 6
    for (bars, width), start, end in zip(_LINE_PAIRS, _SECTORS, _SECTORS[1:]):
        middle = (start + end) * np.pi
        for bar in range(bars):
            place = middle + (bar - (bars - 1) / 2) * 2 * width / 47
            hu[around & (np.abs(turn - place) < width / 2 / 47)] = 1500


def _disk(x: np.ndarray, y: np.ndarray, angle: float, distance: float, radius: float) -> np.ndarray:
    turned = math.radians(angle)
    return np.hypot(x - distance * math.cos(turned), y - distance * math.sin(turned)) < radius
