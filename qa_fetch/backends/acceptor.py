"""A DICOM server on blocking sockets: one thread listens, one serves each association."""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, NamedTuple, Optional

from ..budget import Budget
from .wire import Association, Channel, Context, Kind, Lost, Message, Proposal, Rejected, Released, Violation

_log = logging.getLogger("qa_fetch.receiver")

Handler = Callable[[Association, Message], None]

_TOO_MANY = Rejected(2, 3, 2)
_NOT_CALLED_SO = Rejected(1, 1, 7)


@dataclass(frozen=True)
class Service:
    """What a server answers.

    Parameters
    ----------
    choose
        Which contexts of a proposal from an address are accepted, and with which transfer syntax; may raise
        ``Rejected``. The roles that it leaves in the proposal are granted.
    handlers
        What reads the data of each kind of request and answers it.
    ended
        Called in the thread of an association when it is over.
    hang_up
        Called when a closing server ends what is still open: ends what handlers have opened themselves.
    """

    choose: Callable[[Proposal, str], Mapping[int, Context]]
    handlers: Mapping[Kind, Handler]
    ended: Callable[[], None] = field(default=lambda: None)
    hang_up: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True)
class Limits:
    """How long and how much a server bears."""

    associations: int = 64
    negotiation: float = 10.0  # seconds from the connection to the request for an association
    idle: float = 60.0  # seconds without a byte
    pause: float = math.inf  # seconds since its last request for which a closing server waits for another one
    per_caller: int = 64  # associations from one address
    largest_pdu: Optional[int] = None  # bytes; who sends more is aborted


class Caller(NamedTuple):
    """Who is connected: the title that it gave, its address, and the time in seconds at which it came."""

    title: str
    address: str
    since: float


@dataclass
class _Session:
    """One connection: who it is, and what it is doing."""

    address: str
    title: str = ""
    channel: Optional[Channel] = None
    asked: bool = False  # for an association; who only connects takes nobody's place
    busy: bool = False  # a request is being answered
    since: float = -math.inf  # when the last one was
    came: float = field(default_factory=time.time)

    def __str__(self) -> str:
        return f"{self.title!r} at {self.address}"

    def worth_waiting(self, pause: float) -> bool:
        return self.asked and (self.busy or time.monotonic() - self.since <= pause)


