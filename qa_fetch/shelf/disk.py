"""Writing to disk so that a crash leaves the old state or the new one, never half a file."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Union

from ..errors import Incomplete

_FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)


def is_full(error: OSError) -> bool:
    """Whether a disk, or this user's share of it, is full."""
    return error.errno in _FULL


@contextlib.contextmanager
def sentences(folder: Path, doing: str, missing: Sequence[str] = ()) -> Iterator[None]:
    """Turn what the operating system says about the shelf's disk into one line."""
    try:
        yield
    except OSError as error:
        raise in_words(error, folder, doing, missing) from error


def in_words(error: OSError, folder: Path, doing: str, missing: Sequence[str] = ()) -> Incomplete:
    """What the operating system says about the shelf's disk as one line."""
    if is_full(error):
        text = (
            f"the disk of the shelf {folder} is full, so {doing} stopped and nothing half-written was kept. "
            "Free space there, run qa-fetch shelf prune, or set another [shelf] path."
        )
    else:
        text = (
            f"the shelf {folder} cannot be used for {doing} ({error.strerror}). "
            "Check that this user may write there, or set another [shelf] path."
        )
    return Incomplete(text, retriable=False, missing=list(missing))


def make_folder(path: Path) -> Path:
    """A folder that only its owner reads: what lies here is patient data."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write_atomically(target: Path, parts: Sequence[Union[bytes, memoryview]], *, temporary: Path) -> None:
    """Write to a temporary file, flush it to the disk, then give it its name."""
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(target.parent)


def blocks_of(path: Path) -> Iterator[bytes]:
    """A file piece by piece."""
    with path.open("rb", buffering=0) as file:
        yield from iter(lambda: file.read(1 << 20), b"")


def checksum(path: Path) -> int:
    """The CRC-32 of a file: three times as fast as a hash, and enough against what happens by accident."""
    crc32 = 0
    for block in blocks_of(path):
        crc32 = zlib.crc32(block, crc32)
    return crc32


def write_small(target: Union[str, Path], text: str) -> None:
    """A note that may be lost or cut short by a crash, because whoever reads it can tell."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, text.encode("utf-8"))
    finally:
        os.close(descriptor)


def replace_small(target: Path, text: str) -> None:
    """The same for a note that others may be reading."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    write_small(temporary, text)
    temporary.replace(target)


def write_text(target: Path, text: str) -> None:
    """The same for a small text file beside others."""
    make_folder(target.parent)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
    os.close(descriptor)
    write_atomically(target, [text.encode("utf-8")], temporary=Path(name))


def link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the disk has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb+") as file:
            os.fsync(file.fileno())  # what is written of it later must not survive a power cut without it
        shutil.copystat(source, target)


def remove_tree(folder: Path) -> None:
    """Remove a folder of files; they are read-only, which Windows deletes no more than it renames over them."""
    for path in folder.rglob("*"):
        if not path.is_dir():
            path.chmod(0o600)
    shutil.rmtree(folder)


def remove_file(path: Path) -> None:
    """Remove a file, read-only or not, if it is there."""
    if path.is_file():
        path.chmod(0o600)
        path.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; Windows has no such call and journals names itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
