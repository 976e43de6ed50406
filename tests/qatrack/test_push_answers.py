"""What QATrack+ and the servers before it say against a push, and what the user reads then."""

from __future__ import annotations

import json
import logging
import threading
from datetime import date
from typing import Any, Optional

import pytest
from peers.http_double import Reply
from peers.process import LOOPBACK, free_port
from rest_double import TESTS, TOKEN, Assigned, Fails, QATrackDouble, configured, winston_lutz

from qa_fetch.qatrack.lists import push

HTML = b"<html><body>Patient Meier, <h1>Server Error (500)</h1></body></html>"
TRACEBACK = (
    'wl", line 14, in wl\n  File "/site-packages/qa_fetch/archive/archive.py", line 160, in latest\n'
    "qa_fetch.errors.NotFound: aria has no portal image for plan WL_6X on 3 November 2025. "
    "Check that they were\x1b[2J acquired.\n"
)
AGAIN = "Push again later: what was recorded meanwhile is not recorded twice."
ROOT = "Set url in [qatrack] to the address of QATrack+'s first page."


@pytest.fixture
def double() -> Any:
    with QATrackDouble([Assigned(2, winston_lutz()), Assigned(1, winston_lutz(), "Daily")]) as running:
        yield running


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QATRACK_TOKEN", TOKEN)


def problem(**how: Any) -> str:
    """What the only list failed with; nothing was recorded for it."""
    (done,) = push(**how)
    assert (done.outcome, done.url) == ("failed", "")
    return done.problem


def test_the_sentence_of_a_failed_composite_reaches_the_user() -> None:
    """Without its traceback, and without what would clear the screen."""

    def fails(_: Any) -> None:
        raise Fails(TRACEBACK)

    with QATrackDouble([Assigned(1, winston_lutz(fails))]) as double:
        configured(double.url)
        assert problem() == (
            "wl failed: aria has no portal image for plan WL_6X on 3 November 2025. Check that they were [2J acquired."
        )
        assert double.records == []


def test_composites_without_a_result_are_recorded_only_where_they_are_to_be_skipped(double: QATrackDouble) -> None:
    """A list that calculated nothing must not look done by itself."""
    nothing = TESTS.replace("true", "false")
    configured(double.url, tests=nothing)
    assert problem() == (
        "QATrack+ calculated nothing for wl_max_2d, so nothing is recorded. "
        "Give what they need in tests of [qatrack.lists.wl_tb1], or name them in its skip."
    )
    configured(double.url, tests=nothing, skip='["wl", "wl_max_2d"]')
    assert [(done.outcome, done.problem) for done in push()] == [("pushed", "")]
    assert double.records[0]["tests"]["wl_max_2d"] == {"skipped": True, "value": None}


def test_a_text_that_was_not_calculated_is_told_although_qatrack_recorded_it(double: QATrackDouble) -> None:
    """QATrack+ takes string composites without a result, and hides their errors where a value is missing."""
    configured(double.url, tests=TESTS.replace("true", "false"), skip='["wl_max_2d"]')
    (done,) = push()
    assert (done.outcome, done.url) == ("pushed", f"{double.url}/qa/session/details/1/")
    assert done.problem == (
        "it is recorded, but QATrack+ calculated nothing for wl. "
        "Give what they need in tests of [qatrack.lists.wl_tb1], or name them in its skip."
    )


