"""What a Pinnacle archive says, in its own units (cm, cGy, degrees): None is what it does not say, never a default."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Optional

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Damage:
    """A file of the archive that could not be read, or not to its end; no identifiers in either."""

    path: str
    problem: str
    loses: bool = True  # False: nothing that the archive holds is missing for it, or another note names that


@dataclass(frozen=True)
class ImageSetEntry:
    """An image set as the patient's file lists it."""

    number: int
    modality: Optional[str]
    study_id: Optional[str]
    images: Optional[int]
    description: Optional[str]
    scanned: Optional[str]
    series_uid: Optional[str]


@dataclass(frozen=True)
class PlanEntry:
    """A plan as the patient's file lists it; its trials are in its own folder."""

    number: int
    folder: str  # in the archive: ".../Patient_1/Plan_0"
    name: Optional[str]
    version: Optional[str]  # "Pinnacle 16.0"
    image_set: Optional[int]
    written: Optional[str]  # "2020-01-01 10:00:00"
    locked: Optional[bool]
    comment: Optional[str]


@dataclass(frozen=True)
class Patient:
    """A patient of an archive; an archive may hold several."""

    folder: str  # in the archive: "Institution_1/Mount_0/Patient_1"
    number: Optional[str]  # Pinnacle's own PatientID
    path: Optional[str]  # PatientPath, where it lay in the planning system
    medical_record_number: Optional[str]
    last_name: Optional[str]
    first_name: Optional[str]
    middle_name: Optional[str]
    birth_date: Optional[str]  # YYYYMMDD
    sex: Optional[str]  # M, F or O
    physician: Optional[str]
    image_sets: tuple[ImageSetEntry, ...]
    plans: tuple[PlanEntry, ...]
    damages: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class Slice:
    """One image of an image set: an ImageInfo block."""

    position: float  # TablePosition, cm, the z of the image set's coordinates
    number: Optional[int]
    instance_uid: Optional[str]
    series_uid: Optional[str]
    study_uid: Optional[str]
    frame_uid: Optional[str]
    class_uid: Optional[str]
    file_name: Optional[str]  # in ImageSet_N.DICOM
    acquisition_time: Optional[str]
    image_time: Optional[str]


@dataclass(frozen=True)
class ImageSet:
    """An image set with the geometry of its header; its pixels stay in the archive."""

    number: int
    folder: str  # the patient's, in the archive
    modality: Optional[str]
    dimension: Optional[tuple[int, int, int]]  # x, y, z
    pixel: Optional[Triple]  # cm
    start: Optional[Triple]  # cm: x_start, y_start, z_start
    start_dicom: Optional[tuple[float, float]]  # x_start_dicom, y_start_dicom of newer versions
    byte_order: Optional[str]  # "big" or "little"
    bytes_per_pixel: Optional[int]
    patient_position: Optional[str]  # HFS, HFP, FFS, FFP
    version: Optional[str]
    description: Optional[str]
    series_uid: Optional[str]
    study_id: Optional[str]
    series_number: Optional[int]
    scanned: Optional[str]  # SeriesDateTime or date, as it stands
    manufacturer: Optional[str]
    model: Optional[str]
    station: Optional[str]
    kvp: Optional[str]
    slices: tuple[Slice, ...]
    pixels: Optional[str]  # path of ImageSet_N.img, where it is in the archive
    dicom: tuple[str, ...]  # paths of the files in ImageSet_N.DICOM
    damages: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class Curve:
    """A contour: x, y, z of its points one after the other, cm."""

    points: array[float]
    flags: Optional[int]
    whole: bool = True  # False where it says more points than it has


@dataclass(frozen=True)
class Roi:
    """A region of interest."""

    name: Optional[str]
    colour: Optional[str]
    interpreted_type: Optional[str]
    curves: tuple[Curve, ...]
    whole: bool = True  # False where it says more curves than it has
    volume: Optional[str] = None  # the name of the image set that it was drawn on


@dataclass(frozen=True)
class Point:
    """A point of interest, cm."""

    name: Optional[str]
    position: Optional[Triple]
    colour: Optional[str]
    interpreted_type: Optional[str]


@dataclass(frozen=True)
class Leaf:
    """A leaf pair of a machine, cm in the isocentre's plane."""

    centre: float  # YCenterPosition, turned where NegateLeafCoordinate says so
    width: float


@dataclass(frozen=True)
class Wedge:
    """A wedge as the machine describes it."""

    name: str
    identifier: Optional[str]
    angle: Optional[float]
    dynamic: Optional[bool]
    material: Optional[str]
    codes: tuple[tuple[str, str], ...] = ()  # "TopToBottom" -> "15-OUT", as the linac calls it
    universal: Optional[bool] = None  # OkForUniversalWedge: the one that a motor drives in and out


@dataclass(frozen=True)
class Energy:
    """A beam quality of a machine."""

    name: str  # "6X"
    value: Optional[float]  # MV or MeV
    modality: Optional[str]  # "Photons" or "Electrons"
    dose_per_mu_at_calibration: Optional[float]
    trays: tuple[tuple[str, float], ...] = ()  # name -> transmission factor
    default_tray_factor: Optional[float] = None  # DefaultTrayFactor, of whatever tray


@dataclass(frozen=True)
class Scale:
    """How a machine counts an angle (``GantryAngle``, ``CollimatorAngle``, ``CouchAngle``), degrees."""

    twelve_o_clock: float
    clockwise: bool  # ClockwiseIncreases


