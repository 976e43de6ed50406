"""A small Django site with the app in it, as QATrack+ has it; all of it runs in children, since a Django is global."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import qa_fetch

_ROOT = Path(qa_fetch.__file__).resolve().parents[1]
_HERE = Path(__file__).resolve().parent
_STRICT = ("-W", "error", "-W", "ignore:'cgi' is deprecated:DeprecationWarning")  # Django 2.2 itself, on Python 3.11

_SETTINGS = """
import os
from pathlib import Path
HERE = Path(__file__).resolve().parent
SECRET_KEY = "of a test"
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.staticfiles", "qa_fetch.qatrack.apps.QATrackConfig",
]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(HERE / "site.sqlite3")}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
    "context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ],
}}]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "site_urls"
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
"""
_URLS = """
from django.contrib import admin
from django.urls import path
urlpatterns = [path("admin/", admin.site.urls)]
"""


class Site:
    """The project in a folder, and what is run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "site_settings.py").write_text(_SETTINGS)
        (folder / "site_urls.py").write_text(_URLS)

    def copy(self, folder: Path) -> Site:
        """The same site with a database of its own."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
        copied = object.__new__(Site)
        copied.folder = folder
        return copied

    def write(self, local_settings: str) -> None:
        """Add to its settings."""
        with (self.folder / "site_settings.py").open("a") as file:
            file.write(local_settings + "\n")

    @property
    def environment(self) -> dict[str, str]:
        """That of this process, with the site's settings."""
        paths = os.pathsep.join(map(str, (_ROOT, self.folder, _HERE)))
        return {**os.environ, "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "site_settings"}

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command; its exit code is the caller's business."""
        return self._python("-m", "django", *arguments)

    def run(self, script: str) -> Any:
        """Run a script in the site, and give back what it tells."""
        text = "from app_inside import *\n" + textwrap.dedent(script)
        done = self._python("-c", text)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *_STRICT, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
