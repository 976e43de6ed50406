"""What an object is called in the output: of its own new attributes, never of anything that the source was called."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from .. import part10
from ..part10 import plain
from .charset import Charset
from .table import BLANKED_CODE

_LAST = 0x00200011
_CODE_VALUE, _METHOD, _CODES = 0x00080100, 0x00120063, 0x00120064
_TAGS = {
    0x00080018: "instance",
    0x00080020: "day",
    0x00080030: "clock",
    0x00080060: "modality",
    0x0008103E: "description",
    0x00100020: "code",
    0x00120062: "removed",
    0x0020000D: "study",
    0x0020000E: "series",
    _LAST: "number",
}


class Facts(NamedTuple):
    """What of an anonymised object decides where it goes."""

    instance: str = ""
    day: str = ""
    clock: str = ""
    modality: str = ""
    description: str = ""
    code: str = ""
    removed: str = ""
    study: str = ""
    series: str = ""
    number: str = ""


def facts_of(data: part10.Buffer, transfer_syntax: str) -> Facts:
    """Read an encoded data set, unpacked, no further than needed; BadArchive where it is none."""
    found: dict[str, str] = {}
    charset, view = Charset.of(b""), memoryview(data)
    for tag, vr, _, value, end in part10.elements(view, transfer_syntax):
        if tag > _LAST:
            break
        if tag == 0x00080005:
            charset = Charset.of(bytes(view[value:end]))
        if tag in _TAGS:
            found[_TAGS[tag]] = charset.decode(bytes(view[value:end]), vr or b"LO").strip(" \0")
    return Facts(**found)


def rules_of(data: part10.Buffer, transfer_syntax: str) -> tuple[str, frozenset[str]]:
    """By which profile and options an object says that it was anonymised; BadArchive where it is none."""
    method, view = "", memoryview(data)
    codes: set[str] = set()
    for tag, _, _, value, end in part10.elements(view, transfer_syntax):
        if tag > _CODES:
            break
        if tag == _METHOD:
            method = _text(view[value:end])
        elif tag == _CODES:
            for item in part10.items(view[value:end], transfer_syntax):
                inside = part10.elements(item, transfer_syntax)
                codes.update(_text(item[one.value : one.end]) for one in inside if one.tag == _CODE_VALUE)
    return method, frozenset(codes - {BLANKED_CODE[0]})


def _text(raw: part10.Buffer) -> str:
    return bytes(raw).decode("latin-1").strip(" \0")


def place_of(facts: Facts) -> str:
    """``sub-CODE/ses-DATETIME/NNNNN-Description-MARK/UID.dcm`` for an anonymised object.

    The mark is of the series' new UID, so that no two series share a folder, whoever wrote first and on whichever
    machine.
    """
    subject = plain(facts.code) or "unknown"
    if subject != facts.code:
        subject += f"-{mark(facts.code)}"
    session = re.sub("[^0-9]", "", facts.day + facts.clock.partition(".")[0]) if facts.day else mark(facts.study)
    number = plain(facts.number).zfill(5)
    description = plain(facts.description) or plain(facts.modality) or "Series"
    series = f"{number}-{description}-{mark(facts.series or facts.instance)}"
    return f"sub-{subject}/ses-{session}/{series}/{part10.file_stem(facts.instance)}.dcm"


def mark(text: str) -> str:
    """Eight letters that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
