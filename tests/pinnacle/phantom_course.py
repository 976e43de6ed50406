"""What a phantom archive shall hold: the options of the generator and its fixed inventory of machines and beams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Union

from phantom_truth import Triple

VERSIONS = {"6.2": "6.2b", "7.4": "7.4f", "8.0": "8.0m", "9.10": "9.10", "14.0": "14.0", "16.0": "16.0"}
COMMISSIONED = "2019-03-13 11:12:23"


@dataclass(frozen=True)
class Design:
    """A machine: its leaf pairs in the order of their rows, and how it counts its angles.

    Pinnacle draws a beam with x towards the right jaw and y towards the bottom jaw. Where leaf coordinates are negated,
    top is Y2 and right is X2 and a row's label is -y; where they are not, the head is the other way up: top is Y1,
    right is X1, and a row's label is y. A scale is (angle at twelve o'clock, whether it increases clockwise).
    """

    name: str
    centres: tuple[float, ...]  # YCenterPosition of each row, cm
    widths: tuple[float, ...]
    dose_per_mu: float
    negated: bool = True
    gantry_scale: tuple[float, bool] = (0.0, False)
    collimator_scale: tuple[float, bool] = (180.0, True)
    couch_scale: tuple[float, bool] = (0.0, True)
    source_axis: float = 100.0
    has_leaves: bool = True

    def shown_gantry(self, angle: float) -> float:
        """A gantry angle of IEC 61217 as the machine shows it: seen from behind, where IEC counts anticlockwise."""
        return _shown(self.gantry_scale, -angle)

    def shown_couch(self, angle: float) -> float:
        """A couch angle of IEC 61217 as the machine shows it: seen from above, where IEC counts anticlockwise."""
        return _shown(self.couch_scale, -angle)

    def shown_collimator(self, angle: float) -> float:
        """A collimator angle of IEC 61217 as the machine shows it: seen from below, with 0 at six o'clock."""
        return _shown(self.collimator_scale, angle + (180.0 if self.negated else 0.0))

    def label(self, row: int) -> float:
        """The y that a row of leaves is labelled with."""
        return -self.centres[row] if self.negated else self.centres[row]


def _shown(scale: tuple[float, bool], clockwise: float) -> float:
    """What a scale shows so far clockwise of twelve o'clock."""
    twelve, increases = scale
    return round((twelve + (clockwise if increases else -clockwise)) % 360.0, 3)


def _rows(*widths: tuple[int, float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Centres (lowest first) and widths of leaf pairs given as (how many, how wide) from one end to the other."""
    every = [width for count, width in widths for _ in range(count)]
    edge = -sum(every) / 2
    centres = []
    for width in every:
        centres.append(edge + width / 2)
        edge += width
    return tuple(round(centre, 4) for centre in centres), tuple(every)


DESIGNS = {
    "Sixty": Design("Sixty", *_rows((10, 1.0), (40, 0.5), (10, 1.0)), 0.8074),
    "Eighty": Design("Eighty", *_rows((80, 0.5)), 0.9303, negated=False, collimator_scale=(0.0, True)),
    # the outer leaves of one end are wider than those of the other; and it counts every angle in another way
    "Forty": Design(
        "Forty",
        *_rows((4, 1.5), (28, 0.8), (8, 0.9)),
        1.0121,
        gantry_scale=(180.0, True),
        collimator_scale=(0.0, False),
        couch_scale=(180.0, True),
    ),
    "Leafless": Design("Leafless", (), (), 0.954, has_leaves=False),
}
ENERGIES = {"6X": (6.0, "Photons"), "15X": (15.0, "Photons"), "9E": (9.0, "Electrons")}
# name -> nominal angle, IsDynamic, OkForUniversalWedge, WedgeType
WEDGES = {
    "30 Wedge": (30.0, 0, 0, "STANDARD"),
    "60 Wedge": (60.0, 0, 0, "STANDARD"),
    "Universal": (60.0, 0, 1, "MOTORIZED"),
    "EDW": (0.0, 1, 0, "DYNAMIC"),
}
THIN_ENDS = {  # of a wedge, as x (to the right jaw) and y (to the bottom jaw)
    "WedgeBottomToTop": (0, -1),
    "WedgeRightToLeft": (-1, 0),
    "WedgeTopToBottom": (0, 1),
    "WedgeLeftToRight": (1, 0),
}


@dataclass(frozen=True)
class BeamSpec:
    """A beam of a course; its angles are those of IEC 61217."""

    kind: str = "static"  # static, segments, arc
    control_points: int = 1  # as the archive counts them
    weights: str = "arrival"  # of an arc: arrival (first is 0), departure (last is 0), neither
    machine: str = "Sixty"
    energy: str = "6X"
    gantry: float = 40.0
    collimator: float = 10.0
    couch: float = 0.0
    clockwise: bool = True
    arc: float = 160.0  # degrees of an arc
    wedge: Optional[tuple[str, str, float]] = None  # name, orientation, angle
    applicator: Optional[str] = None
    block: Optional[str] = None  # APERTURE or SHIELDING
    transmission: float = 1.0  # of the tray: TotalTransmissionFraction
    isocentre: str = "iso 1"


SORTS: dict[str, BeamSpec] = {
    "static": BeamSpec(),
    "segments": BeamSpec("segments", 4, gantry=120.0, collimator=355.0, couch=350.0),
    "arc": BeamSpec("arc", 12, gantry=181.0, collimator=30.0),
    "arc_departure": BeamSpec("arc", 9, "departure", gantry=179.0, collimator=330.0, clockwise=False),
    "arc_neither": BeamSpec("arc", 7, "neither", gantry=300.0, collimator=15.0, couch=10.0),
    "wedge": BeamSpec(wedge=("30 Wedge", "WedgeLeftToRight", 30.0), gantry=90.0, collimator=90.0),
    "wedge_right": BeamSpec(wedge=("60 Wedge", "WedgeRightToLeft", 60.0), gantry=270.0, collimator=0.0),
    "wedge_top": BeamSpec(wedge=("30 Wedge", "WedgeTopToBottom", 30.0), gantry=0.0, collimator=0.0),
    "wedge_bottom": BeamSpec(wedge=("60 Wedge", "WedgeBottomToTop", 60.0), gantry=180.0, collimator=180.0),
    "motorised": BeamSpec(wedge=("Universal", "WedgeTopToBottom", 60.0), machine="Eighty", gantry=45.0),
    "edw": BeamSpec(wedge=("EDW", "WedgeBottomToTop", 45.0), gantry=315.0, energy="15X"),
    "electrons": BeamSpec(energy="9E", applicator="10x10", gantry=12.0, collimator=0.0),
    "block": BeamSpec(block="APERTURE", transmission=0.952, gantry=200.0),
    "shield": BeamSpec(block="SHIELDING", transmission=0.952, gantry=20.0),
    "eighty": BeamSpec("segments", 3, machine="Eighty", gantry=210.0, couch=20.0),
    "forty": BeamSpec("segments", 2, machine="Forty", gantry=330.0, couch=340.0),
    "leafless": BeamSpec(machine="Leafless", gantry=70.0),
}


@dataclass(frozen=True)
class Geometry:
    """An image set in the coordinates of its plans (cm)."""

    dimension: tuple[int, int, int]
    pixel: Triple
    start: Triple


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    ct: Geometry
    mr: Geometry
    dose_dimension: tuple[int, int, int]
    dose_voxel: Triple
    dose_origin: Triple
    rois: int
    contours: int
    points: int


SIZES = {
    "small": Size(
        Geometry((64, 48, 20), (0.5, 0.4, 0.3), (-15.25, -8.6, -3.1)),
        Geometry((40, 36, 12), (0.45, 0.55, 0.5), (-9.1, -8.2, -2.9)),
        (22, 18, 14),
        (0.9, 0.7, 0.4),
        (-9.1, -6.2, -2.75),
        5,
        6,
        14,
    ),
    "bench": Size(
        Geometry((512, 512, 150), (0.0976562, 0.0976562, 0.25), (-25.0, -24.9, -18.5)),
        Geometry((256, 256, 60), (0.12, 0.12, 0.4), (-15.1, -15.3, -11.5)),
        (93, 110, 89),
        (0.3, 0.3, 0.3),
        (-14.9, -17.5, -13.7),
        20,
        100,
        200,
    ),
}
# how far the images of versions before 9 lie from where their plans have them, mm in DICOM's coordinates
OLD_SHIFT = (-21.5, 13.25, 0.0)


@dataclass(frozen=True)
class Course:
    """The options of the generator."""

    version: str = "16.0"  # 6.2, 7.4, 8.0, 9.10, 14.0 or 16.0
    position: str = "HFS"  # HFS, HFP, FFS or FFP
    images: str = "img"  # img, dicom, both or none
    byte_order: str = "little"
    uneven: bool = False  # slices at uneven distances
    mr: bool = False  # an MR as a second image set
    plans: int = 1
    trials: int = 1
    beams: tuple[Union[str, BeamSpec], ...] = ("static", "segments")  # names of SORTS, or beams
    prescriptions: int = 1  # beams are dealt out to them in turn
    percent: float = 99.0  # PrescriptionPercent
    fractions: int = 12  # of the first prescription; every other one has 3 more
    patients: int = 1
    machines: Optional[tuple[str, ...]] = None  # those described in the archive; None: every one in use
    last_name: str = "Doe"
    first_name: str = "Jane"
    middle_name: str = "Q"
    identifier: str = "PH0001"  # further patients count up
    encoding: str = "latin-1"  # or utf-8
    odd_colours: bool = False  # points of inverse_grey and of a colour nobody knows; regions have them always
    long_values: bool = False  # coordinates of more digits than a DS of DICOM may have
    rt_images: int = 0
    foreign: bool = False  # somebody's RTPLAN kept in the archive
    size: str = "small"  # or bench
    seed: int = 1  # of the UIDs

    def sizes(self) -> Size:
        """The size by its name."""
        return SIZES[self.size]

    def old(self) -> bool:
        """Before version 9, image and plan coordinates differ where DICOM images are there."""
        return float(self.version.split(".")[0]) < 9

    def shift(self) -> Triple:
        """From the plans' coordinates, turned into DICOM's, to those of the images (mm)."""
        return OLD_SHIFT if self.old() and self.images in ("dicom", "both") else (0.0, 0.0, 0.0)

    def specs(self) -> list[BeamSpec]:
        """The beams of each trial."""
        return [SORTS[beam] if isinstance(beam, str) else beam for beam in self.beams]


def bench(*, arcs: bool = False) -> Course:
    """The course of the benchmark: 2 plans of 2 trials of 5 beams, as arcs of 91 control points if asked for."""
    segments = [replace(SORTS["segments"], gantry=float(angle), control_points=8) for angle in range(0, 360, 72)]
    turning = [
        replace(SORTS["arc"], gantry=181.0 + turn, control_points=91, arc=358.0, clockwise=turn % 2 == 0)
        for turn in range(5)
    ]
    return Course(plans=2, trials=2, beams=tuple(turning if arcs else segments), images="dicom", size="bench")
