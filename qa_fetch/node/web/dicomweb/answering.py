"""What every answer of DICOMweb has in common, and how a refusal is said: one sentence of JSON."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, Callable, Optional

from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from ....errors import BadArchive
from .. import here
from . import media
from .joined import Joined, Piece

LOG = logging.getLogger("qa_fetch.node")

_WHOLE = 4 << 20  # bytes up to which an answer is made as a whole, so that its length can be said
_OFF = "this node does not serve DICOMweb. Set dicomweb = true in its [web]."
_STORING = "STOW-RS"

_ADDRESS = re.compile(r"[0-9.]+\Z|\[|localhost\Z")

View = Callable[..., HttpResponseBase]


class Refused(Exception):
    """Why a request is not answered, as a sentence that holds nothing of it."""

    def __init__(self, status: int, sentence: str, headers: Optional[Mapping[str, str]] = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})

    def answer(self) -> HttpResponse:
        """The same for the client."""
        return JsonResponse({"error": str(self)}, status=self.status, headers=self.headers)


def service(name: str, **views: View) -> View:
    """A view made of one for each method; it refuses what cannot be answered, and logs one line.

    No other web site can make a browser send what STOW-RS takes (``multipart/related``), and the others only read: none
    needs Django's protection against that.

    Parameters
    ----------
    name
        What reading is called in the log.
    views
        The functions that answer, by method.
    """

    @wraps(next(iter(views.values())))
    def view(request: HttpRequest, **uids: str) -> HttpResponseBase:
        try:
            answer = _answered(views, request, uids)
        except Refused as refused:
            answer = refused.answer()
        except SuspiciousOperation:
            answer = Refused(400, "this request cannot be understood. Ask with fewer or shorter parameters.").answer()
        except DatabaseError as error:
            LOG.error("%s failed: the database raised %s", name, type(error).__name__)
            answer = Refused(503, "the node's index does not answer. Try again later.").answer()
        except (OSError, BadArchive) as error:
            LOG.error("%s failed: %s", name, type(error).__name__)
            sentence = "the file of an object cannot be read. Run on the node: qa-fetch node data verify"
            answer = Refused(500, sentence).answer()
        if request.method == "HEAD":
            answer = _without_body(answer)
        LOG.info(
            "%s from %s: %d",
            _STORING if request.method == "POST" else name,
            request.META.get("REMOTE_ADDR", ""),
            answer.status_code,
        )
        answer["Cache-Control"] = "private, no-store"
        return answer

    exempt: View = csrf_exempt(view)
    return exempt


def _without_body(answer: HttpResponseBase) -> HttpResponseBase:
    """The same without what a HEAD does not ask for; the web server would send it, and take it for the next answer."""
    if isinstance(answer, HttpResponse) and answer.content:
        answer["Content-Length"] = str(len(answer.content))
        answer.content = b""
    elif isinstance(answer, StreamingHttpResponse):
        answer.close()
        return HttpResponse(status=answer.status_code, content_type=answer["Content-Type"])
    return answer


def _answered(views: Mapping[str, View], request: HttpRequest, uids: Mapping[str, str]) -> HttpResponseBase:
    if not here.options().web.dicomweb:
        raise Refused(404, _OFF)
    method = "GET" if request.method == "HEAD" else str(request.method)
    if method not in views:
        allowed = [*views, *(["HEAD"] if "GET" in views else [])]
        raise Refused(
            405,
            f"this address does not take that method. Use {' or '.join(views)}.",
            {"Allow": ", ".join(allowed)},
        )
    return views[method](request, **uids)


def unknown(request: HttpRequest) -> HttpResponseBase:
    """There is no such service."""
    raise Refused(404, "this is no address of the node's DICOMweb services. Look it up in DICOM PS3.18.")


def base(request: HttpRequest) -> str:
    """Where the client has reached the node, for the addresses in answers."""
    host = str(request.get_host())
    name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    port = str(request.META.get("SERVER_PORT", ""))
    # dicomweb-client leaves the port out of its Host header. Behind a proxy a name without a port is right.
    if name == host and port not in ("", "80") and _ADDRESS.match(name):
        host = f"{host}:{port}"
    return f"{request.scheme}://{host}"


def json_media(request: HttpRequest) -> str:
    """How JSON is to be called in the answer; 406 where a client wants something else."""
    found = media.chosen(request.headers.get("Accept", ""), (media.JSON, media.PLAIN_JSON))
    if found is None:
        raise Refused(406, "this is answered as JSON only. Accept application/dicom+json.")
    return found


def json_list(request: HttpRequest, rows: Iterable[Any], media_type: str, **headers: str) -> HttpResponseBase:
    """A list of JSON objects, sent as they come where there are many of them."""
    return streamed(_listed(rows), media_type, headers)


def _listed(rows: Iterable[Any]) -> Iterator[bytes]:
    mark = b"["
    for row in rows:
        yield mark + json.dumps(row, separators=(",", ":"), allow_nan=False).encode()
        mark = b",\n"
    yield b"]" if mark != b"[" else b"[]"


def streamed(pieces: Iterator[bytes], media_type: str, headers: Mapping[str, str]) -> HttpResponseBase:
    """What is made bit by bit; what goes wrong before much of it is made is still answered with a status."""
    first: list[bytes] = []
    size = 0
    for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size > _WHOLE:
            return StreamingHttpResponse(_on(first, pieces), content_type=media_type, headers=headers)
    return HttpResponse(b"".join(first), content_type=media_type, headers=headers)


def _on(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield b"".join(first)
    first.clear()
    yield from rest


def joined(request: HttpRequest, pieces: Iterable[Piece], media_type: str) -> HttpResponseBase:
    """Bytes and files one behind the other, as the web server reads them."""
    body = Joined(pieces)
    if request.method == "HEAD":
        return HttpResponse(content_type=media_type, headers={"Content-Length": str(len(body))})
    return FileResponse(body, content_type=media_type)
