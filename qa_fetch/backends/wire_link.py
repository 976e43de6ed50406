"""An association with an archive on our own transport."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional, Union

from .. import part10
from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConnectionFailed
from ..shelf import Route
from . import Local, commitment
from .commitment import Committed, Outcome, Reports
from .encryption import client_context
from .link import PENDING, TRANSFER, Outgoing, Purpose, Sentences, Stop, reach
from .relaying import OnSent, Relayed, unsent
from .storage import PLAIN, VERIFICATION, fitting, storage_contexts
from .storing import store
from .wire import (
    Aborted,
    Association,
    Command,
    Context,
    Element,
    Kind,
    Lost,
    Message,
    Proposal,
    Rejected,
    Silent,
    Source,
    Violation,
)

_log = logging.getLogger("qa_fetch.dimse")

_RESPONSE = 0x8000
_MEDIUM = 0
_MANY = 32  # objects that a C-MOVE has sent, from when on
_SEVERAL = 0.003  # seconds are waited for several of its answers at once
_COUNTS = (
    Element.NumberOfCompletedSuboperations,
    Element.NumberOfFailedSuboperations,
    Element.NumberOfWarningSuboperations,
)


class WireLink:
    """An open association; made by ``connect``."""

    def __init__(
        self, association: Association, purpose: Purpose, archive: ArchiveConfig, local: Local, handshake: float
    ) -> None:
        self.purpose = purpose
        self.handshake = handshake  # seconds that the archive took to agree: no round trip is longer
        self.reused = False
        self._answered = True
        self._association = association
        self._archive = archive
        self._says = Sentences(archive, local)
        self._numbers = {context.abstract: number for number, context in reversed(list(association.contexts.items()))}

    def accepts(self, sop_class: str) -> bool:
        """Whether the archive offers this service or object class."""
        return sop_class in self._numbers

    @property
    def alive(self) -> bool:
        """Whether the association can still be used: nothing may come from the peer before it is asked."""
        return self._association.open and not self._association.waiting()

    # --- asking

    def find(
        self, identifier: Any, model: str, budget: Budget, give_up: Optional[Callable[[Any], bool]] = None
    ) -> Optional[list[Any]]:
        """All answers to a C-FIND, or None if one of them made ``give_up`` true; raises rather than return some."""
        rows: list[Any] = []

        def so_far() -> str:
            return f"{len(rows)} answers to a query had come" if rows else ""

        with self._asking("C-FIND", budget, self._archive["timeout"], so_far):
            number, context = self._request(Kind.C_FIND, model, identifier)
            syntax = self._association.contexts[context].syntaxes[0]
            while True:
                message = self._answer(Kind.C_FIND, number)
                if message.context != context:
                    raise self._says.lost()
                status = message.command.number(Element.Status)
                if status not in PENDING:
                    if message.command.has_data:
                        self._association.read(message)
                    self._answered = True
                    if status != 0x0000:
                        raise self._says.refusal("C-FIND", status)
                    return rows
                rows.append(self._row(message, syntax))
                if budget.spent:
                    raise self._says.late(so_far())
                if give_up is not None and give_up(rows[-1]):
                    return None

    def _row(self, message: Message, syntax: str) -> Any:
        if not message.command.has_data:
            raise self._says.unreadable()
        try:
            return part10.decode(self._association.read(message), syntax)
        except BadArchive:
            raise self._says.unreadable() from None

    def move(self, identifier: Any, model: str, destination: str, budget: Budget, stop: Stop) -> tuple[int, int]:
        """A C-MOVE to its end: its status and how many objects the archive says it has sent."""
        with self._asking("C-MOVE", budget, self._patience):
            number, _ = self._request(Kind.C_MOVE, model, identifier, {Element.MoveDestination: destination})
            return self._to_the_end(Kind.C_MOVE, number, budget, stop)

    def relay(self, identifier: Any, model: str, destination: str, budget: Budget, on_sent: OnSent) -> Relayed:
        """A C-MOVE to somebody else: all that the archive says of it, its progress too."""
        sent = 0
        with self._asking("C-MOVE", budget, self._patience, lambda: f"{sent} objects were sent to {destination}"):
            number, context = self._request(Kind.C_MOVE, model, identifier, {Element.MoveDestination: destination})
            while True:
                message = self._association.receive()
                command = self._checked(message, Kind.C_MOVE, number)
                completed, failed, warnings = (command.optional_number(element) or 0 for element in _COUNTS)
                data = self._association.read(message) if command.has_data else b""
                status = command.number(Element.Status)
                if status not in PENDING:
                    self._answered = True
                    failures = self._failures(data, self._association.contexts[context].syntaxes[0])
                    return Relayed(status, completed, failed, warnings, failures)
                sent = completed + warnings
                on_sent(sent)
                if budget.spent:
                    raise self._says.late(f"{sent} objects were sent to {destination}")

    def _failures(self, data: bytes, syntax: str) -> tuple[str, ...]:
        """The objects that an archive names as failed; one that names them illegibly has named none."""
        try:
            return unsent(part10.decode(data, syntax) if data else None)
        except BadArchive:
            return ()

    def get(self, identifier: Any, model: str, budget: Budget, stop: Stop, route: Route) -> tuple[int, int]:
        """A C-GET to its end, its objects handed to ``route``: its status and how many objects were sent."""
        with self._asking("C-GET", budget, self._patience):
            number, _ = self._request(Kind.C_GET, model, identifier)
            return self._to_the_end(Kind.C_GET, number, budget, stop, route)

    @property
    def _patience(self) -> float:
        return float(max(TRANSFER, self._archive["timeout"]))

    def _to_the_end(
        self, kind: Kind, number: int, budget: Budget, stop: Stop, route: Optional[Route] = None
    ) -> tuple[int, int]:
        completed = 0
        while True:
            message = self._association.receive()
            if message.command.kind == Kind.C_STORE and route is not None:
                store(self._association, message, route)
                status = PENDING[0]
            else:
                status = self._checked(message, kind, number).number(Element.Status)
                completed = message.command.optional_number(Element.NumberOfCompletedSuboperations) or completed
                if message.command.has_data:
                    self._association.read(message)  # the UIDs that failed; what is missing is known without them
                if status not in PENDING:
                    self._answered = True
                    return status, completed
                if route is None and completed > _MANY and not self._association.waiting():
                    time.sleep(_SEVERAL)  # else each takes the interpreter from the thread that receives the objects
            if budget.spent or stop():
                return status, completed

    def echo(self, budget: Budget) -> int:
        """A C-ECHO; the status that the archive gave."""
        with self._asking("C-ECHO", budget, self._archive["timeout"]):
            number, _ = self._request(Kind.C_ECHO, VERIFICATION, None)
            return self._final(Kind.C_ECHO, number)

    def store(self, outgoing: Outgoing, budget: Budget) -> Optional[int]:
        """Send one object: the status that the archive gave; None where it accepts no encoding of it that we have."""
        chosen = self._fitting(outgoing.sop_class, outgoing.transfer_syntax)
        if chosen is None:
            return None
        number, syntax = chosen
        data: Source = outgoing.dataset
        if syntax != outgoing.transfer_syntax:
            data = part10.transcode(outgoing.dataset[:], outgoing.transfer_syntax, syntax)
        with self._asking("C-STORE", budget, self._patience):
            request = self._association.next_number()
            elements: dict[Element, Union[int, str]] = {
                Element.AffectedSOPClassUID: outgoing.sop_class,
                Element.CommandField: Kind.C_STORE,
                Element.MessageID: request,
                Element.Priority: _MEDIUM,
                Element.AffectedSOPInstanceUID: outgoing.sop_instance,
            }
            self._association.send(number, elements, data)
            return self._final(Kind.C_STORE, request)

    def commit(self, transaction: str, objects: Sequence[Committed], reports: Reports, budget: Budget) -> Outcome:
        """Ask the archive to vouch for objects, and wait for its word, which may come over another association."""
        with self._asking("N-ACTION", budget, self._archive["timeout"]):
            context = self._numbers.get(commitment.SERVICE)
            if context is None:
                raise self._says.refusal("N-ACTION", 0x0122)
            number = self._association.next_number()
            elements: dict[Element, Union[int, str]] = {
                Element.RequestedSOPClassUID: commitment.SERVICE,
                Element.CommandField: Kind.N_ACTION,
                Element.MessageID: number,
                Element.RequestedSOPInstanceUID: commitment.INSTANCE,
                Element.ActionTypeID: commitment.REQUEST,
            }
            syntax = self._association.contexts[context].syntaxes[0]
            self._association.send(context, elements, commitment.request(transaction, objects, syntax))
            answer = self._answer(Kind.N_ACTION, number)
            if answer.command.has_data:
                self._association.read(answer)
            status = answer.command.number(Element.Status)
            if status != 0x0000:
                self._answered = True
                raise self._says.refusal("N-ACTION", status)
            outcome = self._report(transaction, reports, budget)
            self._answered = True
            return outcome

    def _report(self, transaction: str, reports: Reports, budget: Budget) -> Outcome:
        while not budget.spent:
            outcome = reports.wait(transaction, budget.at_most(0.05))
            if outcome is None and self._association.open and self._association.waiting():
                outcome = self._report_here()
            if outcome is not None and outcome.transaction == transaction:
                return outcome
        raise self._says.uncommitted()

    def _report_here(self) -> Optional[Outcome]:
        """The report that comes over this association; None when the archive ends it, to call back with another."""
        found: list[Outcome] = []
        try:
            with self._association.lost_for_good():
                commitment.read(self._association, self._association.receive(), found.append)
        except Violation:
            raise
        except Lost:
            return None
        return found[0]

    def _fitting(self, sop_class: str, transfer_syntax: str) -> Optional[tuple[int, str]]:
        """The context for an object as it is, else one into whose encoding it can be turned."""
        offered = {
            context.syntaxes[0]: number
            for number, context in self._association.contexts.items()
            if context.abstract == sop_class
        }
        return next(((offered[syntax], syntax) for syntax in fitting(transfer_syntax) if syntax in offered), None)

    # --- how each of them speaks

    def _request(
        self, kind: Kind, sop_class: str, identifier: Any, more: Optional[dict[Element, Union[int, str]]] = None
    ) -> tuple[int, int]:
        """Send a request: its number, and that of its context."""
        context = self._numbers.get(sop_class)
        if context is None:
            raise self._says.refusal(kind.name.replace("_", "-"), 0x0122)
        syntax = self._association.contexts[context].syntaxes[0]
        number = self._association.next_number()
        elements: dict[Element, Union[int, str]] = {
            Element.AffectedSOPClassUID: sop_class,
            Element.CommandField: kind,
            Element.MessageID: number,
            **(more or {}),
        }
        if identifier is not None:
            elements[Element.Priority] = _MEDIUM
        data = part10.encode(identifier, syntax) if identifier is not None else None
        self._association.send(context, elements, data)
        return number, context

    def _final(self, kind: Kind, number: int) -> int:
        """The status of the one answer to a request."""
        status = self._answer(kind, number).command.number(Element.Status)
        self._answered = True
        return status

    def _answer(self, kind: Kind, number: int) -> Message:
        message = self._association.receive()
        self._checked(message, kind, number)
        return message

    def _checked(self, message: Message, kind: Kind, number: int) -> Command:
        """An answer must be one to what was asked; a peer that mixes them up cannot be believed at all."""
        command = message.command
        if command.kind != kind | _RESPONSE or command.number(Element.MessageIDBeingRespondedTo) != number:
            raise self._says.lost()
        return command

    @contextlib.contextmanager
    def _asking(
        self, service: str, budget: Budget, patience: float, so_far: Callable[[], str] = lambda: ""
    ) -> Iterator[None]:
        """A block that asks and is answered; what goes wrong becomes a sentence."""
        before = self._association.messages
        self._answered = False
        try:
            with self._association.within(budget, patience), self._association.lost_for_good():
                yield
        except Silent:
            if budget.spent:
                raise self._says.late(so_far() or f"the {service} was not answered") from None
            raise self._says.lost() from None
        except Lost as error:
            _log.info("%s: the association was lost: %s", self._archive.name, error)
            raise self._says.lost() from None
        finally:
            self.reused = self.reused and self._association.messages == before
            if not self._answered:  # what else comes would be taken for the answer to the next question
                self._association.abort()

    def release(self) -> None:
        """End the association in good order."""
        self._association.release()

    def abort(self) -> None:
        """End the association at once."""
        self._association.abort()


def connect(archive: ArchiveConfig, local: Local, purpose: Purpose, budget: Budget) -> WireLink:
    """Open an association."""
    says = Sentences(archive, local)
    contexts = [Context(service, PLAIN) for service in purpose.services]
    contexts += [Context(*context) for context in (*storage_contexts(purpose.receiving), *purpose.sending)]
    proposal = Proposal.of(archive["ae_title"], local.ae_title, contexts, purpose.receiving)
    patience = max(0.1, budget.at_most(archive["timeout"]))
    connection = _connected(archive, says, patience)
    began = time.perf_counter()
    try:
        association = Association.request(connection, proposal, patience)
    except Rejected as no:
        raise says.rejected(no.source, no.reason) from None
    except Aborted:
        raise says.broken_off() from None
    except Lost as error:
        _log.info("%s: no association: %s", archive.name, error)
        if archive["tls"] and type(error) is Lost:  # TLS 1.3: only now a server says that it wants a certificate
            raise says.not_encrypted(error) from None
        raise says.no_archive() from None
    _log.info("%s: association opened", archive.name)
    return WireLink(association, purpose, archive, local, time.perf_counter() - began)


def _connected(archive: ArchiveConfig, says: Sentences, patience: float) -> socket.socket:
    context = client_context(archive)  # before there is a connection that somebody would have to close
    try:
        connection = reach(archive["host"], archive["port"], patience)
    except ConnectionFailed as error:
        raise says.named(error) from None
    if context is None:
        return connection
    try:
        return context.wrap_socket(connection, server_hostname=archive["host"])
    except (OSError, ValueError) as error:
        connection.close()
        raise says.not_encrypted(error) from None
