"""A plain DICOM client for the tests: it sends exact bytes and keeps exact bytes."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

import node_objects as objects
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import C_STORE

from qa_fetch import matching, part10
from qa_fetch.backends.wire import Association, Context, Proposal, Rejected

FIND = {"patient": "1.2.840.10008.5.1.4.1.2.1.1", "study": "1.2.840.10008.5.1.4.1.2.2.1"}
MOVE = {"patient": "1.2.840.10008.5.1.4.1.2.1.2", "study": "1.2.840.10008.5.1.4.1.2.2.2"}
GET = {"patient": "1.2.840.10008.5.1.4.1.2.1.3", "study": "1.2.840.10008.5.1.4.1.2.2.3"}
VERIFICATION = "1.2.840.10008.1.1"
CLASSES = (objects.RTPLAN, objects.RTIMAGE)
PLAIN = (part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE)


@contextmanager
def association(
    port: int,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    calling: str = "TESTER",
    called: str = "QA_NODE",
    **more: Any,
) -> Iterator[Any]:
    """An association that has been asked for; whether it is established is for the test to say."""
    entity = AE(calling)
    for sop_class, syntaxes in contexts:
        entity.add_requested_context(sop_class, list(syntaxes))
    opened = entity.associate("127.0.0.1", port, ae_title=called, **more)
    # pynetdicom forgets to close a socket whose peer died, so it is kept to be closed here.
    connection = opened.dul.socket.socket if opened.dul.socket is not None else None
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()
        if opened.is_alive():
            opened.join(timeout=5)
        if connection is not None:
            connection.close()


def rejection(port: int, *, calling: str = "TESTER", called: str = "QA_NODE") -> Optional[tuple[int, int, int]]:
    """Result, source and reason of the node's rejection; None where it accepts.

    Not by pynetdicom, which takes a peer that has closed after its answer for one that could not be reached.
    """
    proposal = Proposal.of(called, calling, [Context(VERIFICATION, PLAIN)])
    try:
        Association.request(socket.create_connection(("127.0.0.1", port), 10), proposal, 30).release()
    except Rejected as answer:
        return answer.result, answer.source, answer.reason
    return None


def settle(opened: Any) -> None:
    """Wait until pynetdicom's reactor stands still, or it may take the first answer from us."""
    opened._reactor_checkpoint.clear()
    time.sleep(0.003)
    while opened.is_established and not opened._is_paused:
        time.sleep(0.001)


@dataclass
class Result:
    """What an operation came to."""

    status: int
    answers: list[Dataset] = field(default_factory=list)
    last: Dataset = field(default_factory=Dataset)
    identifier: Optional[Dataset] = None

    @property
    def counts(self) -> tuple[int, int, int]:
        """Completed, failed and warning sub-operations."""
        names = ("Completed", "Failed", "Warning")
        return tuple(int(self.last.get(f"NumberOf{name}Suboperations", -1)) for name in names)  # type: ignore[return-value]

    @property
    def failed(self) -> list[str]:
        """The SOP Instance UIDs that were not delivered."""
        value = (self.identifier or {}).get("FailedSOPInstanceUIDList") or []
        return [str(value)] if isinstance(value, str) else [str(uid) for uid in value]


def find(port: int, level: str, keys: Mapping[str, Any], *, root: str = "study", **more: Any) -> Result:
    """Send a C-FIND."""
    return send_find(port, matching.query(level, keys), root=root, **more)


def send_find(
    port: int,
    identifier: Dataset,
    *,
    root: str = "study",
    cancel_after: int = 0,
    syntax: str = part10.EXPLICIT_LITTLE,
    **more: Any,
) -> Result:
    """Send a C-FIND with an identifier as it is."""
    result = Result(-1)
    with association(port, [(FIND[root], [syntax])], **more) as opened:
        settle(opened)
        for status, answer in opened.send_c_find(identifier, FIND[root]):
            result.status = status.get("Status", -1)
            if answer is not None:
                result.answers.append(answer)
            if cancel_after and len(result.answers) == cancel_after:
                opened.send_c_cancel(1, query_model=FIND[root])
    return result


