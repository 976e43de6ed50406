"""How an export goes: what is asked for, where it is written, and that one object's failure is its own."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import phantom
import pytest
from phantom_breakages import BREAKAGES
from pinnacle_compared import archives, expected, files_below, kinds, objects, resolved, said, same_dose, same_plan

from qa_fetch import Ambiguous, BadArchive, ConfigError, Incomplete, NotFound
from qa_fetch.pinnacle import Report, dose, export, images, releasing
from qa_fetch.pinnacle.naming import folders
from qa_fetch.pinnacle.records import Patient


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., phantom.Truth]:
    """Archives of the options of a course."""
    return archives(tmp_path)


# What is asked for


def test_one_plan_and_one_trial_by_name_or_number(archive, tmp_path):
    """Only these, with the images that they lie on."""
    truth = archive(plans=2, trials=2, mr=True, size="tiny")
    wanted = {("CT", None, None), ("RTSTRUCT", 1, None), ("RTPLAN", 1, 0), ("RTDOSE", 1, 0)}
    for number, (plan, trial) in enumerate([("PLAN_2", "Trial_1"), (1, 0), ("1 ", "0")]):
        report = export(truth.path, tmp_path / str(number), plan=plan, trial=trial)
        assert kinds(report) == wanted
    assert kinds(export(truth.path, tmp_path / "trial", trial="Trial_2")) == {
        ("CT", None, None),
        *(("RTSTRUCT", plan, None) for plan in (0, 1)),
        *((modality, plan, 1) for modality in ("RTPLAN", "RTDOSE") for plan in (0, 1)),
    }


@pytest.mark.parametrize("patient", ["PH0001_2", "Patient_2", "Institution_1/Mount_0/Patient_2", " PH0001_2 "])
def test_one_patient_by_number_or_folder(archive, tmp_path, patient):
    """The other is not even begun."""
    report = export(archive(patients=2, size="tiny").path, tmp_path / "out", patient=patient)
    assert [each.source for each in report.patients] == ["Institution_1/Mount_0/Patient_2"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["PH0001_2"]


@pytest.mark.parametrize(
    ("asked", "kind", "sentence"),
    [
        (
            {"patient": "X1"},
            NotFound,
            "archive.tar has no such patient, neither as a medical record number nor as a folder. "
            "Look what it has: qa-fetch pinnacle list archive.tar",
        ),
        (
            {"plan": "PLAN"},
            NotFound,
            "archive.tar has no such plan. Look what it has: qa-fetch pinnacle list archive.tar",
        ),
        ({"plan": 2}, NotFound, "archive.tar has no such plan. Look what it has: qa-fetch pinnacle list archive.tar"),
        (
            {"trial": "9"},
            NotFound,
            "archive.tar has no such trial. Look what it has: qa-fetch pinnacle list archive.tar",
        ),
        (
            {"plan": 0, "trial": "9"},
            NotFound,
            "archive.tar has no such plan and trial. Look what it has: qa-fetch pinnacle list archive.tar",
        ),
        (
            {"mu": "guess"},
            ConfigError,
            "there is no way 'guess' to find monitor units. Name one of agree, formula, grid.",
        ),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_written(archive, tmp_path, asked, kind, sentence):
    """One sentence, and no output."""
    truth = archive(plans=2, size="tiny")
    with pytest.raises(kind) as caught:
        export(truth.path, tmp_path / "out", **asked)
    assert str(caught.value) == sentence
    assert not (tmp_path / "out").exists()


def test_a_name_that_stands_for_several_is_not_guessed_at(archive, tmp_path):
    """Plans, trials and patients of one name: the numbers are given to choose by."""
    truth = archive("folder", plans=2, trials=2, patients=2, size="tiny")
    BREAKAGES["equal plans at equal times"](truth.path)
    BREAKAGES["equal trials"](truth.path)
    second = truth.path / truth.patients[1].folder / "Patient"
    second.write_bytes(second.read_bytes().replace(b"PH0001_2", b"PH0001"))

    def refused(**asked: Any) -> tuple[str, Any]:
        with pytest.raises(Ambiguous) as caught:
            export(truth.path, tmp_path / "out", **asked)
        return str(caught.value), caught.value.candidates

    first, other = (patient.folder for patient in truth.patients)
    sentence, candidates = refused(patient="PH0001")
    assert sentence == f"folder has 2 patients that are called so: {first}, {other}. Choose one by its folder."
    assert candidates == [first, other]
    sentence, candidates = refused(patient="Patient_1", plan="PLAN_1")
    assert sentence == (
        "folder has 2 plans of that name: number 0 of 2020-01-02 10:00:00, number 1 of 2020-01-02 10:00:00. "
        "Choose one by its number."
    )
    assert [entry.number for entry in candidates] == [0, 1]
    sentence, candidates = refused(patient="Patient_1", plan=0, trial="Trial_1")
    assert sentence == ("plan 0 of folder has 2 trials of that name: number 0, number 1. Choose one by its number.")
    assert candidates == [0, 1]
    report = export(truth.path, tmp_path / "out")
    marked = [each.folder.name for each in report.patients if each.folder is not None]
    assert [name[:7] for name in marked] == ["PH0001-", "PH0001-"]
    assert len(set(marked)) == 2


def test_monitor_units_by_choice(archive, tmp_path):
    """Where formula and grid differ there is a dose only when one of them is chosen."""
    truth = archive(beams=("static", "electrons"), percent=90.0, size="tiny")
    for choice in ("formula", "grid"):
        report = export(truth.path, tmp_path / choice, plan=0, trial=0, mu=choice)
        found = objects(report, images=False)
        same_dose(truth.trial, found["RTDOSE", 0, 0][0], choice)
        same_plan(truth.trial, found["RTPLAN", 0, 0][0], choice)
        assert re.search(f"those by {choice} are used, as was chosen", said(report))


# The output


def test_the_report_beside_the_objects_names_all(archive, tmp_path):
    """Every object with its UIDs, plan and trial; every one skipped with its reason; and what was asked for."""
    truth = archive("broken", plans=2, trials=2, size="tiny")
    BREAKAGES["short dose"](truth.path)
    report = export(truth.path, tmp_path / "out")
    (patient,) = report.patients
    told = json.loads((tmp_path / "out/PH0001/report.json").read_text(encoding="utf-8"))
    assert told == patient.to_json()
    assert report.to_json()["patients"] == [{"output": str(tmp_path / "out/PH0001"), **told}]
    assert told["archive"] == {
        "name": "broken",
        "refused": [],
        "refused_in_all": 0,
        "stopped": None,
        "asked": {"plan": None, "trial": None, "mu": "agree"},
    }
    assert told["patient"] == {
        "folder": "Institution_1/Mount_0/Patient_1",
        "medical_record_number": "PH0001",
        "last_name": "Doe",
        "first_name": "Jane",
    }
    assert [(plan["number"], plan["name"], plan["trials"]) for plan in told["plans"]] == [
        (number, name, [{"number": 0, "name": "Trial_1"}, {"number": 1, "name": "Trial_2"}])
        for number, name in enumerate(("PLAN_1", "PLAN_2"))
    ]
    assert not told["complete"]
    assert [left["what"] for left in told["skipped"]] == ["RTDOSE of plan 0, trial 0"]
    files = {path.name for path in (tmp_path / "out/PH0001").iterdir()}
    assert {each["path"] for each in told["written"]} | {"report.json"} == files
    assert {(each["plan_name"], each["trial_name"]) for each in told["written"] if each["modality"] == "RTDOSE"} == {
        ("PLAN_1", "Trial_2"),
        ("PLAN_2", "Trial_1"),
        ("PLAN_2", "Trial_2"),
    }


def test_another_conversion_is_not_written_over(archive, tmp_path):
    """The folder stays as it was; the report says what to do, and nothing is passed for written."""
    export(archive("a.tar", size="tiny").path, tmp_path / "out")
    before = files_below(tmp_path / "out")
    report = export(archive("b.tar", trials=2, size="tiny").path, tmp_path / "out")
    assert (report.written, report.exit_code, report.patients[0].folder) == ((), 1, None)
    (left,) = report.skipped
    assert left.what == "all that was converted"
    assert re.fullmatch(
        rf"{tmp_path}/out/PH0001 holds another conversion \(\d of its objects are not the same\), which is not written "
        r"over\. Name another output folder, or remove that one first\.",
        left.reason,
    )
    assert files_below(tmp_path / "out") == before


def test_a_folder_of_somebody_else_is_refused_before_any_work(archive, tmp_path):
    """Nothing of it is touched."""
    (tmp_path / "out/PH0001").mkdir(parents=True)
    (tmp_path / "out/PH0001/notes.txt").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        export(archive(size="tiny").path, tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path}/out/PH0001 is there already and was not made by an export. "
        "Name another output folder, or remove it first."
    )
    assert files_below(tmp_path / "out") == {"PH0001/notes.txt": b"mine"}


def test_an_output_that_cannot_be_one(archive, tmp_path):
    """A file, and a folder within the archive itself."""
    truth = archive("folder", size="tiny")
    (tmp_path / "file").write_text("x")
    for output, sentence in (
        (tmp_path / "file", f"{tmp_path}/file is a file. Name a folder."),
        (
            truth.path / "out",
            f"{truth.path}/out lies within {truth.path}, whose files are read. Name a folder outside of it.",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            export(truth.path, output)
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (
            errno.ENOSPC,
            "the disk of {} is full, so the export stopped and no half patient was kept there. "
            "Free space there, or name another output folder.",
        ),
        (
            errno.EACCES,
            "{} cannot be written to (Permission denied). "
            "Check that this user may write there, or name another output folder.",
        ),
    ],
)
def test_a_disk_that_is_full_ends_the_export(archive, tmp_path, monkeypatch, number, sentence):
    """No other object would fare better, so this is no matter of one object; nothing is left behind."""
    write, count = Path.write_bytes, iter(range(100))

    def fail_at_the_fifth(path: Path, data: bytes) -> int:
        if path.suffix == ".dcm" and next(count) == 4:
            raise OSError(number, os.strerror(number), str(path))
        return write(path, data)

    truth = archive(size="tiny")
    monkeypatch.setattr(Path, "write_bytes", fail_at_the_fifth)
    with pytest.raises(Incomplete) as caught:
        export(truth.path, tmp_path / "out")
    assert str(caught.value) == sentence.format(tmp_path / "out")
    assert not caught.value.retriable
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_nothing_is_left_behind_when_it_is_ended_or_fails(archive, tmp_path, monkeypatch, error):
    """An interrupt and a fault of the program itself get out, and the hidden folder goes."""

    def end(*given: Any) -> None:
        assert list((tmp_path / "out").glob(".qa_fetch-*/PH0001/*.dcm"))
        raise error

    monkeypatch.setattr("qa_fetch.pinnacle.dose.dose", end)
    with pytest.raises(error):
        export(archive(size="tiny").path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_export_has_left_goes_with_the_next_one(archive, tmp_path):
    """But not what another export is just making."""
    truth = archive(size="tiny")
    left = tmp_path / "out/.qa_fetch-left"
    (left / "PH0001").mkdir(parents=True)
    (left / "PH0001/CT.1.dcm").write_bytes(b"half")
    with releasing.Workplace(tmp_path / "out") as other:
        making = other.folder("PH0007")
        report = export(truth.path, tmp_path / "out")
        assert making.is_dir()
    assert report.complete
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["PH0001"]


def test_two_exports_of_one_patient_at_once(archive, tmp_path):
    """Whoever comes second finds the same and leaves it."""
    truth = archive(size="tiny")
    reports: list[Report] = []
    threads = [Thread(target=lambda: reports.append(export(truth.path, tmp_path / "out"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.complete for report in reports] == [True, True]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["PH0001"]


# One object's failure


def test_workplaces_that_come_and_go_at_once_do_not_clear_each_other_away(tmp_path):
    """What a killed process has left is cleared, but never what somebody has made a moment ago."""
    failed: list[Exception] = []

    def come_and_go() -> None:
        for _ in range(60):
            try:
                with releasing.Workplace(tmp_path) as workplace:
                    assert workplace.folder("patient").is_dir()
            except (AssertionError, Incomplete) as error:
                failed.append(error)

    threads = [Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, list(tmp_path.iterdir())) == ([], [])


def test_a_dose_that_cannot_be_made_takes_nothing_with_it(archive, tmp_path, monkeypatch):
    """Whatever named error a writer raises; the plan then refers to no dose."""

    def fail(*given: Any) -> None:
        raise BadArchive("its numbers are odd. Look at them.")

    monkeypatch.setattr("qa_fetch.pinnacle.dose.dose", fail)
    truth = archive(size="tiny")
    report = export(truth.path, tmp_path / "out")
    assert [(left.what, left.reason) for left in report.skipped] == [
        ("RTDOSE of plan 0, trial 0", "its numbers are odd. Look at them.")
    ]
    found = objects(report)
    assert set(found) == expected(truth.patient) - {("RTDOSE", 0, 0)}
    resolved(found)


def test_a_plan_that_cannot_be_made_leaves_the_dose_which_refers_to_none(archive, tmp_path, monkeypatch):
    """The dose is still the archive's, and says by itself what it is."""

    def fail(*given: Any) -> None:
        raise BadArchive("its beams are odd. Look at them.")

    monkeypatch.setattr("qa_fetch.pinnacle.rtplan.plan", fail)
    truth = archive(size="tiny")
    report = export(truth.path, tmp_path / "out")
    assert [(left.what, left.reason) for left in report.skipped] == [
        ("RTPLAN of plan 0, trial 0", "its beams are odd. Look at them.")
    ]
    found = objects(report)
    resolved(found)
    same_dose(truth.trial, found["RTDOSE", 0, 0][0])
    assert "ReferencedRTPlanSequence" not in found["RTDOSE", 0, 0][0]


