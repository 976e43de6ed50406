"""A summary for every patient: PDCP's tables, and the one of SQLite."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from ...bulk import Done, Item, Report
from ...bulk.progress import OnProgress
from ...errors import BadArchive, NotFound
from .. import columns
from ..columns import given
from ..config import Settings
from ..linking import link
from ..linking.graph import study_of
from ..listing import check_apart, named
from ..steps import run_step
from .idsfile import listed
from .intercepting import Interceptor, installed, intercepted
from .source import Listed, Row, Source, source_of
from .table import Stamp, Table

STEP, TABLE = "summarise", "summaries.sqlite"
_SUCCESS, _ERROR, _NOTHING = columns.OUTCOMES


def summarise(
    settings: Settings,
    patients: Optional[Iterable[str]] = None,
    *,
    again: bool = False,
    interceptors: Sequence[Interceptor] = (),
    workers: Optional[int] = None,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Write the summary of every patient that has none, or whose last one failed.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Only these, whether they have a summary or not.
    again
        All of them, whether they have a summary or not.
    interceptors
        Functions that get a patient and the rows, and give back the rows that are to be written; those that other
        packages offer as entry points ``qa_fetch.cohort.interceptors`` come first.
    workers
        How many patients at a time; as many as ``CONNECTIONS``, and eight at most, where nothing is said.
    on_progress, cancelled
        As for ``qa_fetch.bulk.run``.

    Raises
    ------
    NotFound
        One of ``patients`` is not in the list of patients.
    """
    source = source_of(settings)
    everyone = listed(settings, source)
    check_apart(settings, (one.patient for one in everyone))
    chosen = everyone if patients is None else _chosen(everyone, patients)
    forced = frozenset(one.patient for one in chosen) if again or patients is not None else frozenset[str]()
    work = Summariser(settings, source, [*installed(), *interceptors], forced)
    return run_step(
        STEP,
        settings,
        [Item(one.patient, work.payload(one)) for one in chosen],
        work,
        workers=workers or min(settings.CONNECTIONS, 8),
        intact=work.intact,
        on_progress=on_progress,
        cancelled=cancelled,
    )


def _chosen(everyone: Sequence[Listed], patients: Iterable[str]) -> list[Listed]:
    known = {one.patient: one for one in everyone}
    wanted = named(patients)
    unknown = [patient for patient in wanted if patient not in known]
    if unknown:
        raise NotFound(
            f"{len(unknown)} of {len(wanted)} patients are not in the list of patients. "
            "Check their IDs, or run: qa-fetch cohort ids."
        )
    return [known[patient] for patient in wanted]


