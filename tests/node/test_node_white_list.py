"""Who may ask the node for what: by AE title, by address, by network, and service by service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest

from qa_fetch.node import NodeOptions, NodeProcess, Peer

LOOPBACK = "127.0.0.1"
CONTEXTS = [
    (client.VERIFICATION, client.PLAIN),
    (objects.RTPLAN, client.PLAIN),
    (client.FIND["study"], client.PLAIN),
    (client.MOVE["study"], client.PLAIN),
    (client.GET["study"], client.PLAIN),
    ("1.2.840.10008.1.20.1", client.PLAIN),
]
NAMES = ("echo", "store", "find", "move", "get", "commit")


def offered(port: int, calling: str) -> tuple[str, ...]:
    """What a caller is offered; nothing for who is not let in."""
    if client.rejection(port, calling=calling):
        return ()
    with client.association(port, CONTEXTS, calling=calling) as opened:
        accepted = {context.abstract_syntax for context in opened.accepted_contexts}
    return tuple(name for name, (uid, _) in zip(NAMES, CONTEXTS) if uid in accepted)


@pytest.mark.parametrize(
    ("peer", "inside"),
    [
        (Peer(LOOPBACK), True),
        (Peer("localhost"), True),
        (Peer("10.1.2.3"), False),
        (Peer(source=LOOPBACK), True),
        (Peer(source="127.0.0.0/8"), True),
        (Peer(source="10.0.0.0/8"), False),
        (Peer("10.1.2.3", 104, source="127.0.0.0/30"), True),
        (Peer(LOOPBACK, 104, source="10.0.0.0/8"), False),
        (Peer(source="::1"), False),
        (Peer("no-such-host.invalid"), False),
        (Peer(), True),
    ],
    ids=repr,
)
def test_a_peer_is_known_by_its_title_and_its_address(peer: Peer, inside: bool) -> None:
    """A source goes before a host; a peer with neither comes from anywhere."""
    from qa_fetch.node.white_list import WhiteList

    white_list = WhiteList(NodeOptions("data", strangers=(), peers={"KNOWN": peer}))  # type: ignore[arg-type]
    assert bool(white_list.services_for("KNOWN", LOOPBACK)) == inside
    assert bool(white_list.services_for("KNOWN ", "::ffff:127.0.0.1")) == inside
    assert white_list.services_for("known", LOOPBACK) == frozenset()
    assert white_list.services_for("OTHER", LOOPBACK) == frozenset()


def test_strangers_and_peers_from_elsewhere_are_rejected_at_the_association(tmp_path: Path) -> None:
    """Before anything can be asked; the log says so without a patient."""
    peers = {"HERE": Peer(LOOPBACK), "NETWORK": Peer(source="127.0.0.0/8"), "ELSEWHERE": Peer(source="10.0.0.0/8")}
    options = NodeOptions(tmp_path / "node", port=0, strangers=(), peers=peers, log=tmp_path / "node.log")
    with NodeProcess(options) as node:
        assert offered(node.port, "HERE") == offered(node.port, "NETWORK") == NAMES
        assert offered(node.port, "ELSEWHERE") == offered(node.port, "STRANGER") == ()
    assert "a peer called from another address than the one it is known by" in (tmp_path / "node.log").read_text()


def test_each_service_is_offered_by_itself(tmp_path: Path) -> None:
    """To a peer what its entry names, to strangers what they may, to nobody what the node does not offer."""
    peers = {name.upper(): Peer(services=(name,)) for name in NAMES}
    options = NodeOptions(tmp_path / "node", port=0, strangers=("echo", "find"), peers=peers)
    with NodeProcess(options) as node:
        for name in NAMES:
            # Storage classes are also accepted from who may have them sent back by C-GET.
            assert offered(node.port, name.upper()) == (("store", "get") if name == "get" else (name,))
        assert offered(node.port, "STRANGER") == ("echo", "find")
    with NodeProcess(NodeOptions(tmp_path / "other", port=0, services=("echo", "store"), peers=peers)) as node:
        assert [offered(node.port, name.upper()) for name in ("echo", "find")] == [("echo",), ()]


@pytest.mark.parametrize("services", [("get",), ("get", "find")])
def test_who_may_only_get_cannot_store(tmp_path: Path, services: tuple[str, ...]) -> None:
    """Its storage contexts are for what is sent back to it."""
    options = NodeOptions(tmp_path / "node", port=0, strangers=(), peers={"READER": Peer(services=services)})
    with NodeProcess(options) as node:
        assert client.store(node.port, objects.plan(), calling="READER") == [0x0124]


def test_a_move_goes_only_to_peers_with_an_address(tmp_path: Path) -> None:
    """The others are unknown destinations, whoever asks."""
    peers: dict[str, Any] = {"NOWHERE": Peer(LOOPBACK)}
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, peers=peers)) as node:
        assert client.store(node.port, objects.plan()) == [0]
        for destination in ("NOWHERE", "STRANGER"):
            assert (
                client.move(node.port, "STUDY", {"StudyInstanceUID": objects.uid(1, 1)}, destination).status == 0xA801
            )
