"""Archives written inline where a name is asked for: ``dimse://AET@host:port``, ``orthanc+http://host``, ..."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ConfigError
from .options import masked

_PATHS = ("folder", "pinnacle")
_WEB = ("orthanc+http", "orthanc+https", "dicomweb+http", "dicomweb+https")


def parse_address(address: str) -> dict[str, Any]:
    """The fields of an inline address, such as ``dimse://AET@host:port`` or ``folder:PATH``."""
    scheme, _, rest = address.strip().partition(":")
    if scheme.lower() in _PATHS:
        return {"kind": scheme.lower(), "path": rest}
    if scheme.lower() == "dimse":
        return _dimse(address.strip())
    if scheme.lower() in _WEB:
        return _web(address.strip())
    raise ConfigError(
        f"{scheme!r} is not a sort of archive that can be written inline. Use dimse://AET@host:port, "
        "orthanc+http://host:port, dicomweb+https://host/root, folder:PATH or pinnacle:PATH."
    )


def _web(address: str) -> dict[str, Any]:
    """``orthanc+http://user@host:port``, ``dicomweb+https://host/root``: a password never stands in an address."""
    kind, _, scheme = address.partition(":")[0].lower().partition("+")
    try:
        parts = urlsplit(address)
        if parts.hostname and parts.port != 0 and not (parts.password is not None or parts.query or parts.fragment):
            place = parts.netloc.rpartition("@")[2]
            user = {"user": unquote(parts.username)} if parts.username else {}
            return {"kind": kind, "url": f"{scheme}://{place}{parts.path}", **user}
    except ValueError:
        pass  # a port above 65535, a bracket without its partner: not an address either
    root = "/root" if kind == "dicomweb" else ""
    raise ConfigError(
        f"{masked('', address)!r} is not an archive's address. Write it as {kind}+{scheme}://host:port{root} "
        "or with user@ before the host; the password comes from QA_FETCH_PASSWORD."
    )


def _dimse(address: str) -> dict[str, Any]:
    try:
        parts = urlsplit(address)
        if _is_whole(parts):
            return {
                "kind": "dimse",
                "ae_title": unquote(str(parts.username)),
                "host": unquote(str(parts.hostname)),
                "port": parts.port,
            }
    except ValueError:
        pass  # a port above 65535, a bracket without its partner: not an address either
    raise ConfigError(f"{masked('', address)!r} is not an archive's address. Write it as dimse://AE_TITLE@host:port.")


def _is_whole(parts: SplitResult) -> bool:
    """Whether all of AE title, host and port are there, and nothing else that would be dropped without a word."""
    needed = (parts.username, parts.hostname, parts.port)
    return all(needed) and not (parts.password is not None or parts.path or parts.query or parts.fragment)


def inline_name(address: str) -> str:
    """What to call an archive in messages that has an address instead of a name."""
    fields = parse_address(address)
    if fields["kind"] == "dimse":
        return str(fields["ae_title"])
    if "url" in fields:
        return str(urlsplit(fields["url"]).hostname)
    last = [part for part in re.split(r"[/\\]", fields["path"].strip()) if part not in ("", ".", "..")][-1:]
    return last[0] if last else str(fields["kind"])
