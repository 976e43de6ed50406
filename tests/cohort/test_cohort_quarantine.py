"""Quarantine: every candidate is built under a name that is only its own, and a person lets one of them in."""

from __future__ import annotations

import csv
import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from course_truth import write
from truth_course import Plan
from truth_scenarios import quick

from qa_fetch.cohort import Cohort, candidates, choices, columns, moving, quarantine
from qa_fetch.cohort.config import Settings, settings
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.notes import Notes
from qa_fetch.errors import ConfigError, Incomplete
from qa_fetch.locks import FileLock

SMALL: dict[str, Any] = {"columns": 12, "rows": 12, "slices": 20, "spacing": (2.0, 2.0, 5.0)}
PLANS = (Plan("BREAST_60"), Plan("BREAST_50", prescription=50.0, fractions=25))


def _settings(root: Path, **changes: Any) -> Settings:
    keys = {"profile": "CRDP", "archive": f"folder:{root / 'archive'}", "slices_drop_below": 5}
    return settings({**keys, "folder": str(root / "out"), **changes})


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patient 1 with a rescan and patient 1_2 with two plans, built into quarantine."""
    root = tmp_path_factory.mktemp("cohort")
    courses = [
        quick(patient="1", **SMALL),
        quick(patient="1", study="2", day="20251001", plans=PLANS[1:], **SMALL),
        quick(patient="1_2", plans=PLANS, **SMALL),
    ]
    for number, course in enumerate(courses):
        write(course, root / "archive" / str(number))
    cohort = Cohort(_settings(root, boosts="quarantine"))
    cohort.ids()
    cohort.summarise()
    assert cohort.verify().complete
    assert [one.code for one in cohort.patients()] == ["I_EXEC_007", "II_EXEC_003"]
    assert cohort.quarantine(where="threads", workers=2).complete
    return root


@pytest.fixture
def cohort(waiting: Path, tmp_path: Path) -> Cohort:
    """The same, for one test to change."""
    shutil.copytree(waiting / "out", tmp_path / "out")
    made = Cohort(replace(_settings(tmp_path, boosts="quarantine"), archive=f"folder:{waiting / 'archive'}"))
    for candidate in quarantine.listed(made.settings):
        file = candidate.folder / f"{candidate.patient}.json"
        file.write_text(file.read_text().replace(str(waiting), str(tmp_path)))
    return made


def _places(cohort: Cohort) -> set[str]:
    return {path.name for path in cohort.settings.thequarantine.iterdir()}


def test_every_candidate_lies_in_a_folder_of_its_own_with_notes_and_summary(cohort: Cohort) -> None:
    """1_2_0 is of patient 1_2, since the number behind the last _ is the index."""
    assert _places(cohort) == {"1_0", "1_1", "1_2_0", "1_2_1", "1_2_2", "1_candidates.csv", "1_2_candidates.csv"}
    for candidate in quarantine.listed(cohort.settings):
        names = {path.name for path in candidate.folder.iterdir()}
        patient = candidate.patient
        assert names == {patient, f"{patient}.json", f"{patient}_SUCCESS.csv", "candidate.json"}
        found = Notes.read(candidate.folder, patient)
        assert found is not None and found.ready
        said = "II: Study verification: this set of objects was taken by itself, for a person to look at."
        assert said in found.lines("verification_notes")
        folder = PatientFolder.of(replace(cohort.settings, datadirectory=candidate.folder), patient)
        assert folder.built.is_file() and list(folder.images.iterdir()) and list(folder.masks.iterdir())
    assert not cohort.settings.datadirectory.exists()
    assert [one.ready for one in cohort.patients()] == [False, False]


def test_the_table_says_what_differs(cohort: Cohort) -> None:
    """Dates, plans and what is prescribed."""
    with candidates.table_of(cohort.settings, "1").open(newline="") as file:
        found = {line[0]: line[1:] for line in csv.reader(file)}
    assert found["what"] == ["differs", "candidate 0", "candidate 1"]
    assert found["study date"] == ["yes", "20250901", "20251001"]
    assert found["plans"] == ["yes", "BREAST_60", "BREAST_50"]
    assert found["prescription [Gy]"] == ["yes", "60", "50"]
    assert found["fractions"] == ["yes", "30", "25"]
    assert found["slices"] == ["", "20", "20"]
    one, other, both = (one for one in quarantine.listed(cohort.settings) if one.patient == "1_2")
    assert both.facts["doses"] == "2"  # as one course
    assert candidates.differences([one, other])[:1] == ["plans"]
    assert one.facts["study date"] == other.facts["study date"]


def test_what_is_built_is_not_built_again_and_what_is_lost_is(cohort: Cohort) -> None:
    """Each candidate by itself."""
    report = cohort.quarantine(where="threads")
    assert (report.done, report.already) == (5, 5)
    (cohort.settings.thequarantine / "1_1" / "candidate.json").write_text("{")
    report = cohort.quarantine(["1"], where="threads")
    assert (report.done, report.failed) == (1, 1)
    (failure,) = report.failures()
    assert failure.error == (
        "the folder of a candidate is taken by something that qa-fetch has not written. "
        "Move it out of thequarantine, then run again."
    )
    shutil.rmtree(cohort.settings.thequarantine / "1_1")
    report = cohort.quarantine(["1"], where="threads")
    assert (report.done, report.already) == (2, 1)


def test_notes_or_a_summary_that_are_broken_stop_nobody_else(cohort: Cohort) -> None:
    """Of the summary verify tells."""
    (cohort.settings.patientnotesdir / "1.json").write_text("{")
    (cohort.settings.patientnotesdir / "1_2.json").unlink()
    (cohort.settings.imagesummaries / "1_2_SUCCESS.csv").write_text("a,b\n")
    report = cohort.quarantine(where="threads")
    assert (report.done, report.already) == (2, 2)


def test_two_choices_at_once_are_one_after_the_other(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one says so."""
    monkeypatch.setattr(quarantine, "_WAIT", 0.0)
    lock = FileLock(cohort.settings.work / "choose.lock")
    assert lock.try_acquire()
    with pytest.raises(ConfigError) as caught:
        cohort.choose("1", 0)
    lock.release()
    assert str(caught.value) == (
        "another command is choosing in this cohort. Wait until it has ended, then choose again."
    )
    assert cohort.choose("1", 0).ready


