"""Objects on their way in: the bytes go to a file as they come, and nothing has a name before it is whole."""

from __future__ import annotations

import contextlib
import enum
import filecmp
import mmap
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, Optional, Protocol, Union

from .. import part10
from ..errors import BadArchive, Incomplete

Piece = Union[bytes, bytearray, memoryview]

_SMALL = 1 << 16  # bytes of a file that is written in one go, since each system call costs as much as copying it
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_AT_ONCE = 512  # pieces per system call; Linux takes 1024


class Taken(enum.Enum):
    """What became of an object that arrived."""

    KEPT = "kept"
    REPEATED = "repeated"
    UNWANTED = "unwanted"


class Incoming(Protocol):
    """An object that is arriving. It is written piece by piece, finished when it is whole, and closed in any case."""

    def write(self, pieces: Sequence[Piece]) -> None:
        """Take more of the encoded data set; the pieces are not looked at again after the call."""
        ...

    def finish(self) -> Taken:
        """Check the whole object and keep it.

        Raises
        ------
        BadArchive
            It is cut short, or is not what the message that brought it said.
        Incomplete
            The disk does not take it.
        """
        ...

    def close(self) -> None:
        """Forget what was not kept; what can wait until the peer has its answer is done now."""
        ...


# Asked with SOP Class UID, SOP Instance UID and transfer syntax of what comes; None when nobody wants it.
Route = Callable[[str, str, str], Optional[Incoming]]


def take(route: Route, sop_class: str, instance: str, transfer_syntax: str, dataset: Piece) -> Taken:
    """Hand over an object that is in memory as a whole."""
    incoming = route(sop_class, instance, transfer_syntax)
    if incoming is None:
        return Taken.UNWANTED
    try:
        incoming.write([dataset])
        return incoming.finish()
    finally:
        incoming.close()


