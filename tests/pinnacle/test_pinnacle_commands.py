"""``qa-fetch pinnacle list`` and ``export``: tables for people, JSON for machines, and exit codes that tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import phantom
import pytest
from commands import Ran, failed
from phantom_breakages import BREAKAGES
from pinnacle_compared import archives

from qa_fetch.cli.output import say_json
from qa_fetch.pinnacle import listing

REFUSED = "links, devices, names that lead out of the archive, or files that are not whole or there twice"


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., phantom.Truth]:
    """Archives of the options of a course."""
    return archives(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process."""
    return lambda *arguments: Ran(capsys, ("pinnacle", *arguments))


# list


def test_list_shows_patients_plans_and_image_sets(archive, run):
    """Names are shown, since that is what was asked for."""
    truth = archive(plans=2, trials=2, mr=True, size="tiny")
    ran = run("list", truth.path)
    assert (ran.code, ran.err) == (0, "")
    who = ["archive.tar", "PH0001", "Jane Q Doe", "19610203"]
    both = "Trial_1, Trial_2"
    assert ran.rows == [
        ["archive", "patient", "name", "birth date", "plan", "plan name", "version", "written", "image set", "trials"],
        [*who, "0", "PLAN_1", "Pinnacle 16.0", "2020-01-02 10:00:00", "0", both],
        [*who, "1", "PLAN_2", "Pinnacle 16.0", "2020-01-03 10:00:00", "0", both],
        ["archive", "patient", "image set", "modality", "images", "scanned"],
        ["archive.tar", "PH0001", "0", "CT", "8", "2019-12-20 09:15:30"],
        ["archive.tar", "PH0001", "1", "MR", "12", "2019-12-20 09:15:30"],
        ["1 patients, 2 plans in 1 archives"],
    ]


def test_list_goes_through_a_folder_of_tars_and_names_the_broken_one(archive, tmp_path, run):
    """One that cannot be read does not take the list with it, but the exit code."""
    (tmp_path / "tars").mkdir()
    archive("tars/a.tar", size="tiny")
    (tmp_path / "tars/b.tar").write_bytes(b"no tar")
    archive("tars/c.tar.gz", identifier="PH0009", size="tiny")
    ran = run("list", tmp_path / "tars")
    assert ran.code == 1
    assert [row[0] for row in ran.rows[1:3]] == ["a.tar", "c.tar.gz"]
    assert ran.rows[-3:] == [
        ["where", "what could not be read"],
        ["b.tar", "b.tar is no tar archive that can be read. Fetch it again from where it was kept."],
        ["2 patients, 2 plans in 3 archives"],
    ]


def test_list_does_not_pass_over_what_it_cannot_unpack(archive, run, tmp_path):
    """An archive in a compression that nobody reads here is named, with what to do."""
    (tmp_path / "tars").mkdir()
    archive("tars/a.tar", identifier="PH0001", size="tiny")
    (tmp_path / "tars" / "b.tar.bz2").write_bytes(b"BZh91AY&SY")
    ran = run("list", tmp_path / "tars")
    assert ran.code == 1
    assert ran.rows[-2] == [
        "b.tar.bz2",
        "b.tar.bz2 is compressed with bzip2, which is not read. Unpack it first: bunzip2",
    ]


def test_list_for_machines(archive, run):
    """The same as the library's listing."""
    truth = archive(size="tiny", trials=2)
    (told,) = run("list", truth.path, "--json").json
    (listed,) = listing(truth.path)
    assert told == listed.to_json()
    assert (told["archive"], told["path"], told["problem"], told["refused"]) == (
        "archive.tar",
        str(truth.path),
        None,
        0,
    )
    (patient,) = told["patients"]
    assert (patient["medical_record_number"], patient["folder"]) == ("PH0001", "Institution_1/Mount_0/Patient_1")
    (plan,) = patient["plans"]
    assert {key: plan[key] for key in ("number", "name", "version", "image_set", "trials", "problem")} == {
        "number": 0,
        "name": "PLAN_1",
        "version": "Pinnacle 16.0",
        "image_set": 0,
        "trials": ["Trial_1", "Trial_2"],
        "problem": None,
    }


@pytest.mark.parametrize(
    ("breakage", "last"),
    [
        ("no plan.Trial", ["folder, plan 0", "no trial of it can be read"]),
        ("empty Patient", ["folder, Patient", "it is empty"]),
    ],
)
def test_list_names_what_it_could_not_read(archive, run, breakage, last):
    """The rest is listed all the same."""
    truth = archive("folder", plans=2, size="tiny")
    BREAKAGES[breakage](truth.path)
    ran = run("list", truth.path)
    assert ran.code == 1
    assert last in ran.rows
    assert ran.rows[-1] == ["1 patients, 2 plans in 1 archives"]