def test_a_dose_that_the_self_check_holds_back(archive, tmp_path, monkeypatch):
    """A dose of another maximum than the archive's is not released; its plan is, without the reference."""
    made = dose.dose
    wrong = {"dose_maximum": 1.0}
    monkeypatch.setattr(dose, "dose", lambda *given: replace(made(*given), facts=wrong))
    truth = archive(size="tiny")
    report = export(truth.path, tmp_path / "out")
    (left,) = report.skipped
    assert left.what == "RTDOSE of plan 0, trial 0"
    assert re.fullmatch(r"its maximum is \S+ Gy where the archive's is 1 Gy, so it is held back", left.reason)
    found = objects(report)
    assert set(found) == expected(truth.patient) - {("RTDOSE", 0, 0)}
    resolved(found)


def test_an_image_that_the_self_check_holds_back_takes_its_series_with_it(archive, tmp_path, monkeypatch):
    """A series with a hole is not passed for whole; the plan's dose does not need it."""
    made = images.series

    def moved(work: Any) -> Any:
        series, objects = made(work)
        shifted = replace(series.images[3], z=series.images[3].z + 1)
        return replace(series, images=(*series.images[:3], shifted, *series.images[4:])), objects

    monkeypatch.setattr(images, "series", moved)
    report = export(archive(size="tiny").path, tmp_path / "out")
    assert [left.what for left in report.skipped] == ["image set 0", "RTSTRUCT of plan 0"]
    assert [left.reason for left in report.skipped] == [
        "CT: it does not lie where its series has it, so it is held back",
        "it refers to images of which some are held back, so it is held back",
    ]
    assert kinds(report) == {("RTPLAN", 0, 0), ("RTDOSE", 0, 0)}
    assert len(list((tmp_path / "out/PH0001").glob("*.dcm"))) == 2


