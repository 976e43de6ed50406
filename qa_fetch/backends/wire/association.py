"""An association seen as messages: commands that are read, and data that streams to where it belongs."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Optional, Protocol, Union

from ...budget import Budget
from . import command as commands
from . import negotiation
from .channel import Aborted, Channel, Lost, Piece, Released, Silent, Violation
from .command import NO_DATA, RESPONSE, Command, Element
from .negotiation import Context, Proposal, Rejected

_RQ, _AC, _RJ, _DATA, _RELEASE_RQ, _RELEASE_RP, _ABORT = 1, 2, 3, 4, 5, 6, 7
_PDU = struct.Struct(">BxL")
_FRAGMENT = struct.Struct(">LBB")
_WHOLE = struct.Struct(">BxLLBB")
_COMMAND, _LAST = 1, 2

_LARGEST_NEGOTIATION = 1 << 20  # 128 contexts with every transfer syntax there is take a quarter of it
_LARGEST_COMMAND = 1 << 16
_LARGEST_IDENTIFIER = 1 << 24  # one answer to a query; objects are not held in memory
_WINDOW = 512  # pieces that are gathered before they are sent
_ANY = 1 << 32  # more than the length of a PDU can say
_OUR_PDU = 1 << 17  # where a peer takes any size


@dataclass(frozen=True)
class Message:
    """A message whose command set has come; its data set, if it has one, is still to be read."""

    context: int
    command: Command


class Source(Protocol):
    """An encoded data set that can be sent piece by piece."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Piece: ...


