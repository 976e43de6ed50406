"""Bytes and files one behind the other as one file to read, of which one block is in memory.

The web server takes such a file over (``wsgi.file_wrapper``) and reads it when the client has room for more, so that a
slow client keeps none of its threads busy.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple, Optional, Union

_BLOCK = 1 << 18


class Stretch(NamedTuple):
    """A part of a file."""

    path: str
    start: int
    length: int


Piece = Union[bytes, memoryview, Stretch]


class Joined:
    """Pieces to be read as one file."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces: list[Piece] = []
        self._starts: list[int] = []
        self._length = 0
        for piece in pieces:
            length = piece.length if isinstance(piece, Stretch) else len(piece)
            if length:
                self._pieces.append(piece)
                self._starts.append(self._length)
                self._length += length
        self._at = 0
        self._block = bytearray(min(_BLOCK, self._length))
        self._from = self._to = 0  # what of the whole is in the block
        self._open: Optional[tuple[str, io.FileIO]] = None
        self._next = 0  # where that file is read next

    def __len__(self) -> int:
        return self._length

    def read(self, count: int = -1) -> memoryview:
        """Some bytes, which stay the same until the next call; none at the end.

        OSError where a file has become shorter: the client then sees that the answer was cut short.
        """
        if not self._from <= self._at < self._to and self._at < self._length:
            self._fill()
        end = self._to if count < 0 else min(self._to, self._at + count)
        found = memoryview(self._block)[self._at - self._from : max(end - self._from, self._at - self._from)]
        self._at += len(found)
        return found

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next ``read`` begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = min(max(0, base + offset), self._length)
        return self._at

    def close(self) -> None:
        """Close the file that is open."""
        self._shut()

    def _shut(self) -> None:
        # Not ``close``: Django puts the closing of the whole answer in its place.
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _fill(self) -> None:
        index = bisect_right(self._starts, self._at) - 1
        skipped, filled = self._at - self._starts[index], 0
        with memoryview(self._block) as block:
            while filled < len(block) and index < len(self._pieces):
                piece, room = self._pieces[index], block[filled:]
                if isinstance(piece, Stretch):
                    count = self._read(piece, skipped, room)
                else:
                    count = min(len(piece) - skipped, len(room))
                    room[:count] = piece[skipped : skipped + count]
                filled += count
                index, skipped = index + 1, 0
        self._from, self._to = self._at, self._at + filled

    def _read(self, piece: Stretch, skipped: int, room: memoryview) -> int:
        """Read what there is room for; a file that does not fit as a whole stays open for the next block."""
        wanted = min(piece.length - skipped, len(room))
        file = self._file(piece.path)
        if self._next != piece.start + skipped:
            file.seek(piece.start + skipped)
        done = 0
        while done < wanted:
            count = file.readinto(room[done:wanted])
            if not count:
                raise OSError("an object's file has become shorter while it was sent")
            done += count
        self._next = piece.start + skipped + wanted
        if skipped + wanted == piece.length:
            self._shut()
        return wanted

    def _file(self, path: str) -> io.FileIO:
        if self._open is None or self._open[0] != path:
            self._shut()
            self._open, self._next = (path, io.FileIO(path)), 0
        return self._open[1]
