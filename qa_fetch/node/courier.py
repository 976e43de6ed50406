"""Sending stored objects as they are: the sub-operations of C-MOVE and C-GET.

pynetdicom's providers take a data set from their handler, encode it again and send that. What a QA node gives back has
to be what it was given, to the byte, so the providers get a ``Token`` instead and the sending is done here.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from pydicom.dataset import Dataset
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context

from .. import part10
from ..errors import BadArchive
from . import headers
from .models import Instance

LOG = logging.getLogger("qa_fetch.node")

_NO_RESOURCES, _NO_CONTEXT, _UNKNOWN_OBJECT = 0xA700, 0x0122, 0x0112
_PLAIN = (part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE)
_CONTEXTS_AT_A_TIME = 120  # an association holds 128
_PARKED = 5.0  # seconds for the reactor to come to its gate, which takes it a millisecond


class Token(Dataset):
    """Stands for a stored object in pynetdicom's providers, which read its UID when it could not be sent."""

    def __init__(self, row: Instance) -> None:
        super().__init__()
        self.SOPInstanceUID = row.SOPInstanceUID
        self._private_row = row

    @property
    def row(self) -> Instance:
        """The object's row in the index."""
        return self._private_row


class Sender:
    """Sends objects over one established association and answers as ``Association.send_c_store`` does."""

    def __init__(self, association: Any, path: Callable[[str], Path]) -> None:
        self.association = association
        self._path = path

    def send_c_store(
        self,
        token: Token,
        msg_id: int = 1,
        priority: int = 2,
        originator_aet: Optional[str] = None,
        originator_id: Optional[int] = None,
    ) -> Dataset:
        """Send the object that a token stands for; the status is the receiver's, or says why nothing was sent."""
        try:
            content = part10.split(self._path(token.row.SOPInstanceUID).read_bytes(), "a stored object")
        except (OSError, BadArchive) as error:
            LOG.error("an object cannot be sent: its file is unreadable (%s)", type(error).__name__)
            return _status(_UNKNOWN_OBJECT)
        context = self._context(token.row.SOPClassUID, content.transfer_syntax)
        if context is None:
            return _status(_NO_CONTEXT)
        data: Optional[bytes] = bytes(content.dataset)
        if context.transfer_syntax[0] != content.transfer_syntax:
            data = _converted(content, context.transfer_syntax[0])
        if data is None:
            return _status(_UNKNOWN_OBJECT)
        request = C_STORE()
        request.MessageID = msg_id
        request.Priority = priority
        request.AffectedSOPClassUID = token.row.SOPClassUID
        request.AffectedSOPInstanceUID = token.row.SOPInstanceUID
        request.MoveOriginatorApplicationEntityTitle = originator_aet
        request.MoveOriginatorMessageID = originator_id
        request.DataSet = io.BytesIO(data)
        self.association.dimse.send_msg(request, context.context_id)
        _, response = self.association.dimse.get_msg(block=True)
        if not isinstance(response, C_STORE) or response.Status is None:
            self.association.abort()
            return _status(_NO_RESOURCES)
        return _status(int(response.Status))

    def _context(self, sop_class: str, transfer_syntax: str) -> Optional[PresentationContext]:
        """The accepted context for the object as it is stored, else one into which it can be converted."""
        fitting: list[PresentationContext] = [
            context
            for context in self.association.accepted_contexts
            if context.abstract_syntax == sop_class and context.as_scu
        ]
        for wanted in (transfer_syntax, *(_PLAIN if transfer_syntax in _PLAIN else ())):
            for context in fitting:
                if context.transfer_syntax[0] == wanted:
                    return context
        return None


class Courier:
    """Takes objects to a C-MOVE destination; what pynetdicom's provider asks of an association, it answers.

    A destination that cannot be reached makes every sub-operation fail, which the provider then reports as 0xA702 with
    true counts, where a failed association would be reported as an unknown destination.
    """

    is_established = True

    def __init__(self, rows: Sequence[Instance], path: Callable[[str], Path], connect: Callable[..., Any]) -> None:
        self._kinds = list(dict.fromkeys((row.SOPClassUID, row.TransferSyntaxUID) for row in rows))
        self._path = path
        self._connect = connect
        self._sender: Optional[Sender] = None
        self._proposed: list[tuple[str, str]] = []
        self._unreachable = False

    def send_c_store(self, token: Token, **message: Any) -> Dataset:
        """Send one object, over an association that is opened with the first."""
        kind = (token.row.SOPClassUID, token.row.TransferSyntaxUID)
        if self._sender is None or kind not in self._proposed:
            self._open(kind)
        if self._sender is None or not self._sender.association.is_established:
            return _status(_NO_RESOURCES)
        return self._sender.send_c_store(token, **message)

    def release(self) -> None:
        """End the association, if one was opened."""
        if self._sender is not None and self._sender.association.is_established:
            self._sender.association.release()
        self._sender = None

    def _open(self, kind: tuple[str, str]) -> None:
        self.release()
        if self._unreachable:
            return
        start = self._kinds.index(kind)
        self._proposed = self._kinds[start : start + _CONTEXTS_AT_A_TIME // 2]
        association = self._connect(contexts=_proposal(self._proposed))
        if not association.is_established:
            self._unreachable = True
            return
        # pynetdicom's own send methods look once whether the reactor waits; it then steals the first answer.
        association._reactor_checkpoint.clear()
        association._reactor_checkpoint.until_parked(_PARKED)
        self._sender = Sender(association, self._path)


class NodeEntity(ApplicationEntity):
    """An application entity whose C-MOVE provider gets a ``Courier`` where it would open an association itself."""

    def associate(self, addr: Any, port: int, *args: Any, courier: Optional[Courier] = None, **options: Any) -> Any:
        """Open an association, unless a courier is there to do it."""
        return courier if courier is not None else super().associate(addr, port, *args, **options)


def _proposal(kinds: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """A context for each sort of object as it is stored, and a second way for what can be converted."""
    contexts = []
    plain: dict[str, None] = {}
    for sop_class, syntax in kinds:
        contexts.append(build_context(sop_class, syntax))
        if syntax in _PLAIN:
            plain[sop_class] = None
    return contexts + [build_context(sop_class, list(_PLAIN)) for sop_class in plain]


def _converted(content: part10.Part10, transfer_syntax: str) -> Optional[bytes]:
    """An uncompressed object in the other uncompressed encoding; None where that cannot be done faithfully."""
    start = part10.file_meta("1.2", "1.2", content.transfer_syntax)
    try:
        dataset = part10.read(io.BytesIO(start + content.dataset))
        for element in dataset:
            headers.read_values(element)
        return part10.encode(dataset, transfer_syntax)
    except (BadArchive, *headers.UNREADABLE) as error:
        LOG.error("an object cannot be converted for its receiver (%s)", type(error).__name__)
        return None


def _status(code: int) -> Dataset:
    status = Dataset()
    status.Status = code
    return status
