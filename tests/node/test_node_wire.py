"""What the node does on the wire: streams, counts, cancels, breaks, and what is left afterwards."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Union

import node_client as client
import node_objects as objects
import pytest
from node_objects import uid

from qa_fetch import Archive, matching, part10
from qa_fetch.backends.wire import Association, Context, Element, Kind, Lost, Message, Proposal
from qa_fetch.node import NodeOptions, NodeProcess, Peer

PROC = Path("/proc/self/task").is_dir()
needs_proc = pytest.mark.skipif(not PROC, reason="counts threads, sockets and memory under /proc")
MEGABYTES = 200
EXPLICIT, IMPLICIT = client.PLAIN


@contextmanager
def caller(node: NodeProcess, *classes: str, syntax: str = EXPLICIT) -> Iterator[Association]:
    """An association for a C-GET of these classes, or for storing them."""
    contexts = [Context(client.GET["study"], (EXPLICIT,)), *(Context(each, (syntax,)) for each in classes)]
    connection = socket.create_connection(("127.0.0.1", node.port), 10)
    proposal = Proposal.of("QA_NODE", "WIRE", contexts, receiving=classes)
    proposal.roles = dict.fromkeys(classes, (True, True))
    association = Association.request(connection, proposal, 30)
    try:
        yield association
    finally:
        association.release()


def ask_for_study(association: Association) -> None:
    """A C-GET of patient 1's first study, as message 7."""
    request: dict[Element, Union[int, str]] = {
        Element.AffectedSOPClassUID: client.GET["study"],
        Element.CommandField: Kind.C_GET,
        Element.MessageID: 7,
        Element.Priority: 0,
    }
    association.send(1, request, part10.encode(matching.query("STUDY", {"StudyInstanceUID": uid(1, 1)}), EXPLICIT))


def counts(message: Message) -> tuple[int, ...]:
    """The status, and how many remain, are completed, and failed; -1 for a count that is not there."""
    names = ("Remaining", "Completed", "Failed")
    given = [message.command.optional_number(Element[f"NumberOf{name}Suboperations"]) for name in names]
    return (message.command.number(Element.Status), *(-1 if count is None else count for count in given))


def status_of(pid: int, name: str) -> int:
    """A figure of a process in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def held_by(pid: int) -> tuple[int, int]:
    """How many threads and sockets a process has."""
    sockets = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since they were listed
            sockets += str(path.readlink()).startswith("socket:")
    return len(list(Path(f"/proc/{pid}/task").iterdir())), sockets


class Large:
    """An RT image of many megabytes whose pixels are made while it is sent."""

    def __init__(self) -> None:
        data = objects.encoded(objects.image(PixelData=bytes(32)))
        length = MEGABYTES << 20
        self.start = data[:-36] + struct.pack("<L", length)
        self.total = len(self.start) + length

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, part: slice) -> bytes:
        return self.start[part].ljust(part.stop - part.start, b"\x5a")


@needs_proc
def test_a_large_object_streams_through_bounded_memory(node: NodeProcess) -> None:
    """200 MB are stored and fetched; what the node's process holds of them at any time is a small part of that."""
    assert client.store(node.port, objects.image(number=2)) == [0]
    before, large = status_of(node.pid, "VmHWM"), Large()
    with caller(node, objects.RTIMAGE) as association:
        request: dict[Element, Union[int, str]] = {
            Element.AffectedSOPClassUID: objects.RTIMAGE,
            Element.CommandField: Kind.C_STORE,
            Element.MessageID: 1,
            Element.Priority: 0,
            Element.AffectedSOPInstanceUID: uid(1, 1, 2, 1),
        }
        association.send(3, request, large)
        assert association.receive().command.number(Element.Status) == 0
        assert status_of(node.pid, "VmHWM") - before < 20_000
        ask_for_study(association)
        most = came = 0

        def look(pieces: Sequence[memoryview]) -> None:
            nonlocal most, came
            came += sum(map(len, pieces))
            if came % 16 == 0:
                most = max(most, status_of(node.pid, "RssAnon"))

        while True:
            message = association.receive()
            if message.command.kind != Kind.C_STORE:
                if message.command.number(Element.Status) == 0:
                    break
                continue
            association.stream(message, look)
            association.respond(message, 0)
        assert came == len(large) + len(objects.encoded(objects.image(number=2)))
        assert most - before < 20_000


