"""DICOM's upper layer and message exchange on blocking sockets: one thread, one association, no queues between.

pynetdicom hands each message through two threads and converts it field by field, 2 ms an object; here a message is
read where it lies in the buffer, and an object's bytes go from the socket to the file as they come.
"""

from __future__ import annotations

from .association import Association, Message, Source
from .channel import Aborted, Channel, Lost, Released, Silent, Violation
from .command import Command, Element, Kind
from .negotiation import Context, Proposal, Rejected

__all__ = [
    "Aborted",
    "Association",
    "Channel",
    "Command",
    "Context",
    "Element",
    "Kind",
    "Lost",
    "Message",
    "Proposal",
    "Rejected",
    "Released",
    "Silent",
    "Source",
    "Violation",
]
