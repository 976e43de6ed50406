"""What lies in a folder: its files in handfuls, and which of them are DICOM objects, whatever they are called."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import part10
from ..errors import BadArchive

PARTIAL = ".qa_fetch.partial"  # where files are until they are whole
OBJECT, DIRECTORY, OTHER, LINK, ODD = "object", "DICOMDIR", "not DICOM", "link", "no file"
_DIRECTORY_CLASS = b"1.2.840.10008.1.3.10"
_MANY, _LARGE = 32, 16_000_000  # files, and bytes, that a worker takes at a time
_BEGINNING = 1024
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def handfuls(root: Path) -> Iterator[dict[str, Any]]:
    """The files below a folder, some of one folder at a time, in the order of their names; links are not followed."""
    for below, folders, names in os.walk(root, onerror=_raise):
        folders[:] = sorted(name for name in folders if name != PARTIAL or Path(below) != root)
        links = [name for name in folders if Path(below, name).is_symlink()]
        folder = Path(below).relative_to(root).as_posix()
        for number, files in enumerate(_taken(below, sorted([*names, *links]))):
            yield {"folder": folder, "number": number, "files": files}


def _taken(below: str, names: Sequence[str]) -> Iterator[list[list[Any]]]:
    """The files of a folder, so many at a time: name, size, and when changed."""
    hand: list[list[Any]] = []
    size = 0
    for name in names:
        status = Path(below, name).lstat()
        hand.append([name, status.st_size, status.st_mtime_ns])
        size += status.st_size
        if len(hand) >= _MANY or size >= _LARGE:
            yield hand
            hand, size = [], 0
    if hand:
        yield hand


def _raise(error: OSError) -> None:
    raise error


def paths(root: Path, payload: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """The names of the files of a handful, relative to the folder, and where they are."""
    for name, *_ in payload["files"]:
        relative = name if payload["folder"] == "." else f"{payload['folder']}/{name}"
        yield relative, root / relative


def kind_of(path: Path) -> str:
    """Whether a file is a DICOM object: by what is in it, since names and endings say nothing."""
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        return LINK if stat.S_ISLNK(mode) else ODD  # a pipe would be waited for
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
        if beginning[128:132] == b"DICM":
            return DIRECTORY if _DIRECTORY_CLASS in beginning[132:] else OBJECT
        return OBJECT if beginning[:2] in _FIRST_GROUPS and _is_bare(path, beginning) else OTHER


def _is_bare(path: Path, beginning: bytes) -> bool:
    """Whether a file that begins like a data set is one to its end."""
    if beginning[:2] == b"\x02\x00":
        return True  # a file header without its preamble; whoever reads it says what is wrong
    syntax = part10.EXPLICIT_LITTLE if beginning[4:6].isalpha() and beginning[4:6].isupper() else part10.IMPLICIT_LITTLE
    if beginning[:2] == b"\x00\x08":
        syntax = part10.EXPLICIT_BIG
    try:
        part10.check(path.read_bytes(), syntax)
    except BadArchive:
        return False
    return True