def test_list_of_what_is_no_archive(tmp_path, run):
    """One line, and what to do."""
    (tmp_path / "empty").mkdir()
    failed(
        run("list", tmp_path / "empty"),
        1,
        "empty holds no patient of Pinnacle: no folder in it has a file called Patient. Name another one.",
    )
    failed(run("list", tmp_path / "x.tar"), 1, f"there is no {tmp_path}/x.tar. Correct its path.")


# export


def test_export_says_what_it_wrote(archive, tmp_path, run):
    """A table per patient, and 0."""
    truth = archive(plans=2, size="tiny")
    ran = run("export", truth.path, "--to", tmp_path / "out")
    assert (ran.code, ran.err) == (0, "")
    assert ran.rows[:9] == [
        [f"PH0001: {tmp_path}/out/PH0001"],
        ["plan", "trial", "modality", "objects"],
        ["CT", "8"],
        ["0: PLAN_1", "RTSTRUCT", "1"],
        ["0: PLAN_1", "0: Trial_1", "RTPLAN", "1"],
        ["0: PLAN_1", "0: Trial_1", "RTDOSE", "1"],
        ["1: PLAN_2", "RTSTRUCT", "1"],
        ["1: PLAN_2", "0: Trial_1", "RTPLAN", "1"],
        ["1: PLAN_2", "0: Trial_1", "RTDOSE", "1"],
    ]
    assert ["written", "14 objects of 1 patients"] in ran.rows
    assert ["left out", "0"] in ran.rows


def test_export_names_what_it_left_out_and_ends_with_1(archive, tmp_path, run):
    """Everything else is written."""
    truth = archive("folder", plans=2, size="tiny")
    BREAKAGES["no dose"](truth.path)
    ran = run("export", truth.path, "--to", tmp_path / "out")
    assert ran.code == 1
    assert ["not written", "why"] in ran.rows
    assert [row for row in ran.rows if row[0] == "RTDOSE of plan 0, trial 0"]
    assert ["left out", "1"] in ran.rows
    assert ran.err == "qa-fetch: folder was not converted completely. What is missing is named above.\n"
    assert (tmp_path / "out/PH0001/report.json").is_file()


def test_members_that_are_never_followed_are_named(archive, tmp_path, run):
    """A link out of the archive is not read; the report names it, the commands count it."""
    truth = archive("folder", size="tiny")
    (truth.path / "secret").symlink_to("/etc/hostname")
    ran = run("export", truth.path, "--to", tmp_path / "out")
    assert ran.code == 0
    assert ["members not read", f"1: {REFUSED}"] in ran.rows
    told = json.loads((tmp_path / "out/PH0001/report.json").read_text(encoding="utf-8"))
    assert told["archive"]["refused"] == [{"path": "secret", "reason": "it is a link or a device"}]
    assert ["folder", f"1 members are not read: {REFUSED}"] in run("list", truth.path).rows


def test_export_for_machines_with_every_option(archive, tmp_path, run):
    """The report as it lies beside the objects, and where that is."""
    truth = archive(plans=2, trials=2, patients=2, size="tiny")
    options = ("--patient", "PH0001_2", "--plan", "PLAN_2", "--trial", "1", "--mu", "grid", "--json")
    ran = run("export", truth.path, "--to", tmp_path / "out", *options)
    told = ran.json
    (patient,) = told["patients"]
    assert (ran.code, told["archive"], told["complete"]) == (0, "archive.tar", True)
    assert patient["output"] == str(tmp_path / "out/PH0001_2")
    assert patient["archive"]["asked"] == {"plan": "PLAN_2", "trial": "1", "mu": "grid"}
    assert sorted({(each["modality"], each["plan"], each["trial"]) for each in patient["written"]}, key=str) == [
        ("CT", None, None),
        ("RTDOSE", 1, 1),
        ("RTPLAN", 1, 1),
        ("RTSTRUCT", 1, None),
    ]


def test_export_used_wrongly(archive, tmp_path, run):
    """2, one line, and nothing written."""
    truth = archive(size="tiny")
    (tmp_path / "file").write_text("x")
    failed(run("export", truth.path, "--to", tmp_path / "file"), 2, f"{tmp_path}/file is a file. Name a folder.")
    assert run("export", truth.path).code == 2
    assert run("export", truth.path, "--to", tmp_path / "out", "--mu", "guess").code == 2
    failed(
        run("export", truth.path, "--to", tmp_path / "out", "--plan", "X"),
        1,
        "archive.tar has no such plan. Look what it has: qa-fetch pinnacle list archive.tar",
    )
    assert not (tmp_path / "out").exists()


def test_json_holds_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    """Names come from archives; what json leaves as it is, DEL and the C1 codes, is written as numbers."""
    say_json({"name": "Müller\x9b31m\x7f\x1b[0m"})
    told = capsys.readouterr().out
    assert not set(told) & {chr(code) for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0))}
    assert json.loads(told) == {"name": "Müller\x9b31m\x7f\x1b[0m"}
