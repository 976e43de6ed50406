"""What became of an archive since a cohort's summaries were made: who is new, who has changed, who is gone.

An Orthanc tells by its list of changes; any other archive is asked what it has, which is compared with the summaries.
Only summaries are made anew. What was built stays, and a locked cohort stays as it is unless that is asked for.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

from ..archive import Archive
from ..backends.http import objects
from ..bulk import Report
from ..bulk.progress import OnProgress
from ..errors import Incomplete
from ..shelf.disk import write_text
from . import columns, locking
from .access import archive_of
from .changes import Changes, Marks, Touched
from .columns import orthanc_identifier
from .config import Settings
from .summaries import Listed, idsfile, summarise
from .summaries.source import Source, source_of
from .summaries.summarise import TABLE
from .summaries.table import Table

_FORMULA = ("=", "+", "-", "@", "'", "\t", "\r")  # what a spreadsheet would compute, and the mark against that
_Look = Callable[[Listed], Optional[frozenset[str]]]  # the identifiers of a patient's objects; None: there is none


@dataclass(frozen=True)
class Refreshed:
    """What was found, and whether it was taken over: ``report`` is that of the summaries that were made anew.

    ``new`` are patients without a summary, ``changed`` those whose summary does not hold any more; ``gone`` are in the
    list of patients and not in the archive. ``why`` says why everything was compared, where that was so.
    """

    new: tuple[str, ...] = field(repr=False)
    changed: tuple[str, ...] = field(repr=False)
    gone: tuple[str, ...] = field(repr=False)
    unchanged: int
    locked: bool
    why: str = ""
    report: Optional[Report] = None

    @property
    def complete(self) -> bool:
        """Whether the summaries are those of the archive as it is now; patients who are gone keep theirs."""
        if self.new or self.changed:
            return self.report is not None and self.report.complete
        return True

    @property
    def exit_code(self) -> int:
        """What a command ends with."""
        return 0 if self.complete else 1

    def sentences(self) -> tuple[str, ...]:
        """What was found and done, without identifiers."""
        new, changed, gone = len(self.new), len(self.changed), len(self.gone)
        said = [f"Patients who are new: {new}, changed: {changed}, gone: {gone}, as they were: {self.unchanged}."]
        if self.why:
            said.append(f"All of them were compared with their summaries, since {self.why}.")
        if gone:
            said.append("Whatever there is of those who are gone was kept.")
        if self.locked and not self.complete and self.report is None:
            said.append("The cohort is locked, so nothing was taken over. Say unlock where it should be.")
        elif self.report is not None and not self.report.complete:
            left = self.report.total - self.report.done
            said.append(f"Summaries that could not be made: {left}. Refresh again.")
        elif self.locked and self.report is not None:
            said.append("The cohort is locked, and its summaries were made anew all the same.")
        return tuple(said)

    def sentence(self) -> str:
        """The same in one line."""
        return " ".join(self.sentences())


def refresh(
    settings: Settings,
    *,
    unlock: bool = False,
    add: bool = True,
    workers: Optional[int] = None,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Refreshed:
    """Find out what changed in the archive, and make those summaries anew.

    Parameters
    ----------
    settings
        Of the cohort.
    unlock
        Whether a locked cohort is refreshed too; its manifest stays, and verifying it tells what is different.
    add
        Whether patients who are not in the list of patients join it.
    workers, on_progress, cancelled
        As for ``summaries.summarise``.
    """
    archive = archive_of(settings)
    source = source_of(settings)
    changes = Changes(archive) if archive.config.kind == "orthanc" else None
    marks = Marks(settings.work / "changes.json")
    now = changes.mark() if changes is not None else None  # before anything else is looked at
    touched = changes.since(marks.of(changes.url), now) if changes is not None and now is not None else None
    look = partial(_of_orthanc, changes, settings) if changes is not None else _looking(archive, source, settings)
    found, joining = _compared(settings, source, touched, look, cancelled, add)
    if found.locked and not unlock:
        return found
    if joining:
        _join(settings.link_to_ids, joining)
    if found.new or found.changed:
        wanted = [*found.new, *found.changed]
        report = summarise(settings, wanted, again=True, workers=workers, on_progress=on_progress, cancelled=cancelled)
        found = replace(found, report=report)
    if found.complete and changes is not None and now is not None:
        marks.put(changes.url, now)
    return found


def _compared(
    settings: Settings,
    source: Source,
    touched: Optional[Touched],
    look: _Look,
    cancelled: Optional[threading.Event],
    add: bool,
) -> tuple[Refreshed, list[Listed]]:
    """Who is new, changed and gone, and who of them is to join the list.

    Parameters
    ----------
    settings, source
        Of the cohort.
    touched
        What the archive itself says of changes, if it does.
    look
        What a patient has now.
    cancelled
        Set when somebody wants this to end.
    add
        Whether those who are not in the list count.
    """
    there = {one.patient: one for one in source.patients()}
    listed = [one.patient for one in idsfile.read(settings.link_to_ids)] if settings.link_to_ids.is_file() else []
    known = frozenset(listed)
    everything = touched is None or bool(touched.why)
    strangers = [one for one in there.values() if one.patient not in known] if add else []
    if touched is not None and not everything:
        strangers = [one for one in strangers if one.identifier in touched.changed | touched.other]
    present = [there[patient] for patient in listed if patient in there]
    summarised = {one.patient for one in present if columns.find(settings.imagesummaries, one.patient) is not None}
    new = [one.patient for one in (*strangers, *present) if one.patient not in summarised]
    certain = touched.changed if touched is not None else frozenset[str]()
    doubtful = [
        one
        for one in present
        if one.patient in summarised
        and one.identifier not in certain
        and (everything or (touched is not None and one.identifier in touched.other))
    ]
    differ = _different(settings, doubtful, look, cancelled)
    changed = [
        one.patient
        for one in present
        if one.patient in summarised and (one.identifier in certain or one.patient in differ)
    ]
    found = Refreshed(
        new=tuple(new),
        changed=tuple(changed),
        gone=tuple(patient for patient in listed if patient not in there),
        unchanged=len(summarised) - len(changed),
        locked=locking.is_locked(settings),
        why=touched.why if touched is not None else "",
    )
    return found, strangers


def _different(
    settings: Settings, doubtful: Iterable[Listed], look: _Look, cancelled: Optional[threading.Event]
) -> set[str]:
    """Those who have other objects now than in their summary."""
    table, found, checked = Table(settings.work / TABLE), set[str](), list(doubtful)

    def check(one: Listed) -> None:
        if look(one) != _summarised(settings, table, one.patient):
            found.add(one.patient)

    def stopped() -> bool:
        return cancelled is not None and cancelled.is_set()

    objects.run([partial(check, one) for one in checked], stopped)
    if stopped():
        raise Incomplete("The refresh was stopped before everybody had been compared. Refresh again.")
    return found


def _summarised(settings: Settings, table: Table, patient: str) -> Optional[frozenset[str]]:
    """The identifiers of the objects in a summary, also of those that PDCP's table leaves out; None where it failed."""
    if table.stamp(patient) is not None:
        rows = table.rows(patient)
    else:
        outcome, path = columns.find(settings.imagesummaries, patient) or ("ERROR", None)
        if path is None or outcome == "ERROR":
            return None
        rows = columns.read(path)
    return frozenset(row["InstanceIdentifier"] for row in rows)


