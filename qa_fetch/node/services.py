"""The DIMSE services: what the node answers to each request."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Optional, Union

from django.db import Error as DatabaseError
from pydicom.dataset import Dataset
from pynetdicom import evt

from .. import part10
from ..backends.reactor import Checkpoint, Sockets
from ..errors import BadArchive
from . import headers, index, negotiation
from .activity import Activity
from .courier import Courier, Sender, Token
from .models import Instance
from .objects import Arrival, ObjectStore
from .options import NodeOptions
from .search import BadIdentifier, Query, Searcher

LOG = logging.getLogger("qa_fetch.node")

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
NOT_AUTHORISED, NO_RESOURCES, DOES_NOT_FIT, UNABLE = 0x0124, 0xA700, 0xA900, 0xC000
_TROUBLE = (DatabaseError, OSError, BadArchive)

Answers = Iterator[tuple[int, Optional[Dataset]]]


class Services:
    """The handlers of one node."""

    def __init__(self, options: NodeOptions, objects: ObjectStore) -> None:
        self._options = options
        self._objects = objects
        self._searcher = Searcher(options.ae_title, objects.path)
        self.activity = Activity()
        self.sockets = Sockets()

    def handlers(self) -> list[tuple[Any, ...]]:
        """What to bind to pynetdicom's events."""
        return [
            *self.sockets.handlers,
            (evt.EVT_DIMSE_RECV, self.activity.received),
            (evt.EVT_DIMSE_SENT, self.activity.sent),
            (evt.EVT_DIMSE_SENT, _log_retrieval),
            (evt.EVT_REQUESTED, negotiation.prefer_the_callers_order),
            (evt.EVT_ACCEPTED, _log_association, ["opened"]),
            (evt.EVT_REJECTED, self._ended, ["rejected"]),
            (evt.EVT_RELEASED, self._ended, ["released"]),
            (evt.EVT_ABORTED, self._ended, ["aborted"]),
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_C_MOVE, self.move),
            (evt.EVT_C_GET, self.get),
        ]

    def echo(self, event: Any) -> int:
        """Say that we are here."""
        LOG.info("C-ECHO from %s", _caller(event))
        return SUCCESS

    def store(self, event: Any) -> int:
        """Take an object in; Success is said when it is on the disk and in the index."""
        request = event.request
        if "store" not in self._options.services:
            return NOT_AUTHORISED
        data = request.DataSet.getvalue()
        arrival = Arrival(
            part10.clean_uid(request.AffectedSOPClassUID),
            part10.clean_uid(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            memoryview(data),
        )
        status = self._objects.take(arrival)
        LOG.info("C-STORE from %s: 0x%04X, %d bytes", _caller(event), status, len(data))
        return status

    def find(self, event: Any) -> Answers:
        """Answer a query, one answer for each entity."""
        count, status = 0, SUCCESS
        try:
            for answer in self._searcher.answers(self._query(event)):
                if event.is_cancelled:
                    status = CANCELLED
                    break
                count += 1
                yield PENDING, answer
        except BadIdentifier as error:
            LOG.warning("C-FIND from %s cannot be answered: %s", _caller(event), error)
            status = DOES_NOT_FIT
        except _TROUBLE as error:
            LOG.error("C-FIND from %s failed: %s", _caller(event), type(error).__name__)
            status = UNABLE
        LOG.info("C-FIND from %s: 0x%04X, %d answers", _caller(event), status, count)
        if status != SUCCESS:
            yield status, None

    def move(self, event: Any) -> Iterator[Any]:
        """Send what is asked for to a destination that we know."""
        title = str(event.move_destination or "").strip()
        if title not in self._options.destinations:
            LOG.warning("C-MOVE from %s: 0xA801, the destination is not configured", _caller(event))
            yield None, None
            return
        host, port = self._options.destinations[title]
        rows = self._rows(event, "C-MOVE")
        # The courier connects when there is something to send, so a refused identifier costs no association.
        connect = partial(
            event.assoc.ae.associate,
            host,
            port,
            ae_title=title,
            evt_handlers=[*self.sockets.handlers, (evt.EVT_CONN_OPEN, Checkpoint.install)],
        )
        courier = Courier(rows if isinstance(rows, list) else [], self._objects.path, connect)
        yield host, port, {"courier": courier}
        yield from _deliveries(event, rows)

    def get(self, event: Any) -> Iterator[Any]:
        """Send what is asked for over the association that asks."""
        rows = self._rows(event, "C-GET")
        event.assoc.send_c_store = Sender(event.assoc, self._objects.path).send_c_store
        yield from _deliveries(event, rows)

    def _ended(self, event: Any, how: str) -> None:
        _log_association(event, how)
        self.activity.ended(event.assoc)
        index.close_this_thread()

    def _rows(self, event: Any, service: str) -> Union[list[Instance], int]:
        """The objects asked for, or the status that says why there are none."""
        status = SUCCESS
        rows: list[Instance] = []
        try:
            query = self._query(event)
            query.require_own_key()
            rows = self._searcher.objects(query)
        except BadIdentifier as error:
            LOG.warning("%s from %s cannot be answered: %s", service, _caller(event), error)
            status = DOES_NOT_FIT
        except _TROUBLE as error:
            LOG.error("%s from %s failed: %s", service, _caller(event), type(error).__name__)
            status = UNABLE
        return rows if status == SUCCESS else status

    def _query(self, event: Any) -> Query:
        _, root = negotiation.QUERY_RETRIEVE[str(event.request.AffectedSOPClassUID)]
        try:
            identifier = event.identifier
        except (*headers.UNREADABLE, zlib.error, struct.error) as error:
            raise BadIdentifier(f"it cannot be decoded ({type(error).__name__})") from None
        return Query(identifier, root, self._options.relational)


def _deliveries(event: Any, rows: Union[list[Instance], int]) -> Iterator[Any]:
    """The number of sub-operations, then one token each, as pynetdicom's providers want it."""
    if isinstance(rows, int):
        yield 1
        yield rows, None
        return
    yield len(rows)
    for row in rows:
        if event.is_cancelled:
            yield CANCELLED, None
            return
        yield PENDING, Token(row)


def _caller(event: Any) -> str:
    """Who asks; the title is the peer's text, so it is shown in quotes."""
    requestor = event.assoc.requestor
    return f"{str(requestor.ae_title).strip()!r} at {requestor.address}"


def _log_retrieval(event: Any) -> None:
    """The outcome of a C-MOVE or C-GET, which is known when its final answer goes out."""
    service = {"C_MOVE_RSP": "C-MOVE", "C_GET_RSP": "C-GET"}.get(type(event.message).__name__)
    answer = event.message.command_set
    if service is not None and answer.Status != PENDING:
        completed, failed = (answer.get(f"NumberOf{end}Suboperations") or 0 for end in ("Completed", "Failed"))
        LOG.info("%s from %s: 0x%04X, %d sent, %d failed", service, _caller(event), answer.Status, completed, failed)


def _log_association(event: Any, what: str) -> None:
    LOG.info("association with %s %s", _caller(event), what)