class Summariser:
    """What is done for one patient after the other; ``forced`` are those that are done in any case."""

    def __init__(
        self, settings: Settings, source: Source, interceptors: Sequence[Interceptor], forced: frozenset[str]
    ) -> None:
        self._settings = settings
        self._source = source
        self._interceptors = interceptors
        self._forced = forced
        self._modalities = settings.required_modalities_for_patient_plus_rtplan
        self._table = Table(settings.work / TABLE)

    def payload(self, one: Listed) -> dict[str, Any]:
        """What a patient's summary depends on: another identifier or other modalities make it anew."""
        required = self._settings.required_modalities_for_patient
        return {**one._asdict(), "required": list(required), "modalities": list(self._modalities)}

    def intact(self, payload: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
        """Whether a summary that was made is still there, and nobody asks for another one."""
        patient = str(payload["patient"])
        found = columns.find(self._settings.imagesummaries, patient)
        return patient not in self._forced and found is not None and found[0] == detail.get("outcome")

    def __call__(self, payload: Mapping[str, Any]) -> Done:
        """Summarise one patient; ``_ERROR`` is written where that fails."""
        one = Listed(str(payload["patient"]), str(payload["identifier"]))
        with _Failing(self, one):
            return self._kept(one) or self._asked(one)

    def failed(self, one: Listed) -> None:
        """Write that it went wrong."""
        columns.write(self._settings.imagesummaries, one.patient, _ERROR)
        self._table.put(one.patient, _ERROR, Stamp(one.identifier, ()))

    def _kept(self, one: Listed) -> Optional[Done]:
        """What is there already: a summary that PDCP made, or rows that only the rules have to look at again."""
        found = columns.find(self._settings.imagesummaries, one.patient)
        if one.patient in self._forced or found is None or found[0] == _ERROR:
            return None
        outcome, path = found
        stamp = self._table.stamp(one.patient)
        if stamp is not None:
            if outcome == _SUCCESS and stamp.modalities and self._is_edited(one.patient, path):
                return Done(detail={"outcome": outcome, "says": "it was changed by somebody, and stays; --again asks"})
            if stamp != Stamp(one.identifier, self._modalities):
                return None
            return self._written(one, self._table.rows(one.patient), says="from the rows of before")
        with contextlib.suppress(BadArchive):  # what is no table is made anew
            rows = columns.read(path) if outcome == _SUCCESS else []
            self._table.put(one.patient, outcome, Stamp(one.identifier, ()), rows)
            return Done(detail={"outcome": outcome, "instances": len(rows), "says": "it was there already"})
        return None

    def _is_edited(self, patient: str, path: Path) -> bool:
        """Whether a table that we wrote holds other rows now: what somebody did there by hand is not undone."""
        try:
            there = columns.read(path)
        except BadArchive:
            return False  # what is no table is made anew
        return _cells(there) != _cells(self._table.rows(patient, counting=True))

    def _asked(self, one: Listed) -> Done:
        rows = self._source.rows(one, frozenset(self._modalities))
        rows = [
            row for row in intercepted(one.patient, rows, self._interceptors) if row["Modality"] in self._modalities
        ]
        return self._written(one, rows)

    def _written(self, one: Listed, rows: Sequence[Row], **more: str) -> Done:
        """The table first: PDCP's file says that a patient is done."""
        required = self._settings.required_modalities_for_patient
        counting = whole_studies(rows, required)
        outcome = _SUCCESS if counting else _NOTHING
        others = [row for row in rows if study_of(row) not in counting]
        kept = [row for row in rows if study_of(row) in counting]
        self._table.put(one.patient, outcome, Stamp(one.identifier, self._modalities), kept, others)
        columns.write(self._settings.imagesummaries, one.patient, outcome, kept)
        detail: dict[str, Any] = {"outcome": outcome, "instances": len(kept), "left_out": len(others), **more}
        if not counting:
            there = {given(row["Modality"]) for row in rows}
            detail["lacking"] = [one for one in required if one not in there]
        return Done(detail=detail)


def _cells(rows: Sequence[Row]) -> set[tuple[str, ...]]:
    """What rows say, however what they lack and their patient are written."""
    return {
        tuple(given(row[column]).replace("\0", "") for column in columns.COLUMNS if column != "PatId") for row in rows
    }


def whole_studies(rows: Sequence[Row], required: Iterable[str]) -> frozenset[str]:
    """The studies that have every modality, each together with those whose objects it names or that name its own."""
    groups = link(rows).groups()
    known = frozenset[str]().union(*groups)
    groups += [frozenset([study]) for study in dict.fromkeys(map(study_of, rows)) if study not in known]
    modalities: dict[str, set[str]] = {}
    for row in rows:
        modalities.setdefault(study_of(row), set()).add(given(row["Modality"]))
    whole = [group for group in groups if set(required) <= set[str]().union(*(modalities[study] for study in group))]
    return frozenset[str]().union(*whole)


class _Failing:
    """Writes ``_ERROR`` for a patient whatever went wrong, and lets that go on to the ledger."""

    def __init__(self, work: Summariser, one: Listed) -> None:
        self._work = work
        self._one = one

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if isinstance(error, Exception):
            self._work.failed(self._one)
