"""The command line: each command mirrors a public function, says one line when it fails, and ends with 0, 1 or 2."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers.course import OTHER, PATIENT, Course
from peers.doubles import ScriptedArchive
from peers.lies import Lies
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive
from qa_fetch.cli import parser

TITLE = "QATRACK"


@pytest.fixture
def port() -> int:
    """Where we receive."""
    return free_port()


@pytest.fixture
def double(course: Course, port: int, tmp_path: Path) -> Iterator[ScriptedArchive]:
    """The course in an archive that the configuration calls aria."""
    with ScriptedArchive(course.datasets, Lies(get=False), destinations={TITLE: (LOOPBACK, port)}) as running:
        (tmp_path / "qa_fetch.toml").write_text(
            f'default = "aria"\n[local]\nae_title = "{TITLE}"\nport = {port}\n'
            f'[archives.aria]\nkind = "dimse"\nae_title = "SCRIPTED"\nhost = "{LOOPBACK}"\nport = {running.port}\n'
        )
        yield running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process."""
    return lambda *arguments: Ran(capsys, arguments)


def _names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


# --- help


def _commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def _examples() -> list[str]:
    texts = [parser().epilog or "", *(one.epilog or "" for one in _commands().values())]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [line.split("    ")[0] for line in lines if line.startswith("qa-fetch ")]


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_has_help_with_an_example_that_parses(name: str, run: Any) -> None:
    """Nobody reads a manual."""
    ran = run(name, "--help")
    assert ran.code == 0
    assert f"\n  qa-fetch {name}" in ran.out
    assert "example:\n" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 120
    assert [action.dest for action in _commands()[name]._actions if not action.help] == []


@pytest.mark.parametrize("line", _examples())
def test_every_example_of_the_help_is_understood(line: str) -> None:
    """An example with a slip is worse than none."""
    assert parser().parse_args(line.split()[1:]).run


def test_every_command_mirrors_a_public_function() -> None:
    """What can be typed can be called."""
    from qa_fetch import shelf
    from qa_fetch.anonymise import Anonymiser, karnak
    from qa_fetch.anonymise.pseudonyms import pseudonyms
    from qa_fetch.batch import fetch_csv
    from qa_fetch.batch.dicomdir import create_dicomdir
    from qa_fetch.batch.dumps import move_dumps
    from qa_fetch.batch.nifti import convert_to_nifti
    from qa_fetch.batch.report_text import report_text
    from qa_fetch.cohort import Cohort
    from qa_fetch.config import Config
    from qa_fetch.demo import demo
    from qa_fetch.node import Node
    from qa_fetch.pinnacle import export
    from qa_fetch.qatrack.lists import push
    from qa_fetch.receive import receive
    from qa_fetch.testpack import build

    mirrors: dict[str, Any] = {
        "demo": demo,
        "config": Config.settings,
        "receive": receive,
        "shelf list": shelf.entries,
        "shelf prune": shelf.prune,
        "shelf verify": shelf.verify,
        **{name: getattr(Archive, name) for name in ("echo", "find", "fetch", "send", "move")},
        "node": Node,  # tests/node/test_node_commands.py has its own
        "batch": fetch_csv,
        "dumps": move_dumps,
        "dicomdir": create_dicomdir,
        "nifti": convert_to_nifti,
        "report-text": report_text,
        "anonymise": Anonymiser.folder,
        "pseudonyms": pseudonyms,
        "karnak-tag": karnak.tag,
        "pinnacle": export,  # tests/pinnacle/test_pinnacle_commands.py and others have its own
        "cohort": Cohort,  # tests/cohort/test_cohort_command.py has its own
        "testpack": build,
        "qatrack": push,
    }
    assert {name.split()[0] for name in mirrors} == set(_commands())
    (actions,) = (action.choices for action in _commands()["shelf"]._actions if action.dest == "action")
    assert {name.split()[1] for name in mirrors if " " in name} == set(actions or ())
    assert all(callable(function) and function.__doc__ for function in mirrors.values())


# --- wrong use


@pytest.mark.parametrize(
    "arguments",
    [[], ["fetsch"], ["fetch", "aria"], ["find"], ["echo", "--budget", "soon"], ["shelf", "burn"], ["receive", "x"]],
)
def test_what_cannot_be_parsed_ends_with_2(arguments: list[str], run: Any) -> None:
    """With argparse's own two lines."""
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith("qa-fetch")


