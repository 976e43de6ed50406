"""The pages for what goes wrong; for a program, the same as JSON."""

from __future__ import annotations

from typing import Optional

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from .. import here

_SENTENCES = {
    400: ("That was not understood", "The address or the form is not one of this node's. Go back, and try again."),
    403: ("Not allowed", "This account may not do that. Ask the node's administrator."),
    404: ("Not here", "There is nothing at this address. It may have been removed; search for it instead."),
    500: ("Something failed", "The node could not make this page. Look into its log, and try again."),
}
_FORGED = "The form was not sent from this node's own page, or its page is old. Load the page again, and try again."


def bad_request(request: HttpRequest, exception: Optional[Exception] = None) -> HttpResponse:
    """400."""
    return said(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return said(request, 403)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that lacks its token."""
    return said(request, 403, _FORGED)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return said(request, 404)


def failed(request: HttpRequest) -> HttpResponse:
    """500; nothing is asked of the database, which may be what failed."""
    return said(request, 500)


def said(request: HttpRequest, status: int, sentence: str = "") -> HttpResponse:
    """What went wrong, for a browser or for a program."""
    title, usual = _SENTENCES[status]
    if not wants_page(request):
        return JsonResponse({"error": sentence or usual}, status=status)
    context = {"node": here.options(), "title": title, "sentence": sentence or usual, "status": status}
    return render(None, "qa_fetch_node/error.html", context, status=status)


def wants_page(request: HttpRequest) -> bool:
    """Whether a browser asks."""
    return "text/html" in request.headers.get("Accept", "")
