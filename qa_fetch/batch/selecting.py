"""From the rows of a query file to the series that an archive has for them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .. import part10
from ..archive import Archive
from ..backends.levels import level_of
from ..budget import Budget
from ..errors import NotFound, QAFetchError
from ..matching import matches, query

_LONGEST_PAUSE = 60.0  # seconds

# What the folders, the reports and the checks need of each series; the archive is asked to return it.
SERIES_KEYWORDS = (
    "PatientID PatientName PatientBirthDate StudyInstanceUID StudyDate StudyTime StudyDescription AccessionNumber "
    "SeriesInstanceUID SeriesNumber SeriesDate SeriesTime SeriesDescription Modality ProtocolName "
    "NumberOfSeriesRelatedInstances"
).split()


@dataclass
class Chosen:
    """One series that rows ask for, or some of its objects.

    Parameters
    ----------
    series
        Its SeriesInstanceUID.
    facts
        What the archive says of it, by keyword.
    rows
        The numbers of the rows that ask for it.
    instances
        The SOP Instance UIDs where rows ask for objects only; None for the whole series.
    """

    series: str
    facts: dict[str, str]
    rows: list[int] = field(default_factory=list)
    instances: Optional[list[str]] = None

    def join(self, other: Chosen) -> None:
        """Take in what another row wants of the same series."""
        self.rows += other.rows
        if self.instances is None or other.instances is None:
            self.instances = None
        else:
            self.instances = list(dict.fromkeys([*self.instances, *other.instances]))


@dataclass(frozen=True)
class Unanswered:
    """A row for which there is nothing, or for which nobody could be asked."""

    row: int
    problem: str


def select(archive: Archive, rows: Iterable[Any], *, patience: float = 0.0) -> tuple[list[Chosen], list[Unanswered]]:
    """What the archive has for each row, every series once; and the rows that it has nothing for.

    Parameters
    ----------
    archive
        Who is asked.
    rows
        The rows of a query file.
    patience
        Seconds, in all, to wait for an archive that does not answer.
    """
    found: dict[str, Chosen] = {}
    unanswered = []
    budget = Budget(patience)
    for row in rows:
        try:
            chosen = _patiently(archive, row, budget)
            if not chosen:
                raise NotFound(f"{archive.name} has nothing that fits this row. Check its values.")
        except QAFetchError as error:
            unanswered.append(Unanswered(row.number, error.message))
            continue
        for one in chosen:
            if one.series in found:
                found[one.series].join(one)
            else:
                found[one.series] = one
    return list(found.values()), unanswered


def _patiently(archive: Archive, row: Any, budget: Budget) -> list[Chosen]:
    pause = 1.0
    while True:
        try:
            return _of_row(archive, row.keys, row.number)
        except QAFetchError as error:
            if not error.retriable or budget.spent:
                raise
            time.sleep(budget.at_most(pause))
            pause = min(pause * 2, _LONGEST_PAUSE)


def _of_row(archive: Archive, keys: Mapping[str, Any], number: int) -> list[Chosen]:
    level = "IMAGE" if any(level_of(keyword) == "IMAGE" for keyword in keys) else "SERIES"
    returned = [*SERIES_KEYWORDS, *(["SOPInstanceUID"] if level == "IMAGE" else [])]
    wanted = query(level, keys)
    answers: dict[str, list[Any]] = {}
    for answer in archive.find(level, {**dict.fromkeys(returned, ""), **keys}):
        answers.setdefault(str(answer.get("SeriesInstanceUID") or ""), []).append(answer)
    chosen = []
    for series, group in answers.items():
        fitting = [answer for answer in group if _fits(archive, answer, wanted, series)]
        if fitting:
            facts = {keyword: _text(fitting[0].get(keyword)) for keyword in SERIES_KEYWORDS}
            uids = [str(answer.get("SOPInstanceUID") or "") for answer in fitting] if level == "IMAGE" else None
            chosen.append(Chosen(series, {key: text for key, text in facts.items() if text}, [number], uids))
    return chosen


def _fits(archive: Archive, answer: Any, wanted: Any, series: str) -> bool:
    """Whether what the archive answered was asked for; where the answer does not tell, an object of it has to."""
    verdict = matches(wanted, answer)
    if verdict is not None:
        return verdict
    uid = str(answer.get("SOPInstanceUID") or "")
    if not uid:
        (uid, *_) = [str(row.SOPInstanceUID) for row in archive.find("IMAGE", SeriesInstanceUID=series)] or [""]
    if not uid:
        return False
    header = part10.read(archive.fetch(instance=uid).files[0], headers_only=True)
    return bool(matches(wanted, header, whole=True))


def _text(value: Any) -> str:
    """A value as one line of text; several values as DICOM writes them."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return "\\".join(map(str, value)) if several else "" if value is None else str(value)
