"""Moving a folder to where nothing is: whole or not at all, also to another disk."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from ..errors import Incomplete
from ..shelf.disk import flush_folder, make_folder, remove_tree


def moved(source: Path, target: Path) -> None:
    """Give a folder another place, which appears with everything in it.

    Raises
    ------
    Incomplete
        The operating system does not do it; the folder is where it was.
    """
    try:
        make_folder(target.parent)
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copied(source, target)
        flush_folder(target.parent)
    except OSError as error:
        raise Incomplete(
            f"a candidate cannot be moved to {target.parent} ({error.strerror}). "
            "Free space there and check its permissions, then choose again.",
            retriable=False,
        ) from error


def _copied(source: Path, target: Path) -> None:
    """To another disk: copied under a name that no patient has, renamed, then removed where it was."""
    passing = target.parent / f".{target.name}.part"
    if passing.exists():
        remove_tree(passing)
    try:
        shutil.copytree(source, passing, symlinks=True)
        passing.rename(target)
    except OSError:
        shutil.rmtree(passing, ignore_errors=True)
        raise
    remove_tree(source)
