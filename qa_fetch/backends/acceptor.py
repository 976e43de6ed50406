"""A DICOM server on blocking sockets: one thread listens, one serves each association."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, Optional

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
        Which contexts of a proposal are accepted, and with which transfer syntax; may raise ``Rejected``.
    handlers
        What reads the data of each kind of request and answers it.
    ended
        Called in the thread of an association when it is over.
    """

    choose: Callable[[Proposal], Mapping[int, Context]]
    handlers: Mapping[Kind, Handler]
    ended: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True)
class Limits:
    """How long and how much a server bears."""

    associations: int = 64
    negotiation: float = 10.0  # seconds from the connection to the request for an association
    idle: float = 60.0  # seconds without a byte


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
        self._serving: dict[threading.Thread, Optional[Association]] = {}
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

    def close(self, grace: float = 0.5) -> None:
        """Stop listening, give the peers some seconds to finish in good order, and end what is still open."""
        self._waker.close()
        self._thread.join()
        self._wakened.close()
        self._listener.close()
        with self._guard:
            self._closing = True
            threads = list(self._serving)
        patience = Budget(grace)
        for thread in threads:
            thread.join(patience.left())
        with self._guard:
            still_open = [association for association in self._serving.values() if association is not None]
        for association in still_open:
            association.hang_up()
        for thread in threads:
            thread.join(self._limits.negotiation + 1)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakened, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ)
            while all(key.fileobj is not self._wakened for key, _ in selector.select()):
                try:
                    connection, _ = self._listener.accept()
                except BlockingIOError:
                    continue  # the peer has gone again before it was accepted
                except OSError as error:
                    _log.error("a connection could not be accepted (%s)", error.strerror)
                    time.sleep(0.05)  # too many open files: others must close theirs first
                    continue
                connection.setblocking(True)
                self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(connection,), name="qa_fetch association", daemon=True)
        with self._guard:
            self._serving[thread] = None
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        thread = threading.current_thread()
        try:
            with contextlib.closing(self._encrypted(connection)) as channel:
                self._converse(channel, thread)
        except Rejected as no:
            _log.info("an association was rejected (%d, %d, %d)", no.result, no.source, no.reason)
        except Released:
            _log.debug("an association ended")
        except Lost as error:
            _log.info("an association was lost: %s", error)
        finally:
            self._service.ended()
            with self._guard:
                del self._serving[thread]

    def _encrypted(self, connection: socket.socket) -> Channel:
        connection.settimeout(self._limits.negotiation)
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except (OSError, ValueError) as error:
                connection.close()
                raise Lost(f"it could not be encrypted ({type(error).__name__})") from None
        return Channel(connection, self._limits.negotiation)

    def _converse(self, channel: Channel, thread: threading.Thread) -> None:
        association, _ = Association.accept(channel, self._choose)
        with self._guard:
            if self._closing:
                association.abort()
                return
            self._serving[thread] = association
        channel.patience = self._limits.idle
        with association.lost_for_good():
            while True:
                message = association.receive()
                handler = self._service.handlers.get(_kind(message))
                if handler is None:
                    raise Violation("a request that was not agreed on")
                handler(association, message)

    def _choose(self, proposal: Proposal) -> Mapping[int, Context]:
        if self.serving > self._limits.associations:
            raise _TOO_MANY
        return self._service.choose(proposal)


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
