"""The class Cohort and the step verify: what is decided, what is done again and what is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cohort_rows import CT, DOSE, PLAN, SETS, course, dose, plan

from qa_fetch.bulk import Report
from qa_fetch.cohort import Cohort, choices, codes, columns, extras, listing, marks
from qa_fetch.cohort.config import Settings, load
from qa_fetch.cohort.linking import decide
from qa_fetch.cohort.notes import Notes
from qa_fetch.errors import BadArchive, ConfigError


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Three patients whose names are easily mixed up, each with one whole course of three slices."""
    file = tmp_path / "cohort.toml"
    file.write_text('folder = "out"\narchive = "folder:nowhere"\nprofile = "CRDP"\nslices_drop_below = 3\n')
    made = Cohort(file)
    for patient in ("1", "12", "1_2"):
        _summary(made.settings, patient)
    return made


def _summary(settings: Settings, patient: str, rows: Any = None) -> None:
    found = [{**row, "PatId": patient, "PatientID": patient} for row in rows or course(3)]
    columns.write(settings.imagesummaries, patient, "SUCCESS", found)


def _with(cohort: Cohort, **changes: Any) -> Cohort:
    return Cohort(replace(cohort.settings, **changes))


def _done(report: Report) -> tuple[int, int]:
    """How many are done, and how many of them were before."""
    assert report.complete
    return report.done, report.already


def _notes(cohort: Cohort, patient: str) -> Notes:
    found = Notes.read(cohort.settings.patientnotesdir, patient)
    assert found is not None
    return found


def _built(cohort: Cohort, patient: str) -> Notes:
    """The notes as a build leaves them."""
    notes = _notes(cohort, patient)
    notes.give(codes.XI_SUCC_001)
    notes.give(codes.XXI_SUCC_001)
    notes.put("list_of_values", {**notes.to_dict()["list_of_values"], "thedir": "out/data/1/"})
    notes.ready = True
    notes.write(cohort.settings.patientnotesdir)
    return notes


# --- verify


def test_everybody_with_a_summary_or_in_the_list_is_verified_under_its_exact_name(cohort: Cohort) -> None:
    """1 has nothing to do with 12 and 1_2; whoever is only in the list has no summary."""
    cohort.settings.link_to_ids.parent.mkdir(parents=True)
    cohort.settings.link_to_ids.write_text("ids,orthanc_ids\n007,a\n12,b\n")
    _summary(cohort.settings, "A/B")
    _summary(cohort.settings, "X_ERROR", [*course(2)])
    columns.write(cohort.settings.imagesummaries, "9", "ERROR")
    assert _done(cohort.verify()) == (7, 0)
    assert {one.patient: (one.status, one.code, one.ready) for one in cohort.patients()} == {
        "007": ("EXECLUDE", "I_EXEC_001", False),
        "12": ("SUCCESS", "II_SUCC_001", False),
        "1": ("SUCCESS", "II_SUCC_001", False),
        "1_2": ("SUCCESS", "II_SUCC_001", False),
        "9": ("EXECLUDE", "I_EXEC_002", False),
        "A/B": ("SUCCESS", "II_SUCC_001", False),
        "X_ERROR": ("EXECLUDE", "II_EXEC_002", False),
    }


def test_nothing_is_done_again_while_nothing_changed(cohort: Cohort, tmp_path: Path) -> None:
    """Other places of what is made and another password change no rule."""
    cohort.verify()
    assert _done(cohort.verify()) == (3, 3)
    elsewhere = _with(cohort, datadirectory=tmp_path / "other", password="x", CONNECTIONS=9, archive="pacs")
    assert marks.rules(elsewhere.settings) == marks.rules(cohort.settings)
    assert _done(elsewhere.verify()) == (3, 3)


def test_a_changed_rule_is_looked_at_for_all_and_a_changed_summary_for_one(cohort: Cohort) -> None:
    """From the summaries alone."""
    cohort.verify()
    _summary(cohort.settings, "12", course(2))
    assert _done(cohort.verify()) == (3, 2)
    assert [one.code for one in cohort.patients()] == ["II_SUCC_001", "II_EXEC_002", "II_SUCC_001"]
    stricter = _with(cohort, slices_drop_below=4)
    assert _done(stricter.verify()) == (3, 0)
    assert {one.code for one in stricter.patients()} == {"II_EXEC_002"}
    assert marks.rules(stricter.settings) != marks.rules(cohort.settings)


def test_notes_that_are_lost_or_broken_are_written_again(cohort: Cohort) -> None:
    """Broken ones where there is a reason to look."""
    cohort.verify()
    file = cohort.settings.patientnotesdir / "1.json"
    file.unlink()
    assert _done(cohort.verify()) == (3, 2)
    file.write_text("{")
    assert [one for one in cohort.patients() if not one.status] == [("1", "", "", False)]
    _with(cohort, slices_drop_below=2).verify()
    assert _notes(cohort, "1").status == "SUCCESS"


