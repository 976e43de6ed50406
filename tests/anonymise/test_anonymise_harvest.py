"""What is harvested from encoded data sets, and who they are about."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from qa_fetch import part10
from qa_fetch.anonymise.harvest import Harvest, Person, examined, harvest, person
from qa_fetch.errors import BadArchive, ConfigError

SYNTAXES = (part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE, part10.EXPLICIT_BIG, part10.DEFLATED)


def dataset(**values: Any) -> Dataset:
    """A data set of these attributes; lists of data sets become sequences."""
    made = Dataset()
    for keyword, value in values.items():
        is_sequence = isinstance(value, list) and value and isinstance(value[0], Dataset)
        setattr(made, keyword, Sequence(value) if is_sequence else value)
    return made


def harvested(made: Dataset, syntax: str = part10.EXPLICIT_LITTLE) -> Harvest:
    """What is harvested from a data set as it is encoded."""
    return harvest(part10.encode(made, syntax), syntax)


COURSE = dataset(
    SpecificCharacterSet="ISO_IR 192",
    SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5",
    SOPInstanceUID="1.2.3.4.1",
    StudyDate="20251006",
    StudyTime="080000",
    AccessionNumber="ACC90210X",
    InstitutionName="Inselspital Bern",
    InstitutionAddress="Freiburgstrasse 18\r\n3010 Bern",
    ReferringPhysicianName="Feuerstein^Fridolin^^Dr.",
    ReferringPhysicianTelephoneNumbers="+41 31 632 21 11",
    StationName="TB_BUNKER7",
    InstitutionalDepartmentName="Radiotherapy",
    OperatorsName=["Kowalska^Anna", "UNKNOWN"],
    PatientName="Müller^Jörg=山田^太郎",
    PatientID="4711-0815",
    PatientBirthDate="19560417",
    OtherPatientIDsSequence=[dataset(PatientID="ALT-4711", IssuerOfPatientID="HOSP7")],
    PatientTelecomInformation="^PRN^Internet^j.mueller@example.org^^^0041216325544",
    PatientComments="not harvested",
    StudyInstanceUID="1.2.3.4.5",
    SeriesInstanceUID="1.2.3.4.6",
    StudyID="1",
    ContentSequence=[
        dataset(
            ContentSequence=[
                dataset(
                    PersonName="Eisenbart^Theodor",
                    PersonIdentificationCodeSequence=[dataset(CodeValue="EMP0042", CodeMeaning="Theodor Eisenbart")],
                    ConceptNameCodeSequence=[dataset(CodeValue="121008", CodeMeaning="Person Observer Name")],
                )
            ]
        )
    ],
)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_names_numbers_dates_and_places_are_found_at_every_level_in_every_encoding(syntax: str) -> None:
    """One object tells everything that it names, and nothing that identifies nobody."""
    found = harvested(COURSE, syntax)
    assert found.names == {
        *("Feuerstein^Fridolin", "Feuerstein", "Fridolin", "Kowalska^Anna", "Kowalska", "Anna"),
        *("Müller^Jörg", "Müller", "Jörg", "山田^太郎", "山田", "太郎"),
        *("Eisenbart^Theodor", "Eisenbart", "Theodor", "Theodor Eisenbart"),
    }
    assert found.ids == {"ACC90210X", "4711-0815", "ALT-4711", "EMP0042", "+41 31 632 21 11", "0041216325544"}
    assert found.dates == {"19560417"}
    assert found.others == {
        *("Inselspital Bern", "Freiburgstrasse 18\r\n3010 Bern", "HOSP7"),
        "j.mueller@example.org",
    }


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_object_says_who_it_is_about_and_what_it_is(syntax: str) -> None:
    """Patient, study, series and instance are those of the top level."""
    assert person(part10.encode(COURSE, syntax), syntax) == Person(
        patient_id="4711-0815",
        name="Müller^Jörg=山田^太郎",
        birth_date="19560417",
        sop_class="1.2.840.10008.5.1.4.1.1.481.5",
        sop_instance="1.2.3.4.1",
        study="1.2.3.4.5",
        series="1.2.3.4.6",
        study_date="20251006",
        study_time="080000",
    )


@pytest.mark.parametrize(
    ("values", "identity"),
    [
        ({"PatientID": " 4711 ", "PatientName": "Smith^John"}, "4711"),
        ({"PatientName": "SMITH^John ", "PatientBirthDate": "19610305"}, "smith john|19610305"),
        ({"PatientName": "Smith^^John", "PatientBirthDate": "1961.03.05"}, "smith john|19610305"),
        ({"PatientName": "Smith", "PatientID": "  "}, "smith|"),
        ({"PatientBirthDate": "19610305"}, "|19610305"),
        ({"PatientName": "^^^^", "PatientID": ""}, ""),
        ({}, ""),
    ],
)
def test_patients_are_told_apart_by_id_else_by_name_and_birth_date(values: dict[str, str], identity: str) -> None:
    """The same person is the same string, however the name is written."""
    data = b"".join(
        struct.pack("<HHL", *tag, len(values[keyword])) + values[keyword].encode()
        for keyword, tag in (("PatientName", (16, 16)), ("PatientID", (16, 32)), ("PatientBirthDate", (16, 48)))
        if keyword in values
    )
    assert person(data, part10.IMPLICIT_LITTLE).identity == identity


@pytest.mark.parametrize(
    "value",
    ["", " ", "UNKNOWN", "anonymous", "None^None", "N/A", "no name", "X", "^", "xxx", "Unknown^Physician", "TEST"],
)
def test_what_stands_for_nobody_is_no_name(value: str) -> None:
    """Stand-ins and single letters are not looked for in text."""
    assert not harvested(dataset(PatientName=value, OperatorsName=value))


@pytest.mark.parametrize("value", ["0", "000000", "999999", "NONE", "n/a", "-"])
def test_what_stands_for_no_number_is_none(value: str) -> None:
    """Stand-ins for numbers are not looked for in text."""
    assert not harvested(dataset(PatientID=value, AccessionNumber=value))


def test_a_tiny_id_is_kept_and_a_counted_step_is_not() -> None:
    """A PatientID of one digit identifies where it is a whole value; study number 1 is everybody's."""
    assert harvested(dataset(PatientID="7", StudyID="3", RequestedProcedureID="12")).ids == {"7"}
    assert harvested(dataset(StudyID="CT123456")).ids == {"CT123456"}


