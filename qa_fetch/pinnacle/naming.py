"""What a patient's folder is called in the output: nothing of an archive is trusted to be a path."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from ..part10 import plain
from .records import Patient

_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)\Z", re.IGNORECASE)  # what Windows makes no folder of


def folders(patients: Sequence[Patient]) -> dict[str, str]:
    """The name of each patient's folder in the output, by its folder in the archive.

    The medical record number, or where there is none the folder's own name; with a mark where several patients of the
    archive would get the same. All patients of the archive are given, so that a choice among them changes no name.
    """
    names = {patient.folder: _name(patient) for patient in patients}
    uses = Counter(name.casefold() for name in names.values())
    return {
        folder: name if uses[name.casefold()] == 1 else f"{name}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}"
        for folder, name in names.items()
    }


def _name(patient: Patient) -> str:
    name = plain(patient.medical_record_number or "").strip("_")
    name = name or plain(PurePosixPath(patient.folder).name).strip("_") or "Patient"
    return f"patient_{name}" if _DEVICE.match(name) else name
