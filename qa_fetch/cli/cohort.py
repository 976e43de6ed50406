"""The commands ``qa-fetch cohort``: from an archive and rules to images, masks, doses and pages of many patients."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Callable

from . import cohort_steps as steps
from .output import command, for_machines

_EXAMPLES = """\
example:
  qa-fetch cohort ids cohort.toml                       which patients the archive has
  qa-fetch cohort summarise cohort.toml                 what it has of each: PDCP's tables
  qa-fetch cohort verify cohort.toml                    who goes on, who does not and why; again in seconds
  qa-fetch cohort build cohort.toml                     images, structures, plans and doses, as NIfTI and masks
  qa-fetch cohort quarantine cohort.toml                those for whom a person has to choose
  qa-fetch cohort dvh cohort.toml --metric D95%         what the doses do to the regions
  qa-fetch cohort slices cohort.toml                    pictures
  qa-fetch cohort report cohort.toml                    pages to look at

CONFIG is a TOML file, or PDCP's codesconfig.json as it is. Each command goes on where it stopped.
Patients are named only in files, unless a command is about one patient or has --names.
"""


def add_cohort(commands: Any) -> None:
    """``qa-fetch cohort`` and what is below it."""
    made: argparse.ArgumentParser = commands.add_parser(
        "cohort",
        help="radiotherapy data of many patients that belong together, checked and explained (PDCP's job)",
        description="Radiotherapy data of many patients that belong together, checked and explained (PDCP's job).",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = made.add_subparsers(
        title="commands", metavar="COMMAND", dest="cohort_command", required=True, help="the steps, in their order"
    )
    _add(below, "ids", steps.ids, "ask the archive which patients it has", patients=False, workers=False)
    _add_summarise(below)
    _add(below, "verify", steps.verify, "decide by the rules who goes on, from the summaries alone", "--names")
    _add(below, "build", steps.build, "fetch what was chosen, and make volumes and masks of it", "--workers 4")
    _add_dvh(below)
    _add_slices(below)
    _add_export(below)
    _add_quarantine(below)
    _add_why(below)
    pages = "write a page for the cohort and one for each patient"
    _add(below, "report", steps.report, pages, names=False, patients=False, workers=False)
    _add_lock(below)
    _add_refresh(below)


def _add(
    below: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    example: str = "",
    *,
    names: bool = True,
    patients: bool = True,
    workers: bool = True,
    more: str = "",
    config: bool = True,
) -> argparse.ArgumentParser:
    """A step with the options that all have.

    Parameters
    ----------
    below
        Where it is added.
    name, run, summary
        Of the command.
    example
        Options of a second example.
    names, patients, workers
        Which of the common options it has.
    more
        Further examples.
    config
        Whether its last word is the configuration and nothing else is before it.
    """
    lines = [f"  qa-fetch cohort {name} cohort.toml{extra}" for extra in ("", f" {example}")[: 1 + bool(example)]]
    made = command(below, name, run, summary=summary, example="\n".join(lines if config else []) + more)
    if config:
        _config(made)
    if patients:
        made.add_argument(
            "--patients",
            metavar="FILE|IDS",
            help="only these: a file (one ID a line, or a column ids), or IDs with commas between",
        )
    if workers:
        made.add_argument("--workers", metavar="N", type=int, help="how many patients at a time")
    if names:
        made.add_argument("--names", action="store_true", help="name patients here too, and not only in the files")
    for_machines(made)
    return made


def _config(made: argparse.ArgumentParser) -> None:
    made.add_argument("config", metavar="CONFIG", type=Path, help="cohort.toml, or PDCP's codesconfig.json")


def _add_summarise(below: Any) -> None:
    made = _add(
        below,
        "summarise",
        steps.summarise,
        "write a table of all that the archive has of each patient; those that failed are tried again",
        "--patients 1,2,3",
    )
    made.add_argument("--again", action="store_true", help="also those that have a table")


def _add_dvh(below: Any) -> None:
    made = _add(
        below,
        "dvh",
        steps.dvh,
        "work out dose-volume histograms, metrics and constraints of everybody who was built",
        "--metric D95%[%Rx] --metric V20Gy[cc] --constraints lung.csv",
    )
    made.add_argument(
        "--metric", metavar="METRIC", action="append", default=[], help="such as D95%%, V20Gy[cc], D0.1cc"
    )
    made.add_argument("--constraints", metavar="FILE", type=Path, help="limits that are passed or failed: CSV or TOML")
    made.add_argument("--alpha-beta", metavar="GY", type=float, help="also as EQD2 with this alpha/beta")
    made.add_argument(
        "--prescription", metavar="GY", type=float, help="over all fractions of all plans, instead of what plans say"
    )


def _add_slices(below: Any) -> None:
    made = _add(
        below,
        "slices",
        steps.slices,
        "draw the central slices of every region, and three planes through the target with contours and dose",
        "--axes xyz",
    )
    made.add_argument("--axes", metavar="AXES", default="z", help="along which axes slices are drawn (default: z)")


def _add_export(below: Any) -> None:
    made = _add(
        below,
        "export",
        steps.export,
        "write each patient as one file for numpy (.npz) or MATLAB (.mat)",
        "--npz",
    )
    made.add_argument("--npz", action="store_true", help="as .npz into picklefiles")
    made.add_argument("--matlab", action="store_true", help="as .mat into matlabfiles")


def _add_quarantine(below: Any) -> None:
    made = _add(
        below,
        "quarantine",
        steps.quarantine,
        "build all that a person has to choose from, list it, or choose",
        more="  qa-fetch cohort quarantine cohort.toml\n"
        "  qa-fetch cohort quarantine list cohort.toml --names\n"
        "  qa-fetch cohort quarantine choose 123456789 0 cohort.toml",
        config=False,
    )
    made.usage = "qa-fetch cohort quarantine [list | choose PATIENT INDEX] CONFIG [options]"
    made.add_argument(
        "words",
        metavar="CONFIG",
        nargs="+",
        help="cohort.toml or PDCP's codesconfig.json; before it list, or choose with a patient's ID and an index",
    )


def _add_why(below: Any) -> None:
    made = command(
        below,
        "why",
        steps.why,
        summary="say why an object of a patient counts or not, or what became of the patient",
        example="  qa-fetch cohort why 123456789 1.2.840.1.5 cohort.toml\n  qa-fetch cohort why 123456789 cohort.toml",
    )
    made.add_argument("patient", metavar="PATIENT", help="the ID")
    made.add_argument("uid", metavar="UID", nargs="?", help="of a series, or of an object")
    _config(made)
    for_machines(made)


def _add_lock(below: Any) -> None:
    made = _add(
        below,
        "lock",
        steps.lock,
        "write down every file, rule and version of the cohort, or check it against that",
        "--check",
        names=False,
        patients=False,
        workers=False,
    )
    made.add_argument("--check", action="store_true", help="see whether everything is as it was locked")
    made.add_argument("--again", action="store_true", help="lock a cohort that is locked already")


def _add_refresh(below: Any) -> None:
    made = _add(
        below,
        "refresh",
        steps.refresh,
        "see what has changed in the archive, and summarise those patients anew",
        patients=False,
    )
    made.add_argument("--unlock", action="store_true", help="also where the cohort is locked")
