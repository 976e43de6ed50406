"""The RTPLAN of a trial: all of it as the archive says, or none of it and the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pinnacle_fields import (
    FORMULA,
    INFO,
    MACHINE,
    OUTLINE,
    POINT,
    PRESCRIPTION,
    arc,
    field,
    trial,
    wedged,
    work,
)
from pinnacle_plans import DOSE, PLAN, STRUCTURES, judged, made, sure
from pinnacle_work import ENTRY, series

from qa_fetch.pinnacle.making import Left
from qa_fetch.pinnacle.monitor_units import of_trial
from qa_fetch.pinnacle.records import Machine
from qa_fetch.pinnacle.rtplan import plan


def test_what_a_plan_says_of_itself(tmp_path: Path) -> None:
    """Unapproved, of no intent, with its own and its dates from the archive."""
    given = trial(sure())
    data = made(work(tmp_path, given), given)
    assert (data.RTPlanLabel, data.RTPlanName) == ("BRAIN Trial_1", "BRAIN / Trial_1")
    assert (data.RTPlanDate, data.RTPlanTime) == ("20200102", "101112")
    assert (data.RTPlanGeometry, data.ApprovalStatus) == ("PATIENT", "UNAPPROVED")
    assert "PlanIntent" not in data
    assert data.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == STRUCTURES
    assert data.ReferencedDoseSequence[0].ReferencedSOPInstanceUID == DOSE
    assert data.FrameOfReferenceUID == series().frame
    assert data.PatientSetupSequence[0].PatientPosition == "HFS"
    assert data.BeamSequence[0].ReferencedPatientSetupNumber == data.PatientSetupSequence[0].PatientSetupNumber


def test_without_structures_the_geometry_is_the_machine_s(tmp_path: Path) -> None:
    """PATIENT needs a structure set."""
    given = trial(sure())
    data = made(work(tmp_path, given), given, structures=None)
    assert data.RTPlanGeometry == "TREATMENT_DEVICE"
    assert "ReferencedStructureSetSequence" not in data


def test_a_label_that_is_too_long_or_not_the_only_one_ends_in_numbers(tmp_path: Path) -> None:
    """Two trials of a plan never have the same label."""
    given = trial(sure(), name="A rather long name of a trial")
    of = work(tmp_path, given)
    assert made(of, given).RTPlanLabel == "BRAIN A rath 0.0"
    reason = "it is longer than 16 characters, so it is cut and ends in 0.0"
    assert of.notes.warnings == [Left("the label of RTPLAN of plan 0, trial 0", reason)]
    twins = replace(of.patient, plans=(replace(ENTRY, name="BRAIN"), replace(ENTRY, name="BRAIN", number=1)))
    given = trial(sure())
    of = replace(work(tmp_path, given), patient=twins)
    assert made(of, given).RTPlanLabel == "BRAIN Trial_ 0.0"
    assert of.notes.warnings == []
    nameless = trial(sure(), name=None)
    of = work(tmp_path, nameless)
    assert of.plan is not None
    of = replace(of, plan=replace(of.plan, entry=replace(of.plan.entry, name=None, written=None)))
    data = made(of, nameless)
    assert (data.RTPlanLabel, data.RTPlanDate, data.get("RTPlanName")) == ("0.0", "", None)


@pytest.mark.parametrize(
    ("written", "date", "time"),
    [
        ("2020-13-45 10:11:12", "", ""),
        ("0000-00-00 00:00:00", "", ""),
        ("2020-01-02 25:61:61", "20200102", ""),
        ("8/20/2002", "20020820", ""),
        ("yesterday", "", ""),
    ],
)
def test_a_date_that_no_calendar_has_is_left_empty(tmp_path: Path, written: str, date: str, time: str) -> None:
    """RTPlanDate may be empty, but not what DICOM does not allow."""
    given = trial(sure())
    of = work(tmp_path, given)
    assert of.plan is not None
    of = replace(of, plan=replace(of.plan, entry=replace(of.plan.entry, written=written)))
    data = made(of, given)
    assert (data.RTPlanDate, data.RTPlanTime) == (date, time)


@pytest.mark.parametrize(
    ("changes", "images", "reason"),
    [
        ({"beams": ()}, {}, "the trial has no beams"),
        (
            {"whole": False},
            {},
            "the text of this trial is not whole, so beams may be missing; restore plan.Trial from its backup",
        ),
        ({}, {"doubt": "the header lies"}, "the header lies"),
    ],
)
def test_a_trial_that_cannot_be_placed_or_is_not_whole_has_no_plan(
    tmp_path: Path, changes: dict[str, Any], images: dict[str, Any], reason: str
) -> None:
    """The reason is told as it is."""
    given = replace(trial(sure()), **changes)
    of = work(tmp_path, given)
    assert plan(of, replace(series(), **images), given, {}, PLAN, None, None) is None
    assert of.notes.skipped == [Left("RTPLAN of plan 0, trial 0", reason)]


def test_a_fraction_group_for_each_prescription(tmp_path: Path) -> None:
    """With its own number of fractions, beams, doses and monitor units."""
    boost = replace(PRESCRIPTION, name="Boost", dose=330.0, fractions=3, period="Overall")
    given = trial(sure(0, prescription="Boost"), sure(1), sure(2), prescriptions=(PRESCRIPTION, boost))
    of = work(tmp_path, given)
    data = made(of, given)
    units = of_trial(of, given)
    found = [
        (int(group.NumberOfFractionsPlanned), [int(beam.ReferencedBeamNumber) for beam in group.ReferencedBeamSequence])
        for group in data.FractionGroupSequence
    ]
    assert found == [(12, [2, 3]), (3, [1])]
    assert [group.NumberOfBeams for group in data.FractionGroupSequence] == [2, 1]
    for group in data.FractionGroupSequence:
        for beam in group.ReferencedBeamSequence:
            assert float(beam.BeamMeterset) == pytest.approx(units[beam.ReferencedBeamNumber - 1].used)
            assert float(beam.BeamDose) == 1.1
    doses = [(each.DoseReferenceDescription, float(each.TargetPrescriptionDose)) for each in data.DoseReferenceSequence]
    assert doses == [("Presc", 26.4), ("Boost", 3.3)]
    assert of.notes.warnings == []


def test_a_beam_of_no_prescription_is_in_a_group_without_fractions(tmp_path: Path) -> None:
    """It is not counted to another one's."""
    asked = replace(PRESCRIPTION, dose=110.0)
    given = trial(sure(0), sure(1, prescription="None such"), prescriptions=(asked,))
    of = work(tmp_path, given)
    data = made(of, given)
    first, second = data.FractionGroupSequence
    assert (first.NumberOfBeams, second.NumberOfBeams, second.NumberOfFractionsPlanned) == (1, 1, None)
    reason = "its number of fractions is not known and stays empty"
    assert of.notes.warnings == [Left("fraction group 2 of RTPLAN of plan 0, trial 0", reason)]