def _join(path: Path, joining: Sequence[Listed]) -> None:
    """Add patients to the list of patients; further columns that somebody has there stay."""
    names: list[str] = []
    if path.is_file():
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        names = next(csv.reader(io.StringIO(text, newline="")), [])
    if set(names) <= {"ids", "orthanc_ids"}:
        idsfile.write(path, [*(idsfile.read(path) if names else ()), *joining])
        return
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, names, restval="", extrasaction="ignore", lineterminator="\n")
    for one in joining:
        guard = "'" if one.patient.startswith(_FORMULA) else ""
        writer.writerow({"ids": f"{guard}{one.patient}", "orthanc_ids": one.identifier})
    write_text(path, (text if text.endswith("\n") else f"{text}\n") + lines.getvalue())


# What a patient has


def _of_orthanc(changes: Changes, settings: Settings, one: Listed) -> Optional[frozenset[str]]:
    return changes.instances(one.identifier, settings.required_modalities_for_patient_plus_rtplan)


def _looking(archive: Archive, source: Source, settings: Settings) -> _Look:
    """How an archive without a list of changes is asked."""
    modalities = settings.required_modalities_for_patient_plus_rtplan

    def headers(one: Listed) -> frozenset[str]:
        return frozenset(row["InstanceIdentifier"] for row in source.rows(one, modalities))

    def answers(one: Listed) -> frozenset[str]:
        """UIDs alone, without any header."""
        found = set[str]()
        for study in archive.find("STUDY", PatientID=one.patient):
            above = {"PatientID": one.patient, "StudyInstanceUID": _uid(study, "StudyInstanceUID")}
            for series in archive.find("SERIES", above):
                keys = {**above, "SeriesInstanceUID": _uid(series, "SeriesInstanceUID")}
                if series.get("Modality") in modalities:
                    images = archive.find("IMAGE", keys)
                    found.update(orthanc_identifier(*keys.values(), _uid(image, "SOPInstanceUID")) for image in images)
        return frozenset(found)

    return headers if archive.config.kind == "folder" else answers


def _uid(row: Any, keyword: str) -> str:
    return str(row.get(keyword) or "").strip("\0 ")
