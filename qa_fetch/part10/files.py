"""The layout of a Part-10 file: preamble, group 2, data set."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from ..errors import BadArchive
from .encoding import EXPLICIT_LITTLE_ENCODING, Broken
from .uids import DEFLATED, IMPLEMENTATION_NAME, IMPLEMENTATION_UID, clean_uid
from .walking import Buffer, Identity, Walker, check


def file_meta(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Preamble, DICM and group 2 for a data set that is kept exactly as it came."""
    before, after = _around_the_instance(sop_class, transfer_syntax)
    instance = _element(0x0003, b"UI", sop_instance.encode("ascii", "replace"))
    length = len(before) + len(instance) + len(after)
    return b"".join((_PREAMBLE, struct.pack("<L", length), before, instance, after))


_PREAMBLE = b"\0" * 128 + b"DICM" + struct.pack("<HH2sH", 2, 0, b"UL", 4)


@lru_cache(maxsize=256)
def _around_the_instance(sop_class: str, transfer_syntax: str) -> tuple[bytes, bytes]:
    """What is the same in the file headers of all objects of a transfer."""
    before = _element(0x0001, b"OB", b"\x00\x01") + _element(0x0002, b"UI", sop_class.encode("ascii", "replace"))
    after = (
        _element(0x0010, b"UI", transfer_syntax.encode("ascii", "replace"))
        + _element(0x0012, b"UI", IMPLEMENTATION_UID.encode())
        + _element(0x0013, b"SH", IMPLEMENTATION_NAME)
    )
    return before, after


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    if len(value) > 0xFFFE:
        raise BadArchive("an object has a UID of more than 65534 characters. Leave it out.")
    value += (b"\0" if vr in (b"UI", b"OB") else b" ") * (len(value) % 2)
    if vr == b"OB":
        return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


@dataclass(frozen=True)
class Part10:
    """A Part-10 file split where its data set begins."""

    transfer_syntax: str
    dataset: memoryview

    def identity(self) -> Identity:
        """Check the data set and say what it is."""
        return check(self.dataset, self.transfer_syntax)


def split(data: Buffer, name: str) -> Part10:
    """Find the data set behind the preamble and group 2 of a file's bytes; ``name`` is for the message only."""
    view = memoryview(data)
    if bytes(view[128:132]) != b"DICM":
        raise BadArchive(f"{name} is not a DICOM Part-10 file. Leave it out, or convert it first.")
    walker, at, end, syntax = Walker(view), 132, 0, ""
    try:
        while at < len(view):
            if syntax == DEFLATED and at == end:
                break  # packed bytes may look like one more element of group 2
            tag, vr, start, length = walker.element(at, EXPLICIT_LITTLE_ENCODING)
            if tag[0] != 2:
                break
            at = walker.end_of(vr, start, length, EXPLICIT_LITTLE_ENCODING)
            if tag == (2, 0x0000) and length == 4:
                end = at + int.from_bytes(view[start:at], "little")
            if tag == (2, 0x0010):
                syntax = clean_uid(bytes(view[start:at]).decode("ascii", "replace"))
    except Broken:
        raise BadArchive(f"{name} is cut short in its file header. Fetch or export it again.") from None
    if not syntax:
        raise BadArchive(f"{name} does not say its transfer syntax. Export it again from its source.")
    return Part10(syntax, view[at:])


@contextlib.contextmanager
def opened(file: BinaryIO, name: str) -> Iterator[Part10]:
    """The same for an open file of any size, which is mapped and not read into memory."""
    if not os.fstat(file.fileno()).st_size:
        raise BadArchive(f"{name} is empty. Fetch or export it again.")
    # Not closed by hand: that fails while an error's traceback still looks into it. It goes with its last view.
    yield split(mmap(file.fileno(), 0, access=ACCESS_READ), name)
