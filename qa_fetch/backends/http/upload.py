"""Files on their way out: read as they are sent, never in memory as a whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import part10
from ...errors import BadArchive, ConnectionFailed
from .client import Upload

_PIECE = 1 << 18


@dataclass(frozen=True)
class File:
    """A file that can be sent: what it is, and how large."""

    path: Path
    instance: str
    size: int


def examine(path: Path) -> File:
    """What a file is, walked through to its end; BadArchive for what is no whole DICOM file."""
    with path.open("rb") as file, part10.opened(file, path.name) as whole:
        return File(path, whole.identity().sop_instance, os.fstat(file.fileno()).st_size)


def single(file: File) -> Upload:
    """A file as a request's body."""
    return Upload(lambda: _pieces(file), file.size, "application/dicom")


def multipart(files: Sequence[File]) -> Upload:
    """Files as the parts of a request's body."""
    boundary = f"qa_fetch-{uuid.uuid4().hex}"
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"--{boundary}--\r\n".encode()

    def source() -> Iterator[memoryview]:
        for file in files:
            yield memoryview(head)
            yield from _pieces(file)
            yield memoryview(b"\r\n")
        yield memoryview(tail)

    length = sum(len(head) + file.size + 2 for file in files) + len(tail)
    return Upload(source, length, f'multipart/related; type="application/dicom"; boundary={boundary}')


def _pieces(file: File) -> Iterator[memoryview]:
    with memoryview(bytearray(min(_PIECE, file.size))) as buffer, file.path.open("rb") as opened:
        left = file.size
        while left:
            count = opened.readinto(buffer[:left])
            if not count:
                raise BadArchive(f"{file.path.name} became shorter while it was sent. Send it again.")
            left -= count
            yield buffer[:count]


def problem_of(error: Exception) -> str:
    """A failure as it stands in a list of files: without the full stop that the list sets."""
    return str(error).rstrip(".")


def is_over(error: Exception) -> bool:
    """Whether the next file would fail like this one."""
    return isinstance(error, ConnectionFailed) or getattr(error, "status", None) in (401, 403, 404, 405, 507)
