"""What a worker does with a handful of files: learn who is in them, or write them anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bulk import Done
from ..errors import BadArchive, QAFetchError
from ..shelf.disk import is_full, make_folder
from .claims import Claims, Settled
from .dictionary import name_of
from .harvest import Harvest
from .in_place import flush, publish, put_away, remove_original
from .known import Learnt
from .learning import Shared
from .naming import Facts, facts_of, mark, place_of, rules_of
from .reading import opened
from .sources import OBJECT, PARTIAL, kind_of, paths

if TYPE_CHECKING:
    from .anonymiser import Anonymiser, Rewritten
    from .keyed import Key

OWN = "anonymised before"
_MOST_WARNINGS = 50  # of one handful; a report of more is not read


@dataclass(frozen=True)
class Job:
    """Where things are; everything as text, since it goes to other processes.

    ``private`` is the run's own folder beside the key. ``keeps`` says whether what is held back is kept there.
    """

    source: str
    output: str
    private: str
    in_place: bool
    keeps: bool

    def claims(self, key: Key) -> Claims:
        """Which source each file of the output was made of."""
        return Claims(Path(self.private, "made.sqlite"), Path(self.output), key, replaces=not self.in_place)

    @property
    def quarantine(self) -> Path:
        """Where that goes which is not passed on and not deleted."""
        return Path(self.private, "quarantine")


def learn(shared: Shared, job: Job, payload: Mapping[str, Any]) -> Done:
    """Who is in a handful of files, and which of them are none of DICOM's."""
    patients: dict[str, _Patient] = {}
    kinds: dict[str, str] = {}
    failed: dict[str, str] = {}
    size = 0
    for relative, path in paths(Path(job.source), payload):
        try:
            kind = kind_of(path)
            if kind == OBJECT and job.in_place and _is_own(shared.anonymiser, relative, path):
                kind = OWN
            if kind != OBJECT:
                kinds[relative] = kind
                continue
            learnt = shared.anonymiser.examined(path)
        except QAFetchError as error:
            failed[relative] = error.message
            continue
        except OSError as error:
            failed[relative] = said(error, path)
            continue
        size += path.stat().st_size
        patients.setdefault(learnt.patient, _Patient()).take(learnt)
    found = {name: patient.to_json() for name, patient in patients.items()}
    return Done(size, {"patients": found, "kinds": kinds, "failed": failed})


@dataclass
class _Patient:
    """What a handful of files says of one patient."""

    harvest: Harvest = field(default_factory=Harvest)
    studies: dict[str, bool] = field(default_factory=dict)

    def take(self, learnt: Learnt) -> None:
        self.harvest |= learnt.harvest
        self.studies[learnt.study] = learnt.has_id or self.studies.get(learnt.study, False)

    def to_json(self) -> dict[str, Any]:
        return {"harvest": self.harvest.to_json(), "studies": self.studies}


def learnt_of(patient: str, said: Mapping[str, Any]) -> Iterator[Learnt]:
    """What a worker said of one patient: once for each study."""
    harvest = Harvest.from_json(said["harvest"])
    for study, has_id in said["studies"].items():
        yield Learnt(patient, study, harvest, has_id)


def _is_own(anonymiser: Anonymiser, relative: str, path: Path) -> bool:
    """Whether an earlier run in place has made this file by these rules, as far as it says so itself.

    It is where this key puts it, and tells the same profile and options. By other rules it is made anew.
    """
    if not (relative.startswith("sub-") and relative.endswith(".dcm")):
        return False
    try:
        with opened(path) as whole:
            facts = facts_of(whole.dataset, whole.encoding)
            rules = rules_of(whole.dataset, whole.encoding)
    except BadArchive:
        return False
    is_known = anonymiser.key.made_uid(facts.instance) or anonymiser.known.identities.is_code(facts.code)
    is_clean = facts.removed == "YES" and rules == anonymiser.profile.told
    return is_known and is_clean and place_of(facts) == relative


def _facts(path: Path) -> Facts:
    with opened(path) as whole:
        return facts_of(whole.dataset, whole.encoding)


@dataclass
class Written:
    """What became of a handful of files, as the ledger keeps it; files are named below the source."""

    made: dict[str, tuple[str, int]] = field(default_factory=dict)
    own: int = 0
    same: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    actions: dict[str, list[int]] = field(default_factory=dict)


