"""Every way in which an archive behind HTTP can fail, and the sentence for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from peers.http_double import Asked, HttpDouble, Reply
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive, BadArchive, ConfigError, ConnectionFailed, QAFetchError, Refused
from qa_fetch.errors import http as statuses
from qa_fetch.errors.http import http_refusal


@pytest.fixture
def double() -> Iterator[HttpDouble]:
    """A server that answers whatever the test says."""
    with HttpDouble(lambda asked: Reply()) as double:
        yield double


def said(double: HttpDouble, reply: Reply, **fields: Any) -> QAFetchError:
    double.script = lambda asked: reply
    return failure(f"orthanc+{double.url}", **fields)


def failure(address: str, **fields: Any) -> QAFetchError:
    with pytest.raises(QAFetchError) as caught:
        Archive(address, **{"budget": 5, **fields}).find("STUDY", PatientID="SECRET^ID")
    assert "SECRET" not in str(caught.value)
    return caught.value


# Statuses


@pytest.mark.parametrize("status", [one for one in HTTPStatus if one >= 300])
def test_every_status_has_a_sentence(status: HTTPStatus) -> None:
    """What happened, what to do, and the code for the archive's log; only what may pass by itself is retriable."""
    error = http_refusal("query", status.value, archive="pacs")
    happened, _, todo = str(error).partition(". ")
    assert "pacs" in happened and f"(HTTP {status.value})" in happened
    assert todo.endswith(".") and "{" not in str(error)
    assert error.status == status.value
    assert error.retriable is (status.value in (408, 429) or status.value >= 500 and status.value != 501)


def test_the_statuses_that_servers_really_use_have_sentences_of_their_own() -> None:
    """The map is complete for what HTTP, DICOMweb (PS3.18) and Orthanc answer, and no sentence is there twice."""
    used = {400, 401, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 422, 429, 431}
    used |= {500, 501, 502, 503, 504, 507}
    assert used == set(statuses._MEANINGS)
    assert len({str(http_refusal("query", status, archive="pacs")) for status in used}) == len(used)


def test_a_status_outside_the_standard_is_called_that() -> None:
    """A server's own number is not dressed up as something known."""
    assert str(http_refusal("query", 999, archive="pacs")) == (
        "pacs answered the query with a status that HTTP does not define (999). "
        "Check url of this archive, then run: qa-fetch echo pacs."
    )


def test_a_refusal_reaches_the_caller_with_its_status(double: HttpDouble) -> None:
    """What the server writes beside it, which may hold a patient's name, does not."""
    error = said(double, Reply(403, b"SECRET^ID may not be seen"))
    assert isinstance(error, Refused)
    assert (error.status, error.retriable) == (403, False)
    assert str(error) == "127.0.0.1 does not allow this account the query (HTTP 403). Ask its administrator for it."


@pytest.mark.parametrize(
    ("location", "where"),
    [("https://evil.example/x?token=1", "https://evil.example"), ("/elsewhere", "another path"),
     ("http://me:word@evil.example/", "http://evil.example")],
)  # fmt: skip
def test_a_redirect_is_followed_nowhere(double: HttpDouble, location: str, where: str) -> None:
    """Passwords and patients' data go where the configuration says."""
    error = said(double, Reply(302, b"", headers={"Location": location}))
    assert (type(error), len(double.asked)) == (Refused, 1)
    assert str(error) == (
        f"127.0.0.1 sends the query on to {where} (HTTP 302), which is not followed. "
        "Set url to where the archive lives."
    )


# Answers


NOT_JSON = "127.0.0.1 answered with something that is not JSON, so it is not used. Report it to its administrator."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"[" * 200_000, NOT_JSON),
        (b"{" * 100, NOT_JSON),
        (b"", NOT_JSON),
        (b"[" + b"9" * 5_000_000 + b"]", NOT_JSON),
        (b"[NaN]", NOT_JSON),
        (b"\xff\xfe\x00", NOT_JSON),
        (b"[" + b" " * (65 << 20) + b"]",
         "127.0.0.1 answered with more than 64 MB of JSON, so it is not used. Narrow the question."),
        (b'{"a": 1}',
         "127.0.0.1 answered /tools/find with something that is no list of resources. "
         "Check that url is the root of an Orthanc's REST interface."),
    ],
    ids=["deep", "cut off", "empty", "a number of megabytes", "NaN", "not UTF-8", "huge", "no list"],
)  # fmt: skip
def test_json_that_is_none_or_without_end_is_refused(double: HttpDouble, body: bytes, sentence: str) -> None:
    """In bounded time and memory."""
    error = said(double, Reply(200, body))
    assert (type(error), str(error)) == (BadArchive, sentence)


