"""A whole folder anonymised: all is learnt that identifies its patients before the first file is written."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..bulk import DONE, FAILED, Item, Ledger, Progress, Report, Row, run
from ..bulk.ledger import rows_of
from ..bulk.progress import OnProgress
from ..errors import ConfigError, NotFound
from ..shelf.disk import make_folder
from .audit import Anonymised, write_reports
from .foreseeing import foreseen
from .in_place import empty_folders, private_folder, remove_emptied
from .known import Learnt
from .learning import Shared, fingerprint, take
from .naming import mark
from .sources import PARTIAL, handfuls, paths
from .working import Job, learn, learnt_of, write

if TYPE_CHECKING:
    from .anonymiser import Anonymiser

_LEDGER = "ledger.sqlite"
Work = Callable[[Shared, Job, Mapping[str, Any]], Any]


def anonymise_folder(
    anonymiser: Anonymiser,
    source: Union[str, Path],
    to: Union[str, Path, None] = None,
    *,
    in_place: bool = False,
    held: Optional[str] = None,
    workers: int = 1,
    dry_run: bool = False,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Anonymised:
    """Anonymise every DICOM object below a folder; a run that was interrupted goes on where it stopped.

    The output becomes ``sub-CODE/ses-DATETIME/NNNNN-Description-MARK/UID.dcm``, all of it of new values. What is not
    DICOM is left out. In place, the new files take the place of the originals one by one: each original goes when its
    successor is on the disk, and what is not passed on is moved beside the key.

    Parameters
    ----------
    anonymiser
        By which key and profile.
    source
        The folder; links in it are not followed.
    to
        The output folder; files that this key folder did not make there are never written over.
    in_place
        Instead of ``to``.
    held
        What becomes of objects that are held back: ``drop`` or ``quarantine`` (into the key's folder). Without it they
        are left out of an output, and kept in quarantine in place, where ``drop`` deletes them.
    workers
        Processes; one works in this process.
    dry_run
        Write nothing, and say what would be done.
    on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    if held not in (None, "drop", "quarantine"):
        raise ConfigError(f"objects that are held back cannot be treated as {held!r}. Say drop or quarantine.")
    if dry_run:
        root, _ = _folders(source, to, in_place=in_place, dry_run=True)
        return foreseen(anonymiser, root, on_progress, cancelled)
    root, output = check(source, to, anonymiser.key.path, anonymiser.ids, in_place=in_place, workers=workers)
    run_of = mark(f"{output.resolve()} {anonymiser.key.code('')}")
    private = private_folder(anonymiser.ids / "runs" / run_of)
    keeps = held == "quarantine" or (in_place and held is None)
    job = Job(str(root), str(output), str(private), in_place, keeps)
    return _Run(anonymiser, job, workers, on_progress, cancelled).all()


def check(
    source: Union[str, Path], to: Union[str, Path, None], key: Path, ids: Path, *, in_place: bool, workers: int
) -> tuple[Path, Path]:
    """The folder of the originals and that of the output; ConfigError or NotFound where a run cannot be.

    It needs no key yet, so that none is made for nothing.

    Parameters
    ----------
    source, to, in_place, workers
        What is asked for.
    key, ids
        Where the key and the identities are, or will be: nothing that says who is who may lie where the data are.
    """
    root, output = _folders(source, to, in_place=in_place)
    if workers < 1:
        raise ConfigError(f"there cannot be {workers} workers. Give at least 1.")
    for what, place in (("the key", key), ("the folder of the identities", ids)):
        inside = (place.resolve(), *place.resolve().parents)
        if output.resolve() in inside:
            raise ConfigError(
                f"{what} {place} lies in {output}, and would be passed on with the data. Name a place outside of it."
            )
        if root.resolve() in inside:
            raise ConfigError(f"{what} {place} lies in {root}, whose files are read. Name a place outside of it.")
    if next(handfuls(root), None) is None:
        raise NotFound(f"{root} holds no files. Name the folder with the DICOM files.")
    return root, output


def _folders(
    source: Union[str, Path], given: Union[str, Path, None], *, in_place: bool, dry_run: bool = False
) -> tuple[Path, Path]:
    root, to = Path(source).absolute(), None if given is None else Path(given).absolute()
    if not root.is_dir():
        raise ConfigError(f"{root} is not a folder. Name the folder with the DICOM files.")
    if in_place and to is not None:
        raise ConfigError("the originals are either replaced in place or stay, with the output in a folder. Say one.")
    if to is None:
        if not (in_place or dry_run):
            raise ConfigError("say where the anonymised files go (to), or that they replace the originals (in place).")
        return root, root
    own, target = root.resolve(), to.resolve()
    if own == target:
        raise ConfigError(f"{to} is the folder of the originals. Name another one, or replace them in place.")
    if own in target.parents:
        raise ConfigError(f"{to} lies within {root}, whose files are read. Name a folder outside of it.")
    if target in own.parents:
        raise ConfigError(f"{root} lies within the output {to}. Name another output folder.")
    if to.exists() and not to.is_dir():
        raise ConfigError(f"{to} is a file. Name a folder.")
    return root, to


class _Run:
    """One run over a folder."""

    def __init__(
        self,
        anonymiser: Anonymiser,
        job: Job,
        workers: int,
        on_progress: Optional[OnProgress],
        cancelled: Optional[threading.Event],
    ) -> None:
        self._anonymiser, self._job, self._workers = anonymiser, job, workers
        self._on_progress, self._cancelled = on_progress, cancelled
        self._private, self._output = Path(job.private), Path(job.output)
        self._marks: dict[tuple[str, str], str] = {}
        self._already = 0

    def all(self) -> Anonymised:
        """Learn, write, and say what was done."""
        begun = time.monotonic()
        with Ledger(self._private / "examined" / _LEDGER) as learning, Ledger(self._private / _LEDGER) as writing:
            learnt = self._in_two_goes(learning, learn, "learning", self._read_items())
            anonymised = Anonymised(self._output, self._private)
            if not self._stopped(learnt, anonymised):
                self._take(learnt)
                written = self._write(learnt, writing)
                self._count(written, writing, anonymised)
            anonymised.seconds = time.monotonic() - begun
            self._tell(anonymised, writing)
        return anonymised

    # Two passes over the same handfuls

    def _in_two_goes(self, ledger: Ledger, work: Work, doing: str, items: Iterator[Item]) -> list[Report]:
        """Do the items; the files of one that failed as a whole are tried one by one, so that one bad file is alone."""
        reports = [self._go(ledger, work, doing, items)]
        if reports[0].failed:
            reports.append(self._go(ledger, work, doing, _one_by_one(reports[0])))
        return reports

    def _go(self, ledger: Ledger, work: Work, doing: str, items: Iterator[Item]) -> Report:
        def tell(now: Progress) -> None:
            if self._on_progress is not None:
                self._on_progress(dataclasses.replace(now, says=f"{doing}: {now.says}" if now.says else doing))

        with closing(items):  # type: ignore[type-var]  # generators all of them
            return run(
                items,
                partial(work, Shared(self._anonymiser), self._job),
                ledger,
                workers=self._workers,
                where="threads" if self._workers == 1 else "processes",
                intact=self._is_whole,
                title=doing,
                on_progress=tell,
                cancelled=self._cancelled,
            )

    def _read_items(self) -> Iterator[Item]:
        # In place, what is a result already depends on the rules.
        how = {"how": fingerprint(self._anonymiser)} if self._job.in_place else {}
        for payload in handfuls(Path(self._job.source)):
            yield Item(f"{payload['number']}:{payload['folder']}", {**payload, **how})

    def _is_whole(self, payload: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
        """Whether nothing of an item that is done failed, and all that it made is there."""
        if detail["failed"] or (self._job.in_place and "made" in detail):
            return False  # in place, what is there is to go, also where it came back from a backup
        for place, size in detail.get("made", {}).values():
            target = self._output / place
            if not target.is_file() or target.stat().st_size != size:
                return False
        self._already += len(detail.get("made", ()))
        return True

    def _stopped(self, reports: list[Report], anonymised: Anonymised) -> bool:
        anonymised.stopped = next((report.stopped for report in reports if report.stopped), "")
        return bool(anonymised.stopped)

    # What was learnt

    def _take(self, learnt: list[Report]) -> None:
        """Put together what the workers have learnt, before anything is written, and keep it."""
        self._marks = take(self._anonymiser, (one for row in _rows(learnt) for one in _learnt(row)))

    def _write(self, learnt: list[Report], ledger: Ledger) -> list[Report]:
        partial_files = self._output / PARTIAL
        if partial_files.is_dir():
            shutil.rmtree(partial_files)  # of a run that was killed
        make_folder(partial_files)
        self._already = 0
        with self._job.claims(self._anonymiser.key).prepared():
            reports = self._in_two_goes(ledger, write, "writing", self._write_items(learnt))
        shutil.rmtree(partial_files)
        if hasattr(os, "sync"):
            os.sync()
        return reports

    def _write_items(self, learnt: list[Report]) -> Iterator[Item]:
        """The handfuls again, with what decides about them: where that changes, they are written anew."""
        how = fingerprint(self._anonymiser)
        for row in _rows(learnt):
            detail = row.detail or {"kinds": {}, "patients": {}, "failed": _problem(row)}
            patients = detail["patients"].items()
            known = sorted(self._marks[patient, study] for patient, said in patients for study in said["studies"])
            payload = {
                **row.payload,
                "kinds": detail["kinds"],
                "failed": detail["failed"],
                "how": mark("/".join([how, str(self._job.keeps), *known])),
            }
            key = f"{row.key} {mark(json.dumps(payload))}" if self._job.in_place else row.key
            yield Item(key, payload)

    # What came of it

    def _count(self, reports: list[Report], ledger: Ledger, anonymised: Anonymised) -> None:
        anonymised.already = self._already
        self._stopped(reports, anonymised)
        anonymised.bytes = sum(report.bytes for report in reports)
        for row in _rows(reports, *(("waiting", "running") if anonymised.stopped else ())):
            if row.state == DONE:
                anonymised.count(row.detail)
                anonymised.failed += len(row.detail["failed"])
            elif row.state == FAILED:
                anonymised.failed += len(row.payload["files"])
            else:
                anonymised.waiting += len(row.payload["files"])
        if self._job.in_place:
            folders = {row.payload["folder"] for row in ledger.rows()}
            remove_emptied(Path(self._job.source), folders)
            anonymised.empty_folders = sum(1 for _ in empty_folders(Path(self._job.source)))

    def _tell(self, anonymised: Anonymised, ledger: Ledger) -> None:
        profile = self._anonymiser.profile
        codes = [{"code": code, "meaning": meaning} for code, meaning in profile.codes]
        facts = {"profile": profile.name, "options": sorted(profile.options), "codes": codes}
        notes = []
        if anonymised.empty_folders:
            notes = [f"empty before, and still called so: {name}" for name in empty_folders(Path(self._job.source))]
        write_reports(self._private, anonymised, facts, ledger.rows(), notes)


def _rows(reports: list[Report], *more: str) -> Iterator[Row]:
    """What is done, and what failed; handfuls that failed in the first go are there file by file in the second."""
    for number, report in enumerate(reports, 1):
        states = (DONE, *more) if number < len(reports) else (DONE, FAILED, *more)
        yield from rows_of(report.ledger, report.run, *states)


def _one_by_one(report: Report) -> Iterator[Item]:
    for row in report.failures():
        for file in row.payload["files"]:
            yield Item(f"{row.key}//{file[0]}", {**row.payload, "files": [file]})


def _learnt(row: Row) -> Iterator[Learnt]:
    """What one handful said."""
    for patient, said in row.detail.get("patients", {}).items():
        yield from learnt_of(patient, said)


def _problem(row: Row) -> dict[str, str]:
    return {relative: row.error for relative, _ in paths(Path(), row.payload)}
