"""DICOM files that an archive keeps: as they are, with the patient's identity where theirs differs, or not at all."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from image_scenes import Scene, converted, others, written

from qa_fetch import part10
from qa_fetch.errors import BadArchive
from qa_fetch.pinnacle.making import Left

ANOTHER = "it names another patient; look at it with the archive's owner before it is used"
REFUSED = (
    "1 DICOM files of image set 0 name another patient, so none of it is written. "
    "Find out with the archive's owner whose images they are."
)


def at(scene: Scene, number: int = 0) -> Path:
    """One of the files that are kept besides the images."""
    return scene.root / scene.truth.patient.others[number][2]


def first(scene: Scene) -> Any:
    """What became of the first slice."""
    uid = scene.truth.patient.images[0].pictures[0].instance_uid
    return next(each for each in converted(scene).files if each.sop_instance == uid)


def rewritten(path: Path, syntax: str, **values: Any) -> None:
    """Write a file again in another transfer syntax, with other values; big endian only without pixels."""
    data = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(data, keyword, value)
    encoded = part10.encode(data, syntax)
    path.write_bytes(part10.file_meta(data.SOPClassUID, data.SOPInstanceUID, syntax) + encoded)


# What is kept besides the images


def test_rt_images_and_a_plan_of_others_go_through_byte_for_byte(tmp_path: Path) -> None:
    """Wherever in the patient's folder they lie, but not the images of the image set."""
    scene = written(tmp_path / "a", images="dicom", rt_images=2, foreign=True)
    files, notes = others(scene)
    assert sorted((file.modality, file.sop_instance, file.data) for file in files) == sorted(
        (modality, uid, (scene.root / path).read_bytes()) for modality, uid, path in scene.truth.patient.others
    )
    assert (notes.skipped, notes.warnings) == ([], [])


def test_copies_of_a_file_come_once(tmp_path: Path) -> None:
    """Neither do copies of an image come a second time."""
    scene = written(tmp_path / "a", images="dicom", rt_images=1)
    shutil.copy(at(scene), scene.file("Plan_0/RI.dcm"))
    shutil.copy(scene.kept[0], scene.file("Plan_0/CT.dcm"))
    files, _ = others(scene)
    assert [file.sop_instance for file in files] == [scene.truth.patient.others[0][1]]


def test_only_the_patients_own_folder_is_looked_into(tmp_path: Path) -> None:
    """An archive may hold several patients."""
    scene = written(tmp_path / "a", patients=2, rt_images=1)
    files, _ = others(scene)
    assert [file.sop_instance for file in files] == [scene.truth.patient.others[0][1]]


def test_a_file_of_another_patient_is_named_and_not_written(tmp_path: Path) -> None:
    """Another number, another name and another birth date."""
    scene = written(tmp_path / "a", rt_images=1, foreign=True)
    scene.change(at(scene), PatientID="X1", PatientName="Roe^Richard", PatientBirthDate="19500101")
    files, notes = others(scene)
    assert [file.modality for file in files] == ["RTPLAN"]
    assert (notes.skipped, notes.warnings) == ([Left("RTIMAGE kept in the archive", ANOTHER)], [])


def test_a_file_that_is_cut_short_is_named_and_not_written(tmp_path: Path) -> None:
    """The others go through."""
    scene = written(tmp_path / "a", rt_images=1, foreign=True)
    at(scene).write_bytes(at(scene).read_bytes()[:-10])
    files, notes = others(scene)
    assert [file.modality for file in files] == ["RTPLAN"]
    reason = "an object is cut short: it ends in the middle of an element. Fetch or export it again."
    assert notes.skipped == [Left("a DICOM file that is no image of an image set", reason)]


# Whose a file is


@pytest.mark.parametrize(
    ("values", "corrected"),
    [
        ({"PatientName": "ANON"}, "PatientName"),
        ({"PatientName": "doe^jane"}, "PatientName"),
        ({"PatientID": "OLD9"}, "PatientID"),
        ({"PatientID": "OLD9", "PatientBirthDate": ""}, "PatientBirthDate, PatientID"),
        ({"PatientID": "OLD9", "PatientName": "DOE^JANE"}, "PatientID, PatientName"),
        ({"PatientID": None}, "PatientID"),
        ({"PatientName": "ANON", "PatientBirthDate": "19000101"}, "PatientBirthDate, PatientName"),
    ],
)
def test_the_same_patient_under_another_name_or_number_gets_the_archives(
    tmp_path: Path, values: dict[str, Any], corrected: str
) -> None:
    """One identity in all that comes out, and nothing else changes."""
    scene = written(tmp_path / "a", images="dicom")
    original = scene.kept[0].read_bytes()
    scene.change(scene.kept[0], **values)
    assert scene.kept[0].read_bytes() != original
    outcome = converted(scene)
    assert part10.split(first(scene).data, "x").dataset == part10.split(original, "x").dataset
    reason = f"1 DICOM file has another {corrected} than the archive's patient, and got the patient's"
    assert outcome.said == ([], [Left("CT of image set 0", reason)])


