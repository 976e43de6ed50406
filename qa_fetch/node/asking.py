"""One C-FIND, C-MOVE or C-GET while it is answered: what it asks for, what it is told, and whether it was cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional, Union

from pydicom.dataset import Dataset

from .. import part10
from ..backends.wire import Association, Element, Kind, Message, Violation
from .answers import encoded


class Asked:
    """A request that takes a while to answer."""

    def __init__(self, association: Association, message: Message) -> None:
        self._association = association
        self._message = message
        self._cancelled = False
        context = association.contexts[message.context]
        self.model, self.syntax = context.abstract, context.syntaxes[0]
        self._data = association.read(message) if message.command.has_data else b""

    @property
    def priority(self) -> int:
        """How urgent it is."""
        return self._message.command.optional_number(Element.Priority) or 0

    @property
    def number(self) -> int:
        """Its MessageID."""
        return self._message.command.number(Element.MessageID)

    @property
    def destination(self) -> str:
        """The AE title to which a C-MOVE wants its objects sent."""
        return self._message.command.text(Element.MoveDestination)

    def identifier(self) -> Dataset:
        """Its keys; BadArchive where they cannot be decoded."""
        identifier: Dataset = part10.decode(self._data, self.syntax)
        return identifier

    @property
    def cancelled(self) -> bool:
        """Whether the caller does not want to hear more."""
        while not self._cancelled and self._association.waiting():
            self.hear(self._association.receive())
        return self._cancelled

    def hear(self, message: Message) -> None:
        """Take a message that comes meanwhile, which may only be a C-CANCEL."""
        if message.command.kind != Kind.C_CANCEL:
            raise Violation("another request before the last one was answered")
        if message.command.number(Element.MessageIDBeingRespondedTo) == self.number:
            self._cancelled = True

    def answer(
        self, status: int, dataset: Union[Dataset, bytes, None] = None, counts: Optional[Mapping[Element, int]] = None
    ) -> None:
        """Send one answer; BadArchive where its data set cannot be encoded."""
        data = encoded(dataset, self.syntax) if isinstance(dataset, Dataset) else dataset
        self._association.respond(self._message, status, data, counts)
