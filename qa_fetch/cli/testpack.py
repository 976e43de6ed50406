"""The commands ``testpack build`` and ``testpack check``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .output import command, for_machines, on_one_line, say_json, say_table

_EXAMPLES = """\
example:
  qa-fetch testpack build               every pack below testpacks/ into its .tpk
  qa-fetch testpack build --check       write nothing; fail when one is not current
  qa-fetch testpack check mine.tpk      what QATrack+ would reject, or take and not do
"""


def add_testpack(commands: Any) -> None:
    """``qa-fetch testpack`` and what is below it."""
    made: argparse.ArgumentParser = commands.add_parser(
        "testpack",
        help="test packs for QATrack+: build them from readable sources, check any of them",
        description="Test packs for QATrack+: build them from readable sources, check any of them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = made.add_subparsers(
        title="commands", metavar="COMMAND", dest="testpack_command", required=True, help="what to do with them"
    )
    add_build(below)
    add_check(below)


def add_build(commands: Any) -> None:
    """``qa-fetch testpack build``."""
    made = command(
        commands,
        "build",
        build,
        summary="make a .tpk of each pack: its pack.toml and the .py of each calculation",
        example="  qa-fetch testpack build testpacks/",
    )
    made.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        nargs="?",
        default=Path("testpacks"),
        help="a folder with a pack.toml, or one of such folders (default: testpacks); DIR/wl/ becomes DIR/wl.tpk",
    )
    made.add_argument("--check", action="store_true", help="write nothing; exit 1 when a .tpk is not current")


def build(given: argparse.Namespace) -> int:
    """Print a line for each pack; with ``--check`` 1 when one is not what its folder would give."""
    from ..testpack import current, write
    from ..testpack.building import file_of

    folders = _packs_in(given.folder)
    if not given.check:
        for folder in folders:
            print(f"built {write(folder)}")
        return 0
    stale = [folder for folder in folders if not current(folder)]
    for folder in stale:
        print(f"not current: {file_of(folder)}. Run: qa-fetch testpack build {given.folder}")
    print(f"{len(folders) - len(stale)} of {len(folders)} current")
    return 1 if stale else 0


def _packs_in(folder: Path) -> list[Path]:
    from ..testpack.source import FILE_NAME

    if (folder / FILE_NAME).is_file():
        return [folder]
    packs = sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}"))
    if not packs:
        raise ConfigError(f"{folder} holds no {FILE_NAME} and no folder with one. Name the folder of your test packs.")
    return packs


def add_check(commands: Any) -> None:
    """``qa-fetch testpack check``."""
    made = command(
        commands,
        "check",
        check,
        summary="say what QATrack+ would reject in a test pack, or import and not do; nothing of it is run",
        example="  qa-fetch testpack check testpacks/*.tpk",
    )
    made.add_argument("files", metavar="FILE", type=Path, nargs="+", help="a .tpk, ours or exported by QATrack+")
    for_machines(made)


def check(given: argparse.Namespace) -> int:
    """Print the findings of each file; 1 when one of them is an error."""
    from ..testpack import check as findings_of

    found = [(file, finding) for file in given.files for finding in findings_of(file)]
    failed = any(finding.severity == "error" for _, finding in found)
    if given.json:
        say_json([{"file": str(file), **asdict(finding)} for file, finding in found])
        return 1 if failed else 0
    for file in given.files:
        rows = [(finding.severity, finding.place, finding.says) for of, finding in found if of == file]
        if rows:
            say_table(("severity", "place", "what, and what to do"), rows, title=on_one_line(file))
        else:
            print(f"{on_one_line(file)}: no finding")
    return 1 if failed else 0
