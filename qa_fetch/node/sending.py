"""Sending stored objects as they lie on the disk, to who asks for them or to where a C-MOVE wants them."""

from __future__ import annotations

import contextlib
import logging
import math
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable, Optional, Union

from .. import part10
from ..backends.storage import fitting, outgoing_contexts
from ..backends.wire import Association, Context, Element, Kind, Lost, Message, Rejected, Source, Violation
from ..backends.wire.command import RESPONSE
from ..budget import Budget
from ..errors import BadArchive, QAFetchError
from .anonymising import Flight
from .calling import Caller
from .options import Peer
from .search import Stored

LOG = logging.getLogger("qa_fetch.node")

_NO_RESOURCES, _NO_CONTEXT, _UNKNOWN_OBJECT, _NOT_ALLOWED = 0xA700, 0x0122, 0x0112, 0x0124
_KINDS_AT_A_TIME = 60  # an association has room for 128 contexts, and a kind may need two
_SMALL = 1 << 16  # bytes of a file that is read faster than it is mapped
_STORING = 60.0  # seconds for it to take one object

_Kind = tuple[str, str]  # SOP class and transfer syntax


def _no_other(message: Message) -> None:
    raise Violation("a message that was not asked for")


class Sender:
    """Sends objects over one association, and says of each with which status the receiver answered.

    Parameters
    ----------
    association
        The association.
    contexts
        Those of its contexts in which the other side takes objects.
    path
        Where the object with a UID lies.
    more
        What every request says beside what it stores.
    hear
        Takes what else the other side sends.
    flight
        By which objects are anonymised on their way; without it they go as they are.
    """

    def __init__(
        self,
        association: Association,
        contexts: Mapping[int, Context],
        path: Callable[[str], Path],
        more: Mapping[Element, Union[int, str]],
        hear: Callable[[Message], None] = _no_other,
        flight: Optional[Flight] = None,
    ) -> None:
        self._association = association
        self._numbers = {(context.abstract, context.syntaxes[0]): number for number, context in contexts.items()}
        self._path = path
        self._more = more
        self._hear = hear
        self._flight = flight
        self._unfit: set[_Kind] = set()

    def send(self, row: Stored) -> int:
        """Send one object; the status is the receiver's, or says why nothing was sent."""
        chosen = self._fitting(row.SOPClassUID, row.TransferSyntaxUID)
        if chosen is None:
            return _NO_CONTEXT
        context, syntax = chosen
        try:
            with self._stored(row) as data:
                instance = row.SOPInstanceUID
                if self._flight is not None:
                    passed = self._anonymised(self._flight, data, row.TransferSyntaxUID)
                    if passed is None:
                        return _NOT_ALLOWED
                    instance, data = passed
                if syntax != row.TransferSyntaxUID:
                    data = memoryview(part10.transcode(data, row.TransferSyntaxUID, syntax))
                return self._store(row.SOPClassUID, instance, context, data)
        except OSError as error:
            LOG.error("an object cannot be sent: its file is unreadable (%s)", type(error).__name__)
        except BadArchive as error:
            LOG.error("an object cannot be sent: %s", error)
        return _UNKNOWN_OBJECT

    @staticmethod
    def _anonymised(flight: Flight, data: memoryview, syntax: str) -> Optional[tuple[str, memoryview]]:
        """What an object is called and holds for its receiver; None where it is not passed on."""
        try:
            done = flight.rewritten(data, syntax)
        except QAFetchError as error:
            LOG.warning("an object is not passed on: %s", error)
            return None
        return done.sop_instance, memoryview(done.dataset)

    @contextlib.contextmanager
    def _stored(self, row: Stored) -> Iterator[memoryview]:
        """The data set of an object where it lies."""
        with open(self._path(row.SOPInstanceUID), "rb", buffering=0) as file:  # noqa: PTH123 - Path.open costs more
            if row.size > _SMALL:
                with part10.opened(file, "its file") as content:
                    yield _checked(content, row)
                return
            whole = file.read()
            header = part10.file_meta(row.SOPClassUID, row.SOPInstanceUID, row.TransferSyntaxUID)
            if len(whole) == len(header) + row.size and whole.startswith(header):  # as this version writes it
                yield memoryview(whole)[len(header) :]
            else:
                yield _checked(part10.split(whole, "its file"), row)

    def _store(self, sop_class: str, instance: str, context: int, data: Source) -> int:
        number = self._association.next_number()
        request: dict[Element, Union[int, str]] = {
            Element.AffectedSOPClassUID: sop_class,
            Element.CommandField: Kind.C_STORE,
            Element.MessageID: number,
            Element.AffectedSOPInstanceUID: instance,
            **self._more,
        }
        self._association.send(context, request, data)
        while True:
            message = self._association.receive()
            if message.command.kind != Kind.C_STORE | RESPONSE:
                self._hear(message)
                continue
            if message.command.number(Element.MessageIDBeingRespondedTo) != number:
                raise Violation("an answer to something else")
            if message.command.has_data:
                self._association.read(message)
            return message.command.number(Element.Status)

    def _fitting(self, sop_class: str, stored: str) -> Optional[tuple[int, str]]:
        """The context for an object as it is stored, else one into whose encoding it can be turned."""
        for syntax in fitting(stored):
            if (sop_class, syntax) in self._numbers:
                return self._numbers[sop_class, syntax], syntax
        if (sop_class, stored) not in self._unfit:
            self._unfit.add((sop_class, stored))
            LOG.warning(
                "objects of class %r in %r cannot be sent: their receiver does not take them", sop_class, stored
            )
        return None


