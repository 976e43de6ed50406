"""A copy of a folder's DICOM objects under 8-character names, with the DICOMDIR that lists them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional, Union

from .. import part10
from ..errors import BadArchive, ConfigError, NotFound
from ..shelf.disk import make_folder
from .directory_file import Directory, file_id
from .directory_records import DIRECTORY_CLASS, Described, describe
from .layout import files_below


@dataclass
class Dicomdir:
    """What was made: how many of what, and which files are not in it."""

    folder: Path
    patients: int = 0
    studies: int = 0
    series: int = 0
    objects: int = 0
    size: int = 0
    repeated: int = 0
    """Files that hold once more an object which is in it."""
    others: int = 0
    """Files that are no DICOM objects."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Files that claim to be, with the sentence that says why they are not in it."""


def create_dicomdir(
    source: Union[str, Path], to: Union[str, Path], *, on_progress: Optional[Callable[[int, int], None]] = None
) -> Dicomdir:
    """Copy every DICOM object below a folder under 8-character names, and write the DICOMDIR of the copies.

    The copies are the same to the byte; only names change. All of it appears in its folder at once, or nothing does.

    A directory record must have values where an object may have none (PS3.3 F.5: Type 1 there, Type 2 or 3 in the
    object): InstanceNumber, which RT plans, doses and structure sets need not have, SeriesNumber, StudyID, StudyDate,
    StudyTime and PatientID. They are supplied **in the record alone**, as DCMTK's ``dcmmkdir --invent`` does: a running
    number, the date of the series or of the object, else 19000101, and an ID made of the study's UID. A record's keys
    are there to be browsed by; who wants the object itself takes it by the File ID and the UIDs in the record. What an
    object must have itself (the label of a plan, the summation type of a dose) is never made up: without it the object
    is left out and named.

    Parameters
    ----------
    source
        A folder; all below it is looked at, also what lies outside of ``sub-*/ses-*``, but not in folders whose names
        begin with a dot: a batch keeps there what is not whole.
    to
        A folder that is absent or empty.
    on_progress
        Called with the number of files done and of all files.

    Raises
    ------
    ConfigError
        Where a folder is not as above.
    NotFound
        Where no object could be taken.
    BadArchive
        Where two files differ under one SOP Instance UID, or one study belongs to two patients (F.5.2 forbids that);
        both are named.
    """
    original, target = Path(source), Path(to)
    _check(original, target)
    make_folder(target.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".partial", dir=target.parent))
    try:
        with contextlib.closing(Directory()) as directory:
            made = _Copying(original, partial, directory, Dicomdir(target)).all(on_progress)
            made.patients, made.studies, made.series, made.objects = directory.counts()
            if not made.objects:
                raise NotFound(_nothing(made, original))
            directory.write(partial / "DICOMDIR", f"2.25.{uuid.uuid4().int}")
        if hasattr(os, "sync"):
            os.sync()  # once, instead of once per file
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except BaseException:  # an interrupt too: half a copy must not look like one
        shutil.rmtree(partial)
        raise
    return made


def _check(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder. Name the folder with the DICOM files.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is there already and is not an empty folder. Name another one.")
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise ConfigError(f"{target} lies within {source}, whose files are copied. Name a folder outside of it.")


def _nothing(made: Dicomdir, source: Path) -> str:
    if made.unreadable:
        return f"{source} holds no DICOM object that can be taken. {next(iter(made.unreadable.values()))}"
    return f"{source} holds no DICOM object. Name the folder with the DICOM files."


class _Copying:
    """The files of a folder, each looked at once, noted in the directory, and copied."""

    def __init__(self, source: Path, folder: Path, directory: Directory, made: Dicomdir) -> None:
        self._source = source
        self._folder = folder
        self._directory = directory
        self._made = made

    def all(self, on_progress: Optional[Callable[[int, int], None]]) -> Dicomdir:
        """Take what can be taken; BadArchive where two objects contradict each other."""
        total = sum(1 for _ in files_below(self._source)) if on_progress else 0
        for done, path in enumerate(files_below(self._source), 1):
            if _is_object(path):
                self._take(path, str(path.relative_to(self._source)))
            else:
                self._made.others += 1
            if on_progress:
                on_progress(done, total)
        return self._made

    def _take(self, path: Path, name: str) -> None:
        try:
            described = describe(path, name)
        except BadArchive as error:
            self._made.unreadable[name] = error.message
            return
        except PermissionError:
            self._made.unreadable[name] = f"{name} may not be read by this user. Change its rights."
            return
        if self._repeats(path, name, described):
            self._made.repeated += 1
            return
        places = self._directory.places(described, name)
        where = file_id(places)
        try:
            records = list(described.records(places, where))
        except BadArchive as error:
            self._made.unreadable[name] = error.message
            return
        self._directory.add(places, records, name)
        copy = self._folder.joinpath(*where)
        make_folder(copy.parent)
        shutil.copyfile(path, copy)
        self._made.size += copy.stat().st_size

    def _repeats(self, path: Path, name: str, described: Described) -> bool:
        """Whether this object is in it already; BadArchive where it is another one under the same UID."""
        first = self._directory.source_of(described.identity.sop_instance)
        if first is not None and not _same(path, self._source / first):
            raise BadArchive(
                f"{first} and {name} differ under one SOP Instance UID. Remove the one that is wrong, then run again."
            )
        return first is not None


def _same(path: Path, other: Path) -> bool:
    """Whether two files hold the same data set; what is before it tells only who wrote them."""
    with path.open("rb") as one, other.open("rb") as two:
        with part10.opened(one, path.name) as first, part10.opened(two, other.name) as second:
            return first == second


def _is_object(path: Path) -> bool:
    """Whether a file says that it is a DICOM object, and not a DICOMDIR."""
    if not path.is_file():  # a link to nowhere, or a pipe, which would be waited for
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(512)
    except PermissionError:
        return True  # so it is named among those that cannot be read
    return beginning[128:132] == b"DICM" and DIRECTORY_CLASS.encode() not in beginning