class Draft:
    """The file of an object, temporary until it is named: its own header, then the data set exactly as it came.

    Parameters
    ----------
    path
        The temporary file, beside where the object will lie; nothing may be there yet.
    sop_class, instance, transfer_syntax
        What the message that brings the object says it is.
    file
        The descriptor of the temporary file, where ``begin_file`` has made it already.
    """

    def __init__(
        self,
        path: Union[str, Path],
        sop_class: str,
        instance: str,
        transfer_syntax: str,
        *,
        file: Optional[int] = None,
    ) -> None:
        self.path = path
        self.transfer_syntax = transfer_syntax
        self._announced = (sop_class, instance)
        self._identity: Optional[part10.Identity] = None
        header = part10.file_meta(sop_class, instance, transfer_syntax)
        self._start = len(header)
        self._held: Optional[bytearray] = bytearray(header)  # the whole file, as long as it is small
        self._beginning = b""
        self._mapped: Optional[mmap.mmap] = None
        self._file: Optional[int] = begin_file(path) if file is None else file
        self._crc32: Optional[int] = None
        self._size = 0  # of what is in the file
        self._written = False
        self._named = False

    def write(self, pieces: Sequence[Piece]) -> None:
        """Append pieces of the data set."""
        if self._held is not None:
            size = len(self._held) + sum(map(len, pieces))
            if size <= _SMALL:
                for piece in pieces:
                    self._held += piece
                return
            pieces = [bytes(self._held), *pieces]
            self._held = None
            self._beginning = _first(pieces)[self._start :]
        for start in range(0, len(pieces), _AT_ONCE):
            self._size += _write(self._descriptor, pieces[start : start + _AT_ONCE])

    def __len__(self) -> int:
        """How many bytes the file has so far."""
        return len(self._held) if self._held is not None else self._size

    @property
    def _descriptor(self) -> int:
        if self._file is None:
            raise ValueError("the draft is closed")
        return self._file

    @property
    def _content(self) -> Union[bytearray, mmap.mmap]:
        """The whole file, to look at."""
        if self._held is not None:
            return self._held
        if self._mapped is None:
            self._mapped = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
        return self._mapped

    @property
    def dataset(self) -> memoryview:
        """The data set, to look at."""
        return memoryview(self._content)[self._start :]

    def identity(self) -> part10.Identity:
        """What the object says it is, from a walk over the data set from end to end."""
        if self._identity is None:
            length = len(self) - self._start
            if length <= 0:
                raise BadArchive("an object arrived without any data. Fetch or export it again.")
            if self._held is None:
                self._identity = part10.check_beginning(self._beginning, length, self.transfer_syntax)
            if self._identity is None:
                self._identity = part10.check(self.dataset, self.transfer_syntax)
        return self._identity

    def checked(self) -> part10.Identity:
        """The same, for an object that must be what the message that brought it said."""
        found = self.identity()
        if (found.sop_class, found.sop_instance) != self._announced:
            raise BadArchive(
                "an object is not the one that its message announced (SOP Class or Instance UID), so it is not kept. "
                "Report it to the archive's administrator."
            )
        return found

    def crc32(self) -> Optional[int]:
        """The checksum of a file that is held in memory; to read a large one for it would cost what receiving does."""
        return self._crc32 if self._held is None else zlib.crc32(self._held)

    def same_as(self, path: Union[str, Path]) -> bool:
        """Whether another file has the same bytes."""
        self._write_out()
        return filecmp.cmp(path, self.path, shallow=False)

    def copy_to(self, path: Path) -> None:
        """Write a second file like this one."""
        self._write_out()
        shutil.copyfile(self.path, path)

    def _write_out(self) -> None:
        """Put what is still held into the file."""
        if self._held is not None and not self._written:
            _write(self._descriptor, [self._held])
            self._written = True

    def flush(self) -> None:
        """Have the whole file on the disk itself."""
        self._write_out()
        os.fsync(self._descriptor)

    def become(self, target: Union[str, Path], *, flush: bool = False) -> None:
        """Give the file its name; what was there is replaced.

        Parameters
        ----------
        target
            Its name, in the same file system.
        flush
            Whether it must be on the disk itself before it has its name; else ``settle`` does that later.
        """
        if flush or os.name == "nt":  # which renames no open file, so that it cannot be flushed later
            self.flush()
        self._write_out()
        if os.name == "nt":
            self._crc32 = self.crc32()
            self.close()
        os.replace(self.path, target)  # noqa: PTH105 - a Path made of each costs more than the call
        self.path, self._named = target, True

    def settle(self) -> os.stat_result:
        """Wait until a file that has its name is on the disk itself, and close it; its size and time."""
        if self._file is None:
            return os.stat(self.path)  # noqa: PTH116 - and here
        try:
            os.fsync(self._file)
            return os.fstat(self._file)
        finally:
            self.close()

    def discard(self) -> None:
        """Close and remove the file, unless it has become something."""
        if not self._named:
            self.close()
            Path(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Give back what the system holds for it."""
        self._mapped = self._held = None
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Drafted:
    """An incoming object that is a draft until it is kept; what the disk says becomes one line.

    Parameters
    ----------
    path
        The temporary file.
    announced
        SOP Class UID, SOP Instance UID and transfer syntax, as the message that brings the object says.
    sentence
        What to say when the disk does not take it, made of the system's reason.
    """

    def __init__(self, path: Path, announced: tuple[str, str, str], sentence: Callable[[str], str]) -> None:
        self._sentence = sentence
        with self.told():
            self.draft = Draft(path, *announced)

    def write(self, pieces: Sequence[Piece]) -> None:
        """Take more of the encoded data set."""
        with self.told():
            self.draft.write(pieces)

    def close(self) -> None:
        """Forget it, unless it is kept."""
        self.draft.discard()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """A block in which the disk may fail."""
        try:
            yield
        except OSError as error:
            raise Incomplete(self._sentence(str(error.strerror))) from error


def begin_file(path: Union[str, Path], mode: int = 0o600) -> int:
    """Make a temporary file that was not there before; its descriptor."""
    return os.open(path, _NEW, mode)


def _first(pieces: Sequence[Piece]) -> bytes:
    """What a file begins with: enough for the elements before an image's pixels."""
    found = bytearray()
    for piece in pieces:
        found += piece[: _SMALL - len(found)]
        if len(found) == _SMALL:
            break
    return bytes(found)


def _write(descriptor: int, pieces: Sequence[Piece]) -> int:
    """Write all pieces, in one system call where the system and the disk allow it; how many bytes that were."""
    if not hasattr(os, "writev"):
        return sum(_write_one(descriptor, piece) for piece in pieces)
    total = sum(map(len, pieces))
    done = os.writev(descriptor, pieces)
    left = done
    for piece in pieces if done < total else ():
        if left >= len(piece):
            left -= len(piece)
        else:
            _write_one(descriptor, memoryview(piece)[left:])
            left = 0
    return total


def _write_one(descriptor: int, piece: Piece) -> int:
    at, view = 0, memoryview(piece)
    while at < len(view):
        at += os.write(descriptor, view[at:])
    return at
