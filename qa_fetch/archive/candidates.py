"""Asking the archive for series and images that may be wanted, in as few questions as it allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Callable, Optional

from ..backends import Backend
from ..budget import Budget
from ..part10 import clean_uid
from .sessions import Group, Image, Session, Wanted, image, newest_first
from .when import parse_date

# How far back the first questions reach. The newest session is usually of this week; a patient used for years of
# machine QA has tens of thousands of images, and asking for all of them costs seconds.
_REACHES = (timedelta(days=7), timedelta(days=70))

_SERIES_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SeriesDate", "SeriesTime", "Modality", "PatientID")


class Candidates:
    """The images of a patient that may be wanted."""

    def __init__(
        self,
        backend: Backend,
        wanted: Wanted,
        look: Callable[[Sequence[Image]], None],
        budget: Budget,
        *,
        grouping: str,
        one_plan_per_series: bool,
    ) -> None:
        self._backend = backend
        self._wanted = wanted
        self._look = look
        self._budget = budget
        self._options: dict[str, Any] = {"grouping": grouping, "one_plan_per_series": one_plan_per_series}
        self._keys = {"PatientID": wanted.patient, "Modality": wanted.kind.modality}

    def newest(self, low: Optional[datetime], high: Optional[datetime]) -> Optional[Session]:
        """The newest session that began in a span of time, or None."""
        if not self._backend.relational:
            return next(self.all(low, high), None)
        latest = high or datetime.now() + timedelta(days=1)
        for start in [low] if low is not None else [latest - reach for reach in _REACHES]:
            groups, seen = self._in_range(start, high)
            session = next(self._sessions(groups, low, high), None)
            if session is not None:
                strangers = self._unseen(session.begun, high, seen)
                return next(self._sessions([*groups, *strangers], low, high)) if strangers else session
        # Images without an AcquisitionDate match no range, so "there is none" needs the question without one.
        return next(self.all(low, high), None)

    def all(self, low: Optional[datetime], high: Optional[datetime]) -> Iterator[Session]:
        """All sessions that began in a span of time, newest first."""
        groups = self._everything() if self._backend.relational else []
        if not self._backend.relational:  # which the first question may have shown
            groups = [self._unopened(row) for row in self._series({})]
        return self._sessions(groups, low, high)

    def _sessions(
        self, groups: Sequence[Group], low: Optional[datetime], high: Optional[datetime]
    ) -> Iterator[Session]:
        for session in newest_first(groups, self._wanted, self._look, **self._options):
            if low is not None and session.ended < low:
                return
            if (low is None or session.begun >= low) and (high is None or session.begun < high):
                yield session

    def _everything(self) -> list[Group]:
        return [_group(images) for images in _by_series(self._images({})).values()]

    def _in_range(self, start: datetime, high: Optional[datetime]) -> tuple[list[Group], set[str]]:
        """One question for all images of some days; the series that may be wanted are completed when opened.

        A range never matches an image without an AcquisitionDate, and it may cut a sitting at midnight: half a
        session must not pass for a whole one.
        """
        until = f"{high:%Y%m%d}" if high is not None else ""
        seen = _by_series(self._images({"AcquisitionDate": f"{start:%Y%m%d}-{until}"}))
        groups = []
        for images in seen.values():
            if any(self._wanted.fits(found.row, whole=False) is not False for found in images):
                groups.append(Group(max(found.upper for found in images), self._opener(images[0].row)))
        return groups, set(seen)

    def _unseen(self, since: datetime, high: Optional[datetime], seen: set[str]) -> list[Group]:
        """Series that began since then without showing an image: theirs may have no AcquisitionDate."""
        until = f"{high:%Y%m%d}" if high is not None else ""
        rows = self._series({"SeriesDate": f"{since:%Y%m%d}-{until}"})
        return [self._unopened(row) for row in rows if clean_uid(row.SeriesInstanceUID) not in seen]

    def _unopened(self, row: Any) -> Group:
        """A series known by its own row only: its images are taken to end by the day after it began."""
        day = parse_date(row.get("SeriesDate"))
        upper = datetime.combine(day + timedelta(days=1), time.max) if day is not None else datetime.max
        return Group(upper, self._opener(row))

    def _opener(self, row: Any) -> Callable[[], list[Image]]:
        keys = {
            "StudyInstanceUID": clean_uid(row.get("StudyInstanceUID") or ""),
            "SeriesInstanceUID": clean_uid(row.get("SeriesInstanceUID") or ""),
        }
        return lambda: self._images(keys)

    def _series(self, keys: dict[str, str]) -> list[Any]:
        return self._backend.find("SERIES", {**self._keys, **keys}, _SERIES_KEYWORDS, self._budget)

    def _images(self, keys: dict[str, str]) -> list[Image]:
        rows = self._backend.find("IMAGE", {**self._keys, **keys}, self._wanted.keywords(), self._budget)
        return [image(row) for row in rows]


def _by_series(images: Iterable[Image]) -> dict[str, list[Image]]:
    groups: dict[str, list[Image]] = {}
    for found in images:
        groups.setdefault(found.reference.series, []).append(found)
    return groups


def _group(images: list[Image]) -> Group:
    return Group(max(found.upper for found in images), lambda: images)
