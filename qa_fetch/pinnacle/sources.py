"""Where a Pinnacle archive's files lie: in a tar, a compressed tar or a folder, read without unpacking."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Optional, Protocol, cast

from ..errors import BadArchive, NotFound
from .stores import Gzip, Part, Plain, Store
from .tars import Headers

TARS = (".tar", ".tar.gz", ".tgz")  # how the names of archives end
SQUEEZED = tuple(".tar.bz2 .tbz2 .tbz .tar.xz .txz .tar.z .taz .tar.zst .tzst".split())  # and of those not read
_MOST_MEMBERS = 200_000
_LONGEST_NAME = 4096
_LONGEST_NAMES = 64 << 20  # characters of all names together
_LONGEST_TEXT = 128 << 20  # bytes of a text file; the largest plan.Trial known has 60 MB
_MOST_COMPARED = 1 << 30  # bytes of members that have the same name
_OUTSIDE = "its name leads out of the archive"
_TWIN = "several members have its name but not its content"
UNREAD = "the system could not read it"  # how the reason begins why such a file is refused
_NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.ELOOP)
_OTHER_SORTS = {  # the first bytes of what hospitals also keep archives in
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x1f\x9d": ("compress", "uncompress"),
    b"PK\x03\x04": ("zip", "unzip"),
    b"(\xb5/\xfd": ("zstd", "unzstd"),
}


class Source(Protocol):
    """The regular files of an archive, by their path in it."""

    name: str
    refused: dict[str, str]  # what is in the archive but not read, and why
    stop: Optional[str]  # why not all of the archive could be seen, or None

    def names(self) -> list[str]:
        """The paths of all files, sorted, with forward slashes."""
        ...

    def size(self, path: str) -> int:
        """How many bytes a file has; NotFound where it is not in the archive."""
        ...

    def open(self, path: str) -> BinaryIO:
        """A file, to be read from its beginning; NotFound where it is not in the archive."""
        ...

    def close(self) -> None:
        """Close the archive."""
        ...


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Source]:
    """A tar, a compressed tar or a folder, as a source."""
    source: Source = Folder(path) if path.is_dir() else Tar(path)
    try:
        yield source
    finally:
        source.close()


def read(source: Source, path: str) -> bytes:
    """A whole text file, of a size that one may have."""
    data, whole = beginning(source, path)
    if not whole:
        raise BadArchive(f"{path} in {source.name} is cut short. Fetch the archive again from where it was kept.")
    return data


def beginning(source: Source, path: str) -> tuple[bytes, bool]:
    """A text file as far as it can be read, and whether that is all of it."""
    size = source.size(path)
    if size > _LONGEST_TEXT:
        raise BadArchive(
            f"{path} in {source.name} is too large for a text of Pinnacle, so it is not read. Check the archive."
        )
    with source.open(path) as file:
        data = file.read(size)
    return data, len(data) == size


class Folder:
    """An archive that somebody has unpacked; links are not followed."""

    def __init__(self, root: Path) -> None:
        self.name = root.name
        self.refused: dict[str, str] = {}
        self.stop: Optional[str] = None
        self._root = root
        self._sizes: dict[str, int] = {}
        folders = [""]
        while folders:
            folders.extend(self._look(folders.pop()))
        self._names = sorted(self._sizes)

    def _look(self, folder: str) -> list[str]:
        """Take the files of a folder; its folders are given back."""
        found = []
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    inside = f"{folder}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        found.append(f"{inside}/")
                    elif not _printable(inside):
                        self.refused[inside.encode("utf-8", "replace").decode()] = "its name is no text"
                    elif entry.is_file(follow_symlinks=False):
                        self._sizes[inside] = entry.stat(follow_symlinks=False).st_size
                    else:
                        self.refused[inside] = "it is a link or a device"
                    if len(self._sizes) + len(self.refused) + len(found) > _MOST_MEMBERS:
                        raise _too_many(self.name)
        except OSError as error:
            raise _unreadable(self.name, error) from error
        return found

    def names(self) -> list[str]:
        """The paths of all files, sorted, with forward slashes."""
        return self._names

    def size(self, path: str) -> int:
        """How many bytes a file has; NotFound where it is not in the archive."""
        if path not in self._sizes:
            raise _absent(self.name, path)
        return self._sizes[path]

    def open(self, path: str) -> BinaryIO:
        """A file, to be read from its beginning; NotFound where it is not in the archive."""
        self.size(path)
        unread = partial(_unread, self, path)
        try:
            file = os.fdopen(os.open(self._root / path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb")
        except OSError as error:
            raise unread(error) from error
        part = Part(Plain(file), 0, self._sizes[path], unread, whole=True)
        return cast(BinaryIO, io.BufferedReader(part, 1 << 16))

    def close(self) -> None:
        """Nothing is open."""


class Tar:
    """A tar, compressed or not; only its regular members are seen, under names that stay inside."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.refused: dict[str, str] = {}
        self._members: dict[str, tuple[int, int]] = {}
        self._compared = 0
        self._store = _store(path)
        try:
            self.stop = self._index()
        except OSError as error:
            self._store.close()
            raise _unreadable(self.name, error) from error
        except BadArchive:
            self._store.close()
            raise
        self._names = sorted(self._members)

    def _index(self) -> Optional[str]:
        headers = Headers(self._store)
        length = 0
        for entry in headers:
            length += len(entry.name)
            if headers.count > _MOST_MEMBERS or length > _LONGEST_NAMES:
                raise _too_many(self.name)
            if entry.name or entry.refused is not None:
                self._take(entry.name, entry.offset, entry.size, entry.refused)
        if headers.stop is None:
            return None
        if not headers.count:
            raise BadArchive(f"{self.name} is no tar archive that can be read. Fetch it again from where it was kept.")
        return f"{headers.stop} (behind member {headers.count})"

    def _take(self, name: str, offset: int, size: int, refused: Optional[str]) -> None:
        parts = name.split("/")
        path = "/".join(part for part in parts if part not in ("", "."))
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or not path:
            self.refused[name[:_LONGEST_NAME]] = _OUTSIDE
        elif len(name) > _LONGEST_NAME:
            self.refused[name[:_LONGEST_NAME]] = "its name is too long"
        elif refused is not None or path in self.refused:
            self.refused.setdefault(path, refused or _TWIN)
            self._members.pop(path, None)
        elif path not in self._members:
            self._members[path] = (offset, size)
        elif not self._same(self._members[path], (offset, size)):
            self.refused[path] = _TWIN
            del self._members[path]

    def _same(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether two members hold the same; not so where comparing would cost too much."""
        if one[1] != other[1] or self._compared + one[1] > _MOST_COMPARED:
            return False
        self._compared += one[1]
        step = 1 << 24
        return all(
            self._store.read_at(one[0] + at, min(step, one[1] - at))
            == self._store.read_at(other[0] + at, min(step, one[1] - at))
            for at in range(0, one[1], step)
        )

    def names(self) -> list[str]:
        """The paths of all files, sorted, with forward slashes."""
        return self._names

    def size(self, path: str) -> int:
        """How many bytes a file has; NotFound where it is not in the archive."""
        if path not in self._members:
            raise _absent(self.name, path)
        return self._members[path][1]

    def open(self, path: str) -> BinaryIO:
        """A file, to be read from its beginning; NotFound where it is not in the archive."""
        if path not in self._members:
            raise _absent(self.name, path)
        part = Part(self._store, *self._members[path], partial(_unread, self, path))
        return cast(BinaryIO, io.BufferedReader(part, 1 << 16))

    def close(self) -> None:
        """Close the tar."""
        self._store.close()


def _store(path: Path) -> Store:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadArchive(f"{path.name} is neither a file nor a folder. Correct its path.")
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"there is no {path}. Correct its path.") from None
    except OSError as error:
        raise _unreadable(path.name, error) from error
    start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return Gzip(file, path.name)
    for magic, (sort, command) in _OTHER_SORTS.items():
        if start.startswith(magic):
            file.close()
            raise BadArchive(f"{path.name} is compressed with {sort}, which is not read. Unpack it first: {command}")
    return Plain(file)


def _printable(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\\" not in name


def _unreadable(name: str, error: OSError) -> BadArchive:
    what = "the rights of this user" if error.errno in _NO_RIGHTS else "the disk or the share that it lies on"
    return BadArchive(f"{name} cannot be read ({error.strerror}). Check {what}.", by_system=True)


def _unread(source: Source, path: str, error: OSError) -> BadArchive:
    """A file that the system cannot read now, which may be otherwise tomorrow, is noted as one that was not read."""
    source.refused[path] = f"{UNREAD} ({error.strerror})"
    return _unreadable(source.name, error)


def _absent(name: str, path: str) -> NotFound:
    return NotFound(f"{name} has no {path}. Look whether the archive is whole: qa-fetch pinnacle list {name}")


def _too_many(name: str) -> BadArchive:
    return BadArchive(f"{name} has more than {_MOST_MEMBERS:,} files, so it is no archive of Pinnacle and is not read.")
