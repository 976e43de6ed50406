"""Long lists in pages."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest


def page(request: HttpRequest, rows: Any, length: int) -> Page:
    """The page of a list that a request asks for: the nearest one there is."""
    return Paginator(rows, length).get_page(request.GET.get("page"))


def kept(request: HttpRequest, *without: str) -> str:
    """The question of a request without some of its parts, to be followed by others."""
    question = request.GET.copy()
    for name in ("page", *without):
        question.pop(name, None)
    return f"{question.urlencode()}&" if question else ""
