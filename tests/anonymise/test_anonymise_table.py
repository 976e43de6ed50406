"""The tables as data: their shape, and that they agree with pydicom and with themselves."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from qa_fetch.anonymise import table
from qa_fetch.anonymise.table import Action, keywords, kinds_of, read, repeating_rows, rows

FOLDER = Path(table.__file__).parent
STANDARD = list(read("ps315.csv"))
OURS = list(read("rt_text.csv"))
CLASSES = list(read("sop_classes.csv"))
BY_KEYWORD = {row["Keyword"]: row for row in STANDARD}


def _number(tag: str) -> int:
    return int(tag[1:5] + tag[6:10], 16)


def _plain(source: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in source if re.fullmatch(r"\([0-9A-F]{4},[0-9A-F]{4}\)", row["Tag"])]


def test_the_standards_table_is_whole() -> None:
    """All 656 rows are there, each tag and keyword once, in the order of tags."""
    assert len(STANDARD) == 656
    assert len({row["Tag"] for row in STANDARD}) == len({row["Keyword"] for row in STANDARD}) == 656
    tags = [_number(row["Tag"]) for row in _plain(STANDARD)]
    assert len(tags) == 652
    assert tags == sorted(tags)
    assert [row["Tag"] for row in STANDARD if row not in _plain(STANDARD)] == [
        "(50xx,xxxx)",
        "(60xx,3000)",
        "(60xx,4000)",
        "(gggg,eeee)",
    ]


def test_the_tables_say_their_edition() -> None:
    """The first line of the standard's table names the editions it was taken from."""
    first = (FOLDER / "ps315.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# DICOM PS3.15 Table E.1-1: basic profile of 2026c, options of 2024d.")


@pytest.mark.parametrize(
    ("column", "letters"),
    [
        ("Retain Safe Private", {"C": 1}),
        ("Retain UIDs", {"K": 60}),
        ("Retain Device Identity", {"C": 11, "K": 46}),
        ("Retain Institution Identity", {"K": 10}),
        ("Retain Patient Characteristics", {"C": 4, "K": 10}),
        ("Retain Longitudinal Full Dates", {"K": 165}),
        ("Retain Longitudinal Modified Dates", {"C": 165}),
        ("Clean Descriptors", {"C": 125}),
        ("Clean Structured Content", {"C": 3}),
        ("Clean Graphics", {"C": 4}),
    ],
)
def test_every_option_has_its_rows(column: str, letters: dict[str, int]) -> None:
    """Each of the ten options changes as many attributes as in the standard."""
    assert Counter(row[column] for row in STANDARD if row[column]) == letters


def test_the_letters_of_the_basic_profile() -> None:
    """The basic profile has the standard's actions and combinations, each as often."""
    assert Counter(row["Basic"] for row in STANDARD) == BASIC_LETTERS


BASIC_LETTERS = {
    "X": 416,
    "D": 93,
    "U": 55,
    "Z": 42,
    "X/D": 23,
    "X/Z": 11,
    "X/Z/D": 8,
    "Z/D": 6,
    "X/Z/U*": 2,
}


@pytest.mark.parametrize(
    ("keyword", "basic"),
    [
        ("PatientName", "Z"),
        ("PatientID", "Z/D"),
        ("StudyDate", "Z"),
        ("ContentDate", "Z/D"),
        ("SOPInstanceUID", "U"),
        ("ReferencedImageSequence", "X/Z/U*"),
        ("OperatorsName", "X/Z/D"),
        ("RTPlanLabel", "D"),
        ("ROIName", "Z"),
        ("OverlayData", "X"),
        ("PrivateAttributes", "X"),
        ("SexParametersForClinicalUseCategorySequence", "X"),
    ],
)
def test_known_letters(keyword: str, basic: str) -> None:
    """Attributes that everybody knows have the letters of the standard."""
    assert BY_KEYWORD[keyword]["Basic"] == basic


