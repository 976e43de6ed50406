"""Which address is answered by what."""

from __future__ import annotations

from django.urls import include, path

from . import health

urlpatterns = [
    path("health", health.health),
    path("dicom-web/", include("qa_fetch.node.web.dicomweb.urls")),
    path("", include("qa_fetch.node.web.pages.urls")),
]

# By these names Django finds what answers where nothing else does.
_ERRORS = "qa_fetch.node.web.pages.errors"
handler400, handler403 = f"{_ERRORS}.bad_request", f"{_ERRORS}.forbidden"
handler404, handler500 = f"{_ERRORS}.not_found", f"{_ERRORS}.failed"
