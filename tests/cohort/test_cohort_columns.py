"""The table that PDCP keeps of each patient."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from cohort_rows import course, images, one, structures
from pydicom.dataset import Dataset

from qa_fetch.cohort import columns
from qa_fetch.errors import BadArchive

HEADER = (
    "AccessionNumber,AcquisitionNumber,ApprovalStatus,BitsAllocated,BitsStored,BurnedInAnnotation,Columns,"
    "DoseGridScaling,DoseSummationType,DoseType,DoseUnits,FractionGroupSequence,FrameIncrementPointer,"
    "FrameOfReferenceUID,GridFrameOffsetVector,HighBit,ImageOrientationPatient,ImagePositionPatient,ImageType,"
    "InstanceCreationDate,InstanceCreationTime,InstanceCreatorUID,InstanceNumber,IssuerOfPatientID,KVP,"
    "LargestImagePixelValue,Manufacturer,ManufacturerModelName,Modality,NumberOfFrames,PatientBirthDate,PatientID,"
    "PatientName,PatientPosition,PatientSetupSequence,PatientSex,PhotometricInterpretation,PixelData,"
    "PixelRepresentation,PixelSpacing,PositionReferenceIndicator,RTPlanDate,RTPlanDescription,RTPlanGeometry,"
    "RTPlanLabel,RTPlanName,RTPlanTime,ReferencedRTPlanSequence,ReferencedStructureSetSequence,"
    "ReferencedStudySequence,ReferringPhysicianName,RescaleIntercept,RescaleSlope,ReviewDate,ReviewerName,Rows,"
    "SOPClassUID,SOPInstanceUID,SamplesPerPixel,SeriesInstanceUID,SeriesNumber,SliceLocation,SliceThickness,"
    "SmallestImagePixelValue,SoftwareVersions,SpecificCharacterSet,StationName,StructureSetDate,StructureSetTime,"
    "StudyDate,StudyDescription,StudyID,StudyInstanceUID,StudyTime,organs,len_of_associated_ct_slices,"
    "referenced_ct_series_uid,InstanceIdentifier,OrthancId,PatId,StudyId,StudyIdentifier,SeriesIdentifier,"
    "SeriesDescription,SeriesDate"
)


def test_the_columns_are_pdcps_in_its_order(tmp_path: Path) -> None:
    """77 of the object and 9 of its place; StudyDescription is one of both and stands once, as in PDCP's files."""
    assert (len(columns.INSTANCE), len(columns.PLACE)) == (77, 9)
    path = columns.write(tmp_path, "1", "ERROR", course())
    assert path.read_text() == HEADER + "\n"
    assert path.name == "1_ERROR.csv"


def test_a_structure_sets_row_has_its_rois_and_its_series() -> None:
    """From the first item of each nested sequence; what is absent is ``missing``."""
    found = structures(of="1.2.3", rois=("PTV", ""))
    assert found["organs"] == "[{'PTV': 'missing'}, {'missing': 'missing'}]"
    assert (found["len_of_associated_ct_slices"], found["referenced_ct_series_uid"]) == ("3", "1.2.3")
    assert (found["KVP"], found["PixelData"], found["StudyDescription"]) == ("missing", "missing", "breast left")
    assert columns.roi_names(found["organs"]) == ("PTV", "")


@pytest.mark.parametrize("frame", [[], "", [{}], [{"RTReferencedStudySequence": "x"}], [7]])
def test_a_structure_set_without_a_series_raises_nothing(frame: object) -> None:
    """A gap anywhere on the way is ``missing``."""
    found = structures(ReferencedFrameOfReferenceSequence=frame, StructureSetROISequence=[None, {"ROIName": "A"}])
    assert (found["len_of_associated_ct_slices"], found["referenced_ct_series_uid"]) == ("missing", "missing")
    assert found["organs"] == "[{'A': 'missing'}]"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Rows by SeriesNumber descending as numbers; odd texts stay as they are, and what came out before is removed."""
    columns.write(tmp_path, "1", "ERROR")
    odd = one("RTPLAN", "1.9", RTPlanLabel='a,"b"\r\nc\\d', PatientName="Müller^\ud800", SeriesNumber="missing")
    path = columns.write(tmp_path, "1", "SUCCESS", [odd, *images(2), structures(), course(1)[-1]])
    assert [file.name for file in tmp_path.iterdir()] == ["1_SUCCESS.csv"]
    found = columns.read(path)
    assert [row["SeriesNumber"] for row in found] == ["10", "3", "2", "2", "missing"]
    assert found[-1] == {**odd, "PatientName": "Müller^?"}
    assert found[1] == structures()


def test_a_table_as_pandas_writes_it_again_is_understood(tmp_path: Path) -> None:
    """An interceptor's: numbers become decimals, gaps become nothing, and columns come and go."""
    path = tmp_path / "1_SUCCESS.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Modality", "SOPInstanceUID", "SeriesInstanceUID", "StudyDate", "mine"])
        writer.writerow(["CT", "1.2", "1.3", "20141222.0", "x"])
    (found,) = columns.read(path)
    assert (columns.day(found["StudyDate"]), columns.day(found["RTPlanDate"])) == (20141222, None)
    assert columns.given(found["KVP"]) == columns.given("") == columns.given("nan") == ""
    assert set(found) == set(columns.COLUMNS)
    assert columns.numbers("1\\2.5") == (1.0, 2.5)
    assert columns.numbers("1\\x") == columns.numbers("missing") == ()
    assert columns.number("nan") is columns.number("inf") is None


