"""Who may look, and who may store: signed in with a name and a password, or a program with a token."""

from __future__ import annotations

import hashlib
from typing import Any, Callable, Optional
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from .. import annotating
from ..models import Token
from ..options import Web, is_loopback
from . import here
from .pages.errors import bad_request

_OPEN = ("/sign-in/", "/static/", "/health")
_STREAMED = "/dicom-web/"  # where each object has the node's own limit
_FORMS = annotating.LARGEST + (1 << 20)  # bytes of any other upload, what is around its content included
_OF_BROWSERS = ("Origin", "Referer", "Sec-Fetch-Site", "Cookie")
# Everything that a page needs comes from the node itself; nothing of a page is kept, or shown inside another one.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}
_SAFE = ("GET", "HEAD", "OPTIONS")
_BEARER = "Bearer "


class Access:
    """Lets by who is known, and sends the others to sign in, or away with 401."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        refusal = self._refusal(request)
        response = refusal if refusal is not None else self._get_response(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: HttpRequest) -> Optional[HttpResponse]:
        web = here.options().web
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return bad_request(request)  # PostgreSQL takes no such text
        if (too_large := _size_refusal(request)) is not None:
            return too_large
        if request.path.startswith(_OPEN):
            return None
        token = request.token = _token(request)
        if token is None and request.headers.get("Authorization", "").startswith(_BEARER):
            return _unauthorised("this token is not known. Ask the node's administrator for one.")
        known = token is not None or request.user.is_authenticated
        if needs_sign_in(web) and not known:
            return _unknown(request)
        if request.method not in _SAFE and not request.path.startswith("/sign-out/"):
            return _write_refusal(request, web, token)
        return None


def _write_refusal(request: HttpRequest, web: Web, token: Optional[Token]) -> Optional[HttpResponse]:
    if web.read_only:
        return JsonResponse({"error": "this node is read-only. Set read_only = false in its [web]."}, status=403)
    if token is not None:
        # No browser sends a token by itself, so no other site can make one do it.
        request.csrf_processing_done = True
        if not token.may_write:
            return JsonResponse({"error": "this token may only read. Ask for one made with --write."}, status=403)
    elif not needs_sign_in(web):
        if not any(name in request.headers for name in _OF_BROWSERS):
            request.csrf_processing_done = True  # a program on this machine, not another site through a browser
    elif not request.user.is_staff:
        return JsonResponse({"error": "this account may only look. Ask for one made with --write."}, status=403)
    return None


def _size_refusal(request: HttpRequest) -> Optional[HttpResponse]:
    """Before anything looks into a body that may be large."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if request.path.startswith(_STREAMED) or length <= _FORMS:
        return None
    too_large = annotating.too_large()
    return JsonResponse({"error": str(too_large)}, status=too_large.status)


def _unknown(request: HttpRequest) -> HttpResponse:
    if "text/html" in request.headers.get("Accept", ""):
        return redirect(f"/sign-in/?next={quote(request.get_full_path())}")
    return _unauthorised("sign in, or send a token in the Authorization header.")


def _unauthorised(why: str) -> HttpResponse:
    return JsonResponse({"error": why}, status=401, headers={"WWW-Authenticate": 'Bearer realm="qa_fetch node"'})


def _token(request: HttpRequest) -> Optional[Token]:
    given = request.headers.get("Authorization", "")
    if not given.startswith(_BEARER):
        return None
    digest = hashlib.sha256(given[len(_BEARER) :].strip().encode("utf-8", "surrogateescape")).hexdigest()
    found: Optional[Token] = Token.objects.filter(digest=digest).first()
    return found


def needs_sign_in(web: Web) -> bool:
    """Whether who looks has to say who they are."""
    return web.sign_in if web.sign_in is not None else not is_loopback(web.host)


def of_the_node(request: HttpRequest) -> dict[str, Any]:
    """What every page shows."""
    options = here.options()
    needed = needs_sign_in(options.web)
    writing = not options.web.read_only and (not needed or request.user.is_staff)
    return {"node": options, "sign_in": needed, "writing": writing}
