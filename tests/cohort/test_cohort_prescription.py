"""The prescription of a plan: what is clear about it, and why the rest is not."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from pydicom.dataset import Dataset

from qa_fetch.cohort.prescription import Target, read

TODO = "Give the prescription yourself where you need it."


def item(**values: Any) -> Dataset:
    """A data set of these attributes."""
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def goal(dose: Optional[float], **more: Any) -> Dataset:
    """A dose reference."""
    given = item(DoseReferenceType="TARGET", **more)
    if dose is not None:
        given.TargetPrescriptionDose = str(dose)
    return given


def group(fractions: Optional[int], *beams: Optional[float]) -> Dataset:
    """A fraction group."""
    listed = [item() if dose is None else item(BeamDose=str(dose)) for dose in beams]
    given = item(ReferencedBeamSequence=listed)
    if fractions is not None:
        given.NumberOfFractionsPlanned = str(fractions)
    return given


def plan(goals: list[Dataset], *groups: Dataset) -> Dataset:
    """A plan."""
    return item(DoseReferenceSequence=goals, FractionGroupSequence=list(groups))


def test_a_plan_with_one_target_is_clear() -> None:
    """The dose over all fractions in Gy, and in cGy as PDCP has it."""
    given = goal(60, ReferencedROINumber="7", DoseReferenceDescription="PTV_60 ")
    organ = item(DoseReferenceType="ORGAN_AT_RISK", TargetPrescriptionDose="20")
    found = read(plan([given, organ], group(30, 1.2, 0.8)))
    assert (found.dose, found.cgy, found.fractions, found.highest) == (60.0, 6000.0, 30, 60.0)
    assert (found.targets, found.reasons) == ((Target(60.0, 7, "PTV_60"),), ())


def test_the_same_dose_to_several_targets_is_one() -> None:
    """Two volumes of 50 Gy."""
    found = read(plan([goal(50), goal(50.001)], group(25)))
    assert found.dose == pytest.approx(50, abs=0.01) and found.reasons == ()


def test_a_simultaneous_boost_has_no_one_dose() -> None:
    """None of them is chosen; the highest is there for who wants it."""
    found = read(plan([goal(60.2), goal(50.4)], group(28, 2.15)))
    assert (found.dose, found.cgy, found.highest, found.fractions) == (None, None, 60.2, 28)
    assert found.reasons == (
        f"The plan prescribes several doses (50.4, 60.2 Gy), and none of them is that of all. {TODO}",
    )


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        (
            plan([goal(None)], group(25, 1.0, 1.0)),
            (f"The plan names no TargetPrescriptionDose; its beams give 50 Gy at their own points. {TODO}",),
        ),
        (plan([goal(0)], group(25, None)), (f"The plan names no TargetPrescriptionDose. {TODO}",)),
        (
            plan([goal(5000)], group(25)),
            (
                f"A TargetPrescriptionDose is 5000, which is none in Gy; it was left out. {TODO}",
                f"The plan names no TargetPrescriptionDose. {TODO}",
            ),
        ),
        (
            plan([goal(2)], group(25, 1.1, 0.9)),
            (
                "TargetPrescriptionDose is 2 Gy, but the beams give 50 Gy in 25 fractions, so it may be that of one. "
                f"{TODO}",
            ),
        ),
    ],
)
def test_a_dose_that_is_not_sure_is_left_out(given: Dataset, reasons: tuple[str, ...]) -> None:
    """Missing, in another unit, or of one fraction only."""
    found = read(given)
    assert (found.dose, found.fractions, found.reasons) == (None, 25, reasons)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([], "The plan has no fraction group, so its number of fractions is not clear. "),
        ([group(25), group(5)], "The plan has 2 fraction groups, so its number of fractions is not clear. "),
        ([group(None, 2.0)], "The plan has no usable NumberOfFractionsPlanned. "),
        ([group(0)], "The plan has no usable NumberOfFractionsPlanned. "),
    ],
)
def test_fractions_that_are_not_sure_are_left_out(groups: list[Dataset], reason: str) -> None:
    """The dose stays."""
    found = read(plan([goal(50)], *groups))
    assert (found.dose, found.fractions) == (50.0, None)
    assert found.reasons == (f"{reason}Give it yourself where you need it.",)


def test_an_empty_plan_is_no_reason_to_stop() -> None:
    """Both are unknown, and said to be."""
    found = read(Dataset())
    assert (found.dose, found.fractions, found.targets, found.highest) == (None, None, (), None)
    assert len(found.reasons) == 2
