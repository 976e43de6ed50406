"""A small client for filling and asking archives in tests, without pynetdicom's race and without Nagle's 40 ms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pydicom.dataset import Dataset

from qa_fetch import part10

from .doubles import VERIFICATION
from .process import LOOPBACK
from .wire import Association


class Peer(Protocol):
    """Any of the archives of this package."""

    ae_title: str
    port: int


def echo(peer: Peer, *, ae_title: str = "QATRACK") -> int:
    """The status of a C-ECHO; ``wire.Gone`` when the association is refused."""
    association = Association.request((LOOPBACK, peer.port), peer.ae_title, ae_title, [VERIFICATION])
    try:
        command = {"AffectedSOPClassUID": VERIFICATION, "CommandField": 0x0030, "MessageID": 1}
        association.send(1, command)
        return int(association.read().command.Status)
    finally:
        association.release()


def store(peer: Peer, datasets: Iterable[Dataset], *, ae_title: str = "QATRACK") -> None:
    """Send data sets by C-STORE; RuntimeError when one is refused."""
    waiting = list(datasets)
    classes = sorted({str(dataset.SOPClassUID) for dataset in waiting})
    association = Association.request((LOOPBACK, peer.port), peer.ae_title, ae_title, classes)
    try:
        for dataset in waiting:
            context = association.context_for(str(dataset.SOPClassUID))
            if context is None:
                raise RuntimeError(f"{peer.ae_title} does not take {dataset.SOPClassUID}")
            command = {
                "AffectedSOPClassUID": dataset.SOPClassUID,
                "AffectedSOPInstanceUID": dataset.SOPInstanceUID,
                "CommandField": 0x0001,
                "MessageID": association.next_message(),
                "Priority": 0,
            }
            association.send(context, command, part10.encode(dataset, association.contexts[context].accepted))
            status = int(association.read().command.Status)
            if status != 0x0000:
                raise RuntimeError(f"{peer.ae_title} refused {dataset.SOPInstanceUID} with 0x{status:04X}")
    finally:
        association.release()
