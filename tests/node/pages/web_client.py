"""A plain HTTP client for the pages: it follows nothing, and keeps cookies as a browser does."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union
from urllib.parse import urlencode


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Web:
    """Somebody who asks a node."""

    def __init__(self, port: Optional[int], *, browser: bool = False, token: str = "") -> None:
        assert port is not None
        self.port = port
        self.cookies: dict[str, str] = {}
        self._headers = {"Accept": "text/html"} if browser else {}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Union[bytes, str, Mapping[str, str]] = b"", **headers: str) -> Answer:
        """POST of a body, or of the fields of a form."""
        if isinstance(body, Mapping):
            token = {"csrfmiddlewaretoken": self.cookies.get("qa_fetch_node_csrf", "")}
            body = urlencode({**token, **body})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.ask("POST", path, body, headers)

    def ask(self, method: str, path: str, body: Any = None, headers: Optional[Mapping[str, str]] = None) -> Answer:
        """Any request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in (headers or {}).items()}}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            for line in response.headers.get_all("Set-Cookie") or ():
                found = re.match(r"([^=]+)=([^;]*)", line)
                assert found
                self.cookies[found[1]] = found[2]
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


def form(name: str, content: bytes, field: str = "file") -> tuple[bytes, str]:
    """A form with one file: body and content type."""
    head = f'--limit\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    body = head.encode() + b"Content-Type: text/plain\r\n\r\n" + content + b"\r\n--limit--\r\n"
    return body, "multipart/form-data; boundary=limit"
