"""Starting Django for the index, and what keeps it safe and quick on SQLite."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db.backends.signals import connection_created

from ..errors import ConfigError

LOG = logging.getLogger("qa_fetch.node")
_APP = "qa_fetch.node"


def start(database: Path) -> None:
    """Point this process's Django at the database and bring its tables up to date.

    Django's settings belong to the whole process, so one process serves one folder.
    """
    if not settings.configured:
        settings.configure(
            INSTALLED_APPS=[_APP],
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": str(database),
                    "OPTIONS": {"timeout": 30},
                }
            },
            USE_TZ=True,
        )
        connection_created.connect(_tune, dispatch_uid="qa_fetch.node")
        django.setup(set_prefix=False)
    _check_ours(database)
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)


def _check_ours(database: Path) -> None:
    if _APP not in settings.INSTALLED_APPS:
        raise ConfigError(
            "this process already runs a Django of its own, which a node cannot share. "
            "Start the node in a process of its own with qa_fetch.node.NodeProcess."
        )
    name = settings.DATABASES["default"]["NAME"]
    if str(name) != str(database):
        raise ConfigError(
            f"this process already serves the node in {Path(name).parent}, and Django allows one per process. "
            "Start the other one with qa_fetch.node.NodeProcess."
        )


def _tune(connection: Any, **_: Any) -> None:
    """WAL lets queries read while an object is stored; FULL makes a commit survive a power cut."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")


def close_this_thread() -> None:
    """Close the connections of the thread that calls; every association has a thread of its own."""
    from django.db import connections

    connections.close_all()
