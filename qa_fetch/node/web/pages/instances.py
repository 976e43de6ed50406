"""One object: its picture, its attributes, its file, and what it refers to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.html import escape
from pydicom.dataset import Dataset

from .... import part10
from ....errors import BadArchive
from ... import annotating
from ...headers import UNREADABLE
from ...models import Instance
from .. import drawing, here
from . import plans
from .patients import RTPLAN
from .studies import annotated, in_order

_MOST_ROWS, _LONGEST = 4000, 300
_REFERENCES = 50
_WINDOWS = {
    "CT": (("Soft tissue", 40, 400), ("Lung", -600, 1500), ("Bone", 300, 1500), ("Brain", 40, 80)),
}
_UNREADABLE = "Its file cannot be read. Run: qa-fetch node data verify"


class Row(NamedTuple):
    """One element of an object, as a line of a table."""

    depth: int
    tag: str
    name: str
    VR: str
    value: str


def instance(request: HttpRequest, key: int) -> HttpResponse:
    """One object's page."""
    found = get_object_or_404(Instance.objects.select_related("series__study__patient"), pk=key)
    dataset = _dataset(found)
    rows = list(_rows(dataset)) if dataset is not None else []
    wanted = request.GET.get("attribute", "").strip()
    context = {
        "instance": found,
        "rows": [row for row in rows if _fits(row, wanted)][:_MOST_ROWS],
        "all_rows": len(rows),
        "attribute": wanted,
        "unreadable": "" if dataset is not None else _UNREADABLE,
        "plan": plans.read(dataset) if dataset is not None and found.SOPClassUID == RTPLAN else None,
        "referring": _referring(found),
        "referred": _referred(found),
        "neighbours": _neighbours(found),
        **(_picture(request, found, dataset) if dataset is not None and "Rows" in dataset else {}),
        **annotated(annotating.INSTANCE, found.SOPInstanceUID),
    }
    return render(request, "qa_fetch_node/instance.html", context)


def picture(request: HttpRequest, key: int) -> HttpResponse:
    """One frame of an object, as large as it is."""
    found = get_object_or_404(Instance.objects.defer("header"), pk=key)
    try:
        drawn = drawing.png(_path(found), frame=_frame(request), window=_window(request))
    except drawing.NoPicture as no:
        return _instead(str(no))
    return HttpResponse(drawn, content_type="image/png")


def thumbnail(request: HttpRequest, key: int) -> HttpResponse:
    """A small picture of an object, or its modality where it has none."""
    found = get_object_or_404(Instance.objects.defer("header"), pk=key)
    try:
        drawn = drawing.thumbnail(_path(found), found.digest, here.options().data / "thumbnails")
    except drawing.NoPicture:
        return _instead(found.Modality[:16])
    return HttpResponse(drawn, content_type="image/png")


def _instead(text: str) -> HttpResponse:
    """A picture that only says something."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160" width="160" height="160">'
        '<rect width="160" height="160" fill="#20262c"/><text x="80" y="86" fill="#9fb0c0" font-size="18" '
        f'font-family="sans-serif" text-anchor="middle">{escape(text)}</text></svg>'
    )
    return HttpResponse(svg, content_type="image/svg+xml")


def _path(found: Any) -> Any:
    return here.objects().path(found.SOPInstanceUID)


def _dataset(found: Any) -> Optional[Dataset]:
    path = _path(found)
    try:
        dataset: Dataset = part10.read(path, headers_only=True)
    except (BadArchive, OSError):
        return None
    return dataset


def _picture(request: HttpRequest, found: Any, dataset: Dataset) -> dict[str, Any]:
    """What the picture on an object's page needs."""
    frames = _frames(dataset)
    frame = min(_frame(request), frames)
    window = _window(request)
    try:
        drawing.thumbnail(_path(found), found.digest, here.options().data / "thumbnails")
        problem = ""
    except drawing.NoPicture as no:
        problem = str(no)
    question = f"frame={frame}" + (f"&centre={window[0]:g}&width={window[1]:g}" if window else "")
    return {
        "picture": True,
        "problem": problem,
        "question": question,
        "frame": frame,
        "frames": frames,
        "window": window,
        "presets": _WINDOWS.get(found.Modality, ()),
        "shape": (_said(dataset, "Columns"), _said(dataset, "Rows")),
    }


