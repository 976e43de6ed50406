"""Command sets: the elements of group 0 that say what a message is (PS3.7 Annex E), always implicit little endian."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from typing import Optional, Union

from .channel import Violation

NO_DATA = 0x0101
_HEAD = struct.Struct("<HHL")
_SHORT = struct.Struct("<H")


class Kind(enum.IntEnum):
    """CommandField of the requests; a response has the highest bit set too."""

    __hash__ = int.__hash__  # an Enum's own, in Python, costs more than the look-up that it is for

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_ACTION = 0x0130
    C_CANCEL = 0x0FFF


RESPONSE = 0x8000


class Element(enum.IntEnum):
    """Element numbers in group 0, by their DICOM keywords."""

    __hash__ = int.__hash__

    AffectedSOPClassUID = 0x0002
    RequestedSOPClassUID = 0x0003
    CommandField = 0x0100
    MessageID = 0x0110
    MessageIDBeingRespondedTo = 0x0120
    MoveDestination = 0x0600
    Priority = 0x0700
    CommandDataSetType = 0x0800
    Status = 0x0900
    ErrorComment = 0x0902
    AffectedSOPInstanceUID = 0x1000
    RequestedSOPInstanceUID = 0x1001
    EventTypeID = 0x1002
    ActionTypeID = 0x1008
    NumberOfRemainingSuboperations = 0x1020
    NumberOfCompletedSuboperations = 0x1021
    NumberOfFailedSuboperations = 0x1022
    NumberOfWarningSuboperations = 0x1023
    MoveOriginatorApplicationEntityTitle = 0x1030
    MoveOriginatorMessageID = 0x1031


_UIDS = frozenset(
    (
        Element.AffectedSOPClassUID,
        Element.RequestedSOPClassUID,
        Element.AffectedSOPInstanceUID,
        Element.RequestedSOPInstanceUID,
    )
)


class Command:
    """A command set that came over the wire."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[int, bytes]) -> None:
        self._values = values

    def number(self, element: Element) -> int:
        """The number that an element must have."""
        found = self.optional_number(element)
        if found is None:
            raise Violation(f"a message without {element.name}")
        return found

    def optional_number(self, element: Element) -> Optional[int]:
        """A number, or None where the message has none."""
        value = self._values.get(element, b"")
        if not value:
            return None
        if len(value) != 2:
            raise Violation(f"a message whose {element.name} is no number")
        return int(_SHORT.unpack(value)[0])

    def text(self, element: Element) -> str:
        """A text or UID without the padding around it; empty where the message has none."""
        return self._values.get(element, b"").decode("ascii", "replace").strip("\0 \t\r\n")

    @property
    def kind(self) -> int:
        """What the message is: a ``Kind``, with ``RESPONSE`` for an answer."""
        return self.number(Element.CommandField)

    @property
    def has_data(self) -> bool:
        """Whether a data set follows."""
        return self.number(Element.CommandDataSetType) != NO_DATA


def decode(data: bytes) -> Command:
    """A command set from its bytes."""
    values: dict[int, bytes] = {}
    at, end = 0, len(data)
    while at < end:
        if end - at < 8:
            raise Violation("a command set that is cut short")
        group, number, length = _HEAD.unpack_from(data, at)
        at += 8
        if group != 0 or length > end - at:
            raise Violation("a command set that is garbled")
        values[number] = data[at : at + length]
        at += length
    return Command(values)


def encode(elements: Mapping[Element, Union[int, str]]) -> bytes:
    """The bytes of a command set, which are the same for the same elements in any order."""
    body = b"".join(_element(number, elements[number]) for number in sorted(elements))
    return _HEAD.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _element(number: Element, value: Union[int, str]) -> bytes:
    if isinstance(value, int):
        return _HEAD.pack(0, number, 2) + _SHORT.pack(value)
    text = value.encode("ascii", "replace")
    text += (b"\0" if number in _UIDS else b" ") * (len(text) % 2)
    return _HEAD.pack(0, number, len(text)) + text
