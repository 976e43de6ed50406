"""The originals of a run in place: nothing of them goes before what takes their place is on the disk."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..shelf.disk import flush_folder, make_folder
from .naming import mark


def flush(path: Path) -> None:
    """Have a file's bytes on the disk."""
    descriptor = os.open(path, os.O_RDWR)  # Windows flushes only what was opened to be written to
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(made: Path, target: Path, *, durably: bool) -> None:
    """Give a whole file its name.

    Parameters
    ----------
    made, target
        The file, and where it goes in the same file system.
    durably
        Whether the name must be there after a power cut too, since the original goes next.
    """
    missing = [folder for folder in target.parents if not folder.exists()] if durably else []
    target.parent.mkdir(parents=True, exist_ok=True)
    made.replace(target)
    for folder in (target.parent, *(folder.parent for folder in missing)) if durably else ():
        flush_folder(folder)


def remove_original(path: Path) -> None:
    """Remove an original whose successor is on the disk; read-only ones too, and one that is gone already."""
    if os.name == "nt" and path.exists():
        path.chmod(0o600)
    path.unlink(missing_ok=True)


def private_folder(path: Path) -> Path:
    """A folder that only its owner reads, and so for every folder above it that is made with it."""
    for folder in reversed([path, *path.parents]):
        make_folder(folder)
    return path


def put_away(path: Path, target: Path) -> Path:
    """Copy a file, or a link as it is, to where only its owner reads it; what lies there already stays."""
    private_folder(target.parent)
    partial = target.with_name(f".{mark(target.name)}.partial")
    partial.unlink(missing_ok=True)
    if path.is_symlink():
        partial.symlink_to(path.readlink())
    else:
        shutil.copyfile(path, partial)
        partial.chmod(0o600)
        flush(partial)
    place, number = target, 1
    while place.is_symlink() or place.exists():
        if _same(partial, place):
            partial.unlink()
            return place
        number += 1
        place = target.with_name(f"{target.name}.{number}")
    partial.replace(place)
    flush_folder(place.parent)
    return place


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return filecmp.cmp(one, other, shallow=False)


def remove_emptied(root: Path, folders: Iterable[str]) -> None:
    """Remove the folders that hold nothing any more, of those from which a run took files and of those above them."""
    for folder in sorted(set(folders), key=len, reverse=True):
        place = root / folder
        while place != root:
            if place.is_dir():  # else an earlier run was killed between this one and those above it
                if any(place.iterdir()):
                    break
                place.rmdir()
            place = place.parent


def empty_folders(root: Path) -> Iterator[str]:
    """Folders with nothing in them, whose names may say something."""
    for below, folders, names in os.walk(root):
        if not folders and not names and Path(below) != root:
            yield Path(below).relative_to(root).as_posix()
