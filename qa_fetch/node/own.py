"""A node's own objects as files, by what they belong to; for sending them on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

from .. import part10
from ..errors import NotFound
from . import index
from .options import NodeOptions

_FIELDS = {
    "PATIENT": "series__study__patient__PatientID",
    "STUDY": "series__study__StudyInstanceUID",
    "SERIES": "series__SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
_WORDS = {"STUDY": "study", "SERIES": "series", "IMAGE": "object"}


def files(options: NodeOptions, wanted: Mapping[str, Sequence[str]]) -> list[Path]:
    """The files of patients, studies, series and objects that a node holds; NotFound names the first it has not.

    Parameters
    ----------
    options
        The node's.
    wanted
        For each level (PATIENT, STUDY, SERIES, IMAGE) PatientIDs or UIDs.
    """
    found: dict[Path, Path] = {}
    with _opened(options) as (rows, path):
        for level, values in wanted.items():
            for value in values:
                some = _found(rows.filter(**{_FIELDS[level]: value}), path)
                if not some:
                    raise _absent(options, f"{_WORDS[level]} {value}" if level in _WORDS else "patient of this ID")
                found.update(some)
    return list(found)


def named(options: NodeOptions, uids: Sequence[str] = ()) -> list[Path]:
    """The files of what these UIDs name, whichever level they are of; without any, of everything."""
    return [path for path, _ in chosen(options, uids)]


def chosen(options: NodeOptions, uids: Sequence[str] = ()) -> list[tuple[Path, Path]]:
    """The same files, each with what it is called in a copy: a folder for each study and series."""
    found: dict[Path, Path] = {}
    with _opened(options) as (rows, path):
        for uid in uids:
            some = [_found(rows.filter(**{_FIELDS[level]: uid}), path) for level in _WORDS]
            if not any(some):
                raise _absent(options, f"study, series or object {uid}")
            for each in some:
                found.update(each)
        if not uids:
            found = _found(rows, path)
    return list(found.items())


def _found(rows: Any, path: Callable[[str], Path]) -> dict[Path, Path]:
    """Where objects lie, and what each is called in a copy."""
    found = {}
    uids = rows.order_by("series__study_id", "series_id", "pk").values_list(
        _FIELDS["STUDY"], _FIELDS["SERIES"], _FIELDS["IMAGE"]
    )
    for study, series, instance in uids.iterator():
        stems = [part10.file_stem(uid) for uid in (study, series, instance)]
        found[path(instance)] = Path(stems[0], stems[1], f"{stems[2]}.dcm")
    return found


@contextlib.contextmanager
def _opened(options: NodeOptions) -> Iterator[tuple[Any, Callable[[str], Path]]]:
    """A block in which the index is open: its objects, and where the object with a UID lies."""
    with index.opened(options):
        # These import the models, which exist only once Django is configured.
        from .models import Instance
        from .objects import ObjectStore

        yield Instance.objects.all(), ObjectStore(options).path


def _absent(options: NodeOptions, what: str) -> NotFound:
    return NotFound(f"the node in {options.data} has no {what}. Correct it, or see: qa-fetch node database find.")
