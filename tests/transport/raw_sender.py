"""A storage client that speaks bytes, truly or not."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Optional

from peers.process import LOOPBACK
from raw_pdus import (
    AC,
    DATA,
    EXPLICIT,
    RELEASE,
    RT_IMAGE,
    STATUS,
    VERIFICATION,
    an_object,
    associate_rq,
    message_bytes,
    parsed_command,
    pdu,
    store_rq,
)

_LINGER = "hh" if os.name == "nt" else "ii"
CONTEXTS = ((RT_IMAGE, (EXPLICIT,)), (VERIFICATION, (EXPLICIT,)))
STORE, ECHO = 1, 3  # the contexts of a Sender


class Gone(Exception):
    """The receiver ended the connection; ``how`` is "abort", "closed" or "reset"."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Raw:
    """A TCP connection to a receiver; a context manager."""

    def __init__(self, port: int, patience: float = 10.0) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; Gone when the receiver has had enough."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, BrokenPipeError):
            raise Gone("reset") from None

    def read_pdu(self) -> tuple[int, bytes]:
        """The next PDU; Gone when there is none, or when it is an abort."""
        kind, length = struct.unpack(">BxL", self._exactly(6))
        body = self._exactly(length)
        if kind == 7:
            raise Gone("abort")
        return kind, body

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                piece = self.socket.recv(length - len(data))
            except ConnectionError:
                raise Gone("reset") from None
            if not piece:
                raise Gone("closed")
            data += piece
        return data

    def ended(self) -> str:
        """Wait until the receiver ends the connection: how it did."""
        try:
            while True:
                self.read_pdu()
        except Gone as gone:
            return gone.how

    def reset(self) -> None:
        """Break the connection (RST)."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
        self.socket.close()


class Sender(Raw):
    """The same with an association."""

    def __init__(
        self,
        port: int,
        contexts: Sequence[tuple[str, Sequence[str]]] = CONTEXTS,
        *,
        patience: float = 10.0,
        largest: int = 16384,
    ) -> None:
        super().__init__(port, patience)
        try:
            self.send(associate_rq(contexts, largest=largest))
            kind, self.accepted = self.read_pdu()
            assert kind == AC, "no association"
        except BaseException:
            self.socket.close()
            raise

    def answer(self) -> dict[int, bytes]:
        """The command set of the next answer."""
        command = b""
        while True:
            kind, body = self.read_pdu()
            assert kind == DATA, f"a PDU of type {kind} instead of an answer"
            at = 0
            while at < len(body):
                length, _, control = struct.unpack_from(">LBB", body, at)
                command += body[at + 6 : at + 4 + length]
                at += 4 + length
                if control & 3 == 3:
                    return parsed_command(command)

    def status(self) -> int:
        """The status of the next answer."""
        return int.from_bytes(self.answer()[STATUS], "little")

    def store(self, instance: str, data: Optional[bytes] = None, *, message: int = 1, context: int = STORE) -> int:
        """Send an object in good order: the status."""
        content = an_object(instance) if data is None else data
        self.send(message_bytes(context, store_rq(instance, message=message), content))
        return self.status()

    def release(self) -> None:
        """End in good order."""
        self.send(RELEASE)
        kind, _ = self.read_pdu()
        assert kind == 6
        self.socket.close()


def length_of(data: bytes) -> bytes:
    """A P-DATA-TF head that announces 4 GB before this."""
    return pdu(DATA, data, 0xFFFFFFFF)
