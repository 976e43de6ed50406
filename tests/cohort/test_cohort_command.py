"""The commands of a cohort: what they say, what they keep to themselves, and how they end."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Optional

import pytest
from cohort_rows import CT, DOSE, course, dose, plan
from commands import Ran, failed
from course_truth import write
from truth_scenarios import quick

from qa_fetch.bulk import Progress
from qa_fetch.cli import parser
from qa_fetch.cli.progress import bar, words
from qa_fetch.cohort import Cohort, columns, extras
from qa_fetch.cohort.codes import CODES
from qa_fetch.cohort.config import Settings, load

CONFIG = 'folder = "out"\narchive = "folder:archive"\nprofile = "CRDP"\nslices_drop_below = 3\n'
NAMES = ("4711", "47-11", "DOE_J")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("cohort.toml").write_text(CONFIG)
    return lambda *arguments: Ran(capsys, ("cohort", *arguments))


@pytest.fixture
def settings(run: Any) -> Settings:
    """A cohort of three: one proceeds, one has to choose, one is excluded."""
    found = load("cohort.toml")
    several = [*course(3), plan("1.2.100.5", RTPlanLabel="L3"), dose("1.2.100.6", of="1.2.100.5")]
    for patient, rows in zip(NAMES, (course(3), several, course(2))):
        columns.write(found.imagesummaries, patient, "SUCCESS", [{**row, "PatId": patient} for row in rows])
    return found


def _quiet(ran: Ran, *more: str) -> str:
    """What was printed, in which nobody is named."""
    for name in (*NAMES, *more):
        assert name not in ran.out + ran.err
    return ran.out


def _below(name: str) -> dict[str, argparse.ArgumentParser]:
    """The commands below one."""
    (top,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    (found,) = (one for one in top.choices[name]._actions if isinstance(one, argparse._SubParsersAction))
    return dict(found.choices)


# --- help


@pytest.mark.parametrize("name", sorted(_below("cohort")))
def test_every_step_has_help_with_examples_that_parse(name: str, run: Any) -> None:
    """And a word on each option."""
    ran = run(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "example:\n" in ran.out and max(map(len, ran.out.splitlines())) <= 120
    made = _below("cohort")[name]
    assert [action.dest for action in made._actions if not action.help] == []
    lines = [line.strip() for line in (made.epilog or "").splitlines() if "qa-fetch" in line]
    assert lines and all(line.startswith(f"qa-fetch cohort {name}") for line in lines)
    for line in lines:
        assert parser().parse_args(line.split()[1:]).run


def test_every_step_mirrors_a_method() -> None:
    """What can be typed can be called."""
    assert all(callable(getattr(Cohort, name)) and getattr(Cohort, name).__doc__ for name in _below("cohort"))


# --- verify, and what all steps say


def test_verify_counts_who_goes_on_and_names_nobody(settings: Settings, run: Any) -> None:
    """Excluded patients are no failures; each code has its sentence."""
    ran = run("verify", "cohort.toml")
    assert (ran.code, ran.err) == (0, "")
    assert ran.rows[1:4] == [
        ["1", "proceed"],
        ["1", "excluded", "II_EXEC_002", CODES["II_EXEC_002"].sentence],
        ["1", "excluded", "II_EXEC_003", CODES["II_EXEC_003"].sentence],
    ]
    assert ran.out.splitlines()[-6:] == [
        "done      3 (0 of them before)",
        "failed    0",
        "not done  0",
        "ready     0",
        "report    " + str(Path.cwd() / "out" / "work" / "verify" / "report.html"),
        f"{Path.cwd() / 'out' / 'work' / 'verify'} names patients. Keep it as you keep their records.",
    ]
    _quiet(ran)


def test_names_are_shown_to_who_asks_for_them(settings: Settings, run: Any) -> None:
    """In tables and in JSON."""
    shown = run("verify", "cohort.toml", "--names")
    assert ["4711", "SUCCESS", "II_SUCC_001"] in shown.rows
    assert ["DOE_J", "EXECLUDE", "II_EXEC_002"] in shown.rows
    found = run("verify", "cohort.toml", "--names", "--json").json
    assert [one["patient"] for one in found["patients"]] == ["47-11", "4711", "DOE_J"]
    ran = run("verify", "cohort.toml", "--json")
    assert json.loads(_quiet(ran)) == {
        "total": 3, "done": 3, "already": 3, "failed": 0, "waiting": 0, "stopped": "",
        "report": str(Path.cwd() / "out" / "work" / "verify" / "report.html"), "failures": [],
        "standings": [
            {"what": "proceed", "code": "", "patients": 1, "sentence": ""},
            {"what": "excluded", "code": "II_EXEC_002", "patients": 1, "sentence": CODES["II_EXEC_002"].sentence},
            {"what": "excluded", "code": "II_EXEC_003", "patients": 1, "sentence": CODES["II_EXEC_003"].sentence},
        ],
    }  # fmt: skip


def test_a_patient_who_fails_makes_1_and_is_counted_by_the_sentence(settings: Settings, run: Any) -> None:
    """By name where that is asked for."""
    (settings.imagesummaries / "4711_SUCCESS.csv").write_text("a,b\n")
    ran = run("verify", "cohort.toml")
    assert ran.code == 1
    assert ran.rows[1][0] == "1" and ran.rows[1][1].endswith("Run qa-fetch cohort summarise again for this patient.")
    assert "I_EXEC_002" in _quiet(ran)
    assert run("verify", "cohort.toml", "--names").rows[1][0] == "4711"
    assert run("verify", "cohort.toml", "--json").json["failures"][0]["patients"] == 1


@pytest.mark.parametrize(("which", "count"), [("4711", 1), ("4711, DOE_J", 2), ("some.txt", 1), ("./some.txt", 1)])
def test_a_step_may_be_for_some_patients_only(settings: Settings, run: Any, which: str, count: int) -> None:
    """By their IDs, or by a file of them."""
    Path("some.txt").write_text("DOE_J\n")
    Path("4711").write_text("a file of that name is no list")
    assert run("verify", "cohort.toml", "--patients", which, "--json").json["total"] == count


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["verify", "cohort.toml", "--patients", "no.csv"],
            "no.csv is not a file. Correct the path, or give IDs with commas between.",
        ),
        (
            ["verify", "cohort.toml", "--patients", ","],
            "--patients names nobody. Give a file with one ID a line, or IDs with commas between.",
        ),
        (["verify", "cohort.toml", "--workers", "0"], "there cannot be 0 workers. Give at least 1."),
        (["slices", "cohort.toml", "--axes", "t"], "'t' are no axes. Write them as z, or as xyz."),
        (
            ["lock", "cohort.toml", "--check", "--again"],
            "--check only looks, and --again locks anew. Leave one of them out.",
        ),
        *(
            (
                ["quarantine", *words],
                "say what to do: qa-fetch cohort quarantine CONFIG, quarantine list CONFIG, or "
                "quarantine choose PATIENT INDEX CONFIG, with the index of the list.",
            )
            for words in (["show", "cohort.toml"], ["choose", "1", "cohort.toml"], ["choose", "1", "-", "cohort.toml"])
        ),
        (
            ["quarantine", "choose", "4711", "0", "cohort.toml"],
            "this patient has no candidates in quarantine. Run: qa-fetch cohort quarantine.",
        ),
    ],
)
def test_wrong_use_is_one_line(settings: Settings, run: Any, arguments: list[str], sentence: str) -> None:
    """And ends with 2."""
    failed(run(*arguments), 2, sentence)


def test_a_configuration_that_is_none_ends_with_2(run: Any) -> None:
    """Before anything is made."""
    ran = run("verify", "none.toml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("qa-fetch: file none.toml: it cannot be read") and ran.err.count("\n") == 1


def test_what_is_not_installed_ends_with_2(settings: Settings, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the archive is asked."""
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    failed(
        run("slices", "cohort.toml"),
        2,
        "the step slices of a cohort needs numpy and nibabel and matplotlib, which are not installed. "
        'Run: pip install "qa_fetch[cohort]"',
    )
    assert run("verify", "cohort.toml").code == 0


