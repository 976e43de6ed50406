"""A cohort of anonymised patients: what the anonymiser leaves is linked, built and measured as before."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import pytest
from course_truth import Truth, write
from truth_codes import config
from truth_scenarios import quick

from qa_fetch import Anonymiser
from qa_fetch.cohort import Cohort
from qa_fetch.cohort.config import settings


def _cohort(archive: Path, folder: Path) -> Cohort:
    keys = config(folder, archive=f"folder:{archive}", possibilities=[])  # a profile may take the names of regions
    del keys["ipport"]
    return Cohort(settings(keys, as_json=True))


def _gone_through(archive: Path, folder: Path) -> tuple[Cohort, str]:
    """A cohort after all of its steps, and its one patient."""
    cohort = _cohort(archive, folder)
    (listed,) = cohort.ids()
    for report in (
        cohort.summarise(),
        cohort.verify(),
        cohort.build(where="threads"),
        cohort.dvh(where="threads"),
        cohort.slices(where="threads"),
    ):
        assert (report.done, report.failed) == (1, 0)
    cohort.report()
    return cohort, listed.patient


def _doses(cohort: Cohort, patient: str) -> list[dict[str, str]]:
    table = cohort.settings.datadirectory / patient / "dosimetrydata" / f"{patient}_.csv"
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Clear(NamedTuple):
    """A patient before anything is taken away."""

    archive: Path
    truth: Truth
    doses: list[dict[str, str]]


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Clear:
    """The same for every profile."""
    folder = tmp_path_factory.mktemp("clear")
    truth = write(quick(), folder / "archive")
    cohort, patient = _gone_through(folder / "archive", folder / "cohort")
    assert patient == truth.course.patient
    return Clear(folder / "archive", truth, _doses(cohort, patient))


@pytest.mark.parametrize("profile", ["basic", "research-rt"])
def test_an_anonymised_course_gives_the_same_numbers(clear: Clear, tmp_path: Path, profile: str) -> None:
    """UIDs still lead from dose to plan to structures to images, and no voxel, outline or dose has moved."""
    Anonymiser(key=tmp_path / "trial.key", profile=profile).folder(clear.archive, to=tmp_path / "anonymous")
    after, pseudonym = _gone_through(tmp_path / "anonymous", tmp_path / "after")
    patient = clear.truth.course.patient
    assert pseudonym != patient
    (standing,) = after.patients()
    assert (standing.status, standing.ready) == ("SUCCESS", True)
    anonymous = _doses(after, pseudonym)
    assert len(clear.doses) == len(anonymous) == len(clear.truth.course.regions())
    left_out = ("patient_id", "roi_name")
    for one, other in zip(clear.doses, anonymous):
        assert {key: value for key, value in one.items() if key not in left_out} == {
            key: value for key, value in other.items() if key not in left_out
        }
    assert patient not in "".join(path.name for path in (tmp_path / "after").rglob("*"))
