"""PDCP's codes, and the notes that hold them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qa_fetch.cohort import codes
from qa_fetch.cohort.notes import KEYS, VALUES, Notes, notes_path, stem
from qa_fetch.errors import BadArchive

TABLES = {
    1: "I_EXEC_001 I_EXEC_002 I_EXEC_003 I_EXEC_004 I_EXEC_005 I_EXEC_006 I_SUCC_001 I_REV_001 I_SUCC_002 I_EXEC_007",
    2: "II_EXEC_001 II_EXEC_002 II_SUCC_001 II_EXEC_003",
    3: "XI_EXEC_001 XI_EXEC_02 XI_SUCC_001",
    4: "XII_SUCC_001 XII_EXEC_001",
    5: "XIII_EXEC_001 XIII_SUCC_001",
    6: "XIV_SUCC_001 XIV_EXEC_001",
    7: "XV_EXEC_001 XV_SUCC_001 XV_EXEC_002",
    8: "XVI_EXEC_001 XVI_SUCC_001 XVI_EXEC_002",
    9: "XXI_SUCC_001 XXI_EXEC_001",
    10: "XXII_EXEC_001 XXII_REV_001 XXII_REV_002 XXII_REV_003",
    11: "XXIV_EXEC_001 XXIV_EXEC_002 XXIV_EXEC_003 XXIV_SUCC_001",
    0: "II_REV_001 II_REV_002 XI_EXEC_002 XXII_SUCC_001 XXIII_SUCC_001 XXIII_EXEC_001",
}


@pytest.mark.parametrize(("table", "names"), TABLES.items())
def test_every_code_of_every_table_is_there(table: int, names: str) -> None:
    """Table 0 has those that only the code of PDCP knows."""
    assert {code.name for code in codes.CODES.values() if code.table == table} == set(names.split())


@pytest.mark.parametrize("code", codes.CODES.values(), ids=str)
def test_every_code_has_pdcps_words_and_a_sentence_with_what_to_do(code: codes.Code) -> None:
    """What happened, then what to do; both end, and nobody else's placeholders are in them."""
    assert getattr(codes, code.name) is code
    assert re.match(f"{code.step}: ", code.description)
    assert re.fullmatch(r"[A-Z].*[A-Za-z]\. .*\.", code.sentence)
    assert "{" not in code.told()
    assert codes.code(f"{code.name}: {code.mark} ") is code
    assert code.outcome == {"EXECLUDE": "EXECLUDE", "PROCEED": "PROCEED"}.get(code.mark, "REVIEW")


def test_marks_are_those_of_the_tables() -> None:
    """LOW, NORMAL and SEVERE ask for a review."""
    marks = {code.name: code.mark for code in codes.CODES.values() if code.outcome == codes.REVIEW}
    assert marks == {
        "I_REV_001": "LOW",
        "II_REV_001": "SEVERE",
        "II_REV_002": "SEVERE",
        "XXII_REV_001": "NORMAL",
        "XXII_REV_002": "NORMAL",
        "XXII_REV_003": "NORMAL",
    }


