"""Files of images and doses whose values are a function of the place."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.cohort.grids import Grid

CT = "1.2.840.10008.5.1.4.1.1.2"
RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
# Rows and columns of each position, as scanners write them.
ORIENTATIONS = {
    "HFS": [1, 0, 0, 0, 1, 0],
    "HFP": [-1, 0, 0, 0, -1, 0],
    "FFS": [-1, 0, 0, 0, 1, 0],
    "FFP": [1, 0, 0, 0, -1, 0],
    "HFDL": [0, 1, 0, -1, 0, 0],
    "FFDR": [0, -1, 0, -1, 0, 0],
    "sagittal": [0, 1, 0, 0, 0, -1],
    "sagittal, from the right": [0, -1, 0, 0, 0, -1],
    "coronal": [1, 0, 0, 0, 0, -1],
    "oblique": [0.8, 0.6, 0, -0.48, 0.64, -0.6],
    "oblique, the other way": [-0.8, -0.6, 0, -0.48, 0.64, -0.6],
}
NUMBERS = itertools.count(1)


def truth(points: Any) -> Any:
    """What is stored at a place: linear in x, y and z, so that trilinear values are exact."""
    return np.asarray(points) @ [1, 10, 100] + 2000


def pixels(data: Dataset, values: Any, kind: str) -> None:
    """Give a data set its pixels."""
    stored = np.rint(values).astype(kind)
    bits = stored.dtype.itemsize * 8
    data.Rows, data.Columns = stored.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"


def places(first: Any, orientation: Sequence[float], spacing: Sequence[float], size: tuple[int, int]) -> Any:
    """The centres of a plane's voxels, rows x columns x 3."""
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    row, column = np.indices(size)
    return first + row[..., None] * down * spacing[0] + column[..., None] * across * spacing[1]


def image(folder: Path, at: float, position: str = "HFS", **facts: Any) -> Path:
    """A file of an image of 4 rows and 6 columns, at a distance along its normal."""
    orientation, spacing = np.array(ORIENTATIONS[position], dtype=float), (2.0, 1.5)
    first = np.array([-3.0, -5.0, 7.0]) + at * np.cross(orientation[:3], orientation[3:])
    number = next(NUMBERS)
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = CT, f"1.2.4.{number}"
    data.SeriesInstanceUID, data.FrameOfReferenceUID, data.Modality = "1.2.5", "1.2.3", "CT"
    data.ImagePositionPatient, data.ImageOrientationPatient = [*first], [*orientation]
    data.PixelSpacing, data.SliceThickness = [*spacing], 3
    data.SliceLocation = -first[2]  # as some scanners have it; nobody may sort by it
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    pixels(data, truth(places(first, orientation, spacing, (4, 6))) + 1024, "<u2")
    for keyword, value in facts.items():
        setattr(data, keyword, value) if value is not None else delattr(data, keyword)
    path = folder / f"{number}.dcm"
    part10.write(data, path)
    return path


def series(
    folder: Path, heights: Sequence[float] = (0, 3, 6, 9, 12), position: str = "HFS", **facts: Any
) -> list[Path]:
    """The files of a series, in the order given."""
    return [image(folder, at, position, **facts) for at in heights]


def rt_dose(path: Path, offsets: Sequence[float], position: str = "HFS", **facts: Any) -> Path:
    """A dose of these planes, 0.001 Gy for each step."""
    orientation, spacing = np.array(ORIENTATIONS[position], dtype=float), (2.5, 2.0)
    first = np.array(facts.pop("first", [-4.0, -6.0, 6.0]))
    normal = np.cross(orientation[:3], orientation[3:])
    absolute = offsets[0] != 0
    along = (np.array(offsets) - offsets[0]) * (normal[2] if absolute else 1)
    planes = [places(first + normal * each, orientation, spacing, (5, 7)) for each in along]
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = RT_DOSE, "1.2.8", "RTDOSE"
    data.FrameOfReferenceUID = "1.2.3"
    data.ImagePositionPatient, data.ImageOrientationPatient = [*first], [*orientation]
    data.PixelSpacing, data.NumberOfFrames = [*spacing], len(offsets)
    data.FrameIncrementPointer = 0x3004000C
    data.GridFrameOffsetVector = [*offsets]
    data.DoseUnits, data.DoseType, data.DoseSummationType, data.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "0.001"
    pixels(data, truth(planes), "<u4")
    for keyword, value in facts.items():
        setattr(data, keyword, value) if value is not None else delattr(data, keyword)
    part10.write(data, path)
    return path


def centres(grid: Grid) -> Any:
    """The place of every voxel."""
    return grid.points(np.moveaxis(np.indices(grid.shape), 0, -1))
