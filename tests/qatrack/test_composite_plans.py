"""Plans compared with what was approved: whatever decides how they are delivered shows, in words."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from pathlib import Path

import phantom_plans
import pytest
from phantom_plans import LABEL, daily_plan
from pydicom.dataset import Dataset

from qa_fetch import Archive, BadArchive
from qa_fetch.composite import Results, plan_changes, plan_facts
from qa_fetch.demo.objects import Course, write

MADE = datetime(2026, 11, 2, 9, 30)
PATIENT = "QA_DAILY"


@pytest.fixture
def approved() -> Dataset:
    return daily_plan(Course(PATIENT, "C1", MADE), MADE)


def facts(plan: Dataset, folder: Path) -> Results:
    """What a page finds out about a plan in an archive, after it has been through a record."""
    write([plan], folder)
    found = plan_facts(Archive(f"folder:{folder}").plan(PATIENT, LABEL, approved=True))
    return Results(json.loads(str(found)))


def test_the_facts_of_a_plan_are_what_decides_its_delivery(approved: Dataset, tmp_path: Path) -> None:
    """MU, energy, filter, dose rate, angles and tolerances of each beam."""
    found = facts(approved, tmp_path / "plan")
    assert (found["label"], found["approval"], found["fractions"], found["mu"]) == (LABEL, "APPROVED", 1, 450)
    beam = found["beams"]["3"]
    assert (beam["name"], beam["mu"], beam["energy"], beam["fluence"]) == ("G90_6FFF", 200, [6], ["FFF"])
    assert (beam["dose_rate"], beam["gantry"], beam["collimator"], beam["couch"]) == ([1400], [90], [90], [0])
    assert beam["tolerance_table"]["label"] == "QA"
    assert PATIENT not in str(found)


def test_a_plan_does_not_differ_from_itself(approved: Dataset, tmp_path: Path) -> None:
    """Although it was read twice."""
    assert plan_changes(facts(approved, tmp_path / "a"), facts(approved, tmp_path / "b")) == []


EXPECTED = {
    "monitor units": ["beam 1 (G0_6X) MU: 100 -> 101"],
    "dose rate": ["beam 3 (G90_6FFF) dose rate: 1400 -> 600"],
    "energy": ["beam 2 (G0_10X) energy: 10 -> 6"],
    "flattening filter": ["beam 3 (G90_6FFF) fluence: FFF -> STANDARD"],
    "gantry": ["beam 4 (G180_6X) gantry: 180 -> 181", "beam 4 (G180_6X) leaves, jaws or control points: "],
    "tolerance table": [
        "beam 1 (G0_6X) tolerance table label: QA -> T1",
        "beam 1 (G0_6X) tolerance table GantryAngleTolerance: 0.5 -> 2",
    ],
    "tolerance": [f"beam {number} " for number in range(1, 5)],
    "weight of the last control point": ["beam 1 (G0_6X) FinalCumulativeMetersetWeight: 1 -> 2"],
    "unit of the meterset": ["beam 1 (G0_6X) PrimaryDosimeterUnit: MU -> MINUTE"],
    "type of delivery": ["beam 1 (G0_6X) TreatmentDeliveryType: TREATMENT -> SETUP"],
    "source to axis": ["beam 1 (G0_6X) SourceAxisDistance: 1000 -> 800"],
    "high dose technique": ["beam 1 (G0_6X) HighDoseTechniqueType: none -> TBI"],
    "compensator": [
        "beam 1 (G0_6X) NumberOfCompensators: 0 -> 1",
        "beam 1 (G0_6X) CompensatorSequence: none -> ",
    ],
    "accessory": ["beam 1 (G0_6X) GeneralAccessorySequence: none -> "],
    "dose of a beam": ["beam 1 (G0_6X) BeamDose: none -> 9"],
    "patient position": ["plan PatientSetupSequence: "],
    "beam gone": ["beam 4 (G180_6X): present -> absent"],
    "beam added": ["beam 5 (EXTRA): absent -> present"],
}


@pytest.mark.parametrize("what", phantom_plans.CHANGES)
def test_every_change_after_approval_is_said(what: str, approved: Dataset, tmp_path: Path) -> None:
    """Also under the plan's own UID, where no archive says that anything changed."""
    other = phantom_plans.edited_in_place(approved, what)
    said = plan_changes(facts(other, tmp_path / "now"), facts(approved, tmp_path / "then"))
    expected = EXPECTED[what]
    assert len(said) >= len(expected)
    for line, start in zip(said, expected):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("keyword", "then", "now"),
    [
        ("DoseRateSet", (600, 100, 600), (600, 100, 100)),
        ("DoseRateSet", (600, 600, 100), (600, 100, 100)),
        ("NominalBeamEnergy", (6, 10, 6), (6, 10, 10)),
    ],
)
def test_values_in_another_order_along_a_beam_are_said(
    keyword: str, then: tuple[float, ...], now: tuple[float, ...], approved: Dataset, tmp_path: Path
) -> None:
    """The same values are delivered differently where they belong to other control points."""
    found = [facts(along(approved, keyword, values), tmp_path / str(values)) for values in (now, then)]
    (line,) = plan_changes(*found)
    assert line.startswith("beam 1 (G0_6X) energy or dose rate along the control points: ")


