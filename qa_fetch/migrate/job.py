"""A collection of Pinnacle archives on its way out: who is alive is converted and delivered, the rest is accounted for.

The originals are only read. Everything else lies in the folder of the job: the ledger, by which a later run goes on
where one stopped, the temporary folders, and the reports.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Optional, Union

from ..archive import Archive
from ..bulk import DONE, Item, Ledger, Pace, run
from ..bulk.progress import OnProgress
from ..bulk.stopping import Stop
from ..errors import ConfigError
from ..pinnacle.choosing import check_units
from ..shelf.disk import make_folder
from . import sending
from .accounting import Known, entries
from .collection import Collection, collect, find, strangers
from .moving import Job, move
from .naming import PATTERN, Names
from .outcome import Migration
from .patients import Patients, read
from .place import Place, check_disk, clear, mark
from .states import ALIVE

LEDGER = "ledger.sqlite"


def migrate(
    patients: Union[str, Path],
    archives: Union[str, Path],
    *,
    to: Union[str, Path, None] = None,
    send: Union[Archive, str, None] = None,
    pattern: str = PATTERN,
    mu: str = "agree",
    whole_only: bool = False,
    confirm: str = "find",
    work: Union[str, Path, None] = None,
    workers: Optional[int] = None,
    where: str = "processes",
    pace: Optional[Pace] = None,
    attempts: int = 3,
    outage: float = 600.0,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Migration:
    """Convert and deliver every living patient of a list; a run that was interrupted goes on where it stopped.

    Parameters
    ----------
    patients
        The list: a CSV or ``.xlsx`` file with a patient ID and a status (alive, deceased or unknown) in each row.
    archives
        The folder of archives, which is only read. Whose they are is told by the ``Patient`` files in them.
    to
        An import folder, in which each patient appears as a whole under its own name; it may be emptied meanwhile.
    send
        An ``Archive``, its name or its address, to which everything is sent (also).
    pattern
        What the patients' folders are called: of ``{last} {first} {middle} {id} {number} {birth}``.
    mu
        Which monitor units are taken: see ``qa_fetch.pinnacle.export``.
    whole_only
        Deliver nothing of a patient of whom something cannot be converted. Without it what is right is delivered, and
        the rest is reported.
    confirm
        How the archive says that everything arrived: it lists each object (``find``), commits to it (``commit``), or
        its answer to each object is enough (``store``).
    work
        The folder of the job, on the disk of the import folder; by default beside it, else beside the list.
    workers, where, pace, attempts, outage, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    file, root = Path(patients), Path(archives).absolute()
    check_units(mu)
    if importlib.util.find_spec("numpy") is None:
        raise ConfigError('converting from Pinnacle needs numpy. Run: pip install "qa_fetch[pinnacle]"')
    sending.check(confirm)
    names = Names(pattern)
    listed = read(file)  # with all its mistakes at once, before anything is made
    target = None if to is None else Path(to).absolute()
    archive = send if isinstance(send, Archive) or send is None else Archive(send)
    if target is None and archive is None:
        raise ConfigError("the patients are to go nowhere. Name an import folder, an archive to send to, or both.")
    folder = _workplace(root, target, Path(work).absolute() if work is not None else _beside(target or file))
    job = Job(str(root), str(folder), str(target or ""), archive, confirm=confirm, mu=mu, whole_only=whole_only)
    with Ledger(folder / LEDGER) as ledger, Stop(cancelled) as stop:
        clear(folder)
        hours = None if pace is None else Pace(hours=pace.hours)  # to look at archives is to begin something too
        found = collect(root, folder, workers=workers, pace=hours, on_progress=on_progress, cancelled=stop)
        before = dict(_given(ledger, folder))
        wanted = {item.key: item for item in _items(listed, found, names, job, before)}
        report = run(
            list(wanted.values()) if found.whole else [],  # else who is in the other archives is not known
            partial(move, job),
            ledger,
            workers=workers,
            where=where,
            pace=pace,
            attempts=attempts,
            outage=outage,
            title=f"Pinnacle migration of {file.name}",
            on_progress=on_progress,
            cancelled=stop,
        )
        rows = {row.key: row for row in ledger.rows()}
        clear(folder)  # a worker that was killed in this run has left what it had begun
    done = Migration(
        run=report,
        entries=tuple(entries(listed, found, Known(rows, wanted, _folders(before, job)))),
        problems=found.problems,
        notes=listed.notes,
        to=str(target or ""),
        sent_to=archive.name if archive is not None else "",
        work=folder,
        whole=found.whole,
        stopped=report.stopped or ("" if found.whole else stop.why),
    )
    done.write()
    return done


