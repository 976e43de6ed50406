"""What the node bears: associations, callers, large objects, large PDUs, silence; who comes after is served."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

import node_client as client
import node_objects as objects
import pytest
from peers.wire import Association, Gone

from qa_fetch.node import Bounds, NodeOptions, NodeProcess

LOOPBACK = "127.0.0.1"


def limited(tmp_path: Path, **bounds: object) -> NodeProcess:
    """A node with these bounds."""
    return NodeProcess(NodeOptions(tmp_path / "node", port=0, bounds=Bounds(**bounds)))  # type: ignore[arg-type]


def opened(node: NodeProcess) -> Association:
    """An association for C-ECHO."""
    return Association.request((LOOPBACK, node.port), "QA_NODE", "TESTER", [client.VERIFICATION])


def is_served(node: NodeProcess) -> bool:
    """Whether somebody is let in, as soon as the last one has really gone."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            opened(node).release()
            return True
        except Gone:
            time.sleep(0.02)
    return False


@pytest.mark.parametrize("bounds", [{"associations": 3}, {"per_caller": 3}], ids=["in all", "from one address"])
def test_no_more_associations_than_allowed(tmp_path: Path, bounds: dict[str, int]) -> None:
    """One more is rejected as "local limit exceeded", and let in when another one has ended."""
    with limited(tmp_path, **bounds) as node, ExitStack() as stack:
        some = [opened(node) for _ in range(3)]
        for each in some:
            stack.callback(each.close)
        assert client.rejection(node.port) == (2, 3, 2)
        some[0].release()
        assert is_served(node)


def test_connections_that_ask_for_nothing_take_nobodys_place(tmp_path: Path) -> None:
    """They are closed after a while."""
    with limited(tmp_path, associations=4, negotiation=0.5) as node, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((LOOPBACK, node.port))) for _ in range(5)]
        assert is_served(node)
        for each in silent:
            each.settimeout(10)
            assert each.recv(1) == b""


def test_an_association_that_is_silent_is_ended(tmp_path: Path) -> None:
    """It is aborted; one that speaks stays."""
    with limited(tmp_path, idle=1.0) as node:
        silent, speaking = opened(node), opened(node)
        for number in range(8):
            command = {"AffectedSOPClassUID": client.VERIFICATION, "CommandField": 0x0030, "MessageID": number + 1}
            speaking.send(1, command)
            assert int(speaking.read().command.Status) == 0
            time.sleep(0.25)
        with pytest.raises(Gone):
            silent.read()
        speaking.release()
        silent.close()


def test_an_object_that_is_too_large_is_refused_as_it_comes(tmp_path: Path) -> None:
    """With 0xA700; it leaves nothing behind, and the association goes on."""
    large = objects.image(number=1, PixelData=bytes(3 << 20))
    with limited(tmp_path, object_megabytes=2) as node:
        assert client.store(node.port, large, objects.image(number=2)) == [0xA700, 0]
        assert list((tmp_path / "node/incoming").iterdir()) == []
        (kept,) = (tmp_path / "node/objects").glob("*/*.dcm")
        assert kept.stem == objects.uid(1, 1, 2, 2)


def test_a_larger_pdu_than_the_node_announces_ends_the_association(tmp_path: Path) -> None:
    """Its announcement is a bound: a peer that sends more is aborted before it has sent it."""
    with limited(tmp_path, pdu_kilobytes=64) as node:
        with client.association(node.port, [(client.VERIFICATION, client.PLAIN)]) as one:
            assert one.acceptor.maximum_length == 64 << 10
        large = Association.request((LOOPBACK, node.port), "QA_NODE", "TESTER", [client.VERIFICATION])
        try:
            large._write(struct.pack(">BxL", 4, (64 << 10) + 1) + bytes(16))
            with pytest.raises(Gone):
                large.read()
        finally:
            large.close()
        assert is_served(node)
        assert client.store(node.port, objects.image(number=1, PixelData=bytes(1 << 20))) == [0]
