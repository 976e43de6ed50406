"""The page of the statistics, and the same as JSON."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from ... import statistics
from . import plots
from .showing import local

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1))
_STEPS = {statistics.DAY: 60, statistics.HOUR: 72}  # that are shown


def page(request: HttpRequest) -> HttpResponse:
    """Tables and plots of what is there and how it came."""
    by = _by(request)
    found = statistics.collect(by)
    speed = found.speed[-_STEPS[by] :]
    form = "%Y-%m-%d" if by == statistics.DAY else "%m-%d %H h"
    # A day is one of UTC, by which the database counts; an hour is shown by this machine's clock.
    labels = [(each.begins if by == statistics.DAY else local(each.begins)).strftime(form) for each in speed]
    unit, amount = next((name, bytes_) for name, bytes_ in _UNITS if found.bytes >= bytes_ or bytes_ == 1)
    context = {
        "found": found,
        "by": by,
        "speed": [{"label": label, "says": each} for label, each in zip(labels, speed)][::-1],
        "growth": found.growth[::-1][:60],
        "plots": {
            "speed": plots.columns(
                "speed",
                "Speed of what came, in MB/s",
                "MB/s",
                [(label, each.megabytes_per_second) for label, each in zip(labels, speed)],
            )
            if speed
            else None,
            "rate": plots.columns(
                "rate",
                "Speed of what came, in objects/s",
                "objects/s",
                [(label, each.objects_per_second) for label, each in zip(labels, speed)],
            )
            if speed
            else None,
            "growth": plots.line(
                "growth",
                f"What is held, in {unit}",
                unit,
                [(f"{each.day:%Y-%m-%d}", each.total_bytes / amount) for each in found.growth],
            )
            if found.growth
            else None,
            "count": plots.columns(
                "count",
                "Objects that came each day",
                "objects",
                [(f"{each.day:%Y-%m-%d}", each.objects) for each in found.growth[-_STEPS[statistics.DAY] :]],
            )
            if found.growth
            else None,
        },
        "most": max((each.objects for each in found.modalities), default=1),
        "most_of_source": max((each.objects for each in found.sources), default=1),
    }
    return render(request, "qa_fetch_node/statistics.html", context)


def as_json(request: HttpRequest) -> JsonResponse:
    """The same numbers for programs."""
    return JsonResponse(statistics.collect(_by(request)).plain())


def _by(request: HttpRequest) -> str:
    return statistics.HOUR if request.GET.get("by") == statistics.HOUR else statistics.DAY