def test_fetch_wants_a_patient_or_uids_and_not_both(run: Any, tmp_path: Path) -> None:
    """Neither is a default."""
    sentence = "say what to fetch: either --patient ID, or UIDs with --study, --series or --instance."
    failed(run("fetch", "folder:.", "--to", "x"), 2, sentence)
    failed(run("fetch", "folder:.", "--to", "x", "--patient", "P", "--series", "1.2"), 2, sentence)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("option", "beside"),
    [(["--at-least", "4"], ["--series", "1.2"]), (["--kind", "kv"], ["--patient", "P", "--everything"])],
)
def test_an_option_that_would_be_passed_over_is_refused(option: list[str], beside: list[str], run: Any) -> None:
    """Who says at least four must not get three."""
    failed(
        run("fetch", "folder:.", "--to", "x", *option, *beside),
        2,
        f"{option[0]} chooses a session of a patient; leave it out with UIDs or --everything.",
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["NOPE"], "'NOPE' is not a query level. Use one of PATIENT, STUDY, SERIES, IMAGE."),
        (
            ["IMAGE", "PatientId=1"],
            "'PatientId' is not a DICOM keyword. Write it as in the standard, for example PatientID.",
        ),
        (["IMAGE", "Modality"], "'Modality' is not a key. Write it as KEYWORD=VALUE, for example PatientID=QA_TB1."),
    ],
)
def test_find_names_the_slip(arguments: list[str], sentence: str, run: Any, course_files: Path) -> None:
    """With what would have been right."""
    failed(run("find", f"folder:{course_files}", *arguments), 2, sentence)


def test_a_wrong_configuration_is_one_line(run: Any, tmp_path: Path) -> None:
    """File, place and what is wrong."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[archives.aria\n")
    ran = run("config", "--config", wrong)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"qa-fetch: file {wrong}: it is not valid TOML; ")
    assert ran.err.count("\n") == 1
    failed(
        run("echo", "--config", tmp_path / "none.toml"),
        2,
        f"file {tmp_path / 'none.toml'}: it cannot be read; No such file or directory.",
    )


# --- config


def test_config_shows_each_value_and_its_origin_and_no_secret(
    run: Any, double: ScriptedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wonders why a port is wrong sees at once which layer said so."""
    monkeypatch.setenv("QA_FETCH_PORT", "4711")
    monkeypatch.setenv("QA_FETCH_ARCHIVE_OLD", "dimse://OLD@10.0.0.9:104")
    shown = {one["key"]: (one["value"], one["origin"]) for one in run("config", "--json").json}
    assert shown["local.port"] == (4711, "environment")
    assert shown["archives.aria.ae_title"] == ("SCRIPTED", f"file {tmp_path / 'qa_fetch.toml'}")
    assert shown["archives.aria.timeout"] == (15.0, "built-in default")
    assert shown["archives.old.host"] == ("10.0.0.9", "environment")
    table = run("config")
    assert (table.code, table.err) == (0, "")
    assert [row[0] for row in table.rows[1:]] == list(shown)
    (tmp_path / "qa_fetch.toml").write_text('[archives.x]\nkind = "dimse"\npassword = "hunter2"\n')
    ran = run("config")
    assert ran.code == 2
    assert "hunter2" not in ran.err + ran.out


# --- echo


def _steps(ran: Ran) -> list[tuple[str, bool]]:
    return [(step["name"], step["works"]) for step in ran.json["steps"]]


def test_echo_ends_with_0_when_all_works(run: Any, double: ScriptedArchive) -> None:
    """The default archive needs no name."""
    names = ["name", "port", "association", "echo", "query", "retrieve", "patient"]
    assert _steps(run("echo", "--patient", PATIENT, "--json")) == [(name, True) for name in names]
    ran = run("echo")
    assert (ran.code, ran.err) == (0, "")
    assert [row[:2] for row in ran.rows] == [["step", "aria"], *([name, "ok"] for name in names[:-1])]


def _failing(run: Any, *arguments: object) -> tuple[str, str]:
    """The one step that fails, which is the last, and its sentence."""
    ran = run("echo", *arguments, "--json")
    assert ran.code == 1
    *before, last = ran.json["steps"]
    assert [step["works"] for step in before] == [True] * len(before)
    assert last["works"] is False
    return last["name"], last["says"]