@dataclass(frozen=True)
class Machine:
    """A machine that a plan's folder describes."""

    name: str
    version: Optional[str]  # its commission time, as beams name it
    source_axis_distance: Optional[float]  # cm
    leaves: tuple[Leaf, ...]  # none: no multi-leaf collimator described
    leaves_along_left_right: Optional[bool]  # True: leaves move as the left and right jaws do
    energies: tuple[Energy, ...]
    wedges: tuple[Wedge, ...]
    manufacturer: Optional[str]
    model: Optional[str]
    leaves_negated: Optional[bool] = None  # NegateLeafCoordinates of the collimator: see scales
    gantry_scale: Optional[Scale] = None
    collimator_scale: Optional[Scale] = None
    couch_scale: Optional[Scale] = None
    left_right_jaw_distance: Optional[float] = None  # from the source, cm
    top_bottom_jaw_distance: Optional[float] = None
    leaf_distance: Optional[float] = None
    block_tray_distance: Optional[float] = None


@dataclass(frozen=True)
class WedgeSetting:
    """A wedge at a control point."""

    name: str
    orientation: Optional[str]  # "TopToBottom", "WedgeLeftToRight" ... as it stands
    angle: Optional[str]


@dataclass(frozen=True)
class Jaws:
    """Jaw positions, cm, as Pinnacle counts them: each positive on its own side."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True)
class ControlPoint:
    """One control point of a beam as it stands in the archive."""

    gantry: Optional[float]
    couch: Optional[float]
    collimator: Optional[float]
    jaws: Optional[Jaws]
    weight: Optional[float]
    leaves: array[float]  # left and right of each row, one after the other, cm; empty where there are none
    leaf_rows: tuple[Optional[float], ...]  # the y of each row as it is labelled, cm
    wedge: Optional[WedgeSetting]
    dose_rate: Optional[float]
    block_contours: tuple[array[float], ...] = ()  # x, y of each manual modifier contour, cm in the isocentre's plane
    block_outside: Optional[str] = None  # "Block" or "Expose": what lies outside of the contours


@dataclass(frozen=True)
class MonitorUnitInfo:
    """What a beam's monitor units are worked out from."""

    prescription_dose: Optional[float]  # cGy of this beam and fraction
    normalized_dose: Optional[float]
    collimator_output_factor: Optional[float]
    total_transmission_fraction: Optional[float]
    source_to_prescription_point: Optional[float]
    prescription_point_depth: Optional[float]


@dataclass(frozen=True)
class Beam:
    """A beam of a trial."""

    index: int  # its place in the trial, from 0
    name: Optional[str]
    field_id: Optional[str]
    isocentre: Optional[str]  # the name of a point
    prescription: Optional[str]  # the name of a prescription
    prescription_point: Optional[str]  # the name of a point
    machine: Optional[str]
    machine_version: Optional[str]
    modality: Optional[str]  # "Photons", "Electrons"
    energy: Optional[str]
    beam_type: Optional[str]  # SetBeamType: "Static", "Step & Shoot MLC", "Dynamic Arc" ...
    gantry_clockwise: Optional[bool]  # of an arc: GantryIsCCW turned
    control_points: tuple[ControlPoint, ...]
    dose: Optional[str]  # path of its dose in the archive, whether or not it is there
    weight: Optional[float]
    monitor_units_valid: Optional[bool]
    monitor_units: Optional[MonitorUnitInfo]
    dose_rate: Optional[float]
    use_mlc: Optional[bool]
    applicator: Optional[str]
    tray: Optional[str]
    source_surface_distance: Optional[float]  # cm
    bolus: Optional[str]
    tray_factor: Optional[float] = None  # TrayFactor, of the tray that TrayNumber names
    whole: bool = True  # False where the text ended within it, or lines of it could not be read


@dataclass(frozen=True)
class Prescription:
    """What a group of beams shall give."""

    name: Optional[str]
    dose: Optional[float]  # cGy: of a fraction or in all, as the period says
    percent: Optional[float]
    fractions: Optional[int]
    point: Optional[str]
    period: Optional[str]  # "Per Fraction" or "Overall"
    requested_monitor_units: Optional[float]


@dataclass(frozen=True)
class Grid:
    """A dose grid: the centre of its first voxel in Pinnacle's coordinates, cm."""

    dimension: tuple[int, int, int]
    voxel: Triple
    origin: Triple
    rotated: bool = False  # VolRotDelta is not zero


@dataclass(frozen=True)
class Trial:
    """A trial: one arrangement of beams of a plan, with its dose."""

    index: int
    name: Optional[str]
    grid: Optional[Grid]
    prescriptions: tuple[Prescription, ...]
    beams: tuple[Beam, ...]
    whole: bool = True  # False where the text ended within it


@dataclass(frozen=True)
class Plan:
    """A plan with everything that its folder says."""

    entry: PlanEntry
    patient_position: Optional[str]  # HFS, HFP, FFS, FFP from plan.PatientSetup
    version: Optional[float]  # of the planning system that wrote it: 16.0
    trials: tuple[Trial, ...]
    rois: tuple[Roi, ...]
    points: tuple[Point, ...]
    machines: tuple[Machine, ...]
    damages: tuple[Damage, ...] = field(default=())
