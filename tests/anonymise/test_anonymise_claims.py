"""Sources that change places or are called anew: of one object there is one file, of the patient it is of now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest
from folder_clinic import SMITH, WEBER, files, slices
from peers import course as courses
from pydicom.dataset import Dataset

from qa_fetch.anonymise import Anonymiser
from qa_fetch.anonymise.audit import Anonymised
from qa_fetch.anonymise.claims import Claims
from qa_fetch.anonymise.keyed import Key


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder of the key."""
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys"


def staged(work: Path, **objects: Dataset) -> Anonymised:
    """One run over a folder that holds these objects under these names, and nothing else."""
    shutil.rmtree(work / "in", ignore_errors=True)
    for name, dataset in objects.items():
        (path,) = courses.write_all([dataset], work / "in" / f"new-{name}")
        path.rename(work / "in" / name)
        path.parent.rmdir()
    done = Anonymiser(work / "keys" / "trial.key", "research-rt").folder(work / "in", work / "anon")
    assert (done.done, done.failed) == (len(objects), 0)
    return done


def two(**values: object) -> list[Dataset]:
    """Two slices of a patient, the same at each call but for these values."""
    made = slices(SMITH, "Smith^John", 2)
    for dataset in made:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return made


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_an_export_that_numbers_its_files_anew_leaves_one_file_of_each_object(keys: Path, tmp_path: Path, names: str):
    """The objects have changed as well, so that they go elsewhere: whichever is written first."""
    first, second = two()
    staged(tmp_path, **{names[0]: first, names[1]: second})
    before = set(files(tmp_path / "anon"))
    first, second = two(SeriesNumber=7)
    staged(tmp_path, **{names[1]: first, names[0]: second})
    now = set(files(tmp_path / "anon"))
    assert (len(now), now & before) == (2, set())
    assert {name.split("/")[2][:5] for name in now} == {"00007"}
    assert len({name.split("/")[3] for name in now}) == 2


def test_a_patient_who_is_corrected_after_another_file_was_in_between_is_not_left_as_the_wrong_one(
    keys: Path, tmp_path: Path
):
    """The same path held the object, another one, the object again, and the object with another PatientID."""
    first, second = two()
    (corrected, _) = slices(SMITH, "Smith^John", 2)
    corrected.PatientID = WEBER
    for dataset in (first, second, first, corrected):
        done = staged(tmp_path, a=dataset)
    codes = Anonymiser(keys / "trial.key").key.code
    found = [pydicom.dcmread(path) for path in (tmp_path / "anon").rglob("*.dcm")]
    assert sorted(one.PatientID for one in found) == sorted([codes(SMITH), codes(WEBER)])
    assert len({one.SOPInstanceUID for one in found}) == 2
    assert done.audit is not None and "another patient's" not in (done.audit / "warnings.txt").read_text()


def test_an_object_that_stays_under_another_patient_too_is_told(keys: Path, tmp_path: Path):
    """The path held another object in between: whether the first one was wrong, nobody can say."""
    first, second = two()
    (corrected, _) = slices(SMITH, "Smith^John", 2)
    corrected.PatientID = WEBER
    staged(tmp_path, a=first)
    (old,) = files(tmp_path / "anon")
    staged(tmp_path, a=second)
    done = staged(tmp_path, a=corrected)
    assert old in files(tmp_path / "anon") and done.audit is not None
    assert (done.audit / "warnings.txt").read_text() == (
        f"{Path(old).stem} is in the output as another patient's too: {old}. Remove the one that is wrong.\n"
    )


def test_what_is_claimed_again_before_it_is_removed_stays(keys: Path, tmp_path: Path):
    """One worker finds a file outdated; another one has a source of just that before the first comes to remove it."""
    claims = Claims(keys / "made.sqlite", tmp_path / "out", Key.load(keys / "trial.key"), replaces=True)
    made = tmp_path / "made"
    made.write_bytes(b"old")
    old = tmp_path / "out" / "sub-A" / "1.dcm"
    old.parent.mkdir(parents=True)
    with claims.prepared():
        claims.claim([("sub-A/1.dcm", "/in/a", made)])
        old.write_bytes(b"old")
        (settled,) = claims.claim([("sub-A/newer/1.dcm", "/in/a", made)])
        assert settled.outdated == ("sub-A/1.dcm",)
        (again,) = claims.claim([("sub-A/1.dcm", "/in/b", made)])
        assert again.is_there
        claims.remove(settled.outdated)
    assert old.read_bytes() == b"old"
