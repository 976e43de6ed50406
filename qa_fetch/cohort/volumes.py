"""Images of a series, and doses, as volumes in the patient's own coordinates; volumes as NIfTI."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Optional, Union

import numpy as np
from numpy.typing import NDArray

from .. import part10
from ..errors import BadArchive, Incomplete, NotFound
from .grids import Floats, Grid, Volume, resampled

__all__ = ["Floats", "Grid", "Source", "Volume", "dose", "images", "nifti", "resampled"]

Source = Union[Path, Any]  # a file, or a pydicom Dataset that was read from one

_SAME_PLACE: Final = 0.01  # mm
_ROUNDED: Final = 0.1  # mm by which a place that is said twice may differ
_UNEVEN: Final = 0.1  # mm by which a slice may miss its place
_ASIDE: Final = 0.2  # mm by which images may be shifted against each other in their plane
_DIRECTION: Final = 1e-3  # by which a direction may miss length 1, and two of them a right angle
_LARGEST: Final = 1 << 30  # voxels
_SMALLEST_INT, _LARGEST_INT = -(1 << 15), (1 << 15) - 1
# The same in every image of a volume.
_ALIKE: Final = ("Modality", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns")
_RESCALED: Final = ("CT", "PT")  # what is stored of these means nothing without RescaleSlope and RescaleIntercept
_NEARLY_ALIKE: Final = (("ImageOrientationPatient", 6), ("PixelSpacing", 2))
# What pydicom raises where pixels are not what the header says, or need a decoder that is not installed.
_NO_PIXELS = (
    *(AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError),
    *(OSError, struct.error),  # Pillow's decoders, not the disk: the file is in memory
)


def images(sources: Iterable[Source]) -> Volume:
    """The images of one series as a volume: CT, MR or PET, one object for each slice, in any order.

    Raises Incomplete where slices are missing and BadArchive where they are uneven, double, or not of one volume.
    """
    datasets = [_opened(source) for source in sources]
    if not datasets:
        raise NotFound("There are no images to build a volume from. Fetch the series again.")
    for data in datasets[1:]:
        _check_alike(datasets[0], data)
    what = f"image {_uid(datasets[0])}"
    down, across, normal = _directions(datasets[0], what)
    places = np.array([_numbers(data, "ImagePositionPatient", 3, f"image {_uid(data)}") for data in datasets])
    along: Floats = places @ normal
    order = np.argsort(along, kind="stable")
    places, along = places[order], along[order]
    datasets = [datasets[index] for index in order]
    uids = [_uid(data) for data in datasets]
    if len(datasets) == 1:
        apart = _positive(datasets[0], "SliceThickness", what)
    else:
        apart = _spacing(along, uids, float(normal @ [0, 0, 1]))
    _check_upright(places - np.outer(along, normal))
    _check_one_scan(datasets)
    shape = (len(datasets), *_size(datasets[0], len(datasets), what))
    steps = np.array([normal * apart, down, across])
    grid = Grid(shape, places[0], steps, _text(datasets[0], "FrameOfReferenceUID"), tuple(uids))
    modality, series = _text(datasets[0], "Modality"), _text(datasets[0], "SeriesInstanceUID")
    return Volume(grid, _stack(datasets, shape), modality or "", series or "")


def dose(source: Source) -> Volume:
    """An RTDOSE in Gy, whichever way its planes are counted; BadArchive where any of it is not sure."""
    data = _opened(source)
    what = f"dose {_uid(data)}"
    if data.get("DoseUnits") != "GY":
        raise BadArchive(f"The {what} is not in Gy. Export it from the planning system as absolute dose.")
    if data.get("DoseType") == "ERROR":
        raise BadArchive(f"The {what} is the difference of two doses (DoseType ERROR). Use the dose of the plan.")
    scaling = _positive(data, "DoseGridScaling", what)
    down, across, normal = _directions(data, what)
    first = _numbers(data, "ImagePositionPatient", 3, what)
    count = int(_numbers(data, "NumberOfFrames", 1, what)[0]) if "NumberOfFrames" in data else 1
    along = _offsets(data, count, first, normal, what)
    order = np.argsort(along, kind="stable")
    apart = _even(along[order], what) if count > 1 else _positive(data, "SliceThickness", what)
    shape = (count, *_size(data, count, what))
    stored = _pixels(data, shape if count > 1 else shape[1:], what).reshape(shape)
    if stored.dtype.kind == "i" and stored.min() < 0:
        raise BadArchive(
            f"The {what} has values below 0 Gy, so its pixels are not what it says of them. "
            "Export it from the planning system again."
        )
    values = np.empty(shape, dtype=np.float32)
    for plane, index in enumerate(order):
        np.multiply(stored[index], scaling, out=values[plane], casting="same_kind", dtype=np.float64)
    origin = first + normal * along[order[0]]
    grid = Grid(shape, origin, np.array([normal * apart, down, across]), _text(data, "FrameOfReferenceUID"))
    return Volume(grid, values, "RTDOSE", _uid(data))


def nifti(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI (``.nii.gz``), RAS from DICOM's LPS; the same volume gives the same bytes."""
    import nibabel

    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine
    values = volume.values.astype(np.uint8) if volume.values.dtype == np.bool_ else volume.values
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0), affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            # Level 6 takes eight times as long and is no smaller; without name and time the bytes are the same again.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=1, mtime=0) as packed:
                image.to_stream(packed)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# Reading


