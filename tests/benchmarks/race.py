"""Contestants take turns, so that whatever else the machine does falls on all of them; wrong answers do not count."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from .workers import WorkerFailed
from .workloads import Wrong

_FAILURES = (Wrong, WorkerFailed, OSError, subprocess.SubprocessError)
_PATIENCE = 2  # wrong answers after which a contestant is out
OURS = "qa_fetch"


class Measured(NamedTuple):
    """What one attempt took, and the requests that its peer saw where these are counted."""

    value: float
    requests: Optional[int] = None


@dataclass(frozen=True)
class Contestant:
    """One way of doing the same thing; ``attempt`` gets an empty folder, and raises unless the result is right."""

    name: str
    attempt: Callable[[Path], Measured]
    most: Optional[int] = None  # runs, where it is slow
    warm: Optional[Callable[[Path], object]] = None  # done once before and not counted: imports, first connections
    absent: str = ""  # why it cannot take part


@dataclass
class Row:
    """What came of one contestant."""

    section: str
    workload: str
    contestant: str
    unit: str = "s"
    samples: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    absent: str = ""

    @property
    def median(self) -> Optional[float]:
        """The median of what counts, if anything does."""
        return statistics.median(self.samples) if self.samples else None

    @property
    def failed(self) -> bool:
        """Whether it should have taken part and did not do what it should; of ours, every wrong answer is one."""
        return bool(self.wrong) and (not self.samples or self.contestant.startswith(OURS))

    def as_json(self) -> dict[str, Any]:
        """Everything about it, raw."""
        return {**vars(self), "median": self.median, "failed": self.failed}


def race(
    section: str, workload: str, contestants: Sequence[Contestant], runs: int, scratch: Path, unit: str = "s"
) -> list[Row]:
    """Each contestant in turn, as often as ``runs`` says, in another order each time."""
    rows = {one.name: Row(section, workload, one.name, unit, absent=one.absent) for one in contestants}
    present = [one for one in contestants if not one.absent]
    for one in present:
        if one.warm is not None:
            _take_turn(one.warm, rows[one.name], scratch)
    for number in range(runs):
        turn = number % max(1, len(present))
        for one in [*present[turn:], *present[:turn]]:
            row = rows[one.name]
            if number < (one.most or runs) and len(row.wrong) < _PATIENCE:
                measured = _take_turn(one.attempt, row, scratch)
                if isinstance(measured, Measured):
                    row.samples.append(measured.value)
                    row.requests += [measured.requests] if measured.requests is not None else []
    return list(rows.values())


def _take_turn(act: Callable[[Path], object], row: Row, scratch: Path) -> object:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        try:
            return act(Path(folder))
        except _FAILURES as error:
            row.wrong.append(f"{type(error).__name__}: {error}".replace(str(scratch), "SCRATCH")[:300])
            return None
