"""MATLAB files of version 5, which MATLAB, Octave and scipy read, written without any of them.

Numbers and logicals of any shape, texts, cells of texts and structures of these; each variable compressed, values in
columns first as MATLAB counts. A text is one row, a list of texts one row of cells, a structure is 1 x 1.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Final, Union

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import ConfigError

TEXT: Final = b"MATLAB 5.0 MAT-file, written by qa_fetch"  # the beginning of every file
_LARGEST: Final = (1 << 31) - 1  # bytes of a variable
_AT_ONCE: Final = 1 << 24  # bytes
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_OF_TWO_UNITS: Final = re.compile("[\U00010000-\U0010ffff]")
_KEYWORDS: Final = frozenset(
    "break case catch classdef continue else elseif end for function global if otherwise parfor persistent return spmd "
    "switch try while".split()
)
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8, _UTF16 = 1, 5, 6, 14, 15, 16, 17
_CELL, _STRUCT, _CHAR = 1, 2, 4
_LOGICAL: Final = 0x0200
# What MATLAB calls a number: its class, and the type of what is stored.
_NUMBERS: Final = {
    "i1": (8, 1), "u1": (9, 2), "i2": (10, 3), "u2": (11, 4), "i4": (12, 5), "u4": (13, 6), "i8": (14, 12),
    "u8": (15, 13), "f4": (7, 7), "f8": (6, 9), "b1": (9 | _LOGICAL, 2),
}  # fmt: skip


@dataclass(frozen=True)
class Later:
    """An array that is made only when it is written, so that many of them need the memory of one."""

    shape: tuple[int, ...]
    dtype: DTypeLike
    make: Callable[[], NDArray[Any]]


Value = Union[ArrayLike, Later, str, Sequence[str], Mapping[str, Any]]


def write(file: BinaryIO, variables: Mapping[str, Value]) -> None:
    """Write variables to a file that can be sought in; the same variables give the same bytes.

    Parameters
    ----------
    file
        Open for writing, at its beginning.
    variables
        By their names.

    Raises
    ------
    ConfigError
        A name or a value has no place in such a file; nothing is written then.
    """
    elements = [_element(value, name, name) for name, value in variables.items()]
    file.write(TEXT.ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM")
    for element in elements:
        start = file.tell()
        file.write(struct.pack("<II", _COMPRESSED, 0))
        packer = zlib.compressobj(1)
        for chunk in element.chunks():
            file.write(packer.compress(chunk))
        file.write(packer.flush())
        end = file.tell()
        file.seek(start)
        file.write(struct.pack("<II", _COMPRESSED, end - start - 8))
        file.seek(end)


@dataclass(frozen=True)
class _Element:
    """A piece of a file: how many bytes it has with its head and padding, and these."""

    size: int
    chunks: Callable[[], Iterator[bytes]]


def _element(value: Value, name: str, where: str) -> _Element:
    """A variable, or what lies in one.

    Parameters
    ----------
    value
        What it holds.
    name
        Its own name; empty within a cell or a structure.
    where
        What messages call it.
    """
    if name:
        _check_name(name)
    if isinstance(value, str):
        return _char(value, name, where)
    if isinstance(value, Mapping):
        return _struct(value, name, where)
    if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        cells = [_char(each, "", where) for each in value]
        return _matrix(_CELL, (1, len(cells)), name, cells, where)
    if isinstance(value, Later):
        return _array(value, name, where)
    array = np.asarray(value)
    return _array(Later(array.shape, array.dtype, lambda: array), name, where)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in _KEYWORDS:
        raise ConfigError(
            f"{name!r} can be no name in a MATLAB file. Take a letter, then up to 62 letters, digits and underscores, "
            "and none of MATLAB's own words."
        )


def _matrix(kind: int, shape: Sequence[int], name: str, content: Sequence[_Element], where: str) -> _Element:
    """What MATLAB calls an array, of whatever is in it.

    Parameters
    ----------
    kind
        Its class, with its flags.
    shape
        Two numbers at least.
    name, where
        As in ``_element``.
    content
        What follows its head.
    """
    head = [
        _raw(_UINT32, struct.pack("<II", kind, 0)),
        _raw(_INT32, struct.pack(f"<{len(shape)}i", *shape)),
        _raw(_INT8, name.encode("ascii")),
    ]
    parts = [*head, *content]
    size = sum(part.size for part in parts)
    if size > _LARGEST:
        raise ConfigError(
            f"{where} takes {size / 2**30:.1f} GiB, and a MATLAB file of version 5 holds 2 GiB at most. "
            "Export it as .npz (picklefiles)."
        )

    def chunks() -> Iterator[bytes]:
        yield struct.pack("<II", _MATRIX, size)
        for part in parts:
            yield from part.chunks()

    return _Element(size + 8, chunks)


def _raw(kind: int, data: bytes) -> _Element:
    """Bytes with their head; up to four of them lie within it."""
    if 0 < len(data) <= 4:
        whole = struct.pack("<HH", kind, len(data)) + data.ljust(4, b"\0")
    else:
        whole = struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)
    return _Element(len(whole), lambda: iter((whole,)))


def _char(text: str, name: str, where: str) -> _Element:
    """A text, as MATLAB itself writes it: in UTF-16 where it is more than ASCII.

    Letters that take two of its units become U+FFFD: scipy cannot read a file with such.
    """
    if text.isascii():
        length, stored = len(text), _raw(_UTF8, text.encode("ascii"))
    else:
        data = _OF_TWO_UNITS.sub("\ufffd", text).encode("utf-16-le", "replace")
        length, stored = len(data) // 2, _raw(_UTF16, data)
    return _matrix(_CHAR, (min(length, 1), length), name, [stored], where)


def _struct(fields: Mapping[str, Any], name: str, where: str) -> _Element:
    for field in fields:
        _check_name(field)
    width = max([31, *(len(field) for field in fields)]) + 1
    content = [
        _raw(_INT32, struct.pack("<i", width)),
        _raw(_INT8, b"".join(field.encode("ascii").ljust(width, b"\0") for field in fields)),
        *(_element(value, "", f"{where}.{field}") for field, value in fields.items()),
    ]
    return _matrix(_STRUCT, (1, 1), name, content, where)


def _array(array: Later, name: str, where: str) -> _Element:
    """Numbers; a single one is 1 x 1, a list of them a row."""
    dtype = np.dtype(array.dtype)
    kind = f"{dtype.kind}{dtype.itemsize}"
    if kind not in _NUMBERS:
        raise ConfigError(
            f"{where} holds {dtype}, which has no place in a MATLAB file. Give numbers, texts, lists of texts, or "
            "structures of these."
        )
    matlab, stored = _NUMBERS[kind]
    shape = array.shape if len(array.shape) > 1 else (1, *array.shape) if array.shape else (1, 1)
    return _matrix(matlab, shape, name, [_values(array, shape, dtype.newbyteorder("<"), stored)], where)


def _values(array: Later, shape: tuple[int, ...], dtype: np.dtype[Any], stored: int) -> _Element:
    """The values of an array, columns first, a part of them at a time.

    Parameters
    ----------
    array, shape
        It, and its shape in MATLAB.
    dtype, stored
        What is stored, as numpy and as MATLAB call it.
    """
    count = math.prod(shape) * dtype.itemsize
    if count <= 4:
        return _raw(stored, np.asarray(array.make(), dtype=dtype).tobytes(order="F"))

    def chunks() -> Iterator[bytes]:
        yield struct.pack("<II", stored, count)
        values = np.asarray(array.make()).reshape(shape)
        step = max(1, _AT_ONCE // max(1, count // shape[-1]))
        for at in range(0, shape[-1], step):
            yield np.asarray(values[..., at : at + step], dtype=dtype).tobytes(order="F")
        yield bytes(-count % 8)

    return _Element(8 + count + -count % 8, chunks)
