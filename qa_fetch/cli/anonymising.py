"""What the commands share that anonymise on the way: the options, and sending."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

from ..errors import ConfigError, Incomplete
from .output import on_one_line, say_table

if TYPE_CHECKING:
    from ..anonymise import Anonymiser
    from ..archive import Archive
    from ..backends import Sent

_HOW = ("profile", "new_ids", "offsets", "ids")


def add_anonymising(made: argparse.ArgumentParser, what: str) -> None:
    """The key, and how it is done; ``what`` says of the help what is anonymised."""
    how = made.add_argument_group("anonymising")
    how.add_argument("--anonymise", metavar="KEY", type=Path, help=f"{what} by this key, which is made if absent")
    how.add_argument("--profile", metavar="PROFILE", help="basic, research-rt, or a TOML file (default: basic)")
    how.add_argument("--new-ids", metavar="FILE", type=Path, help="the patients' codes: new_ids.json or new_id.txt")
    how.add_argument("--offsets", metavar="FILE", type=Path, help="the patients' day shifts: date_offsets.csv")
    how.add_argument("--ids", metavar="DIR", type=Path, help="where who is who is kept (default: beside the key)")


def anonymiser_of(given: argparse.Namespace) -> Optional[Anonymiser]:
    """What the options ask for; None where nothing is to be anonymised."""
    if given.anonymise is None:
        useless = next((name for name in _HOW if getattr(given, name) is not None), None)
        if useless is not None:
            option = f"--{useless.replace('_', '-')}"
            raise ConfigError(f"{option} says how objects are anonymised. Name the key with --anonymise as well.")
        return None
    from ..anonymise import Anonymiser

    made = Anonymiser(
        given.anonymise, given.profile or "basic", new_ids=given.new_ids, offsets=given.offsets, ids=given.ids
    )
    say_new_key(made)
    return made


def say_new_key(anonymiser: Anonymiser) -> None:
    """A sentence where the key was made just now."""
    if anonymiser.key.is_new:
        print(
            f"Made a new key at {on_one_line(anonymiser.key.path)}. Keep it: the same codes and UIDs can only be made "
            "with it, and whoever has it can tell who is who.",
            file=sys.stderr,
        )


def as_the_peer_wants(where: Optional[str], node: Union[str, Path, None]) -> Optional[Anonymiser]:
    """How objects are anonymised for a peer of our own node whose entry asks for that."""
    if node is None:
        return None
    from ..node.anonymising import anonymiser_for
    from ..node.settings import load

    peer = load(node).peers.get(where or "")
    return None if peer is None else anonymiser_for(peer)


def sent(
    archive: Archive, paths: Sequence[Path], commit: bool = False, anonymiser: Optional[Anonymiser] = None
) -> tuple[list[Sent], list[Incomplete]]:
    """What became of each file, and what to say of those that the archive does not have.

    Parameters
    ----------
    archive
        Where to.
    paths
        Files, and folders of files.
    commit
        Whether the archive is asked to vouch for them.
    anonymiser
        What each file becomes on the way; what it holds back is not sent, and the others are.
    """
    if anonymiser is None:
        return _sent(archive, paths, commit)
    from ..anonymise.passing import anonymised
    from ..archive.asked import files_of
    from ..backends import Sent

    files = files_of(paths)
    with anonymised(anonymiser, files) as passed:
        outcome, errors = _sent(archive, passed.files, commit) if passed.files else ([], [])
    outcome = [replace(one, path=passed.sources.get(one.path, one.path)) for one in outcome]
    held = [Sent(path, problem.rstrip(".")) for path, problem in passed.problems]
    if held:
        many = f"{len(held)} of {len(files)} files were not anonymised, so they were not sent"
        errors = [Incomplete(f"{many}; the first: {held[0].problem}.", retriable=False), *errors]
    return [*outcome, *held], errors


def say_warnings(outcome: Sequence[Sent]) -> None:
    """A table of the objects that the archive took otherwise than they were sent."""
    rows = [(one.path, one.warning) for one in outcome if one.warning]
    if rows:
        say_table(("sent with a warning", "what the archive says"), rows)


def _sent(archive: Archive, paths: Sequence[Path], commit: bool) -> tuple[list[Sent], list[Incomplete]]:
    try:
        return archive.send(paths, commit=commit), []
    except Incomplete as error:
        return getattr(error, "outcome", []), [error]