@pytest.mark.parametrize(
    "values",
    [
        {"PatientID": "X1", "PatientName": "Roe^Richard", "PatientBirthDate": "19500101"},
        {"PatientID": "X1", "PatientName": "Roe^Richard"},
        {"PatientID": "X1", "PatientBirthDate": "19500101"},
        {"PatientID": "", "PatientName": "Roe^Richard"},
        {"PatientID": "X1", "PatientName": "", "PatientBirthDate": ""},
    ],
)
def test_another_number_needs_more_than_one_other_thing_to_be_the_same_patient(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    """Namesakes exist, and so do people born on one day."""
    scene = written(tmp_path / "a", images="dicom")
    scene.change(scene.kept[0], **values)
    with pytest.raises(BadArchive) as caught:
        converted(scene)
    assert str(caught.value) == REFUSED


def test_what_stands_empty_behind_a_name_is_no_difference(tmp_path: Path) -> None:
    """Doe^Jane^Q^^ is Doe^Jane^Q, and the file stays as it is."""
    scene = written(tmp_path / "a", images="dicom")
    scene.change(scene.kept[0], PatientName="Doe^Jane^Q^^")
    assert first(scene).data == scene.kept[0].read_bytes()


@pytest.mark.parametrize(
    ("syntax", "character_set"),
    [
        (part10.IMPLICIT_LITTLE, "ISO_IR 192"),
        (part10.EXPLICIT_LITTLE, "ISO_IR 100"),
        (part10.EXPLICIT_LITTLE, ""),
        (part10.EXPLICIT_BIG, "ISO_IR 192"),
        (part10.DEFLATED, "ISO_IR 100"),
    ],
)
def test_an_identity_is_corrected_in_each_encoding(tmp_path: Path, syntax: str, character_set: str) -> None:
    """In the letters that the file has, or in UTF-8 where it has none of its own."""
    scene = written(tmp_path / "a", foreign=True, last_name="Dör")
    rewritten(at(scene), syntax, PatientName="Anon", PatientID="PH0001", SpecificCharacterSet=character_set)
    files, notes = others(scene)
    data = pydicom.dcmread(BytesIO(files[0].data))
    assert (str(data.PatientName), data.PatientID, data.PatientBirthDate) == ("Dör^Jane^Q", "PH0001", "19610203")
    assert data.SpecificCharacterSet == (character_set or "ISO_IR 192")
    assert data.file_meta.TransferSyntaxUID == syntax
    assert data.RTPlanLabel == "FOREIGN"
    assert notes.skipped == []


@pytest.mark.parametrize("character_set", ["ISO_IR 144", "ISO 2022 IR 6\\ISO 2022 IR 87"])
def test_a_name_that_a_file_has_no_letters_for_is_not_garbled(tmp_path: Path, character_set: str) -> None:
    """The file is left out, and why."""
    scene = written(tmp_path / "a", foreign=True, last_name="Dör")
    rewritten(at(scene), part10.EXPLICIT_LITTLE, PatientName="Anon", SpecificCharacterSet=character_set.split("\\"))
    files, notes = others(scene)
    reason = "a DICOM file's character set has no letters for the patient's name. Convert the file to ISO_IR 192."
    assert (files, notes.skipped) == ([], [Left("RTPLAN kept in the archive", reason)])


@pytest.mark.parametrize("syntax", [part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE])
def test_images_without_a_files_preamble_become_files(tmp_path: Path, syntax: str) -> None:
    """As old systems kept them; their data sets stay as they are."""
    scene = written(tmp_path / "a", images="dicom")
    bare = part10.encode(pydicom.dcmread(scene.kept[0]), syntax)
    scene.kept[0].write_bytes(bare)
    outcome = converted(scene)
    assert (len(outcome.files), outcome.said) == (20, ([], []))
    made = part10.split(first(scene).data, "x")
    assert (made.transfer_syntax, bytes(made.dataset)) == (syntax, bare)


def test_a_file_header_without_its_preamble_is_read(tmp_path: Path) -> None:
    """It gets one, and nothing else changes."""
    scene = written(tmp_path / "a", images="dicom")
    original = scene.kept[0].read_bytes()
    scene.kept[0].write_bytes(original[132:])
    assert first(scene).data == original
