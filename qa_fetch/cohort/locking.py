"""Locked cohorts: a manifest of what a cohort consists of and how it came about, and whether that is still so.

The manifest names every DICOM file, volume and mask of the patients who are ready, with its size and SHA-256, the rules
(settings without places and secrets) and the versions of what worked on them. Nothing else is in it, no time and no
path of a machine: the same cohort gives the same bytes. What is worked out from these files (histograms, pictures,
pages) can be made again, and is not in it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Callable, Optional, Union

from ..errors import BadArchive, ConfigError, Incomplete, NotFound
from ..shelf.disk import write_text
from . import marks
from .built import Built
from .config import Settings
from .folders import PatientFolder
from .manifest import UNREADABLE, Entry, Manifest, Member, digest, files_of, named_by, record_of, versions
from .notes import Notes, stem

_log = logging.getLogger("qa_fetch.cohort")
_THREADS = 4  # a hash is faster than most disks

OnPatient = Callable[[int, int], None]


@dataclass(frozen=True)
class Locked:
    """Whether a locked cohort is what it was; the files that are not stand in ``report``, by name.

    ``changed``, ``missing``, ``new`` and ``unreadable`` count files; ``gone`` counts patients of the manifest who are
    not ready any more, ``added`` those who are ready and not in it. ``rules`` and ``versions`` are sentences.
    """

    manifest: Path
    report: Path
    patients: int
    files: int
    changed: int
    missing: int
    new: int
    unreadable: int
    gone: int
    added: int
    rules: tuple[str, ...]
    versions: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether patients, files and rules are as they were locked; other versions change none of these."""
        files = self.changed or self.missing or self.new or self.unreadable
        return not (files or self.gone or self.added or self.rules)

    @property
    def exit_code(self) -> int:
        """What a command ends with."""
        return 0 if self.intact else 1

    def sentences(self) -> tuple[str, ...]:
        """What was found out, without identifiers."""
        said: list[str] = []
        for count, what in (
            (self.changed, "not what they were"),
            (self.missing, "gone"),
            (self.new, "new"),
            (self.unreadable, "there and cannot be read"),
        ):
            if count:
                said.append(f"Files that are {what}: {count}.")
        if self.gone:
            said.append(f"Patients who are not ready any more: {self.gone}.")
        if self.added:
            said.append(f"Patients who are ready and were not locked: {self.added}.")
        said += self.rules
        if self.intact:
            said.append(f"The cohort is as it was locked: patients {self.patients}, files {self.files}.")
        else:
            said.append(
                f"The cohort is not as it was locked; {self.report.name} has the list. "
                "Bring back what it was, or lock it again as it is."
            )
        return (*said, *self.versions)

    def sentence(self) -> str:
        """The same in one line."""
        return " ".join(self.sentences())


def manifest_path(settings: Settings) -> Path:
    """Where the manifest of a locked cohort lies."""
    return settings.work / "manifest.json"


def is_locked(settings: Settings) -> bool:
    """Whether a cohort is locked."""
    return manifest_path(settings).is_file()


def lock(
    settings: Settings,
    *,
    again: bool = False,
    locked: Union[date, str, None] = None,
    on_progress: Optional[OnPatient] = None,
) -> Path:
    """Write down what the cohort consists of; gives the path of the manifest.

    Parameters
    ----------
    settings
        Of the cohort.
    again
        Whether a manifest that is there may be replaced.
    locked
        A day that the manifest shall tell; nothing is told without it.
    on_progress
        Called with how many patients are done, and how many there are.

    Raises
    ------
    ConfigError, NotFound, Incomplete
        It is locked already; no patient is ready; what was built of a patient is not all there.
    """
    target = manifest_path(settings)
    if is_locked(settings) and not again:
        raise ConfigError(
            f"The cohort is locked already by {target.name} in {target.parent}. "
            "Verify it, or say that it shall be locked again."
        )
    ready = _ready(settings)
    if not ready:
        raise NotFound("No patient of the cohort is ready, so there is nothing to lock. Run: qa-fetch cohort build.")
    members = []
    with ThreadPoolExecutor(_THREADS) as threads:
        for number, (folder, built) in enumerate(ready, 1):
            members.append(_member(folder, built, threads))
            if on_progress is not None:
                on_progress(number, len(ready))
    broken = sum(member is None for member in members)
    if broken:
        raise Incomplete(
            f"What was built of {broken} of {len(ready)} patients is not all there, so nothing was locked. "
            "Run: qa-fetch cohort build.",
            retriable=False,
        )
    day = locked.isoformat() if isinstance(locked, date) else locked
    whole = [member for member in members if member is not None]
    found = Manifest(tuple(whole), marks.rules_of(settings), versions(), day)
    try:
        found.write(target)
    except OSError as error:
        raise _full(target, error) from error
    files = sum(len(member.files) for member in whole)
    _log.info("cohort locked: %d patients, %d files, SHA-256 %s", len(whole), files, (digest(target) or ("", 0))[0])
    return target


