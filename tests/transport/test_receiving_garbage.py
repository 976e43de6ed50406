"""Bytes that no DICOM peer may send: the association ends, nothing is kept, and the next sender gets through."""

from __future__ import annotations

import resource
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from raw_pdus import (
    AC,
    C_STORE,
    COMMAND,
    DATA,
    DATA_TYPE,
    EXPLICIT,
    FIELD,
    INSTANCE,
    LAST,
    MESSAGE,
    NO_DATA,
    PRIORITY,
    RELEASED,
    RESPONSE,
    RQ,
    RT_IMAGE,
    SOP_CLASS,
    STATUS,
    an_object,
    associate_ac,
    associate_rq,
    command_set,
    fragments,
    item,
    message_bytes,
    p_data,
    pdu,
    pdv,
    store_rq,
)
from raw_sender import CONTEXTS, ECHO, STORE, Gone, Raw, Sender

RUDE = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
RUDE_SLOWLY = settings(RUDE, max_examples=12)  # pynetdicom takes a tenth of a second for each

_OPEN = associate_rq(CONTEXTS)
_OBJECT = message_bytes(STORE, store_rq("1.2.1"), an_object("1.2.1"))

# What follows an association that stands.
WRONG = {
    "a PDU length that is too short": pdu(DATA, pdv(STORE, COMMAND | LAST, store_rq("1.2.1")), 20),
    "a PDU of no length": pdu(DATA, b""),
    "a PDU shorter than a fragment's head": pdu(DATA, bytes(5)),
    "a fragment longer than its PDU": p_data(pdv(STORE, COMMAND | LAST, b"abcd", 4000)),
    "a fragment of length 0": p_data(pdv(STORE, COMMAND | LAST, b"", 0)),
    "a fragment of length 1": p_data(pdv(STORE, COMMAND | LAST, b"", 1)),
    "a fragment of length 4 GB": p_data(pdv(STORE, COMMAND | LAST, b"abcd", 0xFFFFFFFF)),
    "bytes behind the last fragment": p_data(pdv(STORE, COMMAND | LAST, store_rq("1.2.1")), b"xyz"),
    "a context that was not proposed": message_bytes(77, store_rq("1.2.1"), an_object("1.2.1")),
    "context 0": message_bytes(0, store_rq("1.2.1"), an_object("1.2.1")),
    "data before its command": p_data(pdv(STORE, LAST, an_object("1.2.1"))),
    "two commands": p_data(*fragments(STORE, COMMAND, store_rq("1.2.1"))) * 2,
    "data in another context than its command": p_data(pdv(STORE, COMMAND | LAST, store_rq("1.2.1")))
    + p_data(pdv(ECHO, LAST, an_object("1.2.1"))),
    "a command that changes its context": p_data(pdv(STORE, COMMAND, store_rq("1.2.1")[:20]))
    + p_data(pdv(ECHO, COMMAND | LAST, store_rq("1.2.1")[20:])),
    "a command set of garbage": p_data(pdv(STORE, COMMAND | LAST, b"\xff" * 40)),
    "a command set that is cut short": p_data(pdv(STORE, COMMAND | LAST, store_rq("1.2.1")[:-9])),
    "an empty command set": p_data(pdv(STORE, COMMAND | LAST, b"")),
    "a response to nothing": message_bytes(
        STORE,
        command_set(
            {
                SOP_CLASS: RT_IMAGE,
                FIELD: C_STORE | RESPONSE,
                0x0120: 1,
                DATA_TYPE: NO_DATA,
                STATUS: 0,
                INSTANCE: "1.2.1",
            }
        ),
    ),
    "a request of no known kind": message_bytes(
        STORE, command_set({SOP_CLASS: RT_IMAGE, FIELD: 0x0666, MESSAGE: 1, DATA_TYPE: NO_DATA})
    ),
    "a request that does not say its kind": message_bytes(
        STORE, command_set({SOP_CLASS: RT_IMAGE, MESSAGE: 1, DATA_TYPE: NO_DATA})
    ),
    "a message number of three bytes": message_bytes(
        STORE,
        command_set({SOP_CLASS: RT_IMAGE, FIELD: C_STORE, MESSAGE: b"\1\2\3", PRIORITY: 0, DATA_TYPE: NO_DATA}),
    ),
    "a second request for an association": _OPEN,
    "an acceptance of nothing": associate_ac({1: (0, EXPLICIT)}),
    "a rejection of nothing": pdu(3, b"\0\1\1\1"),
    "an answer to no release": RELEASED,
    "a PDU of no known type": pdu(0x42, bytes(10)),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n",
    "a release that is too long": pdu(5, bytes(3000)),
}

