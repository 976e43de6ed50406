"""One process fetches what is missing while the others wait; what arrives is checked and kept object by object."""

from __future__ import annotations

import enum
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Optional, Protocol, Union

from .. import part10
from ..budget import Budget
from ..errors import BadArchive, Incomplete, QAFetchError
from ..locks import FileLock
from .disk import make_folder, remove_file, sentences, write_atomically


@dataclass(frozen=True)
class Reference:
    """Where an object stands in its archive: what a retrieval has to name."""

    study: str
    series: str
    instance: str
    sop_class: str = ""
    patient: str = ""


class Taken(enum.Enum):
    """What became of an object that arrived."""

    KEPT = "kept"
    REPEATED = "repeated"
    UNWANTED = "unwanted"


class Place(Protocol):
    """Where a claim keeps what arrives: a shelf."""

    folder: Path

    def object_path(self, uid: str) -> Path:
        """Where the object of this UID is kept."""
        ...

    def has(self, uid: str) -> bool:
        """Whether the object is here as it arrived."""
        ...

    def record(self, uid: str, sha256: str) -> None:
        """Note what arrived."""
        ...

    def forget(self, uid: str) -> None:
        """Take an object away."""
        ...


class Claim:
    """The right to fetch some objects into a shelf; backends call ``take`` for whatever arrives, from any thread."""

    def __init__(self, shelf: Place, references: Sequence[Reference], budget: Budget) -> None:
        self._shelf = shelf
        self._wanted = {reference.instance: reference for reference in references}
        self._budget = budget
        self._locks: list[FileLock] = []
        self._guard = threading.Lock()
        self._arrived: set[str] = set()
        self._welcome: set[str] = set()
        self.on_arrival: Callable[[], None] = lambda: None
        self.failure: Optional[QAFetchError] = None
        self.spoilt: Optional[BadArchive] = None

    def __enter__(self) -> Claim:
        try:
            self._acquire()
        except BaseException:  # an exception's traceback keeps this object alive, and with it the locks taken so far
            self._release()
            raise
        return self

    def _acquire(self) -> None:
        for stripe in sorted({_stripe(reference.series or reference.instance) for reference in self._wanted.values()}):
            lock = FileLock(self._shelf.folder / "locks" / f"{stripe}.lock")
            with sentences(self._shelf.folder, "locking"):
                acquired = lock.acquire(self._budget)
            if not acquired:
                raise Incomplete(
                    f"another process is fetching the same objects and has not finished within {self._budget}. "
                    "Call again to go on from there.",
                    missing=[reference.instance for reference in self.missing],
                )
            self._locks.append(lock)
            self._sweep(stripe)

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._release()

    @property
    def missing(self) -> list[Reference]:
        """What is not on the shelf yet, in the order in which it was asked for."""
        return [reference for uid, reference in self._wanted.items() if not self._shelf.has(uid)]

    @property
    def arrived(self) -> int:
        """How many objects this claim has received."""
        return len(self._arrived)

    def welcome(self, series: str) -> None:
        """Keep whatever else of a series comes: some archives send nothing smaller than a whole series."""
        self._welcome.add(series)

    def wants(self, instance: str) -> bool:
        """Whether an object of this UID was asked for."""
        return instance in self._wanted

    def take(self, sop_class: str, instance: str, transfer_syntax: str, dataset: Union[bytes, memoryview]) -> Taken:
        """Check an object that arrived and keep it.

        Parameters
        ----------
        sop_class, instance
            What the message that brought it says it is.
        transfer_syntax
            How ``dataset`` is encoded; it is kept byte for byte.
        dataset
            The encoded data set.

        Raises
        ------
        BadArchive
            It is cut short, or is not what the message said.
        Incomplete
            The disk does not take it.
        """
        instance = part10.clean_uid(instance)
        if not self.wants(instance) and not self._welcome:
            return Taken.UNWANTED
        try:
            identity = part10.check(dataset, transfer_syntax)
        except BadArchive as error:
            self.spoilt = error
            raise
        if not self.wants(instance) and identity.series not in self._welcome:
            return Taken.UNWANTED
        if identity.sop_instance != instance:
            raise self._failed(
                BadArchive(
                    "the archive sent one object under the UID of another, so none of this set is used. "
                    "Report it to the archive's administrator."
                )
            )
        with self._guard:
            meta = part10.file_meta(sop_class or identity.sop_class, instance, transfer_syntax)
            return self._keep(instance, identity.series, meta, dataset)

    def _keep(self, instance: str, series: str, meta: bytes, dataset: Union[bytes, memoryview]) -> Taken:
        target = self._shelf.object_path(instance)
        if self._shelf.has(instance):
            if instance in self._arrived and target.read_bytes() != meta + bytes(dataset):
                self._shelf.forget(instance)
                raise self._failed(
                    BadArchive(
                        "the archive sent two different objects under one UID, so neither is used. "
                        "Report it to the archive's administrator."
                    )
                )
            return Taken.REPEATED
        wanted = self._wanted.get(instance)
        stripe = _stripe((wanted.series or wanted.instance) if wanted else series)
        temporary = self._shelf.folder / "incoming" / f"{stripe}-{os.getpid()}-{target.stem}.part"
        try:
            with sentences(self._shelf.folder, "fetching", [instance]):
                make_folder(temporary.parent)
                make_folder(target.parent)
                remove_file(target)  # one that was changed by hand; Windows renames over no read-only file
                write_atomically(target, [meta, dataset], temporary=temporary)
                self._shelf.record(instance, _digest(meta, dataset))
        except Incomplete as error:
            raise self._failed(error) from error
        self._arrived.add(instance)
        self.on_arrival()
        return Taken.KEPT

    def take_file(self, path: Path) -> Taken:
        """The same for an object that lies in a Part-10 file already."""
        whole = part10.split(path.read_bytes(), "an object that arrived")
        identity = whole.identity()
        return self.take(identity.sop_class, identity.sop_instance, whole.transfer_syntax, whole.dataset)

    def _failed(self, error: QAFetchError) -> QAFetchError:
        self.failure = self.failure or error
        return error

    def _sweep(self, stripe: str) -> None:
        """Remove what a killed process left half-written: only a lock's holder writes under its stripe."""
        for leftover in (self._shelf.folder / "incoming").glob(f"{stripe}-*.part"):
            leftover.unlink(missing_ok=True)

    def _release(self) -> None:
        while self._locks:
            self._locks.pop().release()


def _digest(*parts: Union[bytes, memoryview]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def _stripe(uid: str) -> str:
    """One of 256 locks: enough that strangers seldom meet, few enough that lock files need no clearing."""
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:2]
