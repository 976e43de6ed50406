"""A patient of an archive as files, for an engine that reads only these: through our own reader, so nothing escapes."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...errors import Incomplete
from ..records import Patient
from ..sources import Source


def unpack(source: Source, patient: Patient, to: Path) -> Path:
    """Write the regular files of a patient below a folder; gives the folder of its ``Patient`` file."""
    inside = f"{patient.folder}/" if patient.folder else ""
    for name in source.names():
        if not name.startswith(inside):
            continue
        target = to / name[len(inside) :]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open(name) as file, target.open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
        except OSError as error:
            raise Incomplete(
                f"{source.name} cannot be unpacked for the second engine ({error.strerror}). "
                "Free space in the temporary folder, or name another one by TMPDIR.",
                retriable=False,
            ) from error
    return to