def test_keywords_and_vrs_are_pydicoms() -> None:
    """Where pydicom's dictionary knows a tag, keyword and VR are the same; where not, the keyword is not another's."""
    for row in (*_plain(STANDARD), *_plain(OURS)):
        tag = _number(row["Tag"])
        known = keyword_for_tag(tag)
        if known:
            assert (row["Keyword"], row["VR"]) == (known, dictionary_VR(tag))
        else:
            assert tag_for_keyword(row["Keyword"]) is None
        assert re.fullmatch(r"[A-Za-z0-9]+", row["Keyword"])
        assert re.fullmatch(r"[A-Z]{2}", row["VR"])


def test_our_own_text_is_outside_the_standards_table() -> None:
    """No attribute is in both tables, each once, and all that ours has are texts."""
    tags = [_number(row["Tag"]) for row in OURS]
    assert tags == sorted(set(tags))
    assert not set(tags) & {_number(row["Tag"]) for row in _plain(STANDARD)}
    assert {row["VR"] for row in OURS} <= {"LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
    assert {row["Basic"] for row in OURS} == {"C", "D", "X", "Z"}
    assert all(row["Clean Descriptors"] == "C" for row in OURS if row["Basic"] == "C")


def test_every_text_of_the_rt_modules_is_judged() -> None:
    """Each text attribute of the groups of radiotherapy is in one table or the other."""
    from pydicom._dicom_dict import DicomDictionary

    groups = {0x3002, 0x3004, 0x3006, 0x3008, 0x300A, 0x300C, 0x300E, 0x3010}
    texts = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
    asked = {tag for tag, entry in DicomDictionary.items() if tag >> 16 in groups and entry[0] in texts}
    assert len(asked) > 130
    assert sorted(asked - set(rows())) == []


def test_what_is_required_names_letters_and_kinds_that_exist() -> None:
    """A letter in Required is one of Basic, not its first, and each kind is one of sop_classes.csv."""
    kinds = {kind for line in CLASSES for kind in line["Kinds"].split()} | {"*"}
    parts = [(row["Basic"], part.strip()) for row in STANDARD for part in row["Required"].split(";") if part]
    for basic, part in parts:
        letter, _, named = part.partition(": ")
        assert letter in basic.replace("*", "").split("/")[1:] or (basic, part) == ("X", "D: presentation")
        assert named
        assert set(named.split()) <= kinds


def test_every_combination_says_what_decides() -> None:
    """No attribute with several letters is without a word on when the later ones are needed.

    Two of one letter have one too: the table removes them, and they are of type 1 in presentation states.
    """
    others = [row["Keyword"] for row in STANDARD if bool(row["Required"]) != ("/" in row["Basic"])]
    assert others == ["PresentationCreationDate", "PresentationCreationTime"]


def test_sop_classes_are_listed_once() -> None:
    """Each class has its UID once, a name and at least one kind; a class that nobody knows has no kinds."""
    uids = [row["SOP Class UID"] for row in CLASSES]
    assert len(uids) == len(set(uids)) > 170
    assert all(
        row["Name"] and row["Kinds"] and row["SOP Class UID"].startswith("1.2.840.10008.5.1.4.") for row in CLASSES
    )
    assert kinds_of("1.2.840.10008.5.1.4.1.1.481.5") == {"rtplan"}
    assert kinds_of("1.2.3") is None


def test_the_tables_by_tag_and_keyword() -> None:
    """Both tables are found together by tag, and the repeating groups by their patterns."""
    assert len(rows()) == 652 + len(OURS)
    assert keywords()["BeamName"] == 0x300A00C2
    assert rows()[0x00081140].basic == ("X", "Z", "U")
    assert list(repeating_rows()) == ["50xx,xxxx", "60xx,3000", "60xx,4000"]
    assert rows()[0x00100010].action((), frozenset()) is Action.EMPTY
