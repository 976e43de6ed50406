"""Storage commitment: the node vouches for what it has, and says so wherever its peer wants to hear it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from peers.wire import Association, decode
from pydicom.dataset import Dataset

from qa_fetch import Archive, part10
from qa_fetch.backends import Local, receiver
from qa_fetch.backends.commitment import INSTANCE, SERVICE, Arrived, Committed, Outcome, request
from qa_fetch.node import Bounds, NodeOptions, NodeProcess, Peer

N_ACTION, N_EVENT_REPORT = 0x0130, 0x0100
TITLE = "REQUESTER"


@pytest.fixture(scope="module")
def back() -> int:
    """Where the requestor is called back."""
    return free_port()


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory, back: int) -> Iterator[NodeProcess]:
    """A node that holds the library, and knows where to call the requestor back."""
    folder = tmp_path_factory.mktemp("keeper")
    peers = {TITLE: Peer(LOOPBACK, back)}
    options = NodeOptions(folder / "node", port=0, peers=peers, bounds=Bounds(idle=20), log=folder / "node.log")
    with NodeProcess(options) as running:
        assert set(client.store(running.port, *objects.content())) == {0}
        yield running


def wanted(*datasets: Dataset) -> list[Committed]:
    """The objects that are asked for."""
    return [Committed(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in datasets]


def opened(node: NodeProcess, calling: str = "NOBODY") -> Association:
    """An association for the service, as somebody whom the node cannot call back unless that is said."""
    return Association.request((LOOPBACK, node.port), "QA_NODE", calling, [SERVICE])


def ask(association: Association, data: bytes, **instead: Any) -> int:
    """Send an N-ACTION; the status of its answer."""
    command = {
        "RequestedSOPClassUID": SERVICE,
        "CommandField": N_ACTION,
        "MessageID": association.next_message(),
        "RequestedSOPInstanceUID": INSTANCE,
        "ActionTypeID": 1,
        **instead,
    }
    association.send(1, command, data)
    answer = association.read().command
    assert (int(answer.CommandField), answer.AffectedSOPInstanceUID) == (N_ACTION | 0x8000, INSTANCE)
    return int(answer.Status)


def asked(association: Association, objects_: Sequence[Committed], transaction: str = "1.2.3") -> int:
    """The same for objects."""
    return ask(association, request(transaction, objects_, association.contexts[1].accepted))


def report_of(association: Association) -> tuple[int, list[str], dict[str, int]]:
    """Read an N-EVENT-REPORT and acknowledge it: its type, what is kept, and what is not."""
    message = association.read()
    assert int(message.command.CommandField) == N_EVENT_REPORT
    answer = {
        "AffectedSOPClassUID": SERVICE,
        "CommandField": N_EVENT_REPORT | 0x8000,
        "MessageIDBeingRespondedTo": message.command.MessageID,
        "Status": 0,
        "AffectedSOPInstanceUID": INSTANCE,
    }
    association.send(message.context, answer)
    dataset = decode(message.data, association.contexts[message.context].accepted)
    assert dataset.TransactionUID == "1.2.3"
    kept = [str(item.ReferencedSOPInstanceUID) for item in dataset.get("ReferencedSOPSequence", [])]
    failed = dataset.get("FailedSOPSequence", [])
    return (
        int(message.command.EventTypeID),
        kept,
        {str(item.ReferencedSOPInstanceUID): int(item.FailureReason) for item in failed},
    )


@contextlib.contextmanager
def called_back(port: int, tmp_path: Path) -> Iterator[Arrived]:
    """The requestor's own port, and the reports that come to it."""
    arrived = Arrived()
    running = receiver.start(Local(TITLE, LOOPBACK, port, tmp_path), lambda *_: None, arrived.add)
    try:
        yield arrived
    finally:
        running.close()


# --- our own client, and Orthanc


def test_our_own_client_gets_the_word_of_the_node(keeper: NodeProcess, tmp_path: Path) -> None:
    """Over the association that asks, since the node knows no way to call it."""
    files = [objects.file(tmp_path, each) for each in objects.content()]
    sent = Archive(keeper.address, local_port=free_port()).send(files, commit=True)
    assert [one.problem for one in sent] == [""] * len(files)


