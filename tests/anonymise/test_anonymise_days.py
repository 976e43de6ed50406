"""Days on which something was done, in text that stays: beside the dates that were moved they tell by how many."""

from __future__ import annotations

from pathlib import Path

import phi_gates
import pytest
from pydicom.dataset import Dataset

from qa_fetch.anonymise.anonymiser import Anonymiser
from qa_fetch.anonymise.harvest import Harvest, harvest
from qa_fetch.anonymise.text import Scrubber
from qa_fetch.part10 import EXPLICIT_LITTLE, IMPLICIT_LITTLE, encode

COURSE = Scrubber(Harvest(days={"20240115", "20240201", "20231103"}))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT 20240115103000 plan", "CT plan"),
        ("CT_240115", "CT"),
        ("CT240115", "CT"),
        ("240115103000", ""),
        ("240115T1030", "T1030"),
        ("15012024 a", "a"),
        ("Plan 15.01.24", "Plan"),
        ("CT vom 15.1.24", "CT vom"),
        ("15. 1. 24", ""),
        ("15-01-24", ""),
        ("24.01.15", ""),
        ("01/15/24", ""),
        ("15 01 24", ""),
        ("CT1_15.01.24_2", "CT1_2"),
        ("15_01_24_2", "2"),
        ("15.01.24-17.01.24", "17.01.24"),
        ("2024_01_15", ""),
        ("15_01_2024", ""),
        ("v2.15.01.2024", "v2"),
        ("2024-Jan-15", ""),
        ("plan15JAN24", "plan"),
        ("15. Januar 24", ""),
        ("1er fév 24", ""),
        ("Feb 1st 24", ""),
        ("2024年1月15日", ""),
        ("３.１１.２３", ""),
    ],
)
def test_days_of_the_course_go_in_all_usual_spellings(text: str, left: str) -> None:
    """Also with two digits of the year, a clock behind, or in the middle of a version."""
    assert COURSE.text(text, strict=True) == left
    assert COURSE.text(left, strict=True) == left


@pytest.mark.parametrize(
    "text",
    [
        *("MU 240116", "240115.5", "0.240115", "1240115", "2401150", "240115ab", "24011", "5 240.115", "G180 T0 6X"),
        *("1.2.25", "2 1 24", "1, 2, 24", "10.1.2.24", "1.2.24.3", "16.01.24", "15/01", "15 Gy 24", "24 fields 15"),
    ],
)
def test_doses_monitor_units_names_of_beams_and_versions_stay(text: str) -> None:
    """Numbers that are no day of the course, or that have its digits within others."""
    assert COURSE.text(text, strict=True) is text


def test_days_are_in_codes_too_and_only_where_dates_do_not_stay() -> None:
    """A profile that keeps dates keeps them in text."""
    assert COURSE.coded("CT_240115", strict=True) == "CT"
    assert COURSE.coded("CT_240115") == COURSE.text("CT_240115") == "CT_240115"


@pytest.mark.parametrize("text", ["CT 20230506101112", "2023_05_06", "6_5_2023", "2023-May-06", "6_may_2023"])
def test_days_that_nobody_knows_go_where_the_year_has_four_digits(text: str) -> None:
    """By their form."""
    assert not any(sign.isdigit() for sign in Scrubber(Harvest()).text(text, strict=True))


def plan(**values: object) -> Dataset:
    """A plan of the 15th of January, whose beam was delivered on the 1st of February."""
    made, beam = Dataset(), Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.5", "1.2.3.4.5.6"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.3", "1.2.4", "RTPLAN"
    made.PatientName, made.PatientID, made.PatientBirthDate = "Nemo^Karl", "P-77001", "19500312"
    made.StudyDate = "20240115"
    beam.TreatmentControlPointDate = "20240201"
    made.BeamSequence = [beam]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
def test_days_are_learnt_at_every_depth_and_birth_dates_apart(syntax: str) -> None:
    """DA and DT; the dummy of who has none is no day."""
    made = plan(InstanceCreationDate="19000101", AcquisitionDateTime="20231103101010.5+0100")
    found = harvest(encode(made, syntax), syntax)
    assert (found.days, found.dates) == ({"20240115", "20240201", "20231103"}, {"19500312"})


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The key of all tests."""
    return phi_gates.key_file(tmp_path / "trial.key")


def test_a_day_of_another_object_of_the_patient_goes_too(key: Path) -> None:
    """A label names the CT that the plan was made on; what is not the patient's day stays."""
    anonymiser = Anonymiser(key, "research-rt")
    anonymiser.dataset(plan(StudyDate="20231103", SOPInstanceUID="1.2.3.4.5.7"))
    output = anonymiser.dataset(plan(RTPlanLabel="CT_231103", RTPlanDescription="of 15.1.24, 16.1.24"))
    assert (output.RTPlanLabel, output.RTPlanDescription) == ("CT", "of 16.1.24")


def test_an_output_stays_as_it_is_when_it_is_anonymised_again(key: Path) -> None:
    """Its own days have moved: one that text names by chance is nobody's."""
    anonymiser = Anonymiser(key, "research-rt")
    moved = anonymiser.dataset(plan()).StudyDate
    once = anonymiser.dataset(plan(RTPlanDescription=f"MU {moved[2:]}"))
    again = Anonymiser(key, "research-rt", ids=key.with_name("other.ids")).dataset(once)
    assert once.RTPlanDescription == again.RTPlanDescription == f"MU {moved[2:]}"