def test_a_summary_that_broke_lets_nobody_go_on_by_what_it_said_before(cohort: Cohort) -> None:
    """The step fails for that patient, and the notes say so too until the summary is whole again."""
    cohort.verify()
    _built(cohort, "1")
    file = cohort.settings.imagesummaries / "1_SUCCESS.csv"
    whole = file.read_bytes()
    file.write_text("no table")
    (failure,) = cohort.verify().failures()
    said = (
        f"a summary in {cohort.settings.imagesummaries} is not a table of PDCP: it lacks Modality. "
        "Run qa-fetch cohort summarise again for this patient."
    )
    assert failure.error == said
    assert cohort.patients(["1"]) == [("1", "EXECLUDE", "I_EXEC_002", False)]
    assert _notes(cohort, "1").lines("verification_notes")[0] == f"I: {said}"
    file.write_bytes(whole)
    assert _done(cohort.verify()) == (3, 2)
    assert cohort.patients(["1"])[0].status == "SUCCESS"


def test_what_later_steps_noted_stays_while_the_same_objects_are_chosen(cohort: Cohort) -> None:
    """With the folders that the build wrote down."""
    cohort.verify()
    before = _built(cohort, "1").to_dict()
    _with(cohort, slices_drop_below=2).verify()
    assert _notes(cohort, "1").to_dict() == before
    assert cohort.patients(["1"]) == [("1", "SUCCESS", "XXI_SUCC_001", True)]


@pytest.mark.parametrize(
    "rows",
    [course(4), [*course(3)[:-2], plan("1.2.100.7"), dose(of="1.2.100.7")], course(2)],
    ids=["another slice", "another plan", "excluded"],
)
def test_what_later_steps_noted_is_dropped_where_the_decision_is_another(cohort: Cohort, rows: Any) -> None:
    """Nobody takes the old build for the new choice."""
    cohort.verify()
    _built(cohort, "1")
    _summary(cohort.settings, "1", rows)
    cohort.verify()
    found = _notes(cohort, "1").to_dict()
    assert found["patientimagingfilesready"] is False
    assert not {"retrieval_notes", "loading_notes"} & set(found)
    assert "thedir" not in found.get("list_of_values", {})


def test_a_cohort_without_patients_says_what_comes_first(cohort: Cohort, tmp_path: Path) -> None:
    """Neither a list nor summaries."""
    with pytest.raises(ConfigError) as caught:
        _with(cohort, imagesummaries=tmp_path / "none").verify()
    assert str(caught.value) == (
        "the cohort has no patients yet. Run qa-fetch cohort ids and qa-fetch cohort summarise first, "
        "or name them with --patients."
    )


def test_a_file_of_ids_is_pdcps_or_one_a_line(tmp_path: Path) -> None:
    """IDs stay texts."""
    file = tmp_path / "ids.csv"
    file.write_text("\ufeffids,orthanc_ids\n007,a\n1_2,b\n", encoding="utf-8")
    assert listing.listed_in(file) == ["007", "1_2"]
    file.write_text("007\n\n 1,2 \n007\n")
    assert listing.listed_in(file) == ["007", "1,2"]
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError) as caught:
        listing.listed_in(file)
    assert str(caught.value) == (
        f"the list of patients {file} cannot be read (it is not text in UTF-8). Correct it and run again."
    )


def test_one_id_is_one_patient_and_not_its_letters(cohort: Cohort) -> None:
    """12 is not 1 and 2, however it is given."""
    for one in ("12", 12, ["12"], (12, "12")):
        assert [found.patient for found in cohort.patients(one)] == ["12"]  # type: ignore[arg-type]
    cohort.verify("12")
    assert [path.name for path in cohort.settings.patientnotesdir.iterdir()] == ["12.json"]


