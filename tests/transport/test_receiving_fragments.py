"""Objects that come in any pieces, any encoding and any company: each is kept byte for byte."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from raw_pdus import (
    ABORTED,
    BIG,
    C_ECHO,
    COMMAND,
    DATA_TYPE,
    DEFLATED,
    EXPLICIT,
    FIELD,
    IMPLICIT,
    JPEG,
    LAST,
    MESSAGE,
    NO_DATA,
    RELEASE,
    RT_IMAGE,
    SOP_CLASS,
    VERIFICATION,
    an_object,
    command_set,
    element,
    fragments,
    message_bytes,
    p_data,
    pdv,
    store_rq,
)
from raw_sender import ECHO, STORE, Sender


@pytest.mark.parametrize(("size", "fragment"), [(1500, 1), (3_000_000, 1 << 20), (131_071, 131_066), (70_000, 16_378)])
def test_fragments_of_any_size_make_the_same_object(receiving: Any, transport: str, size: int, fragment: int) -> None:
    """One byte or a megabyte at a time: a peer that ignores what we announced is no reason to lose its object."""
    data = an_object("1.2.1", size=size)
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            sender.send(message_bytes(STORE, store_rq("1.2.1"), data, fragment))
            assert sender.status() == 0x0000
            sender.release()
        it.kept_nothing_else(**{"1.2.1": data})
        it.works()


def test_a_command_set_may_be_cut_anywhere(receiving: Any, transport: str) -> None:
    """Every boundary of a short C-STORE's command set and of its data set, in PDUs of their own."""
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            command = store_rq("1.2.1")
            data = an_object("1.2.1", size=8)
            step = 1 if transport == "own" else 7  # pynetdicom takes milliseconds for each
            expected = 0
            for cut in range(0, max(len(command), len(data)) + 1, step):
                first, second = min(cut, len(command)), min(cut, len(data))
                sender.send(p_data(pdv(STORE, COMMAND, command[:first])))
                sender.send(p_data(pdv(STORE, COMMAND | LAST, command[first:])))
                sender.send(p_data(pdv(STORE, 0, data[:second])))
                sender.send(p_data(pdv(STORE, LAST, data[second:])))
                expected += sender.status() == 0x0000
            assert expected == len(range(0, max(len(command), len(data)) + 1, step))
            sender.release()
        it.kept_nothing_else(**{"1.2.1": data})
        it.works()


@pytest.mark.parametrize("layout", ["one PDU for all", "command and first data together", "a PDU each", "bytes of TCP"])
def test_fragments_share_pdus_in_every_way(receiving: Any, transport: str, layout: str) -> None:
    """How fragments are packed into PDUs, and PDUs into segments, is the sender's affair."""
    data = an_object("1.2.1", size=600)
    command, parts = fragments(STORE, COMMAND, store_rq("1.2.1"), 50), fragments(STORE, 0, data, 100)
    layouts = {
        "one PDU for all": [p_data(*command, *parts)],
        "command and first data together": [p_data(*command, parts[0]), p_data(*parts[1:])],
        "a PDU each": [p_data(one) for one in command + parts],
        "bytes of TCP": [bytes((byte,)) for byte in p_data(*command) + p_data(*parts)],
    }
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            for piece in layouts[layout]:
                sender.send(piece)
            assert sender.status() == 0x0000
            sender.release()
        it.kept_nothing_else(**{"1.2.1": data})
        it.works()


def test_empty_fragments_change_nothing(receiving: Any, transport: str) -> None:
    """Fragments without a byte are odd, but say nothing wrong."""
    data = an_object("1.2.1")
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            command = store_rq("1.2.1")
            pieces = [pdv(STORE, COMMAND, b""), pdv(STORE, COMMAND, command), pdv(STORE, COMMAND | LAST, b"")]
            pieces += [pdv(STORE, 0, b""), pdv(STORE, 0, data), pdv(STORE, LAST, b"")]
            sender.send(b"".join(map(p_data, pieces)))
            assert sender.status() == 0x0000
            sender.release()
        it.kept_nothing_else(**{"1.2.1": data})
        it.works()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG])
def test_every_encoding_arrives_byte_for_byte(receiving: Any, transport: str, syntax: str) -> None:
    """What came is what is kept: nothing is unpacked, swapped or rewritten."""
    data = an_object("1.2.1", syntax, 5000)
    with receiving(transport) as it:
        with Sender(it.port, [(RT_IMAGE, (syntax,))]) as sender:
            assert sender.store("1.2.1", data) == 0x0000
            sender.release()
        it.kept_nothing_else(**{"1.2.1": data})
        it.works()


