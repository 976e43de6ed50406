"""Where each series goes: ``sub-ID/ses-DATETIME/NNNNN-Description``, and no two series into one folder.

What is not whole lies in folders whose names begin with a dot, so whoever reads a data set passes those by.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..part10 import plain


class Layout:
    """Gives every series a folder of its own; what an earlier run has given stays as it is."""

    def __init__(self) -> None:
        self._series: dict[str, str] = {}
        self._patients: dict[str, str] = {}

    def keep(self, folder: str, series: str, patient: str) -> None:
        """What an earlier run has given belongs to whom it was given."""
        self._series[folder.casefold()] = series
        self._patients[folder.partition("/")[0].casefold()] = patient

    def folder(self, series: str, facts: Mapping[str, str]) -> str:
        """The folder of a series below the output folder, with ``/`` between its parts."""
        patient = facts.get("PatientID", "")
        subject = _free(f"sub-{plain(patient) or 'unknown'}", patient, self._patients)
        session = "ses-" + (_moment(facts.get("StudyDate", ""), facts.get("StudyTime", "")) or "undated")
        number = plain(facts.get("SeriesNumber", "")).zfill(5)
        description = plain(facts.get("SeriesDescription", "")) or "No_series_description"
        return _free(f"{subject}/{session}/{number}-{description}", series, self._series)


def series_of(root: Path) -> list[Path]:
    """The folders of the series in a data set, in the order of their names."""
    # Before Python 3.11 a pattern that ends with a slash finds files too, and a star finds names with a dot everywhere.
    found = sorted(root.glob("sub-*/ses-*/*"))
    return [place for place in found if not place.name.startswith(".") and place.is_dir()]


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in the order of their names."""
    for below, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(below) / name for name in sorted(names))


def _free(name: str, owner: str, taken: dict[str, str]) -> str:
    """The name, or where it belongs to another owner the name with a mark of this one; letter case does not tell."""
    if taken.setdefault(name.casefold(), owner) == owner:
        return name
    marked = f"{name}-{hashlib.sha256(owner.encode()).hexdigest()[:8]}"
    taken[marked.casefold()] = owner
    return marked


def _moment(day: str, clock: str) -> str:
    """StudyDate and StudyTime as the archive has them, as far as they are digits."""
    return re.sub("[^0-9.]", "", day + clock) if day else ""
