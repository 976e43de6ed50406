"""A patient's folder is built beside its place and put there in one step; what its user keeps in it stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Optional

from ..errors import Incomplete
from ..shelf.disk import flush_folder, link, make_folder
from .built import Built
from .folders import PatientFolder

# What later steps make of a build, relative to the patient's folder; with another build it is not true any more.
_WORKED_OUT = (
    "dosimetrydata/{stem}_.csv",
    *(f"dosimetrydata/{name}.csv" for name in ("metrics", "constraints", "comparison", "eqd2")),
    "dosimetrydata/dosimetry.json",
    *(f"pictures/{name}.png" for name in ("axial", "coronal", "sagittal", "thumbnail")),
    *(f"pictures/slices/[0-9]*--*--{name}.png" for name in ("axial", "coronal", "sagittal")),
    "roiimages_[xyz]/{stem}--*--images.npy",
    "roidetails_[xyz]/{stem}--*--details.npy",
)


def part_of(root: Path) -> Path:
    """Where a folder is built."""
    return root.with_name(f".{root.name}.part")


def _old_of(root: Path) -> Path:
    """Where the one that it replaces waits for that."""
    return root.with_name(f".{root.name}.old")


def settle(root: Path) -> None:
    """Leave of a folder that was being built or replaced the one that is whole, under its name.

    Nobody else builds this patient meanwhile, which the ledger's lock sees to.
    """
    part, old = part_of(root), _old_of(root)
    if old.is_dir() and not root.exists():
        old.replace(root)
    for rest in (part, old):
        if rest.is_dir():
            shutil.rmtree(rest)


def begin(folder: PatientFolder) -> PatientFolder:
    """An empty folder to build in; raises where the place is taken by what no build has made."""
    root = folder.root
    settle(root)
    if (root.exists() or root.is_symlink()) and not folder.built.is_file() and not _is_empty(root):
        raise Incomplete(
            "the data folder holds something under the name of this patient that no build has made, so it was left as "
            "it is. Move it away, then run the build again.",
            retriable=False,
        )
    part = part_of(root)
    make_folder(part)
    return PatientFolder(part, folder.patient, folder.modality)


def put(folder: PatientFolder, before: Optional[Built]) -> None:
    """Give the folder that was built its name.

    Parameters
    ----------
    folder
        The place.
    before
        What was built there before, whose files are replaced; all others are brought along.
    """
    root, part, old = folder.root, part_of(folder.root), _old_of(folder.root)
    if root.is_dir():
        made = {name for name, _ in before.made} if before is not None else set()
        worked_out = [pattern.format(stem=root.name) for pattern in _WORKED_OUT]

        def is_ours(name: str) -> bool:
            return name in made or name == "built.json" or any(fnmatchcase(name, each) for each in worked_out)

        for name in _others(root, root, is_ours):
            _bring_along(root / name, part / name, name)
    for inside in sorted(part.rglob("*")):
        if inside.is_dir():
            flush_folder(inside)
    flush_folder(part)
    if root.is_dir():
        root.replace(old)
    part.replace(root)
    flush_folder(root.parent)
    settle(root)


def _is_empty(root: Path) -> bool:
    return root.is_dir() and not root.is_symlink() and not any(root.iterdir())


def _others(root: Path, folder: Path, is_ours: Callable[[str], bool]) -> Iterator[str]:
    """Whatever no build has made, by its path."""
    for one in sorted(folder.iterdir()):
        name = one.relative_to(root).as_posix()
        if one.is_dir() and not one.is_symlink():
            yield from _others(root, one, is_ours)
        elif not is_ours(name):
            yield name


def _bring_along(source: Path, target: Path, name: str) -> None:
    """Give what its user keeps in a folder a second name in the new one."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() or target.is_symlink():
            raise FileExistsError
        if source.is_symlink():
            target.symlink_to(os.readlink(source))  # noqa: PTH115
        else:
            link(source, target)
    except (FileExistsError, NotADirectoryError):
        raise Incomplete(
            f"the folder of this patient holds {name}, which no build has made and whose place a new file needs, so "
            "the folder was left as it is. Move it away, then run the build again.",
            retriable=False,
        ) from None
