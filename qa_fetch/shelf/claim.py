"""One process fetches what is missing while the others wait; what arrives is checked and kept object by object."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Optional, Protocol

from .. import part10
from ..budget import Budget
from ..errors import BadArchive, Incomplete, QAFetchError
from ..locks import FileLock
from .disk import in_words, make_folder, remove_file, sentences
from .incoming import Draft, Incoming, Piece, Taken, begin_file, take
from .settling import Settler

# What is handed to the background at a time: waking a thread costs as much as an object of a few kilobytes.
_OBJECTS_AT_ONCE, _BYTES_AT_ONCE = 32, 8 << 20
_SMALL = 1 << 16  # bytes of an object that is flushed by the receiving thread itself,
_LONG = 0.0005  # unless that takes as many seconds: solid-state disks take twice as long or more, memory a tenth


@dataclass(frozen=True)
class Reference:
    """Where an object stands in its archive: what a retrieval has to name."""

    study: str
    series: str
    instance: str
    sop_class: str = ""
    patient: str = ""


class Place(Protocol):
    """Where a claim keeps what arrives: a shelf."""

    folder: Path

    def place(self, uid: str) -> tuple[str, str]:
        """The folder and the path where the object of this UID is kept."""
        ...

    def has(self, uid: str) -> bool:
        """Whether the object is here as it arrived."""
        ...

    def record(self, path: str, state: os.stat_result, crc32: Optional[int]) -> None:
        """Note what arrived."""
        ...

    def forget(self, uid: str) -> None:
        """Take an object away."""
        ...


class Claim:
    """The right to fetch some objects into a shelf; backends hand it whatever arrives, from any thread."""

    def __init__(
        self, shelf: Place, references: Sequence[Reference], budget: Budget, *, whole_series: bool = False
    ) -> None:
        self.whole_series = whole_series  # these are all objects of their series, as far as is known
        self._shelf = shelf
        self._wanted = {reference.instance: reference for reference in references}
        self._budget = budget
        self._locks: list[FileLock] = []
        self._stripes: list[str] = []
        self._guard = threading.Lock()
        self._settler = Settler()
        self._numbers = itertools.count()
        self._prefix = ""
        self._folders: set[str] = set()
        self._unsettled: list[tuple[Draft, str]] = []
        self._bytes = 0
        self._slow_disk = False
        self._prepared: list[tuple[str, int]] = []
        self._here: set[str] = set()
        self._arrived: set[str] = set()
        self._welcome: set[str] = set()
        self.on_arrival: Callable[[], None] = lambda: None
        self.failure: Optional[QAFetchError] = None
        self.spoilt: Optional[BadArchive] = None

    def __enter__(self) -> Claim:
        try:
            self._acquire()
            with sentences(self._shelf.folder, "writing"):
                make_folder(self._incoming)
            if self._stripes:
                self._prefix = str(self._incoming / f"{self._stripes[0]}-{os.getpid()}-{id(self):x}-")
            self._here = {uid for uid in self._wanted if self._shelf.has(uid)}
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
                    missing=[uid for uid in self._wanted if not self._shelf.has(uid)],
                )
            self._locks.append(lock)
            self._stripes.append(stripe)
            self._sweep(stripe)

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._unsettled:
            self._hand_over()
        self._settler.finish()
        for path, file in self._prepared:
            os.close(file)
            Path(path).unlink()
        self._release()
        if error is None and self.failure is not None:
            raise self.failure

    @property
    def missing(self) -> list[Reference]:
        """What has not arrived yet, in the order in which it was asked for."""
        return [reference for uid, reference in self._wanted.items() if uid not in self._here]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing any more."""
        return self._wanted.keys() <= self._here

    def here(self, references: Sequence[Reference]) -> int:
        """How many of some objects are here."""
        return sum(reference.instance in self._here for reference in references)

    def has_some_of(self, series: str) -> bool:
        """Whether a part of what is wanted of a series is here."""
        return any(self._wanted[uid].series == series for uid in self._here if uid in self._wanted)

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

    def begin(self, sop_class: str, instance: str, transfer_syntax: str) -> Optional[Incoming]:
        """An object comes: where to write it; None when nobody wants it.

        Parameters
        ----------
        sop_class, instance
            What the message that brings it says it is.
        transfer_syntax
            How its data set is encoded; it is kept byte for byte.
        """
        instance = part10.clean_uid(instance)
        if not self.wants(instance) and not self._welcome:
            return None
        with _Telling(self, instance):
            path, file = self._next_file()
            return _Arrival(self, Draft(path, sop_class, instance, transfer_syntax, file=file), instance)

    def _next_file(self) -> tuple[str, int]:
        """A temporary file and its descriptor."""
        with contextlib.suppress(IndexError):
            return self._prepared.pop()
        path = f"{self._prefix}{next(self._numbers)}.part"
        # Read-only: sets are links to it, and an edit through one must not become the object itself.
        return path, begin_file(path, 0o400)

    def take_file(self, path: Path) -> Taken:
        """Copy an object that lies in a Part-10 file."""
        with path.open("rb") as file, part10.opened(file, "an object that arrived") as whole:
            identity = whole.identity()
            return take(self.begin, identity.sop_class, identity.sop_instance, whole.transfer_syntax, whole.dataset)

    def keep(self, draft: Draft, instance: str) -> Taken:
        """Check an object whose last byte has come, and give it its place."""
        try:
            identity = draft.identity()
        except BadArchive as error:
            self.spoilt = error
            raise
        if not self.wants(instance) and identity.series not in self._welcome:
            return Taken.UNWANTED
        with _Telling(self, instance):
            if identity.sop_instance != instance:
                raise BadArchive(
                    "the archive sent one object under the UID of another, so none of this set is used. "
                    "Report it to the archive's administrator."
                )
            draft.checked()
            with self._guard:
                taken = self._place(draft, instance)
        if taken is Taken.KEPT:
            self.on_arrival()
        return taken

    def _place(self, draft: Draft, instance: str) -> Taken:
        folder, target = self._shelf.place(instance)
        if instance in self._here or (instance not in self._wanted and self._shelf.has(instance)):
            if instance in self._arrived and not draft.same_as(target):
                self._here.discard(instance)
                self._shelf.forget(instance)
                raise BadArchive(
                    "the archive sent two different objects under one UID, so neither is used. "
                    "Report it to the archive's administrator."
                )
            return Taken.REPEATED
        if folder not in self._folders:
            make_folder(Path(folder))
            self._folders.add(folder)
        if os.name == "nt":
            remove_file(Path(target))  # Windows renames over no read-only file
        draft.become(target)
        self._here.add(instance)
        self._arrived.add(instance)
        return Taken.KEPT

    def settle(self, draft: Draft, instance: str) -> None:
        """See to it that an object that is kept reaches the disk, now that its peer prepares the next one.

        A small one costs less now than in a thread, which takes the interpreter from the receiving one, unless the
        disk makes us wait; that is tried again with each batch.
        """
        if not self._slow_disk and len(draft) <= _SMALL:
            before = time.perf_counter()
            self._settle([(draft, instance)])
            self._slow_disk = time.perf_counter() - before > _LONG
            with contextlib.suppress(OSError):  # who needs the next file will say why there is none
                self._prepared.append(self._next_file())
            return
        with self._guard:
            self._unsettled.append((draft, instance))
            self._bytes += len(draft)
            if len(self._unsettled) >= _OBJECTS_AT_ONCE or self._bytes >= _BYTES_AT_ONCE:
                self._hand_over()
                self._slow_disk = False

    def _hand_over(self) -> None:
        self._settler.add(partial(self._settle, self._unsettled))
        self._unsettled, self._bytes = [], 0

    def _settle(self, objects: Sequence[tuple[Draft, str]]) -> None:
        """An object counts when it is on the disk, and its note says so."""
        for draft, instance in objects:
            try:
                with _Telling(self, instance):
                    crc32 = draft.crc32()
                    self._shelf.record(str(draft.path), draft.settle(), crc32)
            except QAFetchError:
                self._shelf.forget(instance)
                self._here.discard(instance)  # ``failure`` ends the transfer

    @property
    def folder(self) -> Path:
        """The folder of the shelf that it belongs to."""
        return self._shelf.folder

    @property
    def _incoming(self) -> Path:
        return self._shelf.folder / "incoming"

    def _sweep(self, stripe: str) -> None:
        """Remove what a killed process left half-written: only a lock's holder writes under its stripe."""
        for leftover in self._incoming.glob(f"{stripe}-*.part"):
            leftover.unlink(missing_ok=True)

    def _release(self) -> None:
        while self._locks:
            self._locks.pop().release()


