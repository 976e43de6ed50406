"""What pynetdicom leaves open in its reactor thread and its sockets, for archives and node alike."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Optional

from pynetdicom import evt


class Checkpoint:
    """The gate at which pynetdicom's reactor thread waits, which also knows whether it really is waiting.

    It stands in for a ``threading.Event``. pynetdicom looks at a flag that can be a moment old; its reactor then takes
    an answer that was meant for the caller, and a match is lost while the status says Success.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = True
        self._parked = False

    def is_set(self) -> bool:
        """Whether the reactor may pass."""
        return self._open

    def set(self) -> None:
        """Let the reactor go on."""
        with self._changed:
            self._open, self._parked = True, False
            self._changed.notify_all()

    def clear(self) -> None:
        """Stop the reactor when it next comes by."""
        with self._changed:
            self._open = False

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Called by the reactor: wait here while the gate is closed."""
        with self._changed:
            while not self._open:
                self._parked = True
                self._changed.notify_all()
                if not self._changed.wait(timeout) and timeout is not None:
                    break
            self._parked = False
            return self._open

    @classmethod
    def install(cls, event: Any) -> None:
        """Put a gate into an association that has just been connected (a handler of EVT_CONN_OPEN)."""
        event.assoc._reactor_checkpoint = cls()

    def until_parked(self, timeout: float) -> bool:
        """Called by us after ``clear``: wait until the reactor stands at the gate."""
        with self._changed:
            return self._changed.wait_for(lambda: self._parked, timeout)


class Sockets:
    """The TCP connections of pynetdicom's associations: prompt while they are open, closed when they are over."""

    def __init__(self) -> None:
        self._open: dict[Any, socket.socket] = {}

    @property
    def handlers(self) -> list[Any]:
        """To be given to pynetdicom."""
        return [(evt.EVT_CONN_OPEN, self._opened), (evt.EVT_DATA_SENT, self._sent)]

    def _opened(self, event: Any) -> None:
        """Small messages leave at once; pynetdicom never sets this, and each message then waits 40 ms for an ACK."""
        self.close(only_dead=True)
        connection = event.assoc.dul.socket.socket
        self._open[event.assoc] = connection
        _set_option(connection, socket.TCP_NODELAY)

    def _sent(self, event: Any) -> None:
        """Acknowledge at once, so that a peer with Nagle on need not wait either; Linux forgets it after each use."""
        if _QUICKACK is not None and event.assoc in self._open:
            _set_option(self._open[event.assoc], _QUICKACK)

    def be_patient(self, association: Any, seconds: float) -> None:
        """Let one receive or send take no longer than this: pynetdicom waits for the rest of a PDU for ever."""
        if association in self._open:
            with contextlib.suppress(OSError):  # it has just ended; asking will say so
                self._open[association].settimeout(seconds)

    def hang_up(self) -> None:
        """Wake the threads that wait for a peer which has stopped in the middle of something."""
        for connection in list(self._open.values()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self, *, only_dead: bool = False) -> None:
        """Close what pynetdicom leaves open when a peer resets the connection."""
        for association in list(self._open):
            if not only_dead or _is_over(association):
                connection = self._open.pop(association, None)
                if connection is not None:  # else another thread was faster
                    connection.close()


def _is_over(thread: threading.Thread) -> bool:
    """Whether a thread has run and ended; not so one that is just beginning.

    ``is_alive()`` does not tell: it is still False for a moment after a new thread got its identity, while
    ``enumerate()`` knows a thread from its ``start()`` to its end.
    """
    return thread.ident is not None and thread not in threading.enumerate()


def _set_option(connection: socket.socket, option: int) -> None:
    with contextlib.suppress(OSError):  # the peer has just gone; reading will say so
        connection.setsockopt(socket.IPPROTO_TCP, option, 1)


_QUICKACK: Optional[int] = getattr(socket, "TCP_QUICKACK", None)
