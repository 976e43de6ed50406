"""Values under a VR that does not say what they are, UIDs that no table lists, text of another character set."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import phi_gates
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from qa_fetch.anonymise.anonymiser import Anonymiser
from qa_fetch.anonymise.dictionary import OF_KINDS
from qa_fetch.part10 import EXPLICIT_LITTLE, IMPLICIT_LITTLE, encode

KEPT = 'extends = "research-rt"\n[private]\n"ACME" = "keep"\n'
Make = Callable[[str], Anonymiser]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Anonymisers of one key, by profile; ``acme`` keeps a creator's private elements."""
    (tmp_path / "acme.toml").write_text(KEPT)
    key = phi_gates.key_file(tmp_path / "trial.key")
    return lambda name: Anonymiser(key, tmp_path / "acme.toml" if name == "acme" else name)


def image(**values: object) -> Dataset:
    """An object of a patient whose names are too short to be found in bytes."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.SOPClassUID, made.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.2"), UID("1.2.3.4.5")
    made.StudyInstanceUID, made.SeriesInstanceUID, made.StudyDate = UID("1.2.3"), UID("1.2.4"), "20240115"
    made.PatientName, made.PatientID, made.PatientBirthDate = "Ng^Lee", "7788", "19500312"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def anonymised(anonymiser: Anonymiser, made: Dataset, syntax: str = EXPLICIT_LITTLE) -> Dataset:
    """What comes of it in an encoding."""
    done = anonymiser.encoded(encode(made, syntax), syntax)
    return pydicom.dcmread(io.BytesIO(done.file_meta + done.dataset))


def element(tag: int, vr: bytes, value: bytes, *, long: bool = False) -> bytes:
    """One element of explicit VR, whatever its VR."""
    value += b" " * (len(value) % 2)
    size = struct.pack("<HL", 0, len(value)) if long else struct.pack("<H", len(value))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + size + value


def put(anonymiser: Anonymiser, *elements: bytes) -> bytes:
    """What comes of an object with these elements behind all others."""
    return anonymiser.encoded(encode(image(), EXPLICIT_LITTLE) + b"".join(elements), EXPLICIT_LITTLE).dataset


def found(data: bytes, tag: int) -> DataElement:
    """One raw element of a data set."""
    return pydicom.dcmread(io.BytesIO(data), force=True).get_item(tag)  # type: ignore[return-value]


# UIDs


UNLISTED = (0x00081167, 0x00089123, 0x0018991E, 0x00200242, 0x00209312, 0x00280304, 0x0070031B, 0x300A0675)


@pytest.mark.parametrize("profile", ["basic", "research-rt"])
def test_uids_that_the_table_does_not_list_are_mapped_too(make: Make, profile: str) -> None:
    """They refer to instances and frames of reference whose own UIDs are mapped."""
    made = image()
    for tag in UNLISTED:
        made.add_new(tag, "UI", "1.2.3.4.5")
    anonymiser = make(profile)
    output = anonymised(anonymiser, made)
    assert {str(output[tag].value) for tag in UNLISTED} == {anonymiser.key.uid("1.2.3.4.5")} == {output.SOPInstanceUID}


def test_uids_that_name_kinds_of_things_stay(make: Make) -> None:
    """Classes of a vendor's own, and whatever the standard has named; one that holds the patient's number goes."""
    made = image(SelectorUIValue=["1.2.840.10008.1.2.1", "1.2.840.113619.4.26"])
    for tag in OF_KINDS - {0x00080016} - {tag for tag in OF_KINDS if tag >> 16 in (2, 4)}:
        made.add_new(tag, "UI", "1.2.840.113619.4.26")
    made.ReferencedSOPClassUID = "1.2.840.113619.77887788.4"
    made.PatientID = "77887788"
    anonymiser = make("research-rt")
    output = anonymised(anonymiser, made)
    kinds = {str(one.value) for one in output if int(one.tag) in OF_KINDS - {0x00080016, 0x00081150}}
    assert kinds == {"1.2.840.113619.4.26"}
    assert output.ReferencedSOPClassUID == anonymiser.key.uid("1.2.840.113619.77887788.4")
    assert output.SelectorUIValue == ["1.2.840.10008.1.2.1", anonymiser.key.uid("1.2.840.113619.4.26")]


def test_unlisted_uids_stay_where_the_profile_retains_uids(make: Make, tmp_path: Path) -> None:
    """As the listed ones do."""
    (tmp_path / "acme.toml").write_text('options = ["retain-uids"]\n')
    output = anonymised(make("acme"), image(MultiFrameSourceSOPInstanceUID="1.2.3.4.9"))
    assert output.MultiFrameSourceSOPInstanceUID == "1.2.3.4.9"


# Private elements of which nobody says what they are


def private(**more: object) -> Dataset:
    """A block of ACME's."""
    made, inner = image(**more), Dataset()
    inner.add_new(0x00080020, "DA", "20240115")
    inner.add_new(0x00100010, "PN", "Ng^Lee")
    inner.add_new(0x300A00C2, "LO", "Lee 6X")
    block = made.private_block(0x0011, "ACME", create=True)
    block.add_new(1, "UI", "1.2.3.4.5")
    block.add_new(2, "LO", "Lee Ng ap, born 12.3.50")
    block.add_new(3, "DA", "20240115")
    block.add_new(4, "UN", b"<p>Lee</p> 2024-01-15 12 Mar 1950 ")
    block.add_new(5, "FD", 1.5)
    block.add_new(6, "SQ", [inner])
    block.add_new(7, "LO", "Gantry 180")
    block.add_new(8, "UN", b"\xfe\xff\x00\xe0Lee Ng")
    return made


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
def test_private_elements_that_are_kept_are_cleaned_whether_the_file_names_their_vrs_or_not(
    make: Make, syntax: str
) -> None:
    """In an implicit file all of them are UN: UIDs, names, dates and sequences are known by their form."""
    anonymiser = make("acme")
    output = anonymised(anonymiser, private(), syntax)
    value = {number: output[0x00111000 + number].value for number in range(1, 9) if 0x00111000 + number in output}
    raw = b"".join(anonymiser.encoded(encode(private(), syntax), syntax).pieces)
    for text in (b"Lee", b"Ng", b"20240115", b"2024-01-15", b"12 Mar", b"12.3.50", b"1.2.3.4.5"):
        assert text not in raw, text
    uid = value[1] if syntax == EXPLICIT_LITTLE else value[1].rstrip(b"\0").decode()
    assert uid == output.SOPInstanceUID
    assert (value[2], value[7]) in {("ap", "Gantry 180"), (b"ap", b"Gantry 180")}
    assert value.get(3) in (None, output.StudyDate)
    assert value[5] == (1.5 if syntax == EXPLICIT_LITTLE else struct.pack("<d", 1.5))
    assert 8 not in value
    if syntax == IMPLICIT_LITTLE:
        assert output.StudyDate.encode() in value[6] and b"6X" in value[6]


