"""Whether contours and doses lie where they must, read back from the bytes of finished objects."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .. import part10
from ..errors import BadArchive
from .making import DOSE_MAXIMUM, DOSE_MAXIMUM_AT, Encoded, ImageReference, ImageSeries

_BEYOND = 50.0  # mm that a contour may reach out of the images: tops of couches and bolus do, a wrong shift is more
_EDGE = 5.0  # mm that one may lie above the first or below the last image
CLOSE = 0.05  # mm
_SAME_DOSE = 1e-4  # of the maximum
_ROI_CONTOURS, _CONTOURS, _ROI_NUMBER = 0x30060039, 0x30060040, 0x30060084
_CONTOUR_IMAGES, _CONTOUR_KIND, _CONTOUR_DATA = 0x30060016, 0x30060042, 0x30060050
_REFERENCED_INSTANCE = 0x00081155
_AXES = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
# What a missing or unreadable element ends in, here or in pydicom.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BadArchive,
    LookupError,
    NotImplementedError,
    OSError,  # pydicom's, of bytes that end too early
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class Wrong(Exception):
    """An object is not what it must be; the text is a clause that says why."""


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """What cannot be read in an object is wrong with it, and ends no more than the object."""
    from pydicom.errors import BytesLengthException

    try:
        yield
    except (BytesLengthException, *_UNREADABLE):
        raise Wrong("it cannot be read back") from None


@dataclass
class _Contour:
    kind: str
    low: list[float]  # the least x, y and z of its points, mm
    high: list[float]
    image: Optional[str]


def _contours(data: bytes) -> Iterator[tuple[str, list[_Contour]]]:
    """The number and the contours of each ROI, from the bytes: pydicom takes seconds for them."""
    file = part10.split(data, "the object")
    syntax, whole = file.transfer_syntax, file.dataset

    def values(view: memoryview) -> dict[int, memoryview]:
        return {element.tag: view[element.value : element.end] for element in part10.elements(view, syntax)}

    for roi in part10.items(values(whole).get(_ROI_CONTOURS, memoryview(b"")), syntax):
        found = values(roi)
        contours = []
        for item in part10.items(found.get(_CONTOURS, memoryview(b"")), syntax):
            contour = values(item)
            low, high = _corners(bytes(contour[_CONTOUR_DATA]))
            images = [values(image) for image in part10.items(contour.get(_CONTOUR_IMAGES, memoryview(b"")), syntax)]
            image = part10.clean_uid(bytes(images[0][_REFERENCED_INSTANCE]).decode("ascii")) if images else None
            kind = bytes(contour[_CONTOUR_KIND]).decode("ascii").strip()
            contours.append(_Contour(kind, low, high, image))
        yield bytes(found[_ROI_NUMBER]).decode("ascii").strip(), contours


def _corners(text: bytes) -> tuple[list[float], list[float]]:
    """The corners of the box around a contour; mostly all its points have one z, which is read once."""
    parts = text.split(b"\\")
    try:
        axes = [
            list(map(float, parts[::3])),
            list(map(float, parts[1::3])),
            list(map(float, set(parts[2::3]))),
        ]
    except ValueError:
        raise Wrong("a contour has coordinates that are no numbers") from None
    if len(parts) % 3 or b"n" in text.lower():  # as in nan and inf
        raise Wrong("a contour has coordinates that are no places")
    return [min(axis) for axis in axes], [max(axis) for axis in axes]


def refuse_contours(header: Any, data: bytes, series: ImageSeries) -> None:
    """Contours lie inside of the images' volume, and on the images they name; single points may lie outside."""
    rois = [str(int(roi.ROINumber)) for roi in header.StructureSetROISequence]
    contoured = []
    images = {image.sop_instance: image for image in series.images}
    reach = half_spacing(series) + CLOSE
    for number, contours in _contours(data):
        contoured.append(number)
        for contour in contours:
            _refuse_image_of(contour, images, reach, number)
        drawn = [contour for contour in contours if contour.kind != "POINT"]
        if drawn:
            low = np.min([contour.low for contour in drawn], axis=0)
            high = np.max([contour.high for contour in drawn], axis=0)
            stray = outside(low, high, series, CLOSE)  # coordinates are rounded when they are written
            if stray is not None:
                raise Wrong(f"its ROI {number} {stray}")
    observed = [str(int(each.ReferencedROINumber)) for each in header.RTROIObservationsSequence]
    if len(set(rois)) != len(rois) or any(
        set(each) != set(rois) or len(each) != len(rois) for each in (contoured, observed)
    ):
        raise Wrong("it does not have each ROI once in each of its three sequences")


