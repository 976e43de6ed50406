"""Who may use a node's pages: accounts for people, tokens for programs. The index has to be open."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from ..errors import ConfigError
from .models import Token

_SHORTEST = 8  # characters of a password
_LONGEST = 150  # characters of a name, as Django keeps it


@dataclass(frozen=True)
class Account:
    """Somebody who is known: a person with a password, or a program with a token."""

    name: str
    kind: str  # user, token
    may_write: bool
    created: datetime
    last_seen: Optional[datetime] = None


def add(name: str, password: str, may_write: bool = False) -> None:
    """Make an account for a person."""
    name = _free(name)
    if len(password) < _SHORTEST:
        raise ConfigError(f"the password is too short. Choose one of {_SHORTEST} characters or more.")
    with _once(name):
        User.objects.create_user(name, password=password, is_staff=may_write)


def add_token(name: str, may_write: bool = False) -> str:
    """Make a token for a program; it is shown this once, since only its digest is kept."""
    name = _free(name)
    token = secrets.token_urlsafe(32)
    with _once(name):
        digest = hashlib.sha256(token.encode()).hexdigest()
        Token.objects.create(name=name, digest=digest, may_write=may_write, created=timezone.now())
    return token


def remove(name: str) -> None:
    """Remove an account or a token; who is signed in with it is signed out with their next request."""
    removed = User.objects.filter(username=name).delete()[0] + Token.objects.filter(name=name).delete()[0]
    if not removed:
        raise ConfigError(f"there is no account and no token named {name!r}. Choose one of {_names()}.")


def list() -> tuple[Account, ...]:  # its name is the command's: qa-fetch node user list
    """All accounts and tokens, by name."""
    people = (
        Account(user.username, "user", user.is_staff, user.date_joined, user.last_login) for user in User.objects.all()
    )
    programs = (Account(token.name, "token", token.may_write, token.created) for token in Token.objects.all())
    return tuple(sorted((*people, *programs), key=lambda account: account.name))


@contextlib.contextmanager
def _once(name: str) -> Iterator[None]:
    """A block that adds a name; another process may have added it in the meantime."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        raise _taken(name) from None


def _free(name: str) -> str:
    plain = name.strip()
    if not plain or len(plain) > _LONGEST or not plain.isprintable():
        raise ConfigError(f"the name of an account is 1 to {_LONGEST} printable characters. Choose another one.")
    if plain in {account.name for account in list()}:
        raise _taken(plain)
    return plain


def _taken(name: str) -> ConfigError:
    return ConfigError(f"there is an account or a token named {name!r} already. Choose another name, or remove it.")


def _names() -> str:
    return ", ".join(account.name for account in list()) or "none, since nobody has been added"
