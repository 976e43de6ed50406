"""WADO-RS: frames and other long values, as they are stored."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from .... import part10
from ... import headers
from . import media
from .answering import Refused, joined
from .dicom_json import vr_of
from .held import Held, found
from .joined import Piece, Stretch
from .wado import PIXELS, Parts, plain

_MEDIA = {
    **dict.fromkeys(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57"), "image/jpeg"),
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    **dict.fromkeys(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"), "image/jls"),
    **dict.fromkeys(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"), "image/jp2"),
    **dict.fromkeys(("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"), "image/jpx"),
    **{f"1.2.840.10008.1.2.4.{number}": "image/jphc" for number in (201, 202, 203)},
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
_ITEM = (0xFFFE, 0xE000)
_FRAMES = re.compile(r"[0-9]{1,6}(,[0-9]{1,6}){0,999}\Z")
_PATH = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,16}\Z")
_NO_SUCH = "this object has no such value. The addresses of its values stand in its metadata."
_BIG_ENDIAN = (
    "this object is stored in big endian, and its values would be misread. Fetch the whole object instead of them."
)
_AS_STORED = "these values are sent as they are stored only. Accept multipart/related; type="
_GROUP = 0x0028


@dataclass(frozen=True)
class _Pixels:
    """The pixels of an object: each frame as the pieces that it is stored in, and what they are."""

    frames: Sequence[Sequence[Piece]]
    media_type: str


@dataclass(frozen=True)
class _Open:
    """An object whose values are looked for."""

    data: memoryview
    transfer_syntax: str
    path: str
    start: int  # of the data set in the file; below 0 where that is deflated

    def piece(self, start: int, end: int) -> Piece:
        """A part of the data set, in the file if it stands there as it is."""
        if self.start < 0:
            return self.data[start:end]
        return Stretch(self.path, self.start + start, end - start)


def frames(request: HttpRequest, numbers: str, **uids: str) -> HttpResponseBase:
    """Some frames of an object."""
    if not _FRAMES.match(numbers):
        raise Refused(400, "frames are asked for as numbers from 1, separated by commas.")
    held = found(uids)[0]
    with _opened(held) as opened:
        pixels = _pixels(opened)
    some = []
    for number in map(int, numbers.split(",")):
        if not 1 <= number <= len(pixels.frames):
            raise Refused(404, f"this object has no such frame. Ask for frames from 1 to {len(pixels.frames)}.")
        some.append(pixels.frames[number - 1])
    return _sent(request, some, pixels.media_type, held.TransferSyntaxUID)


def bulk(request: HttpRequest, where: str, **uids: str) -> HttpResponseBase:
    """One long value of an object, named by its tag and those of the sequences that lead to it."""
    held = found(uids)[0]
    if not _PATH.match(where):
        raise Refused(404, _NO_SUCH)
    first, *rest = where.split("/")
    with _opened(held) as opened:
        element = next(
            (each for each in part10.elements(opened.data, opened.transfer_syntax) if each.tag == int(first, 16)), None
        )
        if element is None:
            raise Refused(404, _NO_SUCH)
        if opened.transfer_syntax == part10.EXPLICIT_BIG:
            raise Refused(406, _BIG_ENDIAN)
        if element.tag in PIXELS and held.TransferSyntaxUID in _MEDIA:
            pixels = _pixels(opened)
            return _sent(request, pixels.frames, pixels.media_type, held.TransferSyntaxUID)
        vr = element.vr.decode("ascii", "replace") or vr_of(element.tag)
        if rest:
            encoded = bytes(opened.data[element.start : element.end])
            pieces: list[Piece] = [_nested(part10.decode(encoded, opened.transfer_syntax), [first, *rest])]
        elif vr == "SQ":
            raise Refused(404, _NO_SUCH)
        else:
            pieces = [opened.piece(element.value, element.end)]
    return _sent(request, [pieces], media.OCTETS, part10.EXPLICIT_LITTLE)


def _sent(
    request: HttpRequest, some: Sequence[Sequence[Piece]], media_type: str, transfer_syntax: str
) -> HttpResponseBase:
    """Values as the parts of an answer, or a single one by itself where a client prefers that."""
    syntax = transfer_syntax if media_type != media.OCTETS else part10.EXPLICIT_LITTLE
    for accepted in media.accepted(request.headers.get("Accept", "")):
        asked = accepted.transfer_syntax
        if asked not in ("", "*", syntax):
            continue
        # Viewers ask for octets in any transfer syntax where they mean what is stored.
        kinds = [media_type, *([media.OCTETS] if asked else [])]
        if accepted.covers(media.MULTIPART) and any(media.covers(accepted.inner, kind) for kind in kinds):
            parts, pieces = Parts(media_type), []
            for each in some:
                length = sum(piece.length if isinstance(piece, Stretch) else len(piece) for piece in each)
                pieces += [parts.head(f"{media_type}; transfer-syntax={syntax}", length), *each]
            return joined(request, [*pieces, parts.end], parts.media_type)
        if len(some) == 1 and any(accepted.covers(kind) for kind in kinds):
            return joined(request, some[0], media_type)
    raise Refused(406, f'{_AS_STORED}"{media_type}".')


@contextmanager
def _opened(held: Held) -> Iterator[_Open]:
    with held.opened() as content:
        data, syntax = plain(content)
        file = held.file()
        start = file.length - len(content.dataset) if content.transfer_syntax != part10.DEFLATED else -1
        yield _Open(data, syntax, file.path, start)


def _pixels(opened: _Open) -> _Pixels:
    """Where the frames of an object begin and end."""
    group, pixels = [], None
    for element in part10.elements(opened.data, opened.transfer_syntax):
        if element.tag >> 16 == _GROUP:
            group.append(opened.data[element.start : element.end])
        if element.tag in PIXELS:
            pixels = element
            break
    if pixels is None:
        raise Refused(404, "this object has no frames. Fetch its metadata.")
    if opened.transfer_syntax == part10.EXPLICIT_BIG:
        raise Refused(406, _BIG_ENDIAN)
    described = headers.readable(part10.decode(b"".join(group), opened.transfer_syntax))
    count = max(1, int(described.get("NumberOfFrames") or 1))
    if opened.transfer_syntax in (part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE):
        return _Pixels(_plain_frames(opened, pixels, described, count), media.OCTETS)
    kind = _MEDIA.get(opened.transfer_syntax)
    if kind is None:
        raise Refused(406, "this object's transfer syntax has no frames that can be told apart. Fetch it as a whole.")
    return _Pixels(_compressed_frames(opened, pixels, count), kind)


def _plain_frames(opened: _Open, pixels: part10.Element, described: Any, count: int) -> list[list[Piece]]:
    bits = 1
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        bits *= _whole(described, keyword)
    bits *= int(described.get("SamplesPerPixel") or 1)
    length, rest = divmod(bits, 8)
    if not length or (rest and count > 1) or (length + bool(rest)) * count > pixels.end - pixels.value:
        raise Refused(406, "this object has not the pixels that its header says. Fetch it as a whole.")
    length += bool(rest)
    starts = [pixels.value + number * length for number in range(count)]
    return [[opened.piece(start, start + length)] for start in starts]


def _whole(described: Any, keyword: str) -> int:
    value = described.get(keyword)
    return value if isinstance(value, int) else 0


def _compressed_frames(opened: _Open, pixels: part10.Element, count: int) -> list[list[Piece]]:
    (table_start, table_end), *fragments = _items(opened.data, pixels)
    if count == 1:
        groups = [fragments]
    elif len(fragments) == count:
        groups = [[fragment] for fragment in fragments]
    else:
        offsets = struct.unpack(f"<{(table_end - table_start) // 4}L", opened.data[table_start:table_end])
        groups = _grouped(fragments, offsets, count)
    return [[opened.piece(start, end) for start, end in group] for group in groups]


def _grouped(fragments: Sequence[tuple[int, int]], offsets: Sequence[int], count: int) -> list[list[tuple[int, int]]]:
    """The fragments of each frame, by where the table says that frames begin."""
    groups: list[list[tuple[int, int]]] = []
    for start, end in fragments:
        if start - 8 - (fragments[0][0] - 8) in offsets:
            groups.append([])
        if groups:
            groups[-1].append((start, end))
    if len(groups) != count:
        raise Refused(406, "this object does not say where its frames begin. Fetch it as a whole.")
    return groups


def _items(data: memoryview, pixels: part10.Element) -> list[tuple[int, int]]:
    """Where the items of encapsulated pixels begin and end, the table of offsets first."""
    found_items, at = [], pixels.value
    while at + 8 <= pixels.end:
        group, number, length = struct.unpack_from("<HHL", data, at)
        if (group, number) != _ITEM or at + 8 + length > pixels.end:
            break
        found_items.append((at + 8, at + 8 + length))
        at += 8 + length
    if len(found_items) < 2:
        raise Refused(406, "this object's pixels are not as its transfer syntax says. Fetch it as a whole.")
    return found_items


def _nested(dataset: Any, path: Sequence[str]) -> bytes:
    """The bytes of a value inside sequences."""
    try:
        for name, number in zip(path[:-1:2], path[1::2]):
            dataset = dataset[int(name, 16)].value[int(number) - 1]
        value = dataset[int(path[-1], 16)].value
    except (IndexError, *headers.UNREADABLE):
        raise Refused(404, _NO_SUCH) from None
    if not isinstance(value, bytes):
        raise Refused(404, _NO_SUCH)
    return value
