"""One series of a batch: fetched whole, checked, and put into its folder in one step."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..archive import Archive, Images
from ..bulk import Done
from ..errors import Incomplete, NotFound
from ..shelf.disk import is_full
from .info import write_info

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
        if job.info:
            detail["info"] = write_info(place, payload["facts"]).name
    return Done(size, detail)


def is_there(job: Job, payload: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    """Whether what an earlier run made of a series is still in its place."""
    if "problem" in payload or job.move:
        return True
    place = Path(job.folder, payload["folder"])
    described = not job.info or place.with_name(f"{place.name}.csv").is_file()
    return described and (not job.save or len(list(place.glob("*.dcm"))) == detail["objects"])


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
    """Fetch a series and give its folder its name once everything is in it; the bytes and the number of objects."""
    objects = payload["instances"]
    if objects is None:
        images = archive.fetch(series=payload["series"])
    else:
        images = archive.fetch(instance=objects)
    told = payload["facts"].get("NumberOfSeriesRelatedInstances", "")
    if objects is None and told.isdigit() and len(images) < int(told):
        raise Incomplete(
            f"{archive.name} says that the series has {told} objects and lists {len(images)}. "
            "Run again; if it stays so, its index needs to be looked at.",
            retriable=True,
        )
    size = _put(images, place)
    archive.forget(images)
    return size, len(images)


def _put(images: Images, place: Path) -> int:
    """Put the files where they belong; what an interrupted run has left there is taken only if it is the same."""
    names = {f"{part10.file_stem(uid)}.dcm": file for uid, file in zip(images.uids, images.files)}
    size = sum(file.stat().st_size for file in images.files)
    place.parent.mkdir(parents=True, exist_ok=True)
    building = place.with_name(f".{place.name}.part")
    if building.is_dir():
        shutil.rmtree(building)  # of a run that was killed; nobody else works here, which the ledger's lock sees to
    try:
        building.mkdir()
        for name, file in names.items():
            _link(file, building / name)
        if place.is_dir():
            _replaceable(place, names)
            shutil.rmtree(place)
        building.replace(place)
    finally:
        if building.is_dir():
            shutil.rmtree(building)  # a full disk needs the room
    return size


def _replaceable(place: Path, names: Mapping[str, Path]) -> None:
    foreign = [path.name for path in place.iterdir() if path.name not in names]
    if foreign:
        raise Incomplete(
            f"{place.name} holds files that do not belong to its series, so it was left as it is. "
            "Move them away, or give another output folder.",
            retriable=False,
        )


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the disk has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
