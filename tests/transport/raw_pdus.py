"""Bytes of DICOM's upper layer, made by hand: true ones, and whatever else a peer could send."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Union

IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
JPEG = "1.2.840.10008.1.2.4.70"
RT_IMAGE, VERIFICATION = "1.2.840.10008.5.1.4.1.1.481.1", "1.2.840.10008.1.1"
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))

RQ, AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = 1, 2, 3, 4, 5, 6, 7
COMMAND, LAST = 1, 2
C_STORE, C_GET, C_FIND, C_MOVE, C_ECHO, C_CANCEL, RESPONSE = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF, 0x8000
NO_DATA = 0x0101
SUCCESS, PENDING = 0x0000, 0xFF00

# Element numbers of command sets.
SOP_CLASS, FIELD, MESSAGE, ANSWERS, DESTINATION, PRIORITY = 0x0002, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700
DATA_TYPE, STATUS, INSTANCE, REMAINING, COMPLETED, FAILED, WARNING = (
    0x0800,
    0x0900,
    0x1000,
    0x1020,
    0x1021,
    0x1022,
    0x1023,
)


# --- PDUs


def pdu(kind: int, body: bytes, length: Union[int, None] = None) -> bytes:
    """A PDU, which may lie about its length."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def pdv(context: int, control: int, part: bytes, length: Union[int, None] = None) -> bytes:
    """A fragment, which may lie about its length."""
    return struct.pack(">LBB", len(part) + 2 if length is None else length, context, control) + part


def p_data(*pdvs: bytes) -> bytes:
    """A P-DATA-TF of these fragments."""
    return pdu(DATA, b"".join(pdvs))


RELEASE = pdu(RELEASE_RQ, bytes(4))
RELEASED = pdu(RELEASE_RP, bytes(4))
ABORTED = pdu(ABORT, bytes(4))


def item(kind: int, body: bytes, length: Union[int, None] = None) -> bytes:
    """An item of a negotiation."""
    return struct.pack(">BBH", kind, 0, len(body) if length is None else length) + body


def _negotiation(kind: int, called: str, calling: str, contexts: bytes, roles: Iterable[str], largest: int) -> bytes:
    user = item(0x51, struct.pack(">L", largest)) + item(0x52, b"1.2.3.4")
    for role in roles:
        user += item(0x54, struct.pack(">H", len(role)) + role.encode() + b"\0\1")
    head = struct.pack(">HH", 1, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    return pdu(kind, head + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + item(0x50, user))


def associate_rq(
    contexts: Sequence[tuple[str, Sequence[str]]], *, roles: Iterable[str] = (), largest: int = 16384
) -> bytes:
    """An A-ASSOCIATE-RQ with contexts 1, 3, 5, ..."""
    proposed = b"".join(
        item(
            0x20,
            bytes((2 * n + 1, 0, 0, 0))
            + item(0x30, abstract.encode())
            + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes),
        )
        for n, (abstract, syntaxes) in enumerate(contexts)
    )
    return _negotiation(RQ, "QATRACK", "RAW", proposed, roles, largest)


def associate_ac(
    contexts: Mapping[int, tuple[int, str]], *, roles: Iterable[str] = (), largest: int = 1 << 17
) -> bytes:
    """An A-ASSOCIATE-AC: for each context a result (0: accepted) and a transfer syntax."""
    answered = b"".join(
        item(0x21, bytes((number, 0, result, 0)) + item(0x40, syntax.encode()))
        for number, (result, syntax) in contexts.items()
    )
    return _negotiation(AC, "RAW", "QATRACK", answered, roles, largest)


# --- messages


def command_set(elements: Mapping[int, Union[int, str, bytes]]) -> bytes:
    """A command set: numbers as US, texts padded to even length, bytes as they are."""
    body = b""
    for number in sorted(elements):
        value = elements[number]
        if isinstance(value, int):
            value = struct.pack("<H", value)
        elif isinstance(value, str):
            value = value.encode() + b"\0" * (len(value) % 2)
        body += struct.pack("<HHL", 0, number, len(value)) + value
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def parsed_command(data: bytes) -> dict[int, bytes]:
    """The elements of a command set that came."""
    found, at = {}, 0
    while at < len(data):
        _, number, length = struct.unpack_from("<HHL", data, at)
        found[number] = data[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def store_rq(instance: str, *, message: int = 1, sop_class: str = RT_IMAGE, data: bool = True) -> bytes:
    """The command set of a C-STORE-RQ."""
    elements = {SOP_CLASS: sop_class, FIELD: C_STORE, MESSAGE: message, PRIORITY: 0, INSTANCE: instance}
    return command_set({**elements, DATA_TYPE: 1 if data else NO_DATA})


def fragments(context: int, control: int, data: bytes, size: int = 16000) -> list[bytes]:
    """The fragments of a command set or a data set."""
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    return [pdv(context, control | LAST * (n == len(parts)), part) for n, part in enumerate(parts, 1)]


def message_bytes(context: int, command: bytes, data: Union[bytes, None] = None, size: int = 16000) -> bytes:
    """A message, each fragment in a PDU of its own."""
    pdvs = fragments(context, COMMAND, command, size)
    if data is not None:
        pdvs += fragments(context, 0, data, size)
    return b"".join(map(p_data, pdvs))


# --- data sets


def element(syntax: str, group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """One element in one of the uncompressed encodings."""
    order = ">" if syntax == BIG else "<"
    tag = struct.pack(order + "HH", group, number)
    if syntax == IMPLICIT:
        return tag + struct.pack("<L", len(value)) + value
    if vr in (b"OB", b"OW", b"UN", b"SQ"):
        return tag + vr + b"\0\0" + struct.pack(order + "L", len(value)) + value
    return tag + vr + struct.pack(order + "H", len(value)) + value


def dataset(elements: Iterable[tuple[int, int, bytes, Union[str, bytes]]], syntax: str = IMPLICIT) -> bytes:
    """A data set of text and bytes; texts are padded."""
    whole = b""
    for group, number, vr, value in elements:
        if isinstance(value, str):
            value = value.encode() + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        whole += element(syntax, group, number, vr, value)
    return whole


def an_object(instance: str, syntax: str = EXPLICIT, size: int = 64, *, sop_class: str = RT_IMAGE) -> bytes:
    """An encoded RT image of about this size; every one of another UID has other pixels."""
    seed = zlib.crc32(instance.encode()).to_bytes(4, "little")
    pixels = (seed * (size // 4 + 1))[:size]
    plain = EXPLICIT if syntax in (DEFLATED, JPEG) else syntax
    data = dataset(
        [
            (0x0008, 0x0016, b"UI", sop_class),
            (0x0008, 0x0018, b"UI", instance),
            (0x0020, 0x000D, b"UI", "1.2.3"),
            (0x0020, 0x000E, b"UI", "1.2.3.4"),
        ],
        plain,
    )
    if syntax == JPEG:  # an empty offset table, one frame, the delimiter
        data += struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        data += struct.pack("<HHL", 0xFFFE, 0xE000, 0)
        data += struct.pack("<HHL", 0xFFFE, 0xE000, len(pixels)) + pixels
        return data + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    data += element(plain, 0x7FE0, 0x0010, b"OB", pixels)
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(data) + packer.flush()
        data += b"\0" * (len(data) % 2)
    return data
