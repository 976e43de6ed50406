"""One association with a DICOM archive, and the cures for what pynetdicom leaves open."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

from pynetdicom import _config as pynetdicom_config
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConnectionFailed, Refused, dimse_refusal
from . import Local
from .reactor import Checkpoint, Sockets

_log = logging.getLogger("qa_fetch.dimse")

PENDING = (0xFF00, 0xFF01)

# Seconds that an archive may be silent in a transfer: it speaks once an object, and one can be a gigabyte.
_TRANSFER = 60.0

# pynetdicom writes identifiers of queries into its log by default, and every step of every message.
pynetdicom_config.LOG_REQUEST_IDENTIFIERS = False
pynetdicom_config.LOG_RESPONSE_IDENTIFIERS = False
pynetdicom_config.LOG_HANDLER_LEVEL = "none"

_REJECTIONS = {
    (1, 3): "does not know the calling AE title {ours}. Enter {ours} with this host's address as a known client there",
    (1, 7): "says that it is not called {theirs}. Correct ae_title of this archive",
    (1, 2): "does not support this application context. It is not a DICOM archive of this century",
    (3, 1): "is too busy for another association. Try again later",
    (3, 2): "has reached its limit of associations. Try again later",
}


class Link:
    """An open association; made by ``connect``."""

    def __init__(self, association: Any, archive: ArchiveConfig, local: Local, sockets: Sockets) -> None:
        self.association = association
        self._sockets = sockets
        self._archive = archive
        self._local = local

    def accepts(self, sop_class: str) -> bool:
        """Whether the archive offers this service or object class."""
        return any(context.abstract_syntax == sop_class for context in self.association.accepted_contexts)

    @property
    def alive(self) -> bool:
        """Whether the association can still be used."""
        return bool(self.association.is_established)

    @contextlib.contextmanager
    def _parked(self, budget: Budget, *, patience: float = 0.0) -> Iterator[None]:
        """Hold pynetdicom's reactor thread at its gate, so that it takes no answer of ours."""
        association = self.association
        gate = association._reactor_checkpoint
        gate.clear()
        try:
            while not gate.until_parked(0.05):
                if not association.is_alive() or budget.spent:
                    raise self.lost()
            association.dimse_timeout = max(0.1, budget.at_most(max(patience, self._archive["timeout"])))
            yield
        finally:
            gate.set()

    def find(
        self, identifier: Any, model: str, budget: Budget, give_up: Optional[Callable[[Any], bool]] = None
    ) -> Optional[list[Any]]:
        """All answers to a C-FIND, or None if one of them made ``give_up`` true; raises rather than return some."""
        rows: list[Any] = []
        with self._parked(budget):
            for status, row in self.association.send_c_find(identifier, model):
                code = self._status(status, "C-FIND", budget)
                if code in PENDING:
                    if row is None:
                        self.abort()
                        raise BadArchive(
                            f"{self._archive.name} sent an answer to a query that cannot be decoded, so none is used. "
                            "Report it to the archive's administrator."
                        )
                    if give_up is not None and give_up(row):
                        self.abort()
                        return None
                    rows.append(row)
                elif code != 0x0000:
                    raise refusal(self._archive, self._local, "C-FIND", code)
                if budget.spent:
                    self.abort()
                    raise self.late(f"{len(rows)} answers to a query had come")
        return rows

    def move(
        self, identifier: Any, model: str, destination: str, budget: Budget, stop: Callable[[], bool]
    ) -> tuple[int, int]:
        """A C-MOVE to its end: its status and how many objects the archive says it has sent."""
        with self._parked(budget, patience=_TRANSFER):
            return self._transfer("C-MOVE", self.association.send_c_move(identifier, destination, model), budget, stop)

    def get(self, identifier: Any, model: str, budget: Budget, stop: Callable[[], bool]) -> tuple[int, int]:
        """A C-GET to its end: its status and how many objects the archive says it has sent."""
        with self._parked(budget, patience=_TRANSFER):
            return self._transfer("C-GET", self.association.send_c_get(identifier, model), budget, stop)

    def _transfer(
        self, service: str, responses: Iterator[Any], budget: Budget, stop: Callable[[], bool]
    ) -> tuple[int, int]:
        completed, code = 0, 0x0000
        for status, _ in responses:
            code = self._status(status, service, budget)
            completed = int(status.get("NumberOfCompletedSuboperations") or completed)
            if code in PENDING and (budget.spent or stop()):
                self.abort()
                break
        return code, completed

    def store(self, path: Any, budget: Budget) -> int:
        """Send one file; the status that the archive gave."""
        with self._parked(budget):
            return self._status(self.association.send_c_store(path), "C-STORE", budget)

    def echo(self, budget: Budget) -> int:
        """A C-ECHO; the status that the archive gave."""
        with self._parked(budget):
            return self._status(self.association.send_c_echo(), "C-ECHO", budget)

    def _status(self, status: Any, service: str, budget: Budget) -> int:
        """The code of a response; an empty one means that none came."""
        if "Status" in status:
            return int(status.Status)
        if budget.spent:
            self.abort()
            raise self.late(f"the {service} was not answered")
        raise self.lost()

    def lost(self) -> ConnectionFailed:
        """The error for an association that ended in the middle of something."""
        return ConnectionFailed(
            f"{self._archive.name} dropped the connection or stopped answering. Try again; if it happens again, "
            f"check that it knows {self._local.ae_title} as a client, and run: qa-fetch echo {self._archive.name}."
        )

    def late(self, so_far: str) -> ConnectionFailed:
        """The error for a budget that ran out."""
        return ConnectionFailed(
            f"{self._archive.name} took longer than the time budget allows: {so_far}. "
            "Call again, or allow more with budget=."
        )

    def release(self) -> None:
        """End the association in good order."""
        if self.association.is_established:
            self.association.release()
        self._sockets.close()

    def abort(self) -> None:
        """End the association at once."""
        if self.association.is_established:
            self.association.abort()
        self._sockets.close()


