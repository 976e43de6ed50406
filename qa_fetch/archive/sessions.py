"""Which images belong together, newest first, decided from what the archive says and, where it does not, from headers.

A group is what one series holds. Groups are opened newest first and only as far as needed: a group whose images can
no longer be newer than the best session found is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Callable, Optional

from ..errors import ConfigError
from ..kinds import Kind
from ..part10 import clean_uid
from ..shelf import Reference
from .readable import readable
from .when import TIME_KEYWORDS, acquired, parse_date, parse_time

# Two images of one series this far apart were not taken in one sitting: some systems append every day's images to
# the same series.
_PAUSE = timedelta(hours=6)
_LATEST = datetime.max
_EARLIEST = datetime.min

IMAGE_KEYWORDS = (
    "SOPInstanceUID",
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "InstanceNumber",
    *TIME_KEYWORDS,
)


@dataclass(frozen=True)
class Wanted:
    """What makes an image one of those asked for."""

    kind: Kind
    plan: Optional[str]
    patient: str

    def keywords(self) -> tuple[str, ...]:
        """What an answer should carry so that no header has to be looked at."""
        plan = ("ReferencedRTPlanSequence",) if self.plan is not None else ()
        return (*IMAGE_KEYWORDS, *self.kind.attributes, *plan)

    def fits(self, dataset: Any, *, whole: bool) -> Optional[bool]:
        """True, False, or None when an answer does not say enough."""
        verdicts = [self.kind.fits(dataset, whole=whole), self.of_plan(dataset, whole)]
        if False in verdicts:
            return False
        return None if None in verdicts else True

    def of_plan(self, dataset: Any, whole: bool) -> Optional[bool]:
        if self.plan is None:
            return True
        items = dataset.get("ReferencedRTPlanSequence")
        if not items:
            return False if whole else None
        return self.plan in [clean_uid(item.get("ReferencedSOPInstanceUID") or "") for item in items]


@dataclass
class Image:
    """One image that may be wanted: its row, and what is known of it so far."""

    reference: Reference
    row: Any
    whole: bool = False

    @property
    def taken(self) -> Optional[datetime]:
        """When it was acquired, as far as the row or header says."""
        return acquired(self.row)

    @property
    def number(self) -> int:
        """The InstanceNumber; 0 where there is none, or none that is one number."""
        try:
            return int(str(self.row.get("InstanceNumber") or 0))
        except ValueError:
            return 0

    @property
    def order(self) -> tuple[Any, ...]:
        """The order within a session: by time, then by number."""
        return (self.taken or _EARLIEST, self.number, self.reference.instance)

    @property
    def timed(self) -> bool:
        """Whether the row has the very time of acquisition."""
        row = self.row
        return parse_date(row.get("AcquisitionDate")) is not None and parse_time(row.get("AcquisitionTime")) is not None

    @property
    def upper(self) -> datetime:
        """No later than this; only an acquisition date is trusted as a bound, since a series can go on for days."""
        day = parse_date(self.row.get("AcquisitionDate"))
        if day is None:
            return _LATEST
        return datetime.combine(day, parse_time(self.row.get("AcquisitionTime")) or time.max)


def image(row: Any) -> Image:
    """An image from an archive's answer."""
    row = readable(row)
    reference = Reference(
        study=clean_uid(row.get("StudyInstanceUID") or ""),
        series=clean_uid(row.get("SeriesInstanceUID") or ""),
        instance=clean_uid(row.get("SOPInstanceUID") or ""),
        sop_class=clean_uid(row.get("SOPClassUID") or ""),
        patient=str(row.get("PatientID") or ""),
    )
    return Image(reference, row)


@dataclass
class Group:
    """The images of one series; ``load`` asks the archive for them when they are first needed."""

    upper: datetime
    load: Callable[[], list[Image]]


@dataclass
class Session:
    """Images that were taken in one sitting, in order."""

    images: list[Image]
    begun: datetime = field(init=False)
    ended: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.images.sort(key=lambda found: found.order)
        moments = [found.taken or _EARLIEST for found in self.images]
        self.begun, self.ended = min(moments), max(moments)


def check_grouping(session: str) -> None:
    """``session`` has two values; a slip must not silently mean the default."""
    if session not in ("series", "day"):
        raise ConfigError(f'session={session!r} is not a way to group images. Use "series" or "day".')


def newest_first(
    groups: Sequence[Group],
    wanted: Wanted,
    look: Callable[[Sequence[Image]], None],
    *,
    grouping: str,
    one_plan_per_series: bool = False,
) -> Iterator[Session]:
    """Sessions of wanted images, newest first, opening no more groups than that takes.

    Parameters
    ----------
    groups
        What the archive has, in any order.
    wanted
        Which images count.
    look
        Replaces the rows of images by their own headers.
    grouping
        ``"series"``, or ``"day"`` to join what several series hold of one day.
    one_plan_per_series
        The archive's promise that one image stands for its series.
    """
    waiting = sorted(groups, key=lambda group: group.upper, reverse=True)
    found: list[Session] = []
    while waiting or found:
        best = max(found, key=lambda session: session.ended, default=None)
        if best is None or (waiting and waiting[0].upper >= _closed_at(best, grouping)):
            if not waiting:
                return
            images = _fitting(waiting.pop(0).load(), wanted, look, one_plan_per_series)
            found += _by_sitting(images)
            if grouping == "day":
                found = _by_day([one for session in found for one in session.images])
            continue
        found.remove(best)
        yield best


def _closed_at(session: Session, grouping: str) -> datetime:
    """Once every unopened group ends before this, nothing can precede the session or join it."""
    return session.ended if grouping == "series" else datetime.combine(session.begun.date(), time())


def _fitting(
    images: list[Image], wanted: Wanted, look: Callable[[Sequence[Image]], None], one_plan_per_series: bool
) -> list[Image]:
    maybe = [found for found in images if wanted.fits(found.row, whole=False) is not False]
    unclear = [found for found in maybe if not found.timed or wanted.fits(found.row, whole=False) is None]
    if unclear and one_plan_per_series and wanted.plan is not None:
        look(unclear[:1])
        if not wanted.of_plan(unclear[0].row, whole=True):
            return []
    if unclear:
        look([found for found in unclear if not found.whole])
    return [found for found in maybe if wanted.fits(found.row, whole=found.whole)]


def _by_sitting(images: list[Image]) -> list[Session]:
    """One series, split where hours lie between two images."""
    sittings: list[list[Image]] = []
    for found in sorted(images, key=lambda one: one.order):
        last = sittings[-1][-1].taken if sittings else None
        now = found.taken
        if last and now and (now - last < _PAUSE or now.date() == last.date()):
            sittings[-1].append(found)
        elif sittings and last is None and now is None:
            sittings[-1].append(found)
        else:
            sittings.append([found])
    return [Session(images) for images in sittings]


def _by_day(images: list[Image]) -> list[Session]:
    days: dict[Any, list[Image]] = {}
    for found in images:
        days.setdefault(found.taken.date() if found.taken else None, []).append(found)
    return [Session(images) for images in days.values()]