def test_a_page_for_people_is_called_that(double: HttpDouble) -> None:
    """The likeliest cause is an address without the path of the services."""
    error = said(double, Reply(200, b"<html>", "text/html"))
    assert (type(error), str(error)) == (
        BadArchive,
        "127.0.0.1 answered with text/html where JSON is expected. "
        "Check url: it must be the root of the archive's services.",
    )


def test_json_without_an_announced_length_is_limited_too(double: HttpDouble) -> None:
    """A server may go on for ever."""
    error = said(double, Reply(200, (b" " * 65536 for _ in range(1 << 20))), budget=20)
    assert str(error) == "127.0.0.1 answered with more than 64 MB of JSON, so it is not used. Narrow the question."


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"]
)
def test_headers_without_end_are_refused(double: HttpDouble, head: bytes) -> None:
    """Long ones, and many."""
    error = said(double, Reply(raw=[head]))
    assert (type(error), str(error)) == (
        BadArchive,
        "127.0.0.1 sent headers without end, so its answer is not used. Check url.",
    )


def test_json_that_is_cut_off_is_a_broken_connection(double: HttpDouble) -> None:
    """Half of an answer is no answer."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[]"
    error = said(double, Reply(raw=[head]))
    assert (type(error), str(error), error.retriable) == (
        ConnectionFailed,
        "127.0.0.1 broke off in the middle of its answer. "
        "Call again; if it does so again, run: qa-fetch echo 127.0.0.1.",
        True,
    )


# Connections


def test_something_that_is_not_http_is_called_that(double: HttpDouble) -> None:
    """A DICOM port, for example."""
    error = said(double, Reply(raw=[b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x07\r\n"]))
    assert (type(error), str(error)) == (
        ConnectionFailed,
        f"what listens on 127.0.0.1 port {double.port} does not speak HTTP as it should. Check url of 127.0.0.1.",
    )


def test_a_port_on_which_nothing_listens_is_named() -> None:
    """The usual cause is that the archive is not running."""
    port = free_port()
    assert str(failure(f"orthanc+http://{LOOPBACK}:{port}")) == (
        f"nothing listens on 127.0.0.1 port {port}, where 127.0.0.1 should be. Start it, or correct url."
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", f"{'x' * 80}.invalid"])
def test_a_name_that_nobody_knows_is_named(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that no DNS can hold."""

    def unknown(*arguments: Any, **keywords: Any) -> Any:
        "".join(arguments[:1]).encode("idna")
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert str(failure(f"orthanc+http://{host}")) == (
        f"the name {host} of {host} is unknown. Correct url, or ask whoever runs the DNS."
    )


def test_a_misspelt_keyword_is_refused_before_anything_is_asked(double: HttpDouble) -> None:
    """The archive would ignore it and answer with everything."""
    for kind in ("orthanc", "dicomweb"):
        with pytest.raises(ConfigError) as caught:
            Archive(f"{kind}+{double.url}").find("STUDY", PatientIDD="x")
        assert str(caught.value) == (
            "'PatientIDD' is not a DICOM keyword. Write it as in the standard, for example PatientID."
        )
    assert double.asked == []


def test_a_test_of_the_connection_stops_at_what_fails(double: HttpDouble) -> None:
    """And says what was all right before it."""

    def refusing(asked: Asked) -> Reply:
        return Reply(401)

    double.script = refusing
    steps = Archive(f"dicomweb+{double.url}").echo("X")
    assert [(step.name, step.works) for step in steps] == [("name", True), ("port", True), ("login", False)]
    assert [step.says for step in steps] == [
        "127.0.0.1 resolves to 127.0.0.1",
        f"something listens on 127.0.0.1 port {double.port}",
        "127.0.0.1 wants to know who asks, or does not accept the user and password or token (HTTP 401). "
        "Check user and password_env, or token_env, of this archive.",
    ]
