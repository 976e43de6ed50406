"""DICOM objects of either side as plain arrays on ascending axes, so that only what they mean is compared."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ... import part10
from ...errors import BadArchive

Floats = NDArray[np.float64]
_LARGEST = 1 << 28  # voxels of a dose


class Unusable(Exception):
    """An object cannot be compared; the text is a clause that says why."""


@contextmanager
def calmly() -> Iterator[None]:
    """Without pydicom's warnings: they are of what the other side wrote, and may name people."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def dataset(path: Path) -> Any:
    """A file as a pydicom Dataset; Unusable where it cannot be read."""
    try:
        return part10.read(path)
    except (BadArchive, OSError) as error:
        raise Unusable("it cannot be read as DICOM") from error


@dataclass(frozen=True)
class Region:
    """A region of interest: its contours (n, 3) in mm, and the image that each names."""

    name: str
    contours: tuple[Floats, ...]
    images: tuple[Optional[str], ...]
    point: bool = False


def regions(data: Any) -> list[Region]:
    """The regions of a structure set, in its order."""
    names = {
        str(item.get("ROINumber")): str(item.get("ROIName", "")) for item in data.get("StructureSetROISequence", ())
    }
    found = []
    for item in data.get("ROIContourSequence", ()):
        contours: list[Floats] = []
        images: list[Optional[str]] = []
        kinds = set()
        for contour in item.get("ContourSequence") or ():
            contours.append(_points(contour))
            kinds.add(str(contour.get("ContourGeometricType", "")))
            named = next(iter(contour.get("ContourImageSequence") or ()), None)
            images.append(str(named.get("ReferencedSOPInstanceUID")) if named is not None else None)
        name = names.get(str(item.get("ReferencedROINumber")), "")
        found.append(Region(name, tuple(contours), tuple(images), kinds == {"POINT"}))
    return found


def _points(contour: Any) -> Floats:
    """ContourData without an object for each number, of which there may be a million."""
    try:
        raw = contour.get_item("ContourData")
        value = raw.value if raw is not None else None
        if isinstance(value, bytes):
            values = np.array(value.split(b"\\"), dtype=np.float64)
        else:
            values = np.array([] if value is None else [float(each) for each in value], dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise Unusable("a contour of it has values that are no numbers") from error
    if values.size % 3 or not np.isfinite(values).all():
        raise Unusable("a contour of it has values that are no points")
    return values.reshape(-1, 3)


@dataclass(frozen=True)
class Dose:
    """A dose in Gy, [z, y, x], all axes ascending, mm."""

    z: Floats
    y: Floats
    x: Floats
    values: Floats

    @property
    def axes(self) -> tuple[Floats, Floats, Floats]:
        """As the values are ordered."""
        return self.z, self.y, self.x

    @property
    def maximum(self) -> float:
        """The highest dose."""
        return float(self.values.max())

    def highest(self) -> tuple[int, int, int]:
        """Where the highest dose is: plane, row, column."""
        plane, row, column = np.unravel_index(int(self.values.argmax()), self.values.shape)
        return int(plane), int(row), int(column)


def dose(data: Any) -> Dose:
    """The grid of an RTDOSE, whichever way its rows and columns run."""
    if str(data.get("DoseUnits", "GY")) != "GY":
        raise Unusable("its dose is not in Gy")
    try:
        across, down, rows, columns = _directions(data)
        first = [float(value) for value in data.ImagePositionPatient]
        between_rows, between_columns = (float(value) for value in data.PixelSpacing)
        count = int(data.get("NumberOfFrames") or 1)
        offsets = np.array([float(value) for value in data.get("GridFrameOffsetVector") or [0.0]])
        if rows * columns * count > _LARGEST:
            raise Unusable("its dose grid is far too large")
        values: Floats = np.asarray(data.pixel_array, dtype=np.float64).reshape(count, rows, columns)
        values = values * float(data.DoseGridScaling)
    except (AttributeError, TypeError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise Unusable("its dose grid is not described as it must be") from error
    if offsets.size != count:
        raise Unusable(f"it has {count} planes and {offsets.size} places for them")
    if offsets[0] != 0:  # DICOM's other way: they are places, not distances
        offsets = offsets - offsets[0]
    z = first[2] + offsets * across * down  # the third direction is the other two's cross product
    y = first[1] + down * between_rows * np.arange(rows)
    x = first[0] + across * between_columns * np.arange(columns)
    axes: list[Floats] = []
    order = []
    for axis in (z, y, x):
        order.append(slice(None, None, -1 if axis.size > 1 and axis[-1] < axis[0] else 1))
        axes.append(np.asarray(axis[order[-1]], dtype=np.float64))
        if axis.size > 1 and not (np.diff(axes[-1]) > 0).all():
            raise Unusable("the places of its planes do not follow each other")
    return Dose(axes[0], axes[1], axes[2], np.ascontiguousarray(values[order[0], order[1], order[2]]))


def _directions(data: Any) -> tuple[float, float, int, int]:
    """Which way x and y run along columns and rows, and how many of these there are."""
    found = [float(value) for value in data.ImageOrientationPatient]
    across, down = found[0], found[4]
    if not np.allclose(np.abs(found), [1, 0, 0, 0, 1, 0], atol=1e-4):
        raise Unusable("its grid is rotated against the patient's axes")
    return float(np.sign(across)), float(np.sign(down)), int(data.Rows), int(data.Columns)


@dataclass(frozen=True)
class Image:
    """An image: its values, rows along y and columns along x, both ascending (mm)."""

    x: Floats
    y: Floats
    z: float
    values: Floats


def image(data: Any) -> Image:
    """An axial image, whichever way its rows and columns run."""
    try:
        across, down, rows, columns = _directions(data)
        first = [float(value) for value in data.ImagePositionPatient]
        between_rows, between_columns = (float(value) for value in data.PixelSpacing)
        values: Floats = np.asarray(data.pixel_array, dtype=np.float64).reshape(rows, columns)
        values = values * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
    except (AttributeError, TypeError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise Unusable("an image of it is not described as it must be") from error
    x = first[0] + across * between_columns * np.arange(columns)
    y = first[1] + down * between_rows * np.arange(rows)
    values = values[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1]
    return Image(np.sort(x), np.sort(y), first[2], values)
