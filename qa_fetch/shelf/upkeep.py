"""Looking after a shelf: what lies there, whether it is sound, and making room."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..errors import BadArchive
from .disk import sentences
from .store import unchanged

_GRACE = 3600.0  # seconds: what was used this recently may be in use now


@dataclass(frozen=True)
class Entry:
    """One set on the shelf."""

    archive: str
    about: str
    folder: Path
    files: int
    size: int
    last_used: float


@dataclass
class Report:
    """What verify found or prune removed."""

    checked: int = 0
    removed: list[Path] = field(default_factory=list)
    freed: int = 0
    damaged: list[Path] = field(default_factory=list)


def entries(root: Path) -> Iterator[Entry]:
    """The sets on a shelf, last used first."""
    found = []
    for manifest in root.glob("*/sets/*.json"):
        described = _manifest(manifest)
        found.append(
            Entry(
                archive=manifest.parent.parent.name.rpartition("-")[0],
                about=described["about"],
                folder=manifest.with_suffix(""),
                files=len(described["files"]),
                size=sum(item["size"] for item in described["files"]),
                last_used=manifest.stat().st_mtime,
            )
        )
    yield from sorted(found, key=lambda entry: -entry.last_used)


def verify(root: Path) -> Report:
    """Read every kept file again; what differs from what was fetched is named, nothing is removed."""
    report = Report()
    for manifest in sorted(root.glob("*/sets/*.json")):
        for item in _manifest(manifest)["files"]:
            path = manifest.with_suffix("") / item["name"]
            report.checked += 1
            if not unchanged(path, {**item, "mtime_ns": None}):
                report.damaged.append(path)
    for path in sorted(root.glob("*/objects/*/*.dcm")):
        report.checked += 1
        try:
            sound = part10.file_stem(part10.split(path.read_bytes(), path.name).identity().sop_instance) == path.stem
        except BadArchive:
            sound = False
        if not sound:
            report.damaged.append(path)
    return report


def prune(
    root: Path, *, older_than_days: Optional[float] = None, max_bytes: Optional[int] = None, dry_run: bool = False
) -> Report:
    """Remove what has not been used for long, and the longest unused until the shelf fits; never what is in use.

    Parameters
    ----------
    root
        The shelf.
    older_than_days
        Remove sets and objects unused for this long.
    max_bytes
        Then remove the longest unused until the shelf is no larger than this.
    dry_run
        Only say what would be removed.
    """
    report = Report()
    now = time.time()
    kept = list(entries(root))
    too_old = now - older_than_days * 86400 if older_than_days is not None else 0.0
    doomed = [entry for entry in kept if entry.last_used < too_old]
    kept = [entry for entry in kept if entry not in doomed]
    size = sum(entry.size for entry in kept)
    while kept and max_bytes is not None and size > max_bytes and now - kept[-1].last_used > _GRACE:
        doomed.append(kept.pop())
        size -= doomed[-1].size
    manifests = (_manifest(_manifest_of(entry.folder)) for entry in kept)
    in_sets = {part10.file_stem(item["uid"]) for manifest in manifests for item in manifest["files"]}
    limit = too_old or now - _GRACE
    loose = [
        path for path in root.glob("*/objects/*/*.dcm") if path.stem not in in_sets and path.stat().st_mtime < limit
    ]
    with sentences(root, "pruning"):
        for entry in doomed:
            report.removed.append(entry.folder)
            if not dry_run:
                _manifest_of(entry.folder).unlink()
                _remove_tree(entry.folder)
        for path in loose:
            report.freed += path.stat().st_size
            report.removed.append(path)
            if not dry_run:
                path.chmod(0o600)  # Windows deletes no read-only file
                path.unlink()
    return report


def _manifest(path: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return described


def _manifest_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".json")


def _remove_tree(folder: Path) -> None:
    for path in folder.iterdir():
        path.chmod(0o600)
    shutil.rmtree(folder)
