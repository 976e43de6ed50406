"""What a query file may ask for: the seed's examples and rules, and what DICOM allows beside them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Union

import pytest

from qa_fetch.batch import queryfile
from qa_fetch.batch.columns import SEED, Wrong, column, value
from qa_fetch.errors import ConfigError


def table(folder: Path, text: Union[str, bytes]) -> Path:
    """A query file of this text."""
    path = folder / "query.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def keys(folder: Path, text: Union[str, bytes]) -> list[dict[str, Union[str, list[str]]]]:
    """What the rows of this text ask for."""
    return [row.keys for row in queryfile.read(table(folder, text))]


def refusal(folder: Path, text: Union[str, bytes]) -> str:
    """How this text is refused, without the path."""
    path = table(folder, text)
    with pytest.raises(ConfigError) as caught:
        queryfile.read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message[len(str(path)) + 1 :]


def cell(name: str, text: str) -> Union[str, tuple[str, ...]]:
    """What one cell asks for."""
    return value(column(name), text)


# --- the seed's five examples, with its words


def test_example_1_asks_for_a_study_a_patient_and_a_day(tmp_path: Path) -> None:
    """Empty cells are not asked for."""
    rows = queryfile.read(table(tmp_path, "StudyDate,PatientID\n20150512,123421\n,45322\n20180102,\n"))
    assert rows == [
        (1, 2, {"StudyDate": "20150512", "PatientID": "123421"}, None),
        (2, 3, {"PatientID": "45322"}, None),
        (3, 4, {"StudyDate": "20180102"}, None),
    ]
    assert rows.notes == ()


def test_example_2_fails_since_patientID_should_be_PatientID(tmp_path: Path) -> None:
    """The message names the column that was meant."""
    assert refusal(tmp_path, "StudyDate,patientID\n20150512,123421\n") == (
        "has a mistake and nothing was asked: line 1, column 2: 'patientID' is not a column that can be asked for "
        "(did you mean PatientID?). Correct it and run again."
    )


def test_example_3_fails_since_a_bare_star_is_not_allowed(tmp_path: Path) -> None:
    """The message names row and column."""
    assert refusal(tmp_path, "StudyDate,PatientID\n20150512,*\n") == (
        "has a mistake and nothing was asked: row 1 (line 2), PatientID: a * alone would ask for everything; "
        "give more characters, such as ABC*, or leave the cell empty. Correct it and run again."
    )


def test_example_4_asks_for_a_range_of_days(tmp_path: Path) -> None:
    """A range goes to the archive as DICOM writes it."""
    asked = keys(tmp_path, "StudyDate,PatientID\n20150512-20150612,124588\n")
    assert asked == [{"StudyDate": "20150512-20150612", "PatientID": "124588"}]


def test_example_5_asks_with_a_wildcard(tmp_path: Path) -> None:
    """A star beside other characters stays a star."""
    asked = keys(tmp_path, "ProtocolName,Modality,PatientBirthDate\nBEAT_SelfNav*,CT,19920611\n")
    assert asked == [{"ProtocolName": "BEAT_SelfNav*", "Modality": "CT", "PatientBirthDate": "19920611"}]


# --- columns


def test_every_column_of_the_seed_and_of_its_successor_is_known() -> None:
    """The 18 that PACSIFIER takes, and those of radiotherapy."""
    asked = [column(name).name for name in [*SEED, "RTPlanLabel", "ApprovalStatus", "ManufacturerModelName"]]
    assert asked == [*SEED, "RTPlanLabel", "ApprovalStatus", "ManufacturerModelName"]
    assert len(SEED) == 18


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SeriesDecription", "SeriesDescription"),  # as the seed's own text spells it
        ("Patient ID", "PatientID"),
        ("study_date", "StudyDate"),
        ("new_id", "new_ids"),
        ("RtPlanLabel", "RTPlanLabel"),
        ("AprovalStatus", "ApprovalStatus"),
    ],
)
def test_a_column_nearly_spelt_right_is_told_its_name(written: str, meant: str) -> None:
    """Case, spaces and a missing letter."""
    with pytest.raises(Wrong) as caught:
        column(written)
    assert str(caught.value) == f"{written!r} is not a column that can be asked for (did you mean {meant}?)"


@pytest.mark.parametrize(
    "name",
    "QueryRetrieveLevel SpecificCharacterSet TimezoneOffsetFromUTC RetrieveAETitle InstanceAvailability "
    "NumberOfStudyRelatedInstances PixelData BeamSequence SmallestImagePixelValue TransferSyntaxUID "
    "AffectedSOPInstanceUID FileSetID".split(),
)
def test_what_steers_a_query_or_is_no_plain_value_is_refused(name: str) -> None:
    """Control keys, sequences, bulk data, and what only files and messages have."""
    with pytest.raises(Wrong) as caught:
        column(name)
    assert str(caught.value) == f"{name} is not a column that can be asked for"


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Nobody can say which of them counts."""
    assert refusal(tmp_path, "PatientID, PatientID \n1,2\n") == (
        "has a mistake and nothing was asked: line 1, column 2: PatientID is already column 1; keep one of them. "
        "Correct it and run again."
    )


