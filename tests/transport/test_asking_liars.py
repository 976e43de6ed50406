"""Archives whose bytes are wrong: a query gives all of its answers or one sentence, within its budget."""

from __future__ import annotations

import time
from typing import Any, Callable

import pytest
from raw_archive import RawArchive, Served, answer, found, honest, row
from raw_pdus import (
    ABORTED,
    ANSWERS,
    C_STORE,
    COMMAND,
    DATA,
    FIELD,
    IMPLICIT,
    JPEG,
    LAST,
    PENDING,
    RELEASE,
    RELEASED,
    RESPONSE,
    STUDY_FIND,
    an_object,
    associate_ac,
    associate_rq,
    element,
    message_bytes,
    p_data,
    pdu,
    pdv,
    store_rq,
)

from qa_fetch import Archive, BadArchive, ConnectionFailed, QAFetchError, Refused

LOST = (
    "RAW dropped the connection or stopped answering. Try again; if it happens again, "
    "check that it knows QATRACK as a client, and run: qa-fetch echo RAW."
)
UNREADABLE = (
    "RAW sent an answer to a query that cannot be decoded, so none is used. Report it to the archive's administrator."
)
BUDGET = 1.0


def _archive(peer: RawArchive, transport: str, **fields: Any) -> Archive:
    whole = {"local_ae_title": "QATRACK", "transport": transport, "budget": BUDGET, "timeout": 0.6, **fields}
    return Archive(peer.address, **whole)


def _studies(archive: Archive) -> list[str]:
    return [str(one.StudyInstanceUID) for one in archive.find("STUDY", PatientID="P")]


def _fails(peer: RawArchive, transport: str, **fields: Any) -> QAFetchError:
    """The error of a query, which comes within its budget."""
    archive = _archive(peer, transport, **fields)
    began = time.monotonic()
    with pytest.raises(QAFetchError) as caught:
        _studies(archive)
    assert time.monotonic() - began < BUDGET + 1.0
    assert str(caught.value).endswith(".") and "RAW" in str(caught.value)
    return caught.value


# --- no association

_BEGINNINGS: dict[str, Callable[[Served], bytes]] = {
    "an HTTP answer": lambda _: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "an SSH banner": lambda _: b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": lambda _: bytes(100),
    "an acceptance of 4 GB": lambda _: pdu(2, bytes(100), 0xFFFFFFFF),
    "an acceptance of nothing": lambda _: pdu(2, b""),
    "a request in return": lambda _: associate_rq([(STUDY_FIND, (IMPLICIT,))]),
    "data": lambda _: p_data(pdv(1, COMMAND | LAST, b"")),
    "a release": lambda _: RELEASE,
    "a rejection of one byte": lambda _: pdu(3, b"\1"),
    "an item longer than the acceptance": lambda _: pdu(2, b"\0\1" + bytes(66) + b"\x21\0\xff\xff\1\0\0\0"),
}


@pytest.mark.parametrize("name", _BEGINNINGS)
def test_an_answer_that_is_no_acceptance_is_named(transport: str, name: str) -> None:
    """Something listens there, but no archive."""

    def script(served: Served) -> None:
        served.read_request()
        served.send(_BEGINNINGS[name](served))
        served.ended()

    with RawArchive(script) as peer:
        error = _fails(peer, transport)
    assert isinstance(error, (ConnectionFailed, Refused))
    if transport == "own":
        assert str(error) == (
            f"RAW: 127.0.0.1:{peer.port} accepts connections but does not answer as a DICOM archive. "
            "Check host and port."
        )


@pytest.mark.parametrize("cut", [1, 6, 40, 90, -1])
@pytest.mark.parametrize("how", ["closes", "resets", "is silent"])
def test_an_acceptance_cut_short_is_no_acceptance(transport: str, cut: int, how: str) -> None:
    """It begins well and breaks off."""

    def script(served: Served) -> None:
        served.read_request()
        served.send(served.acceptance()[:cut])
        if how == "resets":
            served.reset()
        elif how == "is silent":
            served.ended()

    with RawArchive(script) as peer:
        assert isinstance(_fails(peer, transport), (ConnectionFailed, Refused))


