"""Masks as NIfTI: the same bytes as ``volumes.nifti`` unpacks to, without packing what is empty."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Optional

import numpy as np
from numpy.typing import NDArray

from .grids import Grid
from .masks import Mask

_GZIP: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"  # deflated, without name and time, by the fastest method
_LAST: Final = b"\x03\0"  # an empty block that says that nothing follows
_FLUSHED: Final = b"\0\0\xff\xff"  # the end of what was flushed whole
_HEADER: Final = 352  # bytes with what follows it: that there are no extensions
_PIECE: Final = 1 << 20  # bytes of zeros that are packed at once
Box = tuple[slice, slice, slice]


def head(grid: Grid) -> bytes:
    """The header of every mask on a grid: RAS from DICOM's LPS."""
    import nibabel

    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    nothing = np.broadcast_to(np.zeros((), dtype=np.uint8), grid.shape[::-1])
    image = nibabel.Nifti1Image(nothing, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1, 0)
    written = io.BytesIO()
    image.header.write_to(written)
    return written.getvalue()


def nifti(mask: Mask, path: Path, header: bytes) -> None:
    """Write a mask of 0 and 1; one gzip member, since not every reader goes on to a second one.

    Parameters
    ----------
    mask
        The mask.
    path
        A new file, ``.nii.gz``.
    header
        Of its grid (``head``).
    """
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 8, zlib.Z_RLE)
    crc32, size = 0, 0
    with path.open("wb") as file:
        file.write(_GZIP)
        for values, zeros in _pieces(mask, header):
            # Flushed whole, so that nothing behind it looks back: zeros may be put in between.
            file.write(packer.compress(values) + packer.flush(zlib.Z_FULL_FLUSH))
            crc32, size = zlib.crc32(values, crc32), size + len(values)
            for count in _portions(zeros):
                file.write(_packed_zeros(count))
                crc32, size = zlib.crc32(memoryview(_zeros())[:count], crc32), size + count
        file.write(_end(crc32, size))
        file.flush()
        os.fsync(file.fileno())


def unpacked(packed: bytes, shape: Sequence[int], box: Box) -> Optional[tuple[bytes, NDArray[np.bool_]]]:
    """The header and the box of a mask that ``nifti`` wrote; None where a file is anything else, also a damaged one.

    All is compared up to the checksum, but zeros are not unpacked: they have to be the bytes that ``nifti`` writes.

    Parameters
    ----------
    packed
        The whole file.
    shape
        Of its grid.
    box
        Outside of which all is zero.
    """
    if not all(0 <= each.start < each.stop <= size for each, size in zip(box, shape)):
        return None
    slices, rows, columns = (each.stop - each.start for each in box)
    at, crc32, size, parts = len(_GZIP), 0, 0, list[bytes]()
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    for zeros, wanted in zip(_gaps(shape, box), [_HEADER, *[rows * shape[2]] * slices]):
        between = b"".join(map(_packed_zeros, _portions(zeros)))
        end = packed.find(_FLUSHED + between, at) + len(_FLUSHED)
        if end < at:
            return None
        try:
            parts.append(unpacker.decompress(packed[at:end], wanted + 1))
        except zlib.error:
            return None
        if len(parts[-1]) != wanted:
            return None
        at, size = end + len(between), size + wanted + zeros
        crc32 = zlib.crc32(parts[-1], crc32)
        for count in _portions(zeros):
            crc32 = zlib.crc32(memoryview(_zeros())[:count], crc32)
    if packed[: len(_GZIP)] != _GZIP or packed[at:] != _end(crc32, size):
        return None
    whole = np.frombuffer(b"".join(parts[1:]), dtype=np.uint8).reshape(slices, rows, shape[2]) != 0
    within = whole[:, :, box[2]].copy()
    return (parts[0], within) if np.count_nonzero(within) == np.count_nonzero(whole) else None


def _end(crc32: int, size: int) -> bytes:
    return _LAST + struct.pack("<LL", crc32, size & 0xFFFFFFFF)


def _portions(zeros: int) -> Iterator[int]:
    """The numbers in which so many zeros are packed."""
    yield from [_PIECE] * (zeros // _PIECE)
    if zeros % _PIECE:
        yield zeros % _PIECE


def _pieces(mask: Mask, header: bytes) -> Iterator[tuple[bytes, int]]:
    """What the file holds: bytes, and how many zeros follow them."""
    _, rows, columns = mask.box
    gaps = _gaps(mask.grid.shape, mask.box)
    yield header, next(gaps)
    whole = np.zeros((rows.stop - rows.start, mask.grid.shape[2]), dtype=np.uint8)
    for plane, zeros in zip(mask.values, gaps):
        whole[:, columns] = plane
        yield whole.tobytes(), zeros


def _gaps(shape: Sequence[int], box: Box) -> Iterator[int]:
    """How many zeros follow the header, and each slice of the box."""
    (slices, rows, _), (depth, height, width) = box, shape
    yield (slices.start * height + rows.start) * width
    for _ in range(slices.start + 1, slices.stop):
        yield (height - (rows.stop - rows.start)) * width
    yield (height - rows.stop) * width + (depth - slices.stop) * height * width


@lru_cache(maxsize=1)
def _zeros() -> bytes:
    return bytes(_PIECE)


@lru_cache(maxsize=64)
def _packed_zeros(count: int) -> bytes:
    """So many zeros as blocks of a deflated stream, which may stand anywhere in one."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 8, zlib.Z_RLE)
    return packer.compress(memoryview(_zeros())[:count]) + packer.flush(zlib.Z_FULL_FLUSH)
