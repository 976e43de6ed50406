"""A node's own objects as files, by what they belong to; for sending them on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

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
    found: dict[Path, None] = {}
    with _opened(options) as (rows, path):
        for level, values in wanted.items():
            for value in values:
                uids = _uids(rows.filter(**{_FIELDS[level]: value}))
                if not uids:
                    raise _absent(options, f"{_WORDS[level]} {value}" if level in _WORDS else "patient of this ID")
                found.update(dict.fromkeys(map(path, uids)))
    return list(found)


def named(options: NodeOptions, uids: Sequence[str] = ()) -> list[Path]:
    """The files of what these UIDs name, whichever level they are of; without any, of everything."""
    found: dict[Path, None] = {}
    with _opened(options) as (rows, path):
        for uid in uids:
            below = [_uids(rows.filter(**{_FIELDS[level]: uid})) for level in _WORDS]
            if not any(below):
                raise _absent(options, f"study, series or object {uid}")
            found.update(dict.fromkeys(path(one) for some in below for one in some))
        if not uids:
            found.update(dict.fromkeys(map(path, _uids(rows))))
    return list(found)


def _uids(rows: Any) -> list[str]:
    return list(rows.order_by("series_id", "pk").values_list("SOPInstanceUID", flat=True))


@contextlib.contextmanager
def _opened(options: NodeOptions) -> Iterator[tuple[Any, Callable[[str], Path]]]:
    """A block in which the index is open: its objects, and where the object with a UID lies."""
    index.start(options)
    # These import the models, which exist only once Django is configured.
    from .models import Instance
    from .objects import ObjectStore

    try:
        yield Instance.objects.all(), ObjectStore(options).path
    finally:
        index.close_this_thread()


def _absent(options: NodeOptions, what: str) -> NotFound:
    return NotFound(f"the node in {options.data} has no {what}. Correct it, or see: qa-fetch node database find.")