def test_an_acceptance_that_comes_byte_by_byte_costs_the_budget_and_no_more(transport: str) -> None:
    """Each byte comes in time, all of them would not."""

    def script(served: Served) -> None:
        served.read_request()
        for byte in served.acceptance()[:40]:
            served.send(bytes((byte,)))
            peer.wait(0.1)

    with RawArchive(script) as peer:
        _fails(peer, transport)


def test_a_transfer_syntax_that_was_not_proposed_is_refused(transport: str) -> None:
    """What comes in it could not be decoded truly."""

    def script(served: Served) -> None:
        served.read_request()
        served.send(associate_ac({number: (0, JPEG) for number in served.proposed}))
        while True:
            served.send(found(served.request(), "1.2.1"))

    with RawArchive(script) as peer:
        _fails(peer, transport)


def test_contexts_that_were_not_proposed_are_no_agreement(transport: str) -> None:
    """Even numbers and strange ones: nothing is asked in them."""

    def script(served: Served) -> None:
        served.read_request()
        served.send(associate_ac({2: (0, IMPLICIT), 99: (0, IMPLICIT), 255: (0, IMPLICIT)}))
        served.ended()

    with RawArchive(script) as peer:
        _fails(peer, transport)


def test_an_archive_that_accepts_no_context_says_so(transport: str) -> None:
    """It knows us, but offers nothing that we want."""

    def script(served: Served) -> None:
        served.read_request()
        served.send(associate_ac({number: (3, IMPLICIT) for number in served.proposed}))
        served.ended()

    with RawArchive(script) as peer:
        assert isinstance(_fails(peer, transport), Refused)


# --- queries that break off

_ROWS = ("1.2.1", "1.2.2", "1.2.3")


_AFTER = ("request", "acceptance", "question", "one row", "half a row", "half an end")
_BREAKS = [
    pytest.param(after, how, id=f"{how}-{after}")
    for how in ("aborts", "resets", "closes", "is silent")
    for after in _AFTER
    if how != "aborts" or not after.startswith("half")  # the abort would be taken for the rest
]


@pytest.mark.parametrize("after, how", _BREAKS)
def test_a_query_that_breaks_off_gives_nothing(transport: str, after: str, how: str) -> None:
    """At every boundary of its messages, and inside them: some of the rows are worse than none."""

    def script(served: Served) -> None:
        if after == "request":
            served.read_request()
        else:
            served.accept()
        if after not in ("request", "acceptance"):
            whole, one = found(asked := served.request(), *_ROWS), answer(asked, PENDING, row(_ROWS[0]))
            parts = {"question": 0, "one row": len(one), "half a row": len(one) - 9, "half an end": len(whole) - 9}
            served.send(whole[: parts[after]])
        if how == "aborts":
            served.send(ABORTED)
        elif how == "resets":
            served.reset()
        elif how == "is silent":
            served.ended()

    with RawArchive(script) as peer:
        error = _fails(peer, transport)
    assert isinstance(error, (ConnectionFailed, Refused))
    if transport == "own" and after != "request":
        assert str(error) == LOST


def _says(transport: str, said: Callable[[Any, Served], bytes]) -> QAFetchError:
    """The error of a query to which an archive answers so."""

    def script(served: Served) -> None:
        served.accept()
        while True:
            served.send(said(served.request(), served))

    with RawArchive(script) as peer:
        return _fails(peer, transport)