def _opened(source: Source) -> Any:
    return part10.read(source) if isinstance(source, Path) else source


def _text(data: Any, keyword: str) -> Optional[str]:
    value = data.get(keyword)
    return None if value is None else str(value)


def _uid(data: Any) -> str:
    return _text(data, "SOPInstanceUID") or "without SOPInstanceUID"


def _found(data: Any, keyword: str, count: int) -> Optional[Floats]:
    """The numbers of an attribute; None where there are not as many of them."""
    try:
        found = np.atleast_1d(np.array(data.get(keyword), dtype=np.float64))
    except (ArithmeticError, TypeError, ValueError):
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None


def _numbers(data: Any, keyword: str, count: int, what: str) -> Floats:
    found = _found(data, keyword, count)
    if found is None:
        raise BadArchive(f"The {what} has no usable {keyword}. Fetch it again, or leave this patient out.")
    return found


def _positive(data: Any, keyword: str, what: str) -> float:
    found = float(_numbers(data, keyword, 1, what)[0])
    if found <= 0:
        raise BadArchive(f"The {what} has no usable {keyword}. Fetch it again, or leave this patient out.")
    return found


def _size(data: Any, slices: int, what: str) -> tuple[int, int]:
    rows, columns = (int(_positive(data, keyword, what)) for keyword in ("Rows", "Columns"))
    if slices < 1 or slices * rows * columns > _LARGEST:
        raise BadArchive(f"The {what} claims a size that no patient has. Fetch it again, or leave this patient out.")
    return rows, columns


def _directions(data: Any, what: str) -> tuple[Floats, Floats, Floats]:
    """The steps from row to row and from column to column, mm, and the normal of both."""
    orientation = _numbers(data, "ImageOrientationPatient", 6, what)
    spacing = _numbers(data, "PixelSpacing", 2, what)
    across, down = orientation[:3], orientation[3:]
    off = max(abs(across @ across - 1), abs(down @ down - 1), abs(across @ down))
    if off > _DIRECTION or spacing.min() <= 0:
        raise BadArchive(
            f"The {what} has an ImageOrientationPatient or PixelSpacing that none can have. "
            "Fetch it again, or leave this patient out."
        )
    across /= np.linalg.norm(across)
    down -= across * (across @ down)  # what is rounded must not skew the voxels
    down /= np.linalg.norm(down)
    normal = np.asarray(np.cross(across, down), dtype=np.float64)
    return down * spacing[0], across * spacing[1], normal


