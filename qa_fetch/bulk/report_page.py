"""The report as one page that needs nothing else: what failed comes first, the rest is folded away."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Callable

from ..page import STYLE, text
from .items import Row

if TYPE_CHECKING:
    from .report import Report

_MOST_FAILURES, _MOST_OTHERS = 5_000, 2_000  # rows that a browser shows at once without trouble


def page(report: Report) -> Iterator[str]:
    """The page, piece by piece."""
    title = text(report.title or "Report of a run")
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    )
    yield f'<p class="calm">{_when(report)}</p>\n{_verdict(report)}\n<dl>{_facts(report)}</dl>\n'
    if report.failed:
        yield "<h2>What failed</h2>\n"
        yield from _table(report.failures(), _MOST_FAILURES, report.failed, _failed_row, ("item", "why", "tried"))
    if report.waiting:
        yield f"<details><summary>{_count(report.waiting, 'item')} not done yet</summary>\n"
        yield from _table(report.unfinished(), _MOST_OTHERS, report.waiting, _failed_row, ("item", "why", "tried"))
        yield "</details>\n"
    if report.done:
        done = ("item", "size", "seconds", "worker")
        yield f"<details><summary>{_count(report.done, 'item')} done</summary>\n"
        yield from _table(report.finished(), _MOST_OTHERS, report.done, _done_row, done)
        yield "</details>\n"
    yield "</main>\n</body>\n</html>\n"


def _when(report: Report) -> str:
    begun = f"{report.begun:%A, %d %B %Y, %H:%M}"
    return f"{begun}; it took {duration(report.seconds)}. Run {report.run} in this folder."


def _verdict(report: Report) -> str:
    if report.complete:
        return '<p class="verdict good">Everything is done.</p>'
    missing = [f"{_count(report.failed, 'item')} failed"] if report.failed else []
    missing += [f"{_count(report.waiting, 'item')} not done yet"] if report.waiting else []
    missing += [] if report.whole else ["the list was not read to its end"]
    why = f" The run ended early: {text(report.stopped)}." if report.stopped else ""
    kind = "bad" if report.failed else "open"
    return f'<p class="verdict {kind}">{text(", ".join(missing)).capitalize()}.{why}</p>'


def _facts(report: Report) -> str:
    facts = {"Items": f"{report.total:,}", "Done": f"{report.done:,}", "Failed": f"{report.failed:,}"}
    if report.waiting:
        facts["Not done yet"] = f"{report.waiting:,}"
    if report.already:
        facts["Done before"] = f"{report.already:,}"
    facts["Data in this run"] = size(report.bytes)
    facts["On average"] = f"{size(report.bytes / report.seconds if report.seconds else 0)}/s"
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())


def _table(
    rows: Iterable[Row], most: int, total: int, line: Callable[[Row], str], columns: tuple[str, ...]
) -> Iterator[str]:
    numbers, right = ("tried", "size", "seconds"), ' class="number"'
    heads = "".join(f"<th{right if name in numbers else ''}>{name}</th>" for name in columns)
    yield f'<div class="sheet"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n'
    yield from map(line, itertools.islice(rows, most))
    yield "</tbody></table></div>\n"
    if total > most:
        yield f'<p class="calm">The first {most:,} of {total:,}; report.csv has them all.</p>\n'


def _failed_row(row: Row) -> str:
    says = row.error or "not reached in this run"
    tried = f"{row.attempts}×" if row.attempts else ""
    return (
        f'<tr><td class="key">{text(row.key)}</td><td class="says">{text(says)}</td>'
        f'<td class="number">{tried}</td></tr>\n'
    )


def _done_row(row: Row) -> str:
    return (
        f'<tr><td class="key">{text(row.key)}</td><td class="number">{size(row.bytes)}</td>'
        f'<td class="number">{row.seconds:.1f}</td><td>{text(row.worker)}</td></tr>\n'
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def size(amount: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


def duration(seconds: float) -> str:
    """A time as people read it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
