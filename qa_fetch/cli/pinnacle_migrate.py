"""The command ``qa-fetch pinnacle migrate``: a whole collection of archives to where it is needed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, Incomplete
from .output import amount, command, complain, for_machines, on_one_line, say_facts, say_json, say_table
from .progress import bar

if TYPE_CHECKING:
    from ..migrate import Migration

_MOST = 100  # lines that a terminal shows


def add_migrate(commands: Any) -> None:
    """``qa-fetch pinnacle migrate``."""
    made = command(
        commands,
        "migrate",
        migrate,
        summary="convert every living patient of a list, deliver all plans, and account for the whole collection",
        example="  qa-fetch pinnacle migrate patients.csv --archives tars/ --to import/\n"
        "  qa-fetch pinnacle migrate patients.csv --archives tars/ --send pacs --hours 22:00-06:00\n"
        "  qa-fetch pinnacle migrate patients.csv --archives tars/ --to import/ --send pacs --pattern '{id}_{last}'",
    )
    made.add_argument(
        "patients",
        metavar="LIST.csv",
        type=Path,
        help="columns patient_id and status (alive, deceased or unknown); also .xlsx",
    )
    made.add_argument("--archives", metavar="DIR", type=Path, required=True, help="the folder of tars; it is only read")
    where = made.add_argument_group("where it goes; a run goes on where one stopped")
    where.add_argument("--to", metavar="DIR", type=Path, help="an import folder: each patient appears there as a whole")
    where.add_argument("--send", metavar="ARCHIVE", help="a name from qa_fetch.toml, or an address, to send to (also)")
    where.add_argument(
        "--confirm",
        metavar="HOW",
        default="find",
        help="how that archive says that all arrived: find (it lists each object; the default), commit, or store",
    )
    where.add_argument("--ae-title", metavar="AET", help="our own AE title")
    where.add_argument("--config", metavar="FILE", help="a configuration file instead of the one that is found")
    where.add_argument(
        "--pattern",
        metavar="NAME",
        default="{last}_{first}_{id}_{number}",
        help="what folders are called: {last} {first} {middle} {id} {number} {birth} "
        "(default: {last}_{first}_{id}_{number})",
    )
    where.add_argument(
        "--work", metavar="DIR", type=Path, help="the folder of ledger and reports (default: DIR.migration beside --to)"
    )
    how = made.add_argument_group("what is converted")
    how.add_argument(
        "--mu", metavar="WHICH", default="agree", help="monitor units: agree (the default), formula or grid"
    )
    how.add_argument(
        "--whole-only", action="store_true", help="deliver nothing of a patient of whom something cannot be converted"
    )
    running = made.add_argument_group("how it runs")
    running.add_argument("--workers", metavar="N", type=int, help="processes (default: one for each core)")
    running.add_argument("--attempts", metavar="N", type=int, default=3, help="tries of a patient (default: 3)")
    running.add_argument(
        "--hours", metavar="HH:MM-HH:MM", help="begin nothing outside of these hours, such as 22:00-06:00"
    )
    for_machines(made)


def migrate(given: argparse.Namespace) -> int:
    """Move the collection; 1 when a patient or an archive needs attention."""
    from ..archive import Archive
    from ..bulk import Pace
    from ..migrate import migrate as move

    if given.to is None and given.send is None:
        raise ConfigError("say where the patients go: --to DIR, --send ARCHIVE, or both.")
    own = {} if given.ae_title is None else {"local_ae_title": given.ae_title}
    with bar("looking at the archives") as on_progress:
        done = move(
            given.patients,
            given.archives,
            to=given.to,
            send=None if given.send is None else Archive(given.send, config=given.config, **own),
            pattern=given.pattern,
            mu=given.mu,
            whole_only=given.whole_only,
            confirm=given.confirm,
            work=given.work,
            workers=given.workers,
            attempts=given.attempts,
            pace=Pace(hours=given.hours or ""),
            on_progress=on_progress,
        )
    return _say_machines(done) if given.json else _say(done)


def _say(done: Migration) -> int:
    """What came of it, by lines of the list: names are in the report only."""
    from ..migrate.states import STATES

    wrong = [(entry.line, entry.state, entry.why or _omitted(entry.omitted)) for entry in done.entries if entry.wrong]
    if wrong:
        say_table(("line", "what", "why"), wrong[:_MOST])
    if len(wrong) > _MOST:
        print(f"The first {_MOST} of {len(wrong):,} lines of the list; the report has them all.")
    for note in done.notes:
        print(f"About the list: {on_one_line(note)}")
    counts = done.counts
    say_facts(
        {
            **{state: counts[state] for state in reversed(STATES) if counts[state]},
            "archives with damage": len(done.problems),
            "data of this run": amount(done.run.bytes),
            "report": done.work / "report.html",
        }
    )
    print(f"{on_one_line(done.work)} names patients. Keep it as you keep their records.")
    if done.stopped:
        complain(Incomplete(f"{done.stopped.rstrip('.')}. Run the same command again to go on."))
    return done.exit_code


def _omitted(count: int) -> str:
    return f"{count} {'things' if count != 1 else 'thing'} left out, see the report"


def _say_machines(done: Migration) -> int:
    say_json(
        {
            "counts": done.counts,
            "archives_with_problems": len(done.problems),
            "complete": done.complete,
            "stopped": done.stopped,
            "notes": done.notes,
            "report": done.work / "report.json",
            "patients": [
                {"row": entry.row, "line": entry.line, "state": entry.state, "why": entry.why, "omitted": entry.omitted}
                for entry in done.entries
            ],
        }
    )
    return done.exit_code