def _check_alike(first: Any, other: Any) -> None:
    differ = [keyword for keyword in _ALIKE if first.get(keyword) != other.get(keyword)]
    for keyword, count in _NEARLY_ALIKE:
        one = _numbers(first, keyword, count, f"image {_uid(first)}")
        if not np.allclose(one, _numbers(other, keyword, count, f"image {_uid(other)}"), rtol=0, atol=1e-4):
            differ.append(keyword)
    if differ:
        raise BadArchive(
            f"The images {_uid(first)} and {_uid(other)} differ in {', '.join(differ)}, so they are no volume. "
            "Choose the images of one series, or leave this patient out."
        )


def _check_upright(places: Floats) -> None:
    """Images of a tilted gantry are shifted against each other: their voxels are no boxes."""
    aside = float(np.linalg.norm(places - places[0], axis=1).max())
    if aside > _ASIDE:
        raise BadArchive(
            f"The images are shifted by {aside:.1f} mm against each other, as by a tilted gantry, and are not built. "
            "Leave this patient out."
        )


def _check_one_scan(datasets: Sequence[Any]) -> None:
    """Two scans of which one lies between the slices of the other are even, and still no volume."""
    scans = [_text(data, "AcquisitionNumber") for data in datasets if data.get("Modality") == "CT"]
    stretches = [scan for scan, before in zip(scans[1:], scans) if scan != before]
    if len(stretches) >= len(set(scans)) > 0:
        raise BadArchive(
            "The images of several acquisitions (AcquisitionNumber) lie between each other, so they are no volume. "
            "Leave this patient out."
        )


def _spacing(along: Floats, uids: Sequence[str], z: float) -> float:
    """How far slices lie apart; along a normal that is the patient's z, places are said as z."""
    said = [_place(value, z) for value in along]
    gaps = np.diff(along)
    for index in map(int, np.flatnonzero(gaps < _SAME_PLACE)):
        raise BadArchive(
            f"The images {uids[index]} and {uids[index + 1]} both lie at {said[index]}, so none of them is sure. "
            "Leave one of them out."
        )
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    steps = np.rint(gaps / usual)
    worst = int(np.abs(gaps - steps * usual).argmax())
    if abs(gaps[worst] - steps[worst] * usual) > 2 * _tolerance(usual):  # both ends are rounded
        raise BadArchive(
            f"The images lie {usual:.2f} mm apart, but {gaps[worst]:.2f} mm between {said[worst]} and "
            f"{said[worst + 1]}, and uneven slices are not built. Leave this patient out."
        )
    lost = [(index, int(steps[index]) - 1) for index in np.flatnonzero(steps > 1)]
    if lost:
        between = "; ".join(f"{count} between {said[index]} and {said[index + 1]}" for index, count in lost)
        missing = [_place(along[index] + usual * (1 + more), z) for index, count in lost for more in range(count)]
        raise Incomplete(
            f"The images lie {usual:.2f} mm apart and some are missing: {between}. "
            "Fetch the series again; where they were never made, leave this patient out.",
            missing=missing,
        )
    return _even(along, f"series of the image {uids[0]}")


def _place(value: float, z: float) -> str:
    """A place along a normal in words, as the patient's z where the normal runs along it."""
    if abs(abs(z) - 1) < _DIRECTION:
        return f"z {value * np.sign(z) + 0.0:.2f} mm"
    return f"{value:.2f} mm along the normal"


def _tolerance(usual: float) -> float:
    """By how much a place may miss the even grid: what rounded positions explain."""
    return min(_UNEVEN, usual / 8)


def _even(along: Floats, what: str) -> float:
    """How far ascending places lie apart, where all of them lie on one even grid."""
    apart = float(along[-1] - along[0]) / (len(along) - 1)
    even = along[0] + apart * np.arange(len(along))
    if apart <= _SAME_PLACE or np.abs(along - even).max() > _tolerance(apart):
        raise BadArchive(f"The {what} has planes that do not lie evenly, which is not built. Leave this patient out.")
    return apart


