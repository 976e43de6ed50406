"""An output looked at again: a clean one says so, and each thing that should not be there is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from folder_clinic import WEBER, clinic
from peers import course as courses

from qa_fetch.anonymise import Anonymiser
from qa_fetch.anonymise.verifying import Verified, verify
from qa_fetch.errors import ConfigError, NotFound


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The clinic's folder, anonymised."""
    (tmp_path / "keys").mkdir()
    Anonymiser(tmp_path / "keys" / "trial.key", "research-rt").folder(clinic(tmp_path / "in"), tmp_path / "anon")
    return tmp_path / "anon"


def looked_at(output: Path, profile: str = "research-rt") -> Verified:
    """A look with the key beside the output."""
    return verify(output, output.parent / "keys" / "trial.key", profile=profile)


def one_of(output: Path) -> Path:
    """A file of the output."""
    return sorted(output.rglob("*.dcm"))[0]


def changed(output: Path, change: Callable[[Any], None]) -> Path:
    """One file of the output with something that should not be."""
    path = one_of(output)
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def found(output: Path, profile: str = "research-rt") -> list[str]:
    """The problems of its only file with problems."""
    verified = looked_at(output, profile)
    assert verified.exit_code == 1
    assert {finding.file for finding in verified.findings} == {one_of(output).relative_to(output).as_posix()}
    return [finding.problem for finding in verified.findings]


def test_an_output_is_clean(output: Path):
    """Every file is looked at; all references are within the folder."""
    verified = looked_at(output)
    assert (verified.files, verified.findings, verified.dangling, verified.exit_code) == (8, [], 0, 0)


def test_a_reference_out_of_the_folder_is_counted(output: Path):
    """The plan of the portal images is not there: that is told, and no fault."""
    for path in output.rglob("*RTPLAN*/*.dcm"):
        path.unlink()
    for path in output.rglob("*.dcm"):
        if pydicom.dcmread(path).Modality == "RTPLAN":
            path.unlink()
    verified = looked_at(output)
    assert (verified.findings, verified.dangling, verified.exit_code) == ([], 1, 0)


def test_a_name_that_is_left_is_found(output: Path):
    """Anywhere in the bytes: here in a description."""
    changed(output, lambda dataset: setattr(dataset, "SeriesDescription", "for Weber or SMITH"))
    assert found(output) == ["holds a string that identifies its patient or the staff."]


def test_a_name_in_a_file_name_is_found(output: Path):
    """The finding does not repeat it."""
    path = one_of(output)
    dataset = pydicom.dcmread(path)
    smith = (
        "Smith"
        if dataset.PatientID == Anonymiser(output.parent / "keys" / "trial.key").key.code("1234567")
        else "Weber"
    )
    path.rename(path.with_name(f"{smith}.dcm"))
    (finding,) = looked_at(output).findings
    assert finding.problem == "has a name that identifies its patient or the staff."
    assert smith not in finding.file


def test_what_is_no_object_is_found(output: Path):
    """Nothing else belongs into an output."""
    (output / "note.txt").write_text("x")
    (finding,) = looked_at(output).findings
    assert finding == ("note.txt", "is no DICOM object. Remove it.")


def test_a_preamble_that_is_not_empty_is_found(output: Path):
    """It may hold anything."""
    path = one_of(output)
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert found(output) == ["has a preamble that is not empty."]


def test_a_foreign_uid_is_found(output: Path):
    """Nested ones too, once for a file."""

    def change(dataset: Any) -> None:
        item = pydicom.Dataset()
        item.ReferencedSOPClassUID = courses.CT
        item.ReferencedSOPInstanceUID = "1.2.3.4"
        dataset.ReferencedImageSequence = [item]
        dataset.FrameOfReferenceUID = "1.2.3.5"

    changed(output, change)
    assert found(output) == ["has UIDs that this key did not make."]


def test_private_elements_are_found(output: Path):
    """Those that the profile does not keep."""
    changed(output, lambda dataset: dataset.private_block(0x0029, "ACME", create=True).add_new(1, "LO", "x"))
    assert found(output) == ["has private elements that the profile does not keep."]


def test_marks_that_are_missing_are_found(output: Path):
    """What every output says of itself."""

    def change(dataset: Any) -> None:
        dataset.PatientIdentityRemoved = "NO"
        del dataset.DeidentificationMethodCodeSequence
        del dataset.LongitudinalTemporalInformationModified
        dataset.file_meta.SourceApplicationEntityTitle = "CLINIC"
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"

    path = one_of(output)
    dataset = pydicom.dcmread(path)
    change(dataset)
    pydicom.dcmwrite(path, dataset, **({"enforce_file_format": False} if pydicom.__version__ >= "3" else {}))
    assert found(output) == [
        "does not say PatientIdentityRemoved YES.",
        "does not name the options of the profile in DeidentificationMethodCodeSequence.",
        "does not say in LongitudinalTemporalInformationModified what the profile does.",
        "has more in its file header than it needs.",
        "has another instance UID in its file header than in its data set.",
    ]


def test_an_output_of_another_profile_is_found(output: Path):
    """It was made with other options than it is looked at with."""
    assert set(looked_at(output, "basic").counted()) >= {
        "does not say in LongitudinalTemporalInformationModified what the profile does.",
    }


def test_a_patient_of_another_key_is_found(output: Path):
    """An original among the results is found for many reasons, this among them."""
    changed(output, lambda dataset: setattr(dataset, "PatientID", WEBER + "0"))
    assert found(output) == ["has a PatientID that this key and its folder do not know."]


def test_a_patient_whose_strings_are_not_kept_is_told(output: Path):
    """Without the folder of the key nothing can be looked for."""
    key = output.parent / "keys" / "trial.key"
    verified = verify(output, key, profile="research-rt", ids=output.parent / "other.ids")
    assert verified.counted() == {
        "is of a patient whose strings are not in the key's folder: they were not looked for.": 8
    }


def test_a_file_that_is_cut_short_is_found(output: Path):
    """It is not looked into."""
    path = one_of(output)
    path.write_bytes(path.read_bytes()[:600])
    assert found(output) == ["cannot be read. Remove it, and anonymise its source again."]


def test_wrong_use_is_refused(output: Path, tmp_path: Path):
    """No key is made to look at something, and an empty folder is no clean one."""
    absent = tmp_path / "absent.key"
    with pytest.raises(ConfigError) as caught:
        verify(output, absent)
    assert str(caught.value) == (
        f"the key {absent} cannot be read (No such file or directory). Name the file of the key."
    )
    assert not absent.exists()
    with pytest.raises(ConfigError) as caught:
        verify(absent, absent)
    assert str(caught.value) == f"{absent} is not a folder. Name the folder of an output."
    (tmp_path / "nothing").mkdir()
    with pytest.raises(NotFound) as nothing:
        verify(tmp_path / "nothing", output.parent / "keys" / "trial.key")
    assert str(nothing.value) == f"{tmp_path / 'nothing'} holds no files. Name the folder of an output."
