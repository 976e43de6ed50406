"""A patient's objects appear in the output in one step: they are made in a hidden folder there, then it is renamed.

The hidden folder lies in the output and not in the system's temporary folder, since only within one file system is
renaming a single step. It goes however the work ends; what a killed process has left goes with the next export.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Optional

from ..errors import ConfigError, Incomplete
from ..locks import FileLock
from ..part10 import file_stem, plain
from .making import Encoded
from .report import REPORT

_BEGINS = ".qa_fetch-"
_LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES)  # Windows says the last


class OutputFailed(Incomplete):
    """The output's disk is full or cannot be written to, which no other object would fare better with."""


class Workplace:
    """Where the objects of a patient are made before they are released into the output folder."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def __enter__(self) -> Workplace:
        with in_words(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            self._clear_what_was_left()
            while True:
                self._root = Path(tempfile.mkdtemp(prefix=_BEGINS, dir=self.output))
                self._lock = FileLock(self._root / _LOCK)
                with contextlib.suppress(FileNotFoundError, FileExistsError):
                    if self._lock.try_acquire():  # else another process is just clearing it away
                        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._lock.release()
        shutil.rmtree(self._root, ignore_errors=True)

    def _clear_what_was_left(self) -> None:
        for folder in self.output.glob(f"{_BEGINS}*"):
            with contextlib.suppress(OSError):  # another process clears it away, or it is another user's
                _remove_if_left(folder)

    def folder(self, name: str) -> Path:
        """An empty folder for a patient."""
        with in_words(self.output):
            made = self._root / name
            made.mkdir()
        return made

    def release(self, folder: Path) -> Path:
        """Give a patient's folder its name in the output; ConfigError where something else has that name."""
        target = self.output / folder.name
        with in_words(self.output):
            for path in folder.iterdir():
                _flush(path)
            if not target.exists():
                with _taken_meanwhile():
                    folder.rename(target)
                    _flush(self.output)
                    return target
            others = _others(folder, target)
        if others:
            raise ConfigError(
                f"{target} holds another conversion ({others} of its objects are not the same), which is not written "
                "over. Name another output folder, or remove that one first."
            )
        return target


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose process has ended, while it is locked: else somebody who has just made it works in it."""
    with FileLock(folder / _LOCK) as lock:
        left = lock.try_acquire()
        if left:
            shutil.rmtree(folder, ignore_errors=True)
    if left and os.name == "nt":  # where a file that is open stays
        shutil.rmtree(folder, ignore_errors=True)


def save(folder: Path, encoded: Encoded) -> Path:
    """Write an object under its modality and SOP Instance UID."""
    path = folder / f"{plain(encoded.modality) or 'DICOM'}.{file_stem(encoded.sop_instance)}.dcm"
    with in_words(folder.parent.parent):
        path.write_bytes(encoded.data)
    return path


def save_report(folder: Path, text: bytes) -> None:
    """Write the report beside the objects."""
    with in_words(folder.parent.parent):
        (folder / REPORT).write_bytes(text)


def refuse_foreign(target: Path) -> None:
    """ConfigError where a patient's folder in the output is none of ours, before any work is done."""
    if target.exists() and not (target / REPORT).is_file():
        raise ConfigError(
            f"{target} is there already and was not made by an export. Name another output folder, or remove it first."
        )


@contextlib.contextmanager
def in_words(output: Path) -> Iterator[None]:
    """What the operating system says about the output's disk, as one line."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            text = (
                f"the disk of {output} is full, so the export stopped and no half patient was kept there. "
                "Free space there, or name another output folder."
            )
        else:
            text = (
                f"{output} cannot be written to ({error.strerror}). "
                "Check that this user may write there, or name another output folder."
            )
        raise OutputFailed(text, retriable=False) from error


@contextlib.contextmanager
def _taken_meanwhile() -> Iterator[None]:
    """Another export may have released the same patient a moment ago; whether it is the same is asked next."""
    try:
        yield
    except OSError as error:
        if error.errno not in _TAKEN:
            raise


def _others(made: Path, there: Path) -> int:
    """How many objects of two folders are only in one, or not the same in both."""
    names = {path.name for folder in (made, there) for path in folder.glob("*.dcm")}
    _, differ, absent = filecmp.cmpfiles(made, there, sorted(names), shallow=False)
    return len(differ) + len(absent)


def _flush(path: Path) -> None:
    """Have a file or a folder survive a power cut; Windows has no such call for folders and journals names itself."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
