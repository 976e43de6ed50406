"""What the environment, the configuration file and Django's settings say, not yet checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ..errors import ConfigError
from .options import shown

FILE_NAME = "qa_fetch.toml"

_VARIABLES = {
    "QA_FETCH_DEFAULT": ("", "default"),
    "QA_FETCH_BUDGET": ("", "budget"),
    "QA_FETCH_AE_TITLE": ("local", "ae_title"),
    "QA_FETCH_PORT": ("local", "port"),
    "QA_FETCH_HOST": ("local", "host"),
    "QA_FETCH_TRANSPORT": ("local", "transport"),
    "QA_FETCH_SHELF": ("shelf", "path"),
}
_ARCHIVE_VARIABLE = "QA_FETCH_ARCHIVE_"


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Single settings such as ``QA_FETCH_PORT``, and archives as ``QA_FETCH_ARCHIVE_<NAME>``."""
    values: dict[str, Any] = {}
    for variable, (table, key) in _VARIABLES.items():
        if environ.get(variable):
            (values.setdefault(table, {}) if table else values)[key] = environ[variable]
    for variable, value in environ.items():
        name = variable[len(_ARCHIVE_VARIABLE) :].lower()
        if variable.startswith(_ARCHIVE_VARIABLE) and name and value:
            values.setdefault("archives", {})[name] = value
    return values


def from_file(path: Path) -> dict[str, Any]:
    """What a TOML file holds; ConfigError when it cannot be read as one."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad puts a mark in front
    except UnicodeDecodeError:
        raise ConfigError(f"file {path}: it is not UTF-8 text; expected a TOML file saved as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"file {path}: it is not valid TOML; {str(error)[:1].lower()}{str(error)[1:]}.") from None
    except OSError as error:
        raise ConfigError(f"file {path}: it cannot be read; {error.strerror}.") from None
    return values


def from_django() -> dict[str, Any]:
    """``QA_FETCH`` in the settings of a Django that is already running; Django is never imported from here."""
    module = sys.modules.get("django.conf")
    settings = getattr(module, "settings", None)
    if settings is None or not settings.configured:
        return {}
    values = getattr(settings, "QA_FETCH", None)
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"Django settings: QA_FETCH is {shown(values)}; expected a dictionary like {FILE_NAME}.")
    return dict(values)


def find_file() -> Optional[Path]:
    """The configuration file: ``QA_FETCH_CONFIG``, else from the working directory upwards, else the user's own."""
    named = os.environ.get("QA_FETCH_CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigError(f"QA_FETCH_CONFIG names {named}, which is not a file. Correct it or unset it.")
        return Path(named)
    here = Path.cwd()
    candidates = [folder / FILE_NAME for folder in (here, *here.parents)]
    if _home() is not None or os.environ.get("XDG_CONFIG_HOME"):
        candidates.append(user_config_folder() / FILE_NAME)
    return next((path for path in candidates if path.is_file()), None)


def user_config_folder() -> Path:
    """Where a user's own configuration lies on this system."""
    if os.name == "nt":
        return _folder("APPDATA", "AppData/Roaming", "configuration") / "qa_fetch"
    if sys.platform == "darwin":
        return _folder("", "Library/Application Support", "configuration") / "qa_fetch"
    return _folder("XDG_CONFIG_HOME", ".config", "configuration") / "qa_fetch"


def default_shelf() -> Path:
    """Where fetched objects are kept unless the configuration says otherwise."""
    if os.name == "nt":
        return _folder("LOCALAPPDATA", "AppData/Local", "shelf") / "qa_fetch" / "shelf"
    if sys.platform == "darwin":
        return _folder("", "Library/Caches", "shelf") / "qa_fetch"
    return _folder("XDG_CACHE_HOME", ".cache", "shelf") / "qa_fetch"


def _folder(variable: str, below_home: str, purpose: str) -> Path:
    if variable and os.environ.get(variable):
        return Path(os.environ[variable])
    home = _home()
    if home is None:
        raise ConfigError(
            f"this account has no home folder for the {purpose}. "
            "Set QA_FETCH_CONFIG to a configuration file and QA_FETCH_SHELF to a folder."
        )
    return home / below_home


def _home() -> Optional[Path]:
    """The home folder; None for the accounts that some containers run under."""
    try:
        return Path.home()
    except (RuntimeError, KeyError):  # Python 3.9 lets pwd's KeyError through
        return None
