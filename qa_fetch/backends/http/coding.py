"""Objects that travel compressed: half the bytes over a slow line, many times the work over a fast one."""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass

from ...errors import BadArchive
from .body import Body

PLAIN, GZIP = "identity", "gzip"
_WORTH = 1 << 16  # bytes of an object from which on the line counts, and not the round trip
_ENOUGH = 1 << 20  # bytes that tell how fast a coding is
_AGAIN = 1 << 26  # bytes after which the other one is tried again
_FAST = 12.5e6  # bytes a second, as a line of 100 Mbit/s brings them; an Orthanc compresses about as fast


@dataclass
class _Brought:
    size: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.size / max(self.seconds, 1e-9)


class Codings:
    """How fast objects came from one server in each coding, and in which they are asked for next."""

    def __init__(self) -> None:
        self._brought = {PLAIN: _Brought(), GZIP: _Brought()}
        self._guard = threading.Lock()

    def choose(self) -> str:
        """Plain until the line has shown to be slow; then whichever was the faster one."""
        with self._guard:
            plain, gzip = self._brought[PLAIN], self._brought[GZIP]
            if plain.size < _ENOUGH or plain.rate >= _FAST:
                return PLAIN
            return GZIP if gzip.size < _ENOUGH or gzip.rate > plain.rate else PLAIN

    def note(self, asked: str, size: int, seconds: float) -> None:
        """That an object of that size, as it is stored, took that long when it was asked for in this coding."""
        if size < _WORTH:
            return
        with self._guard:
            brought = self._brought[asked]
            brought.size += size
            brought.seconds += seconds
            if brought.size >= _AGAIN:
                self._brought = {PLAIN: _Brought(), GZIP: _Brought()}


_of_servers: dict[str, Codings] = {}


def codings(url: str) -> Codings:
    """What this process knows of a server's line."""
    return _of_servers.setdefault(url, Codings())


class Unzipped(Body):
    """A body that came compressed, as what it was before."""

    def __init__(self, packed: Body, name: str) -> None:
        self._packed = packed
        self._name = name
        self._unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._buffer = bytearray(1 << 16)
        self.ended = False
        self.announced = None
        self.count = 0

    @property
    def delimited(self) -> bool:
        """Whether the answer itself said where it ends."""
        return self._packed.delimited

    def readinto(self, target: memoryview) -> int:
        """Some bytes, as soon as there are any; 0 at the end of the body, and an error when it ends too early."""
        while not self.ended:
            try:
                some = self._unzip.decompress(self._unzip.unconsumed_tail or self._more(), len(target))
            except zlib.error:
                raise self._damaged() from None
            target[: len(some)] = some
            self.count += len(some)
            if self._unzip.eof:
                self.ended = True
                if self._unzip.unused_data or self._more():
                    raise self._damaged()
            if some:
                return len(some)
        return 0

    def _more(self) -> bytes:
        with memoryview(self._buffer) as view:
            count = self._packed.readinto(view)
        if not count and not self._unzip.eof:
            raise self._damaged()
        return bytes(self._buffer[:count])

    def _damaged(self) -> BadArchive:
        return BadArchive(
            f"{self._name} sent a compressed object that cannot be unpacked, so it is not used. Fetch it again."
        )
