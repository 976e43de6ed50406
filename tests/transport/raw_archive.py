"""An archive that speaks bytes: it accepts connections one after another and does with each what a script says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Callable, Optional, Union

from peers.process import LOOPBACK
from raw_pdus import (
    ANSWERS,
    DATA,
    DATA_TYPE,
    FIELD,
    IMPLICIT,
    MESSAGE,
    NO_DATA,
    PENDING,
    RELEASE_RQ,
    RELEASED,
    RESPONSE,
    SOP_CLASS,
    STATUS,
    associate_ac,
    command_set,
    dataset,
    message_bytes,
    parsed_command,
)
from raw_sender import Gone, Raw


class Served(Raw):
    """A connection that the archive has accepted."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.settimeout(4)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.proposed: dict[int, tuple[str, list[str]]] = {}

    def accept(self, syntax: str = IMPLICIT, roles: bool = True) -> None:
        """Agree to everything that is proposed in this transfer syntax."""
        self.read_request()
        self.send(self.acceptance(syntax, roles))

    def acceptance(self, syntax: str = IMPLICIT, roles: bool = True) -> bytes:
        """The answer that does so."""
        answers = {number: (0 if syntax in syntaxes else 4, syntax) for number, (_, syntaxes) in self.proposed.items()}
        storage = [uid for uid, _ in self.proposed.values() if ".5.1.4.1.1." in uid]
        return associate_ac(answers, roles=dict.fromkeys(storage if roles else ()))

    def read_request(self) -> None:
        """Read the A-ASSOCIATE-RQ."""
        _, body = self.read_pdu()
        for kind, value in _items(body[68:]):
            if kind == 0x20:
                parts = [(number, part.decode().strip("\0")) for number, part in _items(value[4:])]
                abstract = next(part for number, part in parts if number == 0x30)
                self.proposed[value[0]] = (abstract, [part for number, part in parts if number == 0x40])

    def request(self) -> tuple[int, dict[int, bytes], bytes]:
        """The next message: context, command set, data; answers a release and raises Gone."""
        command, data, parsed = b"", b"", {}
        while True:
            kind, body = self.read_pdu()
            if kind == RELEASE_RQ:
                self.send(RELEASED)
                raise Gone("release")
            if kind != DATA:
                raise Gone("something else")
            at = 0
            while at < len(body):
                length, context, control = struct.unpack_from(">LBB", body, at)
                part = body[at + 6 : at + 4 + length]
                at += 4 + length
                command, data = (command + part, data) if control & 1 else (command, data + part)
                if control & 3 == 3:
                    parsed = parsed_command(command)
                if parsed and (control & 3 == 2 or parsed[DATA_TYPE] == struct.pack("<H", NO_DATA)):
                    return context, parsed, data

    def context_of(self, sop_class: str, syntax: str = IMPLICIT) -> int:
        """The number of a context that was proposed for this class with this transfer syntax among others."""
        return next(
            number
            for number, (abstract, syntaxes) in self.proposed.items()
            if abstract == sop_class and syntax in syntaxes
        )


def _items(body: bytes) -> Sequence[tuple[int, bytes]]:
    found, at = [], 0
    while at + 4 <= len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        found.append((kind, body[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def answer(
    asked: tuple[int, dict[int, bytes], bytes],
    status: int,
    data: Optional[bytes] = None,
    but: Optional[dict[int, Union[int, str, bytes]]] = None,
    context: Optional[int] = None,
) -> bytes:
    """The bytes of a response to what was asked."""
    number, command, _ = asked
    elements: dict[int, Union[int, str, bytes]] = {
        SOP_CLASS: command[SOP_CLASS],
        FIELD: struct.unpack("<H", command[FIELD])[0] | RESPONSE,
        ANSWERS: command[MESSAGE],
        STATUS: status,
        DATA_TYPE: NO_DATA if data is None else 1,
        **(but or {}),
    }
    return message_bytes(number if context is None else context, command_set(elements), data)


def row(instance: str = "1.2.1", level: str = "STUDY") -> bytes:
    """An answer to a query for studies of patient P."""
    return dataset(
        [
            (0x0008, 0x0052, b"CS", level),
            (0x0010, 0x0020, b"LO", "P"),
            (0x0020, 0x000D, b"UI", instance),
        ]
    )


def found(asked: tuple[int, dict[int, bytes], bytes], *instances: str) -> bytes:
    """A true answer: these studies, and Success."""
    return b"".join(answer(asked, PENDING, row(instance)) for instance in instances) + answer(asked, 0)


Script = Callable[[Served], None]


class RawArchive:
    """Listens on a free port; each connection is served by the next script, and the last one serves all others."""

    ae_title = "RAW"

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(0.02)
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[Served] = []
        self.connections = 0
        self.problems: list[BaseException] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def address(self) -> str:
        """The archive as it is written where a name is asked for."""
        return f"dimse://{self.ae_title}@{LOOPBACK}:{self.port}"

    def __enter__(self) -> RawArchive:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._ending.set()
        self._threads[0].join()
        for served in self._open:
            try:
                served.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone already
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
        if self.problems and error is None:
            raise self.problems[0]

    def wait(self, seconds: float) -> None:
        """Be silent, but not beyond the archive's end."""
        if self._ending.wait(seconds):
            raise Gone("end")

    def _start(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, name="raw archive", daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue
            served = Served(connection)
            self._open.append(served)
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._start(lambda served=served, script=script: self._serve(served, script))  # type: ignore[misc]

    def _serve(self, served: Served, script: Script) -> None:
        try:
            with served:
                script(served)
        except (Gone, OSError):
            pass  # the other side has had enough
        except BaseException as problem:  # noqa: BLE001 - raised where the test sees it
            self.problems.append(problem)


def honest(*instances: str) -> Script:
    """A script: every query is answered with these studies."""

    def script(served: Served) -> None:
        served.accept()
        while True:
            served.send(found(served.request(), *instances))

    return script