def test_a_file_without_names_of_columns_does_not_show_its_first_row(tmp_path: Path) -> None:
    """It may be a patient."""
    expected = "names no columns in its first line. Write names such as StudyDate,PatientID there."
    assert refusal(tmp_path, "20150512,Doe John\n20150513,Roe Jane\n") == expected


def test_the_order_of_the_columns_does_not_matter(tmp_path: Path) -> None:
    """Not even for the order in which the keys are kept, which a ledger may compare as text."""
    one = keys(tmp_path, "StudyDate,Modality,PatientID\n20150512,CT,7\n")
    two = keys(tmp_path, "PatientID,StudyDate,Modality\n7,20150512,CT\n")
    assert [list(row.items()) for row in one] == [list(row.items()) for row in two]


# --- cells


@pytest.mark.parametrize(
    ("name", "text", "asked"),
    [
        ("StudyDate", "2015-05-12", "20150512"),
        ("StudyDate", "2015-05-12 00:00:00", "20150512"),
        ("StudyDate", "20150101-", "20150101-"),
        ("StudyDate", "-20150101", "-20150101"),
        ("StudyDate", "'-20150101", "-20150101"),  # as our reports write it
        ("AcquisitionDate", "2015-05-12 - 2015-06-12", "20150512-20150612"),
        ("AcquisitionDate", "20150512\u201320150612", "20150512-20150612"),
        ("StudyTime", "140500", "140500"),
        ("StudyTime", "14:05", "140500"),
        ("StudyTime", "14:05:00.25", "140500.25"),
        ("StudyTime", "08:00-", "080000-"),
        ("StudyTime", "080000-12:30", "080000-123000"),
        ("AcquisitionDateTime", "2015-05-12 14:05:00", "20150512140500"),
        ("AcquisitionDateTime", "20150512140500.5+0100", "20150512140500.5+0100"),
        ("AcquisitionDateTime", "20150512-20150513", "20150512-20150513"),
        ("PatientName", "John Doe", "*DOE"),
        ("PatientName", "Müller", "*MÜLLER"),
        ("PatientName", "doe^john", "*DOE^JOHN"),
        ("PatientName", "*DOE", "*DOE"),
        ("PatientID", '="00123"', "00123"),
        ("PatientID", "=cmd|'/c calc'!A0", "=cmd|'/c calc'!A0"),
        ("PatientID", "'=cmd", "=cmd"),
        ("PatientID", "O'Neill?", "O'Neill?"),
        ("AccessionNumber", "A" * 20, "A" * 20),  # longer than DICOM allows, and archives hold such
        ("ImageType", "ORIGINAL\\PRIMARY\\*", ("ORIGINAL", "PRIMARY", "*")),
        ("StudyInstanceUID", "1.2.3 \\ 1.2.4", ("1.2.3", "1.2.4")),
        ("StudyComments", "a\\b", "a\\b"),
        ("SeriesNumber", "-3", "-3"),
        ("SliceThickness", "2.50", "2.50"),
        ("Rows", "512", "512"),
        ("PatientAge", "045Y", "045Y"),
        ("new_ids", "P0001", "P0001"),
    ],
)
def test_a_cell_is_asked_as_dicom_writes_it(name: str, text: str, asked: Union[str, tuple[str, ...]]) -> None:
    """Dates, times, names, lists, and what Excel and our reports put around a value."""
    assert cell(name, text) == asked


