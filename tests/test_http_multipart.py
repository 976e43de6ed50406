"""The parts of a multipart body, however the network cuts it, and whatever is wrong with it."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.http_double import BOUNDARY, parts

from qa_fetch.backends.http.multipart import Multipart
from qa_fetch.errors import BadArchive, ConnectionFailed, QAFetchError

ENDED = "pacs ended a transfer before its end. Call again; if it does so again, run: qa-fetch echo pacs."
MIXED_UP = (
    "pacs sent a transfer whose parts cannot be told apart, so the rest of it is not used. "
    "Report it to its administrator."
)


class Cut:
    """A body that comes in pieces of these sizes, over and over."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self._body, self._sizes, self._at, self._turn = body, sizes, 0, 0

    def readinto(self, target: memoryview) -> int:
        size = min(self._sizes[self._turn % len(self._sizes)], len(target), len(self._body) - self._at)
        target[:size] = self._body[self._at : self._at + size]
        self._at, self._turn = self._at + size, self._turn + 1
        return size


def read(body: bytes, sizes: Optional[list[int]] = None, *, taken: int = 1 << 20) -> list[bytes]:
    """All parts, each taken in steps of at most that size."""
    found = []
    for part in Multipart(Cut(body, sizes or [1 << 20]), BOUNDARY, "pacs"):
        pieces = []
        while True:
            ahead = bytes(part.ahead()[:taken])
            if ahead:
                pieces.append(ahead)
                part.take(len(ahead))
            elif not part.more():
                break
        found.append(b"".join(pieces))
    return found


def refused(body: bytes) -> QAFetchError:
    with pytest.raises(QAFetchError) as caught:
        read(body)
    return caught.value


CONTENTS = st.lists(
    st.lists(st.sampled_from([b"\r\n", b"--", b"\r\n--", BOUNDARY[:5].encode(), b"\x00", b"abc"]), max_size=12).map(
        b"".join
    ),
    max_size=5,
)


@given(CONTENTS, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.booleans(), st.integers(1, 50))
def test_parts_come_out_as_they_went_in(contents: list[bytes], sizes: list[int], lengths: bool, taken: int) -> None:
    """However the network cuts the body, also within a delimiter, and with whatever looks like half a one in it."""
    body = parts(contents, lengths=lengths) if contents else f"--{BOUNDARY}--".encode()
    assert read(body, sizes, taken=taken) == contents


@given(st.integers(0, 400), st.booleans())
def test_a_body_that_ends_early_is_never_taken_for_whole(length: int, lengths: bool) -> None:
    """At whatever byte the connection breaks."""
    body = parts([b"x" * 90, b"y" * 120], lengths=lengths, end=b"--")
    if length < len(body):
        error = refused(body[:length])
        assert (type(error), str(error)) == (ConnectionFailed, ENDED)


def test_a_part_larger_than_the_buffer_comes_in_pieces() -> None:
    """Three megabytes through a buffer of one."""
    large = bytes(range(256)) * (3 << 12)
    assert read(parts([large, b"small"], lengths=False), [65536, 1000]) == [large, b"small"]


def test_what_stands_before_and_behind_the_parts_says_nothing() -> None:
    """Preamble and epilogue are for readers of mail."""
    assert read(b"This is multipart.\r\n" + parts([b"one"]) + b"epilogue") == [b"one"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (parts([b"one"], boundary="another"), ENDED),
        (parts([b"one"], boundary=BOUNDARY + "5"), MIXED_UP),
        (parts([b"one"]).replace(b"Length: 3", b"Length: 2"), MIXED_UP),
        (parts([b"one"]).replace(b"Length: 3", b"Length: 4"), MIXED_UP),
        (parts([b"one"]).replace(b"Length: 3", b"Length: -3"), MIXED_UP),
        (parts([b"one"]).replace(b"Length: 3", b"Length: 9999999999999999"), MIXED_UP),
        (parts([b"one"]).replace(b"Length: 3", b"Length: 3\r\nContent-Length: 4"), MIXED_UP),
        (parts([b"one"]).replace(b"Length: 3", b"Length: 300"), ENDED),
        (parts([b"one"]).replace(b"Length: 3", b"Encoding: gzip"), MIXED_UP),
        (parts([b"one"]).replace(b"Length: 3", b"Type: " + b"x" * (1 << 20)), MIXED_UP),
        (parts([b"one"], end=b"xx"), MIXED_UP),
        (b"", ENDED),
    ],
)
def test_a_body_whose_parts_cannot_be_told_apart_is_refused(body: bytes, kind: str) -> None:
    """Wrong boundaries, lengths that lie, headers of a megabyte."""
    error = refused(body)
    assert str(error) == kind
    assert type(error) is (BadArchive if kind == MIXED_UP else ConnectionFailed)
