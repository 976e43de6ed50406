"""The C-STORE server that a C-MOVE needs, one per port on this machine.

On Windows two processes can listen on one port and images reach the wrong one, so a lock is taken before binding,
and whatever arrives is matched by UID against what was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional, Union

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import AllStoragePresentationContexts, build_context

from .. import part10
from ..budget import Budget
from ..errors import BadArchive, ConnectionFailed, Incomplete, QAFetchError
from ..locks import FileLock
from ..shelf import Claim, Taken
from ..shelf.disk import sentences
from . import Local
from .reactor import Sockets
from .storage import TRANSFER_SYNTAXES

_log = logging.getLogger("qa_fetch.receiver")

STORE_STATUS = {Taken.KEPT: 0x0000, Taken.REPEATED: 0x0000, Taken.UNWANTED: 0x0124}
Route = Callable[[str, str, str, Union[bytes, memoryview]], Taken]


def status_of(route: Route, event: Any) -> int:
    """Hand an object of a C-STORE request to whoever keeps it; the status to answer."""
    request = event.request
    try:
        taken = route(
            part10.clean_uid(request.AffectedSOPClassUID),
            part10.clean_uid(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            request.DataSet.getvalue(),
        )
    except BadArchive as error:
        _log.warning("an object was refused: %s", error)
        return 0xC000
    except Incomplete as error:
        _log.error("an object could not be kept: %s", error)
        return 0xA700
    return STORE_STATUS[taken]


class Receiver:
    """A running C-STORE server whose objects go to ``route``; answers C-ECHO too."""

    def __init__(self, local: Local, route: Route) -> None:
        entity = ApplicationEntity(ae_title=local.ae_title)
        entity.supported_contexts = [
            build_context(str(context.abstract_syntax), list(TRANSFER_SYNTAXES))
            for context in AllStoragePresentationContexts
        ]
        entity.add_supported_context("1.2.840.10008.1.1")
        entity.maximum_pdu_size = 0
        self._sockets = Sockets()
        self._server = entity.make_server(
            (local.host, local.port),
            evt_handlers=[*self._sockets.handlers, (evt.EVT_C_STORE, lambda event: status_of(route, event))],
        )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="qa_fetch receiver", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, give the peer a moment to release in good order, and end what is still connected."""
        # Not the server's own shutdown(): it expects to have been made by AE.start_server, whose polling costs 0.5 s.
        socketserver.BaseServer.shutdown(self._server)
        self._thread.join()
        self._server.server_close()
        patience = Budget(0.5)
        while self._server.active_associations and not patience.spent:
            time.sleep(0.005)
        for association in self._server.active_associations:
            association.abort()
        self._sockets.close()


def _lock(port: int) -> FileLock:
    """The lock on a port: for the whole machine, since ports are."""
    return FileLock(Path(tempfile.gettempdir()) / f"qa_fetch-port-{port}.lock")


def _state_folder(shelf: Path, port: int) -> Path:
    return shelf / "receivers" / str(port)


@contextlib.contextmanager
def temporary(local: Local, claim: Claim, budget: Budget) -> Iterator[None]:
    """Receive into a claim for the length of a block; waits for the port as long as the budget lasts."""
    lock = _lock(local.port)
    while True:
        if not lock.acquire(budget):
            raise _port_taken(local, budget)
        with lock:
            receiver = _bind(local, claim.take)
            if receiver is not None:
                try:
                    yield
                finally:
                    receiver.close()
                return
        if budget.spent:
            raise _port_taken(local, budget)
        time.sleep(budget.at_most(0.1))


def _bind(local: Local, route: Route) -> Optional[Receiver]:
    """A receiver, or None when another program has the port just now."""
    try:
        return Receiver(local, route)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise ConnectionFailed(
            f"this machine cannot listen on {local.host} port {local.port} ({error.strerror}). "
            "Set [local] host and port to an address and port that this user may use.",
            retriable=False,
        ) from error


def try_port(local: Local, budget: Budget) -> str:
    """Why this machine cannot receive on its port just now; empty when it can."""
    with _lock(local.port) as lock:
        if not lock.acquire(Budget(budget.at_most(2.0))):
            return _port_taken(local, Budget(2.0)).message
        try:
            found = _bind(local, lambda *_: Taken.UNWANTED)
        except ConnectionFailed as error:
            return error.message
        if found is None:
            return _port_taken(local, Budget(2.0)).message
        found.close()
    return ""


def _port_taken(local: Local, budget: Budget) -> ConnectionFailed:
    return ConnectionFailed(
        f"port {local.port} of this machine was in use by another program or transfer for {budget}. "
        "Try again, run one always-on receiver (qa-fetch receive), or set another [local] port."
    )