@pytest.mark.parametrize(
    "syntax", [EXPLICIT, IMPLICIT, part10.DEFLATED, part10.EXPLICIT_BIG, "1.2.840.10008.1.2.4.50", objects.JPEG_2000]
)
def test_every_encoding_comes_back_byte_for_byte(tmp_path: Path, syntax: str) -> None:
    """Through C-GET and through C-MOVE, the data set is the one that was stored."""
    image = objects.image(PixelData=bytes(range(256)) * 600, Rows=240, Columns=320)
    if syntax.startswith("1.2.840.10008.1.2.4"):
        image = objects.compressed(image)
    sent = objects.encoded(image, syntax)
    with client.receiver("QATRACK", [syntax]) as (port, moved):
        options = NodeOptions(tmp_path / "node", port=0, peers={"QATRACK": Peer("127.0.0.1", port)})
        with NodeProcess(options) as node:
            assert client.store_bytes(node.port, objects.RTIMAGE, uid(1, 1, 2, 1), sent, syntax) == 0
            keys = {"StudyInstanceUID": uid(1, 1)}
            result, got = client.get(node.port, "STUDY", keys, syntaxes=[syntax])
            assert (result.status, result.counts) == (0, (1, 0, 0))
            result = client.move(node.port, "STUDY", keys, "QATRACK", calling="ASKER")
            assert (result.status, result.counts) == (0, (1, 0, 0))
    assert got.objects == moved.objects == {uid(1, 1, 2, 1): (syntax, sent)}
    assert (got.originators, moved.originators) == ({("", 0)}, {("ASKER", 1)})


@pytest.mark.parametrize("stored", [EXPLICIT, IMPLICIT, part10.DEFLATED])
def test_a_destination_gets_the_uncompressed_encoding_that_it_takes(tmp_path: Path, stored: str) -> None:
    """Whatever is stored uncompressed can be moved to a receiver of explicit or of implicit little endian."""
    image = objects.image()
    for wanted in (each for each in client.PLAIN if each != stored):
        with client.receiver("QATRACK", [wanted]) as (port, moved):
            options = NodeOptions(tmp_path / wanted, port=0, peers={"QATRACK": Peer("127.0.0.1", port)})
            with NodeProcess(options) as node:
                assert client.store(node.port, image, syntax=stored) == [0]
                result = client.move(node.port, "STUDY", {"StudyInstanceUID": uid(1, 1)}, "QATRACK")
        assert (result.status, result.counts) == (0, (1, 0, 0))
        assert moved.objects == {uid(1, 1, 2, 1): (wanted, objects.encoded(image, wanted))}


def test_every_pending_answer_counts_truly(node: NodeProcess) -> None:
    """What remains, is completed and has failed adds up after each object; the refused one is named at the end."""
    client.store(node.port, *(objects.image(number=number) for number in range(1, 5)))
    told = []
    with caller(node, objects.RTIMAGE) as association:
        ask_for_study(association)
        while not told or told[-1][0] == 0xFF00:
            message = association.receive()
            data = association.read(message) if message.command.has_data else b""
            if message.command.kind == Kind.C_STORE:
                refused = message.command.text(Element.AffectedSOPInstanceUID) == uid(1, 1, 2, 2)
                association.respond(message, 0xA700 if refused else 0xB007 if len(told) == 3 else 0)
            else:
                told.append(counts(message))
    pending = [(0xFF00, 3, 1, 0), (0xFF00, 2, 1, 1), (0xFF00, 1, 2, 1), (0xFF00, 0, 2, 1)]
    assert told == [*pending, (0xB000, -1, 2, 1)]
    assert part10.decode(data, EXPLICIT).FailedSOPInstanceUIDList == uid(1, 1, 2, 2)