class Server:
    """Listens from the moment it is made until it is closed.

    Parameters
    ----------
    address
        Host and port to listen on; port 0 takes any that is free.
    service
        What it answers.
    limits
        What it bears.
    tls
        Makes the connections encrypted.
    """

    def __init__(
        self, address: tuple[str, int], service: Service, limits: Limits, tls: Optional[ssl.SSLContext] = None
    ) -> None:
        self._service = service
        self._limits = limits
        self._tls = tls
        self._guard = threading.Lock()
        self._serving: dict[threading.Thread, _Session] = {}
        self._closing = False
        self._listener = _listen(address)
        self._waker, self._wakened = socket.socketpair()
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="qa_fetch listener", daemon=True)
        self._thread.start()

    @property
    def serving(self) -> int:
        """How many connections are open."""
        with self._guard:
            return len(self._serving)

    @property
    def callers(self) -> tuple[Caller, ...]:
        """Who has an association open."""
        with self._guard:
            return tuple(Caller(each.title, each.address, each.came) for each in self._serving.values() if each.asked)

    def close(self, grace: float = 0.5) -> None:
        """Stop listening, give the peers some seconds to finish in good order, and end what is still open."""
        self._waker.close()
        self._thread.join()
        self._wakened.close()
        self._listener.close()
        with self._guard:
            self._closing = True
            serving = dict(self._serving)
        patience = Budget(grace)
        for thread, session in serving.items():
            while thread.is_alive() and not patience.spent and session.worth_waiting(self._limits.pause):
                thread.join(patience.at_most(0.02))
        for session in serving.values():
            if session.channel is not None:
                session.channel.hang_up()
        self._service.hang_up()
        for thread in serving:
            thread.join(self._limits.negotiation + 1)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakened, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ)
            while all(key.fileobj is not self._wakened for key, _ in selector.select()):
                try:
                    connection, address = self._listener.accept()
                except BlockingIOError:
                    continue  # the peer has gone again before it was accepted
                except OSError as error:
                    _log.error("a connection could not be accepted (%s)", error.strerror)
                    time.sleep(0.05)  # too many open files: others must close theirs first
                    continue
                connection.setblocking(True)
                self._begin(connection, _Session(str(address[0])))

    def _begin(self, connection: socket.socket, session: _Session) -> None:
        if self.serving > 2 * self._limits.associations:  # who comes now is not even told
            connection.close()
            return
        thread = threading.Thread(
            target=self._serve, args=(connection, session), name="qa_fetch association", daemon=True
        )
        with self._guard:
            self._serving[thread] = session
        thread.start()

    def _serve(self, connection: socket.socket, session: _Session) -> None:
        try:
            with contextlib.closing(self._encrypted(connection, session)) as channel:
                session.channel = channel
                if not self._closing:
                    self._converse(channel, session)
        except Rejected as no:
            _log.info("association with %s rejected (%d, %d, %d)", session, no.result, no.source, no.reason)
        except Released:
            _log.info("association with %s released", session)
        except Lost as error:
            _log.info("association with %s lost: %s", session, error)
        finally:
            self._service.ended()
            with self._guard:
                del self._serving[threading.current_thread()]

    def _encrypted(self, connection: socket.socket, session: _Session) -> Channel:
        connection.settimeout(self._limits.negotiation)
        if self._tls is None:
            return Channel(connection, self._limits.negotiation)
        try:
            connection = encrypted = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            session.channel = Channel(connection, self._limits.negotiation)  # a closing server can hang up from now on
            if self._closing:
                raise OSError
            encrypted.do_handshake()
        except (OSError, ValueError) as error:
            connection.close()
            raise Lost(f"it could not be encrypted ({type(error).__name__})") from None
        return session.channel

    def _converse(self, channel: Channel, session: _Session) -> None:
        def choose(proposal: Proposal) -> Mapping[int, Context]:
            session.title, session.asked = proposal.calling, True
            with self._guard:
                callers = [each.address for each in self._serving.values() if each.asked]
            if len(callers) > self._limits.associations or callers.count(session.address) > self._limits.per_caller:
                raise _TOO_MANY
            return self._service.choose(proposal, session.address)

        channel.budget = Budget(self._limits.negotiation)  # for all of it, however slowly the bytes come
        association, _ = Association.accept(channel, choose, self._limits.largest_pdu)
        channel.budget = None
        association.peer = session.address
        if self._closing:
            association.abort()
            return
        _log.info("association with %s opened", session)
        channel.patience = self._limits.idle
        with association.lost_for_good():
            while True:
                message = association.receive()
                handler = self._service.handlers.get(_kind(message))
                if handler is None:
                    raise Violation("a request that was not agreed on")
                session.busy = True
                handler(association, message)
                session.since = time.monotonic()
                session.busy = False


def _kind(message: Message) -> Kind:
    try:
        return Kind(message.command.kind)
    except ValueError:
        raise Violation("a message of an unknown kind") from None


def _listen(address: tuple[str, int]) -> socket.socket:
    """A listening socket; on POSIX a port whose last connections are still ending can be taken again."""
    host, port = address
    family, kind, protocol, _, resolved = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where SO_REUSEADDR would let two processes listen
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(resolved)
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def echo(association: Association, message: Message) -> None:
    """Answer a C-ECHO."""
    association.respond(message, 0x0000)


def check_called(proposal: Proposal, ae_title: str) -> None:
    """Reject who calls somebody else."""
    if proposal.called.strip() != ae_title.strip():
        raise _NOT_CALLED_SO