def test_echo_stops_at_the_step_that_fails(run: Any, double: ScriptedArchive, port: int) -> None:
    """Name, port, called title, calling title, destination, patient: each has its own cure."""
    closed = free_port()
    assert _failing(run, "dimse://X@no-such-host.invalid:104") == (
        "name",
        "the host name no-such-host.invalid cannot be resolved. Correct host, or ask for a DNS entry.",
    )
    assert _failing(run, f"dimse://X@{LOOPBACK}:{closed}") == (
        "port",
        f"nothing listens on {LOOPBACK} port {closed}. Start the archive's DICOM service, or correct port.",
    )
    assert _failing(run, f"dimse://WRONG@{LOOPBACK}:{double.port}") == (
        "association",
        "WRONG says that it is not called WRONG. Correct ae_title of this archive.",
    )
    double.lies.callers = (TITLE,)
    assert _failing(run, "aria", "--ae-title", "STRANGER") == (
        "association",
        "aria does not know the calling AE title STRANGER. "
        "Enter STRANGER with this host's address as a known client there.",
    )
    assert _failing(run, "aria", "--patient", "NOBODY") == (
        "patient",
        "it shows no plan of that patient. Check the ID, and what this AE title may see.",
    )
    double.lies.knows_destination = False
    assert _failing(run, "aria") == (
        "retrieve",
        f"aria does not know QATRACK as a destination (C-MOVE 0xA801). Add that AE title, this host and port {port} "
        "to its DICOM destinations (in ARIA: the DB Service), then run: qa-fetch echo aria.",
    )
    ran = run("echo")
    assert (ran.code, ran.err) == (1, "")
    assert ran.rows[-1][:2] == ["retrieve", "FAILED"]
    assert ran.rows[-1][2].endswith("then run: qa-fetch echo aria.")


# --- find


def test_find_prints_rows_and_json(run: Any, double: ScriptedArchive, course: Course) -> None:
    """One row per entity, whole values in a pipe."""
    plans = run("find", "aria", "IMAGE", f"PatientID={PATIENT}", "Modality=RTPLAN", "ApprovalStatus=", "--json").json
    assert sorted((row["RTPlanLabel"], row["ApprovalStatus"]) for row in plans) == [
        ("PDIP_10X", "APPROVED"),
        ("WL_6X", "APPROVED"),
        ("WL_6X", "UNAPPROVED"),
    ]
    ran = run("find", "aria", "IMAGE", f"PatientID={PATIENT}", "Modality=RTPLAN")
    assert ran.code == 0
    assert course.wl.SOPInstanceUID in ran.out
    assert ran.out.splitlines()[-1] == "3 found"
    none = run("find", "aria", "STUDY", "PatientID=NOBODY")
    assert (none.code, none.out.splitlines()[-1]) == (0, "0 found")


# --- fetch and send


def test_fetch_puts_the_newest_session_into_a_folder_and_again(
    run: Any, double: ScriptedArchive, course: Course
) -> None:
    """The second time from the shelf, into the same folder."""
    asked = ["fetch", "aria", "--patient", PATIENT, "--plan", "WL_6X", "--approved", "--to", "wl"]
    ran = run(*asked)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "files      4 in wl\nacquired   2025-11-03 17:05:00\n"
        f"plan       WL_6X (of 2025-09-01, APPROVED, course C1, UID ...{course.wl.SOPInstanceUID[-12:]})\n"
        "came from  the archive\n"
    )
    names = ["0001.dcm", "0002.dcm", "0003.dcm", "0004.dcm"]
    assert _names("wl") == names
    (Path("wl") / "0004.dcm").unlink()  # as an interrupted copy leaves it
    (Path("wl") / ".0004.dcm.part").write_bytes(b"half")
    again = run(*asked, "--json").json
    assert again == {
        "folder": "wl",
        "files": [str(Path("wl") / name) for name in names],
        "uids": course.newest.uids,
        "series": [course.newest.series.uid],
        "acquired": "2025-11-03 17:05:00",
        "plan": f"WL_6X (of 2025-09-01, APPROVED, course C1, UID ...{course.wl.SOPInstanceUID[-12:]})",
        "from_shelf": True,
    }
    assert _names("wl") == names


def test_fetch_never_mixes_two_sets(run: Any, course_files: Path, tmp_path: Path) -> None:
    """Neither with foreign files nor with another session."""
    sentence = "wl holds other files already, and a mixed set must not be analysed as one. Give a new or empty folder."
    asked = ["fetch", f"folder:{course_files}", "--patient", PATIENT, "--to", "wl", "--kind"]
    Path("wl").mkdir()
    (Path("wl") / "mine.txt").write_text("mine")
    failed(run(*asked, "portal"), 2, sentence)
    assert _names("wl") == ["mine.txt"]
    (Path("wl") / "mine.txt").unlink()
    assert run(*asked, "portal").code == 0
    failed(run(*asked, "kv"), 2, sentence)
    failed(
        run(*asked[:-2], "wl/0001.dcm", "--kind", "kv"),
        1,
        "the files cannot be copied to wl/0001.dcm (File exists). Give a folder that this user may write.",
    )


