"""A cohort of anonymised patients: what the anonymiser leaves is linked, built and measured as before."""

from __future__ import annotations

import csv
from pathlib import Path

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
        cohort.slices(),
    ):
        assert (report.done, report.failed) == (1, 0)
    cohort.report()
    return cohort, listed.patient


def _doses(cohort: Cohort, patient: str) -> list[dict[str, str]]:
    table = cohort.settings.datadirectory / patient / "dosimetrydata" / f"{patient}_.csv"
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("profile", ["basic", "research-rt"])
def test_an_anonymised_course_gives_the_same_numbers(tmp_path: Path, profile: str) -> None:
    """UIDs still lead from dose to plan to structures to images, and no voxel, outline or dose has moved."""
    truth: Truth = write(quick(), tmp_path / "clear")
    Anonymiser(key=tmp_path / "trial.key", profile=profile).folder(tmp_path / "clear", to=tmp_path / "anonymous")
    before, patient = _gone_through(tmp_path / "clear", tmp_path / "before")
    after, pseudonym = _gone_through(tmp_path / "anonymous", tmp_path / "after")
    assert patient == truth.course.patient
    assert pseudonym != patient
    (standing,) = after.patients()
    assert (standing.status, standing.ready) == ("SUCCESS", True)
    clear, anonymous = _doses(before, patient), _doses(after, pseudonym)
    assert len(clear) == len(anonymous) == len(truth.course.regions())
    left_out = ("patient_id", "roi_name")
    for one, other in zip(clear, anonymous):
        assert {key: value for key, value in one.items() if key not in left_out} == {
            key: value for key, value in other.items() if key not in left_out
        }
    assert patient not in "".join(path.name for path in (tmp_path / "after").rglob("*"))