def _beside(path: Path) -> Path:
    """The folder of the job beside an import folder or a list."""
    whole = path.absolute()
    return whole.with_name(f"{whole.name if whole.is_dir() or not whole.suffix else whole.stem}.migration")


def _workplace(archives: Path, to: Optional[Path], work: Path) -> Path:
    """The folder of the job; ConfigError where it, or the import folder, lies where it must not."""
    find(archives)  # before anything is made
    for place, what in ((work, "the work folder"), (to, "the import folder")):
        if place is not None and _within(place, archives):
            raise ConfigError(f"{what} {place} lies among the archives, to which nothing is written. Name another one.")
    if to is not None:
        if _within(work, to):
            raise ConfigError(
                f"the work folder {work} lies in the import folder, where half patients would be seen. "
                "Name one beside it."
            )
        if _within(archives, to):
            raise ConfigError(
                f"the archives {archives} lie in the import folder {to}, whose importer may take them away. "
                "Name an import folder without them."
            )
        if to.exists() and not to.is_dir():
            raise ConfigError(f"{to} is a file. Name a folder.")
    _make(to, work)
    return work


def _make(to: Optional[Path], work: Path) -> None:
    """The folders, in which it must be possible to work: now, and not after each patient has been converted."""
    try:
        if to is not None:
            to.mkdir(parents=True, exist_ok=True)
        make_folder(work)
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be made ({error.strerror}). Check the path, and that this user may write there."
        ) from error
    if to is not None:
        check_disk(work, to)
        if not os.access(to, os.W_OK | os.X_OK):
            raise ConfigError(f"this user may not write to {to}. Give it the right to, or name another folder.")


def _within(path: Path, folder: Path) -> bool:
    inner, outer = path.resolve(), folder.resolve()
    return inner == outer or outer in inner.parents


def _items(listed: Patients, found: Collection, names: Names, job: Job, given: Mapping[str, str]) -> Iterator[Item]:
    """One item for each living patient of whom there is an archive.

    Parameters
    ----------
    listed, found
        The list, and what the archives hold.
    names, given
        What folders are called, and those that earlier runs have given.
    job
        What every worker has to know.
    """
    for patient, name in given.items():
        names.keep(name, patient)
    how = {"mu": job.mu, "whole_only": job.whole_only, "to": job.to, "send": job.send.name if job.send else ""}
    for one in listed:
        records = found.patients.get(one.patient, [])
        if one.status != ALIVE or not records:
            continue
        newest = records[0]
        numbers = "-".join(dict.fromkeys(record.number for record in records if record.number))
        pieces = {
            "last": newest.last,
            "first": newest.first,
            "middle": newest.middle,
            "id": one.patient,
            "number": numbers,
            "birth": newest.birth,
        }
        held = [[record.archive, record.folder, found.states[record.archive]] for record in records]
        folder = given.get(one.patient) or names.name(one.patient, pieces)
        payload = {"patient": one.patient, "folder": folder, "records": held, **how}
        strange = strangers(records)
        yield Item(one.patient, {**payload, "strange": strange} if strange else payload)


def _given(ledger: Ledger, work: Path) -> Iterator[tuple[str, str]]:
    """The folders of patients that were delivered before, whatever the pattern is now."""
    for row in ledger.rows():
        if row.state == DONE or Place(work, mark(row.key)).noted:
            yield row.key, row.payload["folder"]


def _folders(before: Mapping[str, str], job: Job) -> dict[str, str]:
    """The same for a report, which names no folder where there is no import folder."""
    return {patient: folder if job.to else "" for patient, folder in before.items()}