def _offsets(data: Any, count: int, first: Floats, normal: Floats, what: str) -> Floats:
    """Where the planes of a dose lie along their normal, from the first: DICOM has two ways of counting them."""
    if count == 1 and "GridFrameOffsetVector" not in data:
        return np.zeros(1)
    offsets = _numbers(data, "GridFrameOffsetVector", count, what)
    if abs(offsets[0]) <= _SAME_PLACE:
        return np.asarray(offsets - offsets[0])
    # The other way: they are places on the patient's z, which is possible only for planes across it.
    if abs(offsets[0] - first[2]) <= _ROUNDED and abs(abs(normal[2]) - 1) < _DIRECTION:
        return np.asarray((offsets - offsets[0]) * np.sign(normal[2]), dtype=np.float64)
    raise BadArchive(
        f"The {what} has a GridFrameOffsetVector that starts neither at 0 nor at its own z, so its planes "
        "cannot be placed. Export it from the planning system again."
    )


def _pixels(data: Any, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    try:
        found: NDArray[Any] = data.pixel_array
    except _NO_PIXELS as error:
        raise BadArchive(
            f"The pixels of the {what} cannot be read: they are cut short, or compressed in a way that "
            "is not known here. Fetch it again, or decompress it first (DCMTK: dcmdjpeg)."
        ) from error
    if found.shape != shape or data.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise BadArchive(f"The {what} holds several frames or colours, which is no slice. Leave this patient out.")
    return _without_unused_bits(data, found, what)


def _without_unused_bits(data: Any, found: NDArray[Any], what: str) -> NDArray[Any]:
    """Pixels by the bits that count: above them lies what no one may read, such as overlays, and no sign."""
    if found.dtype.kind not in "iu":
        return found
    stored = int(_positive(data, "BitsStored", what))
    if int(_positive(data, "HighBit", what)) != stored - 1 or stored > found.dtype.itemsize * 8:
        raise BadArchive(f"The {what} has no usable HighBit. Fetch it again, or leave this patient out.")
    unused = found.dtype.itemsize * 8 - stored
    if not unused:
        return found
    return np.asarray(np.right_shift(np.left_shift(found, unused), unused), dtype=found.dtype)  # the sign goes along


def _stack(datasets: list[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """All slices rescaled, as 16-bit integers where these hold them; each data set is let go when it is used."""
    values: Optional[NDArray[Any]] = None
    for index in reversed(range(shape[0])):
        plane = _rescaled(datasets.pop(), shape[1:])
        if values is None:  # only now: the first slice has as many pixels as it claims
            values = np.empty(shape, dtype=np.int16)
        fits = plane.dtype != np.float32 and plane.min() >= _SMALLEST_INT and plane.max() <= _LARGEST_INT
        if not fits and values.dtype == np.int16:
            values = values.astype(np.float32)
        values[index] = plane
    assert values is not None
    return values


def _rescaled(data: Any, shape: tuple[int, int]) -> NDArray[Any]:
    what = f"image {_uid(data)}"
    needed = data.get("Modality") in _RESCALED
    slope, intercept = (
        float(_numbers(data, keyword, 1, what)[0]) if needed or keyword in data else plain
        for keyword, plain in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    if not slope:
        raise BadArchive(f"The {what} has no usable RescaleSlope. Fetch it again, or leave this patient out.")
    pixels = _pixels(data, shape, what)
    whole = slope.is_integer() and intercept.is_integer() and max(abs(slope), abs(intercept)) < 1 << 14
    if whole and pixels.dtype.itemsize <= 2:
        return np.asarray(pixels.astype(np.int32) * int(slope) + int(intercept))
    return np.asarray(pixels * slope + intercept, dtype=np.float32)
