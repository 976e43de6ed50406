"""Commands that move objects: ``fetch`` and ``send``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import kinds
from ..archive import Archive, Images
from ..errors import ConfigError
from .anonymising import add_anonymising, anonymiser_of, as_the_peer_wants, say_warnings, sent
from .archives import add_archive, archive_of
from .output import command, complain, for_machines, progress, say_facts, say_json, say_table
from .uids import add_uids, uids_of

# Seconds: a person at a terminal who fetches a whole patient would rather wait than call again.
_PATIENCE = 600.0


def add_fetch(commands: Any) -> None:
    """``qa-fetch fetch``."""
    made = command(
        commands,
        "fetch",
        fetch,
        summary="bring images, plans or whole patients into a folder",
        example="  qa-fetch fetch aria --patient QA_TB1 --plan WL_6X --kind portal --before 2025-11-03 --to wl/\n"
        "  qa-fetch fetch pacs --series 1.2.840.113619.2.1 --to series/",
    )
    add_archive(made, budget=_PATIENCE)
    made.add_argument("--to", metavar="DIR", required=True, help="a new or empty folder for the files")
    by_uid = made.add_argument_group("by UID (each may be given several times)")
    by_uid.add_argument("--study", metavar="UID", action="append", help="everything of this study")
    by_uid.add_argument("--series", metavar="UID", action="append", help="everything of this series")
    by_uid.add_argument("--instance", metavar="UID", action="append", help="this object")
    of_patient = made.add_argument_group("the newest session of a patient")
    of_patient.add_argument("--patient", metavar="ID", help="the PatientID, exactly as the archive has it")
    of_patient.add_argument("--plan", metavar="LABEL", help="an RTPlanLabel or a plan's UID")
    of_patient.add_argument("--kind", default=None, help=f"portal unless given: {', '.join(kinds.names())}")
    of_patient.add_argument("--on", metavar="DATE", help="acquired on this day, such as 2025-11-03")
    of_patient.add_argument("--before", metavar="WHEN", help='begun before this, such as "2025-11-03 14:30"')
    of_patient.add_argument("--after", metavar="WHEN", help="begun at or after this")
    of_patient.add_argument("--at-least", metavar="N", type=int, help="fewer images are an error")
    of_patient.add_argument("--session", choices=("series", "day"), help="what belongs together (default: series)")
    of_patient.add_argument("--pick", choices=("newest",), help="which plan, when several have the label")
    of_patient.add_argument("--approved", action="store_true", help="only plans whose status is APPROVED")
    of_patient.add_argument("--wait", action="store_true", help="until the session is complete, or the budget ends")
    of_patient.add_argument("--everything", action="store_true", help="all that the archive has of the patient")
    for_machines(made)


def fetch(given: argparse.Namespace) -> int:
    """Fetch and copy into the folder; say what it is."""
    by_uid = bool(given.study or given.series or given.instance)
    if by_uid == bool(given.patient):
        raise ConfigError("say what to fetch: either --patient ID, or UIDs with --study, --series or --instance.")
    _refuse_what_does_not_apply(given, by_uid)
    with progress("fetching") as on_progress:
        images = _fetched(given, archive_of(given, on_progress), by_uid)
    files = images.copy(given.to)
    plan = str(images.plan) if images.plan is not None else None
    if given.json:
        say_json(
            {
                "folder": Path(given.to),
                "files": files,
                "uids": images.uids,
                "series": images.series,
                "acquired": images.acquired,
                "plan": plan,
                "from_shelf": images.from_shelf,
            }
        )
        return 0
    facts: dict[str, object] = {"files": f"{len(files)} in {given.to}"}
    if images.acquired is not None:
        facts["acquired"] = f"{images.acquired:%Y-%m-%d %H:%M:%S}"
    if plan is not None:
        facts["plan"] = plan
    facts["came from"] = "the shelf" if images.from_shelf else "the archive"
    say_facts(facts)
    return 0


def _refuse_what_does_not_apply(given: argparse.Namespace, by_uid: bool) -> None:
    """An option that would be passed over in silence, such as --at-least beside --series, is wrong use."""
    choosing = ("plan", "kind", "on", "before", "after", "at_least", "session", "pick", "approved", "wait")
    useless = [name for name in choosing if getattr(given, name)] if by_uid or given.everything else []
    useless += ["everything"] if by_uid and given.everything else []
    if useless:
        option = useless[0].replace("_", "-")
        raise ConfigError(f"--{option} chooses a session of a patient; leave it out with UIDs or --everything.")


def _fetched(given: argparse.Namespace, archive: Archive, by_uid: bool) -> Images:
    if by_uid:
        return archive.fetch(study=given.study, series=given.series, instance=given.instance)
    if given.everything:
        return archive.patient(given.patient)
    return archive.latest(
        given.patient,
        plan=given.plan,
        kind=given.kind or "portal",
        on=given.on,
        before=given.before,
        after=given.after,
        at_least=1 if given.at_least is None else given.at_least,
        session=given.session or "series",
        pick=given.pick,
        approved=given.approved or None,
        wait=given.wait,
    )


def add_send(commands: Any) -> None:
    """``qa-fetch send``."""
    made = command(
        commands,
        "send",
        send,
        summary="send files, or folders of files, to an archive; or what a node of ours holds",
        example="  qa-fetch send pacs plan.dcm images/\n  qa-fetch send pacs --node store/ --study 1.2.840.113619.2.1\n"
        "  qa-fetch send trial cohort/ --anonymise trial17.key --profile research-rt",
    )
    add_archive(made)
    paths = made.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a DICOM file, or a folder of them")
    paths.required = False  # with "*" argparse would take none as soon as an option stands before them
    add_uids(made, "out of the node of --node: ")
    made.add_argument("--commit", action="store_true", help="have the archive vouch for them (storage commitment)")
    add_anonymising(made, "send the objects anonymised instead, of what these files alone say of their patients,")
    for_machines(made)


def _of_the_node(given: argparse.Namespace) -> list[Path]:
    """The files of what is to be sent out of our own node."""
    wanted = uids_of(given)
    if not wanted:
        return []
    if given.node is None:
        raise ConfigError("UIDs are sent out of a node of ours. Name its folder with --node, or name files.")
    from ..node import own
    from ..node.settings import load

    return own.files(load(given.node), wanted)


def send(given: argparse.Namespace) -> int:
    """Send and account for each file; 1 when one was not taken."""
    archive = archive_of(given)
    paths = [*(given.paths or ()), *_of_the_node(given)]
    if not paths:
        raise ConfigError("say what to send: files or folders, or with --node what that node holds, by UID.")
    anonymiser = anonymiser_of(given) or as_the_peer_wants(given.archive, given.node)
    outcome, errors = sent(archive, paths, given.commit, anonymiser)
    if given.json:
        say_json([vars(one) for one in outcome])
    elif errors:
        say_table(("not sent", "why"), [(one.path, one.problem) for one in outcome if one.problem])
        for error in errors:
            complain(error)
    else:
        print(f"{len(outcome)} sent to {archive.name}" + (", which commits to them" if given.commit else ""))
    if not given.json:
        say_warnings(outcome)
    return 1 if errors else 0
