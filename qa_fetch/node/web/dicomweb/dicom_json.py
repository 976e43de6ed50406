"""Data sets as DICOM JSON (PS3.18 annex F); what cannot be read says nothing, as in the answers to a C-FIND."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from .... import matching, part10
from ... import headers

BYTES = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
LONGEST = 1024  # bytes of a value that stands in the answer itself
_WHOLE = frozenset(("IS", "SL", "SS", "SV", "UL", "US", "UV"))
_REAL = frozenset(("DS", "FD", "FL"))
_BINARY = {vr: struct.Struct(f"<{code}") for vr, code in zip("US SS UL SL UV SV FL FD".split(), "HhLlQqfd")}
_ONE_TEXT = frozenset(("LT", "ST", "UR", "UT"))  # in which a backslash is a backslash
_TEXT = _ONE_TEXT | frozenset("AE AS CS DA DS DT IS LO PN SH TM UC UI".split())
_ITEM = b"\xfe\xff\x00\xe0"  # with which a sequence begins that its writer called UN
_DECIDE = frozenset((0x00080005, 0x00280103))  # what the character set and the sign of pixel values is
_NAMES = ("Alphabetic", "Ideographic", "Phonetic")

# Where a long value can be had, from the tags and the numbers of the items that lead to it; None for "not at all".
BulkAddress = Callable[[Sequence[str]], Optional[str]]
Json = dict[str, Any]


def encoded_to_json(data: Union[bytes, memoryview], transfer_syntax: str, bulk: BulkAddress) -> Json:
    """An encoded data set as DICOM JSON; what is plain ASCII or a number takes no detour over pydicom."""
    view = memoryview(data)
    quick = transfer_syntax in (part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE)
    found: Json = {}
    slow, needed = [], []
    for element in part10.elements(view, transfer_syntax):
        name = f"{element.tag:08X}"
        vr = plain_vr(element.vr.decode("ascii", "replace")) or vr_of(element.tag)
        field = _quick(vr, bytes(view[element.value : element.end]), bulk, name) if quick else None
        if field is None:
            slow.append(element)
        elif element.tag & 0xFFFF:
            found[name] = field
        if element.tag in _DECIDE:
            needed.append(element)
    if slow:
        parts = sorted({*slow, *needed})
        decoded = part10.decode(b"".join([view[part.start : part.end] for part in parts]), transfer_syntax)
        found.update(_dataset(decoded, bulk, (), decoded.get("PixelRepresentation") == 1))
        found = dict(sorted(found.items()))
    return found


def vr_of(tag: int) -> str:
    """What the dictionary says of a tag."""
    return str(dictionary_VR(tag)) if dictionary_has_tag(tag) else "UN"


def _quick(vr: str, raw: bytes, bulk: BulkAddress, name: str) -> Optional[Json]:
    """A value that is read as it stands; None for one that pydicom has to read."""
    if len(vr) > 2 or (vr == "UN" and raw.startswith(_ITEM)):
        return None
    if vr in BYTES:
        return _bytes(vr, raw, bulk, (name,))
    if not raw.strip(b"\0 "):
        return {"vr": vr} if vr not in _BINARY or not raw else _numbers(vr, raw)
    if vr in _BINARY:
        return _numbers(vr, raw)
    if vr not in _TEXT or not raw.isascii() or b"\x1b" in raw:
        return None
    text = raw.decode("ascii")
    try:
        values = [_value(vr, part.strip("\0 ")) for part in ([text] if vr in _ONE_TEXT else text.split("\\"))]
    except ValueError:
        return None
    return {"vr": vr, "Value": values} if any(value is not None for value in values) else {"vr": vr}


def _numbers(vr: str, raw: bytes) -> Optional[Json]:
    layout = _BINARY[vr]
    if len(raw) % layout.size:
        return None
    return {"vr": vr, "Value": [_value(vr, number) for (number,) in layout.iter_unpack(raw)]}


def plain_vr(vr: str) -> str:
    """One VR where the dictionary names several for pixels and what goes with them."""
    return "OW" if vr.endswith("OW") else vr[:2]


def _dataset(dataset: Any, bulk: BulkAddress, where: Sequence[str], signed: bool) -> Json:
    found: Json = {}
    for tag in sorted(dataset.keys()):
        name = f"{int(tag):08X}"
        if name.endswith("0000"):
            continue
        try:
            found[name] = _field(dataset[tag], bulk, (*where, name), signed)
        except headers.UNREADABLE:
            continue
    return found


def _field(element: Any, bulk: BulkAddress, where: Sequence[str], signed: bool) -> Json:
    vr = "UN" if element.VR == "" else str(element.VR)
    if vr == "SQ":
        items = [
            _dataset(item, bulk, (*where, str(number)), signed) for number, item in enumerate(element.value or (), 1)
        ]
        return {"vr": vr, "Value": items} if items else {"vr": vr}
    if vr == "US or SS" and isinstance(element.value, bytes):
        count = len(element.value) // 2
        numbers = struct.unpack(f"<{count}{'h' if signed else 'H'}", element.value[: 2 * count])
        return {"vr": "SS" if signed else "US", "Value": list(numbers)} if numbers else {"vr": "US"}
    vr = plain_vr(vr)
    if vr in BYTES:
        return _bytes(vr, element.value, bulk, where)
    values = [_value(vr, value) for value in matching.values(element)]
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _bytes(vr: str, value: Any, bulk: BulkAddress, where: Sequence[str]) -> Json:
    if not value:
        return {"vr": vr}
    if not isinstance(value, (bytes, bytearray)):
        raise ValueError("a value of bytes that is none")
    if len(value) <= LONGEST:
        return {"vr": vr, "InlineBinary": base64.b64encode(value).decode("ascii")}
    return at(vr, bulk(where))


def at(vr: str, address: Optional[str]) -> Json:
    """A value that is found elsewhere."""
    return {"vr": vr, "BulkDataURI": address} if address else {"vr": vr}


def _value(vr: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if vr in _WHOLE:
        return int(value)
    if vr in _REAL:
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if vr == "AT":
        return f"{int(value):08X}"
    text = str(value).rstrip("\0 ")
    if vr == "PN":
        return {name: group for name, group in zip(_NAMES, text.split("=")) if group}
    return text or None
