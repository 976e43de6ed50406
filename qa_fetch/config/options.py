"""The settings there are, what each must be, and what stands in when it is absent."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SECRET = re.compile(r"password|passwd|passphrase|secret|token|credential|(^|_)(key|auth|pin)$", re.IGNORECASE)
_WHERE_IT_LIES = re.compile(r"_(env|file)$", re.IGNORECASE)  # the place of a secret may be shown
_PASSWORD_IN_ADDRESS = re.compile(r"(://[^/@:\s]*):[^/\s]*@")


@dataclass(frozen=True)
class Option:
    """One setting: what it must be, and what stands in when it is absent (``...``: it must be given)."""

    expected: str
    convert: Callable[[Any], Any]
    default: Any = ...


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.strip().isprintable():
        raise ValueError
    return value.strip()


def _ae_title(value: Any) -> str:
    title = _text(value)
    if len(title) > 16 or not title.isascii() or "\\" in title:
        raise ValueError
    return title


def _host(value: Any) -> str:
    host = _text(value)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if ":" in host:
        ipaddress.IPv6Address(host.partition("%")[0])  # "10.0.0.2:104" is an address and a port: refused
    if not host or re.search(r"[\s/@\\\[\]]", host):
        raise ValueError
    return host


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    number = int(value)
    if not 1 <= number <= 65535:
        raise ValueError
    return number


def _associations(value: Any) -> int:
    number = _port(value)
    if number > 32:
        raise ValueError
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    number = float(value)
    if not 0 <= number < 1e7:
        raise ValueError
    return number


def _above_zero(value: Any) -> float:
    number = _number(value)
    if not number:
        raise ValueError
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return _FLAGS[str(value).strip().lower()]


def _choice(*words: str, flags: bool = False) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, str) and value.strip().lower() in words:
            return value.strip().lower()
        if flags:
            return _flag(value)
        raise ValueError

    return convert


def _path(value: Any) -> Path:
    if not isinstance(value, (str, Path)):
        raise ValueError
    text = _text(str(value))  # "C:\temp" in TOML's double quotes holds a tab, and is refused
    try:
        return Path(text).expanduser()
    except (RuntimeError, KeyError):
        raise ValueError from None  # ~ of an account without a home


def _names(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise ValueError
    return tuple(map(_text, names))


def _url(value: Any) -> str:
    """The root of an archive's web services, without a slash at its end."""
    text = _text(value)
    parts = urlsplit(text)
    if parts.scheme.lower() not in ("http", "https") or parts.username is not None or parts.password is not None:
        raise ValueError
    if parts.query or parts.fragment or parts.port == 0 or not text.isascii() or set(text) & set(' \\?#"<>'):
        raise ValueError
    _host(parts.hostname or "")
    return text.rstrip("/")


AE_TITLE = "an AE title of 1 to 16 ASCII characters"
FILE = "a file (in TOML a Windows path goes in single quotes)"
FOLDER = "a folder (in TOML a Windows path goes in single quotes)"
HOST = "a host name or IP address"
PORT = "a whole number from 1 to 65535"
SECONDS = "a number of seconds above 0"
TRANSPORT = '"own" or "pynetdicom"'
URL = "an http or https address without user and password"

_WEB = {
    "url": Option(URL, _url),
    "user": Option("a user name", _text, None),
    "password_env": Option("the name of an environment variable", _text, None),
    "password_file": Option(FILE, _path, None),
    "token_env": Option("the name of an environment variable", _text, None),
    "token_file": Option(FILE, _path, None),
    "ca_file": Option(FILE, _path, None),
    "certificate_file": Option(FILE, _path, None),
    "key_file": Option(FILE, _path, None),
    "one_plan_per_series": Option("true or false", _flag, False),
    "timeout": Option(SECONDS, _above_zero, 15.0),
}
SHARED = {
    "budget": Option(SECONDS, _above_zero, None),
    "also": Option("a list of names of archives", _names, ()),
}
KINDS: dict[str, dict[str, Option]] = {
    "dimse": {
        "ae_title": Option(AE_TITLE, _ae_title),
        "host": Option(HOST, _host),
        "port": Option(PORT, _port),
        "retrieve": Option('"auto", "get" or "move"', _choice("auto", "get", "move"), "auto"),
        "root": Option('"study" or "patient"', _choice("study", "patient"), "study"),
        "relational": Option('"auto", true or false', _choice("auto", flags=True), "auto"),
        "one_plan_per_series": Option("true or false", _flag, False),
        "timeout": Option(SECONDS, _above_zero, 15.0),
        "local_ae_title": Option(AE_TITLE, _ae_title, None),
        "local_port": Option(PORT, _port, None),
        "associations": Option("a whole number from 1 to 32", _associations, 8),
        "keep_open": Option("a number of seconds from 0 up", _number, 5.0),
        "transport": Option(TRANSPORT, _choice("own", "pynetdicom"), None),
        "tls": Option("true or false", _flag, False),
        "ca_file": Option(FILE, _path, None),
        "certificate_file": Option(FILE, _path, None),
        "key_file": Option(FILE, _path, None),
        **SHARED,
    },
    "dicomweb": {**_WEB, **SHARED},
    "orthanc": {**_WEB, **SHARED},
    "folder": {"path": Option(FOLDER, _path), **SHARED},
}
LOCAL: dict[str, Option] = {
    "ae_title": Option(AE_TITLE, _ae_title, "QA_FETCH"),
    "port": Option(PORT, _port, 11113),
    "host": Option("an address of this machine to listen on", _host, "0.0.0.0"),  # peers must be able to reach it
    "transport": Option(TRANSPORT, _choice("own", "pynetdicom"), "own"),
    "certificate_file": Option(FILE, _path, None),
    "key_file": Option(FILE, _path, None),
    "ca_file": Option(FILE, _path, None),
}
SHELF: dict[str, Option] = {
    "path": Option(FOLDER, _path, None),
    "settle_minutes": Option("a number of minutes from 0 up", _number, 10.0),
}
TOP: dict[str, Option] = {
    "default": Option("the name of an archive", _text, None),
    "budget": Option(SECONDS, _above_zero, 25.0),
}


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
