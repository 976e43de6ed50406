"""A scripted HTTP server in threads of the test process, and a small DICOMweb archive on it that can be told to lie."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, NamedTuple, Optional, Union
from urllib.parse import parse_qsl, unquote, urlsplit

from pydicom.dataset import Dataset

from qa_fetch import part10

from .process import LOOPBACK, program

BOUNDARY = "double-4711"
RELATED = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    keys: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Reply:
    """What is answered; ``raw`` goes out as it is, and then the connection ends."""

    status: int = 200
    body: Union[bytes, Iterable[bytes]] = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Optional[Iterable[bytes]] = None
    close: bool = False


Script = Callable[[Asked], Reply]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: Any) -> None:
        pass  # clients that go away are part of the tests


def _handler(double: HttpDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def setup(self) -> None:
            double.connections += 1
            super().setup()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            asked = Asked(
                self.command,
                unquote(parts.path),
                parse_qsl(parts.query, keep_blank_values=True),
                dict(self.headers.items()),
                body,
            )
            double.asked.append(asked)
            with suppress(OSError):
                self.reply(double.script(asked))

        do_GET = do_POST = do_PUT = answer

        def reply(self, reply: Reply) -> None:
            if reply.raw is not None:
                self.close_connection = True
                for piece in reply.raw:
                    self.wfile.write(piece)
                    self.wfile.flush()
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            whole = isinstance(reply.body, bytes)
            if whole:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            for piece in [reply.body] if whole else reply.body:
                self.wfile.write(piece)
            self.wfile.flush()
            self.close_connection = reply.close or not whole

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


class HttpDouble:
    """A server on a free port of loopback that answers every request by its script; a context manager.

    ``asked`` lists the requests, ``connections`` counts what was opened.
    """

    def __init__(self, script: Script, certificate: Optional[tuple[Path, Path]] = None) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0

        self._server = _Server((LOOPBACK, 0), _handler(self))
        self.port = int(self._server.server_address[1])
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, certificate))
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Its root."""
        return f"{self.scheme}://{LOOPBACK}:{self.port}"

    def paths(self, method: str = "GET") -> list[str]:
        """What was asked for with a method."""
        return [asked.path for asked in self.asked if asked.method == method]

    def __enter__(self) -> HttpDouble:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key; Missing where openssl is."""
    files = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=qa_fetch test", "-addext", f"subjectAltName=IP:{LOOPBACK}"]
    command = [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-out", str(files[0]), "-keyout", str(files[1])], check=True, capture_output=True)
    return files


def as_file(dataset: Dataset) -> bytes:
    """A data set as a Part-10 file."""
    buffer = BytesIO()
    part10.write(dataset, buffer)
    return buffer.getvalue()


def parts(files: Sequence[bytes], *, boundary: str = BOUNDARY, lengths: bool = True, end: bytes = b"--\r\n") -> bytes:
    """Files as a multipart body."""
    pieces = []
    for file in files:
        length = f"Content-Length: {len(file)}\r\n" if lengths else ""
        pieces.append(f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n{length}\r\n".encode() + file)
    return b"".join(pieces)[2:] + f"\r\n--{boundary}".encode() + end


def json_of(dataset: Dataset, keywords: Sequence[str] = ()) -> dict[str, Any]:
    """A data set as DICOM JSON, without what is binary."""
    found: dict[str, Any] = {}
    for element in dataset:
        if element.VR.startswith("O") or (keywords and element.keyword not in keywords):
            continue
        field: dict[str, Any] = {"vr": element.VR}
        if element.VR == "SQ":
            field["Value"] = [json_of(item) for item in element.value]
        elif element.value not in (None, ""):
            several = element.value if element.VM > 1 else [element.value]
            field["Value"] = [{"Alphabetic": str(one)} if element.VR == "PN" else str(one) for one in several]
        found[f"{int(element.tag):08X}"] = field
    return found


class WebArchive:
    """An honest DICOMweb archive as a script; what a test wants otherwise, it puts over ``query`` or ``objects``."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self.datasets = list(datasets)
        self.page = 1000
        self.matching = True
        self.query: Optional[Script] = None
        self.objects: Optional[Script] = None

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("Accept", "").startswith("multipart"):
            return self.objects(asked) if self.objects is not None else self.retrieve(asked)
        return self.query(asked) if self.query is not None else self.search(asked)

    def below(self, path: str) -> list[Dataset]:
        """What lies under an address."""
        names = path.strip("/").split("/")
        found = self.datasets
        for end, keyword in (("studies", "StudyInstanceUID"), ("series", "SeriesInstanceUID")):
            if end in names[:-1]:
                uid = names[names.index(end) + 1]
                found = [one for one in found if one.get(keyword) == uid]
        if "instances" in names[:-1]:
            found = [one for one in found if one.SOPInstanceUID == names[-1]]
        return found

    def retrieve(self, asked: Asked) -> Reply:
        """WADO-RS."""
        found = self.below(asked.path)
        if not found:
            return Reply(404)
        return Reply(200, parts([as_file(one) for one in found]), RELATED)

    def search(self, asked: Asked) -> Reply:
        """QIDO-RS, with exact matching only."""
        level = asked.path.rpartition("/")[2]
        unique = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[level]
        given = dict(asked.keys)
        rows: dict[str, Dataset] = {}
        for one in self.below(asked.path):
            keys = {key: value for key, value in asked.keys if key not in ("includefield", "limit", "offset")}
            if self.matching and any("-" not in value and str(one.get(key)) != value for key, value in keys.items()):
                continue
            rows.setdefault(str(one.get(unique)), one)
        listed = list(rows.values())
        first = int(given.get("offset", 0))
        return Reply(200, json.dumps([json_of(row) for row in listed[first : first + self.page]]).encode())
