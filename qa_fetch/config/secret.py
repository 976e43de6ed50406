"""Secrets: settings name the place of one, and it is read from there when it is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from ..errors import ConfigError


def read_secret(whose: str, name: str, *, env: Optional[str], file: Optional[Path]) -> Optional[str]:
    """A password or token; None where no place of one is set.

    Parameters
    ----------
    whose, name
        Whose settings these are, and what it is, for messages.
    env, file
        The environment variable or the file that holds it.
    """
    if env is not None and file is not None:
        raise ConfigError(f"{whose}: both {name}_env and {name}_file are set. Keep one of them.")
    if env is not None:
        found = os.environ.get(env)
        if not found:  # the name is not shown: some people write the secret itself there
            raise ConfigError(f"{whose}: {name}_env names an environment variable that is not set. Set it.")
        return found
    return None if file is None else _read(whose, name, file)


def _read(whose: str, name: str, file: Path) -> str:
    try:
        found = file.read_text(encoding="utf-8-sig").strip("\r\n")
    except OSError as error:
        raise ConfigError(f"{whose}: {name}_file {file} cannot be read; {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{whose}: {name}_file {file} is not UTF-8 text. Save it as that.") from None
    if not found:
        raise ConfigError(f"{whose}: {name}_file {file} is empty. Write the {name} into it.")
    return found
