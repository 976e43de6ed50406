"""The always-on receiver: one process listens, and every process that shares its shelf finds its objects there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from .. import part10
from ..budget import Budget
from ..errors import ConnectionFailed, QAFetchError
from ..shelf import Claim, Drafted, Incoming, Route, Taken
from ..shelf.disk import sentences
from . import Local
from .commitment import Mailbox
from .receiver import bind, lock_on, port_taken

_log = logging.getLogger("qa_fetch.receiver")


def _state_folder(shelf: Path, port: int) -> Path:
    return shelf / "receivers" / str(port)


def mailbox(local: Local) -> Mailbox:
    """Where the always-on receiver leaves what archives say of commitments."""
    return Mailbox(_state_folder(local.shelf, local.port) / "commitments")


class Desk:
    """Where the processes of this machine that share a shelf say what they want, and get it.

    A process that wants objects writes their UIDs into a folder of its own and finds them there. Between ``open`` and
    ``close`` they all see that somebody receives for them on this port.
    """

    def __init__(self, shelf: Path, port: int) -> None:
        self._shelf = shelf
        self._port = port
        self._folder = _state_folder(shelf, port)
        self._lock = lock_on(port)
        self._requests: dict[Path, frozenset[str]] = {}
        self._guard = threading.Lock()
        self.reports = Mailbox(self._folder / "commitments")

    def take_port(self) -> None:
        """Be the one who receives on the port."""
        if not self._lock.try_acquire():
            raise ConnectionFailed(
                f"port {self._port} is held by another qa_fetch process. "
                "Wait until its transfer ends, stop that receiver, or choose another port."
            )

    def open(self, ae_title: str) -> None:
        """Let the others see it."""
        with sentences(self._shelf, "receiving"):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._mark.write_text(json.dumps({"pid": os.getpid(), "ae_title": ae_title}), encoding="utf-8")

    def close(self) -> None:
        """Tell the others that nobody receives any more; the port stays taken."""
        self._mark.unlink(missing_ok=True)

    def leave_port(self) -> None:
        """Let others receive on the port."""
        self._lock.release()

    @property
    def _mark(self) -> Path:
        return self._folder / "standing.json"

    def wanting(self, instance: str) -> list[Path]:
        """The folders of those who want an object."""
        return [want.parent for want in self._folder.glob("*/wanted") if instance in self._wanted(want)]

    def _wanted(self, path: Path) -> frozenset[str]:
        """The UIDs of a request, which is written once and read once."""
        with self._guard:
            found = self._requests.get(path)
            if found is None:
                try:
                    found = frozenset(path.read_text(encoding="utf-8").split("\n"))
                except FileNotFoundError:  # its owner has finished meanwhile
                    return frozenset()
                self._requests = {known: uids for known, uids in self._requests.items() if known.exists()}
                self._requests[path] = found
            return found

    def hand_over(self, instance: str, file: Path) -> None:
        """Give a stored object to all who want it; OSError where the disk does not take a copy."""
        name = f"{part10.file_stem(instance)}.dcm"
        for folder in self.wanting(instance):
            draft = folder / f"{uuid.uuid4().hex}.part"
            with contextlib.suppress(FileNotFoundError):  # its owner has finished meanwhile
                shutil.copyfile(file, draft)
                draft.replace(folder / name)


class Standing:
    """The always-on receiver: it serves every process on this machine that shares its shelf."""

    def __init__(self, local: Local, keep: Optional[Route] = None) -> None:
        self._local = local
        self._keep = keep
        self._desk = Desk(local.shelf, local.port)
        self._guard = threading.Lock()
        self.received = self.refused = 0

    def __enter__(self) -> Standing:
        self._desk.take_port()
        try:
            self._desk.open(self._local.ae_title)
            receiver = bind(self._local, self._route, self._desk.reports.put)
            if receiver is None:
                raise port_taken(self._local, Budget(0))
        except QAFetchError:
            self._desk.leave_port()
            raise
        self._receiver = receiver
        return self

    def __exit__(self, *_: object) -> None:
        self._desk.close()
        self._receiver.close()
        self._desk.leave_port()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._receiver.port

    def _route(self, sop_class: str, instance: str, transfer_syntax: str) -> Optional[Incoming]:
        wanting = self._desk.wanting(instance)
        if wanting:
            return _Counted(self, _Delivery(wanting, (sop_class, instance, transfer_syntax)))
        incoming = self._keep(sop_class, instance, transfer_syntax) if self._keep is not None else None
        if incoming is None:
            self.count(Taken.UNWANTED)
            return None
        return _Counted(self, incoming)

    def count(self, taken: Taken) -> None:
        """Count an object that has come."""
        with self._guard:
            if taken is Taken.UNWANTED:
                self.refused += 1
                _log.warning("an object that nobody asked for was refused (%d so far)", self.refused)
            else:
                self.received += 1


class _Counted:
    """An object whose end its receiver counts."""

    def __init__(self, standing: Standing, incoming: Incoming) -> None:
        self._standing = standing
        self._incoming = incoming
        self.write = incoming.write
        self.close = incoming.close

    def finish(self) -> Taken:
        taken = self._incoming.finish()
        self._standing.count(taken)
        return taken


class _Delivery(Drafted):
    """An object for those who asked for it: written once, and copied for the second."""

    def __init__(self, folders: Sequence[Path], announced: tuple[str, str, str]) -> None:
        self._folders = folders
        super().__init__(
            folders[0] / f"{uuid.uuid4().hex}.part",
            announced,
            lambda why: f"an object could not be handed over in {folders[0]} ({why}). Free space or check permissions.",
        )

    def finish(self) -> Taken:
        """Give it to all of them."""
        name = f"{part10.file_stem(self.draft.checked().sop_instance)}.dcm"
        with self.told():
            for folder in self._folders[1:]:
                copy = folder / f"{name}.part"
                self.draft.copy_to(copy)
                copy.replace(folder / name)
            self.draft.become(self._folders[0] / name)
            self.draft.close()
        return Taken.KEPT


class Want:
    """A request to the always-on receiver of this machine; ``collect`` brings what has arrived into the claim."""

    def __init__(self, folder: Path, claim: Claim) -> None:
        self._folder = folder
        self._claim = claim
        self._guard = threading.Lock()

    def collect(self) -> int:
        """Move what has arrived into the claim; how many files there were."""
        with self._guard:  # several associations may be asking for the same claim
            found = sorted(self._folder.glob("*.dcm"))
            for path in found:
                self._claim.take_file(path)
                path.unlink()
            return len(found)


def standing_at(local: Local) -> bool:
    """Whether an always-on receiver that shares our shelf holds the port."""
    if not (_state_folder(local.shelf, local.port) / "standing.json").is_file():
        return False
    lock = lock_on(local.port)
    with lock:
        return not lock.try_acquire()  # a killed receiver leaves its file but not its lock


def _sweep(state: Path) -> None:
    """Remove what killed processes left behind: nobody wants anything for a day."""
    for folder in state.glob("want-*"):
        with contextlib.suppress(FileNotFoundError):  # its owner, or another sweeper, was faster
            if time.time() - folder.stat().st_mtime > 86400:
                shutil.rmtree(folder)


@contextlib.contextmanager
def want(local: Local, claim: Claim) -> Iterator[Want]:
    """Ask the always-on receiver for the objects of a claim for the length of a block."""
    state = _state_folder(local.shelf, local.port)
    _sweep(state)
    with sentences(local.shelf, "receiving"):
        folder = Path(tempfile.mkdtemp(prefix="want-", dir=state))
    try:
        with sentences(local.shelf, "receiving"):
            draft = folder / "wanted.part"
            draft.write_text("\n".join(reference.instance for reference in claim.missing), encoding="utf-8")
            draft.replace(folder / "wanted")
        asked = Want(folder, claim)
        yield asked
        asked.collect()
    finally:
        (folder / "wanted").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # an object may be arriving; what stays is swept after a day
