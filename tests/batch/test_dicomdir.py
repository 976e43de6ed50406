"""``qa-fetch dicomdir``: copies under 8-character names, and a DICOMDIR that others can read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers import course as courses
from peers.process import Missing, program, skip_or_fail
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.batch.dicomdir import create_dicomdir
from qa_fetch.errors import BadArchive, ConfigError, NotFound

STORAGE = "1.2.840.10008.5.1.4.1.1."
WHEN = datetime(2025, 11, 3, 10, 0)


def tool(name: str, package: str, *arguments: object) -> str:
    """What a program of others prints when it has succeeded."""
    try:
        command = [program(name, package), *map(str, arguments)]
    except Missing as missing:
        skip_or_fail(missing)
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def code(value: str, meaning: str) -> Dataset:
    """A coded concept."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, "DCM", meaning
    return made


def rt_object(sop_class: str, modality: str, *, patient: str = "RT1", **attributes: Any) -> Dataset:
    """An RT object as planning systems write them: no InstanceNumber, and no value where none is required."""
    series = courses.new_series(patient, modality, study="RT")
    dataset = courses._base(STORAGE + sop_class, courses.uid(patient, modality), series, modality, WHEN)
    dataset.SeriesNumber = None
    dataset.StudyID = dataset.StudyDate = dataset.StudyTime = ""
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def report(*content: Dataset) -> Dataset:
    """A structured report."""
    dataset = rt_object("88.11", "SR", InstanceNumber=1, CompletionFlag="COMPLETE", VerificationFlag="UNVERIFIED")
    dataset.ContentDate, dataset.ContentTime = "20251103", "101500"
    dataset.ConceptNameCodeSequence = [code("121111", "Summary")]
    dataset.ContentSequence = list(content)
    return dataset


def text_item(text: str, relationship: str = "CONTAINS") -> Dataset:
    """A line of a report."""
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = relationship, "TEXT", text
    item.ConceptNameCodeSequence = [code("121106", "Comment")]
    return item


