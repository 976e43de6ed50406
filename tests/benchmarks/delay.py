"""A proxy on loopback that adds a round trip: half of it in each direction, any bandwidth, any number of connections.

Bytes wait in a queue with the moment when they are due, so that as many as wish are under way at once. The handshake
of TCP is not delayed: each connection costs one round trip less than in a real network.
"""

from __future__ import annotations

import queue
import socket
import statistics
import threading
import time
from contextlib import suppress
from pathlib import Path

from .jobs import serve
from .workers import Worker

_LOOPBACK = "127.0.0.1"
_Parcel = tuple[float, bytes]


def _read(source: socket.socket, waiting: queue.SimpleQueue[_Parcel], seconds: float) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 20):
            waiting.put((time.monotonic() + seconds, data))
    waiting.put((time.monotonic() + seconds, b""))


def _write(target: socket.socket, waiting: queue.SimpleQueue[_Parcel]) -> None:
    with suppress(OSError):
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)


def _join(near: socket.socket, far: socket.socket, seconds: float) -> None:
    threads = []
    for source, target in ((near, far), (far, near)):
        waiting: queue.SimpleQueue[_Parcel] = queue.SimpleQueue()
        threads.append(threading.Thread(target=_read, args=(source, waiting, seconds), daemon=True))
        threads.append(threading.Thread(target=_write, args=(target, waiting), daemon=True))
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    near.close()
    far.close()


def _accept(listener: socket.socket, port: int, seconds: float) -> None:
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection((_LOOPBACK, port))
        except OSError:
            near.close()
            continue
        threading.Thread(target=_join, args=(near, far, seconds), daemon=True).start()


def open_to(port: int, round_trip: float) -> int:
    """The port of a new proxy to a port of loopback."""
    listener = socket.create_server((_LOOPBACK, 0), backlog=64)
    threading.Thread(target=_accept, args=(listener, port, round_trip / 2), daemon=True).start()
    return int(listener.getsockname()[1])


def measured_round_trip(proxy: Worker, round_trip: float) -> float:
    """What a byte there and back really takes through a proxy."""
    listener = socket.create_server((_LOOPBACK, 0))

    def answer() -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while data := connection.recv(1):
                connection.sendall(data)

    threading.Thread(target=answer, daemon=True).start()
    port = proxy("open_to", port=listener.getsockname()[1], round_trip=round_trip)
    taken = []
    with listener, socket.create_connection((_LOOPBACK, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(20):
            begun = time.perf_counter()
            connection.sendall(b".")
            connection.recv(1)
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def start(scratch: Path) -> Worker:
    """A process of its own for proxies."""
    return Worker("delay", scratch)


if __name__ == "__main__":
    serve({"open_to": open_to})
