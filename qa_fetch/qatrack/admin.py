"""The admin pages: archives with their connection test, units, this server, the fetch log and the shelf."""

from __future__ import annotations

from typing import Any, Callable, Optional, TypeVar

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join

from ..config import KINDS, LOCAL, SHELF, Config, ConfigError
from . import fetch_log
from .forms import ArchiveForm, ThisServerForm, UnitForm
from .models import Archive, Fetch, ShelfUsage, ThisServer, Unit
from .shelf_page import ShelfPage
from .stored_settings import StoredSettings
from .trying import try_archive

_Column = TypeVar("_Column", bound=Callable[..., Any])

# A table that is too wide would have one word a line; the variable is that of newer Djangos, which have a dark look.
_WIDE = "display: inline-block; min-width: 8em"
_RED = "display: inline-block; min-width: 15em; color: var(--error-fg, #ba2121)"


def _red(text: str) -> Any:
    return format_html('<strong style="{}">{}</strong>', _RED, text)


def described(column: str, order: str = "") -> Callable[[_Column], _Column]:
    """The heading of a column, as Django before 3.2 takes it."""

    def mark(function: _Column) -> _Column:
        vars(function)["short_description"] = column
        if order:
            vars(function)["admin_order_field"] = order
        return function

    return mark


def in_use_from(name: str) -> str:
    """Which source an archive of this name is really taken from; "" for the admin pages."""
    origin = Config.load().archive(name).origins["kind"]
    if not origin.startswith("Django"):
        return origin.replace("file ", "", 1)
    layers = settings.QA_FETCH
    return "local_settings.py" if not isinstance(layers, StoredSettings) or layers.written_here(name) else ""


@admin.register(Archive)
class ArchiveAdmin(admin.ModelAdmin):  # type: ignore[misc]  # Django ships no type hints; the same below
    """Archives, each with its connection test."""

    form = ArchiveForm
    list_display = ("name", "kind", "address", "used_by", "in_use", "test")
    change_list_template = "qa_fetch_qatrack/archives.html"
    change_form_template = "qa_fetch_qatrack/archive.html"
    fieldsets = (
        (None, {"fields": ("name", "kind")}),
        (
            "Where it is",
            {"fields": ("ae_title", "host", "port", "url", "path")},
        ),
        (
            "Signing in and encryption",
            {
                "fields": ("user", "password_env", "password_file", "token_env", "token_file", "tls")
                + ("ca_file", "certificate_file", "key_file")
            },
        ),
        (
            "Rarely needed",
            {
                "classes": ("collapse",),
                "fields": ("local_ae_title", "local_port", "retrieve", "one_plan_per_series", "also", "budget")
                + ("timeout", "root", "relational", "associations", "keep_open", "transport"),
            },
        ),
    )

    def get_urls(self) -> list[Any]:
        """The connection test beside Django's own pages."""
        test = self.admin_site.admin_view(self.test_connection)
        return [path("test/", test, name="qa_fetch_qatrack_archive_test"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Optional[dict[str, Any]] = None) -> HttpResponse:
        """Archives that are defined elsewhere are shown too, since they can be tested as well."""
        own = set(Archive.objects.values_list("name", flat=True))
        problem, others = "", []
        try:
            others = [(name, in_use_from(name)) for name in Config.load().archive_names() if name not in own]
        except ConfigError as error:
            problem = error.message
        context = {"problem": problem, "others": others, "may_test": self.has_change_permission(request)}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: Optional[str] = None,
        form_url: str = "",
        extra_context: Optional[dict[str, Any]] = None,
    ) -> HttpResponse:
        """The page hides the fields that the chosen kind does not have."""
        context = {"fields_of_kinds": {kind: list(options) for kind, options in KINDS.items()}}
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def test_connection(self, request: HttpRequest) -> HttpResponse:
        """Run the test and show each step; a GET changes to the list, since following a link must call nobody."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:qa_fetch_qatrack_archive_changelist"))
        name, patient = request.POST.get("archive", ""), request.POST.get("patient", "").strip()
        problem = _unknown(name)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": f"Connection test: {name}",
            "trial": None if problem else try_archive(name, patient),
            "archive": name,
            "patient": patient,
            "problem": problem,
        }
        return TemplateResponse(request, "qa_fetch_qatrack/test.html", context)

    @described("address")
    def address(self, archive: Archive) -> str:
        """Where it is, as its kind has it."""
        if archive.kind == "dimse":
            return f"{archive.ae_title} at {archive.host} port {archive.port}"
        return str(archive.url or archive.path)

    @described("used by")
    def used_by(self, archive: Archive) -> str:
        """The units that use it, and whether it is the default."""
        users = [f"unit {unit.number}" for unit in archive.units.all()]
        return ", ".join([*(["default"] if ThisServer.objects.filter(default=archive) else []), *users]) or "-"

    @described("in use")
    def in_use(self, archive: Archive) -> Any:
        """Whether what stands here is what counts, or why not."""
        try:
            source = in_use_from(archive.name)
        except ConfigError as error:
            return _red(error.message)
        return _red(f"no: defined in {source}, which wins") if source else "yes"

    @described("connection")
    def test(self, archive: Archive) -> Any:
        """A button of the form below the list."""
        button = '<button type="submit" class="button" form="qa-fetch-test" name="archive" value="{}">Test</button>'
        return format_html(button, archive.name)


def _unknown(name: str) -> str:
    """Why an archive cannot be tested: a form may name an archive, but not an address."""
    try:
        known = Config.load().archive_names()
    except ConfigError as error:
        return error.message
    return "" if name in known else f"No archive is called {name}. Choose one from the list."


@admin.register(Unit)
class UnitAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """Units."""

    form = UnitForm
    list_display = ("number", "archive_or_default", "patient", "in_use")

    @described("archive", order="archive")
    def archive_or_default(self, unit: Unit) -> str:
        """Its archive."""
        return str(unit.archive or "the default archive")

    @described("in use")
    def in_use(self, unit: Unit) -> Any:
        """Whether what stands here is what counts, or why not."""
        try:
            found = Config.load().unit(unit.number)
        except ConfigError as error:
            return _red(error.message)
        if {"archive": found.archive, "patient": found.patient} == {
            "archive": None,
            "patient": None,
            **unit.as_table(),
        }:
            return "yes"
        return _red("no: defined in the configuration file or local_settings.py, which wins")


@admin.register(ThisServer)
class ThisServerAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """What is set once."""

    form = ThisServerForm
    readonly_fields = ("in_use",)
    fieldsets = (
        (None, {"fields": ("default", "ae_title", "port", "path", "in_use")}),
        (
            "Rarely needed",
            {
                "classes": ("collapse",),
                "fields": ("budget", "settle_minutes", "host", "transport", "ca_file", "certificate_file", "key_file"),
            },
        ),
    )

    @described("in use")
    def in_use(self, server: ThisServer) -> Any:
        """Which of these settings count for nothing, since another source has them too."""
        try:
            config = Config.load()
            found = [config.top("default"), config.top("budget"), *map(config.local, LOCAL), *map(config.shelf, SHELF)]
        except ConfigError as error:
            return _red(error.message)
        others = [setting for setting in found if setting.origin.startswith(("file ", "environment"))]
        lines = [(setting.key, setting.value, setting.origin) for setting in others]
        return format_html_join("", "<div>{} is {}, from the {}, which wins</div>", lines) or "all of these"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one row at most."""
        return bool(super().has_add_permission(request)) and not ThisServer.objects.exists()

    def changelist_view(self, request: HttpRequest, extra_context: Optional[dict[str, Any]] = None) -> HttpResponse:
        """Straight to the form."""
        row = ThisServer.objects.first()
        if row is not None:
            return HttpResponseRedirect(reverse("admin:qa_fetch_qatrack_thisserver_change", args=(row.pk,)))
        if self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:qa_fetch_qatrack_thisserver_add"))
        return super().changelist_view(request, extra_context)


