"""A node's life: start, serve, stop."""

from __future__ import annotations

import logging
import signal
import threading
from types import TracebackType
from typing import Callable, Optional

import pydicom.config

from ..backends.acceptor import Limits, Server
from ..errors import ConfigError
from ..locks import FileLock
from . import index
from .options import NodeOptions

LOG = logging.getLogger("qa_fetch.node")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LIMITS = Limits(associations=100, negotiation=10.0, idle=60.0, pause=0.3)


class Node:
    """A node that runs in this process, in threads; one folder per process, because Django's settings are global."""

    def __init__(self, options: NodeOptions) -> None:
        self.options = options
        self._lock = FileLock(options.data / "node.lock")
        self._server: Optional[Server] = None

    @property
    def port(self) -> int:
        """Where it listens, also when any free port was asked for."""
        return self.options.port if self._server is None else self._server.port

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
        if self._server is None:
            return
        self._server.close(self.options.grace)
        self._server = None
        index.close_this_thread()
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
        # pydicom warns with the value at fault, which is a patient's.
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        index.start(self.options.data / "index.sqlite3")
        # These import the models, which exist only once Django is configured.
        from .objects import ObjectStore
        from .services import Services

        objects = ObjectStore(self.options.data)
        objects.prepare()
        address = (self.options.host, self.options.port)
        try:
            self._server = Server(address, Services(self.options, objects).service(), _LIMITS)
        except OSError as error:
            raise ConfigError(
                f"the node cannot listen on {address[0]}:{address[1]} ({error.strerror}). "
                "Choose another port, or 0 for any free one."
            ) from error


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
