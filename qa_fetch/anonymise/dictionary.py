"""What pydicom's dictionary knows of an attribute, by its tag as one number."""

from __future__ import annotations

from functools import lru_cache

# What text is made of; CS is text too, but of words that mean something.
TEXT = frozenset((b"AE", b"CS", b"LO", b"LT", b"PN", b"SH", b"ST", b"UC", b"UR", b"UT"))
NUMBERS = frozenset(
    (b"AT", b"DS", b"FD", b"FL", b"IS", b"OD", b"OF", b"OL", b"OV", b"SL", b"SS", b"SV", b"UL", b"US", b"UV")
)
TIMES = frozenset((b"DA", b"DT", b"TM"))


@lru_cache(maxsize=1 << 14)
def vr_of(tag: int) -> bytes:
    """The VR of a public attribute, the first where several are possible; UN for what is not known, or private."""
    from pydicom.datadict import dictionary_VR

    if tag & 0xFFFF == 0:
        return b"UL"
    if tag >> 16 & 1:
        return b"LO" if 0x10 <= tag & 0xFFFF <= 0xFF else b"UN"
    try:
        return dictionary_VR(tag).split()[0].encode("ascii")
    except KeyError:
        return b"UN"


@lru_cache(maxsize=1 << 14)
def name_of(tag: int) -> str:
    """An attribute's keyword, or its tag where it has none."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
