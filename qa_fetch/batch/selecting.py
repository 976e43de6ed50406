"""From the rows of a query file to the series that an archive has for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .. import part10
from ..archive import Archive
from ..backends.levels import level_of
from ..errors import NotFound, QAFetchError
from ..matching import matches, query
from .turns import Turns

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


def select(archive: Archive, rows: Iterable[Any], turns: Turns) -> tuple[list[Chosen], list[Unanswered]]:
    """What the archive has for each row, every series once; and the rows that it has nothing for.

    Where the run is to end before every row was asked for, it is what there is until then.

    Parameters
    ----------
    archive
        Who is asked.
    rows
        The rows of a query file.
    turns
        When it may be asked.
    """
    found: dict[str, Chosen] = {}
    unanswered = []
    for row in rows:
        try:
            chosen = _patiently(archive, row, turns)
            if chosen is None:
                break
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


def _patiently(archive: Archive, row: Any, turns: Turns) -> Optional[list[Chosen]]:
    """What there is for a row, asked until there is an answer; None where the run is to end before."""
    failures = 0
    while turns.come():
        try:
            return _of_row(archive, row.keys, row.number)
        except QAFetchError as error:
            failures += 1
            if not error.retriable or not turns.again(failures):
                raise
    return None


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
            uids = [str(answer.get("SOPInstanceUID") or "") for answer in fitting] if level == "IMAGE" else None
            chosen.append(Chosen(series, told(fitting[0], SERIES_KEYWORDS), [number], uids))
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


def told(answer: Any, keywords: Iterable[str]) -> dict[str, str]:
    """What an answer or a header says under these keywords, as text; what is empty is left out."""
    texts = ((keyword, _text(answer.get(keyword))) for keyword in keywords)
    return {keyword: text for keyword, text in texts if text}


def _text(value: Any) -> str:
    """A value as one line of text; several values as DICOM writes them."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return "\\".join(map(str, value)) if several else "" if value is None else str(value)
