"""Patients in memory, for pictures: a place in them has one value, however the images lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from qa_fetch.cohort.built import Built, BuiltDose, BuiltPlan, BuiltRoi, BuiltSet
from qa_fetch.cohort.grids import Grid, Volume
from qa_fetch.cohort.loading import Loaded, LoadedRoi

# Rows and columns as scanners write them: four positions, one on the side, and images along and askew of the patient.
ORIENTATIONS: dict[str, tuple[float, ...]] = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "FFDL": (0, -1, 0, -1, 0, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "askew": (0.96592583, 0.25881905, 0, -0.24321035, 0.90767337, 0.34202014),
}
STRAIGHT = tuple(name for name in ORIENTATIONS if name != "askew")
MIDDLE = np.array([12.0, -35.0, 210.0])
MARKER = MIDDLE + [18.0, 14.0, 16.0]  # left, back and head


def grid(
    position: str = "HFS", shape: Sequence[int] = (31, 36, 42), spacing: Sequence[float] = (2.5, 1.5, 1.25)
) -> Grid:
    """A grid around the middle."""
    across, down = np.array(ORIENTATIONS[position][:3]), np.array(ORIENTATIONS[position][3:])
    steps = np.array([np.cross(across, down), down, across]) * np.array(spacing)[:, None]
    origin = MIDDLE - (np.array(shape) - 1) / 2 @ steps
    return Grid((shape[0], shape[1], shape[2]), origin, steps, "1.2.3")


def places(of: Grid) -> Any:
    """The middle of every voxel, slices x rows x columns x 3."""
    return of.points(np.moveaxis(np.indices(of.shape), 0, -1).reshape(-1, 3)).reshape(*of.shape, 3)


def value(points: Any) -> Any:
    """What is stored at a place: linear, so that values between voxels are exact, and another along each axis."""
    return (np.asarray(points) - MIDDLE) @ [1, 10, 100]


def ball(of: Grid, centre: Any, radius: float, **facts: Any) -> LoadedRoi:
    """A region; at least the voxel at its centre belongs to it."""
    inside = np.linalg.norm(places(of) - centre, axis=-1) <= radius
    inside[tuple(np.rint(of.indices([centre])[0]).astype(int))] = True
    return region(inside, **facts)


def region(inside: Any, **facts: Any) -> LoadedRoi:
    """A region of these voxels."""
    ends = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    slices, rows, columns = (slice(int(each[0]), int(each[-1]) + 1) if each.size else slice(0, 1) for each in ends)
    named = {"number": 1, "name": "PTV", "kind": "PTV", "colour": (255, 0, 0), "volume_cc": None, **facts}
    return LoadedRoi(structures="1.2.4", box=(slices, rows, columns), values=inside[slices, rows, columns], **named)


def _built(roi: LoadedRoi) -> BuiltRoi:
    box = tuple((each.start, each.stop) for each in roi.box)
    return BuiltRoi(roi.number, roi.name, roi.kind, roi.colour, "mask.nii.gz", box, roi.volume_cc, None)  # type: ignore[arg-type]


def loaded(
    of: Grid,
    rois: Sequence[LoadedRoi] = (),
    *,
    modality: str = "CT",
    values: Any = None,
    dose: Any = None,
    known: Any = None,
    prescriptions: Sequence[Optional[float]] = (60.0,),
) -> Loaded:
    """A patient.

    Parameters
    ----------
    of, rois
        The grid and the regions.
    modality, values
        Of the images; what ``value`` says where None are given.
    dose, known
        In Gy on the grid, and where it is known.
    prescriptions
        Of the plans, each with a dose.
    """
    images = Volume(of, value(places(of)).astype(np.float32) if values is None else values, modality, "1.2.5")
    numbers = range(len(prescriptions))
    built = Built(
        patient="1",
        rules="",
        modality=modality,
        series="",
        study="",
        frame_of_reference="",
        images=(),
        instances=(),
        nifti="",
        structures=(BuiltSet("1.2.4", "", tuple(map(_built, rois))),),
        plans=tuple(BuiltPlan(f"p{at}", "", "", "", prescriptions[at], 30) for at in numbers),
        doses=tuple(BuiltDose(f"d{at}", "", "", f"p{at}", 60.0) for at in numbers),
    )
    grays = None if dose is None else Volume(of, np.asarray(dose, dtype=np.float32), "RTDOSE", "")
    return Loaded("1", built, images, grays, known, tuple(rois), "", "missing", "missing")
