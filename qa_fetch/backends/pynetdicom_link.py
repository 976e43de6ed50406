"""An association with an archive on pynetdicom, with cures for what it leaves open."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

from pynetdicom import _config as pynetdicom_config
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import build_context, build_role

from .. import part10
from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConfigError, ConnectionFailed
from ..shelf import Route
from . import Local
from .commitment import Committed, Outcome, Reports
from .link import PENDING, TRANSFER, Outgoing, Purpose, Sentences, Stop, reach
from .reactor import Checkpoint, Sockets
from .relaying import OnSent, Relayed, unsent
from .storage import storage_contexts
from .storing import NOT_WANTED, store_event

_log = logging.getLogger("qa_fetch.dimse")

# pynetdicom writes identifiers of queries into its log by default, and every step of every message.
pynetdicom_config.LOG_REQUEST_IDENTIFIERS = False
pynetdicom_config.LOG_RESPONSE_IDENTIFIERS = False
pynetdicom_config.LOG_HANDLER_LEVEL = "none"


class PynetdicomLink:
    """An open association; made by ``connect``."""

    def __init__(
        self, association: Any, purpose: Purpose, says: Sentences, sockets: Sockets, events: tuple[_Routed, _Watch]
    ) -> None:
        self.purpose = purpose
        self.handshake = 0.0
        self.reused = False
        self.association = association
        self._sockets = sockets
        self._archive = says.archive
        self._says = says
        self._routed, self._watch = events
        self._next = 0

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
        self._next = self._next % 0xFFFF + 1
        gate.clear()
        try:
            while not gate.until_parked(0.05):
                if not association.is_alive() or budget.spent:
                    raise self._says.lost()
            association.dimse_timeout = max(0.1, budget.at_most(max(patience, self._archive["timeout"])))
            self._sockets.be_patient(association, association.dimse_timeout)
            self._watch.expect(self._next)
            yield
            self._believe()
        finally:
            gate.set()

    def _believe(self) -> None:
        """Raise when what came is no answer to what was asked."""
        if self._watch.strange or self._watch.unreadable:
            self.abort()
            raise self._says.lost() if self._watch.strange else self._says.unreadable()

    def find(
        self, identifier: Any, model: str, budget: Budget, give_up: Optional[Callable[[Any], bool]] = None
    ) -> Optional[list[Any]]:
        """All answers to a C-FIND, or None if one of them made ``give_up`` true; raises rather than return some."""
        rows: list[Any] = []
        with self._parked(budget):
            for status, row in self.association.send_c_find(identifier, model, msg_id=self._next):
                code = self._status(status, "C-FIND", budget)
                if code in PENDING:
                    if row is None:
                        self.abort()
                        raise self._says.unreadable()
                    if give_up is not None and give_up(row):
                        self.abort()
                        return None
                    rows.append(row)
                elif code != 0x0000:
                    raise self._says.refusal("C-FIND", code)
                if budget.spent:
                    self.abort()
                    raise self._says.late(f"{len(rows)} answers to a query had come")
        return rows

    def move(self, identifier: Any, model: str, destination: str, budget: Budget, stop: Stop) -> tuple[int, int]:
        """A C-MOVE to its end: its status and how many objects the archive says it has sent."""
        with self._parked(budget, patience=TRANSFER):
            return self._transfer(
                "C-MOVE", self.association.send_c_move(identifier, destination, model, msg_id=self._next), budget, stop
            )

    def get(self, identifier: Any, model: str, budget: Budget, stop: Stop, route: Route) -> tuple[int, int]:
        """A C-GET to its end, its objects handed to ``route``: its status and how many objects were sent."""
        with self._parked(budget, patience=TRANSFER), self._routed.to(route):
            return self._transfer(
                "C-GET", self.association.send_c_get(identifier, model, msg_id=self._next), budget, stop
            )

    def relay(self, identifier: Any, model: str, destination: str, budget: Budget, on_sent: OnSent) -> Relayed:
        """A C-MOVE to somebody else: all that the archive says of it, its progress too."""
        sent = 0
        with self._parked(budget, patience=TRANSFER):
            for status, data in self.association.send_c_move(identifier, destination, model, msg_id=self._next):
                code = self._status(status, "C-MOVE", budget)
                completed, failed, warnings = (
                    int(status.get(f"NumberOf{name}Suboperations") or 0) for name in ("Completed", "Failed", "Warning")
                )
                if code not in PENDING:
                    return Relayed(code, completed, failed, warnings, unsent(data))
                sent = completed + warnings
                on_sent(sent)
                if budget.spent:
                    self.abort()
                    raise self._says.late(f"{sent} objects were sent to {destination}")
        raise self._says.lost()

    def _transfer(self, service: str, responses: Iterator[Any], budget: Budget, stop: Stop) -> tuple[int, int]:
        completed, code = 0, 0x0000
        for status, _ in responses:
            code = self._status(status, service, budget)
            completed = int(status.get("NumberOfCompletedSuboperations") or completed)
            if code in PENDING and (budget.spent or stop()):
                self.abort()
                break
        return code, completed

    def store(self, outgoing: Outgoing, budget: Budget) -> Optional[int]:
        """Send one object: the status that the archive gave; None where it accepts no encoding of it that we have."""
        with self._parked(budget, patience=TRANSFER):
            try:
                status = self.association.send_c_store(outgoing.path, msg_id=self._next)
            except ValueError:  # pynetdicom's word for a context that was not accepted
                return None
            return self._status(status, "C-STORE", budget)

    def commit(self, transaction: str, objects: Sequence[Committed], reports: Reports, budget: Budget) -> Outcome:
        """Not offered: pynetdicom takes event reports only with a server of its own kind."""
        raise ConfigError(
            f"{self._archive.name}: storage commitment is not offered with pynetdicom's transport. "
            'Leave out transport, or set it to "own".'
        )

    def echo(self, budget: Budget) -> int:
        """A C-ECHO; the status that the archive gave."""
        with self._parked(budget):
            return self._status(self.association.send_c_echo(msg_id=self._next), "C-ECHO", budget)

    def _status(self, status: Any, service: str, budget: Budget) -> int:
        """The code of a response; an empty one means that none came."""
        self._believe()
        if "Status" in status:
            return int(status.Status)
        if budget.spent:
            self.abort()
            raise self._says.late(f"the {service} was not answered")
        raise self._says.lost()

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


_FIND_ANSWER = 0x8020


class _Watch:
    """Looks whether answers belong to what was asked: pynetdicom takes any."""

    def __init__(self) -> None:
        self._expected = 0
        self.strange = self.unreadable = False

    def expect(self, message_id: int) -> None:
        """The next answers belong to this request."""
        self._expected = message_id

    def received(self, event: Any) -> None:
        """A handler of EVT_DIMSE_RECV, called before the answer can be taken."""
        message = event.message
        command = message.command_set
        answers = command.get("MessageIDBeingRespondedTo")
        if answers is None:
            return
        context = next((one for one in event.assoc.accepted_contexts if one.context_id == message.context_id), None)
        self.strange = self.strange or answers != self._expected or context is None
        if command.get("CommandField") == _FIND_ANSWER and command.get("Status") in PENDING and context is not None:
            try:
                part10.walk(message.data_set.getvalue(), str(context.transfer_syntax[0]), "an answer")
            except BadArchive:
                self.unreadable = True
            self.strange = self.strange or context.abstract_syntax != command.get("AffectedSOPClassUID")


class _Routed:
    """Where the objects of a C-GET go: pynetdicom wants to know at the start, and we know with each request."""

    def __init__(self) -> None:
        self._route: Optional[Route] = None

    @contextlib.contextmanager
    def to(self, route: Route) -> Iterator[None]:
        """A block whose objects go to this route."""
        self._route = route
        try:
            yield
        finally:
            self._route = None

    def store(self, event: Any) -> int:
        """A handler of EVT_C_STORE."""
        return NOT_WANTED if self._route is None else store_event(event, self._route)


def connect(archive: ArchiveConfig, local: Local, purpose: Purpose, budget: Budget) -> PynetdicomLink:
    """Open an association."""
    if archive["tls"]:
        raise ConfigError(
            f"{archive.name}: pynetdicom's transport is not offered with TLS here. "
            'Leave out transport, or set it to "own".'
        )
    says = Sentences(archive, local)
    rejection: list[tuple[int, int]] = []
    sockets, routed, watch = Sockets(), _Routed(), _Watch()

    def on_answer(event: Any) -> None:
        if getattr(event.primitive, "result_source", None) is not None and event.primitive.result:
            rejection.append((event.primitive.result_source, event.primitive.diagnostic))

    entity = ApplicationEntity(ae_title=local.ae_title)
    entity.connection_timeout = entity.acse_timeout = max(0.1, budget.at_most(archive["timeout"]))
    entity.dimse_timeout = entity.network_timeout = max(0.1, budget.at_most(archive["timeout"]))
    contexts = [build_context(service) for service in purpose.services]
    contexts += [
        build_context(uid, list(syntaxes)) for uid, syntaxes in (*storage_contexts(purpose.receiving), *purpose.sending)
    ]
    association = entity.associate(
        archive["host"],
        archive["port"],
        contexts=contexts,
        ae_title=archive["ae_title"],
        ext_neg=[build_role(uid, scp_role=True) for uid in purpose.receiving],
        evt_handlers=[
            *sockets.handlers,
            (evt.EVT_CONN_OPEN, Checkpoint.install),
            (evt.EVT_ACSE_RECV, on_answer),
            (evt.EVT_C_STORE, routed.store),
            (evt.EVT_DIMSE_RECV, watch.received),
        ],
    )
    if not association.is_established:
        sockets.close()
        raise _why_not(association, says, rejection, budget)
    _log.info("%s: association opened", archive.name)
    return PynetdicomLink(association, purpose, says, sockets, (routed, watch))


def _why_not(association: Any, says: Sentences, rejection: list[tuple[int, int]], budget: Budget) -> Exception:
    """Find out why no association came about, for a sentence that names the cure."""
    if rejection:
        return says.rejected(*rejection[0])
    try:
        reach(says.archive["host"], says.archive["port"], budget.at_most(says.archive["timeout"])).close()
    except ConnectionFailed as error:
        return says.named(error)
    return says.broken_off() if association.is_aborted else says.no_archive()
