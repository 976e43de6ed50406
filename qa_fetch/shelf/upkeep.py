"""Looking after a shelf: what lies there, whether it is sound, and making room."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from .disk import remove_file, remove_tree, sentences
from .store import Shelf, object_path, read_json, record_of, unchanged

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
        described = read_json(manifest)
        if described is None:
            continue  # a process that prunes was faster; or it is damaged, which verify says
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
    with sentences(root, "verifying"):
        for manifest in sorted(root.glob("*/sets/*.json")):
            folder = manifest.with_suffix("")
            described = {folder / item["name"]: item for item in (read_json(manifest) or {}).get("files", [])}
            foreign = set(folder.iterdir()) - set(described) if folder.is_dir() else set()
            report.checked += len(described) + len(foreign)
            report.damaged += [path for path, item in described.items() if not _sound(path, item)]
            report.damaged += sorted(foreign) if described else [manifest]
        for path in sorted(root.glob("*/objects/*/*.dcm")):
            report.checked += 1
            if not _sound(path, read_json(record_of(path))):
                report.damaged.append(path)
    return report


def _sound(path: Path, arrived: Optional[Mapping[str, Any]]) -> bool:
    """Whether a file is byte for byte what was written, whatever its time says."""
    return arrived is not None and unchanged(path, arrived, trust_time=False)


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
    with sentences(root, "pruning"):
        kept = list(entries(root))
        too_old = now - older_than_days * 86400 if older_than_days is not None else 0.0
        doomed = [entry for entry in kept if entry.last_used < too_old]
        kept = [entry for entry in kept if entry not in doomed]
        while kept and max_bytes is not None and _size(kept) > max_bytes and now - kept[-1].last_used > _GRACE:
            doomed.append(kept.pop())
        needed = {path for entry in kept for path in _objects_of(entry)}
        # What made room has to go from the disk too, and not only from its set.
        limit = now - _GRACE if max_bytes is not None else too_old
        loose = [path for path in root.glob("*/objects/*/*.dcm") if path not in needed and _used(path) < limit]
        loose += [path for path in root.glob("*/answers/*.json") if _used(path) < too_old]
        loose += [path for pattern in _LEFT_BY_KILLED for path in root.glob(pattern) if _used(path) < now - _DAY]
        for entry in doomed:
            report.removed.append(entry.folder)
            if not dry_run:
                _remove_set(entry.folder)
        for path in loose:
            report.freed += path.stat().st_size if path.is_file() else 0
            report.removed.append(path)
            if not dry_run:
                remove_file(record_of(path))
                _remove(path)
    return report


def discard(shelf: Shelf, folder: Path, uids: Sequence[str]) -> None:
    """Take one set and its objects off the shelf; what others have put into its folder stays."""
    with sentences(shelf.folder, "pruning"):
        _remove_set(folder)
        for uid in uids:
            shelf.forget(uid)


_DAY = 86400.0
_LEFT_BY_KILLED = ("*/incoming/*.part", "*/sets/.new-*", "*/sets/.*.tmp", "*/answers/.*.tmp")


def _size(kept: list[Entry]) -> int:
    """What sets take on the disk: an object that several of them hold is there once."""
    files = {path for entry in kept for path in _objects_of(entry)}
    return sum(path.stat().st_size for path in files if path.is_file())


def _objects_of(entry: Entry) -> list[Path]:
    items = (read_json(_manifest_of(entry.folder)) or {}).get("files", [])
    return [object_path(entry.folder.parent.parent, item["uid"]) for item in items]


def _used(path: Path) -> float:
    """When a file was last written; never, where another process has removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _manifest_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".json")


def _remove_set(folder: Path) -> None:
    """Take a set away, but not what somebody else put into its folder."""
    described = (read_json(_manifest_of(folder)) or {}).get("files", [])
    remove_file(_manifest_of(folder))
    for item in described:
        remove_file(folder / item["name"])
    with contextlib.suppress(OSError):  # somebody's own file is still there, or another process was faster
        folder.rmdir()


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        if path.is_dir():
            remove_tree(path)
        else:
            remove_file(path)
