"""A plain pynetdicom client and receiver: the second opinion on what the peers of this package say on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_role, evt

from qa_fetch import part10

from .course import CT, RT_IMAGE, RT_PLAN
from .process import LOOPBACK, free_port

_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
CLASSES = (RT_IMAGE, RT_PLAN, CT)
PENDING = (0xFF00, 0xFF01)
GENTLE = 0.01  # pynetdicom 3.0.4 loses answers that come within a millisecond


@dataclass
class Received:
    """What came to a receiver: the UIDs of the commands, and the encoded data sets."""

    port: int = 0
    uids: list[str] = field(default_factory=list)
    data: list[tuple[bytes, str]] = field(default_factory=list)

    def take(self, event: Any) -> int:
        """Keep an object that a handler of EVT_C_STORE is given."""
        self.uids.append(str(event.request.AffectedSOPInstanceUID))
        self.data.append((event.request.DataSet.getvalue(), str(event.context.transfer_syntax)))
        return 0x0000

    def clear(self) -> None:
        """Forget everything."""
        self.uids.clear()
        self.data.clear()


def associate(peer: Any, *services: str, caller: str = "QATRACK", handlers: Any = (), roles: Any = ()) -> Any:
    """An association, established or not."""
    entity = AE(ae_title=caller)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    for service in services:
        entity.add_requested_context(service)
    association = entity.associate(
        LOOPBACK, peer.port, ae_title=peer.ae_title, evt_handlers=list(handlers), ext_neg=list(roles)
    )
    if not association.is_established:
        hang_up(association)
    return association


def hang_up(association: Any) -> None:
    """Release an association, or bury it: pynetdicom forgets to close the socket of one that broke."""
    if association.is_established:
        association.release()
    if association.is_alive():
        association.join(5)
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.close()


def question(level: str, **keys: Any) -> Dataset:
    """A query data set."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def find(peer: Any, level: str, model: str = FIND, **keys: Any) -> tuple[Optional[int], list[Dataset]]:
    """The final status (None when the connection broke) and the answers."""
    association = associate(peer, model)
    assert association.is_established
    rows, last = [], None
    for status, row in association.send_c_find(question(level, **keys), model):
        last = status.get("Status")
        if last in PENDING:
            rows.append(row)
    hang_up(association)
    return last, rows


@dataclass
class Ended:
    """How a retrieve ended."""

    status: Optional[int]
    completed: Optional[int]
    failed: Optional[int]
    pending: int
    names: Any


def ended(association: Any, responses: Any) -> Ended:
    """The end of a C-MOVE or C-GET whose responses are given."""
    everything = list(responses)
    hang_up(association)
    status, names = everything[-1]
    pending = sum(one.get("Status") in PENDING for one, _ in everything)
    return Ended(
        status.get("Status"),
        status.get("NumberOfCompletedSuboperations"),
        status.get("NumberOfFailedSuboperations"),
        pending,
        names and names.get("FailedSOPInstanceUIDList"),
    )


def move(peer: Any, level: str = "SERIES", destination: str = "QATRACK", **keys: Any) -> Ended:
    """A C-MOVE to its end."""
    association = associate(peer, MOVE)
    return ended(association, association.send_c_move(question(level, **keys), destination, MOVE))


def get(peer: Any, received: Received, level: str = "SERIES", **keys: Any) -> Ended:
    """A C-GET to its end."""
    roles = [build_role(sop_class, scp_role=True) for sop_class in CLASSES]
    association = associate(peer, GET, *CLASSES, handlers=[(evt.EVT_C_STORE, received.take)], roles=roles)
    return ended(association, association.send_c_get(question(level, **keys), GET))


@contextmanager
def receiving(ae_title: str = "QATRACK") -> Iterator[Received]:
    """A receiver on a free port."""
    received = Received(free_port())
    entity = AE(ae_title=ae_title)
    for sop_class in CLASSES:
        entity.add_supported_context(sop_class, [part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE])
    sockets: list[Any] = []
    handlers = [
        (evt.EVT_C_STORE, received.take),
        (evt.EVT_CONN_OPEN, lambda event: sockets.append(event.assoc.dul.socket.socket)),
    ]
    server = entity.start_server((LOOPBACK, received.port), block=False, evt_handlers=handlers)
    try:
        yield received
    finally:
        server.shutdown()
        for connection in sockets:
            connection.close()
