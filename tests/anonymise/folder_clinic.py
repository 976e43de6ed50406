"""A small folder of a clinic, as a batch or a user leaves it: two patients, names everywhere, and what is no DICOM."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from peers import course as courses
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.anonymise.audit import Anonymised

WHEN = datetime(2025, 11, 3, 10, 0)
SMITH, WEBER = "1234567", "7654321"
STRINGS = ("smith", "weber", SMITH, WEBER, "oberarzt")


def named(dataset: Dataset, name: str) -> Dataset:
    """The data set of a patient with a name."""
    dataset.PatientName = name
    return dataset


def slices(patient: str, name: str, count: int = 3, *, series: str = "ct") -> list[Dataset]:
    """CT slices of a patient."""
    where = courses.new_series(patient, series, description=f"Thorax {name.split('^')[0]} 5mm")
    return [named(courses.ct_slice(where, WHEN, number, cone_beam=False), name) for number in range(1, count + 1)]


def screen_save(patient: str, name: str) -> Dataset:
    """What shows the patient's name in its pixels."""
    shot = slices(patient, name, 1, series="screen")[0]
    shot.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    return shot


def clinic(folder: Path) -> Path:
    """Smith has a CT, a plan and portal images; Weber a CT; a note, a link and a DICOMDIR's like lie between."""
    smith = folder / f"sub-{SMITH}" / "Smith_John"
    plan = named(courses.plan("Smith_VMAT", patient=SMITH), "Smith^John")
    plan.ReviewerName = "Oberarzt^Otto"
    courses.write_all(slices(SMITH, "Smith^John"), smith / "00001-Thorax")
    courses.write_all([plan], smith / "00002-Plan")
    images = [named(image, "Smith^John") for image in courses.session(plan, WHEN, images=2).images]
    images[0].RTImageDescription = "seen by Oberarzt"
    courses.write_all(images, smith / "00003-Portal")
    courses.write_all(slices(WEBER, "Weber^Eva", 2), folder / f"sub-{WEBER}" / "Weber_Eva")
    (smith / "notes.txt").write_text("Smith John was here\n")
    return folder


def without_preamble(dataset: Dataset, path: Path) -> None:
    """A file that is a bare data set, implicit little endian from its first byte."""
    path.write_bytes(part10.encode(dataset, part10.IMPLICIT_LITTLE))


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a digest of what is in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def everything(folder: Path) -> list[str]:
    """Every name below a folder, folders too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def traces(folder: Path) -> list[str]:
    """Where one of the strings of the clinic is left, in a name or in the bytes of a file."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix().lower()
        raw = path.read_bytes().lower() if path.is_file() else b""
        found += [f"{relative}: {text}" for text in STRINGS if text in relative or text.encode() in raw]
    return found


def audit(folder: Path) -> dict[str, Any]:
    """The report of a run that names nobody."""
    found: dict[str, Any] = json.loads((folder / "audit.json").read_text())
    return found


def listed(done: Anonymised) -> dict[str, tuple[str, str]]:
    """What the private report says of each file."""
    assert done.audit is not None
    with (done.audit / "private.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: (row["became"], row["file or reason"]) for row in csv.DictReader(file)}
