"""Which address of DICOMweb is answered by what."""

from __future__ import annotations

from django.urls import path, re_path

from . import bulk, qido, rendered, stow, wado
from .answering import service, unknown

_STUDY = "studies/<str:study>"
_SERIES = f"{_STUDY}/series/<str:series>"
_INSTANCE = f"{_SERIES}/instances/<str:instance>"

_objects = service("WADO-RS", GET=wado.objects)
_metadata = service("WADO-RS", GET=wado.metadata)
_thumbnail = service("WADO-RS", GET=rendered.thumbnail)
_rendered = service("WADO-RS", GET=rendered.rendered)
_series = service("QIDO-RS", GET=qido.series)
_instances = service("QIDO-RS", GET=qido.instances)
_unknown = service("DICOMweb", **dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), unknown))

urlpatterns = [
    path("studies", service("QIDO-RS", GET=qido.studies, POST=stow.store)),
    path("series", _series),
    path("instances", _instances),
    path(f"{_STUDY}/series", _series),
    path(f"{_STUDY}/instances", _instances),
    path(f"{_SERIES}/instances", _instances),
    path(_STUDY, service("WADO-RS", GET=wado.objects, POST=stow.store)),
    path(_SERIES, _objects),
    path(_INSTANCE, _objects),
    *(path(f"{each}/metadata", _metadata) for each in (_STUDY, _SERIES, _INSTANCE)),
    *(path(f"{each}/thumbnail", _thumbnail) for each in (_STUDY, _SERIES, _INSTANCE)),
    path(f"{_INSTANCE}/rendered", _rendered),
    path(f"{_INSTANCE}/bulkdata/<path:where>", service("WADO-RS", GET=bulk.bulk)),
    path(f"{_INSTANCE}/frames/<str:numbers>", service("WADO-RS", GET=bulk.frames)),
    path(f"{_INSTANCE}/frames/<str:number>/rendered", _rendered),
    path(f"{_INSTANCE}/frames/<str:number>/thumbnail", _thumbnail),
    re_path(r"", _unknown),
]
