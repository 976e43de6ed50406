"""The commands ``pseudonyms`` and ``karnak-tag``: codes for a project's patients, and objects that carry them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ConfigError, QAFetchError
from .output import command, complain, for_machines, on_one_line, progress, say_json

_FIRST = 10  # rows that a sentence names


def add_pseudonyms(commands: Any) -> None:
    """``qa-fetch pseudonyms``."""
    made = command(
        commands,
        "pseudonyms",
        pseudonyms,
        summary="get the codes of a project's patients, from a De-ID service or from a list",
        example="  qa-fetch pseudonyms cohort.csv --project TRIAL17 --config deid.json --to keys/ --shift-days\n"
        "  qa-fetch pseudonyms cohort.csv --project TRIAL17 --custom codes.csv --to keys/",
    )
    made.add_argument(
        "queryfile", metavar="QUERY.csv", type=Path, help="its column PatientID names the patients; also .xlsx"
    )
    made.add_argument("--project", metavar="P", required=True, help="the project, as the service knows it")
    whence = made.add_mutually_exclusive_group(required=True)
    whence.add_argument(
        "--config", metavar="FILE", type=Path, help="JSON with deid_URL, and deid_token or deid_token_env; also ca_file"
    )
    whence.add_argument(
        "--custom", metavar="CODES.csv", type=Path, help="no service, but this list of two columns: old ID, new code"
    )
    made.add_argument(
        "--to", metavar="DIR", type=Path, required=True, help="the folder of new_ids_P.json and day_shift_P.json"
    )
    made.add_argument(
        "--shift-days",
        action="store_true",
        help="day shifts too: the service's, or with --custom drawn from 1 to 30 days in either direction",
    )
    for_machines(made)


def pseudonyms(given: argparse.Namespace) -> int:
    """Say which files were written."""
    from ..anonymise.deid import DeidService
    from ..anonymise.pseudonyms import custom_pseudonyms
    from ..anonymise.pseudonyms import pseudonyms as ask

    how = {"to": given.to, "shift_days": given.shift_days}
    if given.config is not None:
        service = DeidService.load(given.config)
        made = ask(_patients(given.queryfile), given.project, service=service, **how)
    else:
        made = custom_pseudonyms(_patients(given.queryfile), given.project, codes=given.custom, **how)
    if given.json:
        say_json(vars(made))
        return 0
    print(f"codes of {made.patients} patients in {on_one_line(made.new_ids)}")
    if made.day_shift is not None:
        print(f"their day shifts in {on_one_line(made.day_shift)}")
    return 0


def _patients(queryfile: Path) -> list[str]:
    """The PatientIDs of a query file; ConfigError where a row does not name exactly one patient."""
    from ..batch.queryfile import read

    rows = read(queryfile)
    found = [str(row.keys.get("PatientID", "")) for row in rows]
    vague = [f"row {row.number} (line {row.line})" for row, one in zip(rows, found) if not one or set(one) & set("*?")]
    if vague:
        more = f" and {len(vague) - _FIRST} more" if len(vague) > _FIRST else ""
        raise ConfigError(
            f"{queryfile} does not name one patient in {', '.join(vague[:_FIRST])}{more}. "
            "Write a whole PatientID there, without * and ?."
        )
    return found


def add_karnak_tag(commands: Any) -> None:
    """``qa-fetch karnak-tag``."""
    made = command(
        commands,
        "karnak-tag",
        karnak_tag,
        summary="write code, album and day shift into DICOM objects, for the Karnak gateway to anonymise them by",
        example="  qa-fetch karnak-tag cohort/ --to tagged/ --new-ids keys/new_ids_TRIAL17.json --album TRIAL17\n"
        "  qa-fetch karnak-tag cohort/ --in-place --new-ids ids.json --album TRIAL17 --shifts day_shift.json",
    )
    made.add_argument("folder", metavar="IN", type=Path, help="the folder with the DICOM files")
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", metavar="OUT", type=Path, help="the folder of the new files; made if absent")
    where.add_argument("--in-place", action="store_true", help="replace each file by its new one instead")
    made.add_argument(
        "--new-ids", metavar="FILE", type=Path, required=True, help="the codes: a new_ids.json, or a text with one code"
    )
    made.add_argument("--album", metavar="NAME", required=True, help="the album of Kheops that the objects go to")
    made.add_argument(
        "--shifts", metavar="FILE", type=Path, help="the day shifts: a day_shift_P.json or a date_offsets.csv"
    )
    for_machines(made)


def karnak_tag(given: argparse.Namespace) -> int:
    """Say how many objects have the block; 1 when one of them could not be given it."""
    from ..anonymise.karnak import tag

    with progress("tagging") as on_progress:
        done = tag(
            given.folder,
            given.to,
            in_place=given.in_place,
            new_ids=given.new_ids,
            album_name=given.album,
            shifts=given.shifts,
            on_progress=on_progress,
        )
    if given.json:
        say_json({**vars(done), "failed": list(done.failed.values())})
        return 1 if done.failed else 0
    for sentence in done.failed.values():
        complain(QAFetchError(sentence))
    print(f"{done.files} objects of {done.patients} patients tagged, {len(done.failed)} failed")
    if done.others:
        print(f"{done.others} files left out: not DICOM objects, or links")
    return 1 if done.failed else 0