class Association:
    """An open association on either side; for one thread at a time, except ``hang_up``."""

    def __init__(self, channel: Channel, agreed: Proposal, largest_pdu: int = _ANY) -> None:
        self._channel = channel
        self._largest = largest_pdu  # that the other side may send
        self.contexts: Mapping[int, Context] = agreed.contexts
        self.called, self.calling = agreed.called, agreed.calling
        self.peer = ""  # the other side's address, where a server accepted it
        self.roles = agreed.roles
        limit = agreed.largest_pdu or _OUR_PDU
        self._fragment = max(2, min(limit, _OUR_PDU) - 6)
        self._left = 0  # of the P-DATA-TF that is being read
        self._number = 0
        self.messages = 0  # how many have come

    # --- how it begins

    @classmethod
    def request(cls, connection: socket.socket, proposal: Proposal, patience: float) -> Association:
        """Ask for an association; raises Rejected or Lost, and closes the connection then."""
        channel = Channel(connection, patience)
        try:
            body = negotiation.request(proposal)
            channel.budget = Budget(patience)  # for all of it: a peer can send byte by byte
            channel.send([_PDU.pack(_RQ, len(body)), body])
            kind, answer = _small_pdu(channel)
            channel.budget = None
            if kind == _RJ and len(answer) == 4:
                raise Rejected(answer[1], answer[2], answer[3])
            if kind == _ABORT:
                raise Aborted("it aborted the negotiation")
            if kind != _AC:
                raise Violation("it answers the request for an association with something else")
            return cls(channel, negotiation.parse_acceptance(answer, proposal))
        except BaseException:  # an interrupt too: nobody else has the connection yet
            channel.close()
            raise

    @classmethod
    def accept(
        cls, channel: Channel, choose: Callable[[Proposal], Mapping[int, Context]], largest_pdu: Optional[int] = None
    ) -> tuple[Association, Proposal]:
        """Wait for a request and answer it with what ``choose`` gives, which may raise Rejected.

        A ``largest_pdu`` is announced, and a peer that sends a larger one is in the wrong; without it the announcement
        is no more than a wish.
        """
        kind, body = _small_pdu(channel)
        if kind != _RQ:
            raise Violation("it begins with something else than a request for an association")
        try:
            proposal = negotiation.parse_request(body)
            accepted = choose(proposal)
        except Rejected as no:
            channel.send([_PDU.pack(_RJ, 4), bytes((0, no.result, no.source, no.reason))])
            raise
        answer = negotiation.acceptance(proposal, accepted, largest_pdu or negotiation.LARGEST_PDU)
        channel.send([_PDU.pack(_AC, len(answer)), answer])
        usable = {number: context for number, context in accepted.items() if context.syntaxes}
        agreed = Proposal(proposal.called, proposal.calling, usable, proposal.roles, proposal.largest_pdu)
        return cls(channel, agreed, largest_pdu or _ANY), proposal

    # --- receiving

    def receive(self) -> Message:
        """The next message; raises Released when the peer ends the association instead."""
        context, control, length = self._next_fragment()
        if not control & _COMMAND:
            raise Violation("data without a command")
        data = bytearray()
        number = context
        while True:
            if len(data) + length > _LARGEST_COMMAND:
                raise Violation("a command set that is too large")
            for piece in self._pieces(length):
                data += piece
            if control & _LAST:
                break
            number, control, length = self._next_fragment()
            if number != context or not control & _COMMAND:
                raise Violation("a command set that changes in the middle")
        if context not in self.contexts:
            raise Violation("a message in a presentation context that was not agreed on")
        self.messages += 1
        return Message(context, commands.decode(bytes(data)))

    def read(self, message: Message) -> bytes:
        """The data set of a message as a whole; for identifiers, not for objects."""
        data = bytearray()

        def append(pieces: Sequence[Piece]) -> None:
            for piece in pieces:
                data.extend(piece)
            if len(data) > _LARGEST_IDENTIFIER:
                raise Violation("an identifier that is too large")

        self.stream(message, append)
        return bytes(data)

    def stream(self, message: Message, write: Callable[[Sequence[memoryview]], None]) -> None:
        """Hand over the data set of a message as it comes; pieces are valid only until ``write`` returns."""
        channel = self._channel
        view = channel.view
        pieces: list[memoryview] = []
        last = False
        while not last:
            if pieces and channel.end - channel.start < _PDU.size + _FRAGMENT.size:
                write(pieces)  # before the buffer is used again
                pieces = []
            context, control, left = self._fragment_at_hand() or self._next_fragment()
            if control & _COMMAND or context != message.context:
                raise Violation("something else in the middle of a data set")
            last = bool(control & _LAST)
            while left:
                if channel.start == channel.end:
                    if pieces:
                        write(pieces)
                        pieces = []
                    channel.fill(1)
                taken = min(left, channel.end - channel.start)
                pieces.append(view[channel.start : channel.start + taken])
                channel.start += taken
                left -= taken
        if pieces:
            write(pieces)

    def waiting(self) -> bool:
        """Whether the peer has sent something that was not read yet (a C-CANCEL, an abort, or its end)."""
        return self._channel.waiting()

    def _fragment_at_hand(self) -> Optional[tuple[int, int, int]]:
        """The next fragment where its PDU holds nothing else and has begun to arrive, as nearly always."""
        channel = self._channel
        if self._left or channel.end - channel.start < _WHOLE.size:
            return None
        kind, whole, length, context, control = _WHOLE.unpack_from(channel.view, channel.start)
        if kind != _DATA or whole != length + 4 or length < 2 or whole > self._largest:
            return None
        channel.start += _WHOLE.size
        return context, control, length - 2

    def _next_fragment(self) -> tuple[int, int, int]:
        """Presentation context, control byte and length of the next fragment."""
        channel = self._channel
        if not self._left:
            channel.fill(_PDU.size)
            kind, self._left = _PDU.unpack_from(channel.view, channel.start)
            channel.start += _PDU.size
            if kind != _DATA:
                self._ended(kind, self._left)
            if self._left > self._largest:
                raise Violation("a PDU that is larger than was announced")
        if self._left < _FRAGMENT.size:
            raise Violation("a data PDU that is too short")
        channel.fill(_FRAGMENT.size)
        length, context, control = _FRAGMENT.unpack_from(channel.view, channel.start)
        channel.start += _FRAGMENT.size
        if length < 2 or length + 4 > self._left:
            raise Violation("a fragment that is longer than its PDU")
        self._left -= length + 4
        return context, control, length - 2

    def _ended(self, kind: int, length: int) -> None:
        self._left = 0
        if kind in (_RELEASE_RQ, _RELEASE_RP, _ABORT) and length == 4:
            self._channel.fill(4)
            self._channel.start += 4
            if kind == _ABORT:
                raise Aborted("it aborted the association")
            if kind == _RELEASE_RQ:
                self._channel.send([_PDU.pack(_RELEASE_RP, 4), bytes(4)])
                raise Released("it ended the association")
        raise Violation("a PDU that does not belong here")

    def _pieces(self, length: int) -> Iterator[memoryview]:
        channel = self._channel
        while length:
            channel.fill(1)
            taken = min(length, channel.end - channel.start)
            yield channel.view[channel.start : channel.start + taken]
            channel.start += taken
            length -= taken

    # --- sending

    def next_number(self) -> int:
        """A MessageID for a new request."""
        self._number = self._number % 0xFFFF + 1
        return self._number

    def send(self, context: int, elements: Mapping[Element, Union[int, str]], data: Optional[Source] = None) -> None:
        """Send a message; the data set is cut from its source as it goes."""
        whole = commands.encode({**elements, Element.CommandDataSetType: NO_DATA if data is None else 1})
        pieces: list[Piece] = []
        for start in range(0, len(whole), self._fragment):
            fragment = whole[start : start + self._fragment]
            last = start + len(fragment) == len(whole)
            pieces += (self._head(len(fragment), context, _COMMAND | _LAST * last), fragment)
        if data is not None:
            pieces = self._add_data(context, data, pieces)
        self._channel.send(pieces)

    def _add_data(self, context: int, data: Source, pieces: list[Piece]) -> list[Piece]:
        """Append the fragments of a data set to pieces; sends what is more than a window, and gives the rest."""
        total, size = len(data), self._fragment
        full = self._head(size, context, 0)
        at = 0
        while at + size < total:
            pieces += (full, data[at : at + size])
            at += size
            if len(pieces) >= _WINDOW:
                self._channel.send(pieces)
                pieces = []
        pieces += (self._head(total - at, context, _LAST), data[at:total])
        return pieces

    def _head(self, length: int, context: int, control: int) -> bytes:
        return _WHOLE.pack(_DATA, length + 6, length + 2, context, control)

    def respond(
        self,
        message: Message,
        status: int,
        data: Optional[bytes] = None,
        more: Optional[Mapping[Element, Union[int, str]]] = None,
    ) -> None:
        """Answer a request; a C-STORE is answered with its SOP instance too."""
        request = message.command
        elements: dict[Element, Union[int, str]] = {
            Element.AffectedSOPClassUID: request.text(Element.AffectedSOPClassUID),
            Element.CommandField: request.kind | RESPONSE,
            Element.MessageIDBeingRespondedTo: request.number(Element.MessageID),
            Element.Status: status,
            **(more or {}),
        }
        instance = request.text(Element.AffectedSOPInstanceUID)
        if instance:
            elements[Element.AffectedSOPInstanceUID] = instance
        self.send(message.context, elements, data)

    # --- how it ends

    @property
    def open(self) -> bool:
        """Whether it can still be used, as far as this side knows."""
        return self._channel.open

    @contextlib.contextmanager
    def lost_for_good(self) -> Iterator[None]:
        """A block after whose failure the association is closed, and the peer told so where that helps."""
        try:
            yield
        except (Violation, Silent):
            self.abort()
            raise
        except Lost:
            self._channel.close()
            raise

    def release(self) -> None:
        """End the association in good order: ask, and wait for the answer."""
        if not self._channel.open:
            return
        with contextlib.suppress(Lost):
            self._channel.patience = min(self._channel.patience, 2.0)
            self._channel.budget = None
            self._channel.send([_PDU.pack(_RELEASE_RQ, 4), bytes(4)])
            self._channel.fill(_PDU.size + 4)
        self._channel.close()

    def abort(self) -> None:
        """End the association at once, and say so."""
        if self._channel.open:
            with contextlib.suppress(Lost):
                self._channel.patience = 0.5
                self._channel.budget = None
                self._channel.send([_PDU.pack(_ABORT, 4), bytes(4)])
            self._channel.close()

    def hang_up(self) -> None:
        """Wake whoever reads in another thread; the association is lost then."""
        self._channel.hang_up()

    @contextlib.contextmanager
    def within(self, budget: Budget, patience: float) -> Iterator[None]:
        """Let each step wait at most ``patience``, and all of them as long as the budget lasts."""
        channel = self._channel
        before = channel.budget, channel.patience
        channel.budget, channel.patience = budget, patience
        try:
            yield
        finally:
            channel.budget, channel.patience = before


def _small_pdu(channel: Channel) -> tuple[int, bytes]:
    """A PDU of the negotiation as a whole."""
    channel.fill(_PDU.size)
    kind, length = _PDU.unpack_from(channel.view, channel.start)
    if length > _LARGEST_NEGOTIATION:
        raise Violation("a negotiation that is too large")
    channel.start += _PDU.size
    data = bytearray()
    while len(data) < length:
        channel.fill(1)
        taken = min(length - len(data), channel.end - channel.start)
        data += channel.view[channel.start : channel.start + taken]
        channel.start += taken
    return kind, bytes(data)