NO_DATE = "this is not a date; write it as 20150512 or 2015-05-12, a range as 20150512-20150612"
NO_TIME = "this is not a time; write it as 140500 or 14:05:00, a range as 140500-150000"
BARE = "a * alone would ask for everything; give more characters, such as ABC*, or leave the cell empty"
BACKWARDS = "this range ends before it begins; exchange its ends"
SEVERAL = "this holds several values; give each a row of its own"
NO_NEW_ID = "this cannot be a new PatientID; use up to 64 characters without * ? and backslash"
SHORTENED = "Excel has shortened this number; format the column as text and type it again"
EXCEL_ERROR = "this is an error of Excel or a formula without its value; correct the sheet and save it again"
INVISIBLE = "this holds an invisible character, such as a line break or a NUL; type the value again"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        *(("StudyDate", text, NO_DATE) for text in "12.05.2015 05/12/2015 2015 201505 20150631 42136 -".split()),
        ("StudyDate", "2015*", "this takes no * and ?; give a whole value"),
        ("StudyDate", "2015-05-12 14:05:00", NO_DATE),
        ("StudyDate", "20150512-20150612-20150712", NO_DATE),
        ("StudyDate", "٢٠١٥٠٥١٢", NO_DATE),
        ("StudyDate", "20150612-20150512", BACKWARDS),
        ("PatientBirthDate", "19900101-19911231", "a birth date cannot be a range; give one date as 19920611"),
        *(("StudyTime", text, NO_TIME) for text in "90500 1405 14 246000 14.05 0.5".split()),
        ("StudyTime", "230000-010000", BACKWARDS),
        *(("PatientID", text, BARE) for text in ("*", "**", "*?*", '="*"')),
        ("PatientName", "Doe *", BARE),
        ("PatientName", "*^*", BARE),
        ("ImageType", "*\\*", BARE),
        ("ImageType", "A\\\\B", "one of its values is empty; write them as A\\B"),
        ("PatientID", "1\\2", SEVERAL),
        ("Modality", "CT\\MR", SEVERAL),
        ("StudyInstanceUID", "1.2.*4", "this takes no * and ?; give a whole value"),
        ("StudyInstanceUID", "1.2.x", "this is not a UID; it has up to 64 digits and dots"),
        ("SeriesNumber", "3.0", f"this is not a whole number from {-(2**31)} to {2**31 - 1}"),
        ("Rows", "-1", "this is not a whole number from 0 to 65535"),
        ("SliceThickness", "2,5", "this is not a number; write it as 2.5"),
        ("SliceThickness", "nan", "this is not a number; write it as 2.5"),
        ("PatientAge", "45", "this is not an age; write it as 045Y, with D, W, M or Y at its end"),
        ("PatientID", "x" * 65, "this is longer than the 64 characters that an archive can hold"),
        ("PatientID", "1.23457E+11", SHORTENED),
        ("AccessionNumber", "1,23E+14", SHORTENED),
        ("PatientID", "#N/A", EXCEL_ERROR),
        ("PatientID", "a\nb", INVISIBLE),
        ("PatientID", "a\u200bb", INVISIBLE),
        ("PatientID", '=""', "this is empty but for marks; give it a value or clear the cell"),
        ("new_ids", "P*", NO_NEW_ID),
        ("new_ids", "P\\1", NO_NEW_ID),
    ],
)
def test_a_cell_that_cannot_be_asked_says_why_and_not_what_it_holds(name: str, text: str, why: str) -> None:
    """Nothing is guessed, and nothing of a patient gets into the sentence."""
    with pytest.raises(Wrong) as caught:
        cell(name, text)
    assert str(caught.value) == why


# --- rows


def test_a_row_without_any_value_is_refused_since_it_would_fetch_the_archive(tmp_path: Path) -> None:
    """A new ID is nothing to search for."""
    assert refusal(tmp_path, "PatientID,new_ids\n1,A\n,\n,B\n2,C\n") == (
        "has 2 mistakes and nothing was asked: "
        "[1] row 2 (line 3): all its cells are empty; fill in one of them or delete the row; "
        "[2] row 3 (line 4): nothing says what to fetch; fill in another cell or delete the row. "
        "Correct them and run again."
    )


