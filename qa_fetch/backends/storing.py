"""Taking in the objects that C-STORE requests bring, whichever transport they come by."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Optional

from .. import part10
from ..errors import BadArchive, Incomplete, QAFetchError
from ..shelf import Incoming, Route, Taken, take
from .wire import Association, Element, Message

_log = logging.getLogger("qa_fetch.receiver")

SUCCESS, NOT_WANTED, NO_ROOM, NOT_UNDERSTOOD = 0x0000, 0x0124, 0xA700, 0xC000
_STATUS = {Taken.KEPT: SUCCESS, Taken.REPEATED: SUCCESS, Taken.UNWANTED: NOT_WANTED}


def store(association: Association, message: Message, route: Route) -> None:
    """Take in the object of a C-STORE request as it comes, and answer when its bytes are in their file."""
    arrival = _Arrival(route)
    try:
        command = message.command
        if not command.has_data:
            association.respond(message, NOT_UNDERSTOOD)
            return
        arrival.begin(
            command.text(Element.AffectedSOPClassUID),
            command.text(Element.AffectedSOPInstanceUID),
            association.contexts[message.context].syntaxes[0],
        )
        association.stream(message, arrival.write)
        association.respond(message, arrival.finish())
    finally:
        arrival.close()


class _Arrival:
    """An object that is arriving; what goes wrong with it becomes the status of the answer, and the rest is let by."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._incoming: Optional[Incoming] = None
        self._status = NOT_WANTED

    def begin(self, sop_class: str, instance: str, transfer_syntax: str) -> None:
        try:
            self._incoming = self._route(sop_class, instance, transfer_syntax)
        except (BadArchive, Incomplete) as error:
            self._status = status_for(error)

    def write(self, pieces: Sequence[memoryview]) -> None:
        if self._incoming is not None:
            try:
                self._incoming.write(pieces)
            except Incomplete as error:
                self._status = status_for(error)
                self.close()

    def finish(self) -> int:
        if self._incoming is None:
            return self._status
        try:
            return _STATUS[self._incoming.finish()]
        except (BadArchive, Incomplete) as error:
            return status_for(error)

    def close(self) -> None:
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None


def status_for(error: QAFetchError) -> int:
    """What to answer when an object cannot be kept."""
    if isinstance(error, Incomplete):
        _log.error("an object could not be kept: %s", error)
        return NO_ROOM
    _log.warning("an object was refused: %s", error)
    return NOT_UNDERSTOOD


def store_event(event: Any, route: Route) -> int:
    """The same for an object that pynetdicom has received as a whole."""
    request = event.request
    if request.DataSet is None:
        return NOT_UNDERSTOOD
    try:
        taken = take(
            route,
            part10.clean_uid(request.AffectedSOPClassUID),
            part10.clean_uid(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            request.DataSet.getvalue(),
        )
    except (BadArchive, Incomplete) as error:
        return status_for(error)
    return _STATUS[taken]
