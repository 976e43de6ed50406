"""Pictures of stored objects as PNG, without numpy: every step over pixels is one that Python does in C."""

from __future__ import annotations

import contextlib
import math
import struct
import sys
import tempfile
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Callable, Optional

from ... import part10
from ...errors import BadArchive
from .. import headers

THUMBNAIL = 160  # pixels of a thumbnail's longer side
_LARGEST = 1 << 26  # pixels of one frame; a few bytes can claim to be any size
_FAR = float(1 << 33)  # beyond every value that a pixel can have
_SAMPLED = 1 << 15  # pixels that are looked at where no window is given
_NATIVE = frozenset((part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE, part10.EXPLICIT_BIG, part10.DEFLATED))
_PIXELS, _MODALITY_TABLE = 0x7FE00010, 0x00283000
_CODES = {2: "H", 4: "I"}
_REVERSED = bytes(range(255, -1, -1))
_COMPRESSED = (
    "its pixels are compressed in a way that this installation cannot read. "
    "Install pylibjpeg with its plugins beside the node, or look at it with a DICOM viewer."
)


class NoPicture(Exception):
    """Why an object cannot be drawn, as a sentence for whoever looks."""


@dataclass(frozen=True)
class _Frame:
    """The pixels of one frame and what they mean."""

    rows: int
    columns: int
    colours: bool
    planar: bool
    inverted: bool
    signed: bool
    allocated: int  # bits; the same two below
    stored: int
    shift: int
    slope: float
    intercept: float
    window: Optional[tuple[float, float]]
    padding: Optional[int]
    pixels: bytes
    swapped: bool