def test_rows_that_repeat_another_are_said_and_left_out(tmp_path: Path) -> None:
    """However their cells are written."""
    rows = queryfile.read(table(tmp_path, "StudyDate,PatientID\n20150512,1\n20150512,2\n2015-05-12, 1\n20150512,2\n"))
    assert [row.number for row in rows] == [1, 2]
    assert rows.notes == ("2 of its rows repeat others and are fetched once: row 3 (as row 1), row 4 (as row 2).",)


def test_names_asked_by_their_last_word_are_said_to_miss_those_with_first_names(tmp_path: Path) -> None:
    """An archive keeps DOE^JOHN, which does not end in DOE; a star at the end or a whole name finds it."""
    note = "PatientName is asked as PACSMAN does, as *DOE; write DOE* to find DOE^JOHN as well."
    assert queryfile.read(table(tmp_path, "PatientName\nJohn Doe\n")).notes == (note,)
    rows = queryfile.read(table(tmp_path, "PatientName\nDoe*\ndoe^john\n"))
    assert ([row.keys["PatientName"] for row in rows], rows.notes) == (["*DOE*", "*DOE^JOHN"], ())


def test_a_patient_has_one_new_id(tmp_path: Path) -> None:
    """Two would make two patients of one; a row without one leaves it as it is."""
    rows = queryfile.read(table(tmp_path, "PatientID,StudyDate,new_ids\n1,,A\n1,20150512,\n1,20150513,A\n2,,B\n"))
    assert [row.new_id for row in rows] == ["A", None, "A", "B"]
    assert refusal(tmp_path, "PatientID,StudyDate,new_ids\n1,20150512,A\n1,20150513,B\n") == (
        "has a mistake and nothing was asked: row 2 (line 3), new_ids: row 1 gives the same patient another one; "
        "keep one. Correct it and run again."
    )


def test_a_new_id_has_one_patient(tmp_path: Path) -> None:
    """Else one would be made of two, also where only letter case tells them apart."""
    assert refusal(tmp_path, "PatientID,new_ids\nP1,C1\nP2,c1\n") == (
        "has a mistake and nothing was asked: row 2 (line 3), new_ids: row 1 gives another patient the same one; "
        "give each patient one of its own. Correct it and run again."
    )


def test_all_mistakes_are_known_and_the_first_ten_named(tmp_path: Path) -> None:
    """Of the header and of the rows, in one error that also crosses processes."""
    path = table(tmp_path, "StudyDate,PatientID,Modalty\n" + "2015,*,CT\n" * 20)
    with pytest.raises(ConfigError) as caught:
        queryfile.read(path)
    error = pickle.loads(pickle.dumps(caught.value))
    assert len(error.mistakes) == 41
    assert error.mistakes[0] == (
        0,
        1,
        "column 3",
        "'Modalty' is not a column that can be asked for (did you mean Modality?)",
    )
    assert error.mistakes[-1] == (20, 21, "StudyDate", NO_DATE)
    assert str(error).startswith(f"{path} has 41 mistakes and nothing was asked: [1] line 1, column 3: 'Modalty' is")
    assert str(error).endswith(f"; [10] row 5 (line 6), PatientID: {BARE}; and 31 more. Correct them and run again.")
    assert len(str(error)) < 1500


def test_a_checked_file_is_read_again_row_by_row(tmp_path: Path) -> None:
    """A job of a million rows holds none of them; a file that was spoilt meanwhile is refused."""
    path = table(tmp_path, "PatientID\n" + "".join(f"P{number}\n" for number in range(1000)) + "P7\n")
    checked = queryfile.Checked(path)
    assert (checked.count, len(checked.notes)) == (1000, 1)
    assert list(checked) == list(checked) == queryfile.read(path)
    path.write_text("PatientID\nP1\n*\nP2\n")
    with pytest.raises(ConfigError) as caught:
        list(checked)
    assert str(caught.value) == (
        f"{path} has a mistake and nothing was asked: row 2 (line 3), PatientID: {BARE}. Correct it and run again."
    )
