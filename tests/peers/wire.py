"""One association seen from the wire: enough of DICOM's upper layer to say true and false things in it.

pynetdicom's handlers cannot send Success with failed sub-operations, a truncated object or a dataset whose UID differs
from its command's, and its own race loses answers of sub-operations; so the doubles speak for themselves, and
pynetdicom and DCMTK are their clients in the tests.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Optional

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from qa_fetch import part10

SYNTAXES = (part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE)
_APPLICATION = "1.2.840.10008.3.1.1.1"
_IMPLEMENTATION = "2.25.302130231530245316043103424125412105433"
_MAX_PDU = 65536
_SECONDS = 30.0
_LINGER = "hh" if os.name == "nt" else "ii"
NO_DATA = 0x0101


class Gone(Exception):
    """The other side released or aborted the association, or its connection broke."""


@dataclass
class Message:
    """A DIMSE message: its command set and, where it has one, its encoded data set."""

    context: int
    command: Dataset
    data: bytes = b""


@dataclass
class Context:
    """A presentation context: what was proposed and, once answered, with which syntax it was accepted."""

    abstract: str
    syntaxes: list[str]
    accepted: str = ""


@dataclass
class Negotiation:
    """What an A-ASSOCIATE PDU says."""

    called: str
    calling: str
    contexts: dict[int, Context] = field(default_factory=dict)
    roles: dict[str, tuple[int, int]] = field(default_factory=dict)
    max_pdu: int = 16384


def decode(data: bytes, syntax: str) -> Dataset:
    """A data set from its bytes."""
    return read_dataset(BytesIO(data), syntax == part10.IMPLICIT_LITTLE, True)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        yield kind, body[at + 4 : at + 4 + length]
        at += 4 + length


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def _parsed(body: bytes) -> Negotiation:
    said = Negotiation(_text(body[4:20]), _text(body[20:36]))
    for kind, value in _items(body[68:]):
        if kind in (0x20, 0x21):
            parts = list(_items(value[4:]))
            abstract = next((_text(part) for number, part in parts if number == 0x30), "")
            syntaxes = [_text(part) for number, part in parts if number == 0x40]
            accepted = syntaxes[0] if kind == 0x21 and value[2] == 0 and syntaxes else ""
            said.contexts[value[0]] = Context(abstract, syntaxes, accepted)
        elif kind == 0x50:
            _read_user_information(value, said)
    return said


def _read_user_information(value: bytes, said: Negotiation) -> None:
    for kind, part in _items(value):
        if kind == 0x51:
            said.max_pdu = struct.unpack(">L", part[:4])[0]
        elif kind == 0x54:
            length = struct.unpack_from(">H", part)[0]
            said.roles[_text(part[2 : 2 + length])] = (part[2 + length], part[3 + length])


def _associate(kind: int, called: str, calling: str, contexts: bytes, roles: Mapping[str, tuple[int, int]]) -> bytes:
    user = _item(0x51, struct.pack(">L", _MAX_PDU)) + _item(0x52, _IMPLEMENTATION.encode())
    for sop_class, (scu, scp) in roles.items():
        user += _item(0x54, struct.pack(">H", len(sop_class)) + sop_class.encode() + bytes((scu, scp)))
    user += _item(0x55, b"QA_FETCH_DOUBLE")
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + _item(0x10, _APPLICATION.encode()) + contexts
    return _pdu(kind, body + _item(0x50, user))


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


class Association:
    """An association over a connected socket, on either side."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self.said = Negotiation("", "")
        self._messages = 0

    @property
    def contexts(self) -> dict[int, Context]:
        """The presentation contexts that were accepted."""
        return {number: context for number, context in self.said.contexts.items() if context.accepted}

    def context_for(self, sop_class: str) -> Optional[int]:
        """The number of the accepted context for a SOP class, if there is one."""
        return next((number for number, context in self.contexts.items() if context.abstract == sop_class), None)

    def next_message(self) -> int:
        """A number for a request of ours."""
        self._messages += 1
        return self._messages

    # negotiation

    def read_request(self) -> Negotiation:
        """The A-ASSOCIATE-RQ with which the other side begins."""
        kind, body = self._read_pdu()
        if kind != 0x01:
            raise Gone
        self.said = _parsed(body)
        return self.said

    def accept(self, offered: Mapping[str, bool]) -> None:
        """Accept the contexts of the abstract syntaxes offered; the value says whether their SCP role may be ours."""
        answer = b""
        roles = {}
        for number, context in self.said.contexts.items():
            known = [syntax for syntax in context.syntaxes if syntax in SYNTAXES]
            result = 3 if context.abstract not in offered else 0 if known else 4
            if result == 0:
                context.accepted = known[0]
            syntax = (known or context.syntaxes or [part10.IMPLICIT_LITTLE])[0]
            answer += _item(0x21, bytes((number, 0, result, 0)) + _item(0x40, syntax.encode()))
            if context.accepted and offered[context.abstract] and context.abstract in self.said.roles:
                roles[context.abstract] = self.said.roles[context.abstract]
        self._write(_associate(0x02, self.said.called, self.said.calling, answer, roles))

    def reject(self, result: int, source: int, reason: int) -> None:
        """Answer with an A-ASSOCIATE-RJ."""
        self._write(_pdu(0x03, bytes((0, result, source, reason))))
        with suppress(Gone):
            self._read_pdu()  # the other side closes

    @classmethod
    def request(cls, address: tuple[str, int], called: str, calling: str, sop_classes: list[str]) -> Association:
        """Open an association as its requestor; Gone when it cannot be had."""
        try:
            association = cls(socket.create_connection(address, timeout=5))
        except OSError:
            raise Gone from None
        numbered = {2 * n + 1: Context(sop_class, list(SYNTAXES)) for n, sop_class in enumerate(sop_classes)}
        proposed = b"".join(
            _item(
                0x20,
                bytes((number, 0, 0, 0))
                + _item(0x30, context.abstract.encode())
                + b"".join(_item(0x40, syntax.encode()) for syntax in context.syntaxes),
            )
            for number, context in numbered.items()
        )
        try:
            association._write(_associate(0x01, called, calling, proposed, {}))
            kind, body = association._read_pdu()
            if kind != 0x02:
                raise Gone
        except Gone:
            association.close()
            raise
        association.said = _parsed(body)
        for number, context in association.said.contexts.items():
            context.abstract = numbered[number].abstract
        return association

    # messages

    def read(self) -> Message:
        """The next DIMSE message; Gone at the end of the association."""
        command, data, context = bytearray(), bytearray(), 0
        parsed: Optional[Dataset] = None
        while True:
            kind, body = self._read_pdu()
            if kind == 0x05:
                self._write(_pdu(0x06, bytes(4)))
            if kind != 0x04:
                raise Gone
            at = 0
            while at < len(body):
                length, context, control = struct.unpack_from(">LBB", body, at)
                (command if control & 1 else data).extend(body[at + 6 : at + 4 + length])
                at += 4 + length
                if control & 3 == 3:
                    parsed = decode(bytes(command), part10.IMPLICIT_LITTLE)
                if parsed is not None and (control & 3 == 2 or parsed.CommandDataSetType == NO_DATA):
                    return Message(context, parsed, bytes(data))

    def send(self, context: int, command: Mapping[str, Any], data: Optional[bytes] = None, part: float = 1.0) -> None:
        """Send a message, or only the first ``part`` of its data."""
        dataset = Dataset()
        for keyword, value in command.items():
            setattr(dataset, keyword, value)
        dataset.CommandDataSetType = NO_DATA if data is None else 1
        self.send_bytes(context, part10.encode(dataset, part10.IMPLICIT_LITTLE), data, part)

    def send_bytes(self, context: int, command: bytes, data: Optional[bytes], part: float = 1.0) -> None:
        """Send a message whose command set (without its group length) is already encoded."""
        whole = struct.pack("<HHLL", 0, 0, 4, len(command)) + command
        self._write(self._fragments(context, 1, whole))
        if data is not None:
            fragments = self._fragments(context, 0, data)
            self._write(fragments if part >= 1 else fragments[: int(len(fragments) * part)])

    def _fragments(self, context: int, control: int, data: bytes) -> bytes:
        size = min(self.said.max_pdu or _MAX_PDU, _MAX_PDU) - 6
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        return b"".join(
            _pdu(0x04, struct.pack(">LBB", len(piece) + 2, context, control | 2 * (n == len(pieces))) + piece)
            for n, piece in enumerate(pieces, 1)
        )

    def waiting(self) -> bool:
        """Whether the other side has sent something that was not read yet (a C-CANCEL, an abort, or its end)."""
        return bool(select.select([self._socket], [], [], 0)[0])

    # the end

    def release(self) -> None:
        """Ask for the release and wait for its answer."""
        with suppress(Gone):
            self._write(_pdu(0x05, bytes(4)))
            self._read_pdu()
        self.close()

    def abort(self) -> None:
        """Send an A-ABORT and close."""
        with suppress(Gone):
            self._write(_pdu(0x07, bytes(4)))
        self.close()

    def reset(self) -> None:
        """Break the TCP connection (RST), as a crashed server or a firewall does."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
        self._socket.close()

    def hang_up(self) -> None:
        """Wake whoever reads from this connection in another thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            raise Gone from None

    def _read_pdu(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBL", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                piece = self._socket.recv(min(length - len(data), 1 << 20))
            except (OSError, ValueError):
                raise Gone from None
            if not piece:
                raise Gone
            data += piece
        return bytes(data)
