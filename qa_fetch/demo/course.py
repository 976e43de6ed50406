"""The Winston-Lutz course of the demo, with pixels from pylinac's image generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset
from pylinac.core.image_generator import (
    AS1000Image,
    AS1200Image,
    FilteredFieldLayer,
    GaussianFilterLayer,
    PerfectFieldLayer,
    RandomNoiseLayer,
    generate_winstonlutz,
)

from .. import part10
from .objects import Beam, Course, Series, kv_image, portal_image, rt_plan

PATIENT, LABEL = "QA_DEMO", "WL_6X"
_ANGLES = ((0, 0, 0), (90, 0, 0), (180, 0, 0), (270, 0, 0), (0, 90, 0), (0, 270, 0), (0, 0, 45), (0, 0, 315))
BEAMS = tuple(Beam(f"G{angles[0]}C{angles[1]}T{angles[2]}", *angles) for angles in _ANGLES)
_BETWEEN_IMAGES = timedelta(seconds=40)


@dataclass(frozen=True)
class Position:
    """Where the BB is, seen from the isocentre; mm to the left, upwards and towards the gantry."""

    left: float
    up: float
    into: float

    @property
    def distance(self) -> float:
        """How far from the isocentre, in mm."""
        return math.hypot(self.left, self.up, self.into)


@dataclass(frozen=True)
class Made:
    """What was made, and the truth that an analysis has to find again."""

    datasets: tuple[Dataset, ...]
    plans: tuple[Dataset, ...]
    newest: tuple[Dataset, ...]
    acquired: datetime
    position: Position
    kilovoltage: int


def winston_lutz(
    series: Series, plan: Dataset, began: datetime, position: Position, beams: Sequence[Beam] = BEAMS, first: int = 1
) -> list[Dataset]:
    """One MV image of the BB per beam of a plan.

    Parameters
    ----------
    series, plan
        Where the images belong.
    began
        When the first was taken.
    position
        Where the BB is.
    beams
        The plan's beams, or the first few of them.
    first
        The InstanceNumber of the first image.
    """
    with TemporaryDirectory() as folder:
        names = generate_winstonlutz(
            AS1200Image(sid=1500),
            FilteredFieldLayer,
            dir_out=folder,
            field_size_mm=(20, 20),
            bb_size_mm=5,
            offset_mm_left=position.left,
            offset_mm_up=position.up,
            offset_mm_in=position.into,
            image_axes=tuple((beam.gantry, beam.collimator, beam.couch) for beam in beams),
            final_layers=[GaussianFilterLayer(sigma_mm=1), RandomNoiseLayer(sigma=0.005)],
        )
        generated = [part10.read(Path(folder, name)) for name in names]
    return [
        portal_image(
            pixels,
            series,
            plan,
            acquired=began + n * _BETWEEN_IMAGES,
            number=first + n,
            beam=n + 1,
            meterset=beams[n].meterset,
        )
        for n, pixels in enumerate(generated)
    ]


def kilovoltage_pair(series: Series, plan: Dataset, began: datetime, first: int = 1) -> list[Dataset]:
    """Two kV images, as taken to set the phantom up."""
    images = []
    for n, gantry in enumerate((0, 90)):
        simulator = AS1000Image(sid=1500)
        simulator.add_layer(PerfectFieldLayer(field_size_mm=(150, 150), alpha=0.6))
        simulator.add_layer(PerfectFieldLayer(field_size_mm=(60, 60), alpha=-0.2))
        simulator.add_layer(GaussianFilterLayer(sigma_mm=1))
        pixels = simulator.as_dicom(gantry_angle=gantry)
        images.append(kv_image(pixels, series, plan, acquired=began + n * _BETWEEN_IMAGES, number=first + n))
    return images


def make(now: datetime) -> Made:
    """The whole course: last week's session and yesterday's, kV images beside both, and an older plan of that name."""
    evening = now.replace(hour=17, minute=5, second=0, microsecond=0)
    course = Course(PATIENT, "C2", evening - timedelta(days=60))
    earlier = Course(PATIENT, "C1", evening - timedelta(days=400))
    plan = rt_plan(course, LABEL, course.began, BEAMS)
    forgotten = rt_plan(earlier, LABEL, earlier.began, BEAMS[:4], approval="UNAPPROVED")
    last_week, yesterday = evening - timedelta(days=8), evening - timedelta(days=1)
    before = winston_lutz(Series(course, last_week), plan, last_week, Position(left=0.0, up=1.5, into=0.0), BEAMS[:4])
    position = Position(left=0.5, up=0.0, into=0.0)
    series = Series(course, yesterday - timedelta(minutes=4))
    setup = kilovoltage_pair(series, plan, series.began)
    newest = winston_lutz(series, plan, yesterday, position, first=3)
    after = yesterday + timedelta(minutes=30)
    check = kilovoltage_pair(Series(course, after, "Setup check"), plan, after)
    return Made(
        datasets=(plan, forgotten, *before, *setup, *newest, *check),
        plans=(plan, forgotten),
        newest=tuple(newest),
        acquired=yesterday,
        position=position,
        kilovoltage=len(setup),
    )
