"""Breakages of phantom archives: each breaks its archive, or says that it could not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import phantom
import pytest
from phantom_breakages import BREAKAGES
from phantom_breaking import Breakage
from phantom_course import Course


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Breakage], Path]:
    """The archive that a breakage starts from, written once for all of them."""

    @cache
    def written(course: Course, ending: str) -> Path:
        return phantom.write(course, tmp_path_factory.mktemp("whole") / f"archive{ending}").path

    return lambda breakage: written(breakage.course, ".tar" if breakage.of_tar else "")


@pytest.mark.parametrize("name", list(BREAKAGES))
def test_every_breakage_breaks_its_archive(whole: Callable[[Breakage], Path], tmp_path: Path, name: str) -> None:
    """A breakage changes the archive, and tells what must come of it unless nothing is lost."""
    breakage = BREAKAGES[name]
    start, path = whole(breakage), tmp_path / "archive"
    if start.is_file():
        shutil.copy(start, path)
    else:
        shutil.copytree(start, path)
    before = _content(path)
    breakage(path)
    if name != "electrons":  # which are unusual, not broken
        assert _content(path) != before
    if breakage.lost or breakage.refused:
        assert breakage.says
    re.compile(breakage.says)


def test_a_breakage_that_finds_nothing_to_break_says_so(tmp_path: Path) -> None:
    """A breakage never passes an archive as broken that it has left as it was."""
    path = phantom.write(Course(images="none"), tmp_path / "archive").path
    with pytest.raises(AssertionError, match=r"^the archive has no ImageSet_0\.img to break$"):
        BREAKAGES["short pixels"](path)


def _content(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
