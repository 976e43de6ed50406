"""Masks as NIfTI: the same bytes as ``volumes.nifti`` unpacks to, without packing what is empty."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from .grids import Grid
from .masks import Mask

_GZIP: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"  # deflated, without name and time, by the fastest method
_LAST: Final = b"\x03\0"  # an empty block that says that nothing follows
_PIECE: Final = 1 << 20  # bytes of zeros that are packed at once


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
            if values:
                # Flushed whole, so that nothing behind it looks back: zeros may be put in between.
                file.write(packer.compress(values) + packer.flush(zlib.Z_FULL_FLUSH))
                crc32, size = zlib.crc32(values, crc32), size + len(values)
            for count in (*[_PIECE] * (zeros // _PIECE), zeros % _PIECE):
                file.write(_packed_zeros(count))
                crc32, size = zlib.crc32(memoryview(_zeros())[:count], crc32), size + count
        file.write(_LAST + struct.pack("<LL", crc32, size & 0xFFFFFFFF))
        file.flush()
        os.fsync(file.fileno())


def _pieces(mask: Mask, header: bytes) -> Iterator[tuple[bytes, int]]:
    """What the file holds: bytes, and how many zeros follow them."""
    (slices, rows, columns), (_, height, width) = mask.box, mask.grid.shape
    between = (height - (rows.stop - rows.start)) * width
    yield header, (slices.start * height + rows.start) * width
    whole = np.zeros((rows.stop - rows.start, width), dtype=np.uint8)
    for index, plane in enumerate(mask.values, slices.start):
        whole[:, columns] = plane
        last = index + 1 == slices.stop
        after = (height - rows.stop) * width + (mask.grid.shape[0] - slices.stop) * height * width
        yield whole.tobytes(), after if last else between


@lru_cache(maxsize=1)
def _zeros() -> bytes:
    return bytes(_PIECE)


@lru_cache(maxsize=64)
def _packed_zeros(count: int) -> bytes:
    """So many zeros as blocks of a deflated stream, which may stand anywhere in one."""
    if not count:
        return b""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 8, zlib.Z_RLE)
    return packer.compress(memoryview(_zeros())[:count]) + packer.flush(zlib.Z_FULL_FLUSH)
