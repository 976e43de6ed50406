"""The stylesheet and what else every page needs."""

from __future__ import annotations

from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse

_FOLDER = Path(__file__).parents[1] / "static"
_TYPES = {
    "node.css": "text/css; charset=utf-8",
    "node.js": "text/javascript; charset=utf-8",
    "node.svg": "image/svg+xml",
}


def asset(request: HttpRequest, name: str) -> HttpResponse:
    """One of them; nothing else of that folder, and nothing of any other."""
    if name not in _TYPES:
        raise Http404
    content = (_FOLDER / name).read_bytes()
    return HttpResponse(content, content_type=_TYPES[name], headers={"Cache-Control": "public, max-age=3600"})
