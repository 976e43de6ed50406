"""The app as QATrack+'s settings name it: ``INSTALLED_APPS += ["qa_fetch.qatrack.apps.QATrackConfig"]``."""

from __future__ import annotations

from django.apps import AppConfig


class QATrackConfig(AppConfig):  # type: ignore[misc]  # Django ships no type hints
    """Archives, units and a fetch log on the admin pages of a Django between 2.2 and 5.2."""

    name = "qa_fetch.qatrack"
    label = "qa_fetch_qatrack"
    verbose_name = "qa_fetch: images and plans"
    default_auto_field = "django.db.models.AutoField"  # what Django 2.2 makes, so that all versions agree

    def ready(self) -> None:
        """Put what the admin pages say beneath ``settings.QA_FETCH``, and begin to keep the fetch log."""
        from . import fetch_log, stored_settings

        stored_settings.put_in_place()
        fetch_log.listen()
