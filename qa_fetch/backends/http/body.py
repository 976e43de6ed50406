"""An answer's bytes as they come.

http.client's own ``readinto`` waits until a whole buffer is full, and takes an early end for the end; so the body is
framed here: a body is whole only when its last announced byte has come.
"""

from __future__ import annotations

import contextlib
from http.client import HTTPResponse
from typing import Callable, Optional

from ...config import ArchiveConfig
from ...errors import BadArchive, QAFetchError
from .connection import Clock, broken, sentences

_LONGEST_LINE = 4096  # a chunk's size with its extensions, or a trailer
_TRAILERS = 64
_DRAINED = 1 << 16


class Body:
    """The bytes of one answer."""

    def __init__(self, response: HTTPResponse, archive: ArchiveConfig, clock: Clock) -> None:
        self._response = response
        self._file = response.fp
        self._archive = archive
        self._clock = clock
        self._chunked = bool(response.chunked)
        # Bytes left of the body, or of its present chunk; None where the body ends with the connection.
        self._left: Optional[int] = 0 if self._chunked else response.length
        self._first = True
        self.ended = self._left == 0 and not self._chunked
        self.announced = None if self._chunked else response.length
        self.count = 0

    @property
    def delimited(self) -> bool:
        """Whether the answer itself said where it ends; otherwise its end may be a lost connection's."""
        return self._chunked or self._left is not None

    def readinto(self, target: memoryview) -> int:
        """Some bytes, as soon as there are any; 0 at the end of the body, and an error when it ends too early."""
        if self.ended:
            return 0
        with sentences(self._archive, self._clock):
            if self._chunked and not self._left and not self._next_chunk():
                return 0
            if self._left is not None and len(target) > self._left:
                target = target[: self._left]
            count: int = self._file.readinto1(target)
        if not count:
            if self._left is not None:
                raise broken(self._archive)
            self.ended = True
            return 0
        if self._left is not None:
            self._left -= count
            self.ended = not self._chunked and not self._left
        self.count += count
        return count

    def read(self, limit: int, too_large: Callable[[], QAFetchError]) -> bytes:
        """The whole body, unless it is larger than that."""
        if self.announced is not None and self.announced > limit:
            raise too_large()
        pieces, total = [], 0
        buffer = bytearray(1 << 16)
        with memoryview(buffer) as view:
            while count := self.readinto(view):
                total += count
                if total > limit:
                    raise too_large()
                pieces.append(bytes(view[:count]))
        return b"".join(pieces)

    def drain(self) -> bool:
        """Read away what nobody wants, if it is little; whether the connection can be used again."""
        if self.ended:
            return self.delimited
        buffer, total = bytearray(1 << 14), 0
        with contextlib.suppress(QAFetchError), memoryview(buffer) as view:
            while not self.ended and total < _DRAINED and (count := self.readinto(view)):
                total += count
        return self.ended and self.delimited

    def _next_chunk(self) -> bool:
        """Read the line before a chunk; False when it says that there are no more."""
        if not self._first and self._line().strip():
            raise self._misframed()
        self._first = False
        digits = self._line().partition(b";")[0].strip()
        if not digits or len(digits) > 15 or set(digits) - set(b"0123456789abcdefABCDEF"):
            raise self._misframed()
        self._left = int(digits, 16)
        if self._left:
            return True
        for _ in range(_TRAILERS):
            if not self._line().strip():
                self.ended = True
                return False
        raise self._misframed()

    def _line(self) -> bytes:
        line: bytes = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise broken(self._archive) if len(line) < _LONGEST_LINE else self._misframed()
        return line

    def _misframed(self) -> BadArchive:
        return BadArchive(
            f"{self._archive.name} sent an answer whose chunks cannot be told apart, so it is not used. "
            "Report it to its administrator."
        )