def test_a_changed_file_is_not_vouched_for(tmp_path: Path) -> None:
    """Its row in the index is not enough."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0)) as node:
        files = [objects.file(tmp_path, each) for each in objects.content()[:2]]
        archive = Archive(node.address, local_port=free_port())
        archive.send(files)
        cut, gone = sorted((tmp_path / "node/objects").glob("*/*.dcm"))
        cut.write_bytes(cut.read_bytes()[:-2])
        with opened_as_requestor(node) as association:
            assert asked(association, wanted(*objects.content()[:2])) == 0
            assert report_of(association)[::2] == (2, {cut.stem: 0x0110})
        gone.unlink()
        with opened_as_requestor(node) as association:
            assert asked(association, wanted(*objects.content()[:2])) == 0
            assert report_of(association)[::2] == (2, {cut.stem: 0x0110, gone.stem: 0x0110})


@contextlib.contextmanager
def opened_as_requestor(node: NodeProcess, calling: str = "NOBODY") -> Iterator[Association]:
    """The same as a block."""
    association = opened(node, calling)
    try:
        yield association
    finally:
        association.release()


def test_orthanc_hears_what_the_node_keeps(tmp_path: Path) -> None:
    """It asks, ends its association, and is called back."""
    try:
        orthanc = Orthanc({})
    except Missing as missing:
        skip_or_fail(missing)
    with orthanc:
        peers = {"ORTHANC": Peer(LOOPBACK, orthanc.port)}
        with NodeProcess(NodeOptions(tmp_path / "node", port=0, peers=peers)) as node:
            held, absent = objects.content()[:2]
            Archive(orthanc.address).send([objects.file(tmp_path, each) for each in (held, absent)])
            Archive(node.address).send([tmp_path / f"{held.SOPInstanceUID}.dcm"])
            orthanc.know("QA_NODE", node.port)
            pairs = [[str(each.SOPClassUID), str(each.SOPInstanceUID)] for each in (held, absent)]
            told = orthanc.rest("POST", "/modalities/QA_NODE/storage-commitment", {"DicomInstances": pairs})
            found = until(lambda: orthanc.rest("GET", told["Path"]), lambda one: one["Status"] != "Pending")
    assert found["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in found["Success"]] == [str(held.SOPInstanceUID)]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in found["Failures"]] == [
        (str(absent.SOPInstanceUID), 0x0112)
    ]


def until(look: Any, good: Any) -> Any:
    """What a look shows once it is good; fails after a while."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = look()
        if good(found):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


# --- what is said, and where


def test_each_object_is_looked_at(keeper: NodeProcess) -> None:
    """Unknown ones and those of another class are named with their reasons."""
    held = objects.content()
    other = Committed(objects.RTPLAN, str(held[1].SOPInstanceUID))
    unknown = Committed(objects.RTPLAN, "1.2.3.4")
    with opened_as_requestor(keeper) as association:
        assert asked(association, [*wanted(held[0]), other, unknown]) == 0
        assert report_of(association) == (
            2,
            [str(held[0].SOPInstanceUID)],
            {other.sop_instance: 0x0119, unknown.sop_instance: 0x0112},
        )
        assert asked(association, wanted(*held)) == 0
        assert report_of(association) == (1, [str(one.SOPInstanceUID) for one in held], {})


def test_who_leaves_is_called_back(keeper: NodeProcess, back: int, tmp_path: Path) -> None:
    """In good order or by aborting."""
    with called_back(back, tmp_path) as arrived:
        for number, leave in enumerate((Association.release, Association.abort)):
            association = opened(keeper, TITLE)
            assert asked(association, wanted(objects.content()[0]), f"1.2.{number}") == 0
            leave(association)
            outcome = arrived.wait(f"1.2.{number}", 20)
            assert outcome == Outcome(f"1.2.{number}", frozenset([str(objects.content()[0].SOPInstanceUID)]), {})


def test_who_leaves_before_it_has_acknowledged_is_called_back(keeper: NodeProcess, back: int, tmp_path: Path) -> None:
    """The word is not lost with the association over which it was on its way."""
    association = opened(keeper, TITLE)
    assert asked(association, wanted(objects.content()[0]), "1.2.9") == 0
    with called_back(back, tmp_path) as arrived:
        assert int(association.read().command.CommandField) == N_EVENT_REPORT
        association.abort()
        assert arrived.wait("1.2.9", 20) is not None


def test_who_cannot_be_reached_is_called_again(keeper: NodeProcess, back: int, tmp_path: Path) -> None:
    """The first call finds nobody."""
    association = opened(keeper, TITLE)
    assert asked(association, wanted(objects.content()[0]), "1.2.8") == 0
    association.release()
    log = keeper.options.log
    assert log is not None
    until(lambda: log.read_text(), lambda text: "'REQUESTER' cannot be called with a report on a commitment" in text)
    with called_back(back, tmp_path) as arrived:
        assert arrived.wait("1.2.8", 30) is not None


