"""Kept connections to archives behind HTTP, and a sentence for each way in which one fails."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, LineTooLong
from typing import Any, Optional
from urllib.parse import urlsplit

from ...budget import Budget
from ...config import KINDS, ArchiveConfig
from ...errors import BadArchive, ConfigError, ConnectionFailed, QAFetchError

_IDLE = 4.0  # seconds that a connection is kept for the next call, unless the archive keeps it for less
_KEPT = 8  # connections per archive
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_BUFFER = 1 << 16


class Spent(Exception):
    """The call's budget ended while bytes were waited for."""


class Clock:
    """How long the next piece of a call may take: no longer than the archive's timeout and the call's budget."""

    def __init__(self, budget: Budget, timeout: float) -> None:
        self.budget = budget
        self.timeout = timeout

    def next(self) -> float:
        """Seconds for the next piece; ``Spent`` when none are left."""
        left = self.budget.at_most(self.timeout)
        if left <= 0:
            raise Spent
        return left


class _Patient(io.RawIOBase):
    """A socket's bytes, each receive limited by the clock: a server that drips must not outlast the budget."""

    def __init__(self, raw: Any, sock: socket.socket, clock: Clock) -> None:
        self._raw, self._socket, self._clock = raw, sock, clock

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> Optional[int]:
        self._socket.settimeout(self._clock.next())
        count: Optional[int] = self._raw.readinto(target)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, clock: Clock, **keywords: Any) -> None:
        super().__init__(sock, *arguments, **keywords)
        self.fp = io.BufferedReader(_Patient(self.fp.detach(), sock, clock), _BUFFER)


class Connection(HTTPConnection):
    """One connection, with TLS where the address says https."""

    def __init__(self, host: str, port: int, context: Optional[ssl.SSLContext], clock: Clock) -> None:
        super().__init__(host, port, timeout=clock.next())
        self._context = context
        self.clock = clock
        self.idle_until = 0.0
        self.kept = False
        self.begin(clock)

    def begin(self, clock: Clock) -> None:
        """Use the connection for a request that has a clock of its own."""
        self.clock = clock
        self.response_class = functools.partial(_Response, clock=clock)  # type: ignore[assignment]  # called as a class
        if self.sock is not None:
            self.sock.settimeout(clock.next())

    def connect(self) -> None:
        """Open the socket, and TLS on it."""
        super().connect()
        if self._context is not None:
            self.sock.settimeout(self.clock.next())
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def hurry(self) -> None:
        """Let the kernel acknowledge at once, so that an archive with Nagle on does not wait 40 ms for it."""
        if _QUICKACK is not None and self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    @property
    def fresh(self) -> bool:
        """Whether a kept connection can be expected to be open still: nothing has come since, not even its end."""
        if self.sock is None or time.monotonic() > self.idle_until:
            return False
        try:
            return not select.select([self.sock], [], [], 0)[0]
        except (OSError, ValueError):  # ValueError: more files are open than select can count
            return False


class Pool:
    """The connections to one archive's server that this process keeps."""

    def __init__(self, archive: ArchiveConfig) -> None:
        parts = urlsplit(archive["url"])
        self.host = str(parts.hostname)
        self.secure = parts.scheme.lower() == "https"
        self.port = parts.port or (443 if self.secure else 80)
        self._files = [archive[key] for key in ("ca_file", "certificate_file", "key_file")]
        self._name = archive.name
        self._context: Optional[ssl.SSLContext] = None
        self._kept: list[Connection] = []
        self._guard = threading.Lock()

    def take(self, clock: Clock, *, new: bool = False) -> Connection:
        """A connection for one request: a kept one, unless ``new`` is wanted or none is left."""
        while not new:
            with self._guard:
                connection = self._kept.pop() if self._kept else None
            if connection is None:
                break
            if connection.fresh:
                connection.begin(clock)
                return connection
            connection.close()
        return Connection(self.host, self.port, self._tls() if self.secure else None, clock)

    def give_back(self, connection: Connection, keep_alive: str) -> None:
        """Keep a connection whose answer was read to its end, no longer than the archive says it does."""
        connection.idle_until = time.monotonic() + min(_IDLE, _seconds(keep_alive))
        connection.kept = True
        with self._guard:
            self._kept.append(connection)
            superfluous = self._kept.pop(0) if len(self._kept) > _KEPT else None
        if superfluous is not None:
            superfluous.close()
        _sweep_later()

    def sweep(self, *, all_of_them: bool = False) -> bool:
        """Close what has been idle for too long; whether any is left."""
        with self._guard:
            old = [one for one in self._kept if all_of_them or time.monotonic() > one.idle_until]
            self._kept = [one for one in self._kept if one not in old]
            left = bool(self._kept)
        for connection in old:
            connection.close()
        return left

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            ca_file, certificate, key = self._files
            try:
                context = ssl.create_default_context(cafile=ca_file)
                if certificate is not None:
                    context.load_cert_chain(certificate, key)
            except FileNotFoundError:
                names = ", ".join(str(file) for file in self._files if file is not None and not file.is_file())
                raise ConfigError(f"{self._name}: there is no file {names}. Correct its path.") from None
            except (ssl.SSLError, OSError):
                raise ConfigError(
                    f"{self._name}: ca_file, certificate_file and key_file do not hold what TLS needs. "
                    "Give certificates and key in PEM format, the key without a passphrase."
                ) from None
            if key is not None and certificate is None:
                raise ConfigError(f"{self._name}: key_file is set and no certificate_file. Set both or neither.")
            self._context = context
        return self._context


_pools: dict[tuple[Any, ...], Pool] = {}
_guard = threading.Lock()
_sweeper: Optional[threading.Timer] = None