def outside(low: Any, high: Any, series: ImageSeries, margin: float = 0.0) -> Optional[str]:
    """What is wrong with where an ROI lies; None where nothing is.

    Parameters
    ----------
    low, high
        The corners of the box around its contours, mm.
    series
        The images.
    margin
        How much farther than else it may reach, mm.
    """
    least, most = np.array(series.low) - margin, np.array(series.high) + margin
    wide = np.array([_BEYOND, _BEYOND, _EDGE])
    middle = (low + high) / 2
    if not ((middle >= least) & (middle <= most)).all():  # nor where one of them is not a number
        return "lies outside of the images"
    return "reaches far out of the images" if (low < least - wide).any() or (high > most + wide).any() else None


def _refuse_image_of(contour: _Contour, images: dict[str, ImageReference], reach: float, number: str) -> None:
    if contour.image is None:
        return
    if contour.image not in images:
        raise Wrong(f"a contour of its ROI {number} names an image that the series does not have")
    height = images[contour.image].z
    if max(contour.high[2] - height, height - contour.low[2]) > reach:
        raise Wrong(f"a contour of its ROI {number} names an image that lies elsewhere")


def half_spacing(series: ImageSeries) -> float:
    """Half of the usual distance between the images, mm: what lies farther from an image does not lie on it."""
    if len(series.images) < 2:
        return (series.high[2] - series.low[2]) / 2
    return float(np.median(np.diff([image.z for image in series.images]))) / 2


def refuse_isocentres(header: Any, series: ImageSeries) -> None:
    """The isocentres of a plan do not lie far out of the images."""
    low, high = np.array(series.low) - _BEYOND, np.array(series.high) + _BEYOND
    for beam in header.get("BeamSequence") or ():
        for point in beam.get("ControlPointSequence") or ():
            place = np.array([float(value) for value in point.get("IsocenterPosition") or ()])
            if len(place) and not ((place >= low) & (place <= high)).all():
                raise Wrong("the isocentre of one of its beams lies outside of the images")


def refuse_dose(header: Any, encoded: Encoded, series: ImageSeries) -> None:
    """The dose overlaps the images, its maximum is that of the source, and it lies inside of the images."""
    grid = _Grid.of(header)
    low, high = np.array(series.low), np.array(series.high)
    corners = grid.places(np.array([[0, 0, 0], np.array(grid.values.shape) - 1]))
    if (corners[1] < low).any() or (corners[0] > high).any():
        raise Wrong("its grid lies outside of the images")
    highest = grid.values.max()
    maximum = float(highest) * grid.scaling
    expected = encoded.facts.get(DOSE_MAXIMUM)
    if expected is None:
        raise Wrong("nothing says the maximum that it must have")
    if not abs(maximum - expected) <= _SAME_DOSE * abs(expected) + grid.scaling:
        raise Wrong(f"its maximum is {maximum:.4g} Gy where the archive's is {expected:.4g} Gy")
    if not maximum:
        return
    at = grid.places(np.argwhere(grid.values == highest))
    if not ((at >= low - grid.voxel) & (at <= high + grid.voxel)).all(axis=1).any():
        raise Wrong("its maximum lies outside of the images")
    told = [encoded.facts.get(axis) for axis in DOSE_MAXIMUM_AT]
    if None not in told and (np.abs(at - np.array(told, dtype=float)) > grid.voxel / 2 + CLOSE).any(axis=1).all():
        raise Wrong("its maximum does not lie where it does in the archive")


@dataclass
class _Grid:
    """The grid of a dose, along the axes of the patient."""

    values: Any  # planes x rows x columns
    scaling: float
    first: Any  # of its first voxel: x, y, z, mm
    voxel: Any  # the distance of the voxels along x and y; the largest along z
    offsets: Any  # of the planes

    @classmethod
    def of(cls, header: Any) -> _Grid:
        """What an RTDOSE says, if it is a dose in Gy on a grid that it holds whole."""
        axes = [float(value) for value in header.ImageOrientationPatient]
        if str(header.DoseUnits) != "GY" or axes != _AXES:
            raise Wrong("its dose is not in Gy on axes that run as those of the patient")
        offsets = np.array([float(value) for value in np.atleast_1d(header.GridFrameOffsetVector)])
        shape = (int(header.NumberOfFrames), int(header.Rows), int(header.Columns))
        values = np.frombuffer(header.PixelData, "<u4" if int(header.BitsAllocated) == 32 else "<u2")
        if values.size != int(np.prod(shape)) or len(offsets) != shape[0] or (np.diff(offsets) <= 0).any():
            raise Wrong("its grid does not have the voxels that it says")
        row, column = (float(value) for value in header.PixelSpacing)
        first = np.array([float(value) for value in header.ImagePositionPatient])
        voxel = np.array([column, row, np.diff(offsets).max(initial=0.0)])
        return cls(values.reshape(shape), float(header.DoseGridScaling), first, voxel, offsets - offsets[0])

    def places(self, indices: Any) -> Any:
        """Where the voxels with these indices (plane, row, column) are, mm."""
        along = [indices[:, 2] * self.voxel[0], indices[:, 1] * self.voxel[1], self.offsets[indices[:, 0]]]
        return self.first + np.stack(along, axis=1)
