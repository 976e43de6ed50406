"""Objects that come over HTTP: whole and as they were stored, or not at all, whatever the server does."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from peers.course import OTHER, PATIENT, Course, ct_slice, default_course, new_series
from peers.http_double import BOUNDARY, RELATED, Asked, HttpDouble, Reply, WebArchive, as_file, parts

from qa_fetch import Archive, BadArchive, ConnectionFailed, Incomplete, QAFetchError, Refused, part10

MULTIPART = f"HTTP/1.1 200 OK\r\nContent-Type: {RELATED}\r\n"
MIXED_UP = (
    "127.0.0.1 sent a transfer whose parts cannot be told apart, so the rest of it is not used. "
    "Report it to its administrator."
)
EARLY = (
    "127.0.0.1 sent {} of 18 objects before it failed. "
    "Call again to fetch the rest; if it fails again, run: qa-fetch echo 127.0.0.1."
)


@pytest.fixture(scope="module")
def course() -> Course:
    """A course whose CBCT series is long enough to come as one stream."""
    made = default_course()
    where = new_series(PATIENT, "cbct", study="CBCT")
    when = datetime(2025, 11, 3, 16, 0)
    return replace(made, cbct=tuple(ct_slice(where, when, number, rows=8) for number in range(1, 19)))


@pytest.fixture
def web(course: Course) -> WebArchive:
    """The CBCT series and the other patient's objects; a series of more than a few comes as one stream."""
    return WebArchive([*course.cbct, *(one for one in course.datasets if one.PatientID == OTHER)])


@pytest.fixture
def double(web: WebArchive) -> Iterator[HttpDouble]:
    """The same, listening."""
    with HttpDouble(web) as double:
        yield double


@pytest.fixture
def archive(double: HttpDouble) -> Archive:
    """How a user sees it."""
    return Archive(f"dicomweb+{double.url}", budget=10)


def series(course: Course) -> str:
    return str(course.cbct[0].SeriesInstanceUID)


def files(course: Course) -> list[bytes]:
    return [as_file(one) for one in course.cbct]


def said(archive: Archive, course: Course) -> QAFetchError:
    with pytest.raises(QAFetchError) as caught:
        archive.fetch(series=series(course))
    return caught.value


def answers(web: WebArchive, reply: Reply) -> None:
    """One answer to every retrieve of objects."""
    web.objects = lambda asked: reply


def test_a_series_comes_as_one_stream(archive: Archive, double: HttpDouble, course: Course) -> None:
    """One request for all of it; each object is what was stored."""
    images = archive.fetch(series=series(course))
    assert set(images.uids) == {str(one.SOPInstanceUID) for one in course.cbct}
    assert {image.PixelData for image in images} == {one.PixelData for one in course.cbct}
    streams = [path for path in double.paths() if path.endswith(series(course))]
    assert len(streams) == 1 and not [path for path in double.paths() if "/instances/" in path]


def test_a_few_objects_come_one_by_one(archive: Archive, double: HttpDouble, course: Course) -> None:
    """Nothing else of their series is transferred."""
    one = course.cbct[2]
    assert archive.fetch(instance=str(one.SOPInstanceUID)).dataset.PixelData == one.PixelData
    assert double.paths()[-1].endswith(f"/instances/{one.SOPInstanceUID}")


def test_a_server_without_series_streams_is_asked_one_by_one(
    archive: Archive, web: WebArchive, double: HttpDouble, course: Course
) -> None:
    """Some offer the retrieval of instances only."""
    web.objects = lambda asked: web.retrieve(asked) if "/instances/" in asked.path else Reply(501)
    assert len(archive.fetch(series=series(course))) == len(course.cbct)
    assert double.connections <= 5


def test_a_stream_that_leaves_objects_out_is_completed_one_by_one(
    archive: Archive, web: WebArchive, course: Course
) -> None:
    """What did not come in the stream is asked for again by its own address."""

    def half(asked: Asked) -> Reply:
        if "/instances/" in asked.path:
            return web.retrieve(asked)
        return Reply(200, parts(files(course)[:9]), RELATED)

    web.objects = half
    assert len(archive.fetch(series=series(course))) == len(course.cbct)


def test_what_has_come_before_a_break_is_kept_and_the_next_call_goes_on(
    archive: Archive, web: WebArchive, double: HttpDouble, course: Course
) -> None:
    """Nothing is returned, nothing whole is fetched twice."""
    body = parts(files(course)[:7]) + b"never seen"
    cut = body[: body.rindex(b"\r\n--" + BOUNDARY.encode())][:-200]
    answers(web, Reply(raw=[MULTIPART.encode() + b"Connection: close\r\n\r\n" + cut]))
    error = said(archive, course)
    assert (type(error), str(error)) == (Incomplete, EARLY.format(6))
    web.objects, before = None, len(double.asked)
    assert len(archive.fetch(series=series(course))) == len(course.cbct)
    assert len([one for one in double.asked[before:] if "multipart" in one.headers["Accept"]]) == 1