# --- why


def test_why_answers_for_an_object_and_for_a_patient(settings: Settings, run: Any) -> None:
    """In one sentence, or with all notes."""
    run("verify", "cohort.toml")
    ran = run("why", "4711", DOSE, "cohort.toml")
    assert (ran.out, ran.code) == (f"the dose {DOSE} is chosen: the dose names the plan by its UID.\n", 0)
    assert run("why", "DOE_J", CT, "cohort.toml", "--json").json["why"] == (
        f"the CT series {CT} does not count: its series {CT} is left out: it has 2 slices, fewer than the 3 of "
        "slices_drop_below."
    )
    lines = run("why", "DOE_J", "cohort.toml").out.splitlines()
    assert lines[:3] == [
        "status         EXECLUDE",
        "code           II_EXEC_002",
        f"what it means  {CODES['II_EXEC_002'].sentence}",
    ]
    assert lines[-1] == "II: II_EXEC_002:EXECLUDE"
    ran = run("why", "nobody", "cohort.toml")
    assert (ran.code, ran.err) == (
        1,
        "qa-fetch: 1 of 1 patients are neither in the list of patients nor summarised. "
        "Check their IDs, or run: qa-fetch cohort ids.\n",
    )


def test_why_answers_where_nothing_was_decided(settings: Settings, run: Any) -> None:
    """A patient who is listed and not verified is no slip."""
    assert run("why", "4711", "cohort.toml", "--json").json == {
        "patient": "4711", "status": "", "code": "", "ready": False,
        "sentence": "Nothing was decided yet. Run: qa-fetch cohort verify.",
    }  # fmt: skip