def png(
    path: Path, *, frame: int = 1, size: Optional[int] = None, window: Optional[tuple[float, float]] = None
) -> bytes:
    """One frame of a stored object; NoPicture where there is none to draw.

    Parameters
    ----------
    path
        Its file.
    frame
        Which one, from 1.
    size
        Pixels of the longer side at most; smaller pictures stay as they are.
    window
        Centre and width; otherwise those of the object, and without these all of its values.
    """
    if window is not None and not (math.isfinite(window[0]) and 0 < window[1] < math.inf):
        raise NoPicture("its window makes no sense. Give a centre, and a width above 0.")
    found = _read(path, frame)
    across, down = _scaled(found.columns, found.rows, size)
    if found.colours:
        return _encoded(_colours(found, across, down), across, down, 3)
    values: Sequence[int] = found.pixels
    if found.allocated > 8:
        wide = array(_CODES[found.allocated // 8])
        wide.frombytes(found.pixels)
        if found.swapped:
            wide.byteswap()
        values = wide
    painted = _painter(found, values, window)
    if (across, down) == (found.columns, found.rows):
        return _encoded(painted(values), across, down, 1)
    cells = _picker(found.columns, found.rows, across, down)
    parts = [painted(cells(values, x, y)) for y in (0, 1) for x in (0, 1)]
    return _encoded(bytes([(a + b + c + d) >> 2 for a, b, c, d in zip(*parts)]), across, down, 1)


def thumbnail(path: Path, digest: str, folder: Path) -> bytes:
    """A small picture, kept in a folder under the digest of its object; NoPicture where there is none to draw."""
    kept = folder / digest[:2] / f"{digest}.png"
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        drawn = png(path, size=THUMBNAIL)
    except OSError as error:
        raise NoPicture(f"its thumbnail cannot be read ({error.strerror}). Delete the folder thumbnails.") from None
    _keep(drawn, kept)
    return drawn


def _keep(drawn: bytes, target: Path) -> None:
    """For the next time; where the disk is full, that one draws it again."""
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
            file.write(drawn)
        Path(file.name).replace(target)


def _read(path: Path, number: int) -> _Frame:
    try:
        with path.open("rb") as file, part10.opened(file, "its file") as content:
            if content.transfer_syntax in _NATIVE:
                return _native(content, number)
        return _decompressed(path, number)
    except BadArchive as error:
        raise NoPicture(str(error)) from None
    except OSError as error:
        raise NoPicture(f"its file cannot be read ({error.strerror}). Run: qa-fetch node data verify") from None


def _native(content: part10.Part10, number: int) -> _Frame:
    syntax, data = content.transfer_syntax, content.dataset
    if syntax == part10.DEFLATED:
        syntax, data = part10.EXPLICIT_LITTLE, memoryview(part10.inflated(data))
    order = "big" if syntax == part10.EXPLICIT_BIG else "little"
    values: dict[int, memoryview] = {}
    for element in part10.elements(data, syntax):
        if element.tag >> 16 == 0x0028 or element.tag == _PIXELS:
            values[element.tag] = data[element.value : element.end]
        if element.tag >= _PIXELS:
            break
    return _described(_Attributes(values, order), number)


class _Attributes:
    """The elements of group 0028, as plain values."""

    def __init__(self, values: dict[int, memoryview], order: str) -> None:
        self.values = values
        self.order = order

    def number(self, tag: int, default: int = 0, *, signed: bool = False) -> int:
        raw = bytes(self.values.get(tag, b"")[:2])
        return int.from_bytes(raw, self.order, signed=signed) if len(raw) == 2 else default  # type: ignore[arg-type]

    def text(self, tag: int) -> str:
        return bytes(self.values.get(tag, b"")).decode("ascii", "replace").split("\\")[0].strip(" \0")

    def decimal(self, tag: int) -> Optional[float]:
        try:
            value = float(self.text(tag))
        except ValueError:
            return None
        return value if math.isfinite(value) else None


def _described(given: _Attributes, number: int) -> _Frame:
    pixels = given.values.get(_PIXELS)
    rows, columns = given.number(0x00280010), given.number(0x00280011)
    if pixels is None or not rows or not columns:
        raise NoPicture("it has no pixels.")
    samples, allocated = given.number(0x00280002, 1), given.number(0x00280100)
    photometric = given.text(0x00280004)
    grey = samples == 1 and photometric in ("MONOCHROME1", "MONOCHROME2", "") and allocated in (8, 16, 32)
    if not grey and not (samples == 3 and photometric == "RGB" and allocated == 8):
        raise NoPicture(
            "its pixels are of a sort that is not drawn here (grey values of 8, 16 or 32 bits and RGB are). "
            "Look at it with a DICOM viewer."
        )
    length = rows * columns * samples * allocated // 8
    if rows * columns > _LARGEST or length > len(pixels):
        raise NoPicture("its pixels are fewer than its rows and columns say. Send it again from its source.")
    frames = len(pixels) // length
    said = given.decimal(0x00280008)
    frames = min(frames, max(1, int(said))) if said is not None else 1
    if not 1 <= number <= frames:
        raise NoPicture(f"it has no frame with this number. Ask for one from 1 to {frames}.")
    stored = min(given.number(0x00280101, allocated) or allocated, allocated)
    signed = given.number(0x00280103) == 1
    return _Frame(
        rows=rows,
        columns=columns,
        colours=samples == 3,
        planar=given.number(0x00280006) == 1,
        inverted=photometric == "MONOCHROME1",
        signed=signed,
        allocated=allocated,
        stored=stored,
        shift=min(max(0, given.number(0x00280102, stored - 1) - stored + 1), allocated - stored),
        slope=given.decimal(0x00281053) or 1.0,
        intercept=given.decimal(0x00281052) or 0.0,
        window=_window(given),
        padding=given.number(0x00280120, signed=signed) if 0x00280120 in given.values else None,
        pixels=bytes(pixels[length * (number - 1) : length * number]),
        swapped=given.order != sys.byteorder,
    )


def _window(given: _Attributes) -> Optional[tuple[float, float]]:
    centre, width = given.decimal(0x00281050), given.decimal(0x00281051)
    # With a table of its own, an image's window is in units that are not computed here.
    if centre is None or width is None or width <= 0 or _MODALITY_TABLE in given.values:
        return None
    return centre, width


def _decompressed(path: Path, number: int) -> _Frame:
    """The same of a compressed object, where pydicom finds what it needs for that."""
    dataset = part10.read(path)
    if "PixelData" not in dataset:
        raise NoPicture("it has no pixels.")
    try:
        if int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames") or 1) > _LARGEST:
            raise NoPicture("it is too large to be drawn here. Look at it with a DICOM viewer.")
        dataset.decompress()
        native = part10.encode(dataset, part10.EXPLICIT_LITTLE)
    except (*headers.UNREADABLE, ImportError, OSError, RuntimeError, BadArchive):
        raise NoPicture(_COMPRESSED) from None
    return _native(part10.Part10(part10.EXPLICIT_LITTLE, memoryview(native)), number)


def _painter(
    frame: _Frame, values: Sequence[int], window: Optional[tuple[float, float]]
) -> Callable[[Sequence[int]], bytes]:
    """What turns stored values into levels of grey."""
    low, high = _limits(frame, values, window or frame.window)
    inverted = frame.inverted != (frame.slope < 0)
    if frame.allocated == 32:
        return _scaler(frame, low, high, inverted)
    table = _table(low, high, inverted, frame.signed, frame.stored, frame.shift, frame.allocated)
    if frame.allocated == 8:
        return lambda some: bytes(some).translate(table)
    return lambda some: bytes(map(table.__getitem__, some))


def _limits(frame: _Frame, values: Sequence[int], window: Optional[tuple[float, float]]) -> tuple[float, float]:
    """The stored values that become black and white, the lower one first."""
    if window is None:
        seen = {_value(frame, raw) for raw in values[:: max(1, len(values) // _SAMPLED)]} - {frame.padding}
        return (min(seen), max(seen)) if seen else (0, 0)
    centre, width = window
    # PS3.3 C.11.2.1.2.1: the function of a window of this width ends half a value before and after.
    ends = [
        (end - frame.intercept) / frame.slope
        for end in (centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)
    ]
    return max(min(ends), -_FAR), min(max(ends), _FAR)


def _value(frame: _Frame, raw: int) -> int:
    raw = (raw >> frame.shift) & ((1 << frame.stored) - 1)
    return raw - (1 << frame.stored) if frame.signed and raw >> (frame.stored - 1) else raw


@lru_cache(maxsize=64)
def _table(low: float, high: float, inverted: bool, signed: bool, stored: int, shift: int, allocated: int) -> bytes:
    """The level of each value that a pixel can have as it is stored, whatever its unused bits say."""
    half = 1 << (stored - 1)
    table = _ramp(0, half, low, high) + (_ramp(-half, 0, low, high) if signed else _ramp(half, 2 * half, low, high))
    if shift:
        table = b"".join([table[index : index + 1] * (1 << shift) for index in range(len(table))])
    table *= 1 << (allocated - stored - shift)
    return table.translate(_REVERSED) if inverted else table


def _ramp(first: int, end: int, low: float, high: float) -> bytes:
    """The levels of the values from one up to another, as runs of equal ones."""
    runs, at = [], first
    for level in range(255):
        # The first value of the next level; the whole ramp is one step where low and high are the same.
        after = min(max(math.ceil(low + (high - low) * (level + 0.5) / 255), at), end)
        runs.append(_LEVELS[level] * (after - at))
        at = after
    runs.append(_LEVELS[255] * (end - at))
    return b"".join(runs)


_LEVELS = [bytes((level,)) for level in range(256)]


def _scaler(frame: _Frame, low: float, high: float, inverted: bool) -> Callable[[Sequence[int]], bytes]:
    """For values too many for a table, such as a dose's."""
    scale = 255 / (high - low) if high > low else 0.0

    def scaled(some: Sequence[int]) -> bytes:
        levels = bytes([min(255, max(0, int((_value(frame, raw) - low) * scale + 0.5))) for raw in some])
        return levels.translate(_REVERSED) if inverted else levels

    return scaled


def _scaled(columns: int, rows: int, size: Optional[int]) -> tuple[int, int]:
    longer = max(columns, rows)
    if size is None or longer <= size:
        return columns, rows
    return max(1, columns * size // longer), max(1, rows * size // longer)


def _picker(columns: int, rows: int, across: int, down: int) -> Callable[[Sequence[int], int, int], Any]:
    """Takes one of four points of each cell of a coarser grid, whose mean is close to the cell's."""

    def points(count: int, of: int, which: int) -> list[int]:
        return [(4 * index + 1 + 2 * which) * of // (4 * count) for index in range(count)]

    def cells(values: Sequence[int], x: int, y: int) -> Any:
        picked: Any = array("I" if isinstance(values, array) else "B")
        at = points(across, columns, x)
        pick = itemgetter(*at) if len(at) > 1 else (lambda row: (row[at[0]],))
        for row in points(down, rows, y):
            picked.extend(pick(values[row * columns : (row + 1) * columns]))
        return picked

    return cells


def _colours(frame: _Frame, across: int, down: int) -> bytes:
    pixels, count = frame.pixels, frame.rows * frame.columns
    planes = [pixels[count * n : count * (n + 1)] if frame.planar else pixels[n::3] for n in range(3)]
    if (across, down) != (frame.columns, frame.rows):
        cells = _picker(frame.columns, frame.rows, across, down)
        planes = [bytes(cells(plane, 0, 0)) for plane in planes]
    mixed = bytearray(3 * across * down)
    for number, plane in enumerate(planes):
        mixed[number::3] = plane
    return bytes(mixed)


def _encoded(pixels: bytes, across: int, down: int, samples: int) -> bytes:
    """A PNG file of 8 bits."""
    width = across * samples
    # Each row begins with how it is filtered: not at all.
    rows = b"".join([b"\0" + pixels[at : at + width] for at in range(0, width * down, width)])
    header = struct.pack(">LLBBBBB", across, down, 8, 2 if samples == 3 else 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data)) for kind, data in parts
    )