def test_institutions_of_general_words_only_are_no_names() -> None:
    """A department that is called as all departments are is left in text."""
    assert not harvested(
        dataset(InstitutionalDepartmentName="Radiation Oncology", InstitutionName="University Hospital")
    )
    assert harvested(dataset(InstitutionName="USZ")).others == {"USZ"}


def test_overrides_of_a_treatment_record_name_their_operators() -> None:
    """The control points of a record are looked into, since a person may stand there; those of a plan are not."""
    override = dataset(OperatorsName="Kowalska^Anna", OverrideReason="asked")
    made = dataset(
        BeamSequence=[dataset(ControlPointSequence=[dataset(OperatorsName="Nobody^Puts^This^Here")])],
        TreatmentSessionBeamSequence=[dataset(ControlPointDeliverySequence=[dataset(OverrideSequence=[override])])],
    )
    assert harvested(made).names == {"Kowalska^Anna", "Kowalska", "Anna"}


def test_private_elements_tell_nothing_but_names_and_what_is_below_their_sequences() -> None:
    """Values of private creators may be anything; standard attributes in their sequences are what they are."""
    made = dataset(PatientName="Smith^John")
    block = made.private_block(0x3287, "ACME", create=True)
    block.add_new(1, "LO", "just anything")
    block.add_new(2, "PN", "Kowalska^Anna")
    block.add_new(3, "SQ", Sequence([dataset(PatientID="4711-0815")]))
    found = harvested(made)
    assert found.names == {"Smith^John", "Smith", "John", "Kowalska^Anna", "Kowalska", "Anna"}
    assert found.ids == {"4711-0815"}


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """An element in explicit VR little endian whose VR has a long length."""
    return struct.pack("<HH2sHL", group, number, vr, 0, len(value)) + value