def test_candidates_that_are_none_any_more_are_removed(cohort: Cohort) -> None:
    """Only those of this patient."""
    folder = cohort.settings.thequarantine
    shutil.copytree(folder / "1_1", folder / "1_2")  # as a third candidate of 1, and not one of 1_2
    cohort.quarantine(["1"], where="threads")
    assert not (folder / "1_2").exists()
    assert (folder / "1_2_0").is_dir()


def test_the_chosen_one_moves_into_the_data_with_its_notes(cohort: Cohort) -> None:
    """The other stays; verify and build have nothing to do."""
    notes = cohort.choose("1", 1)
    settings = cohort.settings
    chosen = PatientFolder.of(settings, "1")
    assert chosen.built.is_file() and not (settings.thequarantine / "1_1" / "1").exists()
    assert (settings.thequarantine / "1_0" / "1" / "built.json").is_file()
    assert [(one.index, one.chosen) for one in quarantine.listed(settings)][:2] == [(0, False), (1, True)]
    written = Notes.read(settings.patientnotesdir, "1")
    assert written is not None and written.to_dict() == notes.to_dict()
    assert notes.ready and [code.name for code in notes.codes][:3] == ["I_REV_001", "I_SUCC_002", "II_SUCC_001"]
    values = notes.to_dict()["list_of_values"]
    assert (values["thedir"], values["ct_directory"]) == (f"{chosen.root}/", f"{chosen.images}/")
    assert "II: Study verification: this set of objects was chosen by a person." in notes.lines("verification_notes")
    before = (settings.patientnotesdir / "1.json").read_bytes()
    made = chosen.built.stat().st_mtime_ns
    assert cohort.verify(["1"]).complete
    assert (settings.patientnotesdir / "1.json").read_bytes() == before
    assert cohort.build(["1"], where="threads").complete
    assert chosen.built.stat().st_mtime_ns == made
    assert [one.ready for one in cohort.patients()] == [True, False]


def test_a_folder_in_the_data_is_never_overwritten(cohort: Cohort) -> None:
    """Nothing moves, and no choice is written down."""
    target = PatientFolder.of(cohort.settings, "1").root
    target.mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        cohort.choose("1", 0)
    assert str(caught.value) == (
        f"this patient has a folder in {cohort.settings.datadirectory} already, and nothing is overwritten. "
        "Move it away, then choose again."
    )
    assert not list(target.iterdir())
    assert choices.of(cohort.settings, "1") is None


def test_who_changes_his_mind_moves_the_first_choice_away(cohort: Cohort, tmp_path: Path) -> None:
    """Then the other candidate can be chosen."""
    cohort.choose("1", 1)
    PatientFolder.of(cohort.settings, "1").root.rename(tmp_path / "away")
    cohort.choose("1", 0)
    cohort.verify(["1"])
    assert [one.chosen for one in quarantine.listed(cohort.settings)] == [True, False, False, False, False]
    found = Notes.read(cohort.settings.patientnotesdir, "1")
    assert found is not None and found.ready and found.to_dict()["list_of_values"]["StudyDate"] == 20250901


