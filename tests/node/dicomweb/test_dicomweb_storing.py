"""STOW-RS: what is taken, what is refused and how that is said, and what a hostile sender cannot do."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest
from dicomweb_asking import STOW, Answer, address, ask, multipart
from pydicom.dataset import Dataset

import qa_fetch
from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess
from qa_fetch.node.options import Web

pytestmark = pytest.mark.node

REFERENCED, FAILED, OTHERS, REASON, URL = "00081199", "00081198", "0008119A", "00081197", "00081190"
CANNOT_TELL = "the parts of this request cannot be told apart. Send it again."


def _file(dataset: Dataset, syntax: str = part10.EXPLICIT_LITTLE) -> bytes:
    meta = part10.file_meta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), syntax)
    return meta + objects.encoded(dataset, syntax)


def _post(node: NodeProcess, body: Any, path: str = "/studies", **headers: str) -> Answer:
    return ask(node.web_port, path, "POST", body, **{**STOW, **headers})


def _uids(told: Any, tag: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in told.get(tag, {}).get("Value", ())]


def _reasons(told: Any, tag: str = FAILED) -> list[int]:
    return [item[REASON]["Value"][0] for item in told[tag]["Value"]]


def _held(node: NodeProcess, uid: str) -> list[bytes]:
    return [Path(path).read_bytes() for path in (node.options.data / "objects").rglob(f"{uid}.dcm")]


def test_objects_are_stored_and_each_is_accounted_for(taking: NodeProcess) -> None:
    """200, with the address of each; what was sent is what is held, and it can be found at once."""
    some = [objects.plan(11), objects.image(11), objects.image(11, number=2)]
    answer = _post(taking, multipart(*map(_file, some)), f"/studies/{objects.uid(11, 1)}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/dicom+json")
    told = answer.json
    assert _uids(told, REFERENCED) == [str(each.SOPInstanceUID) for each in some]
    assert set(told) == {URL, REFERENCED}
    first = told[REFERENCED]["Value"][1]
    where = address(objects.uid(11, 1), objects.uid(11, 1, 2), objects.uid(11, 1, 2, 1))
    assert first["00081150"]["Value"] == [objects.RTIMAGE]
    assert first[URL]["Value"] == [f"http://127.0.0.1:{taking.web_port}/dicom-web{where}"]
    assert told[URL]["Value"] == [f"http://127.0.0.1:{taking.web_port}/dicom-web/studies/{objects.uid(11, 1)}"]
    for each in some:
        (held,) = _held(taking, str(each.SOPInstanceUID))
        assert held.endswith(objects.encoded(each))
    assert len(ask(taking.web_port, f"/instances?StudyInstanceUID={objects.uid(11, 1)}").json) == 3
    assert len(client.find(taking.port, "IMAGE", {"StudyInstanceUID": objects.uid(11, 1)}).answers) == 3


def test_the_same_object_again_is_fine(taking: NodeProcess) -> None:
    """A sender may repeat itself."""
    body = multipart(_file(objects.image(12)))
    assert [_post(taking, body).status for _ in range(2)] == [200, 200]


def test_a_request_in_chunks_is_taken(taking: NodeProcess) -> None:
    """Without a length, in pieces of any size."""
    body = multipart(_file(objects.image(13)), _file(objects.image(13, number=2)))
    pieces = (body[at : at + 37] for at in range(0, len(body), 37))
    assert _uids(_post(taking, pieces).json, REFERENCED) == [objects.uid(13, 1, 2, number) for number in (1, 2)]


@pytest.mark.parametrize("syntax", [part10.IMPLICIT_LITTLE, part10.DEFLATED, objects.JPEG_2000])
def test_every_encoding_is_kept_as_it_comes(taking: NodeProcess, syntax: str) -> None:
    """Also what the node cannot read pixels of."""
    number = [part10.IMPLICIT_LITTLE, part10.DEFLATED, objects.JPEG_2000].index(syntax)
    dataset = objects.image(14, number=number + 1)
    if syntax == objects.JPEG_2000:
        dataset = objects.compressed(dataset)
    assert _post(taking, multipart(_file(dataset, syntax))).status == 200
    (held,) = _held(taking, str(dataset.SOPInstanceUID))
    assert held.endswith(objects.encoded(dataset, syntax))


def test_some_are_stored_and_the_others_named(taking: NodeProcess) -> None:
    """202, with a DIMSE status for each that is not: another object under a known UID, and one of another study."""
    assert _post(taking, multipart(_file(objects.image(15)))).status == 200
    body = multipart(
        _file(objects.image(15, RTImageLabel="other")),
        _file(objects.image(15, number=2)),
        _file(objects.image(15, study=2)),
        b"this is no DICOM file, but it is a part",
    )
    answer = _post(taking, body, f"/studies/{objects.uid(15, 1)}")
    assert answer.status == 202
    told = answer.json
    assert _uids(told, REFERENCED) == [objects.uid(15, 1, 2, 2)]
    assert _uids(told, FAILED) == [objects.uid(15, 1, 2, 1), objects.uid(15, 2, 2, 1)]
    assert (_reasons(told), _reasons(told, OTHERS)) == ([0x0111, 0xA900], [0xC000])
    assert _held(taking, objects.uid(15, 2, 2, 1)) == []


def test_none_is_stored(taking: NodeProcess) -> None:
    """409, and nothing is left of what was refused."""
    dataset = objects.image(16)
    other = part10.file_meta(objects.RTIMAGE, "1.2.3", part10.EXPLICIT_LITTLE) + objects.encoded(dataset)
    answer = _post(taking, multipart(other, _file(dataset)[:-5]))
    assert (answer.status, _uids(answer.json, FAILED)) == (409, ["1.2.3", str(dataset.SOPInstanceUID)])
    assert _reasons(answer.json) == [0xA900, 0xC000]
    assert REFERENCED not in answer.json
    assert list((taking.options.data / "incoming").iterdir()) == []


def test_an_object_that_is_too_large_is_refused_and_the_next_is_stored(taking: NodeProcess) -> None:
    """Its bytes are let by; a warning says which bound it is."""
    large = objects.image(17, Rows=1024, Columns=1024, PixelData=bytes(2 << 20))
    answer = _post(taking, multipart(_file(large), _file(objects.image(17, number=2))))
    assert (answer.status, _reasons(answer.json)) == (202, [0xA700])
    assert answer.headers["Warning"] == (
        '299 qa_fetch "An object is larger than bounds.object_megabytes allows, or the disk is full."'
    )
    assert _uids(answer.json, REFERENCED) == [objects.uid(17, 1, 2, 2)]


@pytest.mark.parametrize(
    ("content_type", "status", "sentence"),
    [
        (
            "application/dicom",
            415,
            'objects are sent as multipart/related; type="application/dicom"; boundary=... only.',
        ),
        (
            'multipart/related; type="application/dicom+json"; boundary=b0undary',
            415,
            'objects are sent as multipart/related; type="application/dicom"; boundary=... only.',
        ),
        (
            "multipart/form-data; boundary=b0undary",
            415,
            'objects are sent as multipart/related; type="application/dicom"; boundary=... only.',
        ),
        ("", 415, 'objects are sent as multipart/related; type="application/dicom"; boundary=... only.'),
        (
            'multipart/related; type="application/dicom"',
            400,
            "this request does not say by which boundary its parts are told apart. Send it again.",
        ),
        (
            'multipart/related; type="application/dicom"; boundary="\\"<b>"',
            400,
            "this request does not say by which boundary its parts are told apart. Send it again.",
        ),
        ('multipart/related; type="application/dicom"; boundary=other', 400, CANNOT_TELL),
    ],
)
def test_only_multipart_of_dicom_files_is_taken(
    taking: NodeProcess, content_type: str, status: int, sentence: str
) -> None:
    """Nothing that a form on another web site could make a browser send."""
    answer = _post(taking, multipart(_file(objects.image(18))), Content_Type=content_type)
    assert (answer.status, answer.error) == (status, sentence)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", CANNOT_TELL),
        (b"--b0undary--\r\n", "this request brings no object. Send at least one."),
        (b"--b0undary\r\nContent-Length: -1\r\n\r\nx\r\n--b0undary--", CANNOT_TELL),
        (b"--b0undary\r\nContent-Length: 99\r\n\r\nx\r\n--b0undary--", CANNOT_TELL),
        (b"--b0undary\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b0undary--", CANNOT_TELL),
        (b"--b0undary garbage\r\n\r\nx\r\n--b0undary--", CANNOT_TELL),
        (b"--b0undary\r\n" + b"X: y\r\n" * 5000 + b"\r\nx\r\n--b0undary--", CANNOT_TELL),
        (b"\0" * 100_000, CANNOT_TELL),
    ],
)
def test_a_body_that_is_none_is_refused(taking: NodeProcess, body: bytes, sentence: str) -> None:
    """400, whatever is wrong with its boundaries."""
    answer = _post(taking, body)
    assert (answer.status, answer.error) == (400, sentence)


def test_what_came_before_a_body_broke_is_stored_and_said(taking: NodeProcess) -> None:
    """A sender whose second part has no end learns of the first one."""
    whole = multipart(_file(objects.image(19)), _file(objects.image(19, number=2)))
    answer = _post(taking, whole[: -len(b"\r\n--b0undary--\r\n") - 3])
    assert (answer.status, _uids(answer.json, REFERENCED)) == (202, [objects.uid(19, 1, 2, 1)])
    assert _uids(answer.json, FAILED) == [objects.uid(19, 1, 2, 2)]
    assert answer.headers["Warning"] == (
        '299 qa_fetch "The parts of the request could not be told apart to its end. Send the rest again."'
    )
    assert _held(taking, objects.uid(19, 1, 2, 2)) == []


def test_hostile_uids_choose_no_path(taking: NodeProcess) -> None:
    """An object is kept under a name of the node's own, and can be fetched by what it calls itself."""
    dataset = objects.image(20, SOPInstanceUID="../../../evil")
    answer = _post(taking, multipart(_file(dataset)))
    assert answer.status == 200
    assert not [path for path in taking.options.data.parent.rglob("*evil*")]
    (row,) = ask(taking.web_port, "/instances?PatientID=QA20").json
    assert row["00080018"]["Value"] == ["../../../evil"]
    assert row[URL]["Value"][0].endswith("/instances/..%2F..%2F..%2Fevil")


