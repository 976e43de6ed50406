"""The node behind TLS: with and without certificates of its callers, and when it calls a peer itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from test_tls import Pki, turned_away

from qa_fetch import Archive, ConfigError
from qa_fetch.node import Certificates, NodeOptions, NodeProcess, Peer


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, made once."""
    try:
        return Pki(tmp_path_factory.mktemp("pki"))
    except Missing as missing:
        skip_or_fail(missing)


def certificates(pki: Pki, *, demands: bool = False) -> Certificates:
    """Those of a server, that may want some of its callers."""
    return Certificates(*pki.server, pki.authority.certificate if demands else None)


def encrypted(node: NodeProcess, pki: Pki, **fields: Any) -> Archive:
    """The node as an archive behind TLS."""
    return Archive(
        node.address, **{"tls": True, "ca_file": pki.authority.certificate, "local_port": free_port(), **fields}
    )


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """One plan."""
    yield objects.file(tmp_path, objects.plan())


def test_objects_come_and_go_encrypted(pki: Pki, tmp_path: Path, file: Path) -> None:
    """Stored, vouched for, found and fetched; who speaks plain DICOM is turned away."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, tls=certificates(pki))) as node:
        archive = encrypted(node, pki)
        assert [sent.problem for sent in archive.send(file, commit=True)] == [""]
        assert [plan.label for plan in archive.plans("QA1")] == ["WL_6X"]
        assert archive.fetch(series=objects.uid(1, 1, 1)).dataset.RTPlanLabel == "WL_6X"
        with client.association(node.port, [(client.VERIFICATION, client.PLAIN)]) as plain:
            assert not plain.is_established
        assert turned_away(node.port)


def test_callers_have_to_show_a_certificate_where_an_authority_is_named(pki: Pki, tmp_path: Path, file: Path) -> None:
    """One of that authority, and not of another."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, tls=certificates(pki, demands=True))) as node:
        ours = {"certificate_file": pki.client.certificate, "key_file": pki.client.key}
        assert [sent.problem for sent in encrypted(node, pki, **ours).send(file)] == [""]
        assert turned_away(node.port, pki.calling()) and turned_away(node.port, pki.calling(pki.stranger))


@pytest.mark.parametrize("demands", [False, True], ids=["any caller", "callers with a certificate"])
def test_what_is_sent_to_a_peer_is_encrypted_where_its_entry_says_so(
    pki: Pki, tmp_path: Path, file: Path, demands: bool
) -> None:
    """A C-MOVE between two nodes; a peer whose entry does not say so gets nothing."""
    with NodeProcess(NodeOptions(tmp_path / "to", "TO", port=0, tls=certificates(pki, demands=demands))) as to:
        peers = {"TO": Peer(LOOPBACK, to.port, tls=True), "PLAIN": Peer(LOOPBACK, to.port)}
        ours = Certificates(*pki.client, pki.authority.certificate)
        with NodeProcess(NodeOptions(tmp_path / "from", port=0, peers=peers, tls=ours)) as node:
            more = {"certificate_file": pki.client.certificate, "key_file": pki.client.key}
            archive = Archive(
                f"dimse://QA_NODE@{LOOPBACK}:{node.port}",
                **{"tls": True, "ca_file": pki.authority.certificate, **more},
            )
            archive.send(file)
            (moved,) = archive.move("TO", study=objects.uid(1, 1))
            assert (moved.sent, moved.objects, moved.status) == (1, 1, 0x0000)
            with pytest.raises(Exception, match="could not send the objects to PLAIN"):
                archive.move("PLAIN", study=objects.uid(1, 1))
        assert len(list((tmp_path / "to/objects").glob("*/*.dcm"))) == 1


def test_a_word_on_a_commitment_is_encrypted_too(pki: Pki, tmp_path: Path, file: Path) -> None:
    """The requestor is called back at its own port, which is encrypted."""
    from peers.wire import Association
    from test_node_commitment import asked, wanted

    from qa_fetch.backends import Local, receiver
    from qa_fetch.backends.commitment import SERVICE, Arrived

    arrived, back = Arrived(), free_port()
    local = Local("REQUESTER", LOOPBACK, back, tmp_path, "own", *pki.server)
    running = receiver.start(local, lambda *_: None, arrived.add)
    try:
        options = NodeOptions(
            tmp_path / "node",
            port=0,
            peers={"REQUESTER": Peer(LOOPBACK, back, tls=True)},
            tls=Certificates(ca_file=None),
        )
        with_authority = NodeOptions(
            tmp_path / "node", port=0, peers=options.peers, tls=certificates(pki, demands=True)
        )
        with NodeProcess(with_authority) as node:
            from test_pool import Tunnel

            with Tunnel(node.port, dial=pki.calling(pki.client)) as tunnel:
                association = Association.request((LOOPBACK, tunnel.port), "QA_NODE", "REQUESTER", [SERVICE])
                assert asked(association, wanted(objects.plan()), "1.2.7") == 0
                association.release()
                outcome = arrived.wait("1.2.7", 20)
        assert outcome is not None and outcome.failed == {objects.uid(1, 1, 1, 1): 0x0112}
    finally:
        running.close()


def test_a_peer_of_the_white_list_is_called_encrypted(
    pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the commands too, with the certificates of the node in whose name they call."""
    from commands import Ran

    from qa_fetch.node.scaffold import init, white_list_toml

    files = {
        "certificate_file": pki.client.certificate,
        "key_file": pki.client.key,
        "ca_file": pki.authority.certificate,
    }
    init(tmp_path / "mine", {f"tls.{name}": file for name, file in files.items()})
    with NodeProcess(NodeOptions(tmp_path / "to", "TO", port=0, tls=certificates(pki, demands=True))) as to:
        listed = white_list_toml({"TO": {"host": LOOPBACK, "port": to.port, "tls": True}})
        (tmp_path / "mine/white_list.toml").write_text(listed, "utf-8")
        ran = Ran(capsys, ("echo", "TO", "--node", tmp_path / "mine", "--json"))
        assert (ran.code, {step["name"]: step["works"] for step in ran.json["steps"]}) == (
            0,
            {"name": True, "port": True, "association": True, "echo": True, "query": True, "retrieve": True},
        )


def test_certificates_that_cannot_be_used_are_named(pki: Pki, tmp_path: Path) -> None:
    """At the start, not with the first caller."""
    with pytest.raises(ConfigError) as caught:
        NodeProcess(
            NodeOptions(tmp_path / "node", port=0, tls=Certificates(pki.server.certificate, pki.client.key))
        ).start()
    assert str(caught.value).startswith("[tls]: a certificate cannot be read (")
    with pytest.raises(ConfigError) as caught:
        NodeProcess(NodeOptions(tmp_path / "node", port=0, tls=Certificates(key_file=pki.client.key))).start()
    assert str(caught.value) == (
        "[tls] has ca_file or key_file but no certificate_file, without which nothing is encrypted. "
        "Add it, or leave them out."
    )