def move(port: int, level: str, keys: Mapping[str, Any], to: str, *, root: str = "study", **more: Any) -> Result:
    """Send a C-MOVE."""
    with association(port, [(MOVE[root], PLAIN[:1])], **more) as opened:
        settle(opened)
        return _last(opened.send_c_move(matching.query(level, keys), to, MOVE[root]))


@dataclass
class Received:
    """The objects that came, by UID: transfer syntax and bytes."""

    objects: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    refuse: frozenset[str] = frozenset()
    meanwhile: Callable[[], None] = lambda: None
    originators: set[tuple[str, int]] = field(default_factory=set)

    def handler(self, event: Any) -> int:
        """A handler of EVT_C_STORE."""
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in self.refuse:
            return 0xA700
        if not self.objects:
            self.meanwhile()
        self.objects[uid] = (str(event.context.transfer_syntax), event.request.DataSet.getvalue())
        originator = str(event.request.MoveOriginatorApplicationEntityTitle or "").strip()
        self.originators.add((originator, int(event.request.MoveOriginatorMessageID or 0)))
        return 0x0000


def get(
    port: int,
    level: str,
    keys: Mapping[str, Any],
    *,
    root: str = "study",
    syntaxes: Sequence[str] = PLAIN[:1],
    meanwhile: Callable[[], None] = lambda: None,
    **more: Any,
) -> tuple[Result, Received]:
    """Send a C-GET and keep what comes; ``meanwhile`` is called with the first object."""
    received = Received(meanwhile=meanwhile)
    contexts = [(GET[root], PLAIN[:1]), *((sop_class, syntaxes) for sop_class in CLASSES)]
    roles = [build_role(sop_class, scp_role=True) for sop_class in CLASSES]
    handlers = [(evt.EVT_C_STORE, received.handler)]
    with association(port, contexts, ext_neg=roles, evt_handlers=handlers, **more) as opened:
        settle(opened)
        return _last(opened.send_c_get(matching.query(level, keys), GET[root])), received


def _last(responses: Iterator[tuple[Dataset, Optional[Dataset]]]) -> Result:
    result = Result(-1)
    for status, identifier in responses:
        result = Result(status.get("Status", -1), [], status, identifier)
    return result


def store(port: int, *datasets: Dataset, syntax: str = part10.EXPLICIT_LITTLE, **more: Any) -> list[int]:
    """Send objects over one association; the statuses of the answers."""
    with association(port, [(sop_class, [syntax]) for sop_class in CLASSES], **more) as opened:
        return [
            send(opened, str(each.SOPClassUID), str(each.SOPInstanceUID), objects.encoded(each, syntax))
            for each in datasets
        ]


def store_bytes(port: int, sop_class: str, uid: str, data: bytes, syntax: str = part10.EXPLICIT_LITTLE) -> int:
    """Send bytes under UIDs that need not be theirs."""
    with association(port, [(sop_class, [syntax])]) as opened:
        return send(opened, sop_class, uid, data)


def send(opened: Any, sop_class: str, uid: str, data: bytes) -> int:
    """One C-STORE; -1 when no answer comes."""
    context = next(each for each in opened.accepted_contexts if each.abstract_syntax == sop_class)
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = uid
    request.DataSet = io.BytesIO(data)
    settle(opened)
    opened.dimse.send_msg(request, context.context_id)
    _, response = opened.dimse.get_msg(block=True)
    opened._reactor_checkpoint.set()
    return -1 if response is None else int(response.Status)


@contextmanager
def receiver(
    ae_title: str, syntaxes: Sequence[str] = PLAIN, refuse: Sequence[str] = ()
) -> Iterator[tuple[int, Received]]:
    """A destination for C-MOVE on a free port."""
    received = Received(refuse=frozenset(refuse))
    entity = AE(ae_title)
    for sop_class in CLASSES:
        entity.add_supported_context(sop_class, list(syntaxes))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, received.handler)])
    try:
        yield server.server_address[1], received
    finally:
        server.shutdown()
