"""Who we are to an archive behind HTTP: a user with a password, or a token; neither is ever shown."""

from __future__ import annotations

import base64
import os
from typing import Optional

from ...config import ArchiveConfig
from ...config.secret import read_secret
from ...errors import ConfigError

PASSWORD_VARIABLE = "QA_FETCH_PASSWORD"  # where an inline address finds the password of its user


def authorization(archive: ArchiveConfig, scheme: str = "Bearer") -> dict[str, str]:
    """The Authorization header of every request, read anew for each call; none where nobody has to log in."""
    token = _secret(archive, "token")
    user, password = archive["user"], _secret(archive, "password")
    if token is not None and (user is not None or password is not None):
        raise ConfigError(f"{archive.name}: both a user and a token are set. Keep one of them.")
    if token is not None:
        return {"Authorization": f"{scheme} {token}"}
    if user is None and password is None:
        return {}
    if user is None:
        raise ConfigError(f"{archive.name}: a password is set and no user. Set user.")
    if password is None:
        password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        raise ConfigError(
            f"{archive.name}: user is set and no password. "
            f"Set password_env or password_file, or the environment variable {PASSWORD_VARIABLE}."
        )
    if ":" in user:
        raise ConfigError(f"{archive.name}: user holds a colon, which HTTP cannot send. Correct user.")
    coded = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {coded}"}


def _secret(archive: ArchiveConfig, name: str) -> Optional[str]:
    found = read_secret(archive.name, name, env=archive[f"{name}_env"], file=archive[f"{name}_file"])
    if found is not None and (not found.isprintable() or (name == "token" and not found.isascii())):
        raise ConfigError(f"{archive.name}: the {name} holds characters that HTTP cannot send. Correct it.")
    return found
