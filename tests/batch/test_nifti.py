"""``qa-fetch nifti``: image series by the real dcm2niix, under names as BIDS has them."""

from __future__ import annotations

import gzip
import json
import struct
from datetime import datetime
from pathlib import Path

import pytest
from commands import Ran, failed
from peers import course as courses
from peers.process import Missing, skip_or_fail

from qa_fetch import part10
from qa_fetch.batch.nifti import convert_to_nifti, find_program
from qa_fetch.errors import ConfigError, NotFound

WHEN = datetime(2025, 11, 3, 10, 0)
SESSION = "sub-CT1/ses-20251103"


@pytest.fixture
def dcm2niix() -> None:
    """Without dcm2niix these tests fail in CI, and elsewhere skip with the command that would install it."""
    try:
        find_program()
    except ConfigError:
        skip_or_fail(Missing("dcm2niix", "dcm2niix"))


def add_series(data: Path, name: str, *, slices: int = 4, session: str = SESSION) -> Path:
    """A CT series in a data folder."""
    series = courses.new_series("CT1", name, description="Müller 100%")
    folder = data / session / name
    courses.write_all(
        [courses.ct_slice(series, WHEN, number, cone_beam=False) for number in range(1, slices + 1)], folder
    )
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A CT series, a plan, and portal images."""
    plan = courses.plan("A", patient="CT1")
    add_series(tmp_path / "data", "00001-Abdomen_100%f")
    courses.write_all([plan], tmp_path / "data" / SESSION / "00002-Plan")
    courses.write_all(courses.session(plan, WHEN).images, tmp_path / "data" / SESSION / "00003-Portal")
    (tmp_path / "data" / SESSION / "00001-Abdomen_100%f.csv").write_text("info\n")
    return tmp_path / "data"


def files(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> Path:
    """A program called dcm2niix that does what the real one does only when it is broken."""
    folder.mkdir()
    (folder / "dcm2niix").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "dcm2niix").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "dcm2niix"


def test_an_image_series_becomes_a_volume_with_its_json(dcm2niix, data, tmp_path):
    """Every slice is in it; plans and portal images are left out."""
    converted = convert_to_nifti(data, tmp_path / "nifti")
    assert files(tmp_path / "nifti") == [f"{SESSION}/00001-Abdomen_100-f.{ending}" for ending in ("json", "nii.gz")]
    assert list(converted.files) == [f"{SESSION}/00001-Abdomen_100%f"]
    assert converted.left_out == [f"{SESSION}/00002-Plan", f"{SESSION}/00003-Portal"]
    assert (converted.failed, converted.present) == ({}, [])
    header = gzip.decompress((tmp_path / "nifti" / SESSION / "00001-Abdomen_100-f.nii.gz").read_bytes())
    assert struct.unpack_from("<4h", header, 40) == (3, 16, 16, 4)


def test_the_json_does_not_say_who_the_patient_is(dcm2niix, data, tmp_path):
    """-ba y: no name, ID, birth date or dates of the study."""
    convert_to_nifti(data, tmp_path / "nifti")
    said = json.loads((tmp_path / "nifti" / SESSION / "00001-Abdomen_100-f.json").read_text("utf-8"))
    assert said["Modality"] == "CT"
    assert not [keyword for keyword in said if keyword.startswith("Patient") and keyword != "PatientPosition"]
    assert not {"CT1", "19700101", "1970-01-01", "20251103", "20250901"} & set(map(str, said.values()))


def test_what_was_converted_before_is_left_as_it_is(dcm2niix, data, tmp_path):
    """A second run does what is new, also under a name that begins as another one does."""
    convert_to_nifti(data, tmp_path / "nifti")
    volume = tmp_path / "nifti" / SESSION / "00001-Abdomen_100-f.nii.gz"
    volume.write_bytes(b"mine")
    add_series(data, "00001-Abdomen_100%f_late")
    add_series(data, "00001-Abdomen_100%")
    converted = convert_to_nifti(data, tmp_path / "nifti")
    assert converted.present == [f"{SESSION}/00001-Abdomen_100%f"]
    assert list(converted.files) == [f"{SESSION}/00001-Abdomen_100%", f"{SESSION}/00001-Abdomen_100%f_late"]
    assert volume.read_bytes() == b"mine"


def test_two_series_whose_names_become_the_same_get_different_ones(dcm2niix, tmp_path):
    """BIDS knows fewer letters than folders do."""
    add_series(tmp_path / "data", "00001-A+B")
    add_series(tmp_path / "data", "00001-A B")
    convert_to_nifti(tmp_path / "data", tmp_path / "nifti")
    volumes = [name for name in files(tmp_path / "nifti") if name.endswith(".nii.gz")]
    assert volumes == [f"{SESSION}/00001-A-B-2.nii.gz", f"{SESSION}/00001-A-B.nii.gz"]


def test_a_series_that_cannot_be_converted_is_named_and_the_others_are_done(dcm2niix, data, tmp_path, capsys):
    """Garbage behind the preamble; nothing of the attempt is left."""
    bad = data / SESSION / "00004-Bad"
    bad.mkdir()
    (bad / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x99" * 500)
    ran = Ran(capsys, ("nifti", data, "--to", tmp_path / "nifti"))
    assert ran.err == (
        f"qa-fetch: dcm2niix could not convert {SESSION}/00004-Bad: it holds no image that dcm2niix can convert. "
        "Run it on that folder to see its own words.\n"
    )
    assert ran.out == (
        f"1 series converted to {tmp_path / 'nifti'}, 1 failed\n2 series left out: not images of a scanner\n"
    )
    assert ran.code == 1
    assert len(list((tmp_path / "nifti" / SESSION).iterdir())) == 2


def test_the_command_answers_machines(dcm2niix, data, tmp_path, capsys):
    """Each series with what became of it."""
    ran = Ran(capsys, ("nifti", data, "--to", tmp_path / "nifti", "--json"))
    stem = tmp_path / "nifti" / SESSION / "00001-Abdomen_100-f"
    assert ran.json == {
        "files": {f"{SESSION}/00001-Abdomen_100%f": [f"{stem}.json", f"{stem}.nii.gz"]},
        "present": [],
        "left_out": [f"{SESSION}/00002-Plan", f"{SESSION}/00003-Portal"],
        "failed": {},
    }


def test_a_crash_of_the_program_is_one_sentence(data, tmp_path, monkeypatch):
    """It is written in C, and files are what they are."""
    put_on_path(monkeypatch, tmp_path / "bin", "kill -SEGV $$")
    converted = convert_to_nifti(data, tmp_path / "nifti")
    assert list(converted.failed.values()) == [
        f"dcm2niix crashed over {SESSION}/00001-Abdomen_100%f (signal 11). Leave that series out, or export it again."
    ]


def test_a_program_that_does_not_end_is_stopped(data, tmp_path, monkeypatch):
    """With what it has started: the dcm2niix of PyPI is a script that starts another program."""
    put_on_path(monkeypatch, tmp_path / "bin", "sleep 600 & wait")
    converted = convert_to_nifti(data, tmp_path / "nifti", seconds=0.2)
    assert list(converted.failed.values()) == [
        f"dcm2niix did not finish {SESSION}/00001-Abdomen_100%f within 0.2 s and was stopped. "
        "Convert that series by hand."
    ]
    assert files(tmp_path / "nifti") == []


def test_a_series_of_which_only_a_part_was_converted_is_not_kept(data, tmp_path, monkeypatch):
    """Exit code 8, with volumes that look whole."""
    put_on_path(monkeypatch, tmp_path / "bin", 'while [ "$1" != -o ]; do shift; done; touch "$2/series.nii.gz"; exit 8')
    converted = convert_to_nifti(data, tmp_path / "nifti")
    assert list(converted.failed.values()) == [
        f"dcm2niix could not convert {SESSION}/00001-Abdomen_100%f: only part of it can be converted. "
        "Run it on that folder to see its own words."
    ]
    assert files(tmp_path / "nifti") == []


def test_several_volumes_of_a_series_keep_the_programs_endings(data, tmp_path, monkeypatch):
    """Echoes, for example; and they count as converted."""
    script = 'while [ "$1" != -o ]; do shift; done; touch "$2/series_e1.nii.gz" "$2/series_e2.nii.gz"'
    put_on_path(monkeypatch, tmp_path / "bin", script)
    convert_to_nifti(data, tmp_path / "nifti")
    assert files(tmp_path / "nifti") == [f"{SESSION}/00001-Abdomen_100-f_e{echo}.nii.gz" for echo in (1, 2)]
    assert convert_to_nifti(data, tmp_path / "nifti").present == [f"{SESSION}/00001-Abdomen_100%f"]


def test_without_the_program_the_sentence_says_how_to_get_it(data, tmp_path, monkeypatch, capsys):
    """It is not installed with qa_fetch."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = Ran(capsys, ("nifti", data, "--to", tmp_path / "nifti"))
    failed(ran, 2, "nifti needs the program dcm2niix, which is not installed here. Run: pip install dcm2niix")


@pytest.mark.parametrize("to", ["data", "data/nifti"])
def test_the_results_do_not_go_into_the_data(dcm2niix, data, tmp_path, to):
    """The next run would take them for series."""
    with pytest.raises(ConfigError) as caught:
        convert_to_nifti(data, tmp_path / to)
    assert str(caught.value) == f"{tmp_path / to} lies within {data}, which is read. Name a folder outside of it."


def test_a_folder_of_another_layout_says_what_is_expected(dcm2niix, tmp_path):
    """Series are looked for where a batch puts them."""
    part10.write(courses.plan("A"), tmp_path / "a.dcm")
    with pytest.raises(NotFound) as caught:
        convert_to_nifti(tmp_path, tmp_path.parent / "nifti")
    assert str(caught.value) == (
        f"{tmp_path} has no series (sub-*/ses-*/*/). Name the folder that holds the sub-* folders."
    )
