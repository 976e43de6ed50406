"""Radiotherapy courses of known truth: ``make(Course(...))`` gives data sets and, in closed form, what must come out.

Written from DICOM and from mathematics alone, independent of qa_fetch.cohort: neither can hide the other's faults.
The scenarios of every code are in truth_scenarios.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.dataset import Dataset
from truth_course import DAMAGES, Chain, Course, Edge, Plan, Truth
from truth_dose import ExactDvh, Linear, Radial, Spherical, eqd2
from truth_objects import all_of
from truth_rois import Roi, catalogue, few

from qa_fetch import part10

__all__ = [
    "DAMAGES",
    "Chain",
    "Course",
    "Edge",
    "ExactDvh",
    "Linear",
    "Made",
    "Plan",
    "Radial",
    "Roi",
    "Spherical",
    "Truth",
    "catalogue",
    "eqd2",
    "few",
    "make",
    "save",
    "write",
]


@dataclass(frozen=True)
class Made:
    """A course as data sets, and its truth."""

    datasets: tuple[Dataset, ...]
    truth: Truth

    def of(self, modality: str) -> list[Dataset]:
        """Its objects of one modality."""
        return [dataset for dataset in self.datasets if dataset.Modality == modality]


def make(course: Course) -> Made:
    """Every object of a course in memory, and what must come out of it."""
    datasets = tuple(all_of(course))
    there = {str(dataset.Modality) for dataset in datasets}
    plans = tuple(course.uid("RTPLAN", which) for which in range(len(course.plans)) if "RTPLAN" in there)
    doses = tuple(course.uid("RTDOSE", which) for which in range(len(course.plans)) if "RTDOSE" in there)
    chain = Chain(
        course.uid("CT", "series") if "CT" in there else None,
        course.uid("RTSTRUCT") if "RTSTRUCT" in there else None,
        plans,
        doses,
    )
    studies = sorted({str(dataset.StudyInstanceUID) for dataset in datasets})
    instances = tuple(str(dataset.SOPInstanceUID) for dataset in datasets)
    return Made(datasets, Truth(course, chain, tuple(_edges(course, chain)), tuple(studies), instances))


def _edges(course: Course, chain: Chain) -> list[Edge]:
    """The links between objects that are both there, from the one that says so to the one it names."""
    found: list[tuple[Any, Any, str]] = [
        (chain.structure_set, chain.ct_series, "uid" if course.structures_link == "series" else "frame")
    ]
    found += [(plan, chain.structure_set, "uid") for plan in chain.plans]
    for which, dose in enumerate(chain.doses):
        if course.dose_link == "plan":
            found.append((dose, chain.plans[which] if chain.plans else None, "uid"))
        if course.dose_link == "structures" or course.dvh_of:
            found.append((dose, chain.structure_set, "uid"))
        if course.dose_link == "frame":
            found.append((dose, chain.ct_series, "frame"))
    return [Edge(source, target, evidence) for source, target, evidence in found if source and target]


class File(NamedTuple):
    """An object as a file."""

    patient: str
    study: str
    modality: str
    uid: str
    data: bytes


def _file(dataset: Dataset) -> File:
    data = BytesIO()
    part10.write(dataset, data)
    names = [str(dataset[key].value) for key in ("PatientID", "StudyInstanceUID", "Modality", "SOPInstanceUID")]
    return File(names[0], names[1], names[2], names[3], data.getvalue())


def _saved(files: Iterable[File], folder: Path) -> list[Path]:
    studies: dict[str, int] = {}
    paths = []
    for file in files:
        study = studies.setdefault(file.study, len(studies) + 1)
        where = folder / file.patient / f"study{study}" / file.modality
        where.mkdir(parents=True, exist_ok=True)
        paths.append(where / f"{file.uid}.dcm")
        paths[-1].write_bytes(file.data)
    return paths


def save(datasets: tuple[Dataset, ...], folder: Path) -> list[Path]:
    """Data sets as files ``<patient>/<study>/<modality>/<SOPInstanceUID>.dcm``, the studies numbered as they come."""
    return _saved(map(_file, datasets), folder)


@functools.lru_cache(maxsize=32)
def _written(course: Course) -> tuple[tuple[File, ...], Truth]:
    """Each course as files once; its data sets are not kept, since a test may change its own."""
    made = make(course)
    return tuple(map(_file, made.datasets)), made.truth


def write(course: Course, folder: Path) -> Truth:
    """A course as files in a folder."""
    files, truth = _written(course)
    _saved(files, folder)
    return truth
