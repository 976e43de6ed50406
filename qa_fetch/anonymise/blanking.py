"""Regions of native pixels set to black, and the text that lies in the segments of compressed ones."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import BadArchive
from ..part10 import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Buffer

if TYPE_CHECKING:
    from .pixels import Header

NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED))
_ONE_SAMPLE = frozenset(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"))
_THREE_SAMPLES = frozenset(("RGB", "YBR_FULL"))


class Region(NamedTuple):
    """A rectangle of an image, in pixels from its top left."""

    x: int
    y: int
    width: int
    height: int


def obstacle(header: Header, regions: Sequence[Region]) -> str:
    """Why these regions of an object cannot be blanked and what to do; "" where they can."""
    if not header.native:
        return (
            "the text in an image's pixels cannot be blanked while they are compressed. "
            "Decompress it first (dcmdjpeg, dcmdjpls or dcmdrle), then anonymise it again."
        )
    photometric, samples = header.PhotometricInterpretation, header.SamplesPerPixel
    if photometric not in (_ONE_SAMPLE if samples == 1 else _THREE_SAMPLES if samples == 3 else ()):
        return _unknown(f"{samples} samples and the PhotometricInterpretation {photometric[:16] or 'missing'}")
    if header.BitsAllocated not in (8, 16, 32):
        return _unknown(f"BitsAllocated {header.BitsAllocated}")
    if header.BitsAllocated == 8 and header.transfer_syntax == EXPLICIT_BIG and photometric == "YBR_FULL":
        return _unknown("YBR_FULL in big-endian words")
    outside = any(region.x >= header.Columns or region.y >= header.Rows for region in regions)
    if outside:  # else it would be passed on with its text, since the rule is for images of another size
        return (
            "a region of a device rule lies outside of an image. "
            "Give rows and columns in the rule, and write another one for images of this size."
        )
    return ""


def _unknown(what: str) -> str:
    return f"the text in an image's pixels cannot be blanked with {what}. Leave it out, or blank it by hand."


def blanked(pixels: Buffer, header: Header, regions: Sequence[Region]) -> bytes:
    """Native pixels with these regions black in every frame; regions are clipped to the image.

    Parameters
    ----------
    pixels
        The value of PixelData.
    header
        What the object says of its pixels; ``obstacle`` has found nothing against it.
    regions
        What is blanked.
    """
    view = memoryview(pixels)
    size = header.BitsAllocated // 8
    planes = header.SamplesPerPixel if header.PlanarConfiguration == 1 else 1
    step = size * header.SamplesPerPixel // planes  # from one pixel to the next
    plane = header.Rows * header.Columns * step
    needed = plane * planes * header.NumberOfFrames
    if not needed or len(view) - needed not in (0, needed % 2):
        raise BadArchive(
            f"an image has {len(view)} bytes of pixels where its Rows, Columns and NumberOfFrames ask for {needed}. "
            "Fetch or export it again."
        )
    black = _black(header)
    spans = _spans(header, regions, step)
    if size == 1 and header.transfer_syntax == EXPLICIT_BIG:
        spans = _whole_words(spans, plane, planes * header.NumberOfFrames, len(view))
        return b"".join(_pieces(view, spans, [[black[:1] * (end - start) for start, end in spans]], needed, 1))
    samples = [black[at : at + size] for at in range(0, len(black), size)] if planes > 1 else [black]
    filled = [[value * ((end - start) // step) for start, end in spans] for value in samples]
    return b"".join(_pieces(view, spans, filled, plane, planes * header.NumberOfFrames))


def _pieces(
    view: memoryview, spans: Sequence[tuple[int, int]], fills: Sequence[Sequence[bytes]], plane: int, count: int
) -> Iterator[Buffer]:
    """What stands between the spans of every plane as it is, and each span filled.

    Parameters
    ----------
    view
        The pixels.
    spans
        What is filled, from and to, within a plane.
    fills
        What it is filled with, for each plane of a frame.
    plane, count
        How long a plane is, and how many there are.
    """
    at = 0
    for number in range(count):
        first = number * plane
        for (start, end), fill in zip(spans, fills[number % len(fills)]):
            yield view[at : first + start]
            yield fill
            at = first + end
    yield view[at:]


def _spans(header: Header, regions: Sequence[Region], step: int) -> list[tuple[int, int]]:
    """The bytes of a plane that these regions cover: sorted, merged, from and to."""
    spans: set[tuple[int, int]] = set()
    for region in regions:
        left, right = max(region.x, 0), min(region.x + region.width, header.Columns)
        top, bottom = max(region.y, 0), min(region.y + region.height, header.Rows)
        if left < right:
            rows = range(top, bottom)
            spans.update(((row * header.Columns + left) * step, (row * header.Columns + right) * step) for row in rows)
    return _merged(sorted(spans))


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _whole_words(spans: Sequence[tuple[int, int]], plane: int, count: int, length: int) -> list[tuple[int, int]]:
    """The spans of all planes, widened to whole words: bytes of big-endian OW are swapped within these.

    Parameters
    ----------
    spans
        What is filled, from and to, within a plane.
    plane, count
        How long a plane is, and how many there are.
    length
        How long the pixels are, with their padding.
    """
    every = ((number * plane + start, number * plane + end) for number in range(count) for start, end in spans)
    return _merged([(start - start % 2, min(end + end % 2, length)) for start, end in every])


def _black(header: Header) -> bytes:
    """One black pixel, as it is stored."""
    stored = min(header.BitsStored or header.BitsAllocated, header.BitsAllocated)
    shift = max(header.HighBit + 1 - stored, 0) if header.HighBit < header.BitsAllocated else 0
    values = [0] * header.SamplesPerPixel
    if header.PhotometricInterpretation == "MONOCHROME1":
        values = [(1 << (stored - (header.PixelRepresentation == 1))) - 1]
    elif header.PhotometricInterpretation == "YBR_FULL":
        values = [0, 1 << (stored - 1), 1 << (stored - 1)]
    order: Literal["big", "little"] = "big" if header.transfer_syntax == EXPLICIT_BIG else "little"
    return b"".join((value << shift).to_bytes(header.BitsAllocated // 8, order) for value in values)


_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_JPEG, _CODESTREAM, _BOXES = b"\xff\xd8", b"\xff\x4f", b"\0\0\0\x0c"
# In the entropy-coded bytes of JPEG and JPEG-LS no FF is followed by one of these.
_AFTER_SCAN = re.compile(rb"\xff[\xd9\xe0-\xef\xfe]")
_SCAN, _APP, _COMMENT, _END = 0xDA, range(0xE0, 0xF0), 0xFE, 0xD9
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))


def comments_in(pixels: Buffer, transfer_syntax: str) -> Iterator[bytes]:
    """The comments, application segments and trailers of compressed pixels; lengths that lie end the search."""
    if transfer_syntax in NATIVE:
        return
    for fragment in _fragments(memoryview(pixels)):
        beginning = bytes(fragment[:4])
        if beginning.startswith(_JPEG):
            yield from _in_jpeg(fragment)
        elif beginning.startswith(_CODESTREAM):
            yield from _in_codestream(fragment)
        elif beginning == _BOXES:
            yield from _in_boxes(fragment)


def _fragments(view: memoryview) -> Iterator[memoryview]:
    at = 0
    while at + 8 <= len(view) and bytes(view[at : at + 4]) == _ITEM:
        end = at + 8 + int(struct.unpack_from("<L", view, at + 4)[0])
        yield view[at + 8 : end]
        at = end


def _in_jpeg(view: memoryview) -> Iterator[bytes]:
    at = 2
    while at + 4 <= len(view) and view[at] == 0xFF:
        marker = view[at + 1]
        if marker == _END:
            break
        if marker == 0xFF or marker in _ALONE:  # a fill byte, or a marker without a segment
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + max(int(struct.unpack_from(">H", view, at + 2)[0]), 2)
        if marker == _COMMENT or marker in _APP:
            yield bytes(view[at + 4 : end])
        at = end
        if marker == _SCAN:
            found = _AFTER_SCAN.search(view, at)
            if found is None:
                return
            at = found.start()
    yield from _trailer(view, at)


def _trailer(view: memoryview, at: int) -> Iterator[bytes]:
    """What follows the end of an image, where that is more than its padding."""
    if bytes(view[at : at + 2]) == b"\xff\xd9":
        rest = bytes(view[at + 2 :]).strip(b"\0 \xff")
        if rest:
            yield rest


_TILE, _TILE_DATA, _CODESTREAM_COMMENT = 0x90, 0x93, 0x64


def _in_codestream(view: memoryview) -> Iterator[bytes]:
    """The comments of a JPEG 2000 codestream: in its header, and in those of its tiles."""
    at, tile_end = 2, 0
    while at + 4 <= len(view) and view[at] == 0xFF:
        marker = view[at + 1]
        if marker == _END:
            break
        if marker == _TILE_DATA:
            if tile_end <= at:
                return
            at = tile_end
            continue
        if marker == _TILE and at + 10 <= len(view):
            length = int(struct.unpack_from(">L", view, at + 6)[0])
            tile_end = at + length if length else len(view)
        end = at + 2 + max(int(struct.unpack_from(">H", view, at + 2)[0]), 2)
        if marker == _CODESTREAM_COMMENT:
            yield bytes(view[at + 6 : end])  # after the two bytes that say which sort of comment
        at = end
    yield from _trailer(view, at)


def _in_boxes(view: memoryview) -> Iterator[bytes]:
    """The boxes of a JP2 or JPEG XL file that some writers put where only a codestream belongs."""
    at = 0
    while at + 8 <= len(view):
        length, name = struct.unpack_from(">L4s", view, at)
        end = at + length if length >= 8 else len(view)
        if name == b"jp2c":
            yield from _in_codestream(view[at + 8 : end])
        elif name not in (b"jxlc", b"jxlp"):
            yield bytes(view[at + 8 : end])
        at = end
