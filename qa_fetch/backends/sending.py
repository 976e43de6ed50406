"""Sending files to a DICOM archive as they lie on the disk."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Union

from .. import part10
from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConnectionFailed, Refused
from . import Local, Sent, receiver, standing
from .commitment import NOT_NAMED, Arrived, Committed, Reports, new_transaction
from .commitment import SERVICE as COMMITMENT
from .connections import Connections
from .link import Link, Outgoing, Purpose, Sentences
from .storage import VERIFICATION, outgoing_contexts
from .wire import Source

_KINDS_AT_ONCE = 60  # an association has room for 128 contexts, and a kind may need two
_MAPPED = 1 << 25  # bytes of a file that are sent as if they were memory

_COMMITTED_AT_ONCE = 1000
_WARNINGS = (0x0107, 0x0116)  # beside 0xBxxx: it took the object, but left out or changed some of it
_LOST_TOO_OFTEN = 3  # connections; an archive that breaks off so often takes nothing now

_Kind = tuple[str, str]


class Sending:
    """One send: every file is accounted for."""

    def __init__(self, archive: ArchiveConfig, local: Local, connections: Connections) -> None:
        self._archive = archive
        self._local = local
        self._connections = connections
        self._says = Sentences(archive, local)

    def run(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """What became of each file, in the order in which they were given."""
        outcome: dict[Path, Sent] = {}
        kinds: dict[_Kind, list[Path]] = {}
        for path in files:
            try:
                with _opened(path) as outgoing:
                    kinds.setdefault((outgoing.sop_class, outgoing.transfer_syntax), []).append(path)
            except (BadArchive, OSError) as error:
                outcome[path] = Sent(path, _unreadable(path, error))
        listed = list(kinds)
        for start in range(0, len(listed), _KINDS_AT_ONCE):
            some = listed[start : start + _KINDS_AT_ONCE]
            paths = [path for kind in some for path in kinds[kind]]
            outcome.update(self._send(Purpose((VERIFICATION,), sending=tuple(outgoing_contexts(some))), paths, budget))
        return [outcome[path] for path in files]

    def _send(self, purpose: Purpose, paths: Sequence[Path], budget: Budget) -> dict[Path, Sent]:
        outcome: dict[Path, Sent] = {}
        lost: list[str] = []
        self._connections.open(purpose, budget)  # an archive that wants no association at all is named at once
        waiting = deque(paths)
        # Over one association: DCMTK's dcmqrscp mixes up objects that are stored over several at once.
        while waiting and len(lost) < _LOST_TOO_OFTEN and not budget.spent:
            path = waiting.popleft()
            try:
                outcome[path] = self._connections.run(purpose, budget, partial(self._store, path, budget))
            except (ConnectionFailed, Refused) as error:
                lost.append(error.message.rstrip("."))
                waiting.append(path)  # the last to be tried again: the archive may not be able to live with it
        late = f"it was not sent, because {budget} were over"
        return {path: outcome.get(path) or Sent(path, lost[-1] if lost else late) for path in paths}

    def _store(self, path: Path, budget: Budget, link: Link) -> Sent:
        """Send one file; what became of it."""
        try:
            with _opened(path) as outgoing:
                status = link.store(outgoing, budget)
        except (BadArchive, OSError) as error:
            return Sent(path, _unreadable(path, error))
        if status is None:
            return Sent(path, f"{self._archive.name} does not accept objects of this class in this transfer syntax")
        if status == 0x0000:
            return Sent(path)
        says = self._says.refusal("C-STORE", status).message.rstrip(".")
        if status & 0xF000 == 0xB000 or status in _WARNINGS:
            return Sent(path, warning=says)
        return Sent(path, says)

    def commit(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Ask the archive to vouch for files that it was sent; what it says of each."""
        objects: dict[Path, Committed] = {}
        says: dict[Path, Sent] = {}
        for path in files:
            try:
                with _opened(path) as outgoing:
                    objects[path] = Committed(outgoing.sop_class, outgoing.sop_instance)
            except (BadArchive, OSError) as error:
                says[path] = Sent(path, _unreadable(path, error))
        listed = list(objects)
        with self._reports(budget) as reports:
            for start in range(0, len(listed), _COMMITTED_AT_ONCE):
                some = listed[start : start + _COMMITTED_AT_ONCE]
                answers = self._commit(some, [objects[path] for path in some], reports, budget)
                says.update((sent.path, sent) for sent in answers)
        return [says[path] for path in files]

    def _commit(
        self, files: Sequence[Path], objects: Sequence[Committed], reports: Reports, budget: Budget
    ) -> list[Sent]:
        transaction = new_transaction()
        outcome = self._connections.run(
            Purpose((COMMITMENT,)), budget, lambda link: link.commit(transaction, objects, reports, budget)
        )
        reasons = [outcome.problem(one.sop_instance) for one in objects]
        return [Sent(path, self._why_not(reason)) for path, reason in zip(files, reasons)]

    def _why_not(self, reason: int) -> str:
        if reason == NOT_NAMED:
            return f"{self._archive.name} did not say whether it commits to it. Ask again, or look there"
        return self._says.refusal("storage commitment", reason).message.rstrip(".") if reason else ""

    @contextlib.contextmanager
    def _reports(self, budget: Budget) -> Iterator[Reports]:
        """Where an archive's word will be found: it may call back for it."""
        if standing.standing_at(self._local):
            yield standing.mailbox(self._local)
            return
        arrived = Arrived()
        with receiver.temporary(self._local, lambda *_: None, budget, arrived.add):
            yield arrived


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Outgoing]:
    """A file as it goes out; its whole data set is walked, so that nothing cut short is sent."""
    with path.open("rb") as file, part10.opened(file, path.name) as content:
        identity = content.identity()
        dataset: Source = content.dataset
        if len(dataset) > _MAPPED:
            dataset = _OnDisk(file, len(dataset))
        yield Outgoing(path, identity.sop_class, identity.sop_instance, content.transfer_syntax, dataset)


def _unreadable(path: Path, error: Union[BadArchive, OSError]) -> str:
    if isinstance(error, BadArchive):
        return error.message.rstrip(".")
    return f"{path.name} cannot be read ({error.strerror})"


class _OnDisk:
    """The last part of an open file, read as it is sent: pages of a mapped file that are looked at count as memory."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._length = length
        self._start = file.seek(0, os.SEEK_END) - length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        first, last, _ = part.indices(self._length)
        self._file.seek(self._start + first)
        return self._file.read(last - first)