def test_a_cancelled_retrieval_ends_between_two_objects(node: NodeProcess) -> None:
    """C-CANCEL while the second of six is on its way: that one is counted, and no other comes."""
    client.store(node.port, *(objects.image(number=number) for number in range(1, 7)))
    came = 0
    with caller(node, objects.RTIMAGE) as association:
        ask_for_study(association)
        while True:
            message = association.receive()
            if message.command.kind == Kind.C_STORE:
                association.read(message)
                came += 1
                if came == 2:
                    cancel = {Element.CommandField: int(Kind.C_CANCEL), Element.MessageIDBeingRespondedTo: 7}
                    association.send(1, cancel)
                association.respond(message, 0)
            elif counts(message)[0] != 0xFF00:
                break
        assert (came, counts(message)) == (2, (0xFE00, 4, 2, 0))
        association.read(message)
        association.send(1, cancel)  # too late, which is no fault
        ask_for_study(association)
        assert association.receive().command.kind == Kind.C_STORE


@needs_proc
@pytest.mark.parametrize("how", ["abort", "close"])
def test_a_caller_that_breaks_off_leaves_nothing_behind(node: NodeProcess, how: str) -> None:
    """In the middle of a C-GET or of a C-STORE: the node ends its thread and its socket, and keeps no half object."""
    client.store(node.port, *(objects.image(number=number) for number in range(1, 7)))
    time.sleep(0.1)
    before = held_by(node.pid)
    for step in ("get", "store"):
        with caller(node, objects.RTIMAGE) as association:
            if step == "get":
                ask_for_study(association)
                association.read(association.receive())
            else:
                head = struct.pack(">BxLLBB", 4, 6 + 4, 2 + 4, 3, 2)
                association._channel.send([struct.pack(">BxLLBB", 4, 66, 62, 3, 3), _store_command(), head, bytes(4)])
                time.sleep(0.1)
            getattr(association, {"abort": "abort", "close": "hang_up"}[how])()
    end = time.monotonic() + 5
    while held_by(node.pid) != before and time.monotonic() < end:
        time.sleep(0.01)
    assert held_by(node.pid) == before
    assert list((node.options.data / "incoming").iterdir()) == []
    assert client.store(node.port, objects.image(number=9)) == [0]


def _store_command() -> bytes:
    """A C-STORE-RQ of an object with the UID 1.2, 60 bytes long."""
    elements = [(0x0000, struct.pack("<L", 48)), (0x0100, b"\1\0"), (0x0110, b"\1\0"), (0x0800, b"\1\0")]
    elements.append((0x1000, b"1.2.34\0\0\0\0"))
    return b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements)


