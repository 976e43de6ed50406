"""The members of a tar, by its headers alone: nothing that a header claims is believed before it is looked up.

Not the standard library's ``tarfile``: that reads an extended header of any size into memory and keeps a kilobyte for
each member.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from .stores import Store

_BLOCK = 512
_FILES = b"0\x007"
_NO_CONTENT = b"123456"  # links, devices, folders
_PAX = b"xgX"  # X is Solaris'
_LONG_NAME, _LONG_LINK, _SPARSE, _FOLDER = b"L", b"K", b"S", b"5"
_LONGEST_EXTENSION = 1 << 20
_MOST_HEADERS_OF_ONE = 16
LINK = "it is a link or a device"
SPARSE = "it is sparse"
TOO_LONG = "it claims more bytes than the archive holds"


class Entry(NamedTuple):
    """A member: a file at a place, or something else with the reason why it is not read."""

    name: str  # empty for a folder
    offset: int
    size: int
    refused: Optional[str]


class _Damaged(Exception):
    """A header is none."""


class Headers:
    """The members of a tar in their order; ``stop`` says why they end where that is not the end of the tar."""

    def __init__(self, store: Store) -> None:
        self.stop: Optional[str] = None
        self.count = 0
        self._store = store
        self._at = 0

    def __iter__(self) -> Iterator[Entry]:
        while True:
            try:
                entry = self._next()
            except _Damaged as damage:
                self.stop = self._store.stop or str(damage)
                return
            if entry is None:
                return
            self.count += 1
            yield entry

    def _next(self) -> Optional[Entry]:
        """The next member; None at the end mark."""
        name: Optional[str] = None
        size: Optional[int] = None
        sparse = False
        for _ in range(_MOST_HEADERS_OF_ONE):
            head = self._store.read_at(self._at, _BLOCK)
            if not head.strip(b"\0") and len(head) == _BLOCK:
                return None
            self._at += _BLOCK
            told, kind = _size(head), head[156:157]
            if kind in (_LONG_NAME, _LONG_LINK):
                data = self._extension(told)
                name = _decoded(data.partition(b"\0")[0]) if kind == _LONG_NAME else name
            elif kind in _PAX:
                for key, value in _records(self._extension(told)):
                    if kind != b"g" and key == b"path":
                        name = _decoded(value)
                    elif kind != b"g" and key == b"size":
                        size = _decimal(value)
                    sparse = sparse or key.startswith(b"GNU.sparse.")
            else:
                name = _decoded(_name(head)) if name is None else name
                return self._member(head, name, told if size is None else size, sparse)
        raise _Damaged("a member of it has too many headers")

    def _member(self, head: bytes, name: str, size: int, sparse: bool) -> Entry:
        kind = head[156:157]
        if kind == _FOLDER or (kind == b"\0" and name.endswith("/")):
            self._at += -(-size // _BLOCK) * _BLOCK if kind == b"\0" else 0
            return Entry("", self._at, 0, None)
        if kind in _NO_CONTENT:
            return Entry(name, self._at, 0, LINK)
        if kind == _SPARSE:
            sparse = True
            more = head[482]
            while more:
                block = self._store.read_at(self._at, _BLOCK)
                if len(block) < _BLOCK:
                    raise _Damaged("it is cut short")
                self._at += _BLOCK
                more = block[504]
        offset = self._at
        self._at += -(-size // _BLOCK) * _BLOCK
        if not self._store.reaches(offset + size):
            return Entry(name, offset, 0, TOO_LONG)
        refused = SPARSE if sparse else None if kind in _FILES else "it is of an unknown kind"
        return Entry(name, offset, size, refused)

    def _extension(self, size: int) -> bytes:
        if size > _LONGEST_EXTENSION:
            raise _Damaged("a member of it has a header that is far too large")
        data = self._store.read_at(self._at, size)
        if len(data) < size:
            raise _Damaged("it is cut short")
        self._at += -(-size // _BLOCK) * _BLOCK
        return data


def _size(head: bytes) -> int:
    """How many bytes a header's member has; raises where it is no header."""
    if not head:
        raise _Damaged("it has no end mark, so it may be cut short")
    if len(head) < _BLOCK:
        raise _Damaged("it is cut short")
    told = _octal(head[148:156])
    rest = head[:148] + b" " * 8 + head[156:]
    if told != sum(rest) and told != sum(rest) - 256 * sum(byte > 127 for byte in rest):
        raise _Damaged("it is damaged")
    field = head[124:136]
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    size = _octal(field)
    if size is None:
        raise _Damaged("it is damaged")
    return size


def _octal(field: bytes) -> Optional[int]:
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        return None
    return int(digits, 8) if digits else 0


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise _Damaged("it is damaged")
    return int(value)


def _name(head: bytes) -> bytes:
    name = head[:100].partition(b"\0")[0]
    prefix = head[345:500].partition(b"\0")[0] if head[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of an extended header: ``30 path=...``."""
    at = 0
    while at < len(data) and data[at : at + 1] != b"\0":
        space = data.find(b" ", at, at + 20)
        length = _decimal(data[at:space]) if space > at else 0
        record = data[space + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if length < 5 or at + length > len(data) or not equals or record[-1:] != b"\n":
            raise _Damaged("it is damaged")
        yield key, value[:-1]
        at += length


def _decoded(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")
