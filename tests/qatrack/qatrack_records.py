"""What QATrack+ keeps: attachments in a folder that processes may share, and the lists that were performed."""

from __future__ import annotations

import io
import re
import sys
import threading
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from qatrack_pack import STRING_TYPES, QaTest

if TYPE_CHECKING:
    from qatrack_engine import Engine

_IMAGES = {"jpg", "jpeg", "png", "svg", "bmp", "gif"}


@dataclass(frozen=True)
class Unit:
    """The machine that a list is performed on."""

    number: int = 1
    name: str = "TB1"
    id: int = 1


@dataclass(frozen=True)
class User:
    """Who performs it."""

    username: str


@dataclass
class Result:
    """The saved result of one test, QATrack+'s TestInstance."""

    test: QaTest
    test_list_instance: Instance = field(repr=False)
    value: Optional[float] = None
    string_value: Optional[str] = None
    date_value: Optional[date] = None
    datetime_value: Optional[datetime] = None
    skipped: bool = False
    comment: str = ""
    attachments: list[int] = field(default_factory=list)

    @property
    def work_completed(self) -> datetime:
        """When the list was completed."""
        return self.test_list_instance.work_completed

    @property
    def work_started(self) -> datetime:
        """When the list was begun."""
        return self.test_list_instance.work_started

    def get_value(self) -> Any:
        """Return the value that fits the type of the test."""
        if self.test.type in STRING_TYPES:
            return self.string_value
        if self.test.type == "boolean":
            return bool(self.value)
        return {"date": self.date_value, "datetime": self.datetime_value}.get(self.test.type, self.value)


@dataclass
class Instance:
    """A list that was performed, QATrack+'s TestListInstance."""

    engine: Engine = field(repr=False)
    unit: Unit
    work_started: datetime
    work_completed: datetime
    in_progress: bool = False
    user_key: Optional[str] = None
    results: dict[str, Result] = field(default_factory=dict)  # by slug

    def __getitem__(self, slug: str) -> Result:
        return self.results[slug]


@dataclass
class Records:
    """All lists that were performed, of as many engines as share it."""

    instances: list[Instance] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, instance: Instance) -> bool:
        """Add a list that was performed, unless its user_key is there already."""
        with self.lock:
            if instance.user_key is not None and any(one.user_key == instance.user_key for one in self.instances):
                return False
            self.instances.append(instance)
            return True

    def latest(self, suits: Callable[[Instance], bool], fits: Callable[[Result], bool]) -> Optional[Result]:
        """Return the result that fits from the newest list that has one."""
        with self.lock:
            suitable = [one for one in self.instances if suits(one)]
        found = [result for one in suitable for result in one.results.values() if fits(result)]
        return max(found, key=lambda result: result.work_completed, default=None)


class Attachments:
    """Files that procedures wrote, each in a folder named by its id."""

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, content: bytes) -> dict[str, Any]:
        """Store one file and return what a page is told about it."""
        stem, dot, ending = Path(name).name.rpartition(".")
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", (stem if dot else ending).lower()).strip())
        stored = f"{slug}_{date.today()}_{uuid.uuid4().hex[:6]}{dot}{ending if dot else ''}"
        number = self._claim()
        (self.folder / str(number) / stored).write_bytes(content)
        return {
            "attachment_id": number,
            "name": stored,
            "size": f"{len(content)} bytes" if len(content) < 1024 else f"{len(content) / 1024:.1f} KB",
            "url": f"/media/uploads/tmp/{stored}",
            "is_image": (ending if dot else "") in _IMAGES,
        }

    def _claim(self) -> int:
        """Make the folder of the next free id, which no other thread or process gets."""
        number = max(self.ids(), default=0)
        while True:
            number += 1
            try:
                (self.folder / str(number)).mkdir()
            except FileExistsError:
                continue
            return number

    def ids(self) -> list[int]:
        """Return the ids of all files ever written, in order."""
        return sorted(int(one.name) for one in self.folder.iterdir())

    def path(self, number: int) -> Path:
        """Return where the file with this id lies."""
        (found,) = (self.folder / str(number)).iterdir()
        return found


def file_content(obj: Any, name: str) -> bytes:
    """Return what QATrack+ writes for an object that a procedure passes to write_file.

    QATrack+ turns arrays and DICOM objects into pictures first, where the name asks for one; that is not done here.
    """
    if hasattr(obj, "read"):
        if hasattr(obj, "seek"):
            obj.seek(0)
        obj = obj.read()
    if isinstance(obj, (bytes, str)):
        return obj if isinstance(obj, bytes) else obj.encode()
    if hasattr(obj, "tobytes"):
        return bytes(obj.tobytes())
    figure = _figure_of(obj)
    if figure is not None:
        ending = name.rpartition(".")[2]
        content = io.BytesIO()
        figure.savefig(content, format=ending if ending in ("png", "pdf", "ps", "eps", "svg") else "png")
        return content.getvalue()
    try:
        return bytes(obj)
    except TypeError:
        return b""


def _figure_of(obj: Any) -> Any:
    """Return the matplotlib figure that an object is or belongs to, if any."""
    if "matplotlib.figure" not in sys.modules:
        return None
    figure_class = sys.modules["matplotlib.figure"].Figure
    for found in (obj, getattr(obj, "figure", None), getattr(_first(obj), "figure", None)):
        if isinstance(found, figure_class):
            return found
    return obj.gcf() if callable(getattr(obj, "gcf", None)) else None


def _first(obj: Any) -> Any:
    try:
        return obj[0]
    except (TypeError, IndexError, KeyError):
        return None
