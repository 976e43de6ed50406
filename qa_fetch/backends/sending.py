"""Sending files to a DICOM archive as they lie on the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .. import part10
from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConnectionFailed, Refused
from . import Local, Sent
from .connections import Connections
from .crew import Crew
from .link import Link, Outgoing, Purpose, Sentences
from .storage import UNCOMPRESSED, VERIFICATION

_KINDS_AT_ONCE = 60  # an association has room for 128 contexts, and a kind may need two
_PLAIN = (part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE)

_LOST_TOO_OFTEN = 3  # connections; an archive that breaks off so often takes nothing now

_Kind = tuple[str, str]


class Sending:
    """One send: every file is accounted for."""

    def __init__(self, archive: ArchiveConfig, local: Local, connections: Connections) -> None:
        self._archive = archive
        self._connections = connections
        self._says = Sentences(archive, local)

    def run(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """What became of each file, in the order in which they were given."""
        problems: dict[Path, str] = {}
        kinds: dict[_Kind, list[Path]] = {}
        for path in files:
            try:
                with _opened(path) as outgoing:
                    kinds.setdefault((outgoing.sop_class, outgoing.transfer_syntax), []).append(path)
            except BadArchive as error:
                problems[path] = error.message.rstrip(".")
        listed = list(kinds)
        for start in range(0, len(listed), _KINDS_AT_ONCE):
            some = listed[start : start + _KINDS_AT_ONCE]
            paths = [path for kind in some for path in kinds[kind]]
            problems.update(self._send(Purpose((VERIFICATION,), sending=_contexts(some)), paths, budget))
        return [Sent(path, problems[path]) for path in files]

    def _send(self, purpose: Purpose, paths: Sequence[Path], budget: Budget) -> dict[Path, str]:
        problems: dict[Path, str] = {}
        lost: list[str] = []
        members = self._connections.crew_for(purpose, len(paths), budget)

        def send_one(path: Path) -> bool:
            try:
                problems[path] = self._connections.run(purpose, budget, lambda link: self._store(link, path, budget))
            except (ConnectionFailed, Refused) as error:
                problems[path] = error.message.rstrip(".")
                lost.append(problems[path])
            return len(lost) < _LOST_TOO_OFTEN and not budget.spent

        Crew(paths, lambda: self._connections.open(purpose, budget), send_one).run(members)
        late = f"it was not sent, because {budget} were over"
        return {path: problems.get(path, lost[-1] if lost else late) for path in paths}

    def _store(self, link: Link, path: Path, budget: Budget) -> str:
        """Send one file; what went wrong with it, if anything did."""
        try:
            with _opened(path) as outgoing:
                status = link.store(outgoing, budget)
        except BadArchive as error:
            return error.message.rstrip(".")
        if status is None:
            return f"{self._archive.name} does not accept objects of this class in this transfer syntax"
        if status == 0x0000 or status & 0xF000 == 0xB000:
            return ""
        return self._says.refusal("C-STORE", status).message.rstrip(".")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Outgoing]:
    """A file as it goes out; its whole data set is walked, so that nothing cut short is sent."""
    with path.open("rb") as file, part10.opened(file, path.name) as content:
        identity = content.identity()
        yield Outgoing(path, identity.sop_class, identity.sop_instance, content.transfer_syntax, content.dataset)


def _contexts(kinds: Iterable[_Kind]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A context for each sort of object as it is stored, and a second one where it can be turned into another."""
    contexts: dict[tuple[str, tuple[str, ...]], None] = {}
    for sop_class, syntax in kinds:
        contexts[sop_class, (syntax,)] = None
        if syntax in UNCOMPRESSED:
            contexts[sop_class, tuple(plain for plain in _PLAIN if plain != syntax)] = None
    return tuple(contexts)
