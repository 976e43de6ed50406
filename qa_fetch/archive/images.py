"""What ``Archive`` returns: files in a folder of their own, and what they are."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Optional, Union

from .. import part10
from ..errors import Ambiguous, ConfigError, Incomplete
from ..shelf import Folder, Reference
from .when import acquired, clock, parse_date


@dataclass(frozen=True)
class Plan:
    """An RT plan; its file is fetched when it is first asked for."""

    uid: str
    label: str
    date: Optional[date]
    approval: str
    name: str = ""
    course: str = ""
    reference: Reference = field(repr=False, default=Reference("", "", ""))
    time: str = field(repr=False, default="")
    fetch: Callable[[Plan], Path] = field(repr=False, compare=False, default=lambda plan: Path())

    @property
    def facts(self) -> list[str]:
        """What an archive said of it, as it can be written down."""
        day = f"{self.date:%Y%m%d}" if self.date else ""
        return [self.label, day, self.approval, self.name, self.course, self.time]

    @cached_property
    def file(self) -> Path:
        """The plan's DICOM file."""
        return self.fetch(self)

    @cached_property
    def dataset(self) -> Any:
        """The plan as a pydicom Dataset."""
        return part10.read(self.file)

    def __str__(self) -> str:
        """One line for a list of candidates, without anything about the patient."""
        facts = [f"of {self.date}" if self.date else "undated", short(self.approval) or "approval unknown"]
        if self.course:
            facts.append(f"course {short(self.course)}")
        return f"{short(self.label)} ({', '.join(facts)}, UID ...{self.uid[-12:]})"


def short(label: str) -> str:
    """A label as a message shows it: archives hold longer ones than DICOM allows."""
    return label if len(label) <= 32 else label[:29] + "..."


def plan_from(header: Any, reference: Reference, fetch: Callable[[Plan], Path]) -> Plan:
    """A plan from its header or from an archive's answer."""
    return Plan(
        uid=reference.instance,
        label=str(header.get("RTPlanLabel") or "").strip(),
        date=parse_date(header.get("RTPlanDate")),
        approval=str(header.get("ApprovalStatus") or "").strip(),
        name=str(header.get("RTPlanName") or "").strip(),
        course=str(header.get("StudyID") or "").strip(),
        reference=reference,
        time=str(header.get("RTPlanTime") or ""),
        fetch=fetch,
    )


class Images:
    """A set of objects: ``folder`` holds exactly its files, ``files`` lists them in the order of acquisition."""

    def __init__(
        self,
        folder: Folder,
        read_headers: Callable[[], Sequence[Any]],
        *,
        archive: str,
        plan: Optional[Plan],
        from_shelf: bool,
        says: str,
    ) -> None:
        self.folder: Path = folder.path
        self.files: tuple[Path, ...] = folder.files
        self.uids: tuple[str, ...] = folder.uids
        self.archive = archive
        self.plan = plan
        self.from_shelf = from_shelf
        self._read_headers = read_headers
        self._says = says

    @property
    def says(self) -> str:
        """What each of them is, in words: ``portal image for plan WL_6X``."""
        return self._says

    @cached_property
    def _headers(self) -> Sequence[Any]:
        """What the objects say about themselves, read when it is first needed: a thousand headers take a second."""
        return self._read_headers()

    @cached_property
    def series(self) -> tuple[str, ...]:
        """The Series Instance UIDs of the objects, in their order."""
        return tuple(dict.fromkeys(part10.clean_uid(header.get("SeriesInstanceUID") or "") for header in self._headers))

    @cached_property
    def acquired(self) -> Optional[datetime]:
        """When the first of them was acquired; None where none of them says it."""
        return min(filter(None, map(acquired, self._headers)), default=None)

    @cached_property
    def finished(self) -> Optional[datetime]:
        """When the last of them was acquired; None where none of them says it."""
        return max(filter(None, map(acquired, self._headers)), default=None)

    @cached_property
    def datasets(self) -> tuple[Any, ...]:
        """The objects as pydicom Datasets, in the order of ``files``."""
        return tuple(part10.read(path) for path in self.files)

    @property
    def dataset(self) -> Any:
        """The only object of the set; Ambiguous if there are several."""
        if len(self.files) != 1:
            raise Ambiguous(
                f"this set holds {len(self.files)} objects, so there is no single one. "
                "Use .datasets, or narrow the question (plan, kind, on).",
                candidates=self.uids,
            )
        return self.datasets[0]

    def copy(self, to: Union[str, Path]) -> list[Path]:
        """Copy the files into a folder that is new or empty, or holds files of this set only."""
        target = Path(to)
        try:
            if target.is_dir() and not self._may_be_joined_by(target):
                raise ConfigError(
                    f"{target} holds other files already, and a mixed set must not be analysed as one. "
                    "Give a new or empty folder."
                )
            target.mkdir(parents=True, exist_ok=True)
            for path in self.files:
                partial = target / f".{path.name}.part"
                shutil.copyfile(path, partial)
                partial.replace(target / path.name)
        except OSError as error:
            raise Incomplete(
                f"the files cannot be copied to {target} ({error.strerror}). Give a folder that this user may write.",
                retriable=False,
            ) from error
        return [target / path.name for path in self.files]

    def _may_be_joined_by(self, folder: Path) -> bool:
        """Whether all that lies there is of this set: the whole of it, or what an interrupted copy has left."""
        ours = {path.name: path for path in self.files}
        return all(
            path.name[1:-5] in ours
            if path.name.startswith(".") and path.name.endswith(".part")
            else path.name in ours and filecmp.cmp(ours[path.name], path, shallow=False)
            for path in folder.iterdir()
        )

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.datasets)

    def __repr__(self) -> str:
        when = f", {clock(self.acquired)}" if self.acquired else ""
        origin = "from the shelf" if self.from_shelf else "fetched"
        return f"<Images: {len(self)} x {self._says}{when}, {origin}>"
