"""A DICOM file opened, with or without what should stand in front of its data set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .. import part10
from ..errors import BadArchive

_PREAMBLE = 128
_META = b"\x02\x00"


class Opened(NamedTuple):
    """The data set of a file as it is at hand, unpacked if the file is deflated; ``encoding`` is how it is laid out."""

    dataset: memoryview
    encoding: str
    is_deflated: bool = False


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """The data set of a file, unpacked if it is deflated; BadArchive where there is none.

    Without preamble it is what its first element looks like; whether that is so to its end, the walk will say.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadArchive(f"{path.name} cannot be read ({error.strerror}). Check that this user may read it.") from error
    with file:
        beginning = file.read(_PREAMBLE + 4)
        if beginning[_PREAMBLE:] == b"DICM":
            with part10.opened(file, path.name) as whole:
                yield _unpacked(whole)
            return
        rest = beginning + file.read()
        if rest[:2] == _META:
            yield _unpacked(part10.split(bytes(_PREAMBLE) + b"DICM" + rest, path.name))
            return
        if len(rest) < 8:
            raise BadArchive(f"{path.name} is not a DICOM file. Leave it out.")
        yield Opened(memoryview(rest), _syntax_of(rest))


def _unpacked(whole: part10.Part10) -> Opened:
    return unpacked(whole.dataset, whole.transfer_syntax)


def unpacked(data: part10.Buffer, transfer_syntax: str) -> Opened:
    """An encoded data set, unpacked if it is deflated."""
    if transfer_syntax != part10.DEFLATED:
        return Opened(memoryview(data), transfer_syntax)
    return Opened(memoryview(part10.inflated(data)), part10.EXPLICIT_LITTLE, is_deflated=True)


def _syntax_of(data: bytes) -> str:
    """How a bare data set is most likely encoded."""
    if data[:2] == b"\0\x08":
        return part10.EXPLICIT_BIG
    is_explicit = data[4:6].isalpha() and data[4:6].isupper()
    return part10.EXPLICIT_LITTLE if is_explicit else part10.IMPLICIT_LITTLE