def test_notes_are_pdcps_json_with_its_keys_in_its_order(tmp_path: Path) -> None:
    """As the example of the manual has them."""
    notes = Notes(123456789, "v1")
    notes.put("raw_images_summary", {"PatId": 123456789})
    notes.put("list_of_values", {"PatId": 123456789})
    notes.give(codes.I_SUCC_001)
    notes.give(codes.XI_SUCC_001, detail="CT retrieval: Took 5.89 s")
    notes.give(codes.XXIV_SUCC_001)
    notes.ready = True
    assert notes.write(tmp_path).name == "123456789.json"
    found = json.loads((tmp_path / "123456789.json").read_text())
    assert list(found.items()) == [
        ("raw_images_summary", {"PatId": 123456789}),
        ("list_of_values", {"PatId": 123456789}),
        (
            "verification_notes",
            ["I: Initial Verification: Patient has one associated study.", "I: I_SUCC_001:PROCEED:123456789"],
        ),
        ("version", "v1"),
        (
            "retrieval_notes",
            [
                "XI: CT retrieval: Took 5.89 s",
                "XI: CT retrieval: retrieved the CT series instances to the local directory.",
                "XI: XI_SUCC_001:PROCEED",
            ],
        ),
        ("loading_notes", ["XXIV: XXIV select RTDOSES: RTDOSES successfully loaded", "XXIV: XXIV_SUCC_001:PROCEED"]),
        ("status", "SUCCESS"),
        ("patientimagingfilesready", True),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["123456789.json"]


def test_an_excluding_code_is_the_code_and_the_files_are_never_ready() -> None:
    """A code that asks for a review does not hide it."""
    notes = Notes("HN-1")
    notes.give(codes.II_REV_001, count=400)
    assert notes.status == "REVIEW"
    notes.give(codes.XIV_EXEC_001)
    notes.ready = True
    found = notes.to_dict()
    assert (found["status"], found["code"], found["patientimagingfilesready"]) == (
        "EXECLUDE",
        "XIV_EXEC_001:EXECLUDE",
        False,
    )


def test_notes_take_no_other_keys() -> None:
    """What PDCP's scripts do not know is not written."""
    with pytest.raises(KeyError, match="mood"):
        Notes("1").put("mood", 1)
    with pytest.raises(KeyError, match="other_notes"):
        Notes("1").say("other_notes", "")
    assert len(KEYS) == 11
    assert len(VALUES) == 18


def test_notes_of_pdcp_are_read_however_their_colons_are_spaced(tmp_path: Path) -> None:
    """And a step that is done again takes its own back."""
    lines = ["XIII: RTSTRUCTS retrieval", "XIII: XIII_SUCC_001: PROCEED", "XIV: XIV_SUCC_001:PROCEED "]
    (tmp_path / "7.json").write_text(json.dumps({"retrieval_notes": lines, "patientimagingfilesready": True}))
    notes = Notes.read(tmp_path, 7)
    assert notes is not None
    assert [code.name for code in notes.codes] == ["XIII_SUCC_001", "XIV_SUCC_001"]
    assert notes.ready
    notes.forget("XIV")
    assert notes.lines("retrieval_notes") == tuple(lines[:2])
    assert (notes.codes, notes.ready) == ([codes.XIII_SUCC_001], False)
    notes.forget("XIII")
    assert "retrieval_notes" not in notes.to_dict()


@pytest.mark.parametrize("written", [b"[1]", b"{", b"\xff\xfe{}"])
def test_broken_notes_are_named(tmp_path: Path, written: bytes) -> None:
    """Half a file of PDCP, which did not write whole ones."""
    (tmp_path / "7.json").write_bytes(written)
    with pytest.raises(BadArchive) as caught:
        Notes.read(tmp_path, 7)
    assert str(caught.value) == (
        f"notes in {tmp_path} are not the JSON that PDCP writes. Remove the file that is broken, "
        "then run: qa-fetch cohort verify."
    )


def test_patient_1_has_nothing_to_do_with_12_and_1_2(tmp_path: Path) -> None:
    """Names are built, never searched for."""
    Notes("12").write(tmp_path)
    Notes("1_2").write(tmp_path)
    assert Notes.read(tmp_path, "1") is None
    Notes("1").write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "12.json", "1_2.json"]


def test_an_id_never_chooses_a_path() -> None:
    """Safe ones stay as they are; others are marked, and never share a name."""
    assert [stem(patient) for patient in (7, "HN-CHUM-001", "1_2", "a b")] == ["7", "HN-CHUM-001", "1_2", "a b"]
    odd = ["../1", "1/2", "..", "", "CON", "nul.txt", "1 ", "ä", "1:2", "x" * 200, ".1", "1\n"]
    found = [stem(patient) for patient in odd]
    assert len(set(found)) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9_]+~[0-9a-f]{16}", name) for name in found)
    assert all(notes_path(Path("x"), patient).parent == Path("x") for patient in odd)