def along(plan: Dataset, keyword: str, values: tuple[float, ...]) -> Dataset:
    """The plan with so many control points of its first beam, each with its own value."""
    other = copy.deepcopy(plan)
    beam = other.BeamSequence[0]
    first, last = beam.ControlPointSequence
    beam.ControlPointSequence = [copy.deepcopy(first)] + [copy.deepcopy(last) for _ in values[1:]]
    beam.NumberOfControlPoints = len(values)
    for point, value in zip(beam.ControlPointSequence, values):
        setattr(point, keyword, value)
    return other


def test_a_value_that_is_repeated_at_a_control_point_is_no_change(approved: Dataset, tmp_path: Path) -> None:
    """Systems write what stays the same once, or each time."""
    now = facts(along(approved, "DoseRateSet", (600, 600)), tmp_path / "now")
    assert plan_changes(now, facts(approved, tmp_path / "then")) == []


@pytest.mark.parametrize("beams", ["absent", "empty"])
def test_a_plan_without_beams_is_refused(beams: str, approved: Dataset, tmp_path: Path) -> None:
    """Two plans of which nothing is looked at would never differ."""
    if beams == "absent":
        del approved.BeamSequence
    else:
        approved.BeamSequence = []
    with pytest.raises(BadArchive) as raised:
        facts(approved, tmp_path / "plan")
    assert str(raised.value) == (
        "the plan DAILY_QA has no beams that this check understands (RT Ion and brachytherapy plans describe theirs "
        "elsewhere). Name a plan of photon or electron beams."
    )


def test_a_plan_that_an_older_version_noted_has_to_be_approved_again(approved: Dataset, tmp_path: Path) -> None:
    """Its digests are of other things; what both noted is still compared."""
    then = facts(approved, tmp_path / "then")
    del then["made_by"], then["other"]
    for beam in then["beams"].values():
        del beam["along"], beam["other"]
        beam["geometry"] = "0123456789abcdef"
    older = (
        "the approved plan was noted by another version of qa_fetch, which did not look at the same things: look at "
        "the plan, and approve it again"
    )
    assert plan_changes(facts(approved, tmp_path / "now"), then) == [older]
    changed = phantom_plans.edited_in_place(approved, "monitor units")
    assert plan_changes(facts(changed, tmp_path / "changed"), then) == [older, "beam 1 (G0_6X) MU: 100 -> 101"]


def test_leaves_that_moved_are_said_although_no_record_holds_them(approved: Dataset, tmp_path: Path) -> None:
    """A digest of every control point is enough to see it."""
    then = facts(approved, tmp_path / "then")
    leaves = Dataset()
    leaves.RTBeamLimitingDeviceType, leaves.LeafJawPositions = "MLCX", [-10, 10]
    approved.BeamSequence[0].ControlPointSequence[0].BeamLimitingDevicePositionSequence = [leaves]
    (line,) = plan_changes(facts(approved, tmp_path / "now"), then)
    assert line.startswith("beam 1 (G0_6X) leaves, jaws or control points: ")


def test_a_number_spelled_otherwise_is_no_change(approved: Dataset, tmp_path: Path) -> None:
    """Systems write 1, 1.0 and 1.0000 for one value."""
    then = facts(approved, tmp_path / "then")
    approved.BeamSequence[0].ControlPointSequence[1].CumulativeMetersetWeight = "1.0000"
    assert plan_changes(facts(approved, tmp_path / "now"), then) == []


def test_a_copy_of_the_approved_plan_is_another_plan(approved: Dataset, tmp_path: Path) -> None:
    """Delivered alike, but somebody made it."""
    now = phantom_plans.copied(approved, MADE)
    (line,) = plan_changes(facts(now, tmp_path / "now"), facts(approved, tmp_path / "then"))
    assert line == f"uid: {approved.SOPInstanceUID} -> {now.SOPInstanceUID}"
