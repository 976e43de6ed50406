"""What came, who is connected, what is being sent, whom the node knows, what it kept apart."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Count, Max, Min, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ....backends.acceptor import Server
from ...jobs import JOBS
from ...models import Conflict, Instance
from ...options import SERVICES
from .. import here
from .paging import kept, page
from .patients import RTPLAN

_AT_ONCE = 50
_SAID = ("PatientName", "Modality", "SeriesDescription", "RTPlanLabel", "RTImageLabel", "ImageType")


def arrivals(request: HttpRequest) -> HttpResponse:
    """What came on one day, the newest first, a line for each series."""
    chosen = _day(request.GET.get("day", ""))
    rows = _stored_on(chosen)
    sources = rows.order_by().values("source").annotate(objects=Count("pk"), bytes=Sum("size"), last=Max("stored"))
    source = request.GET.get("source")
    if source is not None:
        rows = rows.filter(source=source)
    groups = (
        rows.order_by()
        .values("series", "source")
        .annotate(objects=Count("pk"), bytes=Sum("size"), begun=Min("stored"), last=Max("stored"), latest=Max("pk"))
    )
    shown = page(request, groups.order_by("-last", "-latest"), _AT_ONCE)
    latest = Instance.objects.select_related("series__study__patient").defer("header")
    held = latest.in_bulk([group["latest"] for group in shown])
    today = date.today()
    context = {
        "day": chosen,
        "today": chosen == today,
        "before": chosen - timedelta(days=1),
        "after": chosen + timedelta(days=1) if chosen < today else None,
        "sources": sorted(sources, key=lambda each: each["last"], reverse=True),
        "source": source,
        "rows": [{**group, "says": held[group["latest"]]} for group in shown if group["latest"] in held],
        "page": shown,
        "kept": kept(request),
        "kept_without_source": kept(request, "source"),
        "RTPLAN": RTPLAN,
    }
    return render(request, "qa_fetch_node/arrivals.html", context)


def now(request: HttpRequest) -> HttpResponse:
    """Who is connected, and what the node is sending."""
    server: Server = settings.QA_FETCH_SERVER
    context = {
        "callers": [
            {"title": each.title, "address": each.address, "since": datetime.fromtimestamp(each.since).astimezone()}
            for each in sorted(server.callers, key=lambda each: each.since)
        ],
        "running": JOBS.running(),
        "over": JOBS.over(),
        "bounds": here.options().bounds,
    }
    return render(request, "qa_fetch_node/now.html", context)


def white_list(request: HttpRequest) -> HttpResponse:
    """Whom the node knows, and what they may ask for."""
    options = here.options()
    peers = sorted(options.peers.items())
    context = {
        "peers": [{"title": title, "peer": peer, "services": _offered(peer.services)} for title, peer in peers],
        "strangers": _offered(options.strangers),
        "services": SERVICES,
    }
    return render(request, "qa_fetch_node/white_list.html", context)


def conflicts(request: HttpRequest) -> HttpResponse:
    """The objects that came under the UID of another one, the newest first."""
    shown = page(request, Conflict.objects.order_by("-stored", "-pk"), _AT_ONCE)
    uids = [conflict.SOPInstanceUID for conflict in shown]
    held = dict(Instance.objects.filter(SOPInstanceUID__in=uids).values_list("SOPInstanceUID", "pk"))
    rows = [{"conflict": conflict, "held": held.get(conflict.SOPInstanceUID)} for conflict in shown]
    return render(request, "qa_fetch_node/conflicts.html", {"rows": rows, "page": shown, "kept": kept(request)})


def _offered(services: tuple[str, ...]) -> tuple[str, ...]:
    """What of these the node offers at all."""
    return tuple(service for service in services if service in here.options().services)


def _day(text: str) -> date:
    """The day that is asked for; today where it is none, or none that this machine can count with."""
    if re.match(r"(19|2\d)\d\d-\d\d-\d\d\Z", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            return date.today()
    return date.today()


def _stored_on(day: date) -> QuerySet:
    begins, ends = (datetime.combine(each, time()).astimezone() for each in (day, day + timedelta(days=1)))
    return Instance.objects.filter(stored__gte=begins, stored__lt=ends)
