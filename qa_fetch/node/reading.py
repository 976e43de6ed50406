"""Stored files read again, as when the index is made anew; without Django, so that many processes can do it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from .. import part10
from ..errors import BadArchive
from . import headers


@dataclass(frozen=True)
class FromFile:
    """What a stored file says of its object; ``problem`` says why it is none."""

    path: Path
    problem: str = ""
    identity: part10.Identity = part10.Identity("", "", "", "")
    header: headers.Header = headers.NOTHING
    transfer_syntax: str = ""
    size: int = 0
    digest: str = ""
    written: float = 0.0


def read(path: Path, extra: tuple[int, ...] = ()) -> FromFile:
    """Read a stored file from end to end."""
    try:
        with path.open("rb") as file, part10.opened(file, "it") as content:
            digest = begin_digest(content.transfer_syntax)
            digest.update(content.dataset)
            return FromFile(
                path,
                identity=content.identity(),
                header=headers.build(content.dataset, content.transfer_syntax, extra),
                transfer_syntax=content.transfer_syntax,
                size=len(content.dataset),
                digest=digest.hexdigest(),
                written=os.fstat(file.fileno()).st_mtime,
            )
    except BadArchive as error:
        return FromFile(path, str(error))
    except OSError as error:
        return FromFile(path, f"it cannot be read ({error.strerror}).")


def begin_digest(transfer_syntax: str) -> hashlib._Hash:
    """What two objects under one UID are compared by: how they are encoded, and then, to be added, their bytes."""
    return hashlib.sha256(transfer_syntax.encode() + b"\n")
