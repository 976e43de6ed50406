"""A query file in, a complete and documented data set out."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

from ..archive import Archive
from ..bulk import DONE, Item, Ledger, Pace, Report, Row, run
from ..bulk.ledger import full_disk
from ..bulk.progress import OnProgress
from ..bulk.stopping import Stop
from ..errors import ConfigError
from ..shelf.disk import is_full, remove_tree
from .info import write_table
from .layout import Layout
from .planning import Planned, planned
from .queryfile import Rows, read
from .selecting import Chosen, Unanswered, select
from .storing import SHELF, Job, bring, is_there, settle_all
from .turns import Turns

if TYPE_CHECKING:
    from ..anonymise import Anonymiser

LEDGER = "ledger.sqlite"
_LOG = logging.getLogger("qa_fetch.batch")
_THREADS = 2  # one asks or puts away while the other fetches; Orthanc as packaged serves four associations
_LOG_COLUMNS = (
    "Rows StudyInstanceUID SeriesInstanceUID SeriesNumber SeriesDescription FilesFound Completed Folder Problem".split()
)


def fetch_csv(
    queryfile: Union[str, Path],
    archive: Union[Archive, str, None] = None,
    *,
    to: Union[str, Path],
    save: bool = True,
    info: bool = False,
    move: str = "",
    workers: Optional[int] = None,
    where: str = "threads",
    pace: Optional[Pace] = None,
    attempts: int = 3,
    outage: float = 600.0,
    anonymise: Optional[Anonymiser] = None,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Bring everything that the rows of a query file ask for; a run that was interrupted goes on where it stopped.

    Parameters
    ----------
    queryfile
        A CSV or ``.xlsx`` file whose columns are DICOM keywords; every row is checked before anything is asked.
    archive
        An ``Archive``, its name or its address; without it the default one.
    to
        The output folder, which becomes ``sub-ID/ses-DATETIME/NNNNN-Description``.
    save, info
        Whether the objects are fetched, and whether each series is described in a table beside its folder.
    move
        The AE title to which the archive sends everything instead.
    anonymise
        By which all of it is anonymised, once every row has been tried: nothing else ever lies in the output folder.
        What is fetched stays in a working folder beside the key, with the reports, and the result is a ``Released``.
    workers, where, pace, attempts, outage, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    if anonymise is not None and (move or not save):
        raise ConfigError("only what is saved here can be anonymised. Save the objects, and move none elsewhere.")
    if move and save:
        raise ConfigError("objects are either saved here or moved to another archive. Leave out one of the two.")
    if not (save or info or move):
        raise ConfigError("nothing is to be done with the series. Save them, describe them (info), or move them.")
    rows = _read(queryfile)  # with all its mistakes at once, before anything is made or asked
    folder = data = Path(to)
    if anonymise is not None:
        from .releasing import ORIGINALS, Release, identities, workplace

        folder = workplace(anonymise, Path(to))
        data = folder / ORIGINALS
    source = (archive if isinstance(archive, Archive) else Archive(archive)).again(shelf=folder.absolute() / SHELF)
    job = Job(source, str(data.absolute()), save, info, move)
    with Ledger(folder / LEDGER) as ledger:
        settle_all(data)
        with Stop(cancelled) as stop:
            chosen, unanswered = select(source, rows, Turns(outage, pace, stop, on_progress))
            all_asked = not stop.why
            codes = _codes(rows, chosen)
            if anonymise is not None and codes:  # what is wrong with them is said before anything is fetched
                identities(anonymise, codes)
            report = run(
                list(_items(ledger, chosen, unanswered, job)),
                partial(bring, job),
                ledger,
                workers=_THREADS if workers is None and where == "threads" else workers,
                where=where,
                pace=pace,
                attempts=attempts,
                outage=outage,
                intact=partial(is_there, job),
                title=f"{Path(queryfile).name} from {source.name}",
                on_progress=on_progress,
                cancelled=stop,
            )
        asked_by = {**{one.series: one.rows for one in chosen}, **{f"row {one.row}": [one.row] for one in unanswered}}
        subjects = _subjects(codes, asked_by, ledger)
        with _full_disk_in_words(folder):
            if all_asked:  # else the log of the run before says more
                _write_log(folder, asked_by, ledger)
            if anonymise is None:
                _write_new_ids(data, subjects, codes)
    report.write(folder)
    if report.complete and (folder / SHELF).is_dir():
        remove_tree(folder / SHELF)
    if anonymise is None:
        return report
    processes = (workers or 1) if where == "processes" else 1
    return Release(anonymise, Path(to), folder, processes, on_progress, cancelled).of(
        report, {patient: codes[patient] for patient in subjects.values()}
    )


def look_up(
    queryfile: Union[str, Path],
    archive: Union[Archive, str, None] = None,
    *,
    pace: Optional[Pace] = None,
    on_progress: Optional[OnProgress] = None,
) -> Planned:
    """What ``fetch_csv`` would fetch: series, objects, and about how many bytes; nothing is fetched.

    Where an archive's answers do not tell whether a series fits, one object of it is fetched to find out. Rows are
    asked for in the allowed hours of the pace.
    """
    source = archive if isinstance(archive, Archive) else Archive(archive)
    return planned(source, *select(source, _read(queryfile), Turns(pace=pace, on_progress=on_progress)))


def _read(queryfile: Union[str, Path]) -> Rows:
    """The rows of the file; what its writer should know of it is a warning of the logger ``qa_fetch.batch``."""
    rows = read(queryfile)
    for note in rows.notes:
        _LOG.warning("%s", note)
    return rows


def _items(ledger: Ledger, chosen: Sequence[Chosen], unanswered: Sequence[Unanswered], job: Job) -> Iterator[Item]:
    """One item for each series, and one for each row that has none, so that the report names it."""
    layout, folders = Layout(), {}
    for known in ledger.rows():
        if "folder" in known.payload:
            payload = known.payload
            folders[payload["series"]] = payload["folder"]
            layout.keep(payload["folder"], payload["series"], payload["facts"].get("PatientID", ""))
    # What is there of a series can be seen; that it was moved elsewhere only the ledger knows.
    moved = {"what": {"save": job.save, "info": job.info, "move": job.move}} if job.move else {}
    for one in chosen:
        folder = folders.get(one.series) or layout.folder(one.series, one.facts)
        payload = {"series": one.series, "facts": one.facts, "instances": one.instances, "folder": folder, **moved}
        yield Item(one.series, payload)
    for nothing in unanswered:
        yield Item(f"row {nothing.row}", {"problem": nothing.problem})


def _codes(rows: Rows, chosen: Iterable[Chosen]) -> dict[str, str]:
    """The new ID of each patient to whom a row gives one; ConfigError unless it is one for each."""
    given = {row.number: row.new_id for row in rows if row.new_id}
    codes: dict[str, str] = {}
    owners: dict[str, str] = {}
    for one in chosen:
        patient = one.facts.get("PatientID", "")
        for code in (given[number] for number in one.rows if number in given):
            if codes.setdefault(patient, code) != code:
                raise ConfigError(
                    "the query file gives several new IDs to one patient, so nothing was fetched. Keep one of them."
                )
            if owners.setdefault(code.casefold(), patient) != patient:
                raise ConfigError(
                    "the query file gives one new ID to several patients, so nothing was fetched. "
                    "Give each patient a row and a new ID of its own."
                )
    return codes


def _subjects(codes: Mapping[str, str], asked_by: Mapping[str, Sequence[int]], ledger: Ledger) -> dict[str, str]:
    """The patients with a new ID of whom something was fetched, by their folders."""
    found = {}
    for known in ledger.rows() if codes else ():
        if known.state == DONE and known.key in asked_by:
            patient = known.payload["facts"].get("PatientID", "")
            if patient in codes:
                found[known.payload["folder"].partition("/")[0]] = patient
    return found


def _write_new_ids(folder: Path, subjects: Mapping[str, str], codes: Mapping[str, str]) -> None:
    """The new ID that a row gives to its patient, into a file beside the patient's sessions."""
    for subject, patient in subjects.items():
        (folder / subject).mkdir(parents=True, exist_ok=True)
        (folder / subject / "new_id.txt").write_text(f"{codes[patient]}\n", encoding="utf-8")


@contextlib.contextmanager
def _full_disk_in_words(folder: Path) -> Iterator[None]:
    """What comes after the last series needs a little room, too."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise full_disk(folder) from error


def _write_log(folder: Path, asked_by: Mapping[str, Sequence[int]], ledger: Ledger) -> None:
    """One line for each series that was asked for, and for each row without one, as the ledger has it now."""
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    lines = (
        {**_logged(row), "Rows": " ".join(map(str, asked_by[row.key]))} for row in ledger.rows() if row.key in asked_by
    )
    write_table(logs / "run_log.csv", _LOG_COLUMNS, lines)


def _logged(row: Row) -> dict[str, object]:
    return {
        **row.payload.get("facts", {}),
        "FilesFound": row.detail.get("objects", 0),
        "Completed": row.state == DONE,
        "Folder": row.payload.get("folder", ""),
        "Problem": row.error,
    }