def write(shared: Shared, job: Job, payload: Mapping[str, Any]) -> Done:
    """Write a handful of files anew; one that cannot be is named, and the others go on."""
    return _Handful(shared.anonymiser, job).all(payload)


class _Handful:
    """The files of one item."""

    def __init__(self, anonymiser: Anonymiser, job: Job) -> None:
        self._anonymiser, self._job = anonymiser, job
        # A folder for each process: they would wait for each other to make a file in the same one.
        self._partial = make_folder(Path(job.output, PARTIAL, str(os.getpid())))
        self._told = Written()
        self._ready: list[tuple[str, str, Path]] = []

    def all(self, payload: Mapping[str, Any]) -> Done:
        """One after the other; names are given when all are written."""
        for number, (relative, path) in enumerate(paths(Path(self._job.source), payload)):
            kind = payload["kinds"].get(relative, OBJECT)
            if kind == OWN:
                self._told.own += 1
                continue
            if relative in payload["failed"]:
                self._told.failed[relative] = payload["failed"][relative]
                continue
            try:
                if kind == OBJECT:
                    made = self._partial / f"{mark(f'{relative}/{number}')}-{number}"
                    self._one(relative, path, made)
                else:
                    self._leave(relative, path, kind)
            except OSError as error:
                self._told.failed[relative] = said(error, path)
        self._name()
        return Done(sum(size for _, size in self._told.made.values()), vars(self._told))

    def _one(self, relative: str, path: Path, made: Path) -> None:
        from .anonymiser import Held

        made.unlink(missing_ok=True)
        try:
            written = self._anonymiser.file(path, made)
            place = place_of(_facts(made))
        except Held as held:
            self._put_away(relative, path, delete=not self._job.keeps)
            self._told.held[relative] = held.message
            return
        except QAFetchError as error:
            self._told.failed[relative] = error.message
            return
        if self._job.in_place:
            flush(made)  # a copy is there again as long as its source is
        self._ready.append((place, relative, made))
        self._note(written, place)

    def _note(self, written: Rewritten, place: str) -> None:
        for (tag, action), count in written.actions.items():
            noted = self._told.actions.setdefault(f"{tag:08X} {action}", [0, 0])
            noted[0] += count
            noted[1] += 1
        room = _MOST_WARNINGS - len(self._told.warnings)
        for tag, text in written.warnings[: max(0, room)]:
            self._told.warnings.append(f"{Path(place).stem} {name_of(tag)}: {text}")

    def _leave(self, relative: str, path: Path, kind: str) -> None:
        """What is no object: left out, and where the originals go, out of the way with them."""
        self._told.left[relative] = kind
        if self._job.in_place:
            self._put_away(relative, path, delete=False)

    def _put_away(self, relative: str, path: Path, *, delete: bool) -> None:
        if not delete:
            put_away(path, self._job.quarantine / relative)
        if self._job.in_place:
            remove_original(path)

    def _name(self) -> None:
        """Give the files that are whole their names, and let their originals go where that was asked for."""
        root = Path(self._job.source)
        claims = self._job.claims(self._anonymiser.key)
        wanted = [(place, str(root / relative), made) for place, relative, made in self._ready]
        for (place, relative, made), settled in zip(self._ready, claims.claim(wanted) if wanted else ()):
            try:
                self._settle(place, relative, made, settled)
                if settled.outdated:
                    claims.remove(settled.outdated)
            except OSError as error:
                self._told.made.pop(relative, None)
                self._told.failed[relative] = said(error, root / relative)

    def _settle(self, place: str, relative: str, made: Path, settled: Settled) -> None:
        output = Path(self._job.output)
        if settled.problem:
            self._told.failed[relative] = settled.problem
            made.unlink()
            return
        self._told.made[relative] = (place, made.stat().st_size)
        if settled.is_there:
            self._told.same.append(relative)
            made.unlink()
        else:
            publish(made, output / place, durably=self._job.in_place)
        if self._job.in_place and place.casefold() != relative.casefold():
            remove_original(Path(self._job.source, relative))
        self._told.warnings += (
            f"{Path(place).stem} is in the output as another patient's too: {other}. Remove the one that is wrong."
            for other in settled.elsewhere
        )


def said(error: OSError, path: Path) -> str:
    """What the operating system says about a file, as one line."""
    if is_full(error):
        return "the disk of the output is full. Free space there and run again: what is done stays done."
    why = error.strerror or type(error).__name__
    return f"{path.name} cannot be anonymised ({why}). Check its rights and the disk, then run again."
