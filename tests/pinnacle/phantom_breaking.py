"""What a breakage of a phantom archive is, and the small tools to break one with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from phantom_course import Course

# two plans of two trials, of which only the first of each is broken: everything else must still come out
BASE = Course(plans=2, trials=2)


@dataclass(frozen=True)
class Lost:
    """An object that must not, or need not, be written; None stands for every one of the patient or the plan."""

    modality: str  # CT, RTSTRUCT, RTPLAN, RTDOSE
    plan: Optional[int] = 0
    trial: Optional[int] = 0


@dataclass(frozen=True)
class Breakage:
    """A way to break an archive (call it with the unpacked folder), and what must come of it."""

    break_it: Callable[[Path], None]
    says: str = (
        ""  # a pattern that must be found, whatever the case, in a reason that the report gives; "": none need be
    )
    lost: tuple[Lost, ...] = ()  # must not be written, and must be named as skipped
    may_lose: tuple[Lost, ...] = ()  # may be skipped, if named
    course: Course = field(default=BASE)  # the archive to break
    of_tar: bool = False  # it breaks the packed tar instead: call it with the tar's path
    refused: bool = False  # there is nothing to be had of the archive: BadArchive, or a report that has no patient
    tags: tuple[tuple[str, str], ...] = ()  # what every object made of it must say: keyword and value

    def __call__(self, path: Path) -> None:
        """Break the archive."""
        self.break_it(path)


def everything(plan: Optional[int] = 0) -> tuple[Lost, ...]:
    """All that is made from a plan, or from any (None)."""
    return Lost("RTSTRUCT", plan, None), Lost("RTPLAN", plan, None), Lost("RTDOSE", plan, None)


def first(folder: Path, name: str) -> Path:
    """The file of that name of the first patient: ``Patient``, ``Plan_0/plan.Trial`` ..."""
    found = [*sorted(folder.glob(f"Institution_1/Mount_0/Patient_1/{name}")), *folder.glob(f"Mount_0/Patient_1/{name}")]
    if not found:
        raise AssertionError(f"the archive has no {name} to break")
    return found[0]


def replaced(name: str, pattern: str, new: str, *, count: int = 1) -> Callable[[Path], None]:
    """Replace what a pattern finds in a text: ``count`` times, or wherever it is (0)."""

    def break_it(folder: Path) -> None:
        path = first(folder, name)
        found = re.compile(pattern.encode("latin-1"), re.MULTILINE)
        data, changes = found.subn(new.encode("latin-1"), path.read_bytes(), count=count)
        if not changes:
            raise AssertionError(f"{name} has no {pattern} to break")
        path.write_bytes(data)

    return break_it


def removed(name: str) -> Callable[[Path], None]:
    """Remove a file, or a folder with all its files."""

    def break_it(folder: Path) -> None:
        path = first(folder, name)
        if path.is_dir():
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
        else:
            path.unlink()

    return break_it


def cut(name: str, *, share: float = 0.5, off: int = 0) -> Callable[[Path], None]:
    """Cut a file: to a share of its bytes, or ``off`` bytes from its end (negative: zeros are added)."""

    def break_it(folder: Path) -> None:
        path = first(folder, name)
        data = path.read_bytes()
        size = len(data) - off if off else int(len(data) * share)
        path.write_bytes(data[:size].ljust(size, b"\0"))

    return break_it


def written(name: str, data: bytes) -> Callable[[Path], None]:
    """Put other bytes in a file's place."""

    def break_it(folder: Path) -> None:
        first(folder, name).write_bytes(data)

    return break_it


def all_of(*steps: Callable[[Path], None]) -> Callable[[Path], None]:
    """Break in several places."""

    def break_it(folder: Path) -> None:
        for step in steps:
            step(folder)

    return break_it