def test_a_choice_that_was_cut_short_goes_on(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder had moved, the notes were not written."""

    def cut(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(quarantine, "_relocate", cut)
        with pytest.raises(KeyboardInterrupt):
            cohort.choose("1", 1)
    assert cohort.choose("1", 1).ready
    assert cohort.patients(["1"])[0].ready


@pytest.mark.parametrize(
    ("patient", "index", "sentence"),
    [
        ("2", 0, "this patient has no candidates in quarantine. Run: qa-fetch cohort quarantine."),
        ("1", 2, "this patient has no candidate 2 in quarantine. Choose one of 0, 1."),
    ],
)
def test_what_is_not_there_cannot_be_chosen(cohort: Cohort, patient: str, index: int, sentence: str) -> None:
    """With what there is."""
    with pytest.raises(ConfigError) as caught:
        cohort.choose(patient, index)
    assert str(caught.value) == sentence


def test_what_is_no_candidate_by_the_rules_of_today_cannot_be_chosen(cohort: Cohort) -> None:
    """The rules have changed since it was built."""
    stricter = Cohort(replace(cohort.settings, slices_drop_below=30))
    with pytest.raises(ConfigError) as caught:
        stricter.choose("1", 0)
    assert str(caught.value) == (
        "candidate 0 is none any more, since the rules or the summary have changed. "
        "Run qa-fetch cohort verify and qa-fetch cohort quarantine, then choose again."
    )


def test_a_candidate_that_cannot_be_used_says_why(cohort: Cohort) -> None:
    """Its highest dose lies outside of the window."""
    strict = Cohort(replace(cohort.settings, suspicious_max_dose_lower_bound=90.0))
    assert strict.quarantine(["1"], where="threads").complete
    with pytest.raises(ConfigError) as caught:
        strict.choose("1", 0)
    assert str(caught.value) == (
        "candidate 0 cannot be used: XXIV_EXEC_003:EXECLUDE in its notes. The highest dose lies outside the window. "
        "Look at the dose, or change suspicious_max_dose_lower_bound and suspicious_max_dose_upper_bound."
    )


@pytest.mark.parametrize("key", ["datadirectory", "patientnotesdir", "imagesummaries"])
def test_the_quarantine_has_a_folder_of_its_own(cohort: Cohort, key: str) -> None:
    """Else candidate 2 of patient 1 would be patient 1_2."""
    mixed = Cohort(replace(cohort.settings, thequarantine=getattr(cohort.settings, key) / "." / ""))
    with pytest.raises(ConfigError) as caught:
        mixed.quarantine()
    assert str(caught.value) == (
        f"thequarantine and {key} are one folder, in which candidates would be taken for patients. "
        "Give thequarantine a folder of its own."
    )


def test_moving_to_another_disk_copies_and_a_full_one_leaves_all_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name appears with everything in it, or not at all."""
    source, target = tmp_path / "a" / "1", tmp_path / "b" / "1"
    source.mkdir(parents=True)
    (source / "x").write_text("x")
    (source / "x").chmod(0o400)
    rename = Path.rename

    def other_disk(path: Path, to: Path) -> Path:
        if path.parent != Path(to).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, to)

    def full(*given: Any, **how: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "rename", other_disk)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copytree", full)
        with pytest.raises(Incomplete) as caught:
            moving.moved(source, target)
    assert str(caught.value) == (
        f"a candidate cannot be moved to {target.parent} (No space left on device). "
        "Free space there and check its permissions, then choose again."
    )
    assert (source / "x").is_file() and not list(target.parent.iterdir())
    moving.moved(source, target)
    assert (target / "x").read_text() == "x" and not source.exists()
    assert [path.name for path in target.parent.iterdir()] == ["1"]


def test_the_only_set_that_is_left_can_be_built_and_chosen(cohort: Cohort) -> None:
    """What was chosen is not there any more, so the other one waits; it is built anew where it is not there."""
    choices.record(cohort.settings, "1_2", {"what is gone"})
    only = Cohort(replace(cohort.settings, boosts="join"))
    rows = columns.read(cohort.settings.imagesummaries / "1_2_SUCCESS.csv")
    (plan,) = (row["SOPInstanceUID"] for row in rows if row["RTPlanLabel"] == "BREAST_50")
    kept = [row for row in rows if row["SOPInstanceUID"] != plan and plan not in row["ReferencedRTPlanSequence"]]
    columns.write(cohort.settings.imagesummaries, "1_2", "SUCCESS", kept)
    only.verify()
    assert only.patients(["1_2"])[0].code == "II_EXEC_003"
    shutil.rmtree(cohort.settings.thequarantine / "1_2_0")
    assert only.quarantine(["1_2"], where="threads").complete
    assert only.choose("1_2", 0).ready
    assert only.patients(["1_2"])[0].ready
