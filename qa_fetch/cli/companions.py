"""The commands around a data folder: ``dumps move``, ``dicomdir``, ``nifti`` and ``report-text``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import NotFound, QAFetchError
from .output import amount, command, complain, for_machines, on_one_line, progress, say_json

_DUMPS_EXAMPLE = """\
example:
  qa-fetch dumps move cohort/ --to info/    the CSV of each series, to info/sub-*/ses-*/
"""


def add_dumps(commands: Any) -> None:
    """``qa-fetch dumps`` and what is below it."""
    made: argparse.ArgumentParser = commands.add_parser(
        "dumps",
        help="the info CSVs of a data folder: move them out of it",
        description="The info CSVs of a data folder: move them out of it.",
        epilog=_DUMPS_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = made.add_subparsers(
        title="commands", metavar="COMMAND", dest="dumps_command", required=True, help="what to do with them"
    )
    move = command(
        below,
        "move",
        move_dumps,
        summary="move the CSV of each series into another folder, so that the data holds images only",
        example="  qa-fetch dumps move cohort/ --to info/",
    )
    move.add_argument("data", metavar="DATA", type=Path, help="the folder that holds the sub-* folders")
    move.add_argument("--to", metavar="INFO", type=Path, required=True, help="the folder of the CSVs; made if absent")
    for_machines(move)


def move_dumps(given: argparse.Namespace) -> int:
    """Say how many files were moved."""
    from ..batch.dumps import move_dumps as move

    moved = move(given.data, given.to)
    if given.json:
        say_json({"moved": moved})
    else:
        print(f"{len(moved)} CSV files moved to {on_one_line(given.to)}")
    return 0


def add_dicomdir(commands: Any) -> None:
    """``qa-fetch dicomdir``."""
    made = command(
        commands,
        "dicomdir",
        dicomdir,
        summary="copy DICOM objects under 8-character names, with a DICOMDIR, as for a CD",
        example="  qa-fetch dicomdir cohort/ --to cd/",
    )
    made.add_argument("folder", metavar="IN", type=Path, help="the folder with the DICOM files")
    made.add_argument("--to", metavar="OUT", type=Path, required=True, help="a folder that is absent or empty")
    for_machines(made)


def dicomdir(given: argparse.Namespace) -> int:
    """Say what is in it and what is not; 1 when a file claims to be an object and could not be taken."""
    from ..batch.dicomdir import create_dicomdir

    with progress("copying") as on_progress:
        made = create_dicomdir(given.folder, given.to, on_progress=on_progress)
    if given.json:
        say_json({**vars(made), "unreadable": list(made.unreadable.values())})
        return 1 if made.unreadable else 0
    _complain_of(made.unreadable.values())
    print(
        f"{made.objects} objects of {made.series} series, {made.studies} studies and {made.patients} patients "
        f"in {on_one_line(made.folder)}, {amount(made.size)}"
    )
    if made.repeated:
        print(f"{made.repeated} files hold the same object once more")
    if made.others:
        print(f"{made.others} files left out: not DICOM objects")
    return 1 if made.unreadable else 0


def add_nifti(commands: Any) -> None:
    """``qa-fetch nifti``."""
    made = command(
        commands,
        "nifti",
        nifti,
        summary="convert image series to NIfTI with dcm2niix, under names as BIDS has them",
        example="  qa-fetch nifti cohort/ --to nifti/",
    )
    made.add_argument("folder", metavar="IN", type=Path, help="the folder that holds the sub-* folders")
    made.add_argument("--to", metavar="OUT", type=Path, required=True, help="the folder of the results")
    for_machines(made)


def nifti(given: argparse.Namespace) -> int:
    """Say what became of the series; 1 when one of them could not be converted."""
    from ..batch.nifti import convert_to_nifti

    with progress("converting") as on_progress:
        converted = convert_to_nifti(given.folder, given.to, on_progress=on_progress)
    if given.json:
        say_json(vars(converted))
        return 1 if converted.failed else 0
    _complain_of(converted.failed.values())
    print(f"{len(converted.files)} series converted to {on_one_line(given.to)}, {len(converted.failed)} failed")
    if converted.present:
        print(f"{len(converted.present)} series had been converted before")
    if converted.left_out:
        print(f"{len(converted.left_out)} series left out: not images of a scanner")
    return 1 if converted.failed else 0


def add_report_text(commands: Any) -> None:
    """``qa-fetch report-text``."""
    made = command(
        commands,
        "report-text",
        report_text,
        summary="print the plain text of structured reports (SR), or write it into a folder",
        example="  qa-fetch report-text cohort/ --to texts/",
    )
    made.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="a report, or a folder with some")
    made.add_argument("--to", metavar="DIR", type=Path, help="write each text to DIR/<SOP Instance UID>.txt")
    made.add_argument(
        "--with-patient", action="store_true", help="name the patient, and show the items that say who the subject is"
    )


def report_text(given: argparse.Namespace) -> int:
    """Print or write the texts; 1 when a report could not be read."""
    return _print_texts(given) if given.to is None else _write_texts(given)


def _print_texts(given: argparse.Namespace) -> int:
    from ..batch.report_text import reports

    printed = failed = 0
    for report in reports(given.paths, with_patient=given.with_patient):
        if report.failure:
            failed += 1
            _complain_of([report.failure])
        elif report.text:
            print("\n" * bool(printed) + report.text, end="")
            printed += 1
    if not printed and not failed:
        raise NotFound("none of the files is a structured report. Name files of modality SR.")
    return 1 if failed else 0


def _write_texts(given: argparse.Namespace) -> int:
    from ..batch.report_text import write_reports

    with progress("reading") as on_progress:
        texts = write_reports(given.paths, given.to, with_patient=given.with_patient, on_progress=on_progress)
    _complain_of(texts.failed.values())
    print(f"{len(texts.written)} texts in {on_one_line(given.to)}, {texts.others} files left out: not reports")
    return 1 if texts.failed else 0


def _complain_of(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        complain(QAFetchError(sentence))