def test_two_moves_at_once_do_not_mix(tmp_path: Path) -> None:
    """Two studies on their way to two destinations: each gets its own, and both callers true counts."""
    with client.receiver("FIRST") as (one, first), client.receiver("SECOND") as (two, second):
        destinations = {"FIRST": Peer("127.0.0.1", one), "SECOND": Peer("127.0.0.1", two)}
        with NodeProcess(NodeOptions(tmp_path / "node", port=0, peers=destinations)) as node:
            for study in (1, 2):
                client.store(node.port, *(objects.image(1, study, 2, number) for number in range(1, 31)))
            results: dict[str, client.Result] = {}

            def move(study: int, to: str) -> None:
                results[to] = client.move(node.port, "STUDY", {"StudyInstanceUID": uid(1, study)}, to)

            threads = [threading.Thread(target=move, args=each) for each in ((1, "FIRST"), (2, "SECOND"))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    for study, title, received in ((1, "FIRST", first), (2, "SECOND", second)):
        assert (results[title].status, results[title].counts) == (0, (30, 0, 0))
        assert sorted(received.objects) == sorted(uid(1, study, 2, number) for number in range(1, 31))


def test_eight_callers_store_at_once(node: NodeProcess, tmp_path: Path) -> None:
    """Some of them the same objects: every one is answered with Success and there once."""
    problems: list[str] = []

    def send(caller_number: int) -> None:
        folder = tmp_path / str(caller_number)
        folder.mkdir()
        for number in range(1, 16):
            part10.write(objects.image(1, 1, caller_number % 6, number), folder / f"{number}.dcm")
        # Not by pynetdicom, which on a busy machine takes an answer from itself now and then.
        problems.extend(sent.problem for sent in Archive(node.address).send(folder))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [""] * 120
    assert len(client.find(node.port, "IMAGE", {"SOPInstanceUID": ""}).answers) == 90
    assert len(list((node.options.data / "objects").rglob("*.dcm"))) == 90
    assert list((node.options.data / "incoming").iterdir()) == []


def test_a_file_that_was_changed_is_not_sent(node: NodeProcess, tmp_path: Path) -> None:
    """A file that is cut short after it was stored fails alone, and the log says what to do."""
    client.store(node.port, *(objects.image(number=number) for number in (1, 2)))
    path = next((node.options.data / "objects").rglob(f"{uid(1, 1, 2, 1)}.dcm"))
    path.write_bytes(path.read_bytes()[:-2])
    result, received = client.get(node.port, "STUDY", {"StudyInstanceUID": uid(1, 1)})
    assert (result.status, result.counts, result.failed) == (0xB000, (1, 1, 0), [uid(1, 1, 2, 1)])
    assert list(received.objects) == [uid(1, 1, 2, 2)]
    assert (
        "an object cannot be sent: its file is not what was stored. Restore the node's folder from a backup."
        in (tmp_path / "node.log").read_text()
    )


def test_what_a_caller_does_not_take_is_said_in_the_log(node: NodeProcess, tmp_path: Path) -> None:
    """One line for each kind of object, not for each object."""
    images = [objects.compressed(objects.image(number=number)) for number in (1, 2)]
    client.store(node.port, *images, syntax=objects.JPEG_2000)
    result, _ = client.get(node.port, "STUDY", {"StudyInstanceUID": uid(1, 1)})
    assert (result.status, result.counts) == (0xA702, (0, 2, 0))
    line = f"objects of class {objects.RTIMAGE!r} in {objects.JPEG_2000!r} cannot be sent: "
    assert (tmp_path / "node.log").read_text().count(line) == 1


def test_a_caller_is_the_receiver_only_where_that_was_agreed_on(tmp_path: Path) -> None:
    """Without C-GET no role is granted; with it, and without C-STORE, only that of the receiver."""
    for services, roles in ((("find", "store"), {}), (("get",), {objects.RTIMAGE: (False, True)})):
        with NodeProcess(NodeOptions(tmp_path / "-".join(services), port=0, services=services)) as node:
            with caller(node, objects.RTIMAGE) as association:
                assert association.roles == roles


def test_a_stopping_node_waits_for_nobody_who_is_silent(tmp_path: Path) -> None:
    """Neither a connection without a word nor a C-MOVE to a destination that never answers holds it up."""
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        destinations = {"DEAF": Peer("127.0.0.1", deaf.getsockname()[1])}
        node = NodeProcess(NodeOptions(tmp_path / "node", port=0, peers=destinations, grace=0.5))
        node.start()
        client.store(node.port, objects.image())
        moving = threading.Thread(
            target=client.move, args=(node.port, "STUDY", {"StudyInstanceUID": uid(1, 1)}, "DEAF")
        )
        moving.start()
        with socket.create_connection(("127.0.0.1", node.port)), deaf.accept()[0] as connected:
            connected.recv(1)
            began = time.monotonic()
            node.stop()
            took = time.monotonic() - began
        moving.join()
    assert took < 6


def test_a_message_that_does_not_belong_here_ends_the_association(node: NodeProcess) -> None:
    """A C-FIND in a context of C-GET is refused; a second request before the first is answered aborts."""
    with caller(node, objects.RTIMAGE) as association:
        request = {
            Element.AffectedSOPClassUID: client.FIND["study"],
            Element.CommandField: int(Kind.C_FIND),
            Element.MessageID: 1,
            Element.Priority: 0,
        }
        association.send(1, request, b"")
        assert association.receive().command.number(Element.Status) == 0x0122
        client.store(node.port, objects.image())
        ask_for_study(association)
        message = association.receive()
        association.read(message)
        ask_for_study(association)
        with pytest.raises(Lost):
            association.receive()