def refusal(archive: ArchiveConfig, local: Local, service: str, status: int) -> Refused:
    """The error for a status with which an archive refused."""
    return dimse_refusal(service, status, archive=archive.name, ae_title=local.ae_title, port=local.port)


def connect(
    archive: ArchiveConfig,
    local: Local,
    contexts: Sequence[Any],
    budget: Budget,
    *,
    roles: Sequence[Any] = (),
    on_store: Optional[Callable[[Any], int]] = None,
) -> Link:
    """Open an association.

    Parameters
    ----------
    archive, local
        The two ends.
    contexts
        Presentation contexts to propose.
    budget
        What is left of the call's time.
    roles
        SCP/SCU role selection items, for C-GET.
    on_store
        Takes the C-STORE requests that a C-GET brings.
    """
    rejection: list[tuple[int, int]] = []
    sockets = Sockets()

    def on_answer(event: Any) -> None:
        if getattr(event.primitive, "result_source", None) is not None and event.primitive.result:
            rejection.append((event.primitive.result_source, event.primitive.diagnostic))

    handlers: list[Any] = [*sockets.handlers, (evt.EVT_CONN_OPEN, Checkpoint.install), (evt.EVT_ACSE_RECV, on_answer)]
    if on_store is not None:
        handlers.append((evt.EVT_C_STORE, on_store))
    entity = ApplicationEntity(ae_title=local.ae_title)
    entity.connection_timeout = entity.acse_timeout = max(0.1, budget.at_most(archive["timeout"]))
    entity.dimse_timeout = entity.network_timeout = max(0.1, budget.at_most(archive["timeout"]))
    association = entity.associate(
        archive["host"],
        archive["port"],
        contexts=list(contexts),
        ae_title=archive["ae_title"],
        ext_neg=list(roles),
        evt_handlers=handlers,
    )
    if not association.is_established:
        sockets.close()
        raise _why_not(association, archive, local, rejection, budget)
    _log.info("%s: association opened", archive.name)
    return Link(association, archive, local, sockets)


def _why_not(
    association: Any, archive: ArchiveConfig, local: Local, rejection: list[tuple[int, int]], budget: Budget
) -> Exception:
    """Find out why no association came about, for a sentence that names the cure."""
    name, host, port = archive.name, archive["host"], archive["port"]
    if rejection:
        says = _REJECTIONS.get(
            rejection[0], "rejected the association without a usable reason. Its log says why"
        ).format(ours=local.ae_title, theirs=archive["ae_title"])
        return Refused(f"{name} {says}.", retriable=rejection[0][0] == 3)
    try:
        resolve(host, port)
        reach(host, port, budget.at_most(archive["timeout"]))
    except ConnectionFailed as error:
        return ConnectionFailed(f"{name}: {error.message}", retriable=error.retriable)
    if association.is_aborted:
        return Refused(
            f"{name} at {host}:{port} broke off the association while it was negotiated. "
            f"Its log says why; check that it knows {local.ae_title} and speaks DICOM without TLS on this port."
        )
    return ConnectionFailed(
        f"{name}: {host}:{port} accepts connections but does not answer as a DICOM archive. Check host and port."
    )


def resolve(host: str, port: int) -> str:
    """The first address of a host; a clear line when its name is unknown."""
    try:
        return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
    except socket.gaierror:
        raise ConnectionFailed(
            f"the host name {host} cannot be resolved. Correct host, or ask for a DNS entry.", retriable=False
        ) from None


def reach(host: str, port: int, timeout: float) -> None:
    """Open and close a TCP connection; a clear line when nothing listens there or a firewall is in the way."""
    try:
        socket.create_connection((host, port), timeout=max(0.1, timeout)).close()
    except (TimeoutError, socket.timeout):
        raise ConnectionFailed(
            f"{host} does not answer on port {port}. Check the address, and that the firewall between lets it through."
        ) from None
    except ConnectionRefusedError:
        raise ConnectionFailed(
            f"nothing listens on {host} port {port}. Start the archive's DICOM service, or correct port."
        ) from None
    except OSError as error:
        raise ConnectionFailed(
            f"{host} cannot be reached ({error.strerror or type(error).__name__}). Check the address and the network."
        ) from None
