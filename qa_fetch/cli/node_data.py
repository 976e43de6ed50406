"""Commands about what a node holds: ``statistics``, ``data`` and ``database``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .anonymising import as_the_peer_wants, say_warnings, sent
from .archives import as_the_node, key, plain_row, say_rows
from .output import amount, command, complain, for_machines, moment, progress, say_json, say_table

if TYPE_CHECKING:
    from ..node import NodeOptions
    from ..node.upkeep import Report

_FORGETS = "and forgets the accounts, tokens and annotations in it, and when and from whom each object came"
_DESTROYS = {
    "drop": f"takes the index away, {_FORGETS}",
    "clean": f"empties the index, {_FORGETS}",
}


def add_folder(made: argparse.ArgumentParser) -> None:
    """The folder of a node, as a place."""
    made.add_argument("node", metavar="DIR", nargs="?", default=".", help="the node's folder (default: this one)")


def add_node_option(made: argparse.ArgumentParser) -> None:
    """The folder of a node, as an option."""
    made.add_argument("--node", metavar="DIR", default=".", help="the node's folder (default: this one)")


def options_of(given: argparse.Namespace) -> NodeOptions:
    """The options of the node that is named."""
    from ..node.settings import load

    return load(given.node)


@contextlib.contextmanager
def opened(given: argparse.Namespace) -> Iterator[None]:
    """A block in which the index of the node is open."""
    from ..node import index

    with index.opened(options_of(given)):
        yield


def add_statistics(commands: Any) -> None:
    """``qa-fetch node statistics``."""
    made = command(
        commands,
        "statistics",
        statistics,
        summary="what a node holds by modality and source, how quickly it came, and how it grows",
        example="  qa-fetch node statistics store/ --by hour",
    )
    add_folder(made)
    made.add_argument("--by", choices=("hour", "day"), default="day", help="the steps of the speed (default: day)")
    for_machines(made)


def statistics(given: argparse.Namespace) -> int:
    """Print a table for each."""
    with opened(given):
        from ..node.statistics import collect

        found = collect(given.by)
    if given.json:
        say_json(found.plain())
        return 0
    say_table(
        ("modality", "series", "objects", "size"),
        [(each.modality, each.series, each.objects, amount(each.bytes)) for each in found.modalities],
    )
    say_table(
        ("source", "objects", "size", "last"),
        [(each.source or "(files)", each.objects, amount(each.bytes), moment(each.last)) for each in found.sources],
    )
    form = "%Y-%m-%d %H:00" if given.by == "hour" else "%Y-%m-%d"
    say_table(
        (f"{given.by} (UTC)", "came", "MB/s", "objects/s"),
        [
            (
                f"{each.begins:{form}}",
                each.objects,
                f"{each.megabytes_per_second:.1f}",
                f"{each.objects_per_second:.1f}",
            )
            for each in found.speed
        ],
    )
    say_table(
        ("day (UTC)", "new", "objects", "size"),
        [(f"{each.day:%Y-%m-%d}", each.objects, each.total_objects, amount(each.total_bytes)) for each in found.growth],
    )
    print(f"{found.objects} objects, {amount(found.bytes)}")
    return 0


def add_data(commands: Any) -> None:
    """``qa-fetch node data``."""
    made = command(
        commands,
        "data",
        data,
        summary="look after a node's files: index them anew, export them, verify them",
        example="  qa-fetch node data index --node store/\n"
        "  qa-fetch node data export --to everything.zip --node store/",
    )
    made.add_argument(
        "action", choices=("index", "export", "verify"), help="describe files, copy them out, or read all"
    )
    made.add_argument("--to", metavar="TARGET", type=Path, help="export: a folder, or a new .zip file")
    made.add_argument("--send", metavar="ARCHIVE", help="export: another node, by name or address")
    made.add_argument(
        "--uid", metavar="UID", action="append", default=[], help="export: this study, series or object only"
    )
    made.add_argument(
        "--workers", metavar="N", type=int, help="index: how many processes read (default: one a processor)"
    )
    add_node_option(made)
    for_machines(made)


def data(given: argparse.Namespace) -> int:
    """Do it, and name what is at fault; 1 when something is."""
    if given.action == "export" and (given.to is None) == (given.send is None):
        raise ConfigError("say where to export to: --to a folder or a new .zip file, or --send another archive.")
    from ..node import upkeep

    options = options_of(given)
    if given.action == "export" and given.send is not None:
        return _send(given, options)
    with progress(given.action) as on_progress:
        more = {} if on_progress is None else {"on_progress": on_progress}
        if given.action == "index":
            report = upkeep.make_index(options, workers=given.workers, **more)
        elif given.action == "export":
            report = upkeep.export(options, given.to, given.uid, **more)
        else:
            report = upkeep.verify(options, **more)
    return _say_report(given, report)


def _say_report(given: argparse.Namespace, report: Report) -> int:
    words = {"index": "described", "export": "exported"}
    if given.json:
        say_json(asdict(report))
    else:
        for problem in report.problems:
            print(problem)
        done = f", {report.added} {words[given.action]}" if given.action in words else ""
        print(f"{report.checked} looked at{done}, {len(report.problems)} at fault")
    return 1 if report.problems else 0


def _send(given: argparse.Namespace, options: NodeOptions) -> int:
    """Export to another archive: everything, or what the UIDs name."""
    from ..archive import Archive
    from ..node import own

    where, fields = as_the_node(given.send, given.node)
    archive = Archive(where, **fields)
    anonymiser = as_the_peer_wants(given.send, given.node)
    outcome, errors = sent(archive, own.named(options, given.uid), anonymiser=anonymiser)
    if not given.json:
        for error in errors:
            complain(error)
    if given.json:
        say_json([vars(one) for one in outcome])
    else:
        print(f"{sum(not one.problem for one in outcome)} of {len(outcome)} sent to {archive.name}")
        say_warnings(outcome)
    return 1 if errors or any(one.problem for one in outcome) else 0


def add_database(commands: Any) -> None:
    """``qa-fetch node database``."""
    made = command(
        commands,
        "database",
        database,
        summary="look after a node's index: create, drop, clean, check, find",
        example="  qa-fetch node database clean --yes --node store/\n"
        "  qa-fetch node database find STUDY PatientID=QA_TB1 StudyDate= --node store/",
    )
    made.add_argument(
        "action",
        choices=("create", "drop", "clean", "check", "find"),
        help="make its tables, take them away, empty them, look whether they are whole, or search in them",
    )
    made.add_argument("level", metavar="LEVEL", nargs="?", help="find: PATIENT, STUDY, SERIES or IMAGE")
    made.add_argument("keys", metavar="KEY=VALUE", nargs="*", help="find: what to match, as for qa-fetch find")
    made.add_argument("--yes", action="store_true", help="drop, clean: do not ask")
    add_node_option(made)
    for_machines(made)


def database(given: argparse.Namespace) -> int:
    """Do it; what destroys something asks first."""
    from ..node import database as databases

    if given.action != "find" and given.level is not None:
        raise ConfigError(
            f"{given.level!r} is one word too many: only find takes a level and keys. "
            "Name the node's folder with --node."
        )
    options = options_of(given)
    if given.action == "find":
        return _find(given, options)
    if given.action == "check":
        return _check(given, options)
    if given.action in _DESTROYS:
        _ask(given, options)
    {"create": databases.create, "drop": databases.drop, "clean": databases.clean}[given.action](options)
    if given.json:
        say_json({"done": given.action})
        return 0
    print({"create": "its tables are there", "drop": "its tables are gone", "clean": "it is empty"}[given.action])
    if given.action != "create":
        print(f"The files stay. Describe them again with: qa-fetch node data index --node {given.node}")
    return 0


def _ask(given: argparse.Namespace, options: NodeOptions) -> None:
    """Let a person say yes; a script has to say --yes."""
    if given.yes:
        return
    what = f"database {given.action} {_DESTROYS[given.action]}"
    if not sys.stdin.isatty():
        raise ConfigError(f"{what}, and there is nobody to ask. Say --yes to do it all the same.")
    print(f"{what} ({options.database.url or options.data}). Type yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise ConfigError("nothing was done.")


def _check(given: argparse.Namespace, options: NodeOptions) -> int:
    from ..node.database import check

    found = check(options)
    if given.json:
        say_json(asdict(found))
    else:
        for sentence in found.says:
            print(sentence)
        counted = f"{found.patients} patients, {found.studies} studies, {found.series} series"
        print(f"{counted}, {found.instances} objects in the index; {found.files} files")
        print("it is whole" if found.sound else "it is not whole")
    return 0 if found.sound else 1


def _find(given: argparse.Namespace, options: NodeOptions) -> int:
    from ..node.database import find

    if given.level is None:
        raise ConfigError(
            "find needs a level: PATIENT, STUDY, SERIES or IMAGE, and then KEY=VALUE as for qa-fetch find."
        )
    keys = dict(map(key, given.keys))
    rows = list(find(options, given.level.upper(), keys))
    if given.json:
        say_json([plain_row(row) for row in rows])
    else:
        say_rows(rows)
    return 0
