"""What a query file would fetch, before anything is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..archive import Archive
from ..errors import QAFetchError
from .selecting import Chosen, Unanswered


@dataclass(frozen=True)
class Planned:
    """The series that rows ask for, and the rows that have none.

    Parameters
    ----------
    series
        Each with its number of objects and about its bytes; None where the archive does not say.
    unanswered
        Rows without anything, and why.
    """

    series: tuple[tuple[Chosen, Optional[int], Optional[int]], ...]
    unanswered: tuple[Unanswered, ...]

    @property
    def objects(self) -> int:
        """How many objects in all, as far as the archive says."""
        return sum(count or 0 for _, count, _ in self.series)

    @property
    def bytes(self) -> int:
        """About how many bytes in all, as far as the archive says."""
        return sum(size or 0 for _, _, size in self.series)


def planned(archive: Archive, chosen: Sequence[Chosen], unanswered: Sequence[Unanswered]) -> Planned:
    """Count the objects of series, and estimate their bytes from the pixels of one object for each modality."""
    sizes: dict[str, Optional[int]] = {}
    found = []
    for one in chosen:
        modality = one.facts.get("Modality", "")
        if modality not in sizes:
            sizes[modality] = _size_of_one(archive, one.series)
        told = one.facts.get("NumberOfSeriesRelatedInstances", "")
        count = len(one.instances) if one.instances is not None else int(told) if told.isdigit() else None
        size = sizes[modality]
        found.append((one, count, None if count is None or size is None else count * size))
    return Planned(tuple(found), tuple(unanswered))


def _size_of_one(archive: Archive, series: str) -> Optional[int]:
    """The bytes of the pixels of one object, where the archive tells; compressed ones are smaller."""
    wanted = dict.fromkeys(("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames"), "")
    try:
        answers: list[Any] = archive.find("IMAGE", {"SeriesInstanceUID": series, **wanted})
    except QAFetchError:
        return None  # an estimate is a favour, and the run itself will say what is wrong
    for answer in answers[:1]:
        rows, columns, bits = (answer.get(keyword) for keyword in ("Rows", "Columns", "BitsAllocated"))
        if rows and columns and bits:
            frames = int(answer.get("NumberOfFrames") or 1) * int(answer.get("SamplesPerPixel") or 1)
            return int(rows) * int(columns) * (int(bits) // 8) * frames
    return None