def test_monitor_units_that_are_not_sure_are_left_out_of_the_plan(tmp_path: Path) -> None:
    """The beam is written without BeamMeterset, and both numbers are told."""
    given = trial(field(monitor_units=INFO))
    of = work(tmp_path, given)
    (beam,) = made(of, given).FractionGroupSequence[0].ReferencedBeamSequence
    assert "BeamMeterset" not in beam
    assert "BeamDose" not in beam
    (left,) = of.notes.warnings
    assert left.what == "beam 0 of RTPLAN of plan 0, trial 0"
    assert left.reason.startswith(f"its monitor units are left out: by formula they are {FORMULA:.2f} MU, by grid ")


def test_a_prescription_that_does_not_say_what_its_dose_is_for(tmp_path: Path) -> None:
    """Whether it is for a fraction or for all is not guessed."""
    given = trial(sure(), prescriptions=(replace(PRESCRIPTION, period=None),))
    of = work(tmp_path, given)
    assert "TargetPrescriptionDose" not in made(of, given).DoseReferenceSequence[0]
    reason = "the archive does not say its dose, or not whether that is for a fraction, so it is left out"
    assert of.notes.warnings == [Left("prescription 0 of RTPLAN of plan 0, trial 0", reason)]


def test_names_that_do_not_fit_are_cut_and_reported(tmp_path: Path) -> None:
    """A machine's name has sixteen characters, a beam's sixty-four."""
    machine: Machine = replace(MACHINE, name="A machine of a very long name")
    given = trial(sure(name="b" * 70, machine=machine.name))
    of = work(tmp_path, given, machines=(machine,))
    (item,) = made(of, given).BeamSequence
    assert (item.BeamName, item.TreatmentMachineName) == ("b" * 64, "A machine of a v")
    name = "beam 0 of RTPLAN of plan 0, trial 0"
    assert of.notes.warnings == [
        Left(f"the name of {name}", "it is longer than 64 characters and has been cut"),
        Left(f"the machine's name of {name}", "it is longer than 16 characters and has been cut"),
    ]


@pytest.mark.parametrize("described", [True, False])
def test_dciodvfy_finds_no_error_in_any_sort_of_beam(tmp_path: Path, described: bool) -> None:
    """With and without a machine, an isocentre and monitor units."""
    drawn = replace(POINT, block_contours=(OUTLINE,), block_outside="Block")
    beams = (
        sure(0),
        sure(1, *arc((79, 79), (0.4, 0.6)), beam_type="Step & Shoot MLC"),
        sure(2, *arc((179.0, 150.0, 120.0, 90.0), (0, 0.2, 0.3, 0.5)), beam_type="Dynamic Arc", gantry_clockwise=False),
        sure(3, wedged()),
        sure(4, wedged("EDW", "WedgeBottomToTop", "45")),
        sure(5, drawn, use_mlc=False),
        sure(6, modality="Electrons", energy="9E", applicator="10x10", use_mlc=False),
        sure(7, wedged("Special", "Sideways")),
        sure(8, energy="6X FFF"),
        sure(9, *arc((181.0, 179.0), (0, 1)), beam_type="Dynamic Arc", gantry_clockwise=True, energy="Co"),
    )
    given = trial(*beams)
    of = work(tmp_path, given, **({} if described else {"machines": (), "points": ()}))
    made(of, given).save_as(tmp_path / "plan.dcm")
    assert judged(tmp_path / "plan.dcm") == []
