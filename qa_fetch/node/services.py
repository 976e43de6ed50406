"""The DIMSE services: what the node answers to each request."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Callable, Optional, Union
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseError

from ..backends import commitment
from ..backends.acceptor import Service
from ..backends.standing import Desk
from ..backends.storage import is_storage
from ..backends.wire import Association, Element, Kind, Message, Violation
from ..errors import BadArchive
from . import index
from .anonymising import Anonymising, Flight
from .asking import Asked
from .calling import Caller
from .commitment import Committer
from .jobs import JOBS, Job
from .negotiation import QUERY_RETRIEVE, Offer
from .objects import Announced, Arrival, ObjectStore
from .options import NodeOptions
from .query import BadIdentifier, Query
from .retrieving import CANCELLED, PENDING, SUCCESS, Retrieval
from .search import Searcher, Stored
from .sending import Destination, Sender
from .white_list import WhiteList

LOG = logging.getLogger("qa_fetch.node")

_NOT_OFFERED, _NOT_AUTHORISED, _DOES_NOT_FIT, _UNABLE = 0x0122, 0x0124, 0xA900, 0xC000
_UNKNOWN_DESTINATION = 0xA801
_REQUESTOR = (True, False)  # the role of who asks for an association, where nothing else was agreed on
_TROUBLE = (DatabaseError, OSError, BadArchive)


class Services:
    """What one node offers."""

    def __init__(self, options: NodeOptions, objects: ObjectStore) -> None:
        self._options = options
        self._objects = objects
        self._white_list = WhiteList(options)
        self._searcher = Searcher(options.ae_title, objects.path, objects.extra)
        self._anonymising = Anonymising(options)
        self._destinations: set[Destination] = set()
        self._storing: WeakKeyDictionary[Association, bool] = WeakKeyDictionary()
        self._caller = Caller(options)
        self._committer = Committer(options, self._caller, objects.path)
        self.desk: Optional[Desk] = None  # where what somebody on this machine waits for is handed over
        self._handlers: dict[Kind, Callable[[Association, Message], None]] = {
            Kind.C_ECHO: self.echo,
            Kind.C_STORE: self.store,
            Kind.C_CANCEL: _too_late,
            Kind.C_FIND: partial(_ask, "find", self.find),
            Kind.C_MOVE: partial(_ask, "move", self.move),
            Kind.C_GET: partial(_ask, "get", self.get),
            Kind.N_ACTION: self.commit,
            Kind.N_EVENT_REPORT: self.report,
        }

    def service(self) -> Service:
        """The same as the server wants it."""
        return Service(
            choose=Offer(self._options, self._white_list).choose,
            handlers=self._handlers,
            ended=index.close_this_thread,
            hang_up=self.hang_up,
        )

    def hang_up(self) -> None:
        """End what C-MOVEs and reports on commitments have opened."""
        self._committer.stop()
        for destination in list(self._destinations):
            destination.hang_up()

    def echo(self, association: Association, message: Message) -> None:
        """Say that we are here."""
        LOG.info("C-ECHO from %s", _caller(association))
        association.respond(message, SUCCESS)

    def store(self, association: Association, message: Message) -> None:
        """Take an object in as it comes; Success is said when it is on the disk and in the index."""
        context, command = association.contexts[message.context], message.command
        if not command.has_data:
            raise Violation("a C-STORE without an object")
        if not self._may_store(association) or not is_storage(context.abstract):
            association.stream(message, lambda pieces: None)
            association.respond(message, _NOT_AUTHORISED)
            return
        instance = command.text(Element.AffectedSOPInstanceUID)
        announced = Announced(
            command.text(Element.AffectedSOPClassUID), instance, context.syntaxes[0], association.calling
        )
        arrival = Arrival(self._objects, announced)
        try:
            association.stream(message, arrival.write)
            status = arrival.finish()
            if status == SUCCESS and self.desk is not None:
                self._hand_over(self.desk, instance)
        finally:
            arrival.close()
        LOG.info("C-STORE from %s: 0x%04X, %d bytes", _caller(association), status, arrival.size)
        association.respond(message, status)

    def _may_store(self, association: Association) -> bool:
        """Whether a caller may store; looked up once an association, since a host name is looked up for it."""
        found = self._storing.get(association)
        if found is None:
            found = "store" in self._white_list.services_for(association.calling, association.peer)
            self._storing[association] = found
        return found

    def _hand_over(self, desk: Desk, instance: str) -> None:
        try:
            desk.hand_over(instance, self._objects.path(instance))
        except OSError as error:
            LOG.error("an object could not be handed over to who waits for it (%s)", error.strerror)

    def commit(self, association: Association, message: Message) -> None:
        """Say which objects are kept."""
        self._committer.action(association, message, self._answer)

    def report(self, association: Association, message: Message) -> None:
        """Take what an archive says of objects that it was asked to commit to, for who waits for it on this machine."""
        if self.desk is None or association.contexts[message.context].abstract != commitment.SERVICE:
            raise Violation("a report that nobody waits for")
        commitment.read(association, message, self.desk.reports.put)

    def _answer(self, association: Association, message: Message) -> None:
        """Answer a request that comes while a report is on its way."""
        handler = self._handlers.get(Kind(message.command.kind)) if message.command.kind in set(Kind) else None
        if handler is None:
            raise Violation("a request that was not agreed on")
        handler(association, message)

    def find(self, association: Association, asked: Asked) -> None:
        """Answer a query, one answer for each entity."""
        count, status = 0, SUCCESS
        try:
            for answer in self._searcher.encoded_answers(self._query(asked), asked.syntax):
                if asked.cancelled:
                    status = CANCELLED
                    break
                asked.answer(PENDING, answer)
                count += 1
        except (BadIdentifier, *_TROUBLE) as error:
            status = _failed("C-FIND", association, error)
        LOG.info("C-FIND from %s: 0x%04X, %d answers", _caller(association), status, count)
        asked.answer(status)

    def move(self, association: Association, asked: Asked) -> None:
        """Send what is asked for to a destination that we know."""
        peer = self._options.peers.get(asked.destination)
        if peer is None or peer.port is None:
            LOG.warning("C-MOVE from %s: 0xA801, the destination is not configured", _caller(association))
            _refuse("C-MOVE", association, asked, _UNKNOWN_DESTINATION)
            return
        rows = self._rows(association, asked, "C-MOVE")
        if isinstance(rows, int):
            _refuse("C-MOVE", association, asked, rows)
            return
        more: dict[Element, Union[int, str]] = {
            Element.Priority: asked.priority,
            Element.MoveOriginatorApplicationEntityTitle: association.calling,
            Element.MoveOriginatorMessageID: asked.number,
        }
        flight = self._anonymising.flight(asked.destination)
        destination = Destination(
            self._caller,
            asked.destination,
            peer,
            rows,
            lambda opened: Sender(opened, opened.contexts, self._objects.path, more, flight=flight),
        )
        self._destinations.add(destination)
        try:
            retrieval = self._retrieval(association, asked, rows)
            before = self._before(flight, rows)
            _retrieve("C-MOVE", association, retrieval, destination.send, before, asked.destination)
        finally:
            self._destinations.discard(destination)
            destination.close()

    def get(self, association: Association, asked: Asked) -> None:
        """Send what is asked for over the association that asks."""
        rows = self._rows(association, asked, "C-GET")
        if isinstance(rows, int):
            _refuse("C-GET", association, asked, rows)
            return
        taking = {
            number: context
            for number, context in association.contexts.items()
            if association.roles.get(context.abstract, _REQUESTOR)[1]
        }
        more = {Element.Priority: asked.priority}
        flight = self._anonymising.flight(association.calling)
        sender = Sender(association, taking, self._objects.path, more, asked.hear, flight)
        retrieval = self._retrieval(association, asked, rows)
        _retrieve("C-GET", association, retrieval, sender.send, self._before(flight, rows))

    def _retrieval(self, association: Association, asked: Asked, rows: Sequence[Stored]) -> Retrieval:
        """The sub-operations of a request; who gets anonymised objects hears of them by their new names."""
        caller = self._anonymising.flight(association.calling)
        return Retrieval(asked, rows) if caller is None else Retrieval(asked, rows, caller.uid)

    def _before(self, flight: Optional[Flight], rows: Sequence[Stored]) -> Iterable[object]:
        return () if flight is None else flight.learnt(rows, self._objects.path)

    def _rows(self, association: Association, asked: Asked, service: str) -> Union[list[Stored], int]:
        """The objects asked for, or the status that says why there are none."""
        try:
            query = self._query(asked)
            query.require_own_key()
            if self._anonymising.flight(association.calling) is not None:
                query.require_only_unique_keys()
            return self._searcher.objects(query)
        except (BadIdentifier, *_TROUBLE) as error:
            return _failed(service, association, error)

    def _query(self, asked: Asked) -> Query:
        _, root = QUERY_RETRIEVE[asked.model]
        try:
            identifier = asked.identifier()
        except BadArchive:
            raise BadIdentifier("it cannot be decoded") from None
        return Query(identifier, root, self._options.relational)


def _ask(
    service: str, answer: Callable[[Association, Asked], None], association: Association, message: Message
) -> None:
    """Answer a request that came in a context of its own service."""
    asked = Asked(association, message)
    if asked.model in QUERY_RETRIEVE and QUERY_RETRIEVE[asked.model][0] == service:
        answer(association, asked)
    else:
        asked.answer(_NOT_OFFERED)


def _too_late(association: Association, message: Message) -> None:
    """A C-CANCEL of something that is answered already."""


def _retrieve(
    service: str,
    association: Association,
    retrieval: Retrieval,
    send: Callable[[Stored], int],
    before: Iterable[object],
    destination: str = "",
) -> None:
    caller = association.calling.strip()
    with JOBS.listed(Job(service, caller, association.peer, destination or caller, retrieval)):
        status = retrieval.run(send, before)
    sent, failed = retrieval.completed, len(retrieval.failed)
    LOG.info("%s from %s: 0x%04X, %d sent, %d failed", service, _caller(association), status, sent, failed)


def _refuse(service: str, association: Association, asked: Asked, status: int) -> None:
    asked.answer(status)
    LOG.info("%s from %s: 0x%04X, 0 sent, 0 failed", service, _caller(association), status)


def _failed(service: str, association: Association, error: Exception) -> int:
    """Log why a request cannot be answered; the status for it."""
    if isinstance(error, BadIdentifier):
        LOG.warning("%s from %s cannot be answered: %s", service, _caller(association), error)
        return _DOES_NOT_FIT
    LOG.error("%s from %s failed: %s", service, _caller(association), type(error).__name__)
    return _UNABLE


def _caller(association: Association) -> str:
    """Who asks; the title is the peer's text, so it is shown in quotes."""
    return f"{association.calling!r} at {association.peer}"
