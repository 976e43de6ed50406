"""A plan as it was when a check began: fetched anew, and the same copy for that check ever after."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from peers import course as courses
from peers.course import PATIENT

from qa_fetch import Archive, ConfigError, NotFound, part10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    courses.write_all([courses.plan("WL_6X")], made)
    return made


def changed(folder: Path, meterset: float) -> None:
    """Change the plan in the archive under its UID, as a planning system does with parameters of delivery."""
    (path,) = folder.glob("*.dcm")
    dataset = part10.read(path)
    dataset.FractionGroupSequence[0].ReferencedBeamSequence[0].BeamMeterset = meterset
    part10.write(dataset, path)


def meterset(plan: object) -> float:
    return float(plan.dataset.FractionGroupSequence[0].ReferencedBeamSequence[0].BeamMeterset)  # type: ignore[attr-defined]


def test_a_plan_that_changed_under_its_uid_is_seen_by_the_next_check(folder: Path) -> None:
    """The copy on the shelf is not trusted for a check of today."""
    archive = Archive(f"folder:{folder}")
    yesterday = datetime.now() - timedelta(hours=20)
    assert meterset(archive.plan(PATIENT, "WL_6X")) == 100
    assert meterset(archive.plan(PATIENT, "WL_6X", as_of=yesterday)) == 100
    changed(folder, 110)
    assert meterset(archive.plan(PATIENT, "WL_6X")) == 100  # as documented: what is on the shelf is taken
    assert meterset(archive.plan(PATIENT, "WL_6X", as_of=datetime.now())) == 110


def test_the_same_check_sees_the_same_plan_again(folder: Path) -> None:
    """Also when the archive has another one by then, and when it is gone."""
    archive = Archive(f"folder:{folder}")
    began = datetime.now() - timedelta(minutes=5)
    assert meterset(archive.plan(PATIENT, "WL_6X", as_of=began)) == 100
    changed(folder, 110)
    assert meterset(archive.plan(PATIENT, "WL_6X", as_of=began)) == 100
    next(folder.glob("*.dcm")).unlink()
    again = archive.plan(PATIENT, "WL_6X", as_of=began)
    assert (meterset(again), again.label, again.approval) == (100, "WL_6X", "APPROVED")


def test_two_checks_at_the_same_moment_are_of_their_own_patients(folder: Path) -> None:
    """Units share the label of their plan, and pages begin at whole minutes."""
    courses.write_all([courses.plan("WL_6X", patient="QA_TB2")], folder)
    archive, began = Archive(f"folder:{folder}"), datetime.now() - timedelta(minutes=5)
    plans = [archive.plan(patient, "WL_6X", as_of=began) for patient in (PATIENT, "QA_TB2")]
    assert [str(plan.dataset.PatientID) for plan in plans] == [PATIENT, "QA_TB2"]
    with pytest.raises(NotFound, match="archive shows no plan for this patient"):
        archive.plan("QA_TB3", "WL_6X", as_of=began)


def test_a_plan_that_must_be_approved_is_another_question(folder: Path) -> None:
    """The answer to one is no answer to the other."""
    courses.write_all([courses.plan("DRAFT", approval="UNAPPROVED")], folder)
    archive, began = Archive(f"folder:{folder}"), datetime.now() - timedelta(minutes=5)
    assert archive.plan(PATIENT, "DRAFT", as_of=began).approval == "UNAPPROVED"
    with pytest.raises(NotFound, match="archive has no approved plan called DRAFT"):
        archive.plan(PATIENT, "DRAFT", approved=True, as_of=began)


def test_last_years_check_is_not_done_with_todays_plan(folder: Path) -> None:
    """What was not kept cannot be had from an archive."""
    with pytest.raises(NotFound) as raised:
        Archive(f"folder:{folder}").plan(PATIENT, "WL_6X", as_of="2024-11-03 10:00")
    assert str(raised.value) == (
        "archive cannot show the plan WL_6X as it was on 3 November 2024 10:00: archives do not keep that, and "
        "it is not on the shelf. Leave that record as it is."
    )


def test_a_check_in_the_future_is_refused(folder: Path) -> None:
    """Else it would be answered tomorrow with what was found today."""
    with pytest.raises(ConfigError) as raised:
        Archive(f"folder:{folder}").plan(PATIENT, "WL_6X", as_of="2999-01-01")
    assert str(raised.value) == (
        "1 January 2999 00:00 is still to come, so nobody can know the plan of then. "
        "Give the present (in QATrack+: Work Started)."
    )
