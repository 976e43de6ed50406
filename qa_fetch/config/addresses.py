"""Archives written inline, where a name is asked for: ``dimse://AET@host:port``, ``folder:PATH``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ConfigError
from .options import masked


def parse_address(address: str) -> dict[str, Any]:
    """The fields of an inline address: ``dimse://AET@host:port`` or ``folder:PATH``."""
    scheme, _, rest = address.strip().partition(":")
    if scheme.lower() == "folder":
        return {"kind": "folder", "path": rest}
    if scheme.lower() == "dimse":
        return _dimse(address.strip())
    raise ConfigError(
        f"{scheme!r} is not a sort of archive that can be written inline. Use dimse://AET@host:port or folder:PATH."
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
    last = [part for part in re.split(r"[/\\]", fields["path"].strip()) if part not in ("", ".", "..")][-1:]
    return last[0] if last else "folder"
