"""The objects that an address names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from .... import part10
from ...models import Instance
from .. import here
from .answering import Refused
from .joined import Stretch

_KEYS = {
    "study": "series__study__StudyInstanceUID",
    "series": "series__SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
# What stands in an address is looked up as it is; anything that a query would take for a pattern or a list is no UID.
_UID = re.compile(r"[!-~]{1,256}\Z")
_NOT_IN_UIDS = frozenset("*?\\,/")
_NAMES = {"study": "study", "series": "series", "instance": "object"}


class Held(NamedTuple):
    """An object of the node."""

    SOPInstanceUID: str
    SOPClassUID: str
    TransferSyntaxUID: str
    digest: str
    study: str
    series: str

    @property
    def path(self) -> Path:
        """Its file."""
        return here.objects().path(self.SOPInstanceUID)

    @property
    def address(self) -> str:
        """Where DICOMweb has it."""
        return f"{series_address(self.study, self.series)}/instances/{quoted(self.SOPInstanceUID)}"

    def file(self) -> Stretch:
        """Its file as a whole; OSError where that is gone."""
        path = str(self.path)
        return Stretch(path, 0, os.stat(path).st_size)  # noqa: PTH116 - a Path's own costs twice as much

    @contextmanager
    def opened(self) -> Iterator[part10.Part10]:
        """Its file, mapped."""
        with self.path.open("rb") as file, part10.opened(file, "its file") as content:
            yield content


def study_address(study: str) -> str:
    """The address of a study, below the node's own."""
    return f"/dicom-web/studies/{quoted(study)}"


def series_address(study: str, series: str) -> str:
    """The address of a series."""
    return f"{study_address(study)}/series/{quoted(series)}"


def quoted(uid: str) -> str:
    """A UID as part of an address; peers store objects whose UIDs are none."""
    return quote(uid, safe="")


def check_uids(uids: Mapping[str, str]) -> None:
    """Refuse what cannot be a UID."""
    for uid in uids.values():
        if not _UID.match(uid) or _NOT_IN_UIDS & set(uid):
            raise Refused(400, "a part of this address is not a UID. Write UIDs as digits and dots.")


def found(uids: Mapping[str, str]) -> Sequence[Held]:
    """The objects of a study, of a series, or the one with a UID; 404 where there is none."""
    check_uids(uids)
    rows: Any = Instance.objects.filter(**{_KEYS[level]: uid for level, uid in uids.items()}).order_by("pk")
    columns = ("SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID", "digest", _KEYS["study"], _KEYS["series"])
    held = [Held(*values) for values in rows.values_list(*columns)]
    if not held:
        name = _NAMES[list(uids)[-1]]
        raise Refused(404, f"this node holds no {name} with this UID. Search for it first.")
    return held