class Outcome(admin.SimpleListFilter):  # type: ignore[misc]
    """Failed, from the shelf, or fetched."""

    title = parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [("failed", "failed"), ("shelf", "from the shelf"), ("network", "fetched")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows of the choice."""
        if self.value() == "failed":
            return queryset.exclude(problem="")
        if self.value() in ("shelf", "network"):
            return queryset.filter(problem="", from_shelf=self.value() == "shelf")
        return queryset


@admin.register(Fetch)
class FetchAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """The fetch log, to be read only."""

    list_display = ("when", "for_unit", "archive", "asked", "outcome", "took", "who", "shown_patient")
    list_filter = (Outcome, "archive", "unit", "when")
    fields = list_display
    readonly_fields = list_display

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are written by fetches alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """And nobody corrects them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The command ``qa_fetch_prune`` removes what is too old."""
        return False

    @described("user", order="user")
    def who(self, row: Fetch) -> str:
        """Who."""
        return row.user or "-"

    @described("unit", order="unit")
    def for_unit(self, row: Fetch) -> str:
        """For which unit."""
        return "-" if row.unit is None else str(row.unit)

    @described("patient")
    def shown_patient(self, row: Fetch) -> str:
        """The PatientID, where the site wants it to be seen."""
        return (row.patient or "-") if fetch_log.shows_patients() else "hidden"

    @described("asked", order="call")
    def asked(self, row: Fetch) -> Any:
        """The call, and what it brought."""
        text = f"{row.call}: {row.objects_count} x {row.what}" if row.objects_count else row.call
        return format_html('<span style="{}">{}</span>', _WIDE, text)

    @described("seconds", order="seconds")
    def took(self, row: Fetch) -> str:
        """How long."""
        return f"{row.seconds:.2f}"

    @described("outcome", order="problem")
    def outcome(self, row: Fetch) -> Any:
        """The sentence of a failure, else where the objects came from."""
        if row.problem:
            return _red(row.problem)
        return {True: "from the shelf", False: "fetched"}.get(row.from_shelf, "tried" if row.call == "echo" else "done")


@admin.register(ShelfUsage)
class ShelfAdmin(ShelfPage, admin.ModelAdmin):  # type: ignore[misc]
    """The shelf has a page, but no rows."""
