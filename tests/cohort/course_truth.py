"""Radiotherapy courses of known truth: ``make(Course(...))`` gives data sets and, in closed form, what must come out.

Written from DICOM and from mathematics alone, independent of qa_fetch.cohort: neither can hide the other's faults.
The scenarios of every code are in truth_scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def save(datasets: tuple[Dataset, ...], folder: Path) -> list[Path]:
    """Data sets as files ``<patient>/<study>/<modality>/<SOPInstanceUID>.dcm``, the studies numbered as they come."""
    studies: dict[str, int] = {}
    files = []
    for dataset in datasets:
        study = studies.setdefault(str(dataset.StudyInstanceUID), len(studies) + 1)
        where = folder / str(dataset.PatientID) / f"study{study}" / str(dataset.Modality)
        where.mkdir(parents=True, exist_ok=True)
        files.append(where / f"{dataset.SOPInstanceUID}.dcm")
        part10.write(dataset, files[-1])
    return files


def write(course: Course, folder: Path) -> Truth:
    """A course as files in a folder."""
    made = make(course)
    save(made.datasets, folder)
    return made.truth
