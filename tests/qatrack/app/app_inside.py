"""What the scripts of these tests start from, inside the site."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import django

django.setup()

from django.contrib.auth.models import Permission, User  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402

from qa_fetch import Archive, ConfigError, QAFetchError  # noqa: E402
from qa_fetch.config import Config  # noqa: E402
from qa_fetch.qatrack import models  # noqa: E402

__all__ = [
    "Archive",
    "Config",
    "ConfigError",
    "Permission",
    "QAFetchError",
    "User",
    "admin",
    "connection",
    "models",
    "post",
    "shown",
    "somebody",
    "tell",
    "transaction",
]

ADMIN = "/admin/qa_fetch_qatrack/"


def tell(*values: Any) -> None:
    """The last line is what the test gets."""
    print(json.dumps(values if len(values) > 1 else values[0], default=str))


def admin(**options: Any) -> Client:
    """A browser in which an administrator is signed in."""
    return _signed_in(User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)[0], **options)


def somebody(*permissions: str) -> Client:
    """A browser of somebody on the staff who may do only this."""
    user = User.objects.get_or_create(username="somebody", is_staff=True)[0]
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return _signed_in(user)


def _signed_in(user: User, **options: Any) -> Client:
    browser = Client(HTTP_HOST="localhost", **options)
    browser.force_login(user)
    return browser


def post(browser: Client, page: str, **fields: Any) -> Any:
    """Send a form of the app's pages."""
    return browser.post(ADMIN + page, fields)


def shown(page: Any) -> str:
    """What can be read on a page, on one line."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", page.content.decode(), flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)))
