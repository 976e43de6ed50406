"""Answers as they go over the wire, put together of the bytes that the index keeps."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Optional

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset

from .. import part10
from ..errors import BadArchive
from . import headers
from .query import UNIQUE, Query

_LEVEL, _AE_TITLE, _AVAILABILITY = 0x00080052, 0x00080054, 0x00080056
_EXPLICIT, _LONG, _IMPLICIT = struct.Struct("<HH2sH"), struct.Struct("<HH2sxxL"), struct.Struct("<HHL")
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))


class Plan:
    """How the answers to one query are put together, where neither text nor sequences have to be encoded anew.

    Parameters
    ----------
    query
        The query.
    ae_title
        What the node is called.
    transfer_syntax
        That of the answers.
    """

    def __init__(self, query: Query, ae_title: str, transfer_syntax: str) -> None:
        self.transfer_syntax = transfer_syntax
        self.possible = transfer_syntax in (part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE)
        self._implicit = transfer_syntax == part10.IMPLICIT_LITTLE
        own = {_LEVEL: query.level, _AE_TITLE: ae_title}
        if _AVAILABILITY in query.tags:
            own[_AVAILABILITY] = "ONLINE"
        asked = {int(key.tag): str(key.VR).encode("ascii") for key in query.keys}
        asked.setdefault(int(query.unique_tag), b"LO" if UNIQUE[query.level] == "PatientID" else b"UI")
        self._asked = {tag: vr for tag, vr in asked.items() if tag not in own}
        self._own = {
            tag: self._element(tag, b"CS" if tag != _AE_TITLE else b"AE", text.encode("ascii"))
            for tag, text in own.items()
        }
        self._order = sorted((*self._asked, *self._own))
        self._last = max(self._asked)

    def encode(self, header: bytes, implicit: bool, left_out: str, computed: Mapping[int, bytes]) -> Optional[bytes]:
        """The answer that a header gives; None where it takes more than its bytes.

        Parameters
        ----------
        header, implicit, left_out
            What the index keeps of the object.
        computed
            The values of attributes that no object has.
        """
        if left_out and self._asked.keys() & headers.tags(left_out):
            return None
        syntax = part10.IMPLICIT_LITTLE if implicit else part10.EXPLICIT_LITTLE
        if not all(map(bytes.isascii, computed.values())):
            return None
        found = {tag: self._element(tag, self._asked[tag], value) for tag, value in computed.items()}
        for element in part10.elements(header, syntax):
            if element.tag in self._asked and element.tag not in computed:
                value = header[element.value : element.end]
                vr = element.vr or _vr_of(element.tag, self._asked[element.tag])
                if not value.isascii() or b"\x1b" in value or (vr == b"SQ" and implicit != self._implicit):
                    return None
                same = implicit == self._implicit
                whole = header[element.start : element.end]
                found[element.tag] = whole if same else self._element(element.tag, vr, value)
            elif element.tag > self._last:
                break
        return b"".join(
            [self._own.get(tag) or found.get(tag) or self._element(tag, self._asked[tag], b"") for tag in self._order]
        )

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        if self._implicit:
            return _IMPLICIT.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
        layout = _LONG if vr in _LONG_VRS else _EXPLICIT
        return layout.pack(tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def _vr_of(tag: int, asked: bytes) -> bytes:
    """The VR of an element that does not say it: that of the dictionary, or what the query calls it."""
    known = str(dictionary_VR(tag)) if dictionary_has_tag(tag) else ""
    return known.encode("ascii") if len(known) == 2 else asked


def encoded(dataset: Dataset, transfer_syntax: str) -> bytes:
    """An answer that was put together as a data set; BadArchive where that cannot be encoded."""
    try:
        return part10.encode(dataset, transfer_syntax)
    except headers.UNREADABLE as error:
        raise BadArchive(f"an answer cannot be encoded ({type(error).__name__})") from error