def test_fetch_takes_uids_and_whole_patients(run: Any, double: ScriptedArchive, course: Course) -> None:
    """Several UIDs of several levels are one set."""
    series = [course.newest.series.uid, course.kv[0].series.uid]
    ran = run("fetch", "aria", "--series", series[0], "--series", series[1], "--to", "two", "--json")
    assert len(ran.json["files"]) == 8
    everything = run("fetch", "aria", "--patient", OTHER, "--everything", "--to", "all", "--json")
    assert set(everything.json["uids"]) == {str(one.SOPInstanceUID) for one in course.others}


def test_fetch_that_finds_nothing_ends_with_1(run: Any, double: ScriptedArchive) -> None:
    """And makes no folder."""
    asked = ["fetch", "aria", "--patient", PATIENT, "--kind", "drr", "--to", "drr"]
    failed(
        run(*asked),
        1,
        "aria has no DRR. Check the plan and the kind, and whether the images have been sent to this archive.",
    )
    assert not Path("drr").exists()


def test_send_accounts_for_every_file(run: Any, double: ScriptedArchive, course: Course, tmp_path: Path) -> None:
    """What was not taken is named with the reason; the exit code is 1 then."""
    course.write(tmp_path / "out")
    double.datasets = []
    ran = run("send", "aria", "out")
    assert (ran.out, ran.err, ran.code) == (f"{len(course.datasets)} sent to aria\n", "", 0)
    assert len(double.datasets) == len(course.datasets)
    Path("note.txt").write_text("not DICOM")
    ran = run("send", "aria", "out", "note.txt")
    total = len(course.datasets) + 1
    assert ran.code == 1
    assert ran.err == (
        f"qa-fetch: 1 of {total} files were not sent to aria; the first: note.txt is not a DICOM Part-10 file. "
        "Leave it out, or convert it first.\n"
    )
    assert [row for row in ran.rows if "note.txt" in row[0]] != []
    ran = run("send", "aria", "note.txt", "--json")
    problem = "note.txt is not a DICOM Part-10 file. Leave it out, or convert it first"
    assert (ran.json, ran.code) == ([{"path": "note.txt", "problem": problem, "warning": ""}], 1)
    failed(run("send", "aria", "nowhere"), 1, "nowhere is not a file, so nothing was sent. Correct the path.")


# --- shelf


def test_shelf_lists_verifies_and_prunes(run: Any, course_files: Path, tmp_path: Path) -> None:
    """With words, sizes and paths that a person can use."""
    shelf = tmp_path / "shelf"
    assert run("shelf", "list").out.splitlines()[-1] == f"0 sets, 0 bytes in {shelf}"
    images = Archive(f"folder:{course_files}").latest(PATIENT, plan="WL_6X", approved=True, on=date(2025, 11, 3))
    size = sum(path.stat().st_size for path in images.files)
    (entry,) = run("shelf", "list", "--json").json
    said = (entry["about"], entry["folder"], entry["files"], entry["size"])
    assert said == ("portal image for plan WL_6X", str(images.folder), 4, size)
    listed = run("shelf", "list")
    assert str(images.folder.relative_to(shelf)) in listed.out
    assert PATIENT not in listed.out.replace(str(tmp_path), "")
    assert listed.out.splitlines()[-1] == f"1 sets, {size / 1000:.0f} kB in {shelf}"
    assert run("shelf", "verify", "--json").json["damaged"] == []
    images.files[0].chmod(0o600)
    images.files[0].write_bytes(b"x")
    ran = run("shelf", "verify")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines()[0] == f"differs from what was fetched: {images.files[0]}"
    failed(run("shelf", "prune"), 2, "prune removes nothing unless told what. Give --older-than DAYS or --max-size GB.")
    would = run("shelf", "prune", "--older-than", "0", "--dry-run")
    assert (would.code, would.out.splitlines()[0]) == (0, str(images.folder))
    assert images.folder.is_dir()
    removed = run("shelf", "prune", "--older-than", "0", "--json").json
    assert str(images.folder) in removed["removed"]
    assert not images.folder.exists()
