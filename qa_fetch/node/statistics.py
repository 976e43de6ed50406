"""What a node holds and how it came: counted by the database, for the command line and the pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from django.db.models import Count, Max, QuerySet, Sum, TextField
from django.db.models.functions import Cast, Substr

from .models import Instance

HOUR, DAY = "hour", "day"
_MEGABYTE = 1e6
_LENGTHS = {HOUR: 13, DAY: 10}  # of what comes first in 2025-11-03 10:15:00


@dataclass(frozen=True)
class OfModality:
    """What is there of one modality."""

    modality: str
    series: int
    objects: int
    bytes: int


@dataclass(frozen=True)
class OfSource:
    """What one AE title has sent; the empty one is for what did not come over the network."""

    source: str
    objects: int
    bytes: int
    last: datetime


@dataclass(frozen=True)
class Speed:
    """How quickly objects came in one hour or day; the seconds are those in which an object was on its way in."""

    begins: datetime
    objects: int
    bytes: int
    seconds: float

    @property
    def megabytes_per_second(self) -> float:
        """Bytes over the time that they took."""
        return self.bytes / _MEGABYTE / self.seconds if self.seconds else 0.0

    @property
    def objects_per_second(self) -> float:
        """Objects over the time that they took."""
        return self.objects / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Growth:
    """What came on one day, and what was there at its end."""

    day: datetime
    objects: int
    bytes: int
    total_objects: int
    total_bytes: int


@dataclass(frozen=True)
class Statistics:
    """All of it."""

    modalities: tuple[OfModality, ...]
    sources: tuple[OfSource, ...]
    speed: tuple[Speed, ...]
    growth: tuple[Growth, ...]

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(each.objects for each in self.modalities)

    @property
    def bytes(self) -> int:
        """How much they take."""
        return sum(each.bytes for each in self.modalities)

    def plain(self) -> dict[str, Any]:
        """The same as JSON can say it."""
        speed = [
            {
                **asdict(each),
                "megabytes_per_second": each.megabytes_per_second,
                "objects_per_second": each.objects_per_second,
            }
            for each in self.speed
        ]
        tables = {
            "modalities": [asdict(each) for each in self.modalities],
            "sources": [asdict(each) for each in self.sources],
            "speed": speed,
            "growth": [asdict(each) for each in self.growth],
        }
        for table in tables.values():
            for row in table:
                row.update({key: value.isoformat() for key, value in row.items() if isinstance(value, datetime)})
        return {"objects": self.objects, "bytes": self.bytes, **tables}


def collect(by: str = DAY) -> Statistics:
    """All statistics; the speed by ``HOUR`` or by ``DAY``."""
    return Statistics(modalities(), sources(), speed(by), growth())


def modalities() -> tuple[OfModality, ...]:
    """What is there, the most frequent modality first."""
    rows = Instance.objects.order_by().values("Modality")
    rows = rows.annotate(count=Count("pk"), bytes=Sum("size"), groups=Count("series", distinct=True))
    return tuple(
        OfModality(row["Modality"], row["groups"], row["count"], row["bytes"])
        for row in sorted(rows, key=lambda row: (-row["count"], row["Modality"]))
    )


def sources() -> tuple[OfSource, ...]:
    """Who has sent it, the most frequent source first."""
    rows = Instance.objects.order_by().values("source")
    rows = rows.annotate(count=Count("pk"), bytes=Sum("size"), last=Max("stored"))
    return tuple(
        OfSource(row["source"], row["count"], row["bytes"], row["last"])
        for row in sorted(rows, key=lambda row: (-row["count"], row["source"]))
    )


def speed(by: str = DAY) -> tuple[Speed, ...]:
    """How quickly objects came over the network, the oldest hour or day first; those without a time do not count."""
    rows = _in_steps(Instance.objects.filter(seconds__gt=0), by)
    rows = rows.annotate(count=Count("pk"), bytes=Sum("size"), took=Sum("seconds"))
    return tuple(Speed(_beginning(row["step"]), row["count"], row["bytes"], row["took"]) for row in rows)


def growth() -> tuple[Growth, ...]:
    """How much came on each day, the oldest first."""
    return tuple(_cumulated(_in_steps(Instance.objects.all(), DAY).annotate(count=Count("pk"), bytes=Sum("size"))))


def _cumulated(rows: QuerySet) -> Iterator[Growth]:
    objects = size = 0
    for row in rows:
        objects += row["count"]
        size += row["bytes"]
        yield Growth(_beginning(row["step"]), row["count"], row["bytes"], objects, size)


def _in_steps(rows: QuerySet, by: str) -> QuerySet:
    # As text, which SQLite cuts itself: Django's date functions are Python that it would call for each row.
    step = Substr(Cast("stored", TextField()), 1, _LENGTHS[by])
    return rows.order_by().annotate(step=step).values("step").order_by("step")


def _beginning(step: str) -> datetime:
    return datetime.fromisoformat(step if len(step) == 10 else f"{step}:00").replace(tzinfo=timezone.utc)
