"""Small archives for migrations, quickly made and quickly converted, and digests to see that they stay as they are."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import phantom
import phantom_breakages
import pydicom
from phantom_course import SIZES, Course, Geometry

from qa_fetch.migrate import Migration, migrate

SLICES = 9
SIZES["few slices"] = replace(
    SIZES["small"], ct=Geometry((64, 48, SLICES), (0.5, 0.4, 0.7), (-15.25, -8.6, -3.1)), contours=3
)
WHOLE = ["CT"] * SLICES + ["RTDOSE", "RTPLAN", "RTSTRUCT"]  # the modalities of a patient with one plan of one trial


def course(identifier: str, **more: Any) -> Course:
    """A patient with one beam."""
    return Course(identifier=identifier, **{"beams": ("static",), "size": "few slices", **more})


def prints(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder, with a digest of its bytes and when it was written."""
    return {
        path.relative_to(folder).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def made(folder: Path) -> Path:
    """Archives that tests copy: of two patients, of both in one, and of one with two plans."""
    phantom.write(course("P1", last_name="Dupont"), folder / "one.tar")
    phantom.write(course("P2", last_name="Müller", seed=2), folder / "two.tar.gz")
    phantom.write(course("P3", patients=2, seed=3), folder / "both.tar")
    phantom.write(course("P1", last_name="Dupont", plans=2), folder / "later.tar")
    return folder


def listed(folder: Path, **statuses: str) -> Path:
    path = folder / "patients.csv"
    path.write_text("".join(f"{name};{status}\n" for name, status in [("patient_id", "status"), *statuses.items()]))
    return path


def moved(list_: Path, tars: Path, **more: Any) -> Migration:
    """A migration in this process."""
    more.setdefault("to", list_.parent / "import")
    return migrate(list_, tars, where="threads", workers=1, **more)


def states(done: Migration) -> dict[str, str]:
    return {entry.patient: entry.state for entry in done.entries}


def delivered(folder: Path) -> dict[str, list[str]]:
    """What lies in an import folder: the modalities of each patient's objects."""
    return {
        place.name: sorted(pydicom.dcmread(path, stop_before_pixels=True).Modality for path in place.rglob("*.dcm"))
        for place in folder.iterdir()
    }


def broken(tars: Path, name: str, kind: str, identifier: str = "P5") -> None:
    """An archive with one of the breakages of the facts."""
    breakage = phantom_breakages.BREAKAGES[kind]
    folder = tars.parent / "broken"
    phantom.write(course(identifier), folder)
    if not breakage.of_tar:
        breakage(folder)
    phantom.packed(folder, tars / name)
    if breakage.of_tar:
        breakage(tars / name)
    shutil.rmtree(folder)
