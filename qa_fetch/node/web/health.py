"""Whether the node works, for whoever watches over it; nothing that a stranger must not know."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.http import HttpRequest, JsonResponse

from ..models import Instance
from . import here


def health(request: HttpRequest) -> JsonResponse:
    """200 when the index answers, 503 when it does not."""
    try:
        Instance.objects.exists()
    except DatabaseError as error:
        return JsonResponse({"ok": False, "index": type(error).__name__}, status=503)
    return JsonResponse({"ok": True, "index": "ok", "ae_title": here.options().ae_title})
