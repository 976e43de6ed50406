"""Bytes to and from one peer: a connected socket with a buffer that is used again and again."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Optional, Union

from ...budget import Budget

Piece = Union[bytes, bytearray, memoryview]

_BUFFER = 1 << 20
_PIECES_AT_ONCE = 256
_PROMPT_AT_FIRST = 64  # small receives of a new connection: the questions before a transfer are never held back
_SMALL = 1 << 15
_HELD_BACK = 0.03  # seconds; a delayed acknowledgement takes 40 ms
_TIMEVAL = struct.Struct("@ll")
_QUICKACK: Optional[int] = getattr(socket, "TCP_QUICKACK", None)


class Lost(Exception):
    """The association is over; the text says why, without anything that the peer sent."""


class Violation(Lost):
    """The peer sent what no DICOM peer may send."""


class Silent(Lost):
    """The peer sent nothing, or took nothing, for too long."""


class Aborted(Lost):
    """The peer aborted the association."""


class Released(Lost):
    """The peer asked to end the association in good order, and was told yes."""


class Channel:
    """A connected socket: prompt, buffered, and never waiting longer than it is told to.

    Parameters
    ----------
    connection
        The socket, which belongs to the channel from now on.
    patience
        Seconds that the peer may be silent.
    """

    def __init__(self, connection: socket.socket, patience: float) -> None:
        self._socket: Optional[socket.socket] = connection
        self._encrypted = isinstance(connection, ssl.SSLSocket)
        self._timeout = -1.0  # what the socket was told last: telling it costs as much as a small message
        self._buffer = bytearray(_BUFFER)
        self.view = memoryview(self._buffer)
        self.start = self.end = 0  # what has been received and not yet been read
        self._small = 0  # receives of little
        self._prompt = False
        self.patience = patience
        self.budget: Optional[Budget] = None
        # Small messages leave at once; with Nagle's algorithm on, each would wait 40 ms for the last one's ACK.
        self._option(socket.TCP_NODELAY)

    def _option(self, option: int) -> None:
        with contextlib.suppress(OSError):  # the peer has just gone; reading will say so
            self._connected.setsockopt(socket.IPPROTO_TCP, option, 1)

    @property
    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise Lost("the connection is closed")
        return self._socket

    @property
    def open(self) -> bool:
        """Whether it can still be used, as far as this side knows."""
        return self._socket is not None

    def _ready(self) -> socket.socket:
        """The socket, told how long the next step may take."""
        connection = self._connected
        seconds = self.patience if self.budget is None else max(0.001, self.budget.at_most(self.patience))
        if seconds != self._timeout:
            self._set_timeout(connection, seconds)
            self._timeout = seconds
        return connection

    def _set_timeout(self, connection: socket.socket, seconds: float) -> None:
        """Leave the waiting to the system where it can: Python would ask it twice for each message."""
        if self._encrypted or os.name == "nt":
            connection.settimeout(seconds)
            return
        if self._timeout < 0:
            connection.settimeout(None)
        whole, part = divmod(int(seconds * 1e6), 1_000_000)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(whole, part or not whole))

    def fill(self, needed: int) -> None:
        """Receive until at least ``needed`` unread bytes are in the buffer; views into it are void afterwards."""
        left = self.end - self.start
        if left >= needed:
            return
        if left:
            self._buffer[:left] = self._buffer[self.start : self.end]
        self.start, self.end = 0, left
        while self.end < needed:
            try:
                count = self._receive()
            except (BlockingIOError, TimeoutError, socket.timeout):
                raise Silent("it was silent for too long") from None
            except (OSError, ValueError) as error:
                raise Lost(f"its connection broke ({type(error).__name__})") from None
            if not count:
                raise Lost("it closed the connection")
            self.end += count

    def _receive(self) -> int:
        """Receive what there is, in a way that keeps no peer waiting for our acknowledgement.

        A peer with Nagle on holds back the rest of a message until the beginning is acknowledged, which Linux puts off
        by 40 ms unless it is told not to. It forgets that with whatever is sent, and a large object is still being sent
        when ``send`` has returned, so it is told before each receive: a system call and a packet more for each. Hence
        this ends after a while where messages are small, until the peer makes us wait as long as one does that holds
        back.
        """
        if _QUICKACK is None:
            return self._ready().recv_into(self.view[self.end :])
        if self._prompt or self._small <= _PROMPT_AT_FIRST:
            self._option(_QUICKACK)
            count = self._ready().recv_into(self.view[self.end :])
            self._small += count < _SMALL
            return count
        before = time.perf_counter()
        count = self._ready().recv_into(self.view[self.end :])
        self._prompt = _HELD_BACK < time.perf_counter() - before
        return count

    def send(self, pieces: Sequence[Piece]) -> None:
        """Send all pieces, in few system calls and without copying them."""
        try:
            if self._encrypted or not hasattr(socket.socket, "sendmsg"):  # Windows has no sendmsg
                self._ready().sendall(b"".join(pieces))
            else:
                for first in range(0, len(pieces), _PIECES_AT_ONCE):
                    self._send_some(pieces[first : first + _PIECES_AT_ONCE])
        except (BlockingIOError, TimeoutError, socket.timeout):
            raise Silent("it took nothing for too long") from None
        except (OSError, ValueError) as error:
            raise Lost(f"its connection broke ({type(error).__name__})") from None

    def _send_some(self, pieces: Sequence[Piece]) -> None:
        sent = self._ready().sendmsg(pieces)
        for piece in pieces:
            if sent >= len(piece):
                sent -= len(piece)
            else:
                self._ready().sendall(memoryview(piece)[sent:])
                sent = 0

    def waiting(self) -> bool:
        """Whether the peer has sent something that was not read yet, or has gone."""
        if self.start < self.end:
            return True
        connection = self._connected
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        if hasattr(select, "poll"):  # select() takes no descriptor above 1023
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([connection], [], [], 0)[0])

    def hang_up(self) -> None:
        """Wake whoever reads from this connection in another thread; it then finds it lost."""
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()