@pytest.mark.parametrize("length", ["defined", "undefined"])
def test_sequences_whose_vr_was_lost_are_looked_into(length: str) -> None:
    """UN holds implicit little-endian items, in private sequences too."""
    inner = part10.encode(dataset(PatientID="4711-0815"), part10.IMPLICIT_LITTLE)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    if length == "undefined":
        head = struct.pack("<HH2sHL", 0x0029, 0x1010, b"UN", 0, 0xFFFFFFFF)
        data = head + item + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    else:
        data = element(0x0029, 0x1010, b"UN", item)
    assert harvest(data, part10.EXPLICIT_LITTLE).ids == {"4711-0815"}


def test_bytes_that_only_begin_like_a_sequence_are_left_alone() -> None:
    """A private value of UN may be anything, and a name behind it is found."""
    data = element(0x0009, 0x1010, b"UN", b"\xfe\xff\x00\xe0garbage!")
    data += element(0x0010, 0x0010, b"UN", b"Smith^John")
    assert harvest(data, part10.EXPLICIT_LITTLE).names == {"Smith^John", "Smith", "John"}


def test_an_item_with_a_character_set_of_its_own_is_read_by_it() -> None:
    """The charset of an item holds below it, and not behind it."""
    inner = dataset(SpecificCharacterSet="ISO_IR 144", PatientName="Иванов^Пётр")
    made = dataset(SpecificCharacterSet="ISO_IR 100", ReferencedPatientSequence=[inner], PatientName="Müller")
    assert harvested(made).names == {"Иванов^Пётр", "Иванов", "Пётр", "Müller"}


def test_bytes_outside_the_character_set_are_read_as_latin_1() -> None:
    """A writer that forgot to say its character set is understood, and the harvest can be written as UTF-8."""
    data = struct.pack("<HHL", 0x10, 0x10, 6) + b"M\xfcller"
    assert harvest(data, part10.IMPLICIT_LITTLE).names == {"Müller"}


def test_truncated_and_bottomless_data_sets_are_bad_archives() -> None:
    """What cannot be followed is told in one sentence."""
    whole = part10.encode(COURSE, part10.EXPLICIT_LITTLE)
    with pytest.raises(BadArchive) as cut:
        examined(whole[:-3], part10.EXPLICIT_LITTLE)
    assert str(cut.value) == ("a data set is cut short: it ends in the middle of an element. Fetch or export it again.")
    deep = b""
    for _ in range(70):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(deep)) + deep
        deep = element(0x0040, 0xA730, b"SQ", item)
    with pytest.raises(BadArchive) as bottomless:
        examined(deep, part10.EXPLICIT_LITTLE)
    assert str(bottomless.value) == (
        "a data set nests sequences deeper than 64 levels. Leave it out, or export it again from its source."
    )


def test_a_harvest_is_kept_as_json_and_merged() -> None:
    """What was written is what is read, and harvests of several files are one."""
    one, other = Harvest({"Müller"}, {"1234"}), Harvest({"Smith"}, dates={"19610305"})
    again = Harvest.from_json(json.loads(json.dumps(one.to_json())))
    assert again == one
    again |= other
    assert again == Harvest({"Müller", "Smith"}, {"1234"}, {"19610305"}, set())
    assert one <= again and not again <= one and again and not Harvest()


@pytest.mark.parametrize(
    "value", [None, [], {"names": "x"}, {"names": [1], "ids": [], "dates": [], "others": [], "days": []}]
)
def test_a_kept_harvest_that_was_changed_is_named(value: Any) -> None:
    """A file that somebody edited is not half understood."""
    with pytest.raises(ConfigError) as refused:
        Harvest.from_json(value)
    assert str(refused.value) == (
        "a kept harvest is not what qa-fetch wrote: it should have the lists names, ids, dates, others and days. "
        "Delete its file; it is made anew."
    )
