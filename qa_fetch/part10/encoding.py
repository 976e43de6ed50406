"""How elements are laid out in a transfer syntax, and what makes a data set one that cannot be followed."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from .uids import EXPLICIT_BIG, IMPLICIT_LITTLE

LONG_VRS: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
UNDEFINED: Final = 0xFFFFFFFF
DEEPEST: Final = 64  # sequences nested deeper than this are an attack, not a treatment
_LONGEST_SHORT: Final = 0xFFFE
_PADDED_WITH_NUL: Final = frozenset((b"OB", b"UI", b"UN"))

CUT_SHORT: Final = "is cut short: it ends in the middle of an element. Fetch or export it again."
TOO_DEEP: Final = f"nests sequences deeper than {DEEPEST} levels. Leave it out, or export it again from its source."
GARBLED: Final = "is garbled: something stands between the items of a sequence. Export it again from its source."
_TOO_LONG: Final = "has a value that does not fit into its element any more. Convert it first (DCMTK: dcmconv +ti)."


class Broken(Exception):
    """The walk cannot go on; the text says why and what to do."""


class Encoding(NamedTuple):
    """How the elements of a transfer syntax are laid out."""

    explicit: bool
    tag: Struct
    short: Struct
    long: Struct
    head: Struct
    long_head: Struct
    bare_head: Struct

    @classmethod
    def of(cls, transfer_syntax: str) -> Encoding:
        """The layout of a transfer syntax; all but two are explicit little endian."""
        return _ENCODINGS.get(transfer_syntax, EXPLICIT_LITTLE_ENCODING)

    def header(self, tag: int, vr: bytes, length: int) -> bytes:
        """What stands before a value of this length."""
        group, number = tag >> 16, tag & 0xFFFF
        if not self.explicit or group == 0xFFFE:
            return self.bare_head.pack(group, number, length)
        if vr in LONG_VRS:
            return self.long_head.pack(group, number, vr, length)
        if length > _LONGEST_SHORT:
            raise Broken(_TOO_LONG)
        return self.head.pack(group, number, vr, length)

    def element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        """A whole element, its value made even."""
        if len(value) % 2:
            value += b"\0" if vr in _PADDED_WITH_NUL else b" "
        return self.header(tag, vr, len(value)) + value


def _encoding(explicit: bool, order: str) -> Encoding:
    return Encoding(explicit, *(Struct(order + layout) for layout in ("HH", "H", "L", "HH2sH", "HH2s2xL", "HHL")))


IMPLICIT_LITTLE_ENCODING = _encoding(False, "<")
EXPLICIT_LITTLE_ENCODING = _encoding(True, "<")
_ENCODINGS = {IMPLICIT_LITTLE: IMPLICIT_LITTLE_ENCODING, EXPLICIT_BIG: _encoding(True, ">")}
