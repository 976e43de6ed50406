"""A query file in, a complete and documented data set out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from ..archive import Archive
from ..bulk import DONE, Item, Ledger, Pace, Report, Row, run
from ..bulk.progress import OnProgress
from ..errors import ConfigError
from ..shelf.disk import remove_tree
from .info import write_table
from .layout import Layout
from .planning import Planned, planned
from .queryfile import Rows, read
from .selecting import Chosen, Unanswered, select
from .storing import SHELF, Job, bring, is_there

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
        from .releasing import ORIGINALS, Release, workplace

        folder = workplace(anonymise, Path(to))
        data = folder / ORIGINALS
    source = (archive if isinstance(archive, Archive) else Archive(archive)).again(shelf=folder.absolute() / SHELF)
    job = Job(source, str(data.absolute()), save, info, move)
    with Ledger(folder / LEDGER) as ledger:
        chosen, unanswered = select(source, rows, patience=outage)
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
            cancelled=cancelled,
        )
        asked_by = {**{one.series: one.rows for one in chosen}, **{f"row {one.row}": [one.row] for one in unanswered}}
        given = _new_ids({row.number: row.new_id for row in rows if row.new_id}, asked_by, ledger)
        _write_log(folder, asked_by, ledger)
        if anonymise is None:
            _write_new_ids(data, given)
    report.write(folder)
    if report.complete and (folder / SHELF).is_dir():
        remove_tree(folder / SHELF)
    if anonymise is None:
        return report
    processes = (workers or 1) if where == "processes" else 1
    return Release(anonymise, Path(to), folder, processes, on_progress, cancelled).of(report, _codes(given))


def look_up(queryfile: Union[str, Path], archive: Union[Archive, str, None] = None) -> Planned:
    """What ``fetch_csv`` would fetch: series, objects, and about how many bytes; nothing is fetched.

    Where an archive's answers do not tell whether a series fits, one object of it is fetched to find out.
    """
    source = archive if isinstance(archive, Archive) else Archive(archive)
    return planned(source, *select(source, _read(queryfile)))


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
    what = {"save": job.save, "info": job.info, "move": job.move}
    for one in chosen:
        folder = folders.get(one.series) or layout.folder(one.series, one.facts)
        payload = {"series": one.series, "facts": one.facts, "instances": one.instances, "folder": folder, "what": what}
        yield Item(one.series, payload)
    for nothing in unanswered:
        yield Item(f"row {nothing.row}", {"problem": nothing.problem})


def _new_ids(
    given: Mapping[int, str], asked_by: Mapping[str, Sequence[int]], ledger: Ledger
) -> list[tuple[Mapping[str, Any], set[str]]]:
    """What was fetched for rows that give their patient a new ID, with these IDs.

    Parameters
    ----------
    given
        The new IDs by the numbers of rows.
    asked_by
        The rows that ask for each item.
    ledger
        What became of the items.
    """
    found = []
    for known in ledger.rows() if given else ():
        ids = {given[number] for number in asked_by.get(known.key, ()) if number in given}
        if ids and known.state == DONE:
            found.append((known.payload, ids))
    return found


def _write_new_ids(folder: Path, given: Iterable[tuple[Mapping[str, Any], set[str]]]) -> None:
    """The new ID that a row gives to its patient, into a file beside the patient's sessions."""
    for payload, ids in given:
        subject = folder / payload["folder"].partition("/")[0]
        subject.mkdir(parents=True, exist_ok=True)
        (subject / "new_id.txt").write_text("\n".join(sorted(ids)) + "\n", encoding="utf-8")


def _codes(given: Iterable[tuple[Mapping[str, Any], set[str]]]) -> dict[str, str]:
    """The same as the code of each patient."""
    codes: dict[str, str] = {}
    for payload, ids in given:
        patient = str(payload["facts"].get("PatientID", ""))
        if len({*ids, codes.setdefault(patient, min(ids))}) > 1:
            raise ConfigError(
                "the query file gives several new IDs to one patient. Keep one of them; what was fetched is kept."
            )
    return codes


def _write_log(folder: Path, asked_by: Mapping[str, Sequence[int]], ledger: Ledger) -> None:
    """One line for each series, and for each row without one, as the ledger has it now."""
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    lines = ({**_logged(row), "Rows": " ".join(map(str, asked_by.get(row.key, ())))} for row in ledger.rows())
    write_table(logs / "run_log.csv", _LOG_COLUMNS, lines)


def _logged(row: Row) -> dict[str, object]:
    return {
        **row.payload.get("facts", {}),
        "FilesFound": row.detail.get("objects", 0),
        "Completed": row.state == DONE,
        "Folder": row.payload.get("folder", ""),
        "Problem": row.error,
    }
