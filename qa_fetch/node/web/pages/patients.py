"""Patients, searched and listed, and the studies of one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Count, Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from ...models import Instance, Patient
from ...query import SPOKEN
from .paging import kept, page

RTPLAN = "1.2.840.10008.5.1.4.1.1.481.5"
_AT_ONCE = 25
_FIELDS = ("name", "id", "from", "to", "modality", "plan")
_PATIENT, _STUDY = "series__study__patient", "series__study"
_NO_DATE = "A date is written as 2025-11-03. This one was left out of the search."


def patients(request: HttpRequest) -> HttpResponse:
    """Those who fit a search, the one with the newest study first."""
    asked = {field: request.GET.get(field, "").strip() for field in _FIELDS}
    studies, problem = _found(asked)
    groups = studies.order_by().values(_PATIENT, f"{_PATIENT}__PatientID")
    groups = groups.annotate(newest=Max("StudyDate"), studies=Count(_STUDY, distinct=True))
    shown = page(request, groups.order_by("-newest", f"-{_PATIENT}"), _AT_ONCE)
    keys = [group[_PATIENT] for group in shown]
    spoken = _spoken("patient", keys)
    modalities = modalities_of(_PATIENT, keys)
    counts = counted(_PATIENT, keys)
    rows = [
        {
            "key": group[_PATIENT],
            "PatientID": group[f"{_PATIENT}__PatientID"],
            "says": spoken.get(group[_PATIENT]),
            "newest": group["newest"],
            "studies": group["studies"],
            "modalities": modalities[group[_PATIENT]],
            "objects": counts.get(group[_PATIENT], {}).get("objects", 0),
        }
        for group in shown
    ]
    context = {
        "rows": rows,
        "page": shown,
        "asked": {**asked, "since": asked["from"]},
        "searching": any(asked.values()),
        "kept": kept(request),
        "problem": problem,
        "known": _known_modalities(),
    }
    return render(request, "qa_fetch_node/patients.html", context)


def patient(request: HttpRequest, key: int) -> HttpResponse:
    """One patient's studies, the newest first."""
    found = get_object_or_404(Patient, pk=key)
    groups = Instance.objects.filter(speaks_for_study=True, **{_PATIENT: key}).order_by().values(_STUDY)
    groups = groups.annotate(date=Max("StudyDate"), time=Max("StudyTime")).order_by("-date", "-time", f"-{_STUDY}")
    shown = page(request, groups, _AT_ONCE)
    keys = [group[_STUDY] for group in shown]
    spoken = _spoken("study", keys)
    modalities = modalities_of(_STUDY, keys)
    counts = counted(_STUDY, keys)
    plans = _plan_labels(keys)
    rows = [
        {"key": each, "says": spoken.get(each), "modalities": modalities[each], "plans": plans[each], **counts[each]}
        for each in keys
        if each in counts
    ]
    says = _spoken("patient", [key]).get(key)
    context = {"patient": found, "says": says, "rows": rows, "page": shown, "kept": kept(request)}
    return render(request, "qa_fetch_node/patient.html", context)


def _found(asked: Mapping[str, str]) -> tuple[QuerySet, str]:
    """The objects that speak for the studies that fit, and what was not understood."""
    rows, problem = Instance.objects.filter(speaks_for_study=True), ""
    for word in re.split(r"[\s,^]+", asked["name"].casefold()):
        rows = rows.filter(PatientNameFolded__contains=word) if word else rows
    if asked["id"]:
        rows = rows.filter(**{f"{_PATIENT}__PatientID__icontains": asked["id"]})
    for field, condition in (("from", "StudyDate__gte"), ("to", "StudyDate__lte")):
        digits = asked[field].replace("-", "")
        if re.match(r"[0-9]{8}\Z", digits):
            rows = rows.filter(**{condition: digits})
        elif digits:
            problem = _NO_DATE
    if asked["modality"]:
        some = Instance.objects.filter(speaks_for_series=True, Modality=asked["modality"].upper())
        rows = rows.filter(**{f"{_STUDY}__in": some.values(_STUDY)})
    if asked["plan"]:
        some = Instance.objects.filter(SOPClassUID=RTPLAN, RTPlanLabel__icontains=asked["plan"])
        rows = rows.filter(**{f"{_STUDY}__in": some.values(_STUDY)})
    return rows, problem


def _spoken(level: str, keys: Iterable[int]) -> dict[int, Any]:
    """What the latest object says that speaks for each of these patients or studies."""
    entity = {"patient": _PATIENT, "study": _STUDY}[level]
    rows = Instance.objects.filter(**{f"{entity}__in": list(keys), f"speaks_for_{level}": True}).order_by("pk")
    return {row[entity]: row for row in rows.values(entity, *SPOKEN["PATIENT"], *SPOKEN["STUDY"])}


def modalities_of(entity: str, keys: Iterable[int]) -> Mapping[int, list[str]]:
    """The modalities of each of these patients or studies."""
    found: dict[int, list[str]] = defaultdict(list)
    rows = Instance.objects.filter(**{f"{entity}__in": list(keys), "speaks_for_series": True}).order_by("Modality")
    for key, modality in rows.values_list(entity, "Modality").distinct():
        found[key].append(modality)
    return found


def counted(entity: str, keys: Iterable[int]) -> dict[int, dict[str, Any]]:
    """How much there is of each of these patients, studies or series."""
    rows = Instance.objects.filter(**{f"{entity}__in": list(keys)}).order_by().values(entity)
    rows = rows.annotate(objects=Count("pk"), bytes=Sum("size"), series_count=Count("series", distinct=True))
    return {row[entity]: row for row in rows}


def _plan_labels(keys: Iterable[int]) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    rows = Instance.objects.filter(**{f"{_STUDY}__in": list(keys)}, SOPClassUID=RTPLAN).order_by("RTPlanLabel")
    for key, label in rows.values_list(_STUDY, "RTPlanLabel").distinct():
        found[key].append(label)
    return found


def _known_modalities() -> list[str]:
    rows = Instance.objects.filter(speaks_for_series=True).order_by("Modality")
    return [found for found in rows.values_list("Modality", flat=True).distinct() if found]