def test_an_odd_length_is_kept_as_it_came(receiving: Any, transport: str) -> None:
    """DICOM knows even lengths only; some devices do not."""
    data = an_object("1.2.1") + element(EXPLICIT, 0x7FE1, 0x1001, b"OB", b"odd")
    assert len(data) % 2
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            assert sender.store("1.2.1", data) == 0x0000
            sender.release()
        it.kept_nothing_else(**{"1.2.1": data})
        it.works()


def test_requests_that_do_not_wait_for_answers_are_answered_in_order(receiving: Any, transport: str) -> None:
    """The second and the third request come before the first answer was read."""
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            for number in (1, 2, 3):
                uid = f"1.2.{number}"
                sender.send(message_bytes(STORE, store_rq(uid, message=number), an_object(uid)))
            echo = {SOP_CLASS: VERIFICATION, FIELD: C_ECHO, MESSAGE: 9, DATA_TYPE: NO_DATA}
            sender.send(message_bytes(ECHO, command_set(echo)))
            answers = [sender.answer() for _ in range(4)]
            sender.release()
        assert [answer[0x0120] for answer in answers] == [b"\1\0", b"\2\0", b"\3\0", b"\x09\0"]
        assert {answer[0x0900] for answer in answers} == {b"\0\0"}
        it.kept_nothing_else(**{f"1.2.{n}": an_object(f"1.2.{n}") for n in (1, 2, 3)})
        it.works()


@pytest.mark.parametrize("peers", [2, 8])
def test_peers_at_once_get_in_nobodys_way(receiving: Any, transport: str, peers: int) -> None:
    """Each sends ten objects of its own; all of them are kept as they were sent."""
    problems: list[BaseException] = []

    def send(port: int, peer: int) -> None:
        try:
            with Sender(port) as sender:
                for number in range(10):
                    uid = f"1.2.{peer}.{number}"
                    assert sender.store(uid, an_object(uid, size=20_000), message=number + 1) == 0x0000
                sender.release()
        except BaseException as problem:  # noqa: BLE001 - told below
            problems.append(problem)

    with receiving(transport, negotiation=10.0) as it:
        threads = [threading.Thread(target=send, args=(it.port, peer)) for peer in range(peers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        uids = [f"1.2.{peer}.{number}" for peer in range(peers) for number in range(10)]
        it.kept_nothing_else(**{uid: an_object(uid, size=20_000) for uid in uids})
        it.works()


def test_of_different_objects_under_one_uid_at_once_exactly_the_kept_one_is_acknowledged(
    receiving: Any, transport: str
) -> None:
    """Success means that this object is there: a second one under its UID is refused, also in the same moment."""
    for attempt in range(4):
        uid = f"1.2.{attempt + 1}"
        data = [an_object(uid) + element(EXPLICIT, 0x7FE1, 0x1001, b"OB", bytes([peer, 0])) for peer in range(8)]
        outcome: dict[int, int] = {}
        with receiving(transport, negotiation=10.0) as it:
            ready = threading.Barrier(8)

            def send(port: int, peer: int, ready: Any, outcome: dict[int, int], uid: str, own: bytes) -> None:
                with Sender(port) as sender:
                    ready.wait(10)
                    outcome[peer] = sender.store(uid, own)
                    sender.release()

            threads = [
                threading.Thread(target=send, args=(it.port, peer, ready, outcome, uid, data[peer]))
                for peer in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            kept = it.kept()[uid]
        assert [data[peer] == kept for peer in range(8)] == [outcome[peer] == 0x0000 for peer in range(8)]


def test_what_was_acknowledged_stays_when_the_sender_aborts(receiving: Any, transport: str) -> None:
    """An abort ends the association, not what came before it."""
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            assert sender.store("1.2.1") == 0x0000
            sender.send(ABORTED)
        it.kept_nothing_else(**{"1.2.1": an_object("1.2.1")})
        it.works()


def test_a_release_in_the_same_segment_as_an_object_comes_after_it(receiving: Any, transport: str) -> None:
    """A sender in a hurry: the object is kept and answered, then the release."""
    with receiving(transport) as it:
        with Sender(it.port) as sender:
            sender.send(message_bytes(STORE, store_rq("1.2.1"), an_object("1.2.1")) + RELEASE)
            if transport == "own":  # pynetdicom may answer the release first
                assert sender.status() == 0x0000
            sender.ended()
        if transport == "own":
            it.kept_nothing_else(**{"1.2.1": an_object("1.2.1")})
        it.works()