def _frames(dataset: Dataset) -> int:
    try:
        return max(1, int(dataset.get("NumberOfFrames") or 1))
    except UNREADABLE:
        return 1


def _frame(request: HttpRequest) -> int:
    try:
        return max(1, int(request.GET.get("frame", "1")))
    except ValueError:
        return 1


def _window(request: HttpRequest) -> Optional[tuple[float, float]]:
    """The window that somebody asks for; anything that is none is left out."""
    try:
        centre, width = float(request.GET["centre"]), float(request.GET["width"])
    except (KeyError, ValueError):
        return None
    return (centre, width) if math.isfinite(centre) and 0 < width < math.inf else None


def _referring(found: Any) -> list[dict[str, Any]]:
    """The series of the objects that name this one as their plan, the newest first."""
    if found.SOPClassUID != RTPLAN:
        return []
    rows = Instance.objects.filter(referenced_plans__ReferencedSOPInstanceUID=found.SOPInstanceUID).order_by()
    rows = rows.values("series", "Modality").annotate(
        objects=Count("pk", distinct=True), date=Max("AcquisitionDate"), stored=Max("stored"), first=Max("pk")
    )
    return list(rows.order_by("-stored")[:_REFERENCES])


def _referred(found: Any) -> list[tuple[str, Any]]:
    """The plans that this object names, each with its row where it is here."""
    uids = list(found.referenced_plans.values_list("ReferencedSOPInstanceUID", flat=True)[:_REFERENCES])
    held = {row.SOPInstanceUID: row for row in Instance.objects.filter(SOPInstanceUID__in=uids).defer("header")}
    return [(uid, held.get(uid)) for uid in uids]


def _neighbours(found: Any) -> dict[str, Any]:
    """Its place in its series, with those before and after it."""
    keys = list(in_order(found.series_id).values_list("pk", flat=True))
    at = keys.index(found.pk)
    return {
        "place": at + 1,
        "count": len(keys),
        "before": keys[at - 1] if at else None,
        "after": keys[at + 1] if at + 1 < len(keys) else None,
    }


def _fits(row: Row, wanted: str) -> bool:
    folded = wanted.casefold()
    return not folded or any(folded in part.casefold() for part in (row.tag, row.name, row.value))


def _rows(dataset: Dataset, depth: int = 0) -> Iterator[Row]:
    """The elements of a data set and of what is nested in it."""
    for tag in list(dataset.keys()):
        shown = f"({tag.group:04X},{tag.element:04X})"
        try:
            element = dataset[tag]
            yield Row(depth, shown, str(element.name), str(element.VR), _value(element))
            for number, item in enumerate(element.value or () if element.VR == "SQ" else (), 1):
                yield Row(depth + 1, "", f"Item {number}", "", "")
                yield from _rows(item, depth + 1)
        except UNREADABLE:
            yield Row(depth, shown, "", "", "(it cannot be read)")


def _value(element: Any) -> str:
    if element.VR == "SQ":
        count = len(element.value or ())
        return f"{count} item{'' if count == 1 else 's'}"
    if isinstance(element.value, bytes):
        return f"{len(element.value)} bytes"
    many = element.VM > 1
    text = " \\ ".join(str(value) for value in element.value[:100]) if many else _plain(element.value)
    if element.VR == "UI" and not many and (named := str(getattr(element.value, "name", ""))) not in ("", text):
        text = f"{text} ({named})"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} \u2026"


def _said(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "")
    except UNREADABLE:
        return ""


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
