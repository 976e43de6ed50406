"""Converting one patient from all archives that hold it, in a folder of its own beside the shelf."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import part10
from ..errors import Ambiguous, BadArchive, ConnectionFailed, NotFound
from ..locks import FileLock
from ..matching import query
from ..pinnacle.export import export
from ..pinnacle.sources import UNREAD
from ..pinnacle.uids import Uids
from ..shelf.disk import make_folder, remove_tree, sentences
from .pinnacle_folder import Held
from .pinnacle_index import Header, Known

_log = logging.getLogger("qa_fetch.backends")

# What is kept of each object, so that questions are answered without converting again.
KEPT = tuple(
    dict.fromkeys(
        "PatientID PatientName PatientBirthDate PatientSex "
        "StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber "
        "SeriesInstanceUID SeriesNumber SeriesDate SeriesTime SeriesDescription Modality Manufacturer StationName "
        "ManufacturerModelName FrameOfReferenceUID BodyPartExamined PatientPosition "
        "SOPInstanceUID SOPClassUID InstanceNumber ImageType AcquisitionDate AcquisitionTime ContentDate ContentTime "
        "InstanceCreationDate InstanceCreationTime AcquisitionNumber Rows Columns NumberOfFrames SliceThickness "
        "RTPlanLabel RTPlanName RTPlanDate RTPlanTime ApprovalStatus StructureSetLabel StructureSetDate DoseType "
        "DoseUnits DoseSummationType RTImageLabel RTImageDescription KVP ExposureSequence "
        "ReferencedRTPlanSequence ReferencedSOPClassUID ReferencedSOPInstanceUID".split()
    )
)
_RUBBISH = (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError)  # of a kept file's own values
_LOCK = ".lock"
_PLAN = re.compile(r"\bplan[ _](\d+)\b", re.IGNORECASE)  # how reports name what belongs to a plan


class Conversion:
    """The files of one patient, as long as they are needed; ``close`` removes them.

    Whoever works in a folder holds its lock, so that what a killed process has left can be told, and goes.
    """

    def __init__(self, place: Path) -> None:
        self.files: list[Path] = []
        self._parent = place / "work"
        with sentences(place, "converting"):
            make_folder(self._parent)
            self._sweep()
            descriptor, name = tempfile.mkstemp(suffix=_LOCK, dir=self._parent)
            os.close(descriptor)
            self._lock = FileLock(Path(name))
            self._lock.try_acquire()  # a lock without a folder is nobody else's business
            self._folder = make_folder(Path(name[: -len(_LOCK)]))

    def convert(self, held: Sequence[Held]) -> Known:
        """Convert a patient; what its objects are, and what was left out of it.

        Parameters
        ----------
        held
            The patient in each archive that holds it, the archive that was written last at the end.
        """
        dropped = superseded(held)
        found: dict[str, Path] = {}
        skipped: dict[str, None] = {}
        warnings = 0
        for number in reversed(range(len(held))):  # where archives have the same image, that of the newest is taken
            one = held[number]
            try:
                report = export(one.archive, self._folder / str(number), patient=one.patient.folder or None)
            except (Ambiguous, BadArchive, NotFound) as error:
                if len(held) == 1:
                    raise
                if getattr(error, "by_system", False):
                    raise
                skipped[f"one of its archives: {error.message}"] = None
                continue
            for converted in report.patients:
                _require_read(one.archive.name, converted.origin.refused.values())
            for written in report.written:
                if written.plan not in dropped[number]:
                    found.setdefault(written.sop_instance, written.path)
            warnings += len(report.warnings)
            for left in report.skipped:
                plan = _PLAN.search(left.what)
                if plan is None or int(plan[1]) not in dropped[number]:
                    skipped[f"{left.what}: {left.reason}"] = None
        _log.info("converted a patient: objects: %d, left out: %d, warnings: %d", len(found), len(skipped), warnings)
        self.files = list(found.values())
        return Known([_header(path) for path in self.files], list(skipped))

    def _sweep(self) -> None:
        """Remove what killed processes have left."""
        for folder in self._parent.iterdir():
            if folder.is_dir():
                lock = FileLock(_lock_of(folder))
                if lock.try_acquire():
                    _clear(folder, lock)

    def close(self) -> None:
        """Remove the files."""
        self.files = []
        with sentences(self._parent, "clearing"):
            _clear(self._folder, self._lock)


def _require_read(archive: str, refused: Iterable[str]) -> None:
    """What a disk or a share would not give now may be had tomorrow, so it is not noted as left out."""
    unread = [reason for reason in refused if reason.startswith(UNREAD)]
    if unread:
        raise ConnectionFailed(
            f"files of {archive} that cannot be read: {len(unread)} ({unread[0]}), so nothing of this patient is used. "
            "Check the disk or the share and the rights of this user there, and call again; or have what can be had "
            "with a report: qa-fetch pinnacle export."
        )


def superseded(held: Sequence[Held]) -> list[set[int]]:
    """For each archive the numbers of the plans that another one has too: the same plan, or a newer version of it."""
    dropped: list[set[int]] = [set() for _ in held]
    plans = [
        (entry.written or "", not one.problem, place, entry.number)
        for place, one in enumerate(held)
        for entry in one.patient.plans
    ]
    seen: set[object] = set()
    for _, _, place, number in sorted(plans, reverse=True):
        identity = Uids(held[place].patient).uid("plan", number)
        content = (number, held[place].digests.get(number))
        if identity in seen or content in seen:
            dropped[place].add(number)
            if content not in seen:
                _log.info("plan %d of a patient is in two archives in two versions; the newer one counts", number)
        seen.update((identity, content))
    return dropped


def row_of(header: Header) -> Any:
    """An answer from what was kept of an object."""
    return query("IMAGE", header)


def _header(path: Path) -> Header:
    """What is kept of an object: the text of its values, and of those of a few sequences."""
    return _kept(part10.read(path, headers_only=True, keywords=[*KEPT, "SpecificCharacterSet"]))


def _kept(dataset: Any) -> Header:
    kept: Header = {}
    for keyword in KEPT:
        try:
            element = dataset[keyword] if keyword in dataset else None
            if element is None or element.VM == 0 and element.VR != "SQ":
                continue
            if element.VR == "SQ":
                kept[keyword] = [_kept(item) for item in element.value]
            else:
                kept[keyword] = str(element.value) if element.VM == 1 else [str(value) for value in element.value]
        except _RUBBISH:  # in a file that was in the archive as it is: what cannot be read says nothing
            continue
    return kept


def _clear(folder: Path, lock: FileLock) -> None:
    """Remove a folder and then its lock, which is held."""
    if folder.is_dir():
        remove_tree(folder)
    lock.release()
    _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)
