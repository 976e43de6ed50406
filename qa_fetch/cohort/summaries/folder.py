"""Summaries from a folder of DICOM files: every file is looked at once to know whose it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, Optional

from ... import part10
from ...archive import Archive
from ...errors import BadArchive, ConfigError, Incomplete
from ..columns import NEEDED, orthanc_identifier
from .source import Listed, Row, along, header_of, in_order, log, row

_KEYWORDS = tuple(sorted(NEEDED))


class FolderSource:
    """Every DICOM file below a folder; other files are left alone."""

    def __init__(self, archive: Archive) -> None:
        self.name = archive.name
        self._root: Path = archive.config["path"]
        if not self._root.is_dir():
            raise ConfigError(f"{self.name}: {self._root} is not a folder. Correct path.")
        self._guard = threading.Lock()
        self._files: Optional[dict[str, list[Path]]] = None

    def patients(self) -> list[Listed]:
        """Every patient that a file is of."""
        return in_order((Listed(patient, orthanc_identifier(patient)) for patient in self._index()), self.name)

    def rows(self, listed: Listed, modalities: Collection[str]) -> list[Row]:
        """One row for each object of these modalities; an object that lies there twice counts once."""
        series: dict[str, list[Row]] = {}
        seen: set[str] = set()
        for path in self._index().get(listed.patient, ()):
            header = self._header(path, _KEYWORDS)
            if header is None:
                raise Incomplete(f"a file in {self._root} was changed while it was read. Run again.")
            found = header_of(header)
            uid = found.get("SOPInstanceUID", "")
            if found.get("Modality") not in modalities or uid in seen:
                continue
            seen.add(uid)
            line = row(found, listed.patient, found, found)
            series.setdefault(line["SeriesInstanceUID"], []).append(line)
        return [line for uid in sorted(series) for line in along(series[uid])]

    def _index(self) -> dict[str, list[Path]]:
        with self._guard:
            if self._files is None:
                found: dict[str, list[Path]] = {}
                for path in _files_below(self._root):
                    header = self._header(path, ("PatientID", "SOPInstanceUID"))
                    if header is not None and "SOPInstanceUID" not in header:
                        self._leave_out(path)
                    elif header is not None:
                        patient = str(header.get("PatientID") or "").strip("\0 ")
                        found.setdefault(patient, []).append(path)
                self._files = found  # only when all are known: what was looked at by half is no list
            return self._files

    def _header(self, path: Path, keywords: tuple[str, ...]) -> Any:
        """These values of a file; None for what is not DICOM: a folder may hold anything."""
        try:
            with path.open("rb") as file:
                if file.read(132)[128:] != b"DICM":
                    return None
            return part10.read(path, headers_only=True, keywords=keywords)
        except FileNotFoundError:
            return None  # removed meanwhile, or a link that leads nowhere
        except OSError as error:
            raise _unreadable(error) from None
        except BadArchive:
            self._leave_out(path)
            return None

    def _leave_out(self, path: Path) -> None:
        """Say that a broken file is left out, though not which: its name may be a patient's."""
        if path.name.upper() != "DICOMDIR":  # the index of a medium, which is no object
            log.warning("%s: a file that begins as DICOM cannot be read and is left out.", self.name)


def _files_below(root: Path) -> list[Path]:
    return sorted(Path(folder) / name for folder, _, names in os.walk(root, onerror=_refuse) for name in names)


def _refuse(error: OSError) -> None:
    raise _unreadable(error) from None


def _unreadable(error: OSError) -> Incomplete:
    """What cannot be read may be part of any patient, so that nobody is whole without it; no path, it may name one."""
    return Incomplete(
        f"a part of the folder archive cannot be read ({error.strerror}). Check its permissions and its disk, "
        "then run again."
    )
