"""The command ``move``: have one archive send to another."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ..archive.moving import Moved
from ..errors import ConfigError, Incomplete
from ..errors.words import in_words
from .archives import add_archive, archive_of, named
from .output import command, complain, for_machines, progress, say_json, say_table
from .uids import add_uids, uids_of


def add_move(commands: Any) -> None:
    """``qa-fetch move``."""
    made = command(
        commands,
        "move",
        move,
        summary="have an archive send to another one, which it knows by its AE title (C-MOVE)",
        example="  qa-fetch move pacs --to-aet PACS2 --study 1.2.840.113619.2.1\n"
        "  qa-fetch move pacs --to-aet PACS2 --uids studies.csv --missing-only pacs2",
    )
    add_archive(made)
    made.add_argument("--to-aet", metavar="AET", required=True, help="where ARCHIVE is to send: an AE title it knows")
    add_uids(made)
    made.add_argument(
        "--missing-only",
        metavar="DESTINATION",
        help="ask this archive, the destination, what it has: only the rest is moved, and then looked for there",
    )
    for_machines(made)


def move(given: argparse.Namespace) -> int:
    """Print a line for each item with its status in words; 1 when one did not arrive as a whole."""
    wanted = uids_of(given)
    if not wanted:
        raise ConfigError("say what to move: --patient ID, --study, --series or --instance UID, or --uids FILE.csv.")
    other = named(given.missing_only, given) if given.missing_only is not None else None
    problem = None
    with progress("moving") as on_progress:
        try:
            outcome: list[Moved] = archive_of(given, on_progress).move(
                given.to_aet,
                patient=wanted.get("PATIENT"),
                study=wanted.get("STUDY"),
                series=wanted.get("SERIES"),
                instance=wanted.get("IMAGE"),
                missing_only=other,
            )
        except Incomplete as error:
            outcome, problem = getattr(error, "outcome", []), error
    if given.json:
        say_json([{**asdict(moved), "says": _status(moved)} for moved in outcome])
        return 1 if problem else 0
    rows = [(moved.level, moved.uid, f"{moved.sent} of {moved.objects}", _status(moved)) for moved in outcome]
    say_table(("level", "UID", "sent", "status"), rows)
    for uid in [uid for moved in outcome for uid in moved.missing]:
        print(f"not there: {uid}")
    done, sent = sum(not moved.problem for moved in outcome), sum(moved.sent for moved in outcome)
    print(f"{done} of {len(outcome)} moved to {given.to_aet}, {sent} object{'s' * (sent != 1)}")
    if problem is not None:
        complain(problem)
    return 1 if problem else 0


def _status(moved: Moved) -> str:
    """The last status in words; nothing was asked where there was nothing to send."""
    if moved.absent:
        return "not found"
    if moved.status is None and not moved.problem:
        return "all there already"
    return in_words(moved.status)
