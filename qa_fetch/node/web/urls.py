"""Which address is answered by what."""

from __future__ import annotations

from django.urls import path

from . import health

urlpatterns = [
    path("health", health.health),
]