_WRONG: dict[str, Callable[[Any, Served], bytes]] = {
    "to another message": lambda asked, _: answer(asked, PENDING, row(), {ANSWERS: 777}) + answer(asked, 0),
    "to no message": lambda asked, _: answer(asked, PENDING, row(), {ANSWERS: b""}) + answer(asked, 0),
    "an end of another message": lambda asked, _: answer(asked, PENDING, row()) + answer(asked, 0, None, {ANSWERS: 9}),
    "of another service": lambda asked, _: answer(asked, 0, None, {FIELD: C_STORE | RESPONSE}),
    "without a status": lambda asked, _: answer(asked, 0, None, {0x0900: b""}),
    "a status of four bytes": lambda asked, _: answer(asked, 0, None, {0x0900: bytes(4)}),
    "in a context that was not agreed on": lambda asked, _: answer(asked, 0, None, None, 99),
    "a request to store": lambda asked, served: (
        message_bytes(asked[0], store_rq("1.2.1"), an_object("1.2.1", IMPLICIT)) + found(asked, "1.2.1")
    ),
    "data without a command": lambda asked, _: p_data(pdv(asked[0], LAST, row())) + answer(asked, 0),
    "a PDU of no length": lambda asked, _: pdu(DATA, b"") + answer(asked, 0),
    "a release in the middle": lambda asked, _: answer(asked, PENDING, row()) + RELEASE,
    "an answer to no release": lambda asked, _: answer(asked, PENDING, row()) + RELEASED,
    "an identifier of 40 MB": lambda asked, _: (
        answer(asked, PENDING, element(IMPLICIT, 0x0011, 0x1001, b"UN", bytes(40 << 20)) + row()) + answer(asked, 0)
    ),
}


@pytest.mark.parametrize("name", _WRONG)
def test_an_answer_that_cannot_be_right_is_not_believed(transport: str, name: str) -> None:
    """A peer that mixes up its messages may mix up its patients."""
    error = _says(transport, _WRONG[name])
    assert isinstance(error, (ConnectionFailed, BadArchive))
    if transport == "own":
        assert str(error) == LOST


_UNREADABLE = {
    "no data": None,
    "garbage": b"\xff\xd8\xff\xe0" * 30,
    "half an element": row()[:-1],
    "half an element's head": row()[:-11],
    "a length beyond the end": row() + element(IMPLICIT, 0x0020, 0x0010, b"SH", b"12")[:-2],
}


@pytest.mark.parametrize("name", _UNREADABLE)
def test_a_row_that_cannot_be_read_spoils_the_answer(transport: str, name: str) -> None:
    """None of the rows is used: a UID cut short is the UID of something else."""
    error = _says(
        transport,
        lambda asked, _: (
            answer(asked, PENDING, row("1.2.1")) + answer(asked, PENDING, _UNREADABLE[name]) + answer(asked, 0)
        ),
    )
    assert isinstance(error, (BadArchive, ConnectionFailed))
    if transport == "own":
        assert str(error) == UNREADABLE


def test_a_row_in_another_context_than_the_question_is_not_decoded(transport: str) -> None:
    """Its encoding is that of the other context."""

    def script(served: Served) -> None:
        served.read_request()
        syntaxes = {number: (0, IMPLICIT) for number in served.proposed}
        served.send(associate_ac(syntaxes))
        asked = served.request()
        other = next(number for number in served.proposed if number != asked[0])
        served.send(answer(asked, PENDING, row(), None, other) + answer(asked, 0))
        served.ended()

    with RawArchive(script) as peer:
        _fails(peer, transport)


def test_rows_without_end_cost_the_budget_and_no_more(transport: str) -> None:
    """An archive that never says that it is done."""

    def script(served: Served) -> None:
        served.accept()
        asked = served.request()
        number = 0
        while True:
            number += 1
            served.send(answer(asked, PENDING, row(f"1.2.{number}")))
            if number % 50 == 0:
                peer.wait(0.02)

    with RawArchive(script) as peer:
        error = _fails(peer, transport)
    assert str(error).startswith("RAW took longer than the time budget allows: ")
    assert str(error).endswith(" answers to a query had come. Call again, or allow more with budget=.")


def test_after_every_fault_the_next_question_is_answered(transport: str) -> None:
    """The same Archive, an archive that has come to its senses."""

    def wrong(served: Served) -> None:
        served.accept()
        served.send(answer(served.request(), 0, None, {ANSWERS: 4711}))
        served.ended()

    with RawArchive(wrong, honest("1.2.1", "1.2.2")) as peer:
        archive = _archive(peer, transport)
        if transport == "own":
            with pytest.raises(ConnectionFailed):
                _studies(archive)
            assert _studies(archive) == ["1.2.1", "1.2.2"]
