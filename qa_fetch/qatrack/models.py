"""What an administrator sets on the admin pages, and the log of fetches.

A secret never lies in the database, only the name of the environment variable or file that holds it. Units of QATrack+
are known by their number: a foreign key would write migrations into QATrack+'s own apps. Labels and help texts are the
business of the forms, so that a better word needs no migration.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from ..config import KINDS, LOCAL, SHELF


def _text(length: int) -> models.CharField:
    return models.CharField(max_length=length, blank=True, default="")


def _number() -> models.IntegerField:
    return models.IntegerField(null=True, blank=True)


def _amount() -> models.FloatField:
    return models.FloatField(null=True, blank=True)


class Archive(models.Model):  # type: ignore[misc]  # Django ships no type hints; the same below
    """One archive: a field for each setting that an archive of some kind has."""

    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=32, default="dimse")
    ae_title = _text(16)
    host = _text(255)
    port = _number()
    url = _text(500)
    user = _text(150)
    password_env = _text(128)
    password_file = _text(500)
    token_env = _text(128)
    token_file = _text(500)
    path = _text(500)
    retrieve = _text(16)
    root = _text(16)
    relational = _text(16)
    one_plan_per_series = models.BooleanField(default=False)
    local_ae_title = _text(16)
    local_port = _number()
    also = _text(500)
    budget = _amount()
    timeout = _amount()
    associations = _number()
    keep_open = _amount()
    transport = _text(16)
    tls = models.BooleanField(default=False)
    ca_file = _text(500)
    certificate_file = _text(500)
    key_file = _text(500)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.name)

    def as_table(self) -> dict[str, Any]:
        """The same as ``[archives.NAME]`` of qa_fetch.toml; fields that its kind does not have are left out."""
        return {"kind": self.kind, **_given(self, KINDS.get(self.kind, ()))}


class Unit(models.Model):  # type: ignore[misc]
    """The archive and the QA patient of one of QATrack+'s units."""

    number = models.PositiveIntegerField(unique=True)
    # PROTECT: a unit whose archive is gone would silently get images of the default one.
    archive = models.ForeignKey(Archive, models.PROTECT, null=True, blank=True, related_name="units")
    patient = _text(64)

    class Meta:
        ordering = ("number",)

    def __str__(self) -> str:
        return f"unit {self.number}"

    def as_table(self) -> dict[str, Any]:
        """The same as ``[units.N]`` of qa_fetch.toml."""
        archive = {} if self.archive is None else {"archive": self.archive.name}
        return {**archive, **_given(self, ("patient",))}


class ThisServer(models.Model):  # type: ignore[misc]
    """Who we are to archives, and what else is set once; there is one row at most."""

    default = models.ForeignKey(Archive, models.PROTECT, null=True, blank=True, related_name="+")
    ae_title = _text(16)
    port = _number()
    budget = _amount()
    path = _text(500)
    settle_minutes = _amount()
    host = _text(255)
    transport = _text(16)
    certificate_file = _text(500)
    key_file = _text(500)
    ca_file = _text(500)

    class Meta:
        verbose_name = verbose_name_plural = "this server"

    def __str__(self) -> str:
        return "this server"

    def as_tables(self) -> dict[str, Any]:
        """The same as the top, ``[local]`` and ``[shelf]`` of qa_fetch.toml."""
        default = {} if self.default is None else {"default": self.default.name}
        tables = {"local": _given(self, LOCAL), "shelf": _given(self, SHELF)}
        return {**default, **_given(self, ("budget",)), **{name: table for name, table in tables.items() if table}}


class Fetch(models.Model):  # type: ignore[misc]
    """One call of an archive: a row of the fetch log."""

    when = models.DateTimeField(db_index=True)
    user = _text(150)
    unit = models.IntegerField(null=True, blank=True, db_index=True)
    archive = models.CharField(max_length=64, db_index=True)
    patient = _text(64)  # empty unless the site wants it kept
    call = models.CharField(max_length=32)
    what = _text(255)
    objects_count = models.IntegerField(default=0)
    from_shelf = models.BooleanField(null=True, blank=True)
    seconds = models.FloatField(default=0)
    problem = models.TextField(blank=True, default="")

    class Meta:
        ordering = ("-when", "-pk")
        verbose_name = "fetch log entry"
        verbose_name_plural = "fetch log entries"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.call} from {self.archive}"


class ShelfUsage(models.Model):  # type: ignore[misc]
    """No table: it gives the shelf a place among the admin pages, with permissions to see it and to prune it."""

    class Meta:
        managed = False
        verbose_name = verbose_name_plural = "shelf"
        default_permissions = ("view", "delete")


def _given(row: models.Model, keys: Any) -> dict[str, Any]:
    """The fields that were filled in; an empty one leaves it to what is built in."""
    found = {key: getattr(row, key, None) for key in keys}
    return {key: value for key, value in found.items() if value is not None and value != "" and value is not False}
