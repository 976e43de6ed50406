"""A node's life: start, serve, stop."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional

import pydicom.config
from django.conf import settings

from ..backends.acceptor import Limits, Server
from ..backends.encryption import server_context
from ..backends.standing import Desk
from ..errors import ConfigError
from ..locks import FileLock
from . import index, log, upkeep
from .options import NodeOptions

if TYPE_CHECKING:
    from .objects import ObjectStore
    from .services import Services
    from .web.serving import WebServer

LOG = logging.getLogger("qa_fetch.node")

NOTE = "node.json"  # in its folder, while it runs: where it can be reached
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PAUSE = 0.3  # seconds since its last request for which a closing node waits for another one


class Node:
    """A node that runs in this process, in threads; one folder per process, because Django's settings are global."""

    def __init__(self, options: NodeOptions) -> None:
        self.options = options
        self._lock = FileLock(options.data / "node.lock")
        self._running = options.data / "running"  # which a node that is killed leaves behind
        self._server: Optional[Server] = None
        self._services: Optional[Services] = None
        self._web: Optional[WebServer] = None
        self._undoing = contextlib.ExitStack()

    @property
    def port(self) -> int:
        """Where it listens, also when any free port was asked for."""
        return self.options.port if self._server is None else self._server.port

    @property
    def web_port(self) -> Optional[int]:
        """Where its pages are served, if they are."""
        return self.options.web.port if self._web is None else self._web.port

    def start(self, is_told: Callable[[], bool] = lambda: False, describing: Callable[[], None] = lambda: None) -> bool:
        """Open the index and listen; returns when associations are accepted.

        Parameters
        ----------
        is_told
            Asked while files are described that the index does not know, which may take long: whether to end instead,
            with False.
        describing
            Called before that.
        """
        if self._server is not None:
            raise RuntimeError("this node is running already")
        with contextlib.ExitStack() as undoing:
            self._claim_folder()
            undoing.callback(self._lock.release)
            if self.options.log is not None:
                undoing.callback(log.end, log.begin(self.options.log))
            objects = self._open_index()
            undoing.callback(index.close_this_thread)
            self._describe_what_is_new(objects, is_told, describing)
            if is_told():
                return False
            self._listen(objects)
            undoing.callback(self._stop_listening)
            if self.options.web.port is not None:
                self._serve_pages()
                undoing.callback(self._stop_serving)
            if self.options.shelf is not None:
                self._receive_for_others(self.options.shelf, undoing)
            undoing.callback(self._note.unlink, missing_ok=True)
            self._note.write_text(json.dumps(self._facts()), "utf-8")
            self._undoing = undoing.pop_all()
        LOG.info("node %s listens on %s:%d", self.options.ae_title, self.options.host, self.port)
        return True

    def stop(self) -> None:
        """Stop listening, let what is running finish for a while, then end it."""
        self._undoing.close()

    def _receive_for_others(self, shelf: Path, undoing: contextlib.ExitStack) -> None:
        """Be the receiver of C-MOVEs for every process of this machine that has this shelf."""
        assert self._services is not None
        desk = Desk(shelf, self.port)
        desk.take_port()
        undoing.callback(desk.leave_port)
        desk.open(self.options.ae_title)
        undoing.callback(desk.close)
        self._services.desk = desk

    @property
    def _note(self) -> Path:
        return self.options.data / NOTE

    def _facts(self) -> dict[str, Any]:
        """Where it can be reached, for whoever looks into its folder."""
        web = self.options.web
        return {
            "pid": os.getpid(),
            "ae_title": self.options.ae_title,
            "host": self.options.host,
            "port": self.port,
            "web_host": web.host,
            "web_port": None if self._web is None else self.web_port,
        }

    def _stop_listening(self) -> None:
        assert self._server is not None
        self._server.close(self.options.grace)
        self._server = None
        self._running.unlink(missing_ok=True)
        LOG.info("node %s stopped", self.options.ae_title)

    def _serve_pages(self) -> None:
        from .web.serving import WebServer

        self._web = WebServer(self.options.web)

    def _stop_serving(self) -> None:
        assert self._web is not None
        self._web.close()
        self._web = None

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

    def _open_index(self) -> ObjectStore:
        # pydicom warns with the value at fault, which is a patient's.
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        index.start(self.options)
        from .objects import ObjectStore  # imports the models, which exist only once Django is configured

        objects = ObjectStore(self.options)
        objects.prepare()
        settings.QA_FETCH_OBJECTS = objects
        return objects

    def _listen(self, objects: ObjectStore) -> None:
        from .services import Services

        self._running.touch()
        address = (self.options.host, self.options.port)
        try:
            bounds = self.options.bounds
            limits = Limits(
                bounds.associations,
                bounds.negotiation,
                bounds.idle,
                _PAUSE,
                bounds.per_caller,
                bounds.pdu_kilobytes << 10,
            )
            tls = server_context(self.options.tls, "[tls]")
            self._services = Services(self.options, objects)
            self._server = Server(address, self._services.service(), limits, tls)
            settings.QA_FETCH_SERVER = self._server
        except OSError as error:
            raise ConfigError(
                f"the node cannot listen on {address[0]}:{address[1]} ({error.strerror}). "
                "Choose another port, or 0 for any free one."
            ) from error

    def _describe_what_is_new(
        self, objects: ObjectStore, is_told: Callable[[], bool], describing: Callable[[], None]
    ) -> None:
        """Describe files that the index does not know: after a crash, or when it was emptied, lost or put back."""
        with index.usable():
            if not self._running.exists() and upkeep.is_complete(self.options):
                return
            LOG.warning("the index may not know every file; what it does not know is described now")
            describing()
            found = upkeep.describe_files(self.options, objects, workers=1, is_told=is_told)
            LOG.warning("%d objects described, %d files at fault", found.added, len(found.problems))


def serve(
    options: NodeOptions,
    ready: Optional[Callable[[Node], None]] = None,
    until: Optional[threading.Event] = None,
    describing: Callable[[], None] = lambda: None,
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
    describing
        Called when it first describes files that its index does not know, which may take long.
    """
    stopping = until if until is not None else threading.Event()
    # A handler must not set the event: a second signal would interrupt the first inside its lock, for ever.
    told: list[int] = []

    def is_told() -> bool:
        return bool(told) or stopping.is_set()

    before = {number: signal.signal(number, lambda got, _: told.append(got)) for number in _SIGNALS}
    try:
        node = Node(options)
        with contextlib.ExitStack() as ending:
            if node.start(is_told, describing):
                ending.callback(node.stop)
                if ready is not None:
                    ready(node)
                while not is_told():
                    stopping.wait(0.05)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
