"""Plain HTTP for the tests of DICOMweb: exact requests and exact answers."""

from __future__ import annotations

import email
import email.policy
import http.client
import json
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import quote

ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = (b"\xff\x4f\xff\x51 first \xff\xd9 ", b"\xff\x4f\xff\x51 second\xff\xd9 ")  # of a compressed object


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal, which is all that it says."""
        said = self.json
        assert list(said) == ["error"]
        return str(said["error"])

    @property
    def parts(self) -> list[tuple[str, bytes]]:
        """The media types and the bytes of the parts of a multipart answer."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        boundary = message.get_boundary() or ""
        first, *parts = (b"\r\n" + self.body).split(b"\r\n--" + boundary.encode())
        assert (first, parts.pop()) == (b"", b"--\r\n")
        split = [part.split(b"\r\n\r\n", 1) for part in parts]
        found = []
        for header, body in split:
            fields = dict(line.split(": ", 1) for line in header.decode().strip().split("\r\n"))
            assert int(fields["Content-Length"]) == len(body)
            found.append((fields["Content-Type"], body))
        return found


def ask(port: Optional[int], path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
    """One request below ``/dicom-web``; header names with underscores."""
    connection = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=30)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"/dicom-web{path}", body, fields)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def address(study: str, series: str = "", instance: str = "") -> str:
    """The address of an entity."""
    levels = (("studies", study), ("series", series), ("instances", instance))
    return "".join(f"/{name}/{quote(uid, safe='')}" for name, uid in levels if uid)


def multipart(*files: bytes, boundary: str = "b0undary") -> bytes:
    """Files as the body of a STOW-RS request."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + file + b"\r\n" for file in files) + f"--{boundary}--\r\n".encode()


STOW = {"Content_Type": 'multipart/related; type="application/dicom"; boundary=b0undary'}
