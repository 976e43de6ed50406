"""The node's index as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class NodeAppConfig(AppConfig):  # type: ignore[misc]  # Django ships no type hints
    """The app ``qa_fetch_node``; its key type is fixed here because Django's default for it changed in version 6."""

    name = "qa_fetch.node"
    label = "qa_fetch_node"
    verbose_name = "DICOM node"
    default_auto_field = "django.db.models.BigAutoField"