class Standing:
    """The always-on receiver: it serves every process on this machine that shares its shelf.

    A process that wants objects writes their UIDs into a folder of its own and finds them there.
    """

    def __init__(self, local: Local, keep: Optional[Route] = None) -> None:
        self._local = local
        self._keep = keep
        self._folder = _state_folder(local.shelf, local.port)
        self._lock = _lock(local.port)
        self.received = self.refused = 0

    def __enter__(self) -> Standing:
        if not self._lock.try_acquire():
            raise ConnectionFailed(
                f"port {self._local.port} is held by another qa_fetch process. "
                "Wait until its transfer ends, stop that receiver, or choose another port."
            )
        try:
            with sentences(self._local.shelf, "receiving"):
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                note = {"pid": os.getpid(), "ae_title": self._local.ae_title}
                self._state.write_text(json.dumps(note), encoding="utf-8")
            receiver = _bind(self._local, self._route)
            if receiver is None:
                raise _port_taken(self._local, Budget(0))
        except QAFetchError:
            self._lock.release()
            raise
        self._receiver = receiver
        return self

    def __exit__(self, *_: object) -> None:
        self._state.unlink(missing_ok=True)
        self._receiver.close()
        self._lock.release()

    @property
    def _state(self) -> Path:
        return self._folder / "standing.json"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._receiver.port

    def _route(self, sop_class: str, instance: str, transfer_syntax: str, dataset: Union[bytes, memoryview]) -> Taken:
        taken = Taken.UNWANTED
        for want in list(self._folder.glob("*/wanted")):
            if instance in _read_wanted(want):
                _deliver(want.parent, sop_class, instance, transfer_syntax, dataset)
                taken = Taken.KEPT
        if taken is Taken.UNWANTED and self._keep is not None:
            taken = self._keep(sop_class, instance, transfer_syntax, dataset)
        if taken is Taken.UNWANTED:
            self.refused += 1
            _log.warning("an object that nobody asked for was refused (%d so far)", self.refused)
        else:
            self.received += 1
        return taken


def _read_wanted(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="utf-8").split("\n"))
    except FileNotFoundError:  # its owner has finished meanwhile
        return frozenset()


def _deliver(
    folder: Path, sop_class: str, instance: str, transfer_syntax: str, dataset: Union[bytes, memoryview]
) -> None:
    identity = part10.check(dataset, transfer_syntax)
    if identity.sop_instance != instance:
        raise BadArchive("the archive sent one object under the UID of another. Report it to its administrator.")
    try:
        descriptor, name = tempfile.mkstemp(suffix=".part", dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(part10.file_meta(sop_class, instance, transfer_syntax))
            file.write(dataset)
        Path(name).replace(folder / f"{part10.file_stem(instance)}.dcm")
    except OSError as error:
        raise Incomplete(
            f"an object could not be handed over in {folder} ({error.strerror}). Free space or check permissions there."
        ) from error


class Want:
    """A request to the always-on receiver of this machine; ``collect`` brings what has arrived into the claim."""

    def __init__(self, folder: Path, claim: Claim) -> None:
        self._folder = folder
        self._claim = claim

    def collect(self) -> int:
        """Move what has arrived into the claim; how many files there were."""
        found = sorted(self._folder.glob("*.dcm"))
        for path in found:
            self._claim.take_file(path)
            path.unlink()
        return len(found)


def standing_at(local: Local) -> bool:
    """Whether an always-on receiver that shares our shelf holds the port."""
    if not (_state_folder(local.shelf, local.port) / "standing.json").is_file():
        return False
    lock = _lock(local.port)
    with lock:
        return not lock.try_acquire()  # a killed receiver leaves its file but not its lock


def _sweep(state: Path) -> None:
    """Remove what killed processes left behind: nobody wants anything for a day."""
    for folder in state.glob("want-*"):
        with contextlib.suppress(FileNotFoundError):  # its owner, or another sweeper, was faster
            if time.time() - folder.stat().st_mtime > 86400:
                shutil.rmtree(folder)


@contextlib.contextmanager
def want(local: Local, claim: Claim) -> Iterator[Want]:
    """Ask the always-on receiver for the objects of a claim for the length of a block."""
    state = _state_folder(local.shelf, local.port)
    _sweep(state)
    with sentences(local.shelf, "receiving"):
        folder = Path(tempfile.mkdtemp(prefix="want-", dir=state))
    try:
        with sentences(local.shelf, "receiving"):
            draft = folder / "wanted.part"
            draft.write_text("\n".join(reference.instance for reference in claim.missing), encoding="utf-8")
            draft.replace(folder / "wanted")
        asked = Want(folder, claim)
        yield asked
        asked.collect()
    finally:
        (folder / "wanted").unlink(missing_ok=True)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
