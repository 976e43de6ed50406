"""A double that takes objects, and files to send to it."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Callable, NamedTuple

from qa_fetch import Archive, Incomplete, part10
from qa_fetch.backends import Sent

from .doubles import ScriptedArchive
from .wire import Association, Message

JPEG = "1.2.840.10008.1.2.4.50"
EXPLICIT, IMPLICIT = part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE
DEFLATED, BIG = part10.DEFLATED, part10.EXPLICIT_BIG


class Stored(NamedTuple):
    """An object as it came."""

    uid: str
    syntax: str
    data: bytes


class Taker(ScriptedArchive):
    """A double that keeps the bytes, and does with an object what a test says."""

    def __init__(self, act: Callable[[Taker, Association, str], int] = lambda *_: 0x0000) -> None:
        super().__init__()
        self.stored: list[Stored] = []
        self.tried: list[str] = []
        self.breaks_off = 0  # in mid-object, once so many objects have been stored
        self._act = act

    def _answer(self, association: Association, message: Message) -> None:
        super()._answer(association, message)
        if self.breaks_off and len(self.stored) == self.breaks_off:
            self.breaks_off = 0
            while not association.waiting():
                self.wait(0.01)
            association.reset()

    def _store(self, association: Association, message: Message) -> None:
        uid = str(message.command.AffectedSOPInstanceUID)
        self.tried.append(uid)
        status = self._act(self, association, uid)
        if status == 0x0000:
            self.stored.append(Stored(uid, association.contexts[message.context].accepted, message.data))
        self._say(association, message, status, AffectedSOPInstanceUID=uid)


def problems(archive: Archive, files: Sequence[Path]) -> list[str]:
    """What became of each, whether or not all went well."""
    sent: list[Sent] = []
    try:
        sent = archive.send(files)
    except Incomplete as error:
        sent = error.outcome  # type: ignore[attr-defined]  # facts of an error are set by name
        assert list(error.missing) == [str(one.path) for one in sent if one.problem]
    assert [one.path for one in sent] == list(files)
    return [one.problem for one in sent]


def dataset_of(path: Path) -> bytes:
    """A file's data set, byte for byte."""
    return bytes(part10.split(path.read_bytes(), path.name).dataset)


def uid_of(path: Path) -> str:
    """The SOP Instance UID of a file."""
    return part10.split(path.read_bytes(), path.name).identity().sop_instance


def a_file(folder: Path, image: Any, syntax: str, number: int = 1) -> Path:
    """An object in a transfer syntax; for JPEG with something in the capsule that is none."""
    uid = f"{image.SOPInstanceUID}.{number}"
    one = deepcopy(image)
    one.SOPInstanceUID = uid
    if syntax == JPEG:
        del one.PixelData
        fragment = b"\xff\xd8" + os.urandom(999) + b"\xff\xd9\0"
        pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        pixels += struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, len(fragment)) + fragment
        data = part10.encode(one, EXPLICIT) + pixels + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    else:
        if syntax == BIG:
            pixels_swapped = bytearray(one.PixelData)
            pixels_swapped[0::2], pixels_swapped[1::2] = pixels_swapped[1::2], pixels_swapped[0::2]
            one.PixelData = bytes(pixels_swapped)
        data = part10.encode(one, syntax)
    path = folder / f"{number}.dcm"
    path.write_bytes(part10.file_meta(str(one.SOPClassUID), uid, syntax) + data)
    return path
