"""The page that shows what lies on the shelf, and prunes it after a preview."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from .. import shelf
from ..amounts import amount
from ..config import Config
from ..errors import QAFetchError
from ..shelf import Entry, Report

_SHOWN = 200  # sets on the page; the command line lists all


@dataclass
class Usage:
    """What one archive has on the shelf."""

    archive: str
    sets: int = 0
    files: int = 0
    size: int = 0
    last_used: Optional[datetime] = None

    @property
    def amount(self) -> str:
        """Its size as people read it."""
        return amount(self.size)


@dataclass
class Contents:
    """What the page shows; ``problem`` where the shelf cannot be read."""

    root: Optional[Path] = None
    usages: list[Usage] = field(default_factory=list)
    sets: list[Entry] = field(default_factory=list)
    problem: str = ""

    @property
    def size(self) -> int:
        """The bytes of all sets; an object that several of them hold counts in each."""
        return sum(usage.size for usage in self.usages)


class PruneForm(forms.Form):  # type: ignore[misc]  # Django ships no type hints
    """What to remove."""

    older_than = forms.FloatField(
        label="Unused for more than", required=False, min_value=0, max_value=100_000, help_text="days"
    )
    max_gb = forms.FloatField(
        label="Then the longest unused until it fits", required=False, min_value=0, max_value=1e6, help_text="GB"
    )

    def clean(self) -> dict[str, Any]:
        """Nothing is removed unless somebody says what."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and given.get("older_than") is None and given.get("max_gb") is None:
            raise forms.ValidationError("Give a number of days, a size, or both.")
        return given

    def prune(self, root: Path, *, dry_run: bool) -> Report:
        """Do what the form says."""
        most = self.cleaned_data["max_gb"]
        return shelf.prune(
            root,
            older_than_days=self.cleaned_data["older_than"],
            max_bytes=None if most is None else int(most * 1e9),
            dry_run=dry_run,
        )


class ShelfPage:
    """The pages of a ModelAdmin, replaced by one."""

    admin_site: Any
    model: Any

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Fetches put objects there."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was fetched stays as it was."""
        return False

    def get_urls(self) -> list[Any]:
        """The one page, under the name that Django's index links to."""
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="qa_fetch_qatrack_shelfusage_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: Optional[dict[str, Any]] = None) -> HttpResponse:
        """Show the shelf; a POST previews what would be removed, and with ``confirmed`` removes it."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]  # of ModelAdmin
            raise PermissionDenied
        may_prune = self.has_delete_permission(request)  # type: ignore[attr-defined]
        if request.method == "POST" and not may_prune:
            raise PermissionDenied
        form = PruneForm(request.POST if request.method == "POST" else None)
        contents = _contents()
        preview: Optional[Report] = None
        if contents.root is not None and form.is_valid():
            confirmed = request.POST.get("confirmed") == "yes"
            try:
                preview = form.prune(contents.root, dry_run=not confirmed)
            except QAFetchError as error:
                contents.problem = error.message
            if preview is not None and confirmed:
                messages.success(request, f"{len(preview.removed)} sets and objects removed, {amount(preview.freed)}.")
                return HttpResponseRedirect(reverse("admin:qa_fetch_qatrack_shelfusage_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": "Shelf",
            "form": form,
            "contents": contents,
            "size": amount(contents.size),
            "rows": [_row(entry) for entry in contents.sets[:_SHOWN]],
            "more": max(0, len(contents.sets) - _SHOWN),
            "preview": preview,
            "preview_sets": _sets_of(preview, contents),
            "preview_freed": amount(preview.freed) if preview else "",
            "may_prune": may_prune,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "qa_fetch_qatrack/shelf.html", context)


def _contents() -> Contents:
    """Read the shelf's manifests."""
    try:
        root: Path = Config.load().shelf("path").value
        sets = list(shelf.entries(root))
    except QAFetchError as error:
        return Contents(problem=error.message)
    except OSError as error:
        return Contents(
            problem=f"The shelf cannot be read: {error.strerror}. Check the rights of the web server on it."
        )
    usages: dict[str, Usage] = {}
    for entry in sets:
        usage = usages.setdefault(entry.archive, Usage(entry.archive, last_used=_moment(entry.last_used)))
        usage.sets += 1
        usage.files += entry.files
        usage.size += entry.size
    return Contents(root, list(usages.values()), sets)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "archive": entry.archive,
        "about": entry.about,
        "files": entry.files,
        "size": amount(entry.size),
        "last_used": _moment(entry.last_used),
    }


def _sets_of(report: Optional[Report], contents: Contents) -> list[dict[str, Any]]:
    """The sets among what would be removed, as the page shows sets."""
    removed = set(report.removed) if report else set()
    return [_row(entry) for entry in contents.sets if entry.folder in removed]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc if settings.USE_TZ else None)