# What begins a connection.
WRONG_BEGINNING = {
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n",
    "a TLS client hello": bytes.fromhex("16030100c8010000c40303") + b"\x5a" * 194,
    "zeros": bytes(200),
    "an object without an association": _OBJECT,
    "an acceptance": associate_ac({1: (0, EXPLICIT)}),
    "an abort": pdu(7, bytes(4)),
    "a release": pdu(5, bytes(4)),
    "a request that is too short": pdu(RQ, bytes(10)),
    "a request without anything": pdu(RQ, b""),
    "a request of 4 GB": pdu(RQ, bytes(100), 0xFFFFFFFF),
    "a request of another version": pdu(RQ, bytes(68)),
    "an item longer than the request": pdu(RQ, b"\0\1" + bytes(66) + item(0x10, b"1.2", 4000)),
    "a context of three bytes": pdu(RQ, b"\0\1" + bytes(66) + item(0x20, b"\1\0\0")),
    "a context whose parts do not fit": pdu(RQ, b"\0\1" + bytes(66) + item(0x20, b"\1\0\0\0" + item(0x30, b"1", 99))),
    "no context at all": associate_rq([]),
    "a context without a transfer syntax": associate_rq([(RT_IMAGE, ())]),
    "names that are no ASCII": _OPEN.replace(b"QATRACK", b"\xff\xfe\x80\x81\x82\x83\x84"),
    "roles that do not fit into the answer": associate_rq(
        [(f"{RT_IMAGE}.{n}{'1' * 32710}", (EXPLICIT,)) for n in (1, 2)],
        roles=[f"{RT_IMAGE}.{n}{'1' * 32710}" for n in (1, 2)],
    ),
}


# What pynetdicom takes no offence at, or stumbles over in a thread of its own; nobody else notices either.
PYNETDICOMS_OWN = (
    "data in another context than its command",
    "a context without a transfer syntax",
    "no context at all",
)


def _rudely(port: int, said: bytes, transport: str) -> None:
    """Say this instead of an association, and leave; our own transport must have hung up before."""
    with Raw(port) as raw:
        _say(raw, said, transport)


def _rudely_associated(port: int, said: bytes, transport: str) -> None:
    with Sender(port) as sender:
        _say(sender, said, transport)


def _say(raw: Raw, said: bytes, transport: str) -> None:
    try:
        raw.send(said)
        raw.socket.shutdown(1)
        if transport == "own":
            raw.ended()
    except (Gone, OSError) as gone:
        assert not isinstance(gone, TimeoutError), "it was listened to for ten seconds more"


def test_nasty_bytes_in_an_association_end_it(receiving: Any, transport: str) -> None:
    """Each of a list of lies: no object comes of it, nobody else notices."""
    with receiving(transport) as it:
        for name, said in WRONG.items():
            if transport == "own" or name not in PYNETDICOMS_OWN:
                _rudely_associated(it.port, said, transport)
                assert it.kept() == {}, name
        it.kept_nothing_else()
        it.works()


@pytest.mark.parametrize("name", WRONG_BEGINNING)
def test_nasty_beginnings_are_turned_away(receiving: Any, transport: str, name: str) -> None:
    """A port scanner, a browser, a broken device."""
    with receiving(transport) as it:
        _rudely(it.port, WRONG_BEGINNING[name], transport)
        it.kept_nothing_else()
        it.works()


@pytest.mark.parametrize("name", WRONG)
def test_a_peer_that_lies_is_not_listened_to_any_longer(receiving: Any, name: str) -> None:
    """After a lie nothing that this peer says is believed: a whole object in the same breath is not taken."""
    with receiving("own") as it:
        with Sender(it.port) as sender:
            try:
                sender.send(WRONG[name] + _OBJECT)
                assert sender.ended() in ("abort", "closed", "reset")
            except Gone:
                pass
        it.kept_nothing_else()
        it.works()


def _fuzz(receiving: Any, transport: str, example: Any, how: Any) -> None:
    """Run the same rudeness with many examples against one receiver."""
    with receiving(transport, negotiation=1.0, idle=1.0) as it:

        @(RUDE if transport == "own" else RUDE_SLOWLY)
        @given(example)
        def rude(said: bytes) -> None:
            how(it.port, said, transport)

        rude()
        it.unfinished()
        strangers = {uid: data for uid, data in it.kept().items() if not uid.startswith("1.2.99.")}
        assert all(data == an_object(uid) for uid, data in strangers.items())
        it.works()


def test_random_bytes_do_no_harm(receiving: Any, transport: str) -> None:
    """Anything at all, before and instead of an association."""
    _fuzz(receiving, transport, some.binary(max_size=400), _rudely)