def without_numbers() -> list[Dataset]:
    """One of each RT object that need not have an InstanceNumber."""
    return [
        rt_object("481.1", "RTIMAGE", RTImageLabel="G0"),
        rt_object("481.2", "RTDOSE", DoseSummationType="PLAN"),
        rt_object("481.3", "RTSTRUCT", StructureSetLabel="CT1"),
        rt_object("481.5", "RTPLAN", RTPlanLabel="PROST"),
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Images and RT objects of two patients, laid out by series, with the CSVs of --info beside them."""
    slices = courses.new_series("CT1", "ct", description="Abdomen")
    cts = [courses.ct_slice(slices, WHEN, number) for number in (3, 1, 2)]
    session = tmp_path / "data" / "sub-CT1" / "ses-20250901"
    courses.write_all(cts, session / "00001-Abdomen")
    (session / "00001-Abdomen.csv").write_text("SeriesInstanceUID\n")
    courses.write_all([*without_numbers(), report(text_item("private prose"))], tmp_path / "data" / "sub-RT1" / "ses-1")
    return tmp_path / "data"


def directory(folder: Path) -> Any:
    """The records of a DICOMDIR as pydicom reads them, without its own tree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom 2 announces the end of a class of its own
        return part10.read(folder / "DICOMDIR").DirectoryRecordSequence


def leaves(folder: Path) -> dict[str, Any]:
    """The records that refer to files, by SOP Instance UID."""
    found = directory(folder)
    return {record.ReferencedSOPInstanceUIDInFile: record for record in found if "ReferencedFileID" in record}


def contents(folder: Path) -> list[bytes]:
    """The bytes of every object in a folder, without those of a DICOMDIR."""
    read = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    return sorted(content for content in read if content[128:132] == b"DICM")


def write_last(dataset: Dataset, data: Path) -> Path:
    """Write an object where it is found after all others; where that is, within the data."""
    (data / "sub-ZZ").mkdir()
    part10.write(dataset, data / "sub-ZZ" / "zz.dcm")
    return Path("sub-ZZ", "zz.dcm")


def test_every_object_is_copied_to_the_byte_under_eight_characters(data, tmp_path):
    """And counted; the CSV of --info is left out."""
    made = create_dicomdir(data, tmp_path / "cd")
    assert (made.patients, made.studies, made.series, made.objects) == (2, 2, 6, 8)
    assert (made.repeated, made.others, made.unreadable) == (0, 1, {})
    assert contents(tmp_path / "cd") == contents(data)
    names = [part for path in (tmp_path / "cd").rglob("*") for part in path.relative_to(tmp_path / "cd").parts]
    assert all(re.fullmatch("[A-Z0-9_]{8}", name) for name in names)


def test_pydicoms_fileset_reads_it_and_finds_every_file(data, tmp_path):
    """The tree of records leads to each object's copy."""
    from pydicom.fileset import FileSet

    create_dicomdir(data, tmp_path / "cd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = FileSet(tmp_path / "cd" / "DICOMDIR")
        found = sorted((str(one.PatientID), str(one.load().SOPInstanceUID)) for one in files)
        files.clear()
        files._stage["t"].cleanup()
    expected = [part10.read(path) for path in data.rglob("*.dcm")]
    assert found == sorted((str(one.PatientID), str(one.SOPInstanceUID)) for one in expected)


def test_dcmtk_reads_it_and_makes_the_same_records_of_the_copies(data, tmp_path):
    """dcmdump reads it to its end; dcmmkdir, told to invent what is missing, finds the same tree."""
    create_dicomdir(data, tmp_path / "cd")
    again = tmp_path / "again"
    tool("dcmmkdir", "dcmtk", "--invent", "--recurse", "--input-directory", tmp_path / "cd", "--output-file", again)
    kinds = [
        sorted(re.findall(r"\[([A-Z ]+)\]", tool("dcmdump", "dcmtk", "+P", "0004,1430", file)))
        for file in (tmp_path / "cd" / "DICOMDIR", again)
    ]
    assert kinds[0] == kinds[1]
    assert kinds[0].count("IMAGE") == 4
    assert {"RT PLAN", "RT DOSE", "RT STRUCTURE SET", "SR DOCUMENT"} < set(kinds[0])


def test_dciodvfy_finds_no_error_in_it(data, tmp_path):
    """The directory's own IOD, also of objects that have no InstanceNumber."""
    create_dicomdir(data, tmp_path / "cd")
    said = tool("dciodvfy", "dicom3tools", tmp_path / "cd" / "DICOMDIR")
    assert "BasicDirectory" in said
    assert "Error" not in said


def test_what_an_rt_object_need_not_have_is_supplied_in_the_record_alone(data, tmp_path):
    """Each is the first of its series; the objects stay as they were, which the copies have shown."""
    create_dicomdir(data, tmp_path / "cd")
    found = leaves(tmp_path / "cd")
    for dataset in without_numbers():
        assert found[dataset.SOPInstanceUID].InstanceNumber == 1
    studies = [record for record in directory(tmp_path / "cd") if record.DirectoryRecordType == "STUDY"]
    supplied = [(record.StudyDate, record.StudyTime, record.StudyID) for record in studies]
    assert sorted(supplied) == [("20250901", "080000", "C1"), ("20251103", "000000", "1")]


def test_objects_of_one_series_without_numbers_get_different_ones(tmp_path):
    """A viewer shows them in this order."""
    plans = [rt_object("481.5", "RTPLAN", RTPlanLabel=label) for label in ("A", "B", "C")]
    for number, plan in enumerate(plans):
        plan.SOPInstanceUID = courses.uid("plan", number)
    courses.write_all(plans, tmp_path / "data")
    create_dicomdir(tmp_path / "data", tmp_path / "cd")
    assert sorted(record.InstanceNumber for record in leaves(tmp_path / "cd").values()) == [1, 2, 3]


def test_images_are_listed_by_their_numbers(data, tmp_path):
    """Not by their UIDs, which say nothing."""
    create_dicomdir(data, tmp_path / "cd")
    images = [record for record in directory(tmp_path / "cd") if record.DirectoryRecordType == "IMAGE"]
    assert [int(record.InstanceNumber) for record in images] == [1, 2, 3, 1]


def test_the_prose_of_a_report_stays_out_of_the_directory(data, tmp_path):
    """Its record shows what modifies its title, and nothing else of its tree."""
    report_file = next(path for path in data.rglob("*.dcm") if b"private prose" in path.read_bytes())
    dataset = part10.read(report_file)
    dataset.ContentSequence.append(text_item("of the title", "HAS CONCEPT MOD"))
    part10.write(dataset, report_file)
    create_dicomdir(data, tmp_path / "cd")
    written = (tmp_path / "cd" / "DICOMDIR").read_bytes()
    assert (b"private prose" in written, b"of the title" in written) == (False, True)


def test_studies_without_a_patients_id_are_patients_of_their_own(tmp_path):
    """Nobody knows that they are one; the record needs an ID and gets one."""
    plans = [courses.plan("A", patient="X", study=study) for study in ("S1", "S2")]
    for plan in plans:
        plan.PatientID = ""
    courses.write_all(plans, tmp_path / "data")
    assert create_dicomdir(tmp_path / "data", tmp_path / "cd").patients == 2
    patients = [record.PatientID for record in directory(tmp_path / "cd") if record.DirectoryRecordType == "PATIENT"]
    assert all(re.fullmatch("NOID-[0-9a-f]{12}", patient) for patient in patients)


def test_the_same_object_twice_is_taken_once(data, tmp_path):
    """And counted."""
    path = next(data.rglob("*.dcm"))
    (data / "again.dcm").write_bytes(path.read_bytes())
    made = create_dicomdir(data, tmp_path / "cd")
    assert (made.objects, made.repeated) == (8, 1)


def test_two_objects_under_one_uid_are_refused_with_both_names(data, tmp_path):
    """Nobody knows which is right; nothing is left behind."""
    path = min((data / "sub-CT1").rglob("*.dcm"))
    dataset = part10.read(path)
    dataset.SliceThickness = 7
    other = write_last(dataset, data)
    with pytest.raises(BadArchive) as caught:
        create_dicomdir(data, tmp_path / "cd")
    assert str(caught.value) == (
        f"{path.relative_to(data)} and {other} differ under one SOP Instance UID. "
        "Remove the one that is wrong, then run again."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("keyword", "one", "several"), [("PatientID", "study", "patients"), ("StudyInstanceUID", "series", "studies")]
)
def test_objects_that_contradict_each_other_are_refused(data, tmp_path, keyword, one, several):
    """A study belongs to one patient and a series to one study; a DICOMDIR has no way to say anything else."""
    path = min((data / "sub-CT1").rglob("*.dcm"))
    dataset = part10.read(path)
    dataset.SOPInstanceUID = courses.uid("another")
    setattr(dataset, keyword, "1.2.3")
    other = write_last(dataset, data)
    with pytest.raises(BadArchive) as caught:
        create_dicomdir(data, tmp_path / "cd")
    assert str(caught.value) == (
        f"{path.relative_to(data)} and {other} say that one {one} belongs to two {several}, which a DICOMDIR cannot "
        "hold. Correct or remove the one that is wrong, then run again."
    )


def test_what_cannot_be_read_is_named_and_the_rest_is_taken(data, tmp_path, capsys):
    """Cut short, garbage behind the preamble, and a dose that does not say what it sums up."""
    path = next(data.rglob("*.dcm"))
    (data / "a_cut.dcm").write_bytes(path.read_bytes()[:-20])
    (data / "b_garbage.dcm").write_bytes(b"\0" * 128 + b"DICM" + os.urandom(400))
    part10.write(rt_object("481.2", "RTDOSE", SOPInstanceUID=courses.uid("c")), data / "c_dose.dcm")
    ran = Ran(capsys, ("dicomdir", data, "--to", tmp_path / "cd"))
    lines = ran.err.splitlines()
    assert (
        lines[0] == "qa-fetch: a_cut.dcm is cut short: it ends in the middle of an element. Fetch or export it again."
    )
    assert lines[1].startswith("qa-fetch: b_garbage.dcm ")
    assert lines[2:] == [
        "qa-fetch: c_dose.dcm lacks Dose Summation Type, which an object of its kind must have. "
        "Correct it at its source."
    ]
    assert re.fullmatch(
        rf"8 objects of 6 series, 2 studies and 2 patients in {re.escape(str(tmp_path / 'cd'))}, \d+ kB\n"
        "1 files left out: not DICOM objects\n",
        ran.out,
    )
    assert ran.code == 1


def test_the_same_object_written_by_another_program_is_taken_once(data, tmp_path):
    """What is before its data set tells only who wrote the file."""
    path = min((data / "sub-CT1").rglob("*.dcm"))
    (data / "again.dcm").write_bytes(path.read_bytes().replace(b"QA_FETCH", b"OFFIS_DC"))
    made = create_dicomdir(data, tmp_path / "cd")
    assert (made.objects, made.repeated) == (8, 1)


def overwrite(path: Path, tag: bytes, old: bytes, new: bytes) -> None:
    """Another value of the same length for an element of a file."""
    written = path.read_bytes()
    assert len(old) == len(new) and written.count(tag + old) == 1
    path.write_bytes(written.replace(tag + old, tag + new))


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # pydicom's, which commands keep to themselves
def test_values_that_are_not_what_they_should_be_are_supplied(tmp_path):
    """A number that is none, a date of another age, an ID with a line break; the copy keeps them as they are."""
    plan = courses.plan("A", patient="PA\nID")
    path = courses.write_all([plan], tmp_path / "data")[0]
    overwrite(path, b"\x20\x00\x13\x00IS\x02\x00", b"1 ", b"X ")
    overwrite(path, b"\x08\x00\x20\x00DA\x08\x00", b"20250901", b"01.09.25")
    overwrite(path, b"\x08\x00\x30\x00TM\x06\x00", b"080000", b"8 a.m.")
    create_dicomdir(tmp_path / "data", tmp_path / "cd")
    patient, study, _, leaf = directory(tmp_path / "cd")
    assert (study.StudyDate, study.StudyTime, leaf.InstanceNumber) == ("20250901", "000000", 1)
    assert re.fullmatch("NOID-[0-9a-f]{12}", patient.PatientID)
    assert contents(tmp_path / "cd") == [path.read_bytes()]


def test_each_record_says_in_which_transfer_syntax_its_object_is(tmp_path):
    """Nothing is converted."""
    syntaxes = [part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE, part10.EXPLICIT_BIG, part10.DEFLATED]
    (tmp_path / "data").mkdir()
    for number, syntax in enumerate(syntaxes):
        part10.write(courses.plan(f"P{number}"), tmp_path / "data" / f"{number}.dcm", syntax)
    create_dicomdir(tmp_path / "data", tmp_path / "cd")
    found = [record.ReferencedTransferSyntaxUIDInFile for record in leaves(tmp_path / "cd").values()]
    assert sorted(found) == sorted(syntaxes)


def test_a_report_nested_a_thousand_levels_deep_gives_one_sentence(data, tmp_path):
    """An attack on whoever reads it by recursion; the others are taken."""
    dataset = report()
    del dataset.ContentSequence
    dataset.SOPInstanceUID = courses.uid("deep")
    part10.write(dataset, data / "deep.dcm")
    item = part10.encode(text_item("more", "HAS CONCEPT MOD"), part10.EXPLICIT_LITTLE)
    nested = b""
    for _ in range(sys.getrecursionlimit()):  # which other packages raise
        within = item + nested
        within = b"\xfe\xff\x00\xe0" + len(within).to_bytes(4, "little") + within
        nested = b"\x40\x00\x30\xa7SQ\0\0" + len(within).to_bytes(4, "little") + within
    with (data / "deep.dcm").open("ab") as file:
        file.write(nested)
    made = create_dicomdir(data, tmp_path / "cd")
    said = "deep.dcm has values of which no SR DOCUMENT record can be made. Correct it at its source."
    assert (made.objects, made.unreadable) == (8, {"deep.dcm": said})


def test_an_older_dicomdir_is_no_object(data, tmp_path):
    """A copy of a copy has the same objects."""
    create_dicomdir(data, tmp_path / "cd")
    made = create_dicomdir(tmp_path / "cd", tmp_path / "cd2")
    assert (made.objects, made.others) == (8, 1)


def test_a_pipe_and_a_link_to_nowhere_are_left_out(data, tmp_path):
    """Opening a pipe would wait for ever."""
    os.mkfifo(data / "pipe.dcm")
    (data / "link.dcm").symlink_to(data / "nowhere")
    assert create_dicomdir(data, tmp_path / "cd").others == 3


def test_a_folder_that_holds_other_things_is_left_alone(data, tmp_path, capsys):
    """An empty one is taken."""
    (tmp_path / "cd").mkdir()
    assert create_dicomdir(data, tmp_path / "cd").objects == 8
    before = sorted((tmp_path / "cd").rglob("*"))
    ran = Ran(capsys, ("dicomdir", data, "--to", tmp_path / "cd"))
    failed(ran, 2, f"{tmp_path / 'cd'} is there already and is not an empty folder. Name another one.")
    assert sorted((tmp_path / "cd").rglob("*")) == before


def test_a_folder_within_the_data_is_refused(data):
    """The copies would be copied."""
    with pytest.raises(ConfigError) as caught:
        create_dicomdir(data, data / "cd")
    assert (
        str(caught.value) == f"{data / 'cd'} lies within {data}, whose files are copied. Name a folder outside of it."
    )


def test_a_folder_without_objects_leaves_nothing_behind(tmp_path):
    """One sentence, which says what to name."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("no object")
    with pytest.raises(NotFound) as caught:
        create_dicomdir(tmp_path / "data", tmp_path / "cd")
    assert str(caught.value) == f"{tmp_path / 'data'} holds no DICOM object. Name the folder with the DICOM files."
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_progress_reaches_the_number_of_files(data, tmp_path):
    """One call a file, those that are left out included."""
    calls: list[tuple[int, int]] = []
    create_dicomdir(data, tmp_path / "cd", on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(number, 9) for number in range(1, 10)]


def test_the_command_answers_machines(data, tmp_path, capsys):
    """With all counts."""
    ran = Ran(capsys, ("dicomdir", data, "--to", tmp_path / "cd", "--json"))
    counts = {"patients": 2, "studies": 2, "series": 6, "objects": 8, "repeated": 0, "others": 1, "unreadable": []}
    size = sum(map(len, contents(data)))
    assert ran.json == {"folder": str(tmp_path / "cd"), "size": size, **counts}
