"""The archives in a folder, and what one of them holds: read for the index, without converting anything."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..errors import BadArchive, QAFetchError
from ..pinnacle import objects, reading
from ..pinnacle.making import Notes
from ..pinnacle.records import Damage, ImageSetEntry, Patient, PlanEntry
from ..pinnacle.sources import SQUEEZED, TARS, UNREAD, Source, opened

_log = logging.getLogger("qa_fetch.backends")

_PATIENT = "Patient"  # the file that makes a folder an unpacked patient
_BINARY = ".binary."  # dose files: the text of their plan and their sizes tell two of them apart


class State(NamedTuple):
    """By what it is seen that an archive has changed: its size in bytes and when it was last written (nanoseconds)."""

    size: int
    changed: int


UNREADABLE = State(-1, -1)  # an archive that has this state is tried again each time


@dataclass(frozen=True)
class Held:
    """A patient as one archive holds it."""

    archive: Path
    state: State
    patient: Patient
    trials: Mapping[int, tuple[Optional[str], ...]]  # by the number of the plan: the names of its trials
    digests: Mapping[int, str]  # and of its content
    problem: str = ""  # of the archive, which may have lost a part of it

    def text(self) -> str:
        """As the index keeps it."""
        return json.dumps({"patient": asdict(self.patient), "trials": self.trials, "digests": self.digests})

    @classmethod
    def of(cls, archive: Path, state: State, problem: str, text: str) -> Held:
        """From what the index has kept.

        Parameters
        ----------
        archive, state, problem
            What is noted of the archive.
        text
            What is noted of the patient in it.
        """
        kept: dict[str, Any] = json.loads(text)
        patient = kept["patient"]
        for key, kind in (("image_sets", ImageSetEntry), ("plans", PlanEntry), ("damages", Damage)):
            patient[key] = tuple(kind(**each) for each in patient[key])
        trials = {int(number): tuple(names) for number, names in kept["trials"].items()}
        digests = {int(number): digest for number, digest in kept["digests"].items()}
        return cls(archive, state, Patient(**patient), trials, digests, problem)


class Contents(NamedTuple):
    """What an archive holds, or why it cannot be read as a whole."""

    state: State
    patients: list[Held]
    problem: str = ""


def scan(name: str, root: Path) -> dict[bytes, State]:
    """Every archive below a folder, by its path there: tars, and the folders of unpacked patients."""
    found: dict[bytes, State] = {}

    def unreadable(error: OSError) -> None:
        _log.warning("%s: a folder below it cannot be read (%s), so nothing in it is found", name, error.strerror)

    for folder, folders, files in os.walk(root, onerror=unreadable):
        folders.sort()
        if _PATIENT in files:
            folders.clear()
            found[_relative(root, Path(folder))] = state(Path(folder))
            continue
        for file in files:
            if file.lower().endswith(TARS + SQUEEZED) and not file.startswith("."):
                path = Path(folder, file)
                found[_relative(root, path)] = state(path)
    return found


def state(path: Path) -> State:
    """The state of an archive; that of an unpacked one is made up of all its files."""
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return State(status.st_size, status.st_mtime_ns)
        each = [status, *(inner.lstat() for inner in path.rglob("*"))]
    except OSError:  # it has just gone, or a link leads nowhere
        return UNREADABLE
    sizes = (one.st_size for one in each if stat.S_ISREG(one.st_mode))
    return State(sum(sizes), max(one.st_mtime_ns for one in each))


def contents(path: Path) -> Contents:
    """What an archive holds; one that is damaged has a problem instead, or what was before the damage."""
    before = state(path)
    try:
        with opened(path) as source:
            found = [_held(path, before, source, patient) for patient in reading.patients(source)]
            unread = [reason for reason in source.refused.values() if reason.startswith(UNREAD)]
            if unread:
                problem = (
                    f"files in it that cannot be read: {len(unread)} ({unread[0]}). "
                    "Check the rights of this user, or the disk or share that they lie on."
                )
                return Contents(UNREADABLE, found, problem)
            return Contents(before, found, source.stop or "")
    except QAFetchError as error:
        return Contents(UNREADABLE if getattr(error, "by_system", False) else before, [], error.message)
    except OSError as error:
        return Contents(UNREADABLE, [], f"it cannot be read ({error.strerror})")


def identifier(patient: Patient) -> str:
    """The PatientID that its objects have; empty where it has none."""
    return objects.identifier(patient, Notes())


def person(patient: Patient) -> str:
    """The PatientName that its objects have."""
    return objects.person(patient, Notes())


def _held(path: Path, before: State, source: Source, patient: Patient) -> Held:
    names = reading.names_below(source.names(), patient.folder)
    trials = {entry.number: _trials(source, entry) for entry in patient.plans}
    digests = {entry.number: _digest(source, entry, names) for entry in patient.plans}
    return Held(path, before, patient, trials, digests)


def _trials(source: Source, entry: PlanEntry) -> tuple[Optional[str], ...]:
    try:
        return tuple(reading.trial_names(source, entry))
    except QAFetchError:  # the conversion will say why
        return ()


def _digest(source: Source, entry: PlanEntry, names: list[str]) -> str:
    """Two archives hold the same plan where its texts are the same, and its dose files are as long."""
    digest = hashlib.sha256(repr((entry.name, entry.written)).encode("utf-8", "surrogatepass"))
    for name in reading.names_below(names, entry.folder):
        size = source.size(name)
        digest.update(f"{name[len(entry.folder) :]} {size}".encode("utf-8", "surrogatepass"))
        if _BINARY not in name:
            with contextlib.suppress(BadArchive), source.open(name) as file:  # the source notes what cannot be read
                for block in iter(lambda: file.read(1 << 20), b""):  # noqa: B023 - used before the next file
                    digest.update(block)
    return digest.hexdigest()


def _relative(root: Path, path: Path) -> bytes:
    return os.fsencode(path.relative_to(root).as_posix())
