"""The settings there are, what each must be, and what stands in when it is absent."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Optional

from ..errors import ConfigError
from .values import (
    as_above_zero,
    as_ae_title,
    as_associations,
    as_flag,
    as_host,
    as_names,
    as_number,
    as_path,
    as_port,
    as_text,
    as_url,
    one_word_of,
)

_SECRET = re.compile(r"password|passwd|passphrase|secret|token|credential|(^|_)(key|auth|pin)$", re.IGNORECASE)
_WHERE_IT_LIES = re.compile(r"_(env|file)$", re.IGNORECASE)  # the place of a secret may be shown
_PASSWORD_IN_ADDRESS = re.compile(r"(://[^/@:\s]*):[^/\s]*@")


@dataclass(frozen=True)
class Option:
    """One setting: what it must be, and what stands in when it is absent (``...``: it must be given)."""

    expected: str
    convert: Callable[[Any], Any]
    default: Any = ...


AE_TITLE = "an AE title of 1 to 16 ASCII characters"
FILE = "a file (in TOML a Windows path goes in single quotes)"
FOLDER = "a folder (in TOML a Windows path goes in single quotes)"
HOST = "a host name or IP address"
PORT = "a whole number from 1 to 65535"
SECONDS = "a number of seconds above 0"
TRANSPORT = '"own" or "pynetdicom"'
URL = "an http or https address without user and password"

_WEB = {
    "url": Option(URL, as_url),
    "user": Option("a user name", as_text, None),
    "password_env": Option("the name of an environment variable", as_text, None),
    "password_file": Option(FILE, as_path, None),
    "token_env": Option("the name of an environment variable", as_text, None),
    "token_file": Option(FILE, as_path, None),
    "ca_file": Option(FILE, as_path, None),
    "certificate_file": Option(FILE, as_path, None),
    "key_file": Option(FILE, as_path, None),
    "one_plan_per_series": Option("true or false", as_flag, False),
    "timeout": Option(SECONDS, as_above_zero, 15.0),
}
SHARED = {
    "budget": Option(SECONDS, as_above_zero, None),
    "also": Option("a list of names of archives", as_names, ()),
}
KINDS: dict[str, dict[str, Option]] = {
    "dimse": {
        "ae_title": Option(AE_TITLE, as_ae_title),
        "host": Option(HOST, as_host),
        "port": Option(PORT, as_port),
        "retrieve": Option('"auto", "get" or "move"', one_word_of("auto", "get", "move"), "auto"),
        "root": Option('"study" or "patient"', one_word_of("study", "patient"), "study"),
        "relational": Option('"auto", true or false', one_word_of("auto", flags=True), "auto"),
        "one_plan_per_series": Option("true or false", as_flag, False),
        "timeout": Option(SECONDS, as_above_zero, 15.0),
        "local_ae_title": Option(AE_TITLE, as_ae_title, None),
        "local_port": Option(PORT, as_port, None),
        "associations": Option("a whole number from 1 to 32", as_associations, 8),
        "keep_open": Option("a number of seconds from 0 up", as_number, 5.0),
        "transport": Option(TRANSPORT, one_word_of("own", "pynetdicom"), None),
        "tls": Option("true or false", as_flag, False),
        "ca_file": Option(FILE, as_path, None),
        "certificate_file": Option(FILE, as_path, None),
        "key_file": Option(FILE, as_path, None),
        **SHARED,
    },
    "dicomweb": {**_WEB, **SHARED},
    "orthanc": {**_WEB, **SHARED},
    "folder": {"path": Option(FOLDER, as_path), **SHARED},
    "pinnacle": {"path": Option(FOLDER, as_path), **SHARED},
}
LOCAL: dict[str, Option] = {
    "ae_title": Option(AE_TITLE, as_ae_title, "QA_FETCH"),
    "port": Option(PORT, as_port, 11113),
    "host": Option("an address of this machine to listen on", as_host, "0.0.0.0"),  # peers must be able to reach it
    "transport": Option(TRANSPORT, one_word_of("own", "pynetdicom"), "own"),
    "certificate_file": Option(FILE, as_path, None),
    "key_file": Option(FILE, as_path, None),
    "ca_file": Option(FILE, as_path, None),
}
SHELF: dict[str, Option] = {
    "path": Option(FOLDER, as_path, None),
    "settle_minutes": Option("a number of minutes from 0 up", as_number, 10.0),
}
TOP: dict[str, Option] = {
    "default": Option("the name of an archive", as_text, None),
    "budget": Option(SECONDS, as_above_zero, 25.0),
}


def converted(option: Option, value: Any, place: str, origin: str, folder: Optional[Path]) -> Any:
    """The value of a setting as the program uses it; ConfigError where it is not one.

    Parameters
    ----------
    option
        What it must be.
    value
        What was given.
    place, origin
        What it is called there, and where it was given.
    folder
        What relative paths are relative to.
    """
    try:
        found = option.convert(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        key = place.rpartition(".")[2]
        raise ConfigError(f"{origin}: {place} is {shown(value, key)}; expected {option.expected}.") from None
    return folder / found if isinstance(found, Path) and folder is not None else found


def plugin_kinds() -> list[str]:
    """Further sorts of archive that installed packages offer (entry points ``qa_fetch.backends``)."""
    found = metadata.entry_points()
    if hasattr(found, "select"):
        return sorted({point.name for point in found.select(group="qa_fetch.backends")})
    return sorted({point.name for point in found.get("qa_fetch.backends", ())})


def shown(value: Any, key: str = "") -> str:
    """A value as a message may show it: short, and without secrets."""
    if value is None:
        return "missing"
    text = repr(masked(key, value))
    return text if len(text) <= 60 else text[:57] + "..."


def masked(key: str, value: Any) -> Any:
    """The value, or what stands for it where the key or an address in it says that it is secret."""
    if _SECRET.search(key) and not _WHERE_IT_LIES.search(key):
        return "(hidden)"
    if isinstance(value, Mapping):
        return {inner: masked(str(inner), part) for inner, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked("", part) for part in value]
    return _PASSWORD_IN_ADDRESS.sub(r"\1:(hidden)@", value) if isinstance(value, str) else value


def one_of(names: Iterable[str], slip: object = None) -> str:
    """The end of a refusal: the names there are, and the one that was probably meant."""
    known = list(names)
    near = difflib.get_close_matches(str(slip), known, n=1)
    return f"expected one of {', '.join(known)}." + (f" Did you mean {near[0]}?" if near else "")
