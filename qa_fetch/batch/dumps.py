"""The info files of a data folder moved out of it, so that what stays holds nothing but images."""

from __future__ import annotations

import filecmp
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from ..errors import ConfigError, NotFound
from ..shelf.disk import flush_folder, make_folder

_DUMPS = "sub-*/ses-*/*.csv"  # beside the folders of the series, as ``--info`` writes them


def move_dumps(data: Union[str, Path], to: Union[str, Path]) -> list[Path]:
    """Move the info files of a data folder to the same places below another folder, which is made where it is absent.

    A file that is there already with the same content counts as moved. Everything is copied before anything is removed,
    so a move that is interrupted loses nothing, and the next one finishes it.

    Returns
    -------
    list of Path
        The files where they are now.

    Raises
    ------
    ConfigError
        Where one folder lies within the other, or another file is where one would go; nothing was moved.
    NotFound
        Where the data folder has no info files in its sessions.
    """
    source, target = Path(data), Path(to)
    _check(source, target)
    moves = {path: target / path.relative_to(source) for path in sorted(source.glob(_DUMPS)) if path.is_file()}
    if not moves:
        raise NotFound(
            f"{source} has no CSV file beside its series (sub-*/ses-*/*.csv), so nothing was moved. "
            "Name the folder that holds the sub-* folders."
        )
    for path, place in moves.items():
        _check_apart(path, place)  # a link below the data folder may lead there
        if os.path.lexists(place) and not _same(path, place):
            raise ConfigError(
                f"{place} is there already and differs from the file that would go there, so nothing was moved. "
                "Remove or rename one of the two."
            )
    _copy(moves)
    for path in moves:
        path.unlink()
    return list(moves.values())


def _check(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder. Name the folder that holds the sub-* folders.")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target} is not a folder. Name another one for the CSV files.")
    _check_apart(source, target)


def _check_apart(source: Path, target: Path) -> None:
    one, other = source.resolve(), target.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise ConfigError(
            f"{source} and {target} lie one within the other, so what is moved would not leave the data. "
            "Name a folder outside of it."
        )


def _same(path: Path, place: Path) -> bool:
    return place.is_file() and filecmp.cmp(path, place, shallow=False)


def _copy(moves: dict[Path, Path]) -> None:
    """Copy every file, or none where one of them fails."""
    made: list[Path] = []
    folders: dict[Path, None] = {}
    try:
        for path, place in moves.items():
            if place.exists():
                continue
            for folder in _absent(place.parent):
                make_folder(folder)
                made.append(folder)
            _copy_one(path, place)
            made.append(place)
            folders[place.parent] = None
    except OSError:
        for place in reversed(made):
            if place.is_dir():
                place.rmdir()
            else:
                place.unlink()
        raise
    for folder in folders:
        flush_folder(folder)


def _absent(folder: Path) -> Iterator[Path]:
    """The folders that have to be made, outermost first."""
    yield from reversed([one for one in (folder, *folder.parents) if not one.exists()])


def _copy_one(path: Path, place: Path) -> None:
    """Write under another name, flush, then give it its own."""
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=place.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, path.open("rb") as original:
            while block := original.read(1 << 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(place)
    except OSError:
        partial.unlink()
        raise
