"""The commands ``qa-fetch pinnacle``: what archives of the planning system hold, and all of it as DICOM."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..errors import Incomplete
from .output import command, complain, for_machines, on_one_line, progress, say_facts, say_json, say_table
from .pinnacle_migrate import add_migrate
from .pinnacle_validate import add_validate, add_what

if TYPE_CHECKING:
    from ..pinnacle import Converted, Listed, Report
    from ..pinnacle.making import Left

_EXAMPLES = """\
example:
  qa-fetch pinnacle list tars/                          patients, plans and trials of every archive in a folder
  qa-fetch pinnacle export 12345678.tar --to dicom/     all of it as DICOM, with a report beside it
"""
_REFUSED = "links, devices, names that lead out of the archive, or files that are not whole or there twice"


def add_pinnacle(commands: Any) -> None:
    """``qa-fetch pinnacle`` and what is below it."""
    made: argparse.ArgumentParser = commands.add_parser(
        "pinnacle",
        help="archives of the planning system Pinnacle: list them, convert them to DICOM",
        description="Archives of the planning system Pinnacle: list them, convert them to DICOM.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = made.add_subparsers(
        title="commands", metavar="COMMAND", dest="pinnacle_command", required=True, help="what to do with them"
    )
    add_list(below)
    add_export(below)
    add_migrate(below)
    add_validate(below)


def add_list(commands: Any) -> None:
    """``qa-fetch pinnacle list``."""
    made = command(
        commands,
        "list",
        list_archives,
        summary="show patients, image sets, plans and trials of archives, without unpacking or converting them",
        example="  qa-fetch pinnacle list 12345678.tar",
    )
    made.add_argument(
        "archive", metavar="TAR|DIR", type=Path, help="a tar (.tar, .tar.gz), a folder of tars, or an unpacked archive"
    )
    for_machines(made)


def list_archives(given: argparse.Namespace) -> int:
    """Print what archives hold, names included; 1 when something could not be read."""
    from ..pinnacle import listing

    listed = list(listing(given.archive))
    if given.json:
        say_json([each.to_json() for each in listed])
    else:
        _say_listed(listed)
    return 0 if all(each.complete for each in listed) else 1


def _say_listed(listed: list[Listed]) -> None:
    found = [(each, patient) for each in listed for patient in each.patients]
    plans = [
        (
            each.archive,
            *_who(patient.patient),
            plan.entry.number,
            plan.entry.name or "",
            plan.entry.version or "",
            plan.entry.written or "",
            "" if plan.entry.image_set is None else plan.entry.image_set,
            ", ".join(name or "?" for name in plan.trials),
        )
        for each, patient in found
        for plan in patient.plans
    ]
    sets = [
        (each.archive, *_who(patient.patient)[:1], *map(_text, (one.number, one.modality, one.images, one.scanned)))
        for each, patient in found
        for one in patient.image_sets
    ]
    if plans:
        columns = ("archive", "patient", "name", "birth date", "plan", "plan name", "version", "written", "image set")
        say_table((*columns, "trials"), plans)
    if sets:
        say_table(("archive", "patient", "image set", "modality", "images", "scanned"), sets)
    problems = [
        *((each.archive, each.problem) for each in listed if each.problem),
        *((each.archive, f"{each.refused} members are not read: {_REFUSED}") for each in listed if each.refused),
        *((f"{e.archive}, {d.path}", d.problem) for e, patient in found for d in patient.damages),
        *((f"{e.archive}, plan {p.entry.number}", p.problem) for e, q in found for p in q.plans if p.problem),
    ]
    if problems:
        say_table(("where", "what could not be read"), problems)
    print(f"{len(found)} patients, {len(plans)} plans in {len(listed)} archives")


def _who(patient: Any) -> tuple[str, str, str]:
    """The number of a patient or its folder, the name and the date of birth."""
    names = " ".join(filter(None, (patient.first_name, patient.middle_name, patient.last_name)))
    return patient.medical_record_number or patient.folder, names, patient.birth_date or ""


def _text(value: Optional[object]) -> object:
    return "" if value is None else value


def add_export(commands: Any) -> None:
    """``qa-fetch pinnacle export``."""
    made = command(
        commands,
        "export",
        export,
        summary="convert an archive to DICOM: images, and every plan and trial, with a report of what was left out",
        example="  qa-fetch pinnacle export 12345678.tar --to dicom/\n"
        "  qa-fetch pinnacle export 12345678.tar --to dicom/ --plan PROSTATE --trial 0 --mu formula",
    )
    made.add_argument("archive", metavar="TAR", type=Path, help="a tar (.tar, .tar.gz) or an unpacked archive")
    made.add_argument(
        "--to", metavar="DIR", type=Path, required=True, help="the output folder; each patient gets a folder in it"
    )
    add_what(made)
    for_machines(made)


def export(given: argparse.Namespace) -> int:
    """Convert an archive, and say what is there and what is not; 1 when something was left out."""
    from ..pinnacle import export as converted

    with progress("converting") as on_progress:
        report = converted(
            given.archive,
            given.to,
            patient=given.patient,
            plan=given.plan,
            trial=given.trial,
            mu=given.mu,
            on_progress=on_progress,
        )
    if given.json:
        say_json(report.to_json())
    else:
        _say(report)
    return report.exit_code


def _say(report: Report) -> None:
    for patient in report.patients:
        _say_patient(patient)
    refused = max((len(patient.origin.refused) for patient in report.patients), default=0)
    say_facts(
        {
            "written": f"{len(report.written)} objects of {len(report.patients)} patients",
            "left out": len(report.skipped),
            "warnings": len(report.warnings),
            **({"members not read": f"{refused}: {_REFUSED}"} if refused else {}),
        }
    )
    if not report.complete:
        complain(Incomplete(f"{report.archive} was not converted completely. What is missing is named above."))


def _say_patient(patient: Converted) -> None:
    kinds = Counter(
        (
            _named(each.plan, each.plan_name) if each.plan is not None else "",
            _named(each.trial, each.trial_name) if each.trial is not None else "",
            each.modality,
        )
        for each in patient.written
    )
    print(on_one_line(f"{patient.medical_record_number or patient.source}: {patient.folder or 'nothing written'}"))
    if kinds:
        say_table(("plan", "trial", "modality", "objects"), [(*kind, count) for kind, count in kinds.items()])
    if patient.skipped:
        say_table(("not written", "why"), _by_reason(patient.skipped))
    if patient.warnings:
        say_table(("warning", "what to know"), _by_reason(patient.warnings))
    if patient.damages:
        say_table(("damaged file", "what is wrong"), [(damage.path, damage.problem) for damage in patient.damages])


def _by_reason(lefts: Iterable[Left]) -> list[tuple[str, str]]:
    """A row for each reason: what is true of each beam of each trial is said once; the report names them all."""
    found: dict[str, list[str]] = {}
    for left in lefts:
        found.setdefault(left.reason, []).append(left.what)
    return [
        (whats[0] if len(whats) == 1 else f"{whats[0]}, and {len(whats) - 1} more", reason)
        for reason, whats in found.items()
    ]


def _named(number: int, name: Optional[str]) -> str:
    return f"{number}: {name}" if name else str(number)