@pytest.mark.parametrize(
    ("framing", "cut", "arrived"),
    [
        ("Connection: close\r\n\r\n", 30, 17),  # only the closing boundary is missing
        ("Content-Length: 9999999\r\n\r\n", 0, 18),  # all there, but less than was announced
        ("Content-Length: 200\r\n\r\n", 0, 0),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(
    archive: Archive, web: WebArchive, course: Course, framing: str, cut: int, arrived: int
) -> None:
    """Whole objects that came with it are kept; a set that is complete all the same needs no second call."""
    body = parts(files(course))
    answers(web, Reply(raw=[(MULTIPART + framing).encode() + body[: len(body) - cut]]))
    if arrived == len(course.cbct):
        assert len(archive.fetch(series=series(course))) == arrived
        return
    error = said(archive, course)
    assert error.retriable
    ended = "127.0.0.1 ended a transfer before its end. Call again; if it does so again, run: qa-fetch echo 127.0.0.1."
    assert str(error) == (EARLY.format(arrived) if arrived else ended)


def chunked(body: bytes, size: int = 1000) -> Iterator[bytes]:
    yield (MULTIPART + "Transfer-Encoding: chunked\r\n\r\n").encode()
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield f"{len(piece):x};x=y\r\n".encode() + piece + b"\r\n"


def test_chunks_are_put_together(archive: Archive, web: WebArchive, course: Course) -> None:
    """Chunked transfer, with extensions and trailers, as proxies make it."""
    answers(web, Reply(raw=[*chunked(parts(files(course), lengths=False)), b"0\r\nX-Trailer: 1\r\n\r\n"]))
    assert len(archive.fetch(series=series(course))) == len(course.cbct)


def test_a_chunk_that_is_cut_off_ends_the_transfer(archive: Archive, web: WebArchive, course: Course) -> None:
    """The last object is not taken for whole."""
    pieces = list(chunked(parts(files(course))))
    answers(web, Reply(raw=[*pieces[:-2], pieces[-2][:-10]]))
    error = said(archive, course)
    assert (type(error), error.retriable) == (Incomplete, True)


def test_chunks_that_cannot_be_told_apart_are_refused(archive: Archive, web: WebArchive, course: Course) -> None:
    """A length that is none."""
    head = (MULTIPART + "Transfer-Encoding: chunked\r\n\r\n").encode()
    answers(web, Reply(raw=[head + b"-5\r\n" + parts(files(course))]))
    error = said(archive, course)
    assert (type(error), str(error)) == (
        BadArchive,
        "127.0.0.1 sent an answer whose chunks cannot be told apart, so it is not used. "
        "Report it to its administrator.",
    )


@pytest.mark.parametrize(
    ("body", "content_type", "kind", "sentence"),
    [
        (b"<html>Log in</html>", "text/html; charset=utf-8", ConnectionFailed,
         "127.0.0.1 answered with text/html where DICOM objects are expected. "
         "Check url: it must be the root of the archive's services."),
        (b"xx", "multipart/related", ConnectionFailed,
         "127.0.0.1 answered with multipart/related where DICOM objects are expected. "
         "Check url: it must be the root of the archive's services."),
        (parts([b"not DICOM at all" * 50]), RELATED, BadArchive,
         "127.0.0.1 sent something that is not a DICOM file. Report it to its administrator."),
        (parts([b"short"]), RELATED, BadArchive,
         "127.0.0.1 sent something that is not a DICOM file. Report it to its administrator."),
        (parts([b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0\xff\xff\xff\x7f" + b"\0" * 99]), RELATED, BadArchive,
         "127.0.0.1 sent an object whose file header is cut short or does not name it. "
         "Report it to its administrator."),
        (parts([b"x"]).replace(b"Length: 1", b"Length: 1\r\nX: " + b"y" * (1 << 20)), RELATED, BadArchive, MIXED_UP),
    ],
)  # fmt: skip
def test_an_answer_that_is_something_else_is_refused(
    archive: Archive, web: WebArchive, course: Course, body: bytes, content_type: str, kind: type, sentence: str
) -> None:
    """A login page, parts without boundary, rubbish in the place of an object, headers of a megabyte."""
    answers(web, Reply(200, body, content_type))
    error = said(archive, course)
    assert (type(error), str(error)) == (kind, sentence)


def test_an_object_under_the_uid_of_another_spoils_the_set(archive: Archive, web: WebArchive, course: Course) -> None:
    """The file header names one object, the data set is another."""
    first, second = course.cbct[:2]
    data = part10.encode(first, part10.EXPLICIT_LITTLE)
    false = part10.file_meta(str(second.SOPClassUID), str(second.SOPInstanceUID), part10.EXPLICIT_LITTLE) + data
    answers(web, Reply(200, parts([false, *files(course)[2:]]), RELATED))
    error = said(archive, course)
    assert (type(error), str(error)) == (
        BadArchive,
        "the archive sent one object under the UID of another, so none of this set is used. "
        "Report it to the archive's administrator.",
    )


def test_an_object_that_is_cut_short_inside_its_part_is_missing(
    archive: Archive, web: WebArchive, course: Course
) -> None:
    """The part is whole, the object in it is not; the others are kept."""
    first, *others = files(course)
    answers(web, Reply(200, parts([first[:-100], *others]), RELATED))
    error = said(archive, course)
    assert (type(error), list(error.missing)) == (BadArchive, [str(course.cbct[0].SOPInstanceUID)])
    assert str(error) == (
        "127.0.0.1: an object is cut short: it ends in the middle of an element. Fetch or export it again."
    )


def test_objects_that_nobody_asked_for_are_left_out(archive: Archive, web: WebArchive, course: Course) -> None:
    """Strangers' objects in a stream reach neither the result nor the shelf."""
    strangers = [as_file(one) for one in course.datasets if one.PatientID == OTHER]
    answers(web, Reply(200, parts([*strangers, *files(course), *strangers]), RELATED))
    images = archive.fetch(series=series(course))
    assert set(images.uids) == {str(one.SOPInstanceUID) for one in course.cbct}
    kept = {path.read_bytes()[-50:] for path in archive._shelf.folder.rglob("*.dcm")}
    assert kept.isdisjoint({stranger[-50:] for stranger in strangers})


def test_the_same_object_twice_is_kept_once(archive: Archive, web: WebArchive, course: Course) -> None:
    """Duplicates do no harm."""
    answers(web, Reply(200, parts([*files(course), *files(course)]), RELATED))
    assert len(archive.fetch(series=series(course))) == len(course.cbct)


def test_two_different_objects_of_one_uid_are_both_refused(archive: Archive, web: WebArchive, course: Course) -> None:
    """Nobody can know which is right."""
    first, *others = files(course)
    changed = first[:-1] + bytes([first[-1] ^ 1])
    answers(web, Reply(200, parts([first, changed, *others]), RELATED))
    error = said(archive, course)
    assert type(error) is BadArchive
    assert "the archive sent two different objects under one UID, so neither is used." in str(error)


def test_compression_that_was_not_asked_for_is_refused(archive: Archive, web: WebArchive, course: Course) -> None:
    """A proxy that compresses all the same would cost the stream its safety."""
    body = gzip.compress(parts(files(course)))
    answers(web, Reply(200, body, RELATED, {"Content-Encoding": "gzip"}))
    error = said(archive, course)
    assert (type(error), str(error)) == (
        BadArchive,
        "127.0.0.1 compressed its answer although it was asked not to, so it is not used. "
        "Switch compression off in the server or proxy before it.",
    )


def test_a_server_that_is_busy_for_a_moment_is_asked_again_by_the_next_call(
    archive: Archive, web: WebArchive, course: Course
) -> None:
    """503 is retriable, and nothing is retried behind the caller's back."""
    answers(web, Reply(503, b"busy"))
    error = said(archive, course)
    assert (type(error), error.retriable) == (Refused, True)
    assert str(error) == "127.0.0.1 is not ready, or too busy (HTTP 503). Try again later."
    web.objects = None
    assert len(archive.fetch(series=series(course))) == len(course.cbct)


def test_a_server_that_drips_does_not_outlast_the_budget(double: HttpDouble, web: WebArchive, course: Course) -> None:
    """Each byte comes in time, and all of them never would."""

    def dripping() -> Iterator[bytes]:
        body = parts(files(course))
        yield (MULTIPART + "Connection: close\r\n\r\n").encode() + body[:3000]
        for byte in body[3000:]:
            time.sleep(0.05)
            yield bytes([byte])

    answers(web, Reply(raw=dripping()))
    begun = time.monotonic()
    error = said(Archive(f"dicomweb+{double.url}", budget=1), course)
    assert time.monotonic() - begun < 2
    assert error.retriable
    assert "1 s" in str(error)


def test_a_silent_server_is_given_up_after_the_timeout(double: HttpDouble, web: WebArchive, course: Course) -> None:
    """The sentence names the setting."""

    def silent(asked: Asked) -> Reply:
        time.sleep(1.5)
        return Reply()

    web.query = silent
    error: Any = said(Archive(f"dicomweb+{double.url}", timeout=0.3), course)
    assert (type(error), str(error)) == (
        ConnectionFailed,
        f"127.0.0.1 (127.0.0.1 port {double.port}) has not answered within 0.3 s. "
        "Check that it runs, or raise timeout; to find out, run: qa-fetch echo 127.0.0.1.",
    )