class Destination:
    """Where a C-MOVE sends its objects: a peer to which an association is opened with the first of them.

    What goes wrong on the way there makes its sub-operations fail, and nothing else.

    Parameters
    ----------
    caller
        Opens associations for us.
    title, peer
        What it is called, and where it is.
    rows
        What it will be sent, those of one kind together.
    sender
        Makes a ``Sender`` of an association.
    """

    def __init__(
        self, caller: Caller, title: str, peer: Peer, rows: Sequence[Stored], sender: Callable[[Association], Sender]
    ) -> None:
        self._caller = caller
        self._title = title
        self._peer = peer
        self._kinds = list(dict.fromkeys((row.SOPClassUID, row.TransferSyntaxUID) for row in rows))
        self._sender_for = sender
        self._connection: Optional[socket.socket] = None
        self._association: Optional[Association] = None
        self._sender: Optional[Sender] = None
        self._proposed: list[_Kind] = []
        self._unreachable = False

    def send(self, row: Stored) -> int:
        """Send one object; the status is the receiver's, or says that it cannot be reached."""
        kind = (row.SOPClassUID, row.TransferSyntaxUID)
        try:
            if kind not in self._proposed:
                self._open(kind)
            if self._unreachable or self._association is None or self._sender is None or not self._association.open:
                return _NO_RESOURCES
            with self._association.within(Budget(math.inf), _STORING), self._association.lost_for_good():
                return self._sender.send(row)
        except Lost as error:
            LOG.warning("a destination was lost: %s", error)
        return _NO_RESOURCES

    def close(self) -> None:
        """End the association in good order, if one is open."""
        if self._association is not None:
            self._association.release()

    def hang_up(self) -> None:
        """Wake whoever sends in another thread; what is left to send fails."""
        self._unreachable = True
        if self._connection is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._connection.shutdown(socket.SHUT_RDWR)

    def _open(self, kind: _Kind) -> None:
        self.close()
        self._sender = self._association = None
        start = self._kinds.index(kind)
        self._proposed = self._kinds[start : start + _KINDS_AT_A_TIME]
        if self._unreachable:
            return
        try:
            self._connection = self._caller.connect(self._peer)
            contexts = [Context(*context) for context in outgoing_contexts(self._proposed)]
            self._association = self._caller.request(self._connection, self._title, contexts)
            self._sender = self._sender_for(self._association)
        except (OSError, Lost) as error:
            LOG.warning("a destination cannot be reached (%s)", type(error).__name__)
            self._unreachable = True
        except Rejected as no:
            LOG.warning("a destination rejected the association (%d, %d, %d)", no.result, no.source, no.reason)
            self._unreachable = True


def _checked(content: part10.Part10, row: Stored) -> memoryview:
    """The data set of a file, which has to be what was put there."""
    if content.transfer_syntax != row.TransferSyntaxUID or len(content.dataset) != row.size:
        raise BadArchive("its file is not what was stored. Restore the node's folder from a backup.")
    return content.dataset
