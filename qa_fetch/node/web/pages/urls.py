"""The addresses of the pages; they name rows of the index, so that no patient's identifier stands in one."""

from __future__ import annotations

from typing import Any, Callable

from django.urls import path, register_converter
from django.urls.converters import IntConverter
from django.views.decorators.http import require_http_methods

from .. import annotating
from . import account, activity, assets, instances, patients, statistics, studies

_LOOK, _SEND = ("GET", "HEAD"), ("POST",)


class RowConverter(IntConverter):  # type: ignore[misc]  # Django ships no type hints
    """The key of a row: no more digits than every database takes."""

    regex = "[0-9]{1,18}"


register_converter(RowConverter, "row")


def _page(address: str, view: Callable[..., Any], name: str, methods: tuple[str, ...] = _LOOK) -> Any:
    return path(address, require_http_methods(methods)(view), name=name)


urlpatterns = [
    _page("", patients.patients, "patients"),
    _page("patients/<row:key>/", patients.patient, "patient"),
    _page("studies/<row:key>/", studies.study, "study"),
    _page("series/<row:key>/", studies.series, "series"),
    _page("objects/<row:key>/", instances.instance, "instance"),
    _page("objects/<row:key>/picture", instances.picture, "picture"),
    _page("objects/<row:key>/thumbnail", instances.thumbnail, "thumbnail"),
    _page("arrivals/", activity.arrivals, "arrivals"),
    _page("now/", activity.now, "now"),
    _page("white-list/", activity.white_list, "white-list"),
    _page("conflicts/", activity.conflicts, "conflicts"),
    _page("statistics/", statistics.page, "statistics"),
    _page("statistics.json", statistics.as_json, "statistics-json"),
    _page("sign-in/", account.sign_in, "sign-in", _LOOK + _SEND),
    _page("sign-out/", account.sign_out, "sign-out", _SEND),
    _page("static/<str:name>", assets.asset, "asset"),
    _page("annotations/<str:level>/<str:uid>", annotating.all_of, "annotations", _LOOK + _SEND),
    _page("annotations/<str:level>/<str:uid>/<row:key>", annotating.one, "annotation"),
    _page("save_annotation/", annotating.as_sphere_did, "as-sphere-did", _SEND),
]
