"""Commands around QATrack+: ``push`` and ``prefetch``."""

from __future__ import annotations

import argparse
from typing import Any

from .output import command, for_machines, say_json, say_table

_EXAMPLES = """\
example:
  qa-fetch qatrack prefetch                 at 06:30: the images of all lists, before anybody opens a page
  qa-fetch qatrack push wl_tb1              at 07:30: one list performed and recorded
  qa-fetch qatrack push --dry-run           whether everything that a push needs is there
"""


def add_qatrack(commands: Any) -> None:
    """``qa-fetch qatrack`` and all that is below it."""
    made: argparse.ArgumentParser = commands.add_parser(
        "qatrack",
        help="perform test lists of QATrack+ from outside, and bring their images before",
        description="Perform test lists of QATrack+ from outside, and bring their images before.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = made.add_subparsers(
        title="commands", metavar="COMMAND", dest="qatrack_command", required=True, help="what to do"
    )
    add_push(below)
    add_prefetch(below)


def add_push(commands: Any) -> None:
    """``qa-fetch qatrack push``."""
    made = command(
        commands,
        "push",
        push,
        summary="have QATrack+ perform and record lists of [qatrack.lists], once a day however often it is called",
        example="  qa-fetch qatrack push wl_tb1 --on 2025-11-03",
    )
    _add_names(made)
    made.add_argument("--on", metavar="DATE", help="the day for which they are performed (default: today)")
    made.add_argument("--dry-run", action="store_true", help="look up and check everything, and record nothing")
    for_machines(made)


def push(given: argparse.Namespace) -> int:
    """Push each list and say what became of it; 1 when one failed."""
    from ..qatrack.lists import push as run

    done = run(given.names, on=given.on, dry_run=given.dry_run, config=given.config)
    if given.json:
        say_json([vars(one) for one in done])
    else:
        rows = [(one.name, one.unit, one.outcome, " ".join(filter(None, (one.problem, one.url)))) for one in done]
        say_table(("list", "unit", "outcome", "where or why"), rows)
    return 1 if any(one.problem for one in done) else 0


def add_prefetch(commands: Any) -> None:
    """``qa-fetch qatrack prefetch``."""
    made = command(
        commands,
        "prefetch",
        prefetch,
        summary="bring the newest images of lists of [qatrack.lists] onto the shelf, so that their pages open at once",
        example="  qa-fetch qatrack prefetch wl_tb1",
    )
    _add_names(made)
    for_machines(made)


def prefetch(given: argparse.Namespace) -> int:
    """Bring what each list needs and say what it is; 1 when one failed."""
    from ..qatrack.lists import prefetch as run

    done = run(given.names, config=given.config)
    if given.json:
        say_json([vars(one) for one in done])
    else:
        origins = {True: "were there", False: "fetched", None: "there now"}
        rows = [
            (
                one.name,
                one.unit,
                "failed" if one.problem else origins[one.from_shelf],
                one.problem or f"{one.objects} objects in {one.seconds:.1f} s",
            )
            for one in done
        ]
        say_table(("list", "unit", "outcome", "what or why"), rows)
    return 1 if any(one.problem for one in done) else 0


def _add_names(made: argparse.ArgumentParser) -> None:
    made.add_argument("names", metavar="NAME", nargs="*", help="a list of [qatrack.lists] (default: all of them)")
    made.add_argument("--config", metavar="FILE", help="a configuration file instead of the one that is found")
