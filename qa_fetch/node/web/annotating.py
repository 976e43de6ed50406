"""Annotations over HTTP: uploaded, listed and fetched; nothing of this machine's own files is ever taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Optional, Union

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse

from .. import annotating
from ..annotating import NotAnnotated, Upload
from ..models import Annotation, Instance, Series, Study, Token
from . import here
from .pages.errors import wants_page

_PIECE = 1 << 20
# What a browser may be told that a file is, though it only ever saves it.
_HARMLESS = frozenset(("application/json", "application/pdf", "image/jpeg", "image/png", "text/csv", "text/plain"))
_NO_PATH = (
    "a path of this server is not taken, only content. "
    "Send the file itself: POST /annotations/study, series or instance/UID, for example as multipart/form-data."
)
_NO_NAME = "the upload has no name. Add ?name= to the address, or send it as multipart/form-data."
_NO_FILE = "the form has no file. Choose one, and send it again."
_NO_JSON = "the upload is said to be JSON and is none. Correct it, or send it with another Content-Type."


def all_of(request: HttpRequest, level: str, uid: str) -> HttpResponse:
    """List what has been put to a study, a series or an object, or put something more there."""
    try:
        annotating.known(level, uid)
        if request.method != "POST":
            return JsonResponse({"annotations": [_described(each) for each in annotating.of(level, uid)]})
        added = annotating.add(_folder(), level, uid, _upload(request))
    except NotAnnotated as no:
        return JsonResponse({"error": str(no)}, status=no.status)
    if wants_page(request):
        return redirect(f"{_page_of(level, uid)}#annotations")
    described = _described(added)
    return JsonResponse(described, status=201, headers={"Location": described["address"]})


def one(request: HttpRequest, level: str, uid: str, key: int) -> HttpResponse:
    """Send one, to be saved and never to be shown by the browser in the node's name."""
    found = Annotation.objects.filter(level=level, uid=uid, pk=key).first()
    if found is None:
        raise Http404
    try:
        file = annotating.path(_folder(), found.digest).open("rb")
    except OSError:
        sentence = "the file of this annotation is gone. Restore the node's folder from a backup."
        return JsonResponse({"error": sentence}, status=404)
    media_type = found.media_type if found.media_type in _HARMLESS else "application/octet-stream"
    response = FileResponse(file, as_attachment=True, filename=found.name, content_type=media_type)
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def as_sphere_did(request: HttpRequest) -> JsonResponse:
    """SPHERE's address, which copied any file of its server: say what to do instead."""
    return JsonResponse({"error": _NO_PATH}, status=400)


def _upload(request: HttpRequest) -> Upload:
    author, given = _author(request), request.content_type or ""
    if given == "multipart/form-data":
        file = request.FILES.get("file") or next(iter(request.FILES.values()), None)
        if file is None:
            raise NotAnnotated(400, _NO_PATH if "file_path" in request.POST else _NO_FILE)
        return Upload(str(file.name), str(file.content_type or ""), author, file.chunks(_PIECE))
    name = request.GET.get("name", "")
    if given == "application/json":
        content = b"".join(_body(request))
        try:
            said = json.loads(content)
        except (ValueError, RecursionError):
            raise NotAnnotated(400, _NO_JSON) from None
        if isinstance(said, dict) and "file_path" in said:
            raise NotAnnotated(400, _NO_PATH)
        return Upload(name or "annotation.json", given, author, [content])
    if not name:
        raise NotAnnotated(400, _NO_NAME)
    return Upload(name, given, author, _body(request))


def _body(request: HttpRequest) -> Iterator[bytes]:
    while piece := request.read(_PIECE):
        yield piece


def _author(request: HttpRequest) -> str:
    token: Optional[Token] = getattr(request, "token", None)
    return str(token.name) if token is not None else str(request.user.get_username())


def _described(found: Any) -> dict[str, Union[str, int]]:
    return {
        "id": found.pk,
        "name": found.name,
        "media_type": found.media_type,
        "size": found.size,
        "sha256": found.digest,
        "author": found.author,
        "created": found.created.isoformat(),
        "address": reverse("annotation", args=(found.level, found.uid, found.pk)),
    }


def _page_of(level: str, uid: str) -> str:
    models: dict[str, tuple[Any, str]] = {"study": (Study, "StudyInstanceUID"), "series": (Series, "SeriesInstanceUID")}
    model, keyword = models.get(level, (Instance, "SOPInstanceUID"))
    key = model.objects.filter(**{keyword: uid}).values_list("pk", flat=True)[0]
    return str(reverse(level, args=(key,)))


def _folder() -> Any:
    return here.options().data / "annotations"