# --- the whole way


def test_the_steps_of_the_seed_as_commands(run: Any, tmp_path: Path) -> None:
    """From a folder of DICOM files to a patient who was chosen, with names in files only."""
    small: dict[str, Any] = {"columns": 12, "rows": 12, "slices": 12, "spacing": (2.0, 2.0, 6.0)}
    for study in ("1", "2"):
        course = quick(patient="SECRET", study=study, day=f"2025090{study}", **small)
        write(course, tmp_path / "archive" / study)
    secret = "SECRET"
    assert _quiet(run("ids", "cohort.toml"), secret) == "patients  1\nlist      out/ids/ids.csv\n"
    assert run("ids", "cohort.toml", "--json", "--names").json["ids"] == [secret]
    for step in ("summarise", "verify", "quarantine"):
        ran = run(step, "cohort.toml", "--workers", "1")
        assert (ran.code, ran.err) == (0, "")
        _quiet(ran, secret)
    assert _quiet(run("quarantine", "list", "cohort.toml"), secret).splitlines() == [
        "patients    1",
        "candidates  2",
        "chosen      0",
        "tables      out/quarantine",
        "Add --names to see them here; the tables have all that differs.",
    ]
    listed = run("quarantine", "list", "cohort.toml", "--names", "--json").json["items"]
    assert [(one["patient"], one["index"], one["facts"]["study date"]) for one in listed] == [
        (secret, 0, "20250901"),
        (secret, 1, "20250902"),
    ]
    ran = run("quarantine", "choose", secret, "1", "cohort.toml")
    assert ran.out.splitlines()[:2] == [f"patient    {secret}", "candidate  1"]
    standings = run("build", "cohort.toml", "--workers", "1", "--json").json["standings"]
    assert [(one["what"], one["code"]) for one in standings] == [("review", "I_REV_001")]
    assert _quiet(run("report", "cohort.toml"), secret).startswith("report  out/work/report/index.html\n")
    assert _quiet(run("lock", "cohort.toml"), secret) == "manifest  out/work/manifest.json\n"
    assert run("lock", "cohort.toml", "--check").code == 0
    ran = run("refresh", "cohort.toml")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "Patients who are new: 0, changed: 0, gone: 0, as they were: 1.")
    assert run("refresh", "cohort.toml", "--json").json["new"] == 0


# --- the bar


def _moment(left: Optional[float] = None, failures: int = 0, says: str = "") -> Progress:
    return Progress(3, failures, 1, 2, 10, 2_000_000, 4.0, 500_000.0, left, says)


def test_the_bar_says_how_long_what_failed_and_why_it_waits() -> None:
    """The same for all long jobs; the rate where bytes are what takes the time."""
    assert words(_moment()) == ""
    assert words(_moment(12.4, 2, "finishing what was begun")) == "12 s left, 2 failed, finishing what was begun"
    assert words(_moment(600.0), rate=True) == "500 kB/s, 10 min left"
    assert words(_moment(9000.0)) == "2.5 h left"


def test_nothing_is_drawn_where_nobody_watches() -> None:
    """In a pipe."""
    with bar("looking") as on_progress:
        assert on_progress is None


def test_on_a_terminal_the_bar_is_drawn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, and gone in the end."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with bar("looking [at] it") as on_progress:
        assert on_progress is not None
        on_progress(_moment(30.0, says="the archive [pacs] is away"))
    assert capsys.readouterr().out == ""
