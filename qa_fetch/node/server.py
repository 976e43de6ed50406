"""A node's life: start, serve, stop."""

from __future__ import annotations

import logging
import signal
import socketserver
import threading
import time
from types import TracebackType
from typing import Any, Callable, Optional

import pydicom.config
from pynetdicom import _config as pynetdicom_config
from pynetdicom.transport import ThreadedAssociationServer

from ..backends.reactor import Sockets
from ..budget import Budget
from ..errors import ConfigError
from ..locks import FileLock
from . import index
from .activity import Activity
from .options import NodeOptions

LOG = logging.getLogger("qa_fetch.node")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Node:
    """A node that runs in this process, in threads; one folder per process, because Django's settings are global."""

    def __init__(self, options: NodeOptions) -> None:
        self.options = options
        self._lock = FileLock(options.data / "node.lock")
        self._server: Optional[ThreadedAssociationServer] = None
        self._thread: Optional[threading.Thread] = None
        self._activity = Activity()
        self._sockets = Sockets()

    @property
    def port(self) -> int:
        """Where it listens, also when any free port was asked for."""
        return self.options.port if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Open the index and listen; returns when associations are accepted."""
        if self._server is not None:
            raise RuntimeError("this node is running already")
        self._claim_folder()
        try:
            self._listen()
        finally:
            if self._server is None:
                self._lock.release()
        LOG.info("node %s listens on %s:%d", self.options.ae_title, self.options.host, self.port)

    def stop(self) -> None:
        """Stop listening, let what is running finish for a while, then end it."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        # Not server.shutdown(): that one wants a server which its AE has started itself.
        socketserver.BaseServer.shutdown(server)
        thread.join()
        server.server_close()
        _drain(server, self._activity, self.options.grace)
        self._sockets.close()
        index.close_this_thread()
        self._server = self._thread = None
        self._lock.release()
        LOG.info("node %s stopped", self.options.ae_title)

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def _claim_folder(self) -> None:
        folder = self.options.data
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = self._lock.try_acquire()
        except OSError as error:
            raise ConfigError(
                f"the node's folder {folder} cannot be used ({error.strerror}). "
                "Check that this user may write there, or choose another one."
            ) from error
        if not free:
            raise ConfigError(f"another node is running on {folder}. Stop it, or choose another folder.")

    def _listen(self) -> None:
        _quiet()
        index.start(self.options.data / "index.sqlite3")
        # These import the models, which exist only once Django is configured.
        from .courier import NodeEntity
        from .negotiation import offered
        from .objects import ObjectStore
        from .services import Services

        objects = ObjectStore(self.options.data)
        objects.prepare()
        services = Services(self.options, objects)
        entity = NodeEntity(self.options.ae_title)
        entity.require_calling_aet = list(self.options.callers)
        entity.require_called_aet = self.options.check_called
        entity.maximum_associations = 100
        entity.connection_timeout = 10
        address = (self.options.host, self.options.port)
        try:
            server: Any = entity.make_server(
                address,
                contexts=offered(self.options),  # not as the entity's own, which would lose their roles
                evt_handlers=services.handlers(),
                server_class=ThreadedAssociationServer,
            )
        except OSError as error:
            raise ConfigError(
                f"the node cannot listen on {address[0]}:{address[1]} ({error.strerror}). "
                "Choose another port, or 0 for any free one."
            ) from error
        self._server, self._activity, self._sockets = server, services.activity, services.sockets
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="qa_fetch.node", daemon=True)
        self._thread.start()


def serve(
    options: NodeOptions, ready: Optional[Callable[[Node], None]] = None, until: Optional[threading.Event] = None
) -> None:
    """Run a node until SIGTERM, SIGINT or ``until``; for the main thread of a process.

    Parameters
    ----------
    options
        The node's options.
    ready
        Called with the running node once it listens.
    until
        Another way to end it.
    """
    stopping = until if until is not None else threading.Event()
    # A handler must not set the event: a second signal would interrupt the first inside its lock, for ever.
    told: list[int] = []
    before = {number: signal.signal(number, lambda got, _: told.append(got)) for number in _SIGNALS}
    try:
        with Node(options) as node:
            if ready is not None:
                ready(node)
            while not told and not stopping.wait(0.05):
                continue
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drain(server: ThreadedAssociationServer, activity: Activity, grace: float) -> None:
    budget = Budget(grace)
    while not budget.spent and any(activity.worth_waiting(association) for association in _open(server)):
        time.sleep(0.02)
    for association in _open(server):
        _end(association)


def _end(association: Any) -> None:
    """Abort an association; a connection that never became one is closed, since there is nobody to tell."""
    if association.is_established:
        association.abort()
    else:
        association.dul.kill_dul()
        association.kill()
    association.join(timeout=1)


def _open(server: ThreadedAssociationServer) -> list[Any]:
    return [association for association in server.active_associations if association.is_alive()]


def _quiet() -> None:
    """Keep patients out of logs and warnings: pynetdicom logs identifiers, pydicom warns with the value at fault."""
    pynetdicom_config.LOG_HANDLER_LEVEL = "none"
    pynetdicom_config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom_config.LOG_RESPONSE_IDENTIFIERS = False
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
