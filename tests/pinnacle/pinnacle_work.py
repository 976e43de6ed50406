"""Records of a small plan, made by hand, and what its writers are given: truth that no reader had a hand in."""

from __future__ import annotations

import io
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pydicom

from qa_fetch.pinnacle.making import ImageReference, ImageSeries, Notes, Work
from qa_fetch.pinnacle.records import Beam, Curve, Patient, Plan, PlanEntry, Point, Roi, Trial
from qa_fetch.pinnacle.sources import Folder

CT = "1.2.840.10008.5.1.4.1.1.2"
CLOSED = 131092  # the flags of most curves in real archives

PATIENT = Patient(
    folder="Institution_1/Mount_0/Patient_1",
    number="1",
    path="Institution_1/Mount_0/Patient_1",
    medical_record_number="12345678",
    last_name="Doe",
    first_name="Jane",
    middle_name=None,
    birth_date="19500203",
    sex="F",
    physician=None,
    image_sets=(),
    plans=(),
)
ENTRY = PlanEntry(
    number=0,
    folder="Institution_1/Mount_0/Patient_1/Plan_0",
    name="Prostate",
    version="Pinnacle 16.0",
    image_set=0,
    written="2020-01-02 10:11:12",
    locked=None,
    comment=None,
)


def series(position: str = "HFS", images: int = 11, heights: Optional[Sequence[float]] = None) -> ImageSeries:
    """Images every 3 mm around the origin, 400 mm wide."""
    places = list(heights) if heights is not None else [3.0 * index - 15 for index in range(images)]
    return ImageSeries(
        study="1.2.3.1",
        series="1.2.3.2",
        frame="1.2.3.3",
        patient_position=position,
        study_id="7",
        study_date="20200101",
        study_time="080000",
        images=tuple(ImageReference(CT, f"1.2.3.4.{number}", z) for number, z in enumerate(places, 1)),
        low=(-200.0, -200.0, places[0] - 1.5),
        high=(200.0, 200.0, places[-1] + 1.5),
    )


def curve(points: Sequence[Sequence[float]], flags: Optional[int] = CLOSED, whole: bool = True) -> Curve:
    """A curve through points in cm."""
    return Curve(array("d", [value for point in points for value in point]), flags, whole)


def square(z: float, side: float = 2.0) -> Curve:
    """A square around the axis at a height in cm, its first point again at its end as Pinnacle writes it."""
    half = side / 2
    corners = ((half, half, z), (-half, half, z), (-half, -half, z), (half, -half, z))
    return curve([*corners, corners[0]])


def roi(name: Optional[str] = "PTV", *curves: Curve, colour: Optional[str] = "red", whole: bool = True) -> Roi:
    """An ROI, of one square in the middle image where nothing else is said."""
    return Roi(name, colour, "ORGAN", curves or (square(0.0),), whole)


def point(name: Optional[str] = "iso", at: Optional[tuple[float, float, float]] = (1.0, 2.0, 0.3)) -> Point:
    """A point of interest, in cm."""
    return Point(name, at, "yellow", "MARKER")


def beam(isocentre: Optional[str]) -> Beam:
    """A beam of which nothing but the isocentre matters."""
    nothing: dict[str, Any] = dict.fromkeys(Beam.__dataclass_fields__)
    return Beam(**{**nothing, "index": 0, "isocentre": isocentre, "control_points": ()})


def work(
    rois: Sequence[Roi] = (),
    points: Sequence[Point] = (),
    isocentre: Optional[str] = None,
    name: Optional[str] = "Prostate",
) -> Work:
    """A plan with these ROIs and points, whose one beam has an isocentre."""
    trial = Trial(0, "Trial_1", None, (), (beam(isocentre),))
    plan = Plan(replace(ENTRY, name=name), "HFS", 16.0, (trial,), tuple(rois), tuple(points), ())
    return Work(Folder(Path(__file__).parent), PATIENT, None, plan, Notes())


def opened(data: bytes) -> Any:
    """An object's bytes as pydicom reads them."""
    return pydicom.dcmread(io.BytesIO(data))
