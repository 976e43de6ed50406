"""Volumes that a build left as NIfTI, read back to DICOM's coordinates and to ``[slice, row, column]``."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import BadArchive, NotFound
from .grids import Floats, Grid

_LARGEST: Final = 1 << 30  # voxels
_LARGEST_VOXEL: Final = 8  # bytes
_AROUND: Final = 1 << 20  # bytes that a file may have beside its voxels
_HEADER: Final = 348  # bytes
_GZIP: Final = 31  # what zlib calls the format
_NO_VOLUME: Final = 1e-9  # mm3
_SAME: Final = 0.01  # mm by which the corners of two grids may lie apart and be the same


def inside(root: Path, name: str) -> Path:
    """The file of a patient that ``built.json`` names; BadArchive where it would lie elsewhere."""
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name or ":" in parts[0]:
        raise BadArchive("The patient's built.json names a file outside of the patient's folder. Run the build again.")
    return root.joinpath(*parts)


def read(
    path: Path, what: str, frame_of_reference: Optional[str], images: Sequence[str] = ()
) -> tuple[Grid, NDArray[Any]]:
    """The grid and the values (which cannot be written to) of a NIfTI file; all of it is read, up to its checksum.

    Parameters
    ----------
    path
        The file (``.nii.gz``).
    what
        What it is, for messages, which do not name files: these may be called after the patient.
    frame_of_reference, images
        Of the grid: NIfTI has no place for them.

    Raises
    ------
    NotFound
        There is no such file.
    BadArchive
        It cannot be read, or is no volume.
    """
    try:
        affine, values = _parsed(_unpacked(path.read_bytes()))
    except FileNotFoundError:
        raise NotFound(f"{what} is not there any more. Run the build again.") from None
    except (OSError, EOFError, zlib.error, ValueError, struct.error) as error:
        said = getattr(error, "strerror", None) or "it is cut short, or no NIfTI volume"
        raise BadArchive(f"{what} cannot be read ({said}). Remove its file, then run the build again.") from None
    if abs(np.linalg.det(affine[:3, :3])) < _NO_VOLUME:
        raise BadArchive(f"{what} has voxels without a volume. Remove its file, then run the build again.")
    return _grid(values.shape, affine, frame_of_reference, tuple(images)), values


def same(one: Grid, other: Grid) -> bool:
    """Whether the voxels of two grids are the same."""
    if one.shape != other.shape:
        return False
    corners = np.array([[index * (size - 1) for index, size in zip(at, one.shape)] for at in np.ndindex(2, 2, 2)])
    return bool(np.abs(one.points(corners) - other.points(corners)).max() <= _SAME)


def _unpacked(packed: bytes) -> bytes:
    """All of it, with its checksum; no more than its header claims, whatever is packed in it."""
    header = zlib.decompressobj(_GZIP).decompress(packed, _HEADER)
    if len(header) < _HEADER:
        raise EOFError
    order = "<" if struct.unpack_from("<i", header)[0] == _HEADER else ">"
    axes, *sizes = struct.unpack_from(f"{order}8h", header, 40)
    if axes != 3 or min(sizes[:3]) < 1 or math.prod(sizes[:3]) > _LARGEST:
        raise ValueError
    most = math.prod(sizes[:3]) * _LARGEST_VOXEL + _AROUND
    parts: list[bytes] = []
    while packed:  # a file may be packed in several pieces
        piece = zlib.decompressobj(_GZIP)
        parts.append(piece.decompress(packed, most + 1))
        most -= len(parts[-1])
        if most < 0 or not piece.eof:
            raise EOFError
        packed = piece.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _parsed(data: bytes) -> tuple[Floats, NDArray[Any]]:
    """The affine (RAS) and the values as ``[slice, row, column]``, which cannot be written to."""
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    try:
        header = nibabel.Nifti1Header(data[:_HEADER])
        columns, rows, slices = header.get_data_shape()
        offset, dtype = int(header.get_data_offset()), header.get_data_dtype()
        slope, shift = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except HeaderDataError as error:
        raise ValueError from error
    if dtype.kind not in "iuf" or offset < _HEADER or not np.isfinite(affine).all():
        raise ValueError
    values: NDArray[Any] = np.frombuffer(data, dtype, slices * rows * columns, offset).reshape(slices, rows, columns)
    if (slope, shift) not in ((None, None), (1.0, 0.0)):
        values = values * np.float64(slope) + np.float64(shift)
    return affine, values


def _grid(shape: tuple[int, ...], affine: Floats, frame_of_reference: Optional[str], images: tuple[str, ...]) -> Grid:
    """The grid of an affine that leads from columns, rows and slices to RAS."""
    placed = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    steps: Floats = np.ascontiguousarray(placed[:3, :3].T[::-1])
    return Grid((shape[0], shape[1], shape[2]), placed[:3, 3].copy(), steps, frame_of_reference, images)
