"""What should be reached, against what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Optional

from . import batch, bench_anonymise, bench_cohort, bench_pinnacle, bulk, newest, node, page, retrieving, sending
from .race import Row

_Key = tuple[str, str, str]
_FLAT = 64.0  # MB: a few buffers, whatever passes through them


@dataclass(frozen=True)
class Goal:
    """One figure: the median of ours over that of another (or alone), or the other way round where faster counts."""

    says: str
    ours: _Key
    limit: float
    other: Optional[_Key] = None
    faster: bool = False
    requests: bool = False

    def reached(self, rows: Mapping[_Key, Row]) -> Optional[float]:
        """The figure, or None where something for it was not measured."""
        row = rows.get(self.ours)
        if row is None or row.median is None:
            return None
        if self.requests:
            return float(max(row.requests))
        if self.other is None:
            return row.median
        other = rows.get(self.other)
        if other is None or other.median is None:
            return None
        return other.median / row.median if self.faster else row.median / other.median

    def met(self, figure: float) -> bool:
        """Whether a figure is good enough."""
        return figure >= self.limit if self.faster else figure <= self.limit


def _retrievals() -> list[Goal]:
    ways = (retrieving.GET, retrieving.MOVE)
    found = []
    for way in ways:
        for one in "ABC":
            key = ("retrieve", one, way)
            found.append(Goal(f"{way} of {one} / getscu", key, 1.1, ("retrieve", one, retrieving.GETSCU)))
    for way in ways:
        for one in "BC":
            key, other = ("retrieve", one, way), ("retrieve", one, retrieving.PLAIN)
            found.append(Goal(f"plain pynetdicom / {way} of {one}", key, 8, other, faster=True))
    for one in "ABc":
        key, other = ("packaged", one, retrieving.GET), ("packaged", one, retrieving.GETSCU)
        found.append(Goal(f"as packaged: getscu / {retrieving.GET} of {one}", key, 10, other, faster=True))
    wado, cp = ("retrieve", "B", retrieving.WADO), ("retrieve", "B", retrieving.CP)
    found.append(Goal(f"{retrieving.WADO} of B / cp", wado, 1.5, cp))
    for says, least in (("2 ms", 3), ("10 ms", 6), ("10 ms, 10 threads", 6)):
        key = ("roundtrip", f"B {says}", retrieving.GET)
        other = ("roundtrip", f"B {says}", retrieving.GETSCU)
        found.append(Goal(f"{says}: getscu / {retrieving.GET} of B", key, least, other, faster=True))
    return found


def goals(rows: Sequence[Row]) -> list[Goal]:
    """All of them; those of memory are named by what was measured."""
    found = _retrievals()
    for one in "BC":
        found.append(
            Goal(
                f"{sending.OURS} of {one} / storescu", ("send", one, sending.OURS), 1.1, ("send", one, sending.STORESCU)
            )
        )
    for says in newest.DISTANCES:
        key, other = ("latest", says, newest.OURS), ("latest", says, newest.REFERENCE)
        found.append(Goal(f"latest, {says}: requests (under 10)", key, 9, requests=True))
        found.append(Goal(f"latest, {says}: ours / the reference way", key, 0.1, other))
    found.append(Goal("a page again: seconds per fetch", ("page", "again", page.OURS), 0.05))
    for name in (page.THREADS, page.PROCESSES):
        found.append(Goal(f"ten pages at once, {name}: seconds", ("page", "ten at once", name), page.BUDGET))
    found.append(Goal("a page of a hung archive: seconds", ("page", "hung", page.HUNG), page.BUDGET))
    found.append(Goal("the ledger: seconds for 100,000 items", ("bulk", "ledger", bulk.LEDGER), 10))
    found.append(Goal("100,000 items: MB of growth", ("bulk", "memory", bulk.GROWTH), 16))
    found += _anonymisers({row.contestant for row in rows if not row.absent})
    found += _pinnacle()
    found += _cohort({row.contestant for row in rows if not row.absent})
    for row in rows:
        if row.contestant == batch.PACSIFIER and not row.absent:
            key, other = (row.section, row.workload, batch.OURS[1]), (row.section, row.workload, row.contestant)
            found.append(Goal(f"batch, {row.workload}: pacsifier / ours", key, 10, other, faster=True))
        if row.contestant == node.OURS:
            other = (row.section, row.workload, node.ORTHANC)
            key = (row.section, row.workload, row.contestant)
            found.append(Goal(f"{row.section} {row.workload}: ours / Orthanc", key, 1, other))
        if row.section == "memory":
            key = (row.section, row.workload, row.contestant)
            found.append(Goal(f"{row.contestant} ({row.workload}): MB of growth", key, _FLAT))
    return found


def _anonymisers(present: Set[str]) -> list[Goal]:
    found = []
    for workload, least in ((bench_anonymise.SMALL, 1), (bench_anonymise.LARGE, 2)):
        for peer in sorted(present.intersection(bench_anonymise.PEERS)):
            key, other = ("anonymise", workload, bench_anonymise.OURS), ("anonymise", workload, peer)
            found.append(Goal(f"anonymise {workload}: {peer} / ours", key, least, other, faster=True))
    one, two = (("anonymise", bench_anonymise.SCALE, name) for name in (bench_anonymise.OURS, bench_anonymise.TWO))
    found.append(Goal("anonymise: one process / two", two, 1.8, one, faster=True))
    grown = ("anonymise", bench_anonymise.GROWTH, bench_anonymise.GROWN)
    found.append(Goal("anonymise, ten times the files: MB of growth", grown, 16))
    return found


def _pinnacle() -> list[Goal]:
    found = []
    for sort in bench_pinnacle.SORTS:
        key, other = (("pinnacle", sort, name) for name in (bench_pinnacle.OURS, bench_pinnacle.PEER))
        found.append(Goal(f"pinnacle {sort}, CPU: pymedphys / ours", key, 10, other, faster=True))
        peak = ("pinnacle", bench_pinnacle.memory_of(sort), bench_pinnacle.OURS)
        found.append(Goal(f"pinnacle {sort}: MB at the peak", peak, 250))
    one, two = (("pinnacle", bench_pinnacle.MIGRATION, name) for name in (bench_pinnacle.ONE, bench_pinnacle.TWO))
    found.append(Goal("pinnacle migrate: one process / two", two, 1.8, one, faster=True))
    return found


def _cohort(present: Set[str]) -> list[Goal]:
    ours, found = bench_cohort.OURS, []
    for workload, peers, least in (
        (bench_cohort.CT, (bench_cohort.PDCP, bench_cohort.ARCHIVE), 20),
        (bench_cohort.SUMMARY, (bench_cohort.PDCP,), 5),
        (bench_cohort.MASKS, bench_cohort.MASKERS, 1),
        (bench_cohort.DVH, bench_cohort.SAMPLERS, 1),
    ):
        for peer in peers:
            if peer in present:
                key, other = ("cohort", workload, ours), ("cohort", workload, peer)
                found.append(Goal(f"cohort {workload}: {peer} / ours", key, least, other, faster=True))
    for workload in (bench_cohort.MASKS, bench_cohort.DVH):
        key = ("cohort", bench_cohort.off_by(workload, bench_cohort.VOLUME), ours)
        found.append(Goal(f"cohort {workload}: % by which 100 cc are wrong", key, 0.5))
    for what in (bench_cohort.D95, bench_cohort.D2):
        key = ("cohort", bench_cohort.off_by(bench_cohort.DVH, what), ours)
        found.append(Goal(f"cohort DVH: Gy by which {what} is wrong", key, 0.05))
    return found


def verdicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each goal with its figure and whether it was met; without a figure, neither."""
    by_key = {(row.section, row.workload, row.contestant): row for row in rows}
    found = []
    for goal in goals(rows):
        figure = goal.reached(by_key)
        met = None if figure is None else goal.met(figure)
        found.append({"goal": goal.says, "limit": goal.limit, "faster": goal.faster, "figure": figure, "met": met})
    return found


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The goals that something was measured for, as text."""
    measured = [one for one in found if one["figure"] is not None]
    width = max((len(one["goal"]) for one in measured), default=4)
    lines = ["", f"  {'goal'.ljust(width)}  {'wanted':>9}  {'reached':>8}"]
    for one in measured:
        wanted = f"{'>=' if one['faster'] else '<='} {one['limit']:g}"
        word = "met" if one["met"] else "NOT met"
        lines.append(f"  {one['goal'].ljust(width)}  {wanted:>9}  {one['figure']:>8.2f}  {word}")
    return "\n".join(lines)