def test_the_log_holds_no_identifiers(taking: NodeProcess) -> None:
    """How many, how much and from where."""
    assert _post(taking, multipart(_file(objects.image(21)))).status == 200
    ask(taking.web_port, "/studies?PatientID=QA21")
    log = taking.options.log.read_text("utf-8") if taking.options.log else ""
    assert '"STOW-RS: 1 stored, 0 refused, ' in log
    assert '"STOW-RS from 127.0.0.1: 200"' in log
    assert '"QIDO-RS from 127.0.0.1: 200"' in log
    assert "QA21" not in log and "Machine21" not in log


def test_a_node_that_is_read_only_takes_nothing(web: NodeProcess) -> None:
    """As it is by default."""
    answer = _post(web, multipart(_file(objects.image(22))))
    assert (answer.status, answer.error) == (403, "this node is read-only. Set read_only = false in its [web].")


def _token(folder: Path, call: str) -> str:
    """A token of the node in a folder, made in a process of its own as the command makes it."""
    code = (
        "import sys; from pathlib import Path; from qa_fetch.node import NodeOptions, index; "
        "index.start(NodeOptions(Path(sys.argv[1]))); from qa_fetch.node import accounts; "
        f"print(accounts.{call})"
    )
    root = str(Path(qa_fetch.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_node_that_asks_who_calls_wants_a_token(tmp_path: Path) -> None:
    """Nothing without one, no storing with one that may only read, everything with one that may write."""
    folder = tmp_path / "node"
    reads, writes = (_token(folder, call) for call in ("add_token('viewer')", "add_token('linac', True)"))
    body = multipart(_file(objects.image(23)))
    with NodeProcess(NodeOptions(folder, port=0, web=Web(port=0, sign_in=True, read_only=False))) as node:
        for answer in (ask(node.web_port, "/studies"), _post(node, body), _post(node, body, Authorization="Bearer x")):
            assert answer.status == 401
            assert answer.headers["Www-Authenticate"] == 'Bearer realm="qa_fetch node"'
        refused = _post(node, body, Authorization=f"Bearer {reads}")
        assert (refused.status, refused.error) == (403, "this token may only read. Ask for one made with --write.")
        assert ask(node.web_port, "/studies", Authorization=f"Bearer {reads}").status == 204
        assert _post(node, body, Authorization=f"Bearer {writes}").status == 200
        assert len(ask(node.web_port, "/studies", Authorization=f"Bearer {reads}").json) == 1


def test_a_node_without_dicomweb_says_so(tmp_path: Path) -> None:
    """404 at every address, and what to set."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, web=Web(port=0, dicomweb=False, read_only=False))) as node:
        for answer in (ask(node.web_port, "/studies"), _post(node, b""), ask(node.web_port, "/x")):
            assert (answer.status, answer.error) == (
                404,
                "this node does not serve DICOMweb. Set dicomweb = true in its [web].",
            )


@pytest.mark.parametrize(
    ("method", "path", "allowed", "use"),
    [
        ("DELETE", "/studies/1.2.3", "GET, POST, HEAD", "GET or POST"),
        ("PUT", "/studies", "GET, POST, HEAD", "GET or POST"),
        ("POST", "/series", "GET, HEAD", "GET"),
    ],
)
def test_other_methods_are_not_taken(taking: NodeProcess, method: str, path: str, allowed: str, use: str) -> None:
    """405, with those that are."""
    answer = ask(taking.web_port, path, method, b"")
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert answer.error == f"this address does not take that method. Use {use}."


@pytest.mark.parametrize(
    "path",
    [
        "/studies/%00",
        "/studies/..",
        "/studies/../../etc/passwd",
        "/studies/..%2f..%2fetc%2fpasswd",
        "/studies/*",
        "/studies/%2A/series/%2A",
        "/studies/1.2%5C1.3",
        "/studies/1.2%0d%0aSet-Cookie:x=1",
        "/studies/%ff%fe",
        "/studies/" + "9" * 300,
        "/studies/1/series/*/instances",
        "/studies/1/series/2/instances/3/bulkdata/..%2f..%2f",
        "/studies/1/series/2/instances/3/frames/" + "1," * 2000 + "1",
        "/studies/<script>alert(1)</script>",
        "/studies?StudyDate=%2D%2D%2D&PatientName=" + "*a" * 200,
        "/studies?StudyTime=" + "9" * 3000 + "-",
        "/studies?PatientName=%ff%fe&AccessionNumber=%F0%9F%92%A3",
        "/instances?SeriesNumber=1e999",
        "/instances?GantryAngle=nan",
        "/instances?limit=99999999999999999999&offset=1",
    ],
)
def test_hostile_addresses_are_refused_and_never_break_the_node(taking: NodeProcess, path: str) -> None:
    """An answer below 500, which repeats nothing that could be a page."""
    answer = ask(taking.web_port, path)
    assert 200 <= answer.status < 500
    assert b"<script>" not in answer.body
    assert "Set-Cookie" not in answer.headers
    assert ask(taking.web_port, "/studies?limit=1").status == 200


@pytest.mark.parametrize(
    "accept",
    ["\x80\xff", ",;,;", '"', 'multipart/related; type="', "a/b;q=x", "*/*;q=0", "x" * 60_000, "a/b," * 20_000],
)
def test_hostile_headers_are_refused_and_never_break_the_node(web: NodeProcess, accept: str) -> None:
    """What nobody can read means nothing."""
    where = address(objects.uid(1, 1), objects.uid(1, 1, 2), objects.uid(1, 1, 2, 1))
    for path in ("/studies", where, f"{where}/metadata", f"{where}/frames/1", f"{where}/rendered"):
        assert ask(web.web_port, path, Accept=accept).status in (200, 406)


def test_a_header_with_a_line_break_is_no_request(web: NodeProcess) -> None:
    """It is refused before anybody looks at it."""
    with socket.create_connection(("127.0.0.1", web.web_port or 0), 10) as connection:
        connection.sendall(b"GET /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nAccept: a\rb\r\n\r\n")
        assert connection.recv(1 << 16).split(b"\r\n")[0].endswith(b" 400 Bad Request")


def test_a_foreign_host_name_is_refused(web: NodeProcess) -> None:
    """No web site can point its own name at the node and read what it holds."""
    connection = http.client.HTTPConnection("127.0.0.1", web.web_port or 0, timeout=10)
    connection.request("GET", "/dicom-web/studies", headers={"Host": "evil.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.read() != b"") == (400, True)
    connection.close()
