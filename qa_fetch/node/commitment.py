"""Storage commitment as the node gives it: every object looked at, and the word on it said until the peer has it."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

from django.db import Error as DatabaseError
from pydicom.dataset import Dataset

from .. import part10
from ..backends.commitment import INSTANCE, REQUEST, SERVICE
from ..backends.storage import PLAIN
from ..backends.wire import Association, Context, Element, Kind, Lost, Message, Rejected, Violation
from ..backends.wire.command import RESPONSE
from ..budget import Budget
from ..errors import BadArchive
from . import headers, index
from .calling import Caller
from .models import Instance
from .options import NodeOptions
from .white_list import WhiteList

LOG = logging.getLogger("qa_fetch.node")

_SUCCESS, _FAILED, _NO_SUCH_OBJECT, _OTHER_CLASS = 0x0000, 0x0110, 0x0112, 0x0119
_NO_SUCH_ACTION, _BAD_ARGUMENT, _NO_SUCH_CLASS = 0x0123, 0x0115, 0x0118
_ALL_KEPT, _SOME_FAILED = 1, 2  # EventTypeID
_LEAVES = 0.3  # seconds in which a peer that wants to be called back ends its association
_PATIENCE = 30.0  # seconds for a peer to acknowledge a report
_PAUSES = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds between the attempts to call a peer back
_WAITING = 1000  # reports that wait for their peers; what comes on top is not said
_AT_ONCE = 500  # objects that are looked up at once

Others = Callable[[Association, Message], None]


class _Asked(NamedTuple):
    """A transaction: what it is called, and the items that name its objects."""

    transaction: str
    items: Sequence[Any]


@dataclass(frozen=True)
class _Report:
    """What is to be said to a peer."""

    title: str
    content: Dataset
    event: int

    def elements(self, number: int) -> dict[Element, Union[int, str]]:
        return {
            Element.AffectedSOPClassUID: SERVICE,
            Element.CommandField: Kind.N_EVENT_REPORT,
            Element.MessageID: number,
            Element.AffectedSOPInstanceUID: INSTANCE,
            Element.EventTypeID: self.event,
        }


class Committer:
    """Answers requests for commitment.

    Parameters
    ----------
    options
        The node's.
    caller
        Opens associations for the node.
    path
        Where the object with a UID lies.
    """

    def __init__(self, options: NodeOptions, caller: Caller, path: Callable[[str], Path]) -> None:
        self._path = path
        self._courier = Courier(options, caller)
        self._reporting: set[Association] = set()

    def stop(self) -> None:
        """Say nothing more."""
        self._courier.stop()

    def action(self, association: Association, message: Message, others: Others) -> None:
        """Answer an N-ACTION, and say what is kept.

        Parameters
        ----------
        association, message
            Where the request came, and the request.
        others
            Answers what else the peer asks before it has acknowledged the report.
        """
        asked = self._read(association, message)
        status = asked if isinstance(asked, int) else _SUCCESS
        more: dict[Element, Union[int, str]] = {
            Element.AffectedSOPClassUID: SERVICE,
            Element.AffectedSOPInstanceUID: INSTANCE,
            Element.ActionTypeID: REQUEST,
        }
        association.respond(message, status, more=more)
        LOG.info("N-ACTION from %r at %s: 0x%04X", association.calling, association.peer, status)
        if isinstance(asked, int):
            return
        report = self._report(association.calling, asked)
        if self._is_to_be_called(association):
            self._courier.put(report)
            return
        self._reporting.add(association)
        try:
            _say(association, message.context, report, others)
        except Lost:
            self._courier.put(report)
            raise
        finally:
            self._reporting.discard(association)

    def _read(self, association: Association, message: Message) -> Union[_Asked, int]:
        """What is asked for, or the status that says why it cannot be answered."""
        command, context = message.command, association.contexts[message.context]
        data = association.read(message) if command.has_data else b""
        if context.abstract != SERVICE:
            return _NO_SUCH_CLASS
        if command.text(Element.RequestedSOPInstanceUID) != INSTANCE:
            return _NO_SUCH_OBJECT
        if command.optional_number(Element.ActionTypeID) != REQUEST:
            return _NO_SUCH_ACTION
        try:
            dataset = part10.decode(data, context.syntaxes[0])
            transaction = part10.clean_uid(dataset.get("TransactionUID") or "")
            items = list(dataset.get("ReferencedSOPSequence") or ())
        except (BadArchive, *headers.UNREADABLE):
            return _BAD_ARGUMENT
        named = all(isinstance(item, Dataset) and _uid(item, "ReferencedSOPInstanceUID") for item in items)
        return _Asked(transaction, items) if transaction and items and named else _BAD_ARGUMENT

    def _is_to_be_called(self, association: Association) -> bool:
        """Whether the report goes over an association of our own.

        It does where the peer ends its own at once, as most do, or goes on with something else; a peer that stays and
        is silent waits for it there. So does a peer of which we do not know where to call it.
        """
        if association in self._reporting:  # it has not acknowledged the last one yet
            return True
        if not self._courier.knows(association.calling):
            return False
        patience = Budget(_LEAVES)
        while not patience.spent:
            if association.waiting():
                return True
            time.sleep(0.01)
        return False

    def _report(self, title: str, asked: _Asked) -> _Report:
        uids = [_uid(item, "ReferencedSOPInstanceUID") for item in asked.items]
        reasons = self._reasons(uids, [_uid(item, "ReferencedSOPClassUID") for item in asked.items])
        content = Dataset()
        content.add_new("TransactionUID", "UI", asked.transaction)
        kept = [_reference(item) for item, reason in zip(asked.items, reasons) if not reason]
        failed = [_reference(item, reason) for item, reason in zip(asked.items, reasons) if reason]
        if kept:
            content.ReferencedSOPSequence = kept
        if failed:
            content.FailedSOPSequence = failed
        LOG.info("storage commitment for %r: %d kept, %d not", title, len(kept), len(failed))
        return _Report(title, content, _SOME_FAILED if failed else _ALL_KEPT)

    def _reasons(self, uids: Sequence[str], classes: Sequence[str]) -> list[int]:
        """For each object 0 when it is kept, else why not."""
        try:
            known = sorted({uid for uid in uids if uid.isascii() and uid.isprintable()})  # PostgreSQL takes no NUL
            rows = {row[0]: row[1:] for row in _rows(known)}
        except DatabaseError as error:
            LOG.error("it cannot be looked up what is kept: %s", type(error).__name__)
            return [_FAILED] * len(uids)
        return [self._reason(uid, sop_class, rows.get(uid)) for uid, sop_class in zip(uids, classes)]

    def _reason(self, uid: str, sop_class: str, row: Any) -> int:
        if row is None:
            return _NO_SUCH_OBJECT
        if row[0] != sop_class:
            return _OTHER_CLASS
        try:
            with self._path(uid).open("rb") as file, part10.opened(file, "its file") as content:
                whole = content.transfer_syntax == row[1] and len(content.dataset) == row[2]
        except (OSError, BadArchive):
            whole = False
        return _SUCCESS if whole else _FAILED


def _rows(uids: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(uids), _AT_ONCE):
        some = Instance.objects.filter(SOPInstanceUID__in=uids[start : start + _AT_ONCE])
        yield from some.values_list("SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID", "size")


def _uid(item: Dataset, keyword: str) -> str:
    return part10.clean_uid(str(item.get(keyword) or ""))


def _reference(item: Dataset, reason: int = 0) -> Dataset:
    """The object of an item, as the peer has spelled it."""
    made = Dataset()
    for keyword in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"):
        if keyword in item:
            made.add(item[keyword])
    if reason:
        made.FailureReason = reason
    return made


def _say(association: Association, context: int, report: _Report, others: Others) -> None:
    """Send a report and wait until it is acknowledged; raises Lost when it is not."""
    try:
        data = part10.encode(report.content, association.contexts[context].syntaxes[0])
    except headers.UNREADABLE as error:
        LOG.error("a report on a commitment cannot be encoded (%s)", type(error).__name__)
        return
    number = association.next_number()
    association.send(context, report.elements(number), data)
    while True:
        message = association.receive()
        if message.command.kind != Kind.N_EVENT_REPORT | RESPONSE:
            others(association, message)
            continue
        if message.command.number(Element.MessageIDBeingRespondedTo) != number:
            raise Violation("an answer to something else")
        if message.command.has_data:
            association.read(message)
        status = message.command.number(Element.Status)
        level = logging.INFO if status == _SUCCESS else logging.WARNING
        LOG.log(level, "report on a commitment to %r: 0x%04X", report.title, status)
        return


def _nothing_else(association: Association, message: Message) -> None:
    raise Violation("a message that was not asked for")


class Courier:
    """Calls peers back with reports, again and again for a while where a peer cannot be reached."""

    def __init__(self, options: NodeOptions, caller: Caller) -> None:
        self._white_list = WhiteList(options)
        self._caller = caller
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, int, _Report]] = []  # when, its number, how often it was tried
        self._numbers = itertools.count()
        self._thread: Optional[threading.Thread] = None
        self._connection: Optional[socket.socket] = None
        self._stopped = False

    def knows(self, title: str) -> bool:
        """Whether a peer can be called."""
        peer = self._white_list.peer(title)
        return peer is not None and peer.port is not None

    def put(self, report: _Report, tried: int = 0, pause: float = 0.0) -> None:
        """Say it soon."""
        with self._changed:
            if self._stopped or not self.knows(report.title) or len(self._due) >= _WAITING:
                LOG.warning("a report on a commitment to %r could not be said", report.title)
                return
            heapq.heappush(self._due, (time.monotonic() + pause, next(self._numbers), tried, report))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="qa_fetch commitment", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """End what is under way, and say nothing more."""
        with self._changed:
            self._stopped = True
            if self._connection is not None:
                _shut(self._connection)
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(1.0)

    def _run(self) -> None:
        try:
            while True:
                job = self._next()
                if job is None:
                    return
                report, tried = job
                if not self._tell(report) and tried < len(_PAUSES):
                    self.put(report, tried + 1, _PAUSES[tried])
        finally:
            index.close_this_thread()

    def _next(self) -> Optional[tuple[_Report, int]]:
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else math.inf
                if wait <= 0:
                    _, _, tried, report = heapq.heappop(self._due)
                    return report, tried
                self._changed.wait(None if wait == math.inf else wait)
            return None

    def _tell(self, report: _Report) -> bool:
        """Call the peer; whether it has the report."""
        peer = self._white_list.peer(report.title)
        if peer is None:
            return True
        try:
            connection = self._caller.connect(peer)
            with self._changed:
                self._connection = connection
                if self._stopped:
                    _shut(connection)
            offered = [Context(SERVICE, PLAIN)]
            association = self._caller.request(connection, report.title, offered, (SERVICE,))
            try:
                return self._told(association, report)
            finally:
                association.release()
        except (OSError, Lost) as error:
            LOG.warning("%r cannot be called with a report on a commitment (%s)", report.title, type(error).__name__)
        except Rejected as no:
            LOG.warning("%r rejected the association (%d, %d, %d)", report.title, no.result, no.source, no.reason)
        finally:
            with self._changed:
                self._connection = None
        return False

    def _told(self, association: Association, report: _Report) -> bool:
        context = next(iter(association.contexts), None)
        if context is None:
            LOG.warning("%r takes no report on a commitment", report.title)
            return False
        with association.within(Budget(math.inf), _PATIENCE), association.lost_for_good():
            _say(association, context, report, _nothing_else)
        return True


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        LOG.debug("a connection had ended already")
