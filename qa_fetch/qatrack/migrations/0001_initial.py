"""The tables of the app, as Django 2.2 wrote them; later ones find nothing to add."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]  # Django ships no type hints
    initial = True

    dependencies: list[Any] = []

    operations = [
        migrations.CreateModel(
            name="ShelfUsage",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "shelf",
                "verbose_name_plural": "shelf",
                "managed": False,
                "default_permissions": ("view", "delete"),
            },
        ),
        migrations.CreateModel(
            name="Archive",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("kind", models.CharField(default="dimse", max_length=32)),
                ("ae_title", models.CharField(blank=True, default="", max_length=16)),
                ("host", models.CharField(blank=True, default="", max_length=255)),
                ("port", models.IntegerField(blank=True, null=True)),
                ("url", models.CharField(blank=True, default="", max_length=500)),
                ("user", models.CharField(blank=True, default="", max_length=150)),
                ("password_env", models.CharField(blank=True, default="", max_length=128)),
                ("password_file", models.CharField(blank=True, default="", max_length=500)),
                ("token_env", models.CharField(blank=True, default="", max_length=128)),
                ("token_file", models.CharField(blank=True, default="", max_length=500)),
                ("path", models.CharField(blank=True, default="", max_length=500)),
                ("retrieve", models.CharField(blank=True, default="", max_length=16)),
                ("root", models.CharField(blank=True, default="", max_length=16)),
                ("relational", models.CharField(blank=True, default="", max_length=16)),
                ("one_plan_per_series", models.BooleanField(default=False)),
                ("local_ae_title", models.CharField(blank=True, default="", max_length=16)),
                ("local_port", models.IntegerField(blank=True, null=True)),
                ("also", models.CharField(blank=True, default="", max_length=500)),
                ("budget", models.FloatField(blank=True, null=True)),
                ("timeout", models.FloatField(blank=True, null=True)),
                ("associations", models.IntegerField(blank=True, null=True)),
                ("keep_open", models.FloatField(blank=True, null=True)),
                ("transport", models.CharField(blank=True, default="", max_length=16)),
                ("tls", models.BooleanField(default=False)),
                ("ca_file", models.CharField(blank=True, default="", max_length=500)),
                ("certificate_file", models.CharField(blank=True, default="", max_length=500)),
                ("key_file", models.CharField(blank=True, default="", max_length=500)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Fetch",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("when", models.DateTimeField(db_index=True)),
                ("user", models.CharField(blank=True, default="", max_length=150)),
                ("unit", models.IntegerField(blank=True, db_index=True, null=True)),
                ("archive", models.CharField(db_index=True, max_length=64)),
                ("patient", models.CharField(blank=True, default="", max_length=64)),
                ("call", models.CharField(max_length=32)),
                ("what", models.CharField(blank=True, default="", max_length=255)),
                ("objects_count", models.IntegerField(default=0)),
                ("from_shelf", models.BooleanField(blank=True, null=True)),
                ("seconds", models.FloatField(default=0)),
                ("problem", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name": "fetch log entry",
                "verbose_name_plural": "fetch log entries",
                "ordering": ("-when", "-pk"),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Unit",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField(unique=True)),
                ("patient", models.CharField(blank=True, default="", max_length=64)),
                (
                    "archive",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="units",
                        to="qa_fetch_qatrack.Archive",
                    ),
                ),
            ],
            options={
                "ordering": ("number",),
            },
        ),
        migrations.CreateModel(
            name="ThisServer",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ae_title", models.CharField(blank=True, default="", max_length=16)),
                ("port", models.IntegerField(blank=True, null=True)),
                ("budget", models.FloatField(blank=True, null=True)),
                ("path", models.CharField(blank=True, default="", max_length=500)),
                ("settle_minutes", models.FloatField(blank=True, null=True)),
                ("host", models.CharField(blank=True, default="", max_length=255)),
                ("transport", models.CharField(blank=True, default="", max_length=16)),
                ("certificate_file", models.CharField(blank=True, default="", max_length=500)),
                ("key_file", models.CharField(blank=True, default="", max_length=500)),
                ("ca_file", models.CharField(blank=True, default="", max_length=500)),
                (
                    "default",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="qa_fetch_qatrack.Archive",
                    ),
                ),
            ],
            options={
                "verbose_name": "this server",
                "verbose_name_plural": "this server",
            },
        ),
    ]