def test_ids_that_a_disk_does_not_tell_apart_are_refused(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk does tell them apart, they are two patients as ever."""
    settings = cohort.settings
    settings.link_to_ids.parent.mkdir(parents=True)
    settings.link_to_ids.write_text("ids,orthanc_ids\nAb,a\naB,b\n12,c\n")
    monkeypatch.setattr(listing, "folds_case", lambda folder: False)
    assert {"Ab", "aB"} < {one.patient for one in cohort.patients()}
    (settings.work.parent.parent / "nowhere").mkdir()
    monkeypatch.setattr(listing, "folds_case", lambda folder: folder == settings.datadirectory)
    for step in (cohort.verify, cohort.summarise):
        with pytest.raises(ConfigError) as caught:
            step(["12"])
        assert str(caught.value) == (
            f"2 patients have IDs that differ in capitals only, which the disk of {settings.datadirectory} does not "
            "tell apart: their files would be mixed. Give the cohort folders on another disk."
        )


def test_whether_a_disk_tells_capitals_is_tried(tmp_path: Path) -> None:
    """Also where the folder is not made yet; nothing is left of it."""
    (tmp_path / "a").touch()
    assert listing.folds_case(tmp_path / "not" / "yet") is (tmp_path / "A").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


# --- choices


def _two(settings: Settings) -> None:
    """Patient 1 with two plans that only a person can tell apart."""
    rows = [*course(3), plan("1.2.100.5", RTPlanLabel="L3"), dose("1.2.100.6", of="1.2.100.5")]
    _summary(settings, "1", rows)


def test_what_a_person_chose_holds_and_is_noted(cohort: Cohort) -> None:
    """And the answer to why names it."""
    _two(cohort.settings)
    cohort.verify()
    assert cohort.patients(["1"])[0].code == "II_EXEC_003"
    assert len(decide("1", cohort.settings).candidates) == 3  # either plan, or both as one course
    choices.record(cohort.settings, "1", {CT, SETS, "1.2.100.5", "1.2.100.6"})
    assert _done(cohort.verify()) == (3, 2)
    notes = _notes(cohort, "1")
    assert [code.name for code in notes.codes] == ["I_SUCC_001", "II_SUCC_001"]
    assert "II: Study verification: this set of objects was chosen by a person." in notes.lines("verification_notes")
    assert cohort.why("1", DOSE) == (f"the dose {DOSE} does not count: another set of objects was chosen by a person.")
    assert cohort.why("1", "1.2.100.6") == ("the dose 1.2.100.6 is chosen: the dose names the plan by its UID.")


def test_what_a_person_chose_and_is_not_there_any_more_is_to_be_chosen_again(cohort: Cohort) -> None:
    """Even where one set is left: it is the one that was not chosen."""
    _two(cohort.settings)
    choices.record(cohort.settings, "1", {CT, SETS, "1.2.100.5", "1.2.100.6"})
    _summary(cohort.settings, "1")
    decision = decide("1", cohort.settings)
    assert (decision.code.name, decision.chosen, len(decision.candidates)) == ("II_EXEC_003", None, 1)
    assert decision.notes.lines("verification_notes")[-3] == (
        "II: Study verification: what a person chose is not among the sets of objects any more, "
        "so a person has to choose again."
    )
    choices.record(cohort.settings, "1", {CT, SETS, PLAN, DOSE})
    assert decide("1", cohort.settings).status == "SUCCESS"


def test_a_choice_among_studies_leaves_the_other_study_out(cohort: Cohort) -> None:
    """With PDCP's code for a conflict that is removed."""
    other = [{key: cell.replace("1.2.100", "1.3.100") for key, cell in row.items()} for row in course(3)]
    _summary(cohort.settings, "1", [*course(3), *other])
    waiting = decide("1", cohort.settings)
    assert (waiting.code.name, len(waiting.candidates)) == ("I_EXEC_007", 2)
    choices.record(cohort.settings, "1", waiting.candidates[1].uids)
    decision = decide("1", cohort.settings)
    assert [code.name for code in decision.notes.codes] == ["I_REV_001", "I_SUCC_002", "II_SUCC_001"]
    assert decision.chosen is not None and decision.chosen.uids == waiting.candidates[1].uids
    assert decision.why(DOSE) == f"the dose {DOSE} does not count: another study was chosen by a person."


def test_a_broken_file_of_choices_stops_everything(cohort: Cohort) -> None:
    """Going on would forget what people decided."""
    file = choices.path_of(cohort.settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    with pytest.raises(BadArchive) as caught:
        cohort.verify()
    assert str(caught.value) == (
        f"{file} is not what qa-fetch writes. Put it back from a copy; without it every choice has to be made again."
    )


# --- the class


def test_a_cohort_is_made_of_toml_json_or_settings(cohort: Cohort, tmp_path: Path) -> None:
    """PDCP's file as it is."""
    folders = {key: str(tmp_path / key) for key in ("imagesummaries", "patientnotesdir", "datadirectory")}
    keys = {**folders, "quarantine": "q", "link_to_ids": "i.csv", "ipport": "http://127.0.0.1:1"}
    (tmp_path / "codesconfig.json").write_text(json.dumps({**keys, "password": "", "username": ""}))
    assert Cohort(str(tmp_path / "codesconfig.json")).settings.imagesummaries == tmp_path / "imagesummaries"
    assert Cohort(cohort.settings).settings is cohort.settings
    assert load(tmp_path / "cohort.toml") == cohort.settings


@pytest.mark.parametrize("step", sorted(extras.NEEDED))
def test_what_is_not_installed_is_said_before_any_work(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "nibabel" else object())
    with pytest.raises(ConfigError) as caught:
        getattr(cohort, step)(*["1"] * (step == "patient"))
    assert str(caught.value) == (
        f'the step {step} of a cohort needs nibabel, which is not installed. Run: pip install "qa_fetch[cohort]"'
    )
    assert not cohort.settings.work.exists()


def test_the_rules_cost_no_numpy() -> None:
    """Verifying works where only the core is installed."""
    code = (
        "import sys; from qa_fetch.cohort import Cohort, config, verifying, choices; import qa_fetch.cli; "
        "print(sorted({'numpy', 'nibabel', 'matplotlib', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
