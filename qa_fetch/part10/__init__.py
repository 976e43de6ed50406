"""Part-10 files: from the bytes of the wire to the disk and back."""

from __future__ import annotations

from .codec import decode, encode, read, transcode, write
from .files import Part10, file_meta, opened, split
from .uids import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLEMENTATION_NAME,
    IMPLEMENTATION_UID,
    IMPLICIT_LITTLE,
    clean_uid,
    file_stem,
    plain,
)
from .walking import Buffer, Element, Identity, check, check_beginning, deflated, elements, inflated, items, walk

__all__ = [
    "DEFLATED",
    "EXPLICIT_BIG",
    "EXPLICIT_LITTLE",
    "IMPLEMENTATION_NAME",
    "IMPLEMENTATION_UID",
    "IMPLICIT_LITTLE",
    "Buffer",
    "Element",
    "Identity",
    "Part10",
    "check",
    "check_beginning",
    "clean_uid",
    "decode",
    "deflated",
    "elements",
    "encode",
    "file_meta",
    "file_stem",
    "inflated",
    "items",
    "opened",
    "plain",
    "read",
    "split",
    "transcode",
    "walk",
    "write",
]