def verify(settings: Settings, *, on_progress: Optional[OnPatient] = None) -> Locked:
    """Read every file of a locked cohort again, and say what is not as it was.

    Parameters
    ----------
    settings
        Of the cohort.
    on_progress
        Called with how many patients are done, and how many there are.

    Raises
    ------
    NotFound, BadArchive
        The cohort is not locked; its manifest is damaged.
    """
    target = manifest_path(settings)
    if not is_locked(settings):
        raise NotFound(f"The cohort is not locked: {target.parent} has no {target.name}. Lock it first.")
    manifest = Manifest.read(target)
    ready = {built.patient: built for _, built in _ready(settings, leave_out_damaged=True)}
    differ: dict[str, dict[str, list[str]]] = {kind: {} for kind in ("changed", "missing", "new", UNREADABLE)}
    with ThreadPoolExecutor(_THREADS) as threads:
        for number, member in enumerate(manifest.members, 1):
            folder = PatientFolder(settings.datadirectory / stem(member.patient), member.patient, member.modality)
            for kind, path in _differences(folder, member, threads):
                differ[kind].setdefault(member.patient, []).append(path)
            if member.patient in ready and record_of(ready[member.patient]) != member.record:
                differ["changed"].setdefault(member.patient, []).append(folder.built.name)
            if on_progress is not None:
                on_progress(number, len(manifest.members))
    locked = {member.patient for member in manifest.members}
    gone, added = sorted(locked - ready.keys()), sorted(ready.keys() - locked)
    rules = tuple(_other_rules(manifest.rules, marks.rules_of(settings)))
    other = tuple(_other_versions(manifest.versions, versions()))
    report = settings.work / "lock_report.json"
    written = {**differ, "patients_gone": gone, "patients_added": added, "rules": rules, "versions": other}
    try:
        write_text(report, json.dumps(written, indent=1) + "\n")
    except OSError as error:
        raise _full(report, error) from error
    counts = {kind: sum(map(len, paths.values())) for kind, paths in differ.items()}
    return Locked(
        manifest=target,
        report=report,
        patients=len(locked),
        files=sum(len(member.files) for member in manifest.members),
        gone=len(gone),
        added=len(added),
        rules=rules,
        versions=other,
        **counts,
    )


def _ready(settings: Settings, *, leave_out_damaged: bool = False) -> list[tuple[PatientFolder, Built]]:
    """The patients who are built and whose notes say that they can be used, by their IDs."""
    found = []
    folder = settings.datadirectory
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        place = PatientFolder(path, path.name, settings.profile.images)
        if not place.built.is_file():
            continue
        try:
            built = Built.read(place)
            if built is None or stem(built.patient) != path.name:  # a copy under another name is no further patient
                continue
            notes = Notes.read(settings.patientnotesdir, built.patient)
        except BadArchive:
            if leave_out_damaged:
                continue
            raise
        if notes is not None and notes.to_dict()["patientimagingfilesready"]:
            found.append((PatientFolder(path, built.patient, built.modality), built))
    return sorted(found, key=lambda each: each[1].patient)


def _member(folder: PatientFolder, built: Built, threads: Executor) -> Optional[Member]:
    """A patient as the manifest has them; None where a file that was built is not there."""
    uids = named_by(built)
    paths = files_of(folder)
    if not uids.keys() <= set(paths):
        return None
    found = threads.map(digest, (folder.root / path for path in paths))
    files = {path: Entry(*each, uids.get(path, "")) for path, each in zip(paths, found) if each is not None}
    if len(files) < len(paths):
        return None
    about = (built.patient, built.modality, built.study, built.series, built.frame_of_reference)
    return Member(*about, record_of(built), files)


def _differences(folder: PatientFolder, member: Member, threads: Executor) -> Iterator[tuple[str, str]]:
    """What is not as it was of a patient: in which way, and where."""
    paths = sorted(member.files)
    for path, found in zip(paths, threads.map(digest, (folder.root / path for path in paths))):
        if found is None:
            yield UNREADABLE if (folder.root / path).is_file() else "missing", path
        elif found != member.files[path][:2]:
            yield "changed", path
    for path in files_of(folder):
        if path not in member.files:
            yield "new", path


def _other_rules(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    written = json.loads(json.dumps(now))
    for key in sorted({*then, *written}):
        if then.get(key) != written.get(key):
            yield f"The rule {key} was {_shown(then.get(key))} and is {_shown(written.get(key))}."


def _other_versions(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for key in sorted({*then, *now}):
        if then.get(key) != now.get(key):
            yield f"It was locked with {key} {then.get(key, 'absent')}; here is {now.get(key, 'absent')}."


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _full(target: Path, error: OSError) -> Incomplete:
    return Incomplete(
        f"{target} cannot be written ({error.strerror}). Free space there or give another work folder.",
        retriable=False,
    )
