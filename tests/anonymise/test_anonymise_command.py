"""``qa-fetch anonymise``: what it prints, how it ends, and what it never prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Ran, failed
from folder_clinic import SMITH, STRINGS, clinic, everything, files, screen_save, traces
from peers import course as courses


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The clinic's folder, and one for the key."""
    (tmp_path / "keys").mkdir()
    return clinic(tmp_path / "cohort")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Where the key is, or will be."""
    return tmp_path / "keys" / "trial.key"


def says_nothing_of_anybody(ran: Ran) -> bool:
    """Whether neither stream has a string of the clinic."""
    return [text for text in STRINGS if text in (ran.out + ran.err).lower()] == []


def test_a_new_key_is_said_clearly(data: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Once; the next run finds it."""
    ran = Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", key))
    assert ran.err == (
        f"Made a new key at {key}. Keep it: the same codes and UIDs can only be made with it, "
        "and whoever has it can tell who is who.\n"
    )
    assert ran.code == 0 and says_nothing_of_anybody(ran)
    again = Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", key))
    assert (again.err, again.code) == ("", 0)
    (runs,) = (tmp_path / "keys" / "trial.ids" / "runs").iterdir()
    assert again.rows == [
        ["not passed on", "why", "files"],
        ["left out", "not DICOM", "1"],
        ["anonymised", "8 files (8 of them before), 0 bytes"],
        ["failed", "0"],
        ["not done", "0"],
        ["warnings (names in text, objects of two patients)", "0"],
        ["output", f"{tmp_path / 'anon'}"],
        ["report", f"{runs} (names the originals: keep it beside the key)"],
    ]


def test_json_for_machines(data: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Counts, attributes and the verification; nothing of anybody."""
    Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", key, "--profile", "research-rt"))
    ran = Ran(
        capsys,
        ("anonymise", data, "--to", tmp_path / "anon", "--key", key, "--profile", "research-rt", "--verify", "--json"),
    )
    said = ran.json
    assert (ran.code, said["done"], said["failed"], said["left"]) == (0, 8, 0, {"not DICOM": 1})
    assert said["verified"] == {"files": 8, "dangling": 0, "findings": []}
    assert {"keyword": "PatientBirthDate", "tag": "(0010,0030)", "action": "CLEAN", "files": 8} in said["attributes"]
    assert says_nothing_of_anybody(ran)


def test_a_dry_run_shows_attributes_and_no_values(
    data: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Also without a key, and then none is made."""
    courses.write_all([screen_save(SMITH, "Smith^John")], data / "shots")
    before = everything(tmp_path)
    ran = Ran(capsys, ("anonymise", data, "--key", key, "--dry-run"))
    assert ran.code == 0 and ran.err == ""
    assert ran.rows[0] == ["attribute", "tag", "action", "files"]
    assert ["PatientBirthDate", "(0010,0030)", "EMPTY", "8"] in ran.rows
    assert ["would be written", "8"] in ran.rows
    assert [row[0] for row in ran.rows if row[0] in ("held back", "left out")] == ["held back", "left out"]
    assert everything(tmp_path) == before
    assert says_nothing_of_anybody(ran)
    assert Ran(capsys, ("anonymise", data, "--key", key, "--dry-run", "--json")).json["done"] == 8


def test_in_place(data: Path, key: Path, capsys: pytest.CaptureFixture[str]):
    """With the codes of a list."""
    codes = key.with_name("codes.json")
    codes.write_text('{"sub-1234567": "P0001", "sub-7654321": "P0002"}')
    ran = Ran(capsys, ("anonymise", data, "--in-place", "--key", key, "--new-ids", codes, "--workers", "1"))
    assert ran.code == 0 and traces(data) == []
    assert {path.name for path in data.iterdir()} == {"sub-P0001", "sub-P0002"}


def test_what_failed_is_counted_and_named_beside_the_key(
    data: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The exit code is 1, and standard error says where to look."""
    victim = sorted(data.rglob("*.dcm"))[0]
    victim.write_bytes(victim.read_bytes()[:700])
    ran = Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", key))
    assert ran.code == 1 and says_nothing_of_anybody(ran)
    assert ran.err.splitlines()[1:] == [
        "qa-fetch: 1 files failed. The file private.csv in the folder of the report says why."
    ]


def test_verify_alone(data: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """0 for a clean output, 1 for one with findings, each a line."""
    Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", key))
    clean = Ran(capsys, ("anonymise", tmp_path / "anon", "--verify", "--key", key))
    assert (clean.code, clean.err) == (0, "")
    assert clean.rows == [["verified", "8 files"], ["findings", "0"], ["references out of the folder", "0"]]
    (tmp_path / "anon" / "note").write_text("x")
    found = Ran(capsys, ("anonymise", tmp_path / "anon", "--verify", "--key", key))
    assert found.code == 1
    assert found.rows[:4] == [
        ["file", "finding"],
        ["note", "is no DICOM object. Remove it."],
        ["finding", "files"],
        ["is no DICOM object. Remove it.", "1"],
    ]
    as_json = Ran(capsys, ("anonymise", tmp_path / "anon", "--verify", "--key", key, "--json"))
    assert as_json.code == 1
    assert as_json.json["findings"] == [{"file": "note", "problem": "is no DICOM object. Remove it."}]


def test_wrong_use(data: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each with its sentence and exit code 2; no key is made."""
    failed(Ran(capsys, ("anonymise", data, "--key", key)), 2, "say where the output goes: --to OUT, or --in-place.")
    failed(
        Ran(capsys, ("anonymise", data, "--key", key, "--in-place", "--quarantine", "--delete-identifiable")),
        2,
        "--delete-identifiable and --quarantine exclude each other. Leave one of them out.",
    )
    failed(
        Ran(capsys, ("anonymise", tmp_path / "x", "--to", tmp_path / "y", "--key", key)),
        2,
        f"{tmp_path / 'x'} is not a folder. Name the folder with the DICOM files.",
    )
    failed(
        Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", key, "--workers", "0")),
        2,
        "there cannot be 0 workers. Give at least 1.",
    )
    inside = data / "trial.key"
    failed(
        Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", inside)),
        2,
        f"the key {inside} lies in {data}, whose files are read. Name a place outside of it.",
    )
    codes = tmp_path / "codes.json"
    codes.write_text('{"sub-1234567": "1234567"}')
    failed(
        Ran(capsys, ("anonymise", data, "--to", tmp_path / "anon", "--key", key, "--new-ids", codes)),
        2,
        "codes.json, entry 1: the code contains the patient's ID. Choose one that does not.",
    )
    (tmp_path / "nothing").mkdir()
    failed(
        Ran(capsys, ("anonymise", tmp_path / "nothing", "--to", tmp_path / "anon", "--key", key)),
        1,
        f"{tmp_path / 'nothing'} holds no files. Name the folder with the DICOM files.",
    )
    assert files(tmp_path / "keys") == {} and not inside.exists()
