"""One study whose objects say in several ways whose it is: they know each other's strings, and go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from folder_clinic import files
from peers import course as courses
from pydicom.dataset import Dataset

from qa_fetch.anonymise import Anonymiser
from qa_fetch.anonymise.verifying import verify
from qa_fetch.errors import ConfigError

NAME, BORN, ID, OTHER_ID = "Muster^Hansjakob", "19500312", "ZH-1234567", "RT4711"


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> Path:
    """The folder of the key."""
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys"


def plan(label: str, text: str = "", **values: Any) -> Dataset:
    """A plan of the one study; where nothing else is said, of the patient with the first ID."""
    made = courses.plan(label, patient="of everybody")
    made.PatientID, made.PatientName, made.PatientBirthDate = ID, NAME, BORN
    made.RTPlanDescription = text
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def told(label: str, text: str = "") -> Dataset:
    """The one that says who the physician is."""
    return plan(label, text, ReferringPhysicianName="Keller^Urs")


def anonymiser(work: Path, **options: Any) -> Anonymiser:
    return Anonymiser(work / "keys" / "trial.key", "research-rt", **options)


def made(work: Path, *plans: Dataset, workers: int = 1, **options: Any) -> dict[str, Any]:
    """What comes out of a folder of these plans, by their labels."""
    courses.write_all(plans, work / "in")
    done = anonymiser(work, **options).folder(work / "in", work / "anon", workers=workers)
    assert (done.done, done.failed) == (len(plans), 0)
    found = [pydicom.dcmread(path) for path in (work / "anon").rglob("*.dcm")]
    return {one.RTPlanLabel: one for one in found}


def texts(found: dict[str, Any]) -> list[str]:
    return [found[label].get("RTPlanDescription", "") for label in sorted(found)]


@pytest.mark.parametrize("workers", [1, 2])
def test_who_has_two_ids_in_a_study_or_none_is_found_in_the_text_of_all_of_them(tmp_path: Path, workers: int):
    """An oncology system and a hospital number their patients each for itself; verifying looks for both as well."""
    found = made(
        tmp_path,
        told("A", "was RT4711"),
        plan("B", "see ZH-1234567 Keller", PatientID=""),
        plan("C", "was ZH-1234567 Keller", PatientID=OTHER_ID),
        plan("D", "not RT4711, Keller", PatientID="", PatientName="", PatientBirthDate=""),
        workers=workers,
    )
    assert texts(found) == ["was", "see", "was", "not"]
    assert verify(tmp_path / "anon", tmp_path / "keys" / "trial.key", profile="research-rt").findings == []
    changed = next(path for path in (tmp_path / "anon").rglob("*.dcm") if pydicom.dcmread(path).RTPlanLabel == "C")
    dataset = pydicom.dcmread(changed)
    dataset.RTPlanDescription = "was ZH-1234567"
    dataset.save_as(changed)
    again = verify(tmp_path / "anon", tmp_path / "keys" / "trial.key", profile="research-rt")
    assert [one.problem for one in again.findings] == ["holds a string that identifies its patient or the staff."]


def test_who_has_no_id_is_who_has_the_only_one_of_the_study(tmp_path: Path):
    """One code and one day shift, whether or not the object names anybody, and whichever comes first."""
    nameless = plan("C", PatientID="", PatientName="", PatientBirthDate="")
    found = made(tmp_path, plan("B", PatientID=""), nameless, told("A"))
    code = anonymiser(tmp_path).key.code(ID)
    assert {one.PatientID for one in found.values()} == {code}
    assert len({one.StudyDate for one in found.values()}) == 1
    assert json.loads((tmp_path / "keys" / "trial.ids" / "mapper.json").read_text()) == {code: ID}


def test_who_has_no_id_has_the_code_that_is_given_for_the_id(tmp_path: Path):
    """No list can name them otherwise; the one code of a new_id.txt does too, since it is one patient."""
    plans = [told("A"), plan("B", PatientID="")]
    assert {one.PatientID for one in made(tmp_path, *plans, new_ids={ID: "P0001"}).values()} == {"P0001"}
    other = tmp_path / "other"
    (other / "keys").mkdir(parents=True)
    (other / "keys" / "new_id.txt").write_text("P0002\n")
    codes = {one.PatientID for one in made(other, *plans, new_ids=other / "keys" / "new_id.txt").values()}
    assert codes == {"P0002"}


def test_who_has_no_id_among_several_is_nobody_of_them(tmp_path: Path):
    """Nothing is guessed, so the object has a code of its own, the same in every run."""
    found = made(tmp_path, told("A"), plan("B", PatientID=OTHER_ID), plan("C", PatientID=""))
    key = anonymiser(tmp_path).key
    own = key.code("hansjakob muster|19500312"), key.code("muster hansjakob|19500312")
    assert [found[label].PatientID for label in "AB"] == [key.code(ID), key.code(OTHER_ID)]
    assert found["C"].PatientID in own


def test_an_id_that_becomes_known_moves_what_had_none(tmp_path: Path):
    """Nothing is left under the code of before, also where another process learns it."""
    made(tmp_path, plan("B", PatientID=""))
    before = files(tmp_path / "anon")
    found = made(tmp_path, plan("B", PatientID=""), told("A"))
    assert {one.PatientID for one in found.values()} == {anonymiser(tmp_path).key.code(ID)}
    assert len(files(tmp_path / "anon")) == 2 and not set(before) & set(files(tmp_path / "anon"))


def test_a_list_of_studies_that_somebody_changed_is_named(tmp_path: Path):
    """It is not half understood."""
    made(tmp_path, told("A"))
    studies = tmp_path / "keys" / "trial.ids" / "studies.json"
    studies.write_text('{"1.2.3": "ZH-1234567"}')
    with pytest.raises(ConfigError) as refused:
        anonymiser(tmp_path)
    assert str(refused.value) == f"{studies} cannot be read. Move it away, and anonymise the whole folder again."


# Nobody is older than 90


def aged(tmp_path: Path, *days_and_ages: tuple[str, str], born: str = "19330101") -> list[tuple[str, str]]:
    """Birth date and age of each of a patient's plans of these days, after that."""
    plans = [
        plan(str(number), PatientAge=age, PatientBirthDate=born, SOPInstanceUID=f"1.2.3.{number}")
        for number, (_, age) in enumerate(days_and_ages)
    ]
    for one, (day, _) in zip(plans, days_and_ages):
        for element in one:
            if element.VR == "DA" and element.keyword != "PatientBirthDate":
                element.value = day
    found = made(tmp_path, *plans)
    return [
        (found[str(number)].PatientBirthDate, found[str(number)].get("PatientAge", "")) for number in range(len(plans))
    ]


def test_who_becomes_older_than_89_has_no_birth_date_in_earlier_objects_either(tmp_path: Path):
    """It would tell the age on the day of the later one, and so would an age of before."""
    found = aged(tmp_path, ("20120601", "079Y"), ("20220601", "089Y"), ("20240615", "091Y"))
    assert found == [("", ""), ("", ""), ("", "090Y")]


def test_who_is_younger_on_the_last_day_keeps_both(tmp_path: Path):
    """A day that is still to come, as of a calibration, makes nobody older."""
    found = aged(tmp_path, ("20220601", "089Y"), ("20221001", "089Y"), ("20990101", "089Y"))
    assert all(born.startswith("19") and age == "089Y" for born, age in found[:2])
