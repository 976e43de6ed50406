"""A Part-10 file on its way from an archive into a claim: its header is read, its data set handed on as it comes."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ...errors import BadArchive
from ...part10 import clean_uid
from ...shelf import Claim, Taken
from .multipart import Stretch

_LONGEST_HEADER = 1 << 16
_START = 132
_GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_NOTED = (0x02, 0x03, 0x10)  # class, instance, transfer syntax
_HEAD = struct.Struct("<HH2sH")
_LONG = struct.Struct("<L")
_LONG_VRS = (b"OB", b"OW", b"UN", b"UT", b"OF", b"SQ", b"UC", b"UR")


class _Header(NamedTuple):
    sop_class: str
    instance: str
    transfer_syntax: str
    length: int


def receive(stretch: Stretch, claim: Claim, name: str) -> Taken:
    """Bring one object into the claim; what nobody wants is left to whoever owns the stretch.

    Raises
    ------
    BadArchive
        It is not a DICOM file, or not what its header says.
    """
    header = _header(stretch, name)
    stretch.take(header.length)
    incoming = claim.begin(header.sop_class, header.instance, header.transfer_syntax)
    if incoming is None:
        return Taken.UNWANTED
    try:
        while True:
            ahead = stretch.ahead()
            if ahead:
                incoming.write([ahead])
                stretch.take(len(ahead))
            elif not stretch.more():
                break
        return incoming.finish()
    finally:
        incoming.close()


def _header(stretch: Stretch, name: str) -> _Header:
    """What stands before the data set; most files say first how long it is."""
    if not _has(stretch, _START) or bytes(stretch.ahead()[128:_START]) != b"DICM":
        raise BadArchive(f"{name} sent something that is not a DICOM file. Report it to its administrator.")
    _has(stretch, _START + 12)
    end = _LONGEST_HEADER
    if bytes(stretch.ahead()[_START : _START + 8]) == _GROUP_LENGTH:
        end = _START + 12 + _LONG.unpack_from(stretch.ahead(), _START + 8)[0]
        if end > _LONGEST_HEADER or not _has(stretch, end):
            raise _cut(name)
    else:
        _has(stretch, _LONGEST_HEADER)
    found: dict[int, str] = {}
    ahead = stretch.ahead()
    try:
        end = _walk(ahead, min(end, len(ahead)), found)
    except struct.error:
        raise _cut(name) from None
    if end > len(ahead) or not (found.get(0x02) and found.get(0x03) and found.get(0x10)):
        raise _cut(name)
    return _Header(found[0x02], found[0x03], found[0x10], end)


def _walk(ahead: memoryview, end: int, found: dict[int, str]) -> int:
    """Step over group 2 and note what matters; where the data set begins."""
    at = _START
    while at < end:
        group, number, vr, length = _HEAD.unpack_from(ahead, at)
        if group != 2:
            break
        start = at + 8
        if vr in _LONG_VRS:
            length, start = _LONG.unpack_from(ahead, start)[0], at + 12
        at = start + length
        if number in _NOTED:
            found[number] = clean_uid(bytes(ahead[start:at]).decode("ascii", "replace"))
    return at


def _has(stretch: Stretch, count: int) -> bool:
    """Wait until that many bytes are ahead; False when the object is shorter."""
    while len(stretch.ahead()) < count:
        if not stretch.more():
            return False
    return True


def _cut(name: str) -> BadArchive:
    return BadArchive(
        f"{name} sent an object whose file header is cut short or does not name it. Report it to its administrator."
    )
