"""Where one patient is converted, and what is known of its delivery whenever the machine stops.

The objects are made in a temporary folder on the disk of the import folder, and moved there in one step. Before it a
note is written that says what is about to be moved. While the folder is still in the temporary place, nothing was
delivered; once it is not, it was, even where the importing system has taken it away since.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from ..budget import Budget
from ..errors import ConfigError, Incomplete
from ..locks import FileLock
from ..shelf.disk import checksum, flush_folder, make_folder, write_atomically

TEMPORARY, NOTES = "temporary", "delivered"
_MARK = re.compile("[0-9a-f]{24}")
_PATIENCE = 120.0  # seconds for a worker of a run that was killed to notice it


class Place:
    """The temporary folder of a patient, which one process at a time works in, and the note of its delivery.

    Parameters
    ----------
    work
        The folder of the job.
    name
        The patient's ``mark``.
    """

    def __init__(self, work: Path, name: str) -> None:
        self._work = work
        self.temporary = work / TEMPORARY / name
        self.product = self.temporary / "product"
        self._old = self.temporary / "old"
        self._note = work / NOTES / f"{name}.json"
        self._announced = work / NOTES / f"{name}.next"
        self._lock = FileLock(work / TEMPORARY / f"{name}.lock")

    def __enter__(self) -> Place:
        if not self._lock.acquire(Budget(_PATIENCE)):
            raise Incomplete(
                "another process is still working on this patient. Wait until it has ended, and run again.",
                retriable=True,
            )
        self._settle()
        make_folder(self.temporary)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            self._settle()
        finally:
            self._lock.release()
            self._lock.path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove a note that was not written to its end."""
        self._announced.with_suffix(".tmp").unlink(missing_ok=True)

    @property
    def note(self) -> Optional[dict[str, Any]]:
        """What was delivered last."""
        return _read(self._note)

    @property
    def noted(self) -> bool:
        """Whether there is a note of a delivery, or of one that was interrupted."""
        return self._note.exists() or self._announced.exists()

    def deliver(self, target: Path, note: Mapping[str, Any]) -> None:
        """Move the product to its place in one step, unless the same was delivered there before.

        Parameters
        ----------
        target
            The folder that it becomes; one that was delivered before gives way to it, anything else is left alone.
        note
            What to remember of it.
        """
        before = self.note
        new = {**note, "target": str(target), "listing": listing(self.product)}
        if before is not None and (before["target"], before["listing"]) == (new["target"], new["listing"]):
            self._write(self._note, new)  # it was delivered just like this, and may have been taken away since
            return
        if os.path.lexists(target):
            ours = before is not None and before["target"] == str(target) and before["listing"] == listing(target)
            if not ours:
                raise Incomplete(
                    "the import folder has something else under the name of this patient's folder, which was left as "
                    "it is. Move that away and run again, or give another pattern.",
                    retriable=False,
                )
        self._write(self._announced, new)
        try:
            if os.path.lexists(target):
                target.rename(self._old)
            self.product.rename(target)
            flush_folder(target.parent)
        except OSError as error:
            raise _not_moved(error, target.parent, self._work) from error
        self._announced.replace(self._note)

    def _write(self, target: Path, note: Mapping[str, Any]) -> None:
        """Write a note that is there as a whole or not at all."""
        make_folder(target.parent)
        temporary = self._announced.with_suffix(".tmp")
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600))  # it names the patient
        write_atomically(target, [json.dumps(note).encode("utf-8")], temporary=temporary)

    def _settle(self) -> None:
        """Find out from what an interrupted run has left whether it had delivered, and leave nothing half done."""
        announced = _read(self._announced)
        if announced is not None and self.product.exists():
            target = Path(announced["target"])
            if self._old.exists() and not os.path.lexists(target):
                self._old.rename(target)
            self._announced.unlink()  # before the product, whose absence would mean that it was delivered
        elif announced is not None:
            self._announced.replace(self._note)
        if self.temporary.exists():
            shutil.rmtree(self.temporary)


def clear(work: Path) -> None:
    """Remove what earlier runs have left in the temporary folder, and nothing else.

    A worker of a run that was killed ends by itself, and is waited for.
    """
    make_folder(work / TEMPORARY)
    left = [*(work / TEMPORARY).glob("*"), *(work / NOTES).glob("*.next"), *(work / NOTES).glob("*.tmp")]
    for name in sorted({path.name.partition(".")[0] for path in left}):
        if _MARK.fullmatch(name):
            with Place(work, name) as place:
                place.forget()


def mark(patient: str) -> str:
    """A name for files of a patient that says nothing about it."""
    return hashlib.sha256(patient.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def listing(folder: Path) -> str:
    """A mark of the names and the content of the files in a folder."""
    found = [
        (path.relative_to(folder).as_posix(), checksum(path)) for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    return hashlib.sha256(repr(found).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def check_disk(work: Path, to: Path) -> None:
    """ConfigError where a folder cannot be moved in one step from one to the other."""
    if work.stat().st_dev != to.stat().st_dev:
        raise ConfigError(_other_disk(to, work))


def _other_disk(to: Path, work: Path) -> str:
    return (
        f"{work} is not on the disk of {to}, so patients cannot appear there in one step. "
        "Name a work folder on that disk, outside of the import folder (--work)."
    )


def _not_moved(error: OSError, to: Path, work: Path) -> Incomplete:
    if error.errno == errno.EXDEV:
        return Incomplete(_other_disk(to, work), retriable=False)
    return Incomplete(
        f"the patient's folder cannot be moved to {to} ({error.strerror}). "
        "Check that this user may write there, and run again.",
        retriable=False,
    )


def _read(path: Path) -> Optional[dict[str, Any]]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found
