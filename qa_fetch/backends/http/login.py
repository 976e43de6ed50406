"""Who we are to an archive behind HTTP: a user with a password, or a token; neither is ever shown."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Optional

from ...config import ArchiveConfig
from ...errors import ConfigError

PASSWORD_VARIABLE = "QA_FETCH_PASSWORD"  # where an inline address finds the password of its user


def authorization(archive: ArchiveConfig) -> dict[str, str]:
    """The Authorization header of every request, read anew for each call; none where nobody has to log in."""
    token = _secret(archive, "token")
    user, password = archive["user"], _secret(archive, "password")
    if token is not None and (user is not None or password is not None):
        raise ConfigError(f"{archive.name}: both a user and a token are set. Keep one of them.")
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
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
    variable, file = archive[f"{name}_env"], archive[f"{name}_file"]
    if variable is not None and file is not None:
        raise ConfigError(f"{archive.name}: both {name}_env and {name}_file are set. Keep one of them.")
    if variable is not None:
        found = os.environ.get(variable)
        if not found:  # the name is not shown: some people write the secret itself there
            raise ConfigError(f"{archive.name}: {name}_env names an environment variable that is not set. Set it.")
    elif file is not None:
        found = _read(archive.name, name, file)
    else:
        return None
    if not found.isprintable() or (name == "token" and not found.isascii()):
        raise ConfigError(f"{archive.name}: the {name} holds characters that HTTP cannot send. Correct it.")
    return found


def _read(archive: str, name: str, file: Path) -> str:
    try:
        found = file.read_text(encoding="utf-8-sig").strip("\r\n")
    except OSError as error:
        raise ConfigError(f"{archive}: {name}_file {file} cannot be read; {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{archive}: {name}_file {file} is not UTF-8 text. Save it as that.") from None
    if not found:
        raise ConfigError(f"{archive}: {name}_file {file} is empty. Write the {name} into it.")
    return found
