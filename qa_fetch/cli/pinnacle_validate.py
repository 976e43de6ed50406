"""The command ``qa-fetch pinnacle validate``: whether somebody else converts an archive to the same."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Incomplete
from .output import command, complain, for_machines, progress, say_facts, say_json, say_table

if TYPE_CHECKING:
    from ..pinnacle.validating import Validation

_PAGE = "validation.html"


def add_validate(commands: Any) -> None:
    """``qa-fetch pinnacle validate``."""
    made = command(
        commands,
        "validate",
        validate,
        summary="compare our conversion of an archive with a second engine's, or with the planning system's own export",
        example="  qa-fetch pinnacle validate 12345678.tar --to validation.html\n"
        "  qa-fetch pinnacle validate 12345678.tar --reference exported/ --plan PROSTATE",
    )
    made.add_argument("archive", metavar="TAR", type=Path, help="a tar (.tar, .tar.gz) or an unpacked archive")
    made.add_argument(
        "--reference", metavar="DIR", type=Path, help="what the planning system exported of it, instead of an engine"
    )
    made.add_argument(
        "--engine", choices=("pymedphys",), default="pymedphys", help="the second engine (default: pymedphys)"
    )
    made.add_argument(
        "--to", metavar="HTML", type=Path, default=Path(_PAGE), help=f"the report, a page (default: {_PAGE})"
    )
    add_what(made)
    for_machines(made)


def add_what(made: argparse.ArgumentParser) -> None:
    """The options that say what of an archive is converted."""
    made.add_argument("--patient", metavar="ID", help="one of several patients: its number, or its folder")
    made.add_argument("--plan", metavar="NAME", help="only this plan: its name or its number (default: all)")
    made.add_argument("--trial", metavar="NAME", help="only this trial: its name or its number (default: all)")
    made.add_argument(
        "--mu",
        choices=("agree", "formula", "grid"),
        default="agree",
        help="take monitor units only where formula and dose grid agree, or those of one of them (default: agree)",
    )


def validate(given: argparse.Namespace) -> int:
    """Compare, write the page, and say what came of each object; 1 when anything differs or was not compared."""
    from ..pinnacle.validating import validate as compared

    if given.to.is_dir():
        from ..errors import ConfigError

        raise ConfigError(f"{given.to} is a folder. Name a file for the report: --to {given.to / _PAGE}")
    with progress("comparing") as on_progress:
        found = compared(
            given.archive,
            reference=given.reference,
            engine=given.engine,
            patient=given.patient,
            plan=given.plan,
            trial=given.trial,
            mu=given.mu,
            on_progress=on_progress,
        )
    found.write(given.to)
    if given.json:
        say_json({**found.to_json(), "report": str(given.to)})
    else:
        _say(found, given.to)
    return found.exit_code


def _say(found: Validation, page: Path) -> None:
    rows = [
        (
            each.what,
            each.verdict,
            f"{len(each.differing)} of {len(each.lines)}" if each.lines else "",
            "; ".join(f"{name} {value}" for name, value in each.figures) or "; ".join(each.notes),
        )
        for each in found.comparisons
    ]
    say_table(("object", "verdict", "values that differ", "figures"), rows, title=f"compared with {found.other}")
    counted = found.counted()
    say_facts({"verdict": found.verdict, **{name: str(count) for name, count in counted.items()}, "report": page})
    if found.exit_code:
        complain(
            Incomplete(
                f"{found.archive} does not agree in everything with {found.other}. "
                f"The report says what differs and where that is known of the other side: {page}"
            )
        )
