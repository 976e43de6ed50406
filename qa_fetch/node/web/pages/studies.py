"""A study's series, and a series' objects."""

from __future__ import annotations

from typing import Any

from django.db.models import Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from ... import annotating
from ...models import Instance, Series, Study
from .paging import kept, page
from .patients import counted

_SERIES_AT_ONCE, _OBJECTS_AT_ONCE = 50, 48
_SAID = ("PatientName", "StudyDate", "StudyTime", "StudyDescription", "StudyID", "AccessionNumber")


def study(request: HttpRequest, key: int) -> HttpResponse:
    """One study: its series, each with a picture of one of its objects."""
    found = get_object_or_404(Study.objects.select_related("patient"), pk=key)
    says = Instance.objects.filter(series__study=key, speaks_for_study=True).order_by("-pk").values(*_SAID).first()
    groups = Instance.objects.filter(series__study=key, speaks_for_series=True).order_by().values("series")
    groups = groups.annotate(number=Min("SeriesNumber"), first=Min("pk")).order_by("number", "series")
    shown = page(request, groups, _SERIES_AT_ONCE)
    counts = counted("series", [group["series"] for group in shown])
    firsts = Instance.objects.defer("header").select_related("series").in_bulk([group["first"] for group in shown])
    rows = [{"says": firsts[group["first"]], **counts[group["series"]]} for group in shown if group["series"] in counts]
    context = {
        "study": found,
        "says": says,
        "rows": rows,
        "page": shown,
        "kept": kept(request),
        **annotated(annotating.STUDY, found.StudyInstanceUID),
    }
    return render(request, "qa_fetch_node/study.html", context)


def series(request: HttpRequest, key: int) -> HttpResponse:
    """One series: its objects in their order."""
    found = get_object_or_404(Series.objects.select_related("study__patient"), pk=key)
    shown = page(request, in_order(key), _OBJECTS_AT_ONCE)
    first = Instance.objects.filter(series=key).defer("header").order_by("pk").first()
    context = {
        "series": found,
        "says": first,
        "page": shown,
        "kept": kept(request),
        **annotated(annotating.SERIES, found.SeriesInstanceUID),
    }
    return render(request, "qa_fetch_node/series.html", context)


def in_order(key: int) -> QuerySet:
    """The objects of a series, by their number."""
    return Instance.objects.filter(series=key).defer("header").order_by("InstanceNumber", "pk")


def annotated(level: str, uid: str) -> dict[str, Any]:
    """What the part of a page needs that shows annotations."""
    return {"annotated": (level, uid), "annotations": annotating.of(level, uid)}
