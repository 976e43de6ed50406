"""Volumes that a build left as NIfTI, read back to DICOM's coordinates and to ``[slice, row, column]``."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import BadArchive, NotFound
from . import sparse
from .grids import Floats, Grid
from .sparse import Box

_LARGEST: Final = 1 << 30  # voxels
_LARGEST_VOXEL: Final = 8  # bytes
_AROUND: Final = 1 << 20  # bytes that a file may have beside its voxels
_HEADER: Final = 348  # bytes
_GZIP: Final = 31  # what zlib calls the format
_UNSCALED: Final = ((None, None), (1.0, 0.0))
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
    return _read(_packed(path, what), what, frame_of_reference, tuple(images))


def mask(path: Path, grid: Grid, box: Box) -> NDArray[np.bool_]:
    """The voxels of a mask in the box around it; fails as ``read`` does, and where any lies outside of the box.

    Parameters
    ----------
    path
        The file (``.nii.gz``).
    grid
        Which it has to lie on.
    box
        What ``built.json`` says that is around it.
    """
    packed = _packed(path, "The mask")
    found = sparse.unpacked(packed, grid.shape, box)
    if found is not None and _is_mask(found[0], grid):
        return found[1]
    own, values = _read(packed, "The mask", grid.frame_of_reference, ())
    if not same(own, grid):
        raise BadArchive("The mask does not lie on the grid of the images. Remove its file, then run the build again.")
    filled = values != 0
    within: NDArray[np.bool_] = filled[box].copy()
    if np.count_nonzero(filled) != np.count_nonzero(within):
        raise BadArchive("The mask reaches out of its box in built.json. Remove its file, then run the build again.")
    return within


def same(one: Grid, other: Grid) -> bool:
    """Whether the voxels of two grids are the same."""
    if one.shape != other.shape:
        return False
    corners = np.array([[index * (size - 1) for index, size in zip(at, one.shape)] for at in np.ndindex(2, 2, 2)])
    return bool(np.abs(one.points(corners) - other.points(corners)).max() <= _SAME)


def _packed(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{what} is not there any more. Run the build again.") from None
    except OSError as error:
        raise _unreadable(what, error.strerror) from None


def _read(
    packed: bytes, what: str, frame_of_reference: Optional[str], images: tuple[str, ...]
) -> tuple[Grid, NDArray[Any]]:
    """The grid and the values of a file.

    Parameters
    ----------
    packed
        The whole file.
    what, frame_of_reference, images
        As for ``read``.
    """
    try:
        data = _unpacked(packed)
        head = _header(data)
        values: NDArray[Any] = np.frombuffer(data, head.dtype, math.prod(head.shape), head.offset).reshape(head.shape)
    except (EOFError, zlib.error, ValueError, struct.error):
        raise _unreadable(what) from None
    if head.scaling not in _UNSCALED:
        values = values * np.float64(head.scaling[0]) + np.float64(head.scaling[1])
    if abs(np.linalg.det(head.affine[:3, :3])) < _NO_VOLUME:
        raise BadArchive(f"{what} has voxels without a volume. Remove its file, then run the build again.")
    return _grid(head.shape, head.affine, frame_of_reference, images), values


def _unreadable(what: str, why: Optional[str] = None) -> BadArchive:
    why = why or "it is cut short, or no NIfTI volume"
    return BadArchive(f"{what} cannot be read ({why}). Remove its file, then run the build again.")


def _is_mask(data: bytes, grid: Grid) -> bool:
    """Whether a header is that of bytes that follow it, on a grid."""
    try:
        head = _header(data)
    except ValueError:
        return False
    plain = head.dtype.itemsize == 1 and head.offset == len(data) and head.scaling in _UNSCALED
    return plain and same(_grid(head.shape, head.affine, None, ()), grid)


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


class _Header(NamedTuple):
    """What a header says; ``shape`` is that of slices, rows and columns, and the affine leads to RAS."""

    shape: tuple[int, int, int]
    offset: int
    dtype: np.dtype[Any]
    scaling: tuple[Optional[float], Optional[float]]
    affine: Floats


def _header(data: bytes) -> _Header:
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    try:
        header = nibabel.Nifti1Header(data[:_HEADER])
        columns, rows, slices = header.get_data_shape()
        offset, dtype = int(header.get_data_offset()), header.get_data_dtype()
        scaling = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except HeaderDataError as error:
        raise ValueError from error
    if dtype.kind not in "iuf" or offset < _HEADER or not np.isfinite(affine).all():
        raise ValueError
    return _Header((slices, rows, columns), offset, dtype, scaling, affine)


def _grid(shape: tuple[int, ...], affine: Floats, frame_of_reference: Optional[str], images: tuple[str, ...]) -> Grid:
    """The grid of an affine that leads from columns, rows and slices to RAS."""
    placed = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    steps: Floats = np.ascontiguousarray(placed[:3, :3].T[::-1])
    return Grid((shape[0], shape[1], shape[2]), placed[:3, 3].copy(), steps, frame_of_reference, images)
