"""A process that answers C-FINDs within a hundred microseconds: one thread, no DICOM library, answers made by hand.

``python fast_responder.py`` prints its port and ends with its standard input. The answer to a question for patient N is
N % 4 studies, each with N in its UID and its patient; then Success.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from raw_pdus import (  # noqa: E402 - the path is set above
    DATA,
    IMPLICIT,
    RELEASE_RQ,
    RELEASED,
    RQ,
    STUDY_FIND,
    associate_ac,
    command_set,
    dataset,
    message_bytes,
)

_NUMBER = struct.pack("<HHL", 0, 0x0110, 2)  # the head of MessageID
_PATIENT = struct.pack("<HH", 0x0010, 0x0020)


def expected(patient: str) -> list[str]:
    """The studies of a patient."""
    return [f"1.2.{patient}.{number}" for number in range(1, int(patient) % 4 + 1)]


def _response(context: int, number: int, status: int, data: Any = None) -> bytes:
    elements = {0x0002: STUDY_FIND, 0x0100: 0x8020, 0x0120: number, 0x0800: 0x0101 if data is None else 1}
    return message_bytes(context, command_set({**elements, 0x0900: status}), data)


def _answered(request: bytes) -> bytes:
    """The answer to the two PDUs of a C-FIND, or to the two fragments of one PDU."""
    context = request[10]
    number = struct.unpack_from("<H", request, request.index(_NUMBER) + 8)[0]
    at = request.index(_PATIENT) + 4
    length = struct.unpack_from("<L", request, at)[0]
    patient = request[at + 4 : at + 4 + length].decode().strip()
    said = b""
    for study in expected(patient):
        keys = [(0x0008, 0x0052, b"CS", "STUDY"), (0x0010, 0x0020, b"LO", patient), (0x0020, 0x000D, b"UI", study)]
        said += _response(context, number, 0xFF00, dataset(keys))
    return said + _response(context, number, 0)


def _accepted(body: bytes) -> bytes:
    """An acceptance of every context whose proposal names implicit little endian."""
    answers, at = {}, 68
    while at + 4 <= len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        if kind == 0x20:
            answers[body[at + 4]] = (0, IMPLICIT)
        at += 4 + length
    return associate_ac(answers)


class _Peer:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._came = b""
        self._message = b""

    def read(self) -> bool:
        """Answer what has come; False at the end."""
        try:
            piece = self.connection.recv(1 << 16)
        except OSError:
            return False
        self._came += piece
        while len(self._came) >= 6:
            kind, length = struct.unpack_from(">BxL", self._came)
            if len(self._came) < 6 + length:
                break
            whole, self._came = self._came[: 6 + length], self._came[6 + length :]
            self._take(kind, whole)
        return bool(piece)

    def _take(self, kind: int, whole: bytes) -> None:
        said = b""
        if kind == RQ:
            said = _accepted(whole[6:])
        elif kind == RELEASE_RQ:
            said = RELEASED
        elif kind == DATA:
            self._message += whole
            if self._ends_with_data(whole):
                said, self._message = _answered(self._message), b""
        if said:
            self.connection.sendall(said)

    @staticmethod
    def _ends_with_data(whole: bytes) -> bool:
        at, control = 6, 1
        while at < len(whole):
            length, _, control = struct.unpack_from(">LBB", whole, at)
            at += 4 + length
        return control & 3 == 2


def main() -> None:
    """Serve until standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ, None)
        selector.register(sys.stdin, selectors.EVENT_READ, "end")
        while True:
            for key, _ in selector.select():
                if key.data == "end":
                    return
                if key.data is None:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ, _Peer(connection))
                elif not key.data.read():
                    selector.unregister(key.fileobj)
                    key.data.connection.close()


if __name__ == "__main__":
    main()