@pytest.mark.parametrize(
    ("content", "lacks"), [(b"a,b\n1,2\n", "Modality"), (b"\xff\xfe", "text that is UTF-8 and CSV")]
)
def test_what_is_no_summary_is_refused_in_one_sentence(tmp_path: Path, content: bytes, lacks: str) -> None:
    """Neither its name nor what is in it is shown."""
    (tmp_path / "1_SUCCESS.csv").write_bytes(content)
    with pytest.raises(BadArchive) as caught:
        columns.read(tmp_path / "1_SUCCESS.csv")
    assert str(caught.value) == (
        f"a summary in {tmp_path} is not a table of PDCP: it lacks {lacks}. "
        "Run qa-fetch cohort summarise again for this patient."
    )


def test_a_value_that_no_table_holds_is_refused(tmp_path: Path) -> None:
    """It could not be read back."""
    with pytest.raises(BadArchive) as caught:
        columns.write(tmp_path, "1", "SUCCESS", [one("CT", "1.2", ImageType="x" * 140_000)])
    assert (
        str(caught.value) == "an object has a value of more than 131072 characters, which no table holds. Leave it out."
    )


@pytest.mark.parametrize(
    "value",
    [
        [],
        [{"a": None, "b": [{"c": "1.2"}]}],
        ["it's", 'a "b"', "\\", "\n\t\x07é\u2028"],
        [1, -2.5, 1e-3, True],
        ["#(["],
    ],
)
def test_a_sequence_comes_back_as_it_was(value: list[object]) -> None:
    """Written as Python writes a list."""
    assert columns.literal(str(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "[x for x in 'a']",
        "[open('x')]",
        "[1 + 1]",
        "['a' * 9]",
        "[lambda: 1]",
        "[f'{1}']",
        "[b'a']",
        "[nan]",
        "['\\N{DIGIT ONE}']",
        "['\\d']",
        "['a",
        "[" * 33 + "]" * 33,
        "[" * 100_000,
        "-" * 100_000 + "1",
        "[" + "9" * 5000 + "]",
        "]",
        "[1",
        "{'a': 1}",
        "[{[]: 1}]",
        "[1_0]",
    ],
)
def test_nothing_but_a_list_of_values_is_read(text: str) -> None:
    """What PDCP would have run is refused."""
    with pytest.raises(ValueError, match="^this is (not a list|nested too deeply)"):
        columns.literal(text)


def test_references_are_the_uids_that_items_name() -> None:
    """Each once, and items without one are passed by."""
    item = {"ReferencedSOPInstanceUID": "1.2"}
    assert columns.references(str([item, {}, 7, item, {"ReferencedSOPInstanceUID": None}])) == ("1.2",)
    assert columns.references("missing") == ()


def test_a_pydicom_header_gives_the_row_that_orthancs_tags_give() -> None:
    """So that every sort of archive makes the same table."""
    header, item = Dataset(), Dataset()
    header.Modality, header.PixelSpacing, header.KVP, header.ImageType = "RTDOSE", ["2.50", "2.5"], None, ["A", "B"]
    item.ReferencedSOPInstanceUID = "1.2"
    header.ReferencedRTPlanSequence, header.ReferencedStructureSetSequence = [item], []
    header.ContrastBolusAgent = "not asked for"
    assert columns.simplified(header) == {
        "Modality": "RTDOSE",
        "PixelSpacing": "2.50\\2.5",
        "KVP": "",
        "ImageType": "A\\B",
        "ReferencedRTPlanSequence": [{"ReferencedSOPInstanceUID": "1.2"}],
        "ReferencedStructureSetSequence": [],
    }


def test_other_archives_get_the_identifiers_that_an_orthanc_would_give() -> None:
    """The SHA-1 of PatientID and UIDs, in five groups."""
    assert columns.orthanc_identifier("1") == "356a192b-7913b04c-54574d18-c28d46e6-395428ab"


def test_patient_1_has_nothing_to_do_with_12_and_1_2(tmp_path: Path) -> None:
    """Neither is found for it, nor removed with it."""
    columns.write(tmp_path, "12", "SUCCESS", images(1))
    columns.write(tmp_path, "1_2", "ERROR")
    assert columns.find(tmp_path, "1") is None
    columns.write(tmp_path, "1", "IMAGINGDATANOTFOUND")
    columns.write(tmp_path, "1", "SUCCESS")
    assert columns.find(tmp_path, 1) == ("SUCCESS", tmp_path / "1_SUCCESS.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["12_SUCCESS.csv", "1_2_ERROR.csv", "1_SUCCESS.csv"]


@pytest.mark.parametrize("outcome", ["ERROR", "IMAGINGDATANOTFOUND"])
def test_a_stop_while_a_failure_is_written_leaves_no_old_rows(
    outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old rows beside a new failure would be taken for what the archive has now."""
    columns.write(tmp_path, "1", "SUCCESS", course(2))

    def cut(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(columns, "write_text", cut)
    with pytest.raises(KeyboardInterrupt):
        columns.write(tmp_path, "1", outcome)
    assert columns.find(tmp_path, "1") is None
