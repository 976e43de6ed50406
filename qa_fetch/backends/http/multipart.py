"""The parts of a body as it comes, in one reused buffer; nothing is ever in memory but that buffer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional, Protocol

from ...errors import BadArchive, ConnectionFailed

_SIZE = 1 << 20
_SMALLEST = 1 << 17
_LONGEST_HEADERS = 1 << 14
_LONGEST_PADDING = 256
_LEAST_ROOM = 1 << 18


class Source(Protocol):
    """Where bytes come from."""

    def readinto(self, target: memoryview) -> int:
        """Some bytes, or 0 at the end."""
        ...


class Stretch(Protocol):
    """The bytes of one object as they come."""

    def ahead(self) -> memoryview:
        """What has come and was not taken yet."""
        ...

    def more(self) -> bool:
        """Wait for more behind that; False when the object has no more."""
        ...

    def take(self, count: int) -> None:
        """Go on behind that many bytes."""
        ...


class Window:
    """The part of a source that is in memory."""

    def __init__(self, source: Source, size: int = _SIZE, before: bytes = b"") -> None:
        self._source = source
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)
        self.start, self.end = 0, len(before)
        self.buffer[: len(before)] = before

    def more(self) -> bool:
        """Read behind what is there; False at the end of the source."""
        if self.start == self.end:
            self.start = self.end = 0
        elif self.start and len(self.buffer) - self.end < _LEAST_ROOM:
            unread = self.end - self.start
            self.view[:unread] = self.view[self.start : self.end]
            self.start, self.end = 0, unread
        if self.end == len(self.buffer):
            return True  # full: whoever waits for more has to take something first
        count = self._source.readinto(self.view[self.end :])
        self.end += count
        return count > 0

    @property
    def full(self) -> bool:
        """Whether nothing can be read before something is taken."""
        return self.start == 0 and self.end == len(self.buffer)


class Whole:
    """A body that is one object; small objects get a small buffer."""

    def __init__(self, source: Source, length: Optional[int]) -> None:
        self._window = Window(source, _SIZE if length is None else min(_SIZE, max(length, _SMALLEST)))

    def ahead(self) -> memoryview:
        """What has come and was not taken yet."""
        return self._window.view[self._window.start : self._window.end]

    def more(self) -> bool:
        """Wait for more; False at the end of the body."""
        return self._window.more()

    def take(self, count: int) -> None:
        """Go on behind that many bytes."""
        self._window.start += count


class Multipart:
    """A multipart body; iterate over its parts, each of which ends where the next begins.

    Parameters
    ----------
    source
        The body.
    boundary
        The parameter of its Content-Type.
    name
        The archive, for messages.
    """

    def __init__(self, source: Source, boundary: str, name: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._window = Window(source, before=b"\r\n")  # a body may begin with its boundary
        self._name = name
        self._here = 0  # bytes ahead that belong to the present part
        self._left: Optional[int] = None  # what its Content-Length promises behind them
        self._at_end = False

    def __iter__(self) -> Iterator[Multipart]:
        self._open(None)
        while self.more() or self._here:  # the preamble says nothing
            self.take(self._here)
        while self._after_delimiter():
            self._open(self._headers())
            yield self
            while self._here or self.more():
                self.take(self._here)

    # --- the present part

    def ahead(self) -> memoryview:
        """What has come of the part and was not taken yet."""
        return self._window.view[self._window.start : self._window.start + self._here]

    def take(self, count: int) -> None:
        """Go on behind that many bytes of the part."""
        self._window.start += count
        self._here -= count

    def more(self) -> bool:
        """Wait for more of the part; False when all of it is ahead."""
        before = self._here
        while not self._at_end and self._here == before:
            self._measure()
            if self._here == before and not self._at_end:
                if self._window.full:
                    return False
                self._fill()
        if not self._here:
            self._check_end()
        return self._here > before

    def _check_end(self) -> None:
        """A part is whole only where a delimiter follows, whatever its Content-Length says."""
        self._until(len(self._delimiter) + 2)
        window, behind = self._window, self._window.start + len(self._delimiter)
        follows = bytes(window.view[behind : behind + 2])
        if not window.buffer.startswith(self._delimiter, window.start) or not (
            follows in (b"--", b"\r\n") or follows[:1] in (b" ", b"\t")
        ):
            raise self._misframed()

    def _open(self, length: Optional[int]) -> None:
        self._here, self._left, self._at_end = 0, length, False

    def _measure(self) -> None:
        """Find out how much of what has come belongs to the part."""
        window = self._window
        if self._left is not None:
            grown = min(window.end - window.start - self._here, self._left)
            self._left -= grown
            self._here += grown
            self._at_end = not self._left
            return
        found = window.buffer.find(self._delimiter, window.start + self._here, window.end)
        if found >= 0:
            self._here, self._at_end = found - window.start, True
        else:
            self._here = max(self._here, window.end - window.start - len(self._delimiter) + 1, 0)

    def _fill(self) -> None:
        if not self._window.more():
            raise ConnectionFailed(
                f"{self._name} ended a transfer before its end. "
                f"Call again; if it does so again, run: qa-fetch echo {self._name}."
            )

    # --- between parts

    def _after_delimiter(self) -> bool:
        """Step over the delimiter that has to be here; False when it was the last."""
        self._check_end()
        window = self._window
        window.start += len(self._delimiter)
        if window.buffer.startswith(b"--", window.start):
            return False
        end = self._find(b"\r\n", _LONGEST_PADDING)
        if bytes(window.view[window.start : end]).strip(b" \t"):
            raise self._misframed()
        window.start = end
        return True

    def _headers(self) -> Optional[int]:
        """Step over a part's headers; its Content-Length where it has one."""
        window = self._window
        end = self._find(b"\r\n\r\n", _LONGEST_HEADERS)
        text = bytes(window.view[window.start : end])
        window.start = end + 4
        length = None
        for line in text.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                digits = value.strip()
                if not digits.isdigit() or len(digits) > 15 or length not in (None, int(digits)):
                    raise self._misframed()
                length = int(digits)
            elif name.strip().lower() in (b"content-encoding", b"content-transfer-encoding"):
                if value.strip().lower() not in (b"identity", b"binary", b"8bit"):
                    raise self._misframed()
        return length

    def _until(self, count: int) -> None:
        while self._window.end - self._window.start < count:
            self._fill()

    def _find(self, mark: bytes, limit: int) -> int:
        window = self._window
        while True:
            found = window.buffer.find(mark, window.start, window.end)
            if 0 <= found - window.start <= limit:
                return found
            if found >= 0 or window.end - window.start > limit + len(mark):
                raise self._misframed()
            self._fill()

    def _misframed(self) -> BadArchive:
        return BadArchive(
            f"{self._name} sent a transfer whose parts cannot be told apart, so the rest of it is not used. "
            "Report it to its administrator."
        )
