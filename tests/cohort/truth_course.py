"""What a course of the generator can be, and what is true of it whatever it is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np
from truth_dose import Dose, ExactDvh, Linear
from truth_frame import Frame, Lattice
from truth_rois import Roi, catalogue
from truth_shapes import Array

_NAMESPACE = uuid.UUID("a1b7e0f4-4a44-5c0e-9c0f-52d3a0c0b0f7")
DAMAGES = ("", "missing", "uneven", "duplicate", "mixed", "no position")


@dataclass(frozen=True)
class Plan:
    """A plan and its dose."""

    label: str = "BREAST_60"
    approval: str = "APPROVED"
    day: str = "20250903"
    fractions: int = 30
    prescription: Optional[float] = 60.0
    dose: Dose = Linear()
    summation: str = "PLAN"


@dataclass(frozen=True)
class Course:
    """A chain of CT, structures, plans and doses, all of one study unless ``apart``.

    Parameters
    ----------
    patient, study, chain
        Whose it is; courses of one patient and one ``study`` share that study, ``chain`` tells their objects apart.
    description, series_description, day
        Of the study and of its CT.
    position, plane
        How the patient lies, and how the images do.
    columns, rows, slices, spacing
        Of the CT; spacing between columns, rows and slices.
    slice_location, instance_numbers
        ``along``, ``reversed`` or ``none``; ``up``, ``down`` or ``shuffled``.
    damage
        What is wrong with the CT, of ``DAMAGES``.
    rois, shuffled
        The regions, those of the catalogue by default; whether their items stand in another order in each sequence.
    structures_link, dose_link
        What says what belongs together: ``series`` or ``frame``; ``plan``, ``structures``, ``frame`` or ``nothing``.
    offsets, dose_bits, dose_truncated
        GridFrameOffsetVector ``relative``, ``descending`` or ``absolute``; bits of a voxel; whether the last
        frames are cut off.
    tps_volumes, dvh_of
        ROIVolume ``right``, ``wrong`` or ``none``; the regions in the DVHSequence.
    apart, leave_out, mr, pet
        Each sort of object in a study of its own; modalities that are not there; further images of the same patient.
    """

    patient: str = "123456789"
    study: str = "1"
    chain: str = "1"
    description: str = "BREAST LEFT"
    series_description: str = "Planning"
    day: str = "20250901"
    position: str = "HFS"
    plane: str = "axial"
    columns: int = 72
    rows: int = 60
    slices: int = 56
    spacing: tuple[float, float, float] = (1.25, 1.5, 2.0)
    slice_location: str = "along"
    instance_numbers: str = "up"
    damage: str = ""
    rois: Optional[tuple[Roi, ...]] = None
    shuffled: bool = False
    structures_link: str = "series"
    plans: tuple[Plan, ...] = (Plan(),)
    dose_link: str = "plan"
    offsets: str = "relative"
    dose_bits: int = 32
    dose_truncated: bool = False
    tps_volumes: str = "right"
    dvh_of: tuple[str, ...] = ()
    apart: bool = False
    leave_out: tuple[str, ...] = ()
    mr: bool = False
    pet: bool = False

    def uid(self, *names: object) -> str:
        """The UID that always belongs to these names in this course."""
        return _uid(self.patient, self.study, self.chain, *names)

    def study_uid(self, modality: str) -> str:
        """The study of its objects of this modality."""
        return _uid(self.patient, self.study, "study", modality if self.apart else "")

    def frame_uid(self) -> str:
        """The frame of reference that all its objects share."""
        return self.uid("frame")

    def frame(self) -> Frame:
        """How the phantom lies in the patient."""
        return Frame(self.position, self.plane)

    def ct(self) -> Lattice:
        """The voxels of the CT, before any damage."""
        return Lattice((self.columns, self.rows, self.slices), self.spacing)

    def grid(self) -> Lattice:
        """The voxels of the doses: another size and place than the CT's, and not beyond it."""
        widths = [(number - 1) * step for number, step in zip((self.columns, self.rows, self.slices), self.spacing)]
        wished = (max(int(widths[0] // 2.5), 2), max(int(widths[1] // 2.5), 2), max(int((widths[2] - 12) // 3), 2))
        return Lattice((wished[0], wished[1], wished[2]), (2.5, 2.5, 3.0), (0.4, -0.3, 0.0))

    def regions(self) -> tuple[Roi, ...]:
        """The regions of its structure set."""
        return catalogue(self.ct().axis(2), self.spacing[2]) if self.rois is None else self.rois


@dataclass(frozen=True)
class Edge:
    """A link between two objects or series, and what says so."""

    source: str
    target: str
    evidence: str  # "uid" or "frame"


@dataclass(frozen=True)
class Chain:
    """What belongs together; None or nothing where the course has no such object."""

    ct_series: Optional[str]
    structure_set: Optional[str]
    plans: tuple[str, ...]
    doses: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """What must come out of a course."""

    course: Course
    chain: Chain
    edges: tuple[Edge, ...]
    study_uids: tuple[str, ...]
    instance_uids: tuple[str, ...]

    def roi(self, which: Union[int, str]) -> Roi:
        """A region by its number or its name."""
        return next(roi for roi in self.course.regions() if which in (roi.number, roi.name))

    def dvh(self, which: Union[int, str], plan: int = 0) -> ExactDvh:
        """What a plan does to a region."""
        body = self.roi(which).body
        if body is None:
            raise ValueError(f"Region {which} has no volume. Ask for one that is drawn.")
        return ExactDvh(body, self.course.plans[plan].dose)

    def clipped(self, which: Union[int, str]) -> bool:
        """Whether a region reaches out of the dose grid."""
        body = self.roi(which).body
        return body is not None and not self.course.grid().inside(*body.bounds())

    def bounds(self, which: Union[int, str]) -> tuple[Array, Array]:
        """The lowest and the highest corner of a region in the patient."""
        body = self.roi(which).body
        if body is None:
            raise ValueError(f"Region {which} has no volume. Ask for one that is drawn.")
        (a, b, c), (d, e, f) = body.bounds()
        corners = self.course.frame().to_patient(np.array([[x, y, z] for x in (a, d) for y in (b, e) for z in (c, f)]))
        return corners.min(axis=0), corners.max(axis=0)

    def centroid(self, which: Union[int, str]) -> Array:
        """The middle of a region in the patient."""
        body = self.roi(which).body
        if body is None:
            raise ValueError(f"Region {which} has no volume. Ask for one that is drawn.")
        return self.course.frame().to_patient(np.array([body.centroid()]))[0]

    def hu(self, points: Array) -> Array:
        """The CT number at points of the patient (n, 3), to the nearest whole one at the middle of a voxel."""
        return hu(*self.course.frame().to_phantom(points).T)

    def gray(self, points: Array, plan: int = 0) -> Array:
        """A plan's dose at points of the patient (n, 3)."""
        return self.course.plans[plan].dose.at(*self.course.frame().to_phantom(points).T)

    def inside(self, which: Union[int, str], points: Array) -> Array:
        """Which points of the patient (n, 3) lie in a region."""
        body, found = self.roi(which).body, np.zeros(len(points), dtype=bool)
        x, y, z = self.course.frame().to_phantom(points).T
        for plane in np.unique(np.round(z, 6)) if body is not None else ():
            here = abs(z - plane) < 1e-5
            found[here] = body.covers(x[here], y[here], float(plane))  # type: ignore[union-attr]
        return found


def hu(x: Array, y: Array, z: Array) -> Array:
    """The CT number at points of the phantom: it tells every flip and every swapped axis."""
    return 100 + 3.0 * x + 2.0 * y - 5.0 * z


def _uid(*names: object) -> str:
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, names))).int}"