# Public elements with a VR that is wrong, or none


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00080021, b"OB", b"20240115"),
        (0x00080021, b"IS", b"20240115"),
        (0x00080021, b"XX", b"20240115"),
        (0x00080021, b"LO", b"20240115"),
        (0x300A0006, b"SH", b"20240115"),
        (0x0008002A, b"UT", b"20240115103000"),
    ],
)
def test_a_date_is_moved_whatever_vr_it_is_given(make: Make, tag: int, vr: bytes, value: bytes) -> None:
    """The dictionary says what the attribute is."""
    data = put(make("research-rt"), element(tag, vr, value, long=vr in (b"OB", b"UT")))
    moved = found(data, 0x00080020).value
    assert found(data, tag).value.startswith(moved) and b"20240115" not in data
    assert b"20240115" not in put(make("basic"), element(tag, vr, value, long=vr in (b"OB", b"UT")))


@pytest.mark.parametrize("vr", [b"LO", b"IS", b"XX", b"AS"])
def test_an_age_is_capped_whatever_vr_it_is_given(make: Make, vr: bytes) -> None:
    """Nobody is older than 90."""
    assert found(put(make("research-rt"), element(0x00101010, vr, b"095Y")), 0x00101010).value == b"090Y"


@pytest.mark.parametrize("vr", [b"OB", b"OW", b"UN", b"XX"])
def test_text_is_scrubbed_whatever_vr_it_is_given(make: Make, vr: bytes) -> None:
    """Also names that are too short to be looked for in bytes."""
    data = put(make("research-rt"), element(0x0008103E, vr, b"Lee ap 240115", long=vr in (b"OB", b"OW", b"UN")))
    assert found(data, 0x0008103E).value.strip() == b"ap"


def test_unknown_attributes_are_scrubbed_as_text_or_go(make: Make) -> None:
    """What nobody can read, and no dictionary explains, does not get out; items whose VR got lost are rewritten."""
    items = b"\xfe\xff\x00\xe0" + struct.pack("<L", 18) + struct.pack("<HHL", 0x8, 0x103E, 10) + b"Lee 240115"
    data = put(
        make("research-rt"),
        element(0x00189990, b"UN", b"Lee ap 20240115", long=True),
        element(0x00189992, b"UN", b"Lee Ng 20240115", long=True),
        element(0x00189994, b"UN", b"Lee\x01ap", long=True),
        element(0x00189996, b"XX", b"Lee\x01ap"),
        element(0x00189998, b"UN", items, long=True),
        element(0x0018999A, b"UN", "ap für Lée".encode(), long=True),
        element(0x0018999C, b"UN", items + b"ap", long=True),
        element(0x00081140, b"OB", items, long=True),
        element(0x00189A00, b"FD", struct.pack("<d", 1.5)),
    )
    read = pydicom.dcmread(io.BytesIO(data), force=True)
    assert [int(tag) & 0xFFFF for tag in read.keys() if tag >> 16 == 0x18] == [0x9990, 0x9998, 0x999A, 0x9A00]
    assert read.get_item(0x00189990).value.strip() == b"ap"
    assert b"REMOVED" in read.get_item(0x00189998).value
    assert read.get_item(0x0018999A).value.rstrip(b"\0") == "ap für".encode()
    assert b"Lee" not in data and 0x00081140 not in read


# Text of another character set than the file says


def test_utf_8_in_a_file_that_says_latin_1_is_scrubbed_though_something_else_was_before(make: Make) -> None:
    """One of the names is of ASCII and is found at once; the other one is found in UTF-8 only."""
    made = image(ReferringPhysicianName="Müller^Jürg")
    made.ManufacturerModelName = "Lee, boost by Müller für".encode().decode("latin-1")
    output = make("research-rt").encoded(encode(made, EXPLICIT_LITTLE), EXPLICIT_LITTLE).dataset
    assert "Müller".encode() not in output
    assert "boost by für".encode() in output
