"""The report as one page that needs nothing else: what failed comes first, the rest is folded away."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Callable

from .items import Row

if TYPE_CHECKING:
    from .report import Report

_MOST_FAILURES, _MOST_OTHERS = 5_000, 2_000  # rows that a browser shows at once without trouble
_LONGEST = 400  # letters of a key or a sentence
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f8; --sheet: #fff; --ink: #1b2329; --soft: #58646e; --rule: #dfe4e8;
  --good: #17693a; --good-faint: #e2f3e8; --bad: #a3211d; --bad-faint: #fbe9e7; --open: #7a5200;
  --open-faint: #fbf1d9; }
@media (prefers-color-scheme: dark) { :root { --ground: #12171b; --sheet: #1a2126; --ink: #e6ebef; --soft: #9fadb8;
  --rule: #2d373e; --good: #7fd6a0; --good-faint: #163324; --bad: #ff9c92; --bad-faint: #3d1d1b; --open: #f0c66a;
  --open-faint: #382c10; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 32px 0 12px; }
p { margin: 0 0 12px; max-width: 80ch; overflow-wrap: anywhere; }
.calm { color: var(--soft); }
.verdict { display: inline-block; margin: 16px 0; padding: 8px 14px; border-radius: 8px; font-weight: 600;
  max-width: none; }
.good { color: var(--good); background: var(--good-faint); }
.bad { color: var(--bad); background: var(--bad-faint); }
.open { color: var(--open); background: var(--open-faint); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 0; }
dl div { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 14px; }
dt { color: var(--soft); font-size: .86rem; }
dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.sheet { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-size: .86rem; font-weight: 600; color: var(--soft); white-space: nowrap; }
th, td { padding: 8px 14px; border-bottom: 1px solid var(--rule); vertical-align: top; }
tbody tr:last-child > * { border-bottom: 0; }
td.key { width: 34%; font: .86em/1.7 ui-monospace, "SF Mono", Consolas, "Liberation Mono", "DejaVu Sans Mono",
  monospace; overflow-wrap: anywhere; min-width: 16ch; }
td.says { overflow-wrap: anywhere; min-width: 30ch; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; font-size: 1.1rem; font-weight: 600; margin: 28px 0 12px; }
summary:focus-visible { outline: 2px solid currentcolor; outline-offset: 4px; border-radius: 4px; }
@media (max-width: 640px) { thead { display: none; } table, tbody, tr, td { display: block; width: auto !important; }
  tr { padding: 8px 0; border-bottom: 1px solid var(--rule); } tbody tr:last-child { border-bottom: 0; }
  td { border: 0; padding: 1px 14px; text-align: left !important; } }
@media print { body { background: #fff; color: #000; } main { max-width: none; padding: 0; } }
"""


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


def text(value: str, longest: int = _LONGEST) -> str:
    """A value as a browser may have it: escaped, on one line, not endless, and without what turns its direction."""
    plain = _CONTROL.sub(" ", value)
    return html.escape(plain if len(plain) <= longest else plain[:longest] + "…")


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