def pool(archive: ArchiveConfig) -> Pool:
    """The kept connections to an archive; made when first asked for."""
    parts = urlsplit(archive["url"])
    files = (archive["ca_file"], archive["certificate_file"], archive["key_file"])
    key = (archive.name, parts.scheme, parts.netloc, *map(str, files), *map(_changed, files))
    with _guard:
        if key not in _pools:
            _pools[key] = Pool(archive)
        return _pools[key]


def _changed(file: Any) -> Any:
    """When a file was written: a certificate that was renewed makes connections of its own."""
    try:
        return file.stat().st_mtime_ns if file is not None else None
    except OSError:
        return None


def _sweep_later() -> None:
    global _sweeper
    with _guard:
        if _sweeper is None:
            _sweeper = threading.Timer(_IDLE, _sweep)
            _sweeper.daemon = True
            _sweeper.start()


def _sweep() -> None:
    global _sweeper
    with _guard:
        _sweeper = None
        pools = list(_pools.values())
    if any([one.sweep() for one in pools]):
        _sweep_later()


def close_all() -> None:
    """Close every connection that waits for another call."""
    for one in list(_pools.values()):
        one.sweep(all_of_them=True)


def _forget() -> None:
    """In a forked child: the connections are the parent's, and so are locks that a thread may have held."""
    global _guard, _sweeper
    for one in _pools.values():
        for connection in one._kept:
            connection.close()  # our copy only: the parent's stays open
    _pools.clear()
    _guard, _sweeper = threading.Lock(), None


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _seconds(keep_alive: str) -> float:
    """How long a server says it keeps a connection (``timeout=5, max=100``), less what the way may take."""
    for part in keep_alive.split(","):
        name, _, value = part.partition("=")
        if name.strip().lower() == "timeout" and value.strip().isdecimal() and value.isascii():
            return 0.8 * min(int(value), 3600)
    return _IDLE


@contextlib.contextmanager
def sentences(archive: ArchiveConfig, clock: Clock) -> Iterator[None]:
    """Turn whatever sockets, TLS and HTTP raise into an error that says what happened and what to do."""
    try:
        yield
    except Spent:
        raise late(archive, clock) from None
    except (OSError, HTTPException, UnicodeError) as error:  # UnicodeError: a name that no DNS can hold
        raise _failure(error, archive, clock) from None


def late(archive: ArchiveConfig, clock: Clock) -> ConnectionFailed:
    """The sentence for a budget that ended first."""
    todo = "Call again to go on from there, or allow more with budget=." if _echoes(archive) else "Raise timeout."
    return ConnectionFailed(f"{archive.name} was still answering when {clock.budget} had passed. {todo}")


def broken(archive: ArchiveConfig) -> ConnectionFailed:
    """The sentence for an answer that ended before it was whole."""
    todo = f"run: qa-fetch echo {archive.name}" if _echoes(archive) else "look into its log"
    return ConnectionFailed(
        f"{archive.name} broke off in the middle of its answer. Call again; if it does so again, {todo}."
    )


def _echoes(archive: ArchiveConfig) -> bool:
    """Whether it is an archive, which ``qa-fetch echo`` can test, and not another server."""
    return archive.kind in KINDS


def _failure(error: Exception, archive: ArchiveConfig, clock: Clock) -> QAFetchError:
    parts = urlsplit(archive["url"])
    place = f"{parts.hostname} port {parts.port or (443 if parts.scheme == 'https' else 80)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, archive)
    if isinstance(error, (socket.timeout, TimeoutError)):  # two classes before Python 3.10
        if clock.budget.spent:
            return late(archive, clock)
        find_out = f"; to find out, run: qa-fetch echo {archive.name}" if _echoes(archive) else ""
        return ConnectionFailed(
            f"{archive.name} ({place}) has not answered within {clock.timeout:g} s. "
            f"Check that it runs, or raise timeout{find_out}."
        )
    if isinstance(error, ssl.SSLError):
        return ConnectionFailed(
            f"{archive.name} ({place}) and this host do not agree on TLS. "
            "Check that url should begin with https, and whether it wants certificate_file and key_file.",
            retriable=False,
        )
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return ConnectionFailed(
            f"the name {parts.hostname} of {archive.name} is unknown. Correct url, or ask whoever runs the DNS."
        )
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailed(
            f"nothing listens on {place}, where {archive.name} should be. Start it, or correct url."
        )
    if isinstance(error, (ConnectionError, io.UnsupportedOperation)):
        return broken(archive)
    if isinstance(error, LineTooLong) or str(error).startswith("got more than"):
        return BadArchive(f"{archive.name} sent headers without end, so its answer is not used. Check url.")
    if isinstance(error, HTTPException):
        return ConnectionFailed(
            f"what listens on {place} does not speak HTTP as it should. Check url of {archive.name}.", retriable=False
        )
    return ConnectionFailed(
        f"{archive.name} ({place}) cannot be reached: {getattr(error, 'strerror', None) or 'unknown reason'}. "
        "Check url, network and firewall."
    )


def _untrusted(error: ssl.SSLCertVerificationError, archive: ArchiveConfig) -> ConnectionFailed:
    host = urlsplit(archive["url"]).hostname
    code, text = error.verify_code, error.verify_message.lower()
    if code in (18, 19, 20, 21):  # self-signed; self-signed in its chain; issuer not known; first not verified
        told = "is signed by nobody whom this host trusts. Set ca_file to the certificate of its authority (PEM)"
    elif code == 10:
        told = "has expired. Ask its administrator for a new one"
    elif code in (62, 64) or "mismatch" in text:
        told = f"is not for {host}. Write the name that it is for in url"
    else:
        told = "cannot be trusted. Ask its administrator for a valid one"
    return ConnectionFailed(f"the certificate of {archive.name} {told}.", retriable=False)