# The rest


def test_progress_counts_every_object(archive, tmp_path):
    """What is to come is known from the start where the archive says so."""
    told: list[tuple[int, int]] = []
    report = export(archive(size="tiny").path, tmp_path / "out", on_progress=lambda *now: told.append(now))
    count = len(report.written)
    assert told == [(number, count) for number in range(1, count + 1)]


def test_without_numpy_it_says_how_to_get_it(archive, tmp_path, monkeypatch):
    """The core is installed without it."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ConfigError) as caught:
        export(archive(size="tiny").path, tmp_path / "out")
    assert str(caught.value) == 'converting from Pinnacle needs numpy. Run: pip install "qa_fetch[pinnacle]"'


def test_importing_the_room_loads_nothing_heavy():
    """Listing archives needs neither numpy nor pydicom."""
    code = (
        "import sys; from qa_fetch.pinnacle import export, listing; list(listing(sys.argv[1]));"
        "print([name for name in ('numpy', 'pydicom', 'pymedphys', 'rich') if name in sys.modules])"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = phantom.write(phantom.Course(size="tiny"), Path(folder, "archive.tar")).path
        environment = {**os.environ, "PYTHONPATH": str(Path(releasing.__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], env=environment, capture_output=True, text=True, check=True
        )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("numbers", "names_"),
    [
        (["12345678"], ["12345678"]),
        (["../../etc/passwd"], ["etc_passwd"]),
        (["NUL"], ["patient_NUL"]),
        ([""], ["Patient_1"]),
        ([None], ["Patient_1"]),
        (["a b/c", "A.B.C"], ["ab_c", "A_B_C"]),
    ],
)
def test_folders_are_named_safely(numbers, names_):
    """A medical record number never chooses a path."""
    patients = [
        Patient(f"Mount_0/Patient_{count}", None, None, number, None, None, None, None, None, None, (), ())
        for count, number in enumerate(numbers, 1)
    ]
    assert list(folders(patients).values()) == names_


def test_patients_of_one_number_do_not_share_a_folder():
    """Nor do numbers that differ in the case of their letters only."""
    patients = [
        Patient(f"Mount_0/Patient_{count}", None, None, number, None, None, None, None, None, None, (), ())
        for count, number in enumerate(("x1", "X1", "y2"), 1)
    ]
    first, second, third = folders(patients).values()
    assert re.fullmatch(r"x1-[0-9a-f]{8}", first)
    assert re.fullmatch(r"X1-[0-9a-f]{8}", second)
    assert (first[2:] != second[2:], third) == (True, "y2")
