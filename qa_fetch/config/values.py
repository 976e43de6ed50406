"""What the value of a setting must be: each function gives the value as the program uses it, or raises ValueError.

TypeError, KeyError and OverflowError mean the same; ``options.converted`` makes a sentence of all of them.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def as_text(value: Any) -> str:
    """A text without the spaces around it."""
    if not isinstance(value, str) or not value.strip() or not value.strip().isprintable():
        raise ValueError
    return value.strip()


def as_ae_title(value: Any) -> str:
    """An AE title."""
    title = as_text(value)
    if len(title) > 16 or not title.isascii() or "\\" in title:
        raise ValueError
    return title


def as_host(value: Any) -> str:
    """A host name or an IP address, IPv6 with or without brackets."""
    host = as_text(value)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if ":" in host:
        ipaddress.IPv6Address(host.partition("%")[0])  # "10.0.0.2:104" is an address and a port: refused
    if not host or re.search(r"[\s/@\\\[\]]", host):
        raise ValueError
    return host


def as_port(value: Any) -> int:
    """A port that can be called."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    number = int(value)
    if not 1 <= number <= 65535:
        raise ValueError
    return number


def as_associations(value: Any) -> int:
    """How many associations one archive may be asked for."""
    number = as_port(value)
    if number > 32:
        raise ValueError
    return number


def as_number(value: Any) -> float:
    """A number from 0 up."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    number = float(value)
    if not 0 <= number < 1e7:
        raise ValueError
    return number


def as_above_zero(value: Any) -> float:
    """A number above 0."""
    number = as_number(value)
    if not number:
        raise ValueError
    return number


def as_flag(value: Any) -> bool:
    """True or false, also as the words of an environment variable."""
    if isinstance(value, bool):
        return value
    return _FLAGS[str(value).strip().lower()]


def one_word_of(*words: str, flags: bool = False) -> Callable[[Any], Any]:
    """One of these words, or where ``flags`` says so a flag."""

    def convert(value: Any) -> Any:
        if isinstance(value, str) and value.strip().lower() in words:
            return value.strip().lower()
        if flags:
            return as_flag(value)
        raise ValueError

    return convert


def as_path(value: Any) -> Path:
    """A path, with ~ for the home folder."""
    if not isinstance(value, (str, Path)):
        raise ValueError
    text = as_text(str(value))  # "C:\temp" in TOML's double quotes holds a tab, and is refused
    try:
        return Path(text).expanduser()
    except (RuntimeError, KeyError):
        raise ValueError from None  # ~ of an account without a home


def as_names(value: Any) -> tuple[str, ...]:
    """Several texts, as a list or with commas between them."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise ValueError
    return tuple(map(as_text, names))


def as_url(value: Any) -> str:
    """The root of an archive's web services, without a slash at its end."""
    text = as_text(value)
    parts = urlsplit(text)
    if parts.scheme.lower() not in ("http", "https") or parts.username is not None or parts.password is not None:
        raise ValueError
    if parts.query or parts.fragment or parts.port == 0 or not text.isascii() or set(text) & set(' \\?#"<>'):
        raise ValueError
    as_host(parts.hostname or "")
    return text.rstrip("/")


def as_unit(value: Any) -> int:
    """A unit's number in QATrack+."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    number = int(value)
    if not 0 <= number < 2**31:
        raise ValueError
    return number


def as_time_of_day(value: Any) -> time:
    """A time of day, as text or as TOML's own."""
    found = value if isinstance(value, time) else datetime.strptime(as_text(value), "%H:%M").time()
    if found.tzinfo is not None:
        raise ValueError
    return found


def as_tests(value: Any) -> dict[str, Any]:
    """What a person would enter into a test list, by slug: texts, numbers, and dates as QATrack+ reads them."""
    if not isinstance(value, Mapping):
        raise ValueError
    return {_as_slug(slug): _as_entered(entered) for slug, entered in value.items()}


def _as_slug(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError
    return value


def _as_entered(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError
