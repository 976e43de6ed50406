"""One series of a batch: fetched whole, checked, and put into its folder in one step."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..archive import Archive, Images
from ..bulk import Done
from ..errors import BadArchive, Incomplete, NotFound
from ..shelf.disk import is_full
from .info import complete_facts, write_info

PATIENCE = 900.0  # seconds: nobody waits in front of a page, and a large series must get through
SHELF = ".shelf"


@dataclass(frozen=True)
class Job:
    """What every worker has to know; it travels to other processes and machines.

    Parameters
    ----------
    archive
        From where; it keeps what arrives beside the output until that is moved to its place.
    folder
        The output folder.
    save, info, move
        What is done with each series: fetched, described, or moved to this AE title.
    """

    archive: Archive
    folder: str
    save: bool = True
    info: bool = False
    move: str = ""


def bring(job: Job, payload: Mapping[str, Any]) -> Done:
    """Do what the job asks for with one series; raises unless every object of it is in its place."""
    if "problem" in payload:  # a row that nothing was found for
        raise NotFound(payload["problem"])
    place, archive = Path(job.folder, payload["folder"]), job.archive.again(budget=PATIENCE)
    detail: dict[str, Any] = {}
    size = 0
    with _full_disk_in_words(job.folder):
        if job.move:
            objects = payload["instances"]
            wanted: dict[str, Any] = {"series": payload["series"]} if objects is None else {"instance": objects}
            detail["objects"] = len(archive.move(job.move, **wanted))
        elif job.save:
            size, detail["objects"] = _save(archive, payload, place)
            detail["listing"] = _listing(place)
        else:
            detail["objects"] = len(list(place.glob("*.dcm")))  # of an earlier run
        if job.info:
            here = (path for path in sorted(place.glob("*.dcm")) if _identity(path) is not None)
            facts, more = complete_facts(archive, payload, next(here, None))
            size += more
            detail["info"] = write_info(place, facts).name
    return Done(size, detail)


def is_there(job: Job, payload: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    """Whether what an earlier run made of a series is still in its place."""
    if "problem" in payload or job.move:
        return True
    place = Path(job.folder, payload["folder"])
    described = not job.info or place.with_name(f"{place.name}.csv").is_file()
    return described and (not job.save or detail.get("listing") == _listing(place))


def _listing(place: Path) -> str:
    """A mark of the names and sizes of the objects in a folder: a list of them would fill the reports."""
    found = sorted((path.name, path.stat().st_size) for path in place.glob("*.dcm"))
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _full_disk_in_words(folder: str) -> Iterator[None]:
    """The shelf would advise another shelf, which a batch does not have: its own lies in the output folder."""
    try:
        yield
    except (OSError, Incomplete) as error:
        if not _means_full(error):
            raise
        raise Incomplete(
            f"the disk of {folder} is full, so nothing of this series was put there. "
            "Free space there and run again: what is done stays done.",
            retriable=False,
        ) from error


def _means_full(error: Optional[BaseException]) -> bool:
    """Whether it began with a disk that is full; an error that is raised anew may be its own cause."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, OSError) and is_full(error):
            return True
        seen.append(error)
        cause = error.__cause__
        error = error.__context__ if cause is None or cause in seen else cause
    return False


def _save(archive: Archive, payload: Mapping[str, Any], place: Path) -> tuple[int, int]:
    """See to it that the objects are in their folder; the bytes that were fetched, and the number of objects."""
    objects = payload["instances"]
    told = payload["facts"].get("NumberOfSeriesRelatedInstances", "")
    least = max(1, int(told)) if objects is None and told.isdigit() else 1
    if place.is_dir():  # of an earlier run, which may have been asked for more, for less or for the same
        wanted = objects or [
            str(row.SOPInstanceUID) for row in archive.find("IMAGE", SeriesInstanceUID=payload["series"])
        ]
        if _has_all(place, wanted, payload["series"]) and len(wanted) >= least:
            return 0, len(wanted)
    if objects is None:
        images = archive.fetch(series=payload["series"])
    else:
        images = archive.fetch(instance=objects)
    if len(images) < least:
        raise Incomplete(
            f"{archive.name} says that the series has {told} objects and lists {len(images)}. "
            "Run again; if it stays so, its index needs to be looked at.",
            retriable=True,
        )
    size = _put(images, place)
    archive.forget(images)
    return size, len(images)


def _has_all(place: Path, wanted: Sequence[str], series: str) -> bool:
    """Whether these objects lie in a folder and open; Incomplete where it holds what is not of their series."""
    names = {_name(uid) for uid in wanted}
    found = {path.name: _identity(path) for path in place.iterdir()}
    if any(name not in names and (one is None or one.series != series) for name, one in found.items()):
        raise Incomplete(
            f"{place.name} holds files that do not belong to its series, so it was left as it is. "
            "Move them away, or give another output folder.",
            retriable=False,
        )
    return names <= {name for name, one in found.items() if one is not None and _name(one.sop_instance) == name}


def _name(uid: str) -> str:
    return f"{part10.file_stem(uid)}.dcm"


def _identity(path: Path) -> Optional[part10.Identity]:
    """What an object says it is; None for what is no object, or does not reach to its end."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, part10.opened(file, path.name) as content:
            return content.identity()
    except BadArchive:
        return None


def _put(images: Images, place: Path) -> int:
    """Put the files where they belong: in one step, or one by one into a folder that was not whole any more."""
    names = {_name(uid): file for uid, file in zip(images.uids, images.files)}
    size = sum(file.stat().st_size for file in images.files)
    place.parent.mkdir(parents=True, exist_ok=True)
    building = place.with_name(f".{place.name}.part")
    if building.is_dir():
        shutil.rmtree(building)  # of a run that was killed; nobody else works here, which the ledger's lock sees to
    try:
        building.mkdir()
        for name, file in names.items():
            _link(file, building / name)
        if place.is_dir():  # what else of its series lies there was asked for too, by an earlier run
            for name in names:
                (building / name).replace(place / name)
        else:
            building.replace(place)
    finally:
        if building.is_dir():
            shutil.rmtree(building)  # a full disk needs the room
    return size


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the disk has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