@pytest.mark.parametrize("taken", [None, Reply(500, HTML, "text/html")])
def test_a_push_that_comes_at_the_same_moment_is_done_once(taken: Optional[Reply], double: QATrackDouble) -> None:
    """Either the serializer sees the other's record, or only the database does."""

    def meanwhile(one: QATrackDouble) -> Optional[Reply]:
        one.record(f"qa_fetch:wl_tb1:1:{date.today()}")
        return taken

    double.on_post = meanwhile
    configured(double.url)
    (done,) = push()
    assert (done.outcome, done.url) == ("already there", f"{double.url}/qa/session/details/1/")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(400, json.dumps({"work_started": ["Datetime has wrong\nformat"]}).encode()),
         "QATrack+ does not take it: work_started: Datetime has wrong format."),
        (Reply(400, json.dumps({"non_field_errors": ["x" * 1000]}).encode()),
         f"QATrack+ does not take it: {'x' * 397}..."),
        (Reply(400, b"{}"), "QATrack+ does not take it: nothing is said."),
        (Reply(400, HTML, "text/html"), "QATrack+ refused the push (HTTP 400). Its log says why."),
        (Reply(500, HTML, "text/html"), f"QATrack+ failed inside at the push (HTTP 500). Its log says why. {AGAIN}"),
        (Reply(504, HTML, "text/html"), f"the server before QATrack+ waited too long for it (HTTP 504). {AGAIN}"),
        (Reply(429, b'{"detail": "x"}'), "QATrack+ was asked too often (HTTP 429). Push again in a minute."),
        (Reply(200, HTML, "text/html"), "QATrack+ answered the push with text/html where JSON is expected. "
                                        "Check url in [qatrack]: it is the address of QATrack+'s first page."),
        (Reply(302, b"", "text/html", {"Location": "https://elsewhere/take"}),
         f"QATrack+ sends the push on to another address, which is not followed (HTTP 302). {ROOT}"),
        (Reply(302, b"", "text/html", {"Location": "/accounts/login/?next=/api/"}),
         "QATrack+ answers the push with its login page (HTTP 302). Set url in [qatrack] to its first page, "
         "or have its administrator put api into LOGIN_EXEMPT_URLS."),
    ],
)  # fmt: skip
def test_every_other_answer_is_one_sentence_without_a_word_of_the_page(
    reply: Reply, says: str, double: QATrackDouble
) -> None:
    """Pages of errors may show patients."""
    double.on_post = lambda _: reply
    configured(double.url)
    assert problem() == says


def test_a_wrong_token_an_account_without_the_right_and_a_wrong_address(
    double: QATrackDouble, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each says who has to do what, and the token is in no log."""
    caplog.set_level(logging.DEBUG)
    double.may_add = False
    configured(double.url)
    assert problem() == (
        "QATrack+ does not allow this account the push (HTTP 403). "
        "Give the token's user the permission to add test list instances."
    )
    configured(f"{double.url}/wrong")
    assert problem() == f"QATrack+ has nothing under the address of the search for the record (HTTP 404). {ROOT}"
    monkeypatch.setenv("QATRACK_TOKEN", "geheim")
    configured(double.url)
    assert problem() == (
        "QATrack+ does not accept the token (HTTP 401). "
        "Have its administrator make one under Auth Token, and name its place in [qatrack]."
    )
    assert "geheim" not in caplog.text and TOKEN not in caplog.text


def test_a_server_that_is_slow_or_not_there_says_that_a_push_can_be_repeated(double: QATrackDouble) -> None:
    """The composites of a long list take their time; timeout is the site's to raise."""
    double.on_post = lambda _: Reply(
        raw=[b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"]
    )
    configured(double.url)
    assert problem() == (
        f"QATrack+ broke off in the middle of its answer. Call again; if it does so again, look into its log. {AGAIN}"
    )
    port = free_port()
    configured(f"http://{LOOPBACK}:{port}")
    assert problem() == (
        f"nothing listens on {LOOPBACK} port {port}, where QATrack+ should be. Start it, or correct url."
    )


def test_a_slow_answer_ends_with_the_timeout_of_the_configuration(double: QATrackDouble) -> None:
    """The record that came to be meanwhile is found by the next push."""

    def slow(_: QATrackDouble) -> Reply:
        def body() -> Any:
            yield from ()
            ended.wait(5)

        return Reply(201, body())

    ended = threading.Event()
    double.after_post = slow
    configured(double.url, timeout=0.3)
    try:
        assert problem() == (
            f"QATrack+ ({LOOPBACK} port {double.http.port}) has not answered within 0.3 s. "
            f"Check that it runs, or raise timeout. {AGAIN}"
        )
    finally:
        ended.set()
    assert [done.outcome for done in push()] == ["already there"]


def test_answers_that_are_not_qatracks_are_not_believed(double: QATrackDouble) -> None:
    """Addresses in them lead nowhere else."""
    configured(double.url)
    row = {"active": True, "unit": "https://elsewhere/units/1/", "tests_object": "file:///etc/passwd"}
    for body in (b"[]", b'{"results": 5}', json.dumps({"results": [row], "next": None}).encode()):
        double.http.script = lambda asked, body=body: (  # type: ignore[misc]
            Reply(200, b'{"results": []}') if "testlistinstances" in asked.path else Reply(200, body)
        )
        assert problem() == (
            "QATrack+ answered the search for the test list with something that its REST API does not say, "
            "so nothing is done with it. Check url in [qatrack], and that QATrack+ is 3.1 or newer."
        )
    assert all(asked.method == "GET" for asked in double.http.asked)