class _Telling:
    """A block whose failure ends the whole transfer; what the disk says becomes a sentence."""

    __slots__ = ("_claim", "_instance")

    def __init__(self, claim: Claim, instance: str) -> None:
        self._claim = claim
        self._instance = instance

    def __enter__(self) -> None:
        """Nothing needs to be done."""

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        claim = self._claim
        if isinstance(error, OSError):
            told = in_words(error, claim.folder, "fetching", [self._instance])
            claim.failure = claim.failure or told
            raise told from error
        if isinstance(error, QAFetchError):
            claim.failure = claim.failure or error


class _Arrival:
    """An object that is arriving for a claim."""

    def __init__(self, claim: Claim, draft: Draft, instance: str) -> None:
        self._claim = claim
        self._draft = draft
        self._instance = instance
        self._kept = False

    def write(self, pieces: Sequence[Piece]) -> None:
        """Take more of the encoded data set."""
        with _Telling(self._claim, self._instance):
            self._draft.write(pieces)

    def finish(self) -> Taken:
        """Check the whole object and keep it."""
        taken = self._claim.keep(self._draft, self._instance)
        self._kept = taken is Taken.KEPT
        return taken

    def close(self) -> None:
        """Forget the object, unless it is kept; then flush it to the disk."""
        if self._kept:
            self._kept = False
            self._claim.settle(self._draft, self._instance)
        self._draft.discard()


def _stripe(uid: str) -> str:
    """One of 256 locks: enough that strangers seldom meet, few enough that lock files need no clearing."""
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:2]
