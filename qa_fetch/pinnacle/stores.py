"""The bytes of a tar file, compressed or not, read at any place without unpacking.

A gzip is read in order once, to find its members. On the way copies of the decompressor are kept, some 40 KB each and
512 at most; later any place is reached from the copy before it. That needs no disk and nothing is left behind by a
kill; a temporary file would be as large as the archive, and starting over for every file would cost the square.
"""

from __future__ import annotations

import io
import os
import threading
import zlib
from bisect import bisect_right
from typing import Any, BinaryIO, Callable, NamedTuple, Optional, Protocol

from ..errors import BadArchive

_CHUNK = 1 << 18
_MOST_PLACES = 512
_FIRST_SPACING = 1 << 20
_MAGIC = b"\x1f\x8b"
_BOMB_SIZE = 4 << 30  # content beyond this ...
_BOMB_SHARE = 200  # ... with more bytes than this for each byte of the archive is made to fill a computer


class Store(Protocol):
    """Bytes that can be read at any place."""

    stop: Optional[str]

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes at a place; fewer where they end."""
        ...

    def reaches(self, offset: int) -> bool:
        """Whether there are bytes up to a place."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Plain:
    """A file as it is."""

    def __init__(self, file: BinaryIO) -> None:
        self.stop: Optional[str] = None
        self._file = file
        self._length = os.fstat(file.fileno()).st_size
        self._lock = threading.Lock()

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes at a place; fewer where they end."""
        if offset >= self._length:  # one that a header made up may be more than a file can have
            return b""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def reaches(self, offset: int) -> bool:
        """Whether there are bytes up to a place."""
        return offset <= self._length

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Place(NamedTuple):
    """A place in the content that a decompressor can go on from."""

    offset: int
    compressed: int  # where its next byte lies in the file
    decompressor: Any  # zlib has no public name for its type


class Gzip:
    """The content of a gzip, of one member or several."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.stop: Optional[str] = None
        self._file = file
        self._name = name
        self._lock = threading.Lock()
        self._length: Optional[int] = None  # known once its end was seen
        self._spacing = _FIRST_SPACING
        self._places = [_Place(0, 0, _decompressor())]
        self._start = 0  # of the chunk in the content
        self._chunk = b""
        self._go_to(self._places[0])

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes at a place; fewer where they end."""
        with self._lock:
            self._seek(offset)
            parts = []
            while count > 0:
                part = self._chunk[offset - self._start :][:count]
                if not part:
                    if not self._next():
                        break
                    continue
                parts.append(part)
                offset += len(part)
                count -= len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    def reaches(self, offset: int) -> bool:
        """Whether there are bytes up to a place."""
        with self._lock:
            if self._length is None:
                self._seek(offset)
            return self._length is None or offset <= self._length

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _seek(self, offset: int) -> None:
        """Bring the chunk to where a place lies, or to the end of the content."""
        if not 0 <= offset - self._start <= len(self._chunk) + self._spacing:
            place = self._places[bisect_right([each.offset for each in self._places], offset) - 1]
            if offset < self._start or place.offset > self._start + len(self._chunk):
                self._go_to(place)
        while offset > self._start + len(self._chunk) and self._next():
            continue

    def _go_to(self, place: _Place) -> None:
        self._decompressor = place.decompressor.copy()
        self._compressed = place.compressed
        self._pending = b""
        self._start, self._chunk = place.offset, b""

    def _next(self) -> bool:
        """The next chunk; False at the end of the content."""
        end = self._start + len(self._chunk)
        if self._length is not None and end >= self._length:
            return False
        try:
            chunk = self._decompressed()
        except zlib.error:
            self.stop = "its compressed content is damaged"
            chunk = b""
        self._start, self._chunk = end, chunk
        if not chunk:
            self._length = end
            return False
        self._keep(end + len(chunk))
        return True

    def _decompressed(self) -> bytes:
        while True:
            if not self._pending:
                self._file.seek(self._compressed)
                self._pending = self._file.read(_CHUNK // 4)
                self._compressed += len(self._pending)
                if not self._pending:
                    self.stop = "it is cut short"
                    return b""
            chunk = self._decompressor.decompress(self._pending, _CHUNK)
            self._pending = self._decompressor.unconsumed_tail
            if self._decompressor.eof:
                self._compressed -= len(self._decompressor.unused_data)
                self._file.seek(self._compressed)
                if self._file.read(2) != _MAGIC:  # bytes behind the last member are padding
                    self._length = self._start + len(self._chunk) + len(chunk)
                    return bytes(chunk)
                self._decompressor = _decompressor()
                self._pending = b""
            if chunk:
                return bytes(chunk)

    def _keep(self, offset: int) -> None:
        """Keep a copy of the decompressor now and then; more rarely the longer the content is."""
        if self._length is not None or offset < self._places[-1].offset + self._spacing:
            return
        if offset > _BOMB_SIZE and offset > _BOMB_SHARE * self._compressed:
            raise BadArchive(
                f"{self._name} would be more than {_BOMB_SHARE} times as large when unpacked, so it is not read. "
                "Look where it comes from."
            )
        compressed = self._compressed - len(self._pending)
        self._places.append(_Place(offset, compressed, self._decompressor.copy()))
        if len(self._places) > _MOST_PLACES:
            self._places = self._places[::2]
            self._spacing *= 2


def _decompressor() -> Any:
    return zlib.decompressobj(31)  # gzip's header and checksum


class Part(io.RawIOBase):
    """A file inside a store.

    Parameters
    ----------
    store, offset, size
        Where it lies.
    unread
        Takes what the system says when it cannot read, and gives the error to raise.
    whole
        Whether it is all that the store is for: closing it closes that too.
    """

    def __init__(
        self, store: Store, offset: int, size: int, unread: Callable[[OSError], Exception], *, whole: bool = False
    ) -> None:
        super().__init__()
        self._store = store
        self._offset = offset
        self._size = size
        self._unread = unread
        self._whole = whole
        self._at = 0

    def close(self) -> None:
        """Nothing is read from here any more."""
        if self._whole and not self.closed:
            self._store.close()
        super().close()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read from anywhere."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes."""
        data = self._take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Everything from here."""
        return self._take(self._size)

    def _take(self, count: int) -> bytes:
        try:
            data = self._store.read_at(self._offset + self._at, min(count, max(0, self._size - self._at)))
        except OSError as error:
            raise self._unread(error) from error
        self._at += len(data)
        return data
