"""The report as one page that needs nothing else, for somebody who decides and does not convert."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Callable

from ..bulk.report_page import duration, size
from ..page import STYLE, text
from .states import ABSENT, ALIVE, CONVERTED, FAILED, KEPT, OMISSIONS, UNLISTED, WAITING

if TYPE_CHECKING:
    from .outcome import Entry, Migration, Said

_MOST = 5_000  # rows that a browser shows at once without trouble
_LONGEST = 2_000  # letters of a reason, at the end of which it says what to do
_REASONS = 40  # omissions or warnings of a patient that it shows
_MORE_STYLE = (
    "ul { margin: 0; padding-left: 18px; } td.who { min-width: 18ch; }\n"
    "td.says p { max-width: none; margin: 0 0 4px; }\n"
    "td summary { font-size: inherit; font-weight: 400; margin: 4px 0; }\n"
)


def page(done: Migration) -> Iterator[str]:
    """The page, piece by piece."""
    title = text(done.run.title)
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{STYLE}{_MORE_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    )
    yield f'<p class="calm">{_when(done)}</p>\n{_verdict(done)}\n<dl>{_facts(done)}</dl>\n<p></p>\n{_what(done)}'
    sent = f" The archive {done.sent_to} may have taken some of their objects." if done.sent_to else ""
    yield from _section(
        "Failed",
        f"Nothing of these living patients was delivered, or nothing newer than an earlier run did.{sent}",
        done.of(FAILED),
        _failed,
    )
    yield from _section(
        "Converted with omissions",
        "What is right was delivered. What is listed here was not, and is in the archive only.",
        done.of(OMISSIONS),
        _omitted,
    )
    yield from _problems(done)
    yield from _section("Not done yet", "Run the same command again to go on.", done.of(WAITING), _failed)
    yield from _section("On the list, without an archive", "", done.of(ABSENT), _absent)
    yield from _section(
        "In an archive, not on the list",
        "Nobody says whether these patients are alive, so they are not converted, and only their archive is kept.",
        done.of(UNLISTED),
        _failed,
    )
    kept = done.of(KEPT)
    yield from _section(
        "Kept as tar, but delivered before",
        "The list says deceased or unknown now. An earlier run has delivered them, and nothing was taken back.",
        [entry for entry in kept if entry.why],
        _kept,
    )
    yield from _section(
        "Kept as tar",
        "The list says deceased or unknown: only the archive is kept.",
        [entry for entry in kept if not entry.why],
        _kept,
        folded=True,
    )
    yield from _section(
        "Converted", "Every plan and every trial was delivered.", done.of(CONVERTED), _converted, folded=True
    )
    if done.notes:
        yield f"<h2>About the list</h2>\n<ul>{''.join(f'<li>{text(note)}</li>' for note in done.notes)}</ul>\n"
    yield '<p class="calm">This page names patients. Keep it as you keep their records.</p>\n'
    yield "</main>\n</body>\n</html>\n"


def _when(done: Migration) -> str:
    run = done.run
    return f"{run.begun:%A, %d %B %Y, %H:%M}; it took {duration(run.seconds)}. Run {run.run} of this migration."


def _verdict(done: Migration) -> str:
    alive = [entry for entry in done.entries if entry.status == ALIVE]
    delivered = sum(entry.state == CONVERTED for entry in alive)
    if done.complete and not alive:
        return '<p class="verdict open">The list names no living patient, so nothing was converted.</p>'
    if done.complete:
        return f'<p class="verdict good">All {_count(len(alive), "living patient")} delivered, with every plan.</p>'
    attention = sum(entry.wrong for entry in done.entries)
    says = [f"{delivered:,} of {_count(len(alive), 'living patient')} delivered with every plan"]
    says += [f"{_count(attention, 'patient')} to be looked at"] if attention else []
    says += [f"{_count(len(done.problems), 'archive')} with damage"] if done.problems else []
    says += [] if done.whole else ["not all archives were looked at"]
    why = f" The run ended early: {text(done.stopped)}." if done.stopped else ""
    kind = "bad" if done.of(FAILED) or done.problems else "open"
    return f'<p class="verdict {kind}">{text("; ".join(says))}.{why}</p>'


def _facts(done: Migration) -> str:
    counts = {state.capitalize(): number for state, number in reversed(done.counts.items())}
    facts = {"Patients": f"{len(done.entries):,}"}
    facts.update((name, f"{number:,}") for name, number in counts.items() if number or name in ("Converted", "Failed"))
    facts["Objects delivered"] = f"{sum(sum(entry.objects.values()) for entry in done.entries):,}"
    facts["Data in this run"] = size(done.run.bytes)
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())


def _what(done: Migration) -> str:
    places = [f"put into the import folder {done.to}"] if done.to else []
    places += [f"sent to the archive {done.sent_to}, which has confirmed every object"] if done.sent_to else []
    return (
        f"<p>Every object was checked before it left and then {text(' and '.join(places))}. "
        "The original archives were only read; none of them was changed, moved or deleted.</p>\n"
    )


def _section(
    title: str, says: str, entries: Sequence[Entry], line: Callable[[Entry], str], *, folded: bool = False
) -> Iterator[str]:
    """A table of patients under a heading; nothing where there are none."""
    if not entries:
        return
    heading = f"{title}: {len(entries):,}"
    yield f"<details><summary>{heading}</summary>\n" if folded else f"<h2>{heading}</h2>\n"
    yield f'<p class="calm">{text(says)}</p>\n' if says else ""
    yield from _table(("patient", "line of the list", "what", "archives"), map(line, entries), len(entries))
    yield "</details>\n" if folded else ""


def _problems(done: Migration) -> Iterator[str]:
    if not done.problems:
        return
    yield f"<h2>Archives with damage: {len(done.problems):,}</h2>\n"
    yield '<p class="calm">Whose patients are in them is not known, or not to the end.</p>\n'
    rows = (
        f'<tr><td class="key">{text(name)}</td><td class="says">{text(why, _LONGEST)}</td></tr>\n'
        for name, why in done.problems.items()
    )
    yield from _table(("archive", "why"), rows, len(done.problems))


def _table(columns: Sequence[str], rows: Iterable[str], total: int) -> Iterator[str]:
    heads = "".join(f"<th>{name}</th>" for name in columns)
    yield f'<div class="sheet"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n'
    yield from itertools.islice(rows, _MOST)
    yield "</tbody></table></div>\n"
    if total > _MOST:
        yield f'<p class="calm">The first {_MOST:,} of {total:,}; report.csv has them all.</p>\n'


def _failed(entry: Entry) -> str:
    return _row(entry, f"<p>{_why(entry)}</p>")


def _absent(entry: Entry) -> str:
    return _row(entry, f"<p>{text(entry.status)}: {_why(entry)}</p>")


def _omitted(entry: Entry) -> str:
    return _row(
        entry, f"<p>{_delivered(entry)}</p>{_list('not delivered', entry.omissions, entry.omitted)}{_warned(entry)}"
    )


def _kept(entry: Entry) -> str:
    return _row(entry, f"<p>{text(entry.status)}{f'; {_why(entry)}' if entry.why else ''}</p>")


def _converted(entry: Entry) -> str:
    return _row(entry, f"<p>{_delivered(entry)}</p>{_warned(entry)}")


def _why(entry: Entry) -> str:
    why = f"{entry.why.rstrip('.')}. Folder of the earlier run: {entry.folder}" if entry.folder else entry.why
    return text(why, _LONGEST)


def _delivered(entry: Entry) -> str:
    objects = ", ".join(f"{number:,} {modality}" for modality, number in entry.objects.items())
    return text(f"{objects}; folder {entry.folder}" if entry.folder else objects)


def _warned(entry: Entry) -> str:
    if not entry.warned:
        return ""
    what = f"{_count(entry.warned, 'remark')}"
    return f"<details><summary>{what}</summary>{_list('', entry.warnings, entry.warned)}</details>"


def _list(title: str, said: Sequence[Said], total: int) -> str:
    items = "".join(f"<li>{text(each.what)}: {text(each.reason, _LONGEST)}</li>" for each in said[:_REASONS])
    more = f"<li>and {total - _REASONS:,} more, in report.json</li>" if total > _REASONS else ""
    return f"{f'<p>{title}:</p>' if title else ''}<ul>{items}{more}</ul>"


def _row(entry: Entry, says: str) -> str:
    name = f"<br>{text(entry.name)}" if entry.name else ""
    archives = "<br>".join(text(archive) for archive in entry.archives)
    return (
        f'<tr><td class="who">{text(entry.patient)}{name}</td><td class="number">{entry.line or ""}</td>'
        f'<td class="says">{says}</td><td class="key">{archives}</td></tr>\n'
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
