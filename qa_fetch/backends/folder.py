"""A folder of DICOM files as an archive: what a test, an export or a stick holds."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from .. import part10
from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConfigError, ConnectionFailed, Incomplete
from ..matching import Value
from ..shelf import Claim, Reference
from . import Local, Sent, Step
from .levels import answered, check_level

log = logging.getLogger("qa_fetch.backends")


class FolderBackend:
    """Every DICOM file below a folder; other files are left alone."""

    relational = True

    def __init__(self, archive: ArchiveConfig, local: Local) -> None:
        self.name = archive.name
        self._root: Path = archive["path"]
        if not self._root.is_dir():
            raise ConfigError(f"{self.name}: {self._root} is not a folder. Correct path.")

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Entities of a level that fit the keys."""
        level = check_level(level)
        headers = [_copy(header) for _, header in self._headers(budget)]
        return answered(headers, level, keys, returned)

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Copy files into the claim."""
        for path, header in self._headers(budget):
            if budget.spent:
                return
            if claim.wants(part10.clean_uid(header.SOPInstanceUID)):
                claim.take_file(path)

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Copy files into the folder under their UIDs; nothing that is there is overwritten."""
        return [Sent(path, self._store_one(path)) for path in files]

    def _store_one(self, path: Path) -> str:
        try:
            data = path.read_bytes()
            identity = part10.split(data, path.name).identity()
        except BadArchive as error:
            return error.message
        target = self._root / f"{part10.file_stem(identity.sop_instance)}.dcm"
        if target.exists():
            same = target.read_bytes() == data
            return "" if same else f"{self.name} already has another object under the UID of {path.name}"
        partial = target.with_suffix(".part")
        shutil.copyfile(path, partial)
        partial.replace(target)
        return ""

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Whether the folder is there and holds DICOM files."""
        count = sum(1 for _ in self._headers(budget))
        yield Step("folder", True, f"{self._root} can be read")
        yield Step("objects", True if count else None, f"DICOM objects in it: {count}")
        if patient:
            plans = self.find("IMAGE", {"PatientID": patient, "Modality": "RTPLAN"}, [], budget)
            yield Step("patient", bool(plans), f"plans of that patient: {len(plans)}")

    def close(self) -> None:
        """Nothing is held open."""

    def _headers(self, budget: Budget) -> Iterator[tuple[Path, Any]]:
        """Each DICOM file with its header, by path; files are read once per change."""
        for folder, names, files in os.walk(self._root, onerror=self._refuse):
            names.sort()
            for name in sorted(files):
                if budget.spent:
                    raise ConnectionFailed(
                        f"{self.name} holds more files than can be read within {budget}. "
                        "Call again to go on from there, or allow more with budget=."
                    )
                path = Path(folder) / name
                try:
                    state = path.stat()
                    header = _header(path, state.st_size, state.st_mtime_ns)
                except FileNotFoundError:
                    continue  # removed meanwhile, or a link that leads nowhere
                except OSError as error:
                    self._refuse(error)
                if header is not None:
                    yield path, header

    def _refuse(self, error: OSError) -> NoReturn:
        """What cannot be read may be part of any set, so none would be whole; no path is told, as it may name one."""
        raise Incomplete(
            f"a part of {self.name} cannot be read ({error.strerror}). Check its permissions and its disk, then try "
            "again."
        ) from None


@lru_cache(maxsize=50_000)
def _header(path: Path, size: int, changed: int) -> Any:
    """A file's header, or None for what is not DICOM: a folder may hold anything."""
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return None
    header: Any = {}
    with contextlib.suppress(BadArchive):
        header = part10.read(path, headers_only=True)
    if "SOPInstanceUID" in header:
        return header
    if path.name.upper() != "DICOMDIR":  # the index of a medium, which is no object
        log.warning("a file of a folder archive begins as DICOM and cannot be read, so it is left out.")
    return None


def _copy(header: Any) -> Any:
    """A row of its own, so that whoever gets it may change it."""
    from pydicom.dataset import Dataset

    row = Dataset()
    row.update(header)
    return row
