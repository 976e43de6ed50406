"""The command ``qa-fetch anonymise``: a folder of patients in, a folder of codes out."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from ..errors import ConfigError, Incomplete
from .anonymising import say_new_key
from .output import amount, command, complain, for_machines, progress, say_facts, say_json, say_table

if TYPE_CHECKING:
    from ..anonymise.audit import Anonymised
    from ..anonymise.verifying import Verified

_WHAT = {"DICOMDIR": "DICOMDIR: make a new one of the output with qa-fetch dicomdir"}
_MOST = 20  # findings that a terminal shows


def add_anonymise(commands: Any) -> None:
    """``qa-fetch anonymise``."""
    made = command(
        commands,
        "anonymise",
        anonymise,
        summary="take out of DICOM objects who they are of, so that plans, contours, doses and references stay intact",
        example="  qa-fetch anonymise cohort/ --to anon/ --key trial17.key --profile research-rt --dry-run\n"
        "  qa-fetch anonymise cohort/ --to anon/ --key trial17.key --profile research-rt --workers 4 --verify\n"
        "  qa-fetch anonymise cohort/ --in-place --key trial17.key --new-ids new_ids.json\n"
        "  qa-fetch anonymise anon/ --verify --key trial17.key --profile research-rt",
    )
    made.add_argument("folder", metavar="IN", type=Path, help="the folder; all below it is looked at")
    made.add_argument("--to", metavar="OUT", type=Path, help="the output folder; a run goes on where one stopped there")
    made.add_argument(
        "--in-place", action="store_true", help="let the new files take the place of the originals, which are removed"
    )
    made.add_argument("--dry-run", action="store_true", help="only say what would be done to each attribute")
    made.add_argument("--verify", action="store_true", help="look at the output again; alone: at IN")
    how = made.add_argument_group("how it is done")
    how.add_argument(
        "--key", metavar="FILE", type=Path, required=True, help="the secret that makes codes and UIDs; made if absent"
    )
    how.add_argument(
        "--profile",
        metavar="PROFILE",
        default="basic",
        help="basic, research-rt (dates shifted, --fuzz_acq_dates of PACSMAN), or a TOML file (default: basic)",
    )
    how.add_argument("--new-ids", metavar="FILE", type=Path, help="the patients' codes: new_ids.json or new_id.txt")
    how.add_argument("--offsets", metavar="FILE", type=Path, help="the patients' day shifts: date_offsets.csv")
    how.add_argument("--ids", metavar="DIR", type=Path, help="where who is who is kept (default: beside the key)")
    how.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")
    held = made.add_argument_group("objects that show or hold who somebody is (screen saves, reports, burned-in names)")
    held.add_argument("--delete-identifiable", action="store_true", help="leave them out; in place: delete them")
    held.add_argument(
        "--quarantine", action="store_true", help="keep them beside the key (in place that is so without it)"
    )
    for_machines(made)


def anonymise(given: argparse.Namespace) -> int:
    """Anonymise, and look at it again; 1 when a file failed or something was found."""
    if given.delete_identifiable and given.quarantine:
        raise ConfigError("--delete-identifiable and --quarantine exclude each other. Leave one of them out.")
    if given.dry_run:
        return _dry_run(given)
    if given.verify and given.to is None and not given.in_place:
        return _say_verified(_verified(given, given.folder), given.json)
    from ..anonymise.anonymiser import Anonymiser, ids_of
    from ..anonymise.folder import check

    if given.to is None and not given.in_place:
        raise ConfigError("say where the output goes: --to OUT, or --in-place.")
    key = given.key.absolute()
    check(given.folder, given.to, key, ids_of(key, given.ids), in_place=given.in_place, workers=given.workers)
    anonymiser = Anonymiser(given.key, given.profile, **_identities(given))
    say_new_key(anonymiser)
    with _bar() as on_progress:
        done = anonymiser.folder(
            given.folder,
            given.to,
            in_place=given.in_place,
            held="drop" if given.delete_identifiable else "quarantine" if given.quarantine else None,
            workers=given.workers,
            on_progress=on_progress,
        )
    verified = _verified(given, given.to or given.folder) if given.verify and done.done else None
    if given.json:
        found = {"verified": _as_json(verified)} if verified else {}
        say_json({**done.as_json(), "output": done.output, "audit": done.audit, **found})
        return max(done.exit_code, verified.exit_code if verified else 0)
    _say(done)
    return max(done.exit_code, _say_verified(verified, as_json=False) if verified else 0)


def _identities(given: argparse.Namespace) -> dict[str, Any]:
    return {"new_ids": given.new_ids, "offsets": given.offsets, "ids": given.ids}


def _dry_run(given: argparse.Namespace) -> int:
    """What would be done; without a key a passing one will do, since no value is shown."""
    from ..anonymise.anonymiser import Anonymiser

    with tempfile.TemporaryDirectory() as passing:
        key = given.key if given.key.exists() else Path(passing, "dry-run.key")
        anonymiser = Anonymiser(key, given.profile, **_identities(given))
        with _bar() as on_progress:
            done = anonymiser.folder(
                given.folder, given.to, in_place=given.in_place, dry_run=True, on_progress=on_progress
            )
    if given.json:
        say_json(done.as_json())
        return done.exit_code
    say_table(("attribute", "tag", "action", "files"), done.table())
    _say_left(done)
    say_facts({"would be written": done.done, "would fail": done.failed, "warnings": done.warnings})
    return done.exit_code


def _say(done: Anonymised) -> None:
    """What was done, in numbers; names of files are in the report beside the key."""
    _say_left(done)
    say_facts(
        {
            "anonymised": f"{done.done} files ({done.already} of them before), {amount(done.bytes)}",
            "failed": done.failed,
            "not done": done.waiting,
            "warnings (names in text, objects of two patients)": done.warnings,
            "output": done.output,
            "report": f"{done.audit} (names the originals: keep it beside the key)",
        }
    )
    if done.empty_folders:
        complain(Incomplete(f"{done.empty_folders} folders were empty before and keep their names. Remove them."))
    if done.failed:
        complain(Incomplete(f"{done.failed} files failed. The file private.csv in the folder of the report says why."))
    if done.stopped:
        complain(Incomplete(f"{done.stopped.rstrip('.')}. Run the same command again to go on."))


def _say_left(done: Anonymised) -> None:
    rows = [("held back", why, count) for why, count in done.held.most_common()]
    rows += [("left out", _WHAT.get(what, what), count) for what, count in done.left.most_common()]
    if rows:
        say_table(("not passed on", "why", "files"), rows)


def _verified(given: argparse.Namespace, folder: Path) -> Verified:
    from ..anonymise.verifying import verify

    with progress("verifying") as on_progress:
        return verify(folder, given.key, profile=given.profile, ids=given.ids, on_progress=on_progress)


def _as_json(verified: Verified) -> dict[str, Any]:
    return {
        "files": verified.files,
        "dangling": verified.dangling,
        "findings": [finding._asdict() for finding in verified.findings],
    }


def _say_verified(verified: Verified, as_json: bool) -> int:
    if as_json:
        say_json(_as_json(verified))
        return verified.exit_code
    if verified.findings:
        say_table(("file", "finding"), verified.findings[:_MOST])
        say_table(("finding", "files"), verified.counted().most_common())
    say_facts(
        {
            "verified": f"{verified.files} files",
            "findings": len(verified.findings),
            "references out of the folder": verified.dangling,
        }
    )
    return verified.exit_code


@contextlib.contextmanager
def _bar() -> Iterator[Optional[Callable[[Any], None]]]:
    """A bar on standard error; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("learning", total=None, text="")

        def show(now: Any) -> None:
            left = "" if now.left is None else f", {now.left:.0f} s left"
            failed = f", {now.failed} failed" if now.failed else ""
            text = f"{amount(now.rate)}/s{left}{failed}"
            bar.update(task, completed=now.done + now.failed, total=now.total, description=now.says, text=text)

        yield show
