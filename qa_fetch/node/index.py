"""Starting Django for the index and the pages, and what keeps SQLite safe and quick."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.backends.signals import connection_created

from ..config.secret import read_secret
from ..errors import ConfigError
from .options import Database, NodeOptions

LOG = logging.getLogger("qa_fetch.node")
_APP = "qa_fetch.node"
_LABEL = "qa_fetch_node"  # which the names of its own tables begin with
_PATIENCE = 5  # seconds for which SQLite waits for who else writes; objects do not wait for each other there
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def start(options: NodeOptions) -> None:
    """Point this process's Django at a node's index and bring its tables up to date.

    Django's settings belong to the whole process, so one process serves one folder.
    """
    configure(options)
    from django.core.management import call_command

    with usable():
        if not tables():  # which says whether the database is somebody else's, before anything is changed there
            # Its own come first: Django's without them would be taken for another application's after a kill.
            call_command("migrate", _LABEL, verbosity=0, interactive=False)
        call_command("migrate", verbosity=0, interactive=False)


def tables() -> list[str]:
    """The tables that were made for the node; ConfigError where Django's own are another application's, or shared.

    Those are called the same in every application, so the other one's would be used and dropped. All other tables
    (of an extension, of ANALYZE, of whoever keeps notes there) are not touched, and no matter.
    """
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    found: list[str] = connection.introspection.table_names()
    record = MigrationRecorder.Migration._meta.db_table
    own = [name for name in found if name.startswith(f"{_LABEL}_")]
    of_django = {*connection.introspection.django_table_names(), record}.intersection(found).difference(own)
    labels = {app.label for app in apps.get_app_configs()}
    migrated = {app for app, _ in MigrationRecorder(connection).applied_migrations()}
    others = [f"migrations of {app}" for app in sorted(migrated - labels)]
    if not own:
        others += [f"the table {name}" for name in sorted(of_django - {record})]
    if others:
        raise ConfigError(
            f"the node's database is also another application's: it has {others[0]}. "
            "Make a database for the node alone, and name that in [database] url."
        )
    return [*own, *sorted(of_django)] if own else []


@contextlib.contextmanager
def opened(options: NodeOptions) -> Iterator[None]:
    """A block in which a node's index is open, for the thread that enters it."""
    start(options)
    try:
        with usable():
            yield
    finally:
        close_this_thread()


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """A block in which a database that fails is one sentence, whatever was asked of it."""
    try:
        yield
    except DatabaseError as error:
        raise ConfigError(
            f"the node's database cannot be used ({type(error).__name__}). "
            "Check that it runs, that no other program holds it, and the [database] table."
        ) from error


def configure(options: NodeOptions) -> None:
    """Point this process's Django at a node's index, whatever state that is in."""
    if not settings.configured:
        settings.configure(**_settings(options))
        connection_created.connect(_tune, dispatch_uid="qa_fetch.node")
        django.setup(set_prefix=False)
    _check_ours(options)


def _settings(options: NodeOptions) -> dict[str, Any]:
    web = options.web
    return {
        "INSTALLED_APPS": [_APP, "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        "DATABASES": {"default": _database(options)},
        "USE_TZ": True,
        "QA_FETCH_NODE": options,
        "ALLOWED_HOSTS": ["*"]
        if web.host in ("0.0.0.0", "::") and not web.names
        else [web.host, *_LOCAL_NAMES, *web.names],
        "SECRET_KEY": _secret_key(options.data),
        "ROOT_URLCONF": f"{_APP}.web.urls",
        "MIDDLEWARE": [
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            f"{_APP}.web.access.Access",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [str(Path(__file__).parent / "web" / "templates")],
                "OPTIONS": {
                    "builtins": [f"{_APP}.web.pages.showing"],
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        f"{_APP}.web.access.of_the_node",
                    ],
                },
            }
        ],
        "LOGIN_URL": "/sign-in/",
        "LOGIN_REDIRECT_URL": "/",
        "SESSION_COOKIE_AGE": 12 * 3600,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Strict",
        "SESSION_COOKIE_NAME": "qa_fetch_node",
        "CSRF_COOKIE_NAME": "qa_fetch_node_csrf",
        "CSRF_COOKIE_SAMESITE": "Strict",
        "CSRF_FAILURE_VIEW": f"{_APP}.web.pages.errors.forged",
        # With no-referrer browsers send forms with "Origin: null", which Django takes for forged.
        "SECURE_REFERRER_POLICY": "same-origin",
        "APPEND_SLASH": False,
        "LOGGING_CONFIG": None,
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 1 << 20,
        "USE_I18N": False,
    }


def _database(options: NodeOptions) -> dict[str, Any]:
    database = options.database
    if not database.url:
        name = str(options.data / "index.sqlite3")
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": name,
            "OPTIONS": {"timeout": _PATIENCE},
            "CONN_MAX_AGE": None,
        }
    parts = urlsplit(database.url)
    if parts.password is not None:
        raise ConfigError(
            "[database] url holds a password, which then stands in a file and in messages. "
            "Leave it out there, and name it with password_env or password_file."
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": _password(database),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5},
    }


def _password(database: Database) -> str:
    return read_secret("[database]", "password", env=database.password_env, file=database.password_file) or ""


def _secret_key(data: Path) -> str:
    """What signs the cookies of this node's pages; made once."""
    path = data / "secret.key"
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = secrets.token_urlsafe(48)
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(key)
        return key


def _check_ours(options: NodeOptions) -> None:
    if _APP not in settings.INSTALLED_APPS:
        raise ConfigError(
            "this process already runs a Django of its own, which a node cannot share. "
            "Start the node in a process of its own with qa_fetch.node.NodeProcess."
        )
    running: NodeOptions = settings.QA_FETCH_NODE
    if (running.data, running.database) != (options.data, options.database):
        raise ConfigError(
            f"this process already serves the node in {running.data}, and Django allows one per process. "
            "Start the other one with qa_fetch.node.NodeProcess."
        )
    settings.QA_FETCH_NODE = options


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
