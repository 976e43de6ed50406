"""One series of a batch: fetched whole, checked, and put into its folder in one step."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..archive import Archive, Images
from ..bulk import Done
from ..errors import BadArchive, Incomplete, NotFound
from ..shelf.disk import is_full, link
from .info import complete_facts, header, write_info
from .selecting import SERIES_KEYWORDS

PATIENCE = 900.0  # seconds: nobody waits in front of a page, and a large series must get through
SHELF = ".shelf"
_TOLD = [
    keyword for keyword in SERIES_KEYWORDS if not keyword.startswith("NumberOf")
]  # objects do not count themselves
_OF_EVERY_OBJECT = _TOLD[: _TOLD.index("SeriesInstanceUID")]  # patient and study


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
            facts, more = complete_facts(archive, payload, _object_of(place, payload["series"]))
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


def _object_of(place: Path, series: str) -> Optional[Path]:
    """An object in a folder that opens and is of its series."""
    for path in sorted(place.glob("*.dcm")):
        one = _identity(path)
        if one is not None and one.series == series:
            return path
    return None


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
    again: set[str] = set()
    _settle(place)
    if place.is_dir():  # of an earlier run, which may have been asked for more, for less or for the same
        wanted = objects or _listed(archive, payload)
        here = _objects_here(place, wanted, payload)
        outdated = _outdated(here, payload)
        if not outdated and len(wanted) >= least and _has_all(here, wanted, payload):
            return 0, len(wanted)
        again = outdated - set(wanted)
        if again and not again <= set(_listed(archive, payload)):
            raise Incomplete(
                f"{place.name} holds objects that {archive.name} does not have any more, and it has changed the "
                "patient or the study of their series, so the folder was left as it is. Move them away, or give "
                "another output folder.",
                retriable=False,
            )
    if objects is None:
        images = archive.fetch(series=payload["series"])
    else:
        images = archive.fetch(instance=[*objects, *sorted(again)])
    if len(images) < least:
        raise Incomplete(
            f"{archive.name} says that the series has {told} objects and lists {len(images)}. "
            "Run again; if it stays so, its index needs to be looked at.",
            retriable=True,
        )
    size = _put(images, place)
    archive.forget(images)
    return size, len(images) - len(again)


def _listed(archive: Archive, payload: Mapping[str, Any]) -> list[str]:
    """The objects that the archive has of a series by now."""
    return [str(row.SOPInstanceUID) for row in archive.find("IMAGE", SeriesInstanceUID=payload["series"])]


def _objects_here(place: Path, wanted: Sequence[str], payload: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The objects of a series that lie in its folder and open, with what they say of themselves.

    Incomplete where the name of a wanted one is taken; whatever else lies there is its user's.
    """
    names = {_name(uid) for uid in wanted}
    here = {}
    for path in place.iterdir():
        one = _identity(path)
        if one is not None and one.series == payload["series"] and path.name == _name(one.sop_instance):
            here[one.sop_instance] = header(path, _TOLD)
        elif path.name in names and (one is not None or path.is_dir()):
            raise Incomplete(
                f"{place.name} holds something else under the name of an object of its series, so it was left as it "
                "is. Move that away, or give another output folder.",
                retriable=False,
            )
    return here


def _outdated(here: Mapping[str, Mapping[str, str]], payload: Mapping[str, Any]) -> set[str]:
    """The objects that do not name the patient and the study as the archive does by now."""
    facts = [(keyword, payload["facts"][keyword]) for keyword in _OF_EVERY_OBJECT if keyword in payload["facts"]]
    return {uid for uid, says in here.items() if any(says.get(keyword) != value for keyword, value in facts)}


def _has_all(here: Mapping[str, Mapping[str, str]], wanted: Sequence[str], payload: Mapping[str, Any]) -> bool:
    """Whether the wanted objects are here, as the archive describes their series by now.

    Objects of one series may differ in what is of the series, and what an archive answers is what one of them says.
    """
    facts = [(keyword, payload["facts"][keyword]) for keyword in _TOLD if keyword in payload["facts"]]
    return here.keys() >= set(wanted) and all(
        any(here[uid].get(keyword) == value for uid in wanted) for keyword, value in facts
    )


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
    """Put the files where they belong, in one step; what else lies there comes along."""
    names = {_name(uid): file for uid, file in zip(images.uids, images.files)}
    size = sum(file.stat().st_size for file in images.files)
    place.parent.mkdir(parents=True, exist_ok=True)
    building, old = _beside(place)
    try:
        building.mkdir()
        for name, file in names.items():
            link(file, building / name)
        if place.is_dir():
            _bring_along(place, building, names)
            place.replace(old)
        building.replace(place)
    finally:
        _settle(place)  # a full disk needs the room
    return size


def _beside(place: Path) -> tuple[Path, Path]:
    """Where a folder is built, and where the one that it replaces waits for that."""
    return place.with_name(f".{place.name}.part"), place.with_name(f".{place.name}.old")


def _settle(place: Path) -> None:
    """Leave of a folder that was being put in place, or replaced, the one that is whole, under its name.

    Nobody else works there meanwhile, which the ledger's lock sees to.
    """
    building, old = _beside(place)
    if old.is_dir() and not place.exists():
        old.replace(place)
    for rest in (building, old):
        if rest.is_dir():
            shutil.rmtree(rest)


def settle_all(data: Path) -> None:
    """The same for all folders of a data set, of which a later run may ask for others only."""
    for ending in ("part", "old"):
        for rest in list(data.glob(f"sub-*/ses-*/.*-*.{ending}")):
            _settle(rest.with_name(rest.name[1 : -len(ending) - 1]))


def _bring_along(source: Path, target: Path, but: Container[str]) -> None:
    """Give what lies in a folder a second name in another: objects of earlier runs, and whatever its user put there."""
    for one in source.iterdir():
        if one.name in but:
            continue
        there = target / one.name
        if one.is_symlink():
            there.symlink_to(os.readlink(one))  # noqa: PTH115
        elif one.is_dir():
            there.mkdir()
            _bring_along(one, there, ())
        else:
            link(one, there)
