"""STOW-RS: each file is accounted for, whatever the archive answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.course import Course, write_all
from peers.http_double import Asked, HttpDouble, Reply

from qa_fetch import Archive, Incomplete
from qa_fetch.backends import Sent
from qa_fetch.backends.http import stow


@pytest.fixture
def double() -> Iterator[HttpDouble]:
    """A server that stores everything."""
    with HttpDouble(storing) as double:
        yield double


@pytest.fixture
def files(course: Course, tmp_path: Path) -> list[Path]:
    """Four images."""
    return write_all(course.newest.images, tmp_path / "sent")


def uids(asked: Asked) -> list[str]:
    """What a request brings, in order."""
    return [part.split(b"\x02\x00\x03\x00UI")[1][2:].split(b"\x02\x00\x10")[0].strip(b"\0").decode()
            for part in asked.body.split(b"DICM")[1:]]  # fmt: skip


def told(stored: Any, failed: Any = ()) -> bytes:
    """The answer of a server that tells each object's fate; ``failed`` are UIDs with their reasons."""
    rows: dict[str, Any] = {
        "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored]},
        "00081198": {
            "vr": "SQ",
            "Value": [
                {
                    "00081155": {"vr": "UI", "Value": [uid]},
                    "00081197": {"vr": "US", "Value": [reason] if reason else []},
                }
                for uid, reason in failed
            ],
        },
    }
    return json.dumps(rows).encode()


def storing(asked: Asked) -> Reply:
    return Reply(200, told(uids(asked)), "application/dicom+json")


def send(double: HttpDouble, files: list[Path]) -> list[Sent]:
    try:
        return Archive(f"dicomweb+{double.url}").send(files)
    except Incomplete as error:
        return list(error.outcome)


def test_files_go_out_together_as_they_are(double: HttpDouble, files: list[Path]) -> None:
    """One request whose parts are the files, byte for byte, and whose length was announced."""
    assert send(double, files) == [Sent(path) for path in files]
    assert len(double.asked) == 1
    asked = double.asked[0]
    boundary = asked.headers["Content-Type"].partition("boundary=")[2]
    parts = asked.body.split(f"--{boundary}".encode())
    assert [part.partition(b"\r\n\r\n")[2][:-2] for part in parts[1:-1]] == [path.read_bytes() for path in files]
    assert (parts[0], parts[-1]) == (b"", b"--\r\n")
    assert int(asked.headers["Content-Length"]) == len(asked.body)


def test_many_files_go_out_in_batches(double: HttpDouble, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; two files of one object never share a batch, since their answers could not."""
    monkeypatch.setattr(stow, "_FILES", 3)
    twin = files[0].with_name("twin.dcm")
    twin.write_bytes(files[0].read_bytes())
    assert [sent.problem for sent in send(double, [*files, twin])] == [""] * 5
    assert [len(uids(asked)) for asked in double.asked] == [3, 2]
    assert [sent.problem for sent in send(double, [files[0], twin])] == ["", ""]
    assert [len(uids(asked)) for asked in double.asked[2:]] == [1, 1]


@pytest.mark.parametrize("status", [200, 202, 409, 400])
def test_what_was_refused_is_told_with_its_reason(double: HttpDouble, files: list[Path], status: int) -> None:
    """The others are stored; what is not mentioned at all counts as not stored."""

    def choosing(asked: Asked) -> Reply:
        first, second, third, _ = uids(asked)
        return Reply(status, told([first], [(second, 0xA700), (third, 0)]), "application/dicom+json")

    double.script = choosing
    assert [sent.problem for sent in send(double, files)] == [
        "",
        "127.0.0.1 has no room for the object (C-STORE 0xA700). Free space in the archive, then send again",
        f"127.0.0.1 refused {files[2].name} without a reason; its log may have one",
        f"127.0.0.1 did not say that it has stored {files[3].name}; its log may say why",
    ]


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"[]", b"{}", b"[" * 100_000, b'"stored"'])
def test_a_server_that_does_not_tell_has_stored_nothing(double: HttpDouble, files: list[Path], body: bytes) -> None:
    """200 alone is not believed: the statement of each object is."""
    double.script = lambda asked: Reply(200, body, "application/dicom+json")
    assert {sent.problem.partition(" stored ")[0] for sent in send(double, files)} == {
        "127.0.0.1 did not say that it has"
    }


def test_a_server_that_takes_less_at_once_gets_less(double: HttpDouble, files: list[Path]) -> None:
    """413 halves a batch, down to single files."""
    double.script = lambda asked: Reply(413) if len(uids(asked)) > 1 else storing(asked)
    assert [sent.problem for sent in send(double, files)] == [""] * 4
    double.script = lambda asked: Reply(413)
    assert {sent.problem for sent in send(double, files)} == {
        "127.0.0.1 does not take as much at once (HTTP 413). Ask its administrator to raise the limit of uploads"
    }


def test_a_server_that_lets_nobody_in_is_not_sent_the_rest(
    double: HttpDouble, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next batch would fail like the first."""
    monkeypatch.setattr(stow, "_FILES", 1)
    double.script = lambda asked: Reply(403)
    problems = {sent.problem for sent in send(double, files)}
    assert problems == {"127.0.0.1 does not allow this account the upload (HTTP 403). Ask its administrator for it"}
    assert len(double.asked) == 1


def test_an_answer_in_the_middle_of_the_upload_is_read(double: HttpDouble, tmp_path: Path, course: Course) -> None:
    """A server that refuses by closing its door says why first, where it can."""
    double.script = lambda asked: Reply(507, close=True)
    assert [sent.problem for sent in send(double, write_all(course.newest.images, tmp_path / "x"))] == [
        "127.0.0.1 has no room left (HTTP 507). Free space in the archive, then send again"
    ] * 4


def test_what_is_no_dicom_file_is_not_sent(double: HttpDouble, files: list[Path], tmp_path: Path) -> None:
    """It is named; so is what is cut short."""
    text, cut = tmp_path / "notes.txt", tmp_path / "cut.dcm"
    text.write_text("x" * 500)
    cut.write_bytes(files[0].read_bytes()[:-10])
    assert [sent.problem for sent in send(double, [text, cut, files[0]])] == [
        "notes.txt is not a DICOM Part-10 file. Leave it out, or convert it first",
        "an object is cut short: it ends in the middle of an element. Fetch or export it again",
        "",
    ]
    assert len(uids(double.asked[0])) == 1
