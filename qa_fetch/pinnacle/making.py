"""What the writers of DICOM objects are given and give back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

from .records import ImageSet, Patient, Plan
from .sources import Source

DOSE_MAXIMUM = "dose_maximum"  # of an RTDOSE, Gy, from the source's numbers before they are scaled
DOSE_MAXIMUM_AT = ("dose_maximum_x", "dose_maximum_y", "dose_maximum_z")  # where it lies, mm in DICOM's coordinates


@dataclass(frozen=True)
class Encoded:
    """A finished object: the bytes of its file."""

    modality: str  # CT, MR, RTSTRUCT, RTPLAN, RTDOSE, RTIMAGE ...
    sop_class: str
    sop_instance: str
    data: bytes
    what: str = ""  # as reports name it: "RTDOSE of plan 0, trial 1"; no identifiers
    facts: Mapping[str, float] = field(default_factory=dict)  # what it must show when it is read back: see checking


@dataclass(frozen=True)
class ImageReference:
    """One image of a series, and where it lies: z of its centre plane in DICOM's coordinates, mm."""

    sop_class: str
    sop_instance: str
    z: float


@dataclass(frozen=True)
class ImageSeries:
    """The image series that structures, plans and doses of a plan refer to, in DICOM's coordinates (mm)."""

    study: str
    series: str
    frame: str
    patient_position: str
    study_id: Optional[str]
    study_date: Optional[str]  # the images' own, YYYYMMDD
    study_time: Optional[str]
    images: tuple[ImageReference, ...]  # ascending z
    low: tuple[float, float, float]  # the lowest corner of the images' volume, outer edges of its voxels
    high: tuple[float, float, float]
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)  # from a plan's coordinates to the images', mm
    doubt: Optional[str] = None  # why nothing of the plan can be placed in these images: a reason for Notes.skip
    accession_number: Optional[str] = None


@dataclass(frozen=True)
class Left:
    """Something that was not written, or not as a user might expect, and why; no identifiers in it."""

    what: str  # "RTDOSE of plan 0, trial 1"
    reason: str  # a clause with what to do, where something can be done


@dataclass
class Notes:
    """What the writers leave out and what they warn of, for the report."""

    skipped: list[Left] = field(default_factory=list)
    warnings: list[Left] = field(default_factory=list)

    def skip(self, what: str, reason: str) -> None:
        """An object, or a part of one, is not written."""
        self.skipped.append(Left(what, reason))

    def warn(self, what: str, reason: str) -> None:
        """An object is written, but somebody should know this."""
        self.warnings.append(Left(what, reason))

    def extend(self, other: Iterable[Left]) -> None:
        """Take over warnings made elsewhere."""
        self.warnings.extend(other)


@dataclass(frozen=True)
class Work:
    """One plan of a patient on its way to DICOM; ``plan`` is None while only images are written."""

    source: Source
    patient: Patient
    image_set: Optional[ImageSet]
    plan: Optional[Plan]
    notes: Notes