def test_random_pdus_do_no_harm(receiving: Any, transport: str) -> None:
    """Well-formed PDUs of any type and content, in any order, in an association that stands."""
    part = some.binary(max_size=120)
    numbers = some.sampled_from([0, 1, 3, 77, 255])
    pdvs = some.lists(some.builds(pdv, numbers, some.integers(0, 5), part), max_size=4).map(lambda all_: p_data(*all_))
    anything = some.builds(pdu, some.integers(0, 9), part)
    _fuzz(receiving, transport, some.lists(pdvs | anything, max_size=5).map(b"".join), _rudely_associated)


def test_an_association_cut_short_or_damaged_anywhere_does_no_harm(receiving: Any, transport: str) -> None:
    """A true request and a true object, with one byte changed, or ended early."""
    whole = _OPEN + _OBJECT

    def damaged(at: int, to: int, end: int) -> bytes:
        said = bytearray(whole)
        said[at % len(said)] = to
        return bytes(said[:end])

    example = some.builds(
        damaged, some.integers(0, len(_OPEN) + 160), some.integers(0, 255), some.integers(1, len(whole))
    )
    _fuzz(receiving, transport, example, _rudely)


def _peak(port: int, said: Any) -> int:
    """The most memory that is in use while a peer says this, in MB, beyond what was before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with Sender(port) as sender:
            try:
                for piece in said:
                    sender.send(piece)
                sender.socket.shutdown(1)
            except (Gone, OSError):
                pass
            else:
                sender.ended()
        return (tracemalloc.get_traced_memory()[1] - before) >> 20
    finally:
        tracemalloc.stop()


def test_a_command_set_without_end_costs_no_memory(receiving: Any) -> None:
    """Command sets have a few hundred bytes; 64 MB of them are refused after the first 64 kB."""
    with receiving("own") as it:
        block = p_data(pdv(STORE, COMMAND, bytes(1 << 16)))
        assert _peak(it.port, (block for _ in range(1024))) < 8
        it.kept_nothing_else()
        it.works()


@pytest.mark.parametrize("said", [pdu(DATA, b"", 0xFFFFFFFF) + pdv(STORE, COMMAND, b"ab", 0xFFFFFFF0)])
def test_a_length_of_4_gb_costs_no_memory(receiving: Any, transport: str, said: bytes) -> None:
    """Nothing is set aside for what is only announced."""
    with receiving(transport) as it:
        assert _peak(it.port, [said]) < 8
        it.kept_nothing_else()
        it.works()


def test_a_hundred_thousand_tiny_fragments_cost_no_memory(receiving: Any) -> None:
    """One byte each, all in PDUs of the largest size: the object comes whole, and is never held as pieces."""
    data = an_object("1.2.1", size=100_000)
    parts = fragments(STORE, 0, data, 1)
    packed = [p_data(*parts[at : at + 10_000]) for at in range(0, len(parts), 10_000)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with receiving("own") as it:
        with Sender(it.port) as sender:
            sender.send(p_data(*fragments(STORE, COMMAND, store_rq("1.2.1"))))
            for piece in packed:
                sender.send(piece)
            assert sender.status() == 0x0000
            sender.release()
        it.kept_nothing_else(**{"1.2.1": data})
        it.works()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_large_object_is_not_held_in_memory(receiving: Any) -> None:
    """It goes from the socket to its file."""
    data = an_object("1.2.1", size=48 << 20)
    with receiving("own") as it:
        pieces = [p_data(one) for one in fragments(STORE, 0, data, 1 << 16)]
        command = p_data(*fragments(STORE, COMMAND, store_rq("1.2.1")))
        assert _peak(it.port, [command, *pieces]) < 16
        assert it.kept() == {"1.2.1": data}
        it.works()


@pytest.mark.parametrize("announced", [1, 7, 12, 100, 0])
def test_a_peer_that_announces_a_strange_pdu_size_is_answered(receiving: Any, transport: str, announced: int) -> None:
    """0 means any size; what is too small for a message's head is a fault of the peer's, which is answered anyway."""
    with receiving(transport) as it:
        with Sender(it.port, largest=announced) as sender:
            assert sender.store("1.2.1") == 0x0000
            sender.release()
        it.works()


def test_several_wrong_peers_at_once_do_not_disturb_a_good_one(receiving: Any, transport: str) -> None:
    """Twenty liars hold their connections while a good sender comes and goes."""
    with receiving(transport) as it:
        liars = [Raw(it.port) for _ in range(20)]
        try:
            for number, liar in enumerate(liars):
                liar.send(struct.pack(">BxL", AC if number % 2 else DATA, 1000) + bytes(number))
            it.works()
        finally:
            for liar in liars:
                liar.socket.close()
        it.kept_nothing_else()