def test_who_asks_something_else_first_is_answered(keeper: NodeProcess) -> None:
    """A query between the request and the acknowledgement, and a second request too."""
    contexts = [SERVICE, client.VERIFICATION]
    association = Association.request((LOOPBACK, keeper.port), "QA_NODE", "NOBODY", contexts)
    try:
        assert asked(association, wanted(objects.content()[0])) == 0
        association.send(3, {"AffectedSOPClassUID": client.VERIFICATION, "CommandField": 0x0030, "MessageID": 77})
        report = association.read()
        assert int(report.command.CommandField) == N_EVENT_REPORT
        echo = association.read().command
        assert (int(echo.CommandField), int(echo.MessageIDBeingRespondedTo), int(echo.Status)) == (0x8030, 77, 0)
        assert asked(association, wanted(objects.content()[0])) == 0  # its report cannot be said any more, and is not
        answer = {
            "AffectedSOPClassUID": SERVICE,
            "CommandField": N_EVENT_REPORT | 0x8000,
            "MessageIDBeingRespondedTo": report.command.MessageID,
            "Status": 0,
        }
        association.send(1, answer)
        association.send(3, {"AffectedSOPClassUID": client.VERIFICATION, "CommandField": 0x0030, "MessageID": 78})
        assert int(association.read().command.MessageIDBeingRespondedTo) == 78
    finally:
        association.release()


# --- what is refused


@pytest.mark.parametrize(
    ("instead", "status"),
    [
        ({"RequestedSOPInstanceUID": "1.2.3"}, 0x0112),
        ({"ActionTypeID": 2}, 0x0123),
    ],
    ids=["another instance", "another action"],
)
def test_a_request_that_is_none_is_refused(keeper: NodeProcess, instead: dict[str, Any], status: int) -> None:
    """With the status that names what is wrong; the association goes on."""
    with opened_as_requestor(keeper) as association:
        data = request("1.2.3", wanted(objects.content()[0]), association.contexts[1].accepted)
        assert ask(association, data, **instead) == status
        assert asked(association, wanted(objects.content()[0])) == 0
        assert report_of(association)[0] == 1


@pytest.mark.parametrize("what", ["no transaction", "no objects", "no uid", "rubbish"])
def test_a_request_without_what_it_needs_is_refused(keeper: NodeProcess, what: str) -> None:
    """0x0115, and nothing is said of it later."""
    dataset = Dataset()
    if what != "no transaction":
        dataset.TransactionUID = "1.2.3"
    item = Dataset()
    item.ReferencedSOPClassUID = objects.RTPLAN
    if what != "no uid":
        item.ReferencedSOPInstanceUID = "1.2.3.4"
    if what != "no objects":
        dataset.ReferencedSOPSequence = [item]
    with opened_as_requestor(keeper) as association:
        data = b"\1\2\3" if what == "rubbish" else part10.encode(dataset, association.contexts[1].accepted)
        assert ask(association, data) == 0x0115


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "<script>", "1.2*", "x" * 300, "'; DROP TABLE", "1\0.2"])
def test_hostile_uids_stay_values(keeper: NodeProcess, hostile: str) -> None:
    """They are not kept, and come back as they were sent; no database is asked for a NUL."""
    with opened_as_requestor(keeper) as association:
        assert asked(association, [Committed(objects.RTPLAN, hostile)]) == 0
        assert report_of(association) == (2, [], {hostile: 0x0112})


def test_the_service_is_offered_to_who_may_use_it(tmp_path: Path) -> None:
    """The white list names services one by one."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, strangers=("echo",))) as node:
        association = opened(node)
        try:
            assert association.contexts == {}
        finally:
            association.release()


def test_a_stopping_node_does_not_wait_for_a_peer_that_is_silent(tmp_path: Path) -> None:
    """It holds the connection of the node's call and says nothing."""

    with socket.socket() as silent:
        silent.bind((LOOPBACK, 0))
        silent.listen()
        silent.settimeout(20)
        peers = {TITLE: Peer(LOOPBACK, silent.getsockname()[1])}
        with NodeProcess(NodeOptions(tmp_path / "node", port=0, peers=peers)) as node:
            association = opened(node, TITLE)
            assert asked(association, [Committed(objects.RTPLAN, "1.2.3.4")]) == 0
            association.release()
            connection, _ = silent.accept()
            stopper = threading.Thread(target=node.stop)
            stopper.start()
            stopper.join(8)
            connection.close()
            assert not stopper.is_alive()
