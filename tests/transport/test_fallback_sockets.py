"""Connections of pynetdicom's associations: closed when these are over, and never while they begin."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from qa_fetch.backends.reactor import Sockets


class SlowToBegin(threading.Event):
    """Holds a new thread between getting its identity and being alive, where other threads may find it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def set(self) -> None:
        self.reached.set()
        self.go_on.wait(10)
        super().set()


@pytest.fixture
def connections() -> Iterator[list[socket.socket]]:
    made = [socket.socket() for _ in range(2)]
    yield made
    for connection in made:
        connection.close()


def opened(association: Any, connection: socket.socket) -> Any:
    """What pynetdicom tells of a new connection."""
    wrapped = SimpleNamespace(socket=connection)
    association.dul = SimpleNamespace(socket=wrapped)
    return SimpleNamespace(assoc=association)


def test_a_connection_whose_thread_is_just_beginning_stays_open(connections: list[socket.socket]) -> None:
    """Many peers at once: one's connection is no remains of another's, though its thread is not alive yet."""
    sockets, begins = Sockets(), SlowToBegin()
    association = threading.Thread(target=lambda: None)
    association._started = begins  # type: ignore[attr-defined]
    sockets._opened(opened(association, connections[0]))
    starting = threading.Thread(target=association.start)
    starting.start()
    try:
        assert begins.reached.wait(10)
        assert association.ident is not None
        assert not association.is_alive()
        sockets._opened(opened(threading.Thread(), connections[1]))
        assert connections[0].fileno() != -1
    finally:
        begins.go_on.set()
        starting.join(10)
        association.join(10)


def test_a_connection_whose_thread_has_ended_is_closed_when_the_next_one_opens(
    connections: list[socket.socket],
) -> None:
    """pynetdicom leaves it open when its peer reset it."""
    sockets = Sockets()
    association = threading.Thread(target=lambda: None)
    sockets._opened(opened(association, connections[0]))
    association.start()
    association.join(10)
    sockets._opened(opened(threading.Thread(), connections[1]))
    assert connections[0].fileno() == -1
    assert connections[1].fileno() != -1
