"""The step dvh as a step: who is done again, who is excluded, and what is said where nothing can be worked out."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from cohort_built import built_patient, settings_in
from truth_course import Course
from truth_scenarios import quick

from qa_fetch.cohort import codes
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.dosimetry import dvh
from qa_fetch.cohort.dosimetry_records import Compared, Dosimetry, PlanDose, RoiDose
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.notes import Notes
from qa_fetch.errors import BadArchive, ConfigError

PATIENT = "123456789"


def small(**changes: Any) -> Course:
    """A patient of few voxels."""
    return quick(columns=24, rows=22, **changes)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort in which the patient is built."""
    folder = tmp_path_factory.mktemp("template")
    built_patient(small(), settings_in(folder))
    return folder


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Settings:
    """The same for one test alone."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return settings_in(tmp_path)


def built(folder: Path, course: Course) -> Settings:
    """The settings of a cohort with another patient."""
    settings = settings_in(folder)
    built_patient(course, settings)
    return settings


def of(settings: Settings, patient: str = PATIENT) -> Optional[Dosimetry]:
    """The record of a patient."""
    return Dosimetry.read(PatientFolder.of(settings, patient))


def table(settings: Settings, name: str) -> list[dict[str, str]]:
    """A table of the cohort."""
    with (settings.work / "dvh" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_patient_is_done_once_and_again_when_what_is_asked_for_or_built_changes(
    settings: Settings, tmp_path: Path
) -> None:
    """A changed file of constraints, another metric, another build; not the same again."""
    limits = tmp_path / "limits.csv"
    limits.write_text("roi,metric,op,limit\nPTV*,D95%,>=,40\n")

    def runs(**asked: Any) -> int:
        report = dvh(settings, where="threads", constraints=limits, **asked)
        assert report.complete
        return report.done - report.already

    assert (runs(), runs()) == (1, 0)
    limits.write_text("roi,metric,op,limit\nPTV*,D95%,>=,50\n")
    assert (runs(), runs()) == (1, 0)
    assert table(settings, "constraints.csv")[0]["result"] == "fail"
    assert (runs(metrics=["D1cc"]), runs(metrics=["D1cc"])) == (1, 0)
    built_patient(small(plans=(replace(small().plans[0], fractions=25),)), settings)
    assert runs(metrics=["D1cc"]) == 1
    found = of(settings)
    assert found is not None and found.fractions == 25
    (PatientFolder.of(settings, PATIENT).dosimetry / "dosimetry.json").write_text("{")
    assert runs(metrics=["D1cc"]) == 1


def test_what_was_asked_for_before_does_not_stay(settings: Settings, tmp_path: Path) -> None:
    """The constraints of another run are no answer to this one."""
    limits = tmp_path / "limits.csv"
    limits.write_text("roi,metric,op,limit\nPTV*,D95%,>=,40\n")
    dvh(settings, where="threads", constraints=limits, alpha_beta=10)
    names = {"constraints.csv", "eqd2.csv"}
    folder = PatientFolder.of(settings, PATIENT).dosimetry
    assert names < {path.name for path in folder.iterdir()}
    dvh(settings, where="threads")
    assert not names & {path.name for path in folder.iterdir()}
    assert [table(settings, name) for name in sorted(names)] == [[], []]


def test_a_patient_whom_loading_excludes_is_done_with_its_code(settings: Settings) -> None:
    """The values of before are gone, from the tables of the cohort too."""
    built_patient(small(patient="2"), settings)
    assert dvh(settings, where="threads").complete
    assert {row["patient_id"] for row in table(settings, "dvh.csv")} == {PATIENT, "2"}
    for file in PatientFolder.of(settings, PATIENT).doses_nifti.iterdir():
        file.unlink()
    (PatientFolder.of(settings, PATIENT).dosimetry / "dosimetry.json").unlink()
    report = dvh(settings, where="threads")
    details = {row.key: dict(row.detail) for row in report.rows()}
    assert details[PATIENT] == {"status": "EXECLUDE", "code": str(codes.XXIV_EXEC_001)}
    assert of(settings) is None
    assert {row["patient_id"] for row in table(settings, "dvh.csv")} == {"2"}
    notes = Notes.read(settings.patientnotesdir, PATIENT)
    assert notes is not None and notes.excluded_by == codes.XXIV_EXEC_001 and not notes.ready


def test_the_notes_hold_what_loading_says_once(settings: Settings) -> None:
    """However often it is done."""
    for text in ("D1cc", "D2cc"):
        dvh(settings, where="threads", metrics=[text])
    notes = Notes.read(settings.patientnotesdir, PATIENT)
    assert notes is not None and notes.ready
    assert [code.name for code in notes.codes if code.step.startswith("XX")] == [
        f"{step}_SUCC_001" for step in ("XXI", "XXII", "XXIII", "XXIV")
    ]


def test_a_patient_whom_another_step_excludes_is_not_worked_out(settings: Settings) -> None:
    """Even where the folder of an earlier build is there, and its values."""
    dvh(settings, where="threads")
    notes = Notes(PATIENT)
    notes.give(codes.I_EXEC_006)
    notes.write(settings.patientnotesdir)
    report = dvh(settings, where="threads")
    assert [dict(row.detail) for row in report.rows()] == [{"status": "EXECLUDE", "code": str(codes.I_EXEC_006)}]
    assert of(settings) is None


def test_who_is_excluded_is_in_no_table_of_the_cohort_whoever_is_done(settings: Settings) -> None:
    """Only the other one is worked out again, and yet the values of the excluded one go."""
    built_patient(small(patient="2"), settings)
    assert dvh(settings, where="threads").complete
    notes = Notes(PATIENT)
    notes.give(codes.I_EXEC_006)
    notes.write(settings.patientnotesdir)
    dvh(settings, ["2"], where="threads")
    for name in ("dvh.csv", "metrics.csv"):
        assert {row["patient_id"] for row in table(settings, name)} == {"2"}


def test_a_patient_who_is_not_built_is_told(settings: Settings) -> None:
    """The others are done."""
    settings.link_to_ids.parent.mkdir(exist_ok=True)
    settings.link_to_ids.write_text("nobody\n", encoding="utf-8")
    report = dvh(settings, [PATIENT, "nobody"], where="threads")
    assert (report.done, report.failed) == (1, 1)
    assert [row.error for row in report.failures()] == ["this patient is not built. Run: qa-fetch cohort build."]


def test_a_patient_whose_dicom_files_are_gone_is_told(settings: Settings) -> None:
    """The NIfTI files load, but contours and doses are read from DICOM."""
    folder = PatientFolder.of(settings, PATIENT)
    for file in (*folder.doses.iterdir(), *folder.structures.iterdir()):
        file.unlink()
    report = dvh(settings, where="threads")
    assert [row.error for row in report.failures()] == [
        "2 of the DICOM files that this patient was built from are not there any more. Run: qa-fetch cohort build."
    ]


def test_a_profile_without_dose_says_so(tmp_path: Path) -> None:
    """There is nothing to work out."""
    settings = settings_in(tmp_path, required_modalities_for_patient=["CT", "RTSTRUCT"])
    with pytest.raises(ConfigError) as caught:
        dvh(settings)
    assert str(caught.value) == (
        "profile CR has no doses, so there are no DVHs to work out. "
        "Choose profile CRDP or CRD, then verify and build again."
    )


@pytest.mark.parametrize("given", [0, -1, 201, float("nan"), 6000])
def test_a_prescription_in_the_wrong_unit_is_refused(tmp_path: Path, given: float) -> None:
    """PDCP wanted cGy."""
    with pytest.raises(ConfigError) as caught:
        dvh(settings_in(tmp_path), prescription=given)
    assert str(caught.value) == (
        f"the prescription {given!r} is no dose of a course. Give it in Gy, from above 0 to 200."
    )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"metrics": [95]}, "a metric is 95, which is no text. Write one such as D95%, V20Gy[cc] or Dmean."),
        ({"prescription": "60"}, "the prescription '60' is no dose of a course."),
        ({"prescription": True}, "the prescription True is no dose of a course."),
        ({"alpha_beta": "3"}, "alpha/beta is '3'. Write a number of Gy above 0, such as 3 or 10."),
    ],
)
def test_what_is_of_another_type_is_a_sentence(asked: Any, sentence: str, tmp_path: Path) -> None:
    """And no traceback."""
    with pytest.raises(ConfigError) as caught:
        dvh(settings_in(tmp_path), ["1"], **asked)
    assert str(caught.value).startswith(sentence)


def test_every_line_says_of_which_structure_set_it_is(settings: Settings, tmp_path: Path) -> None:
    """Two sets may have regions of one number and name."""
    limits = tmp_path / "limits.csv"
    limits.write_text("roi,metric,op,limit\n*,Dmean,>,1\n")
    assert dvh(settings, where="threads", constraints=limits, alpha_beta=3).complete
    record = of(settings)
    assert record is not None
    for name in ("metrics.csv", "constraints.csv", "comparison.csv", "eqd2.csv"):
        lines = table(settings, name)
        assert lines and {line["structures"] for line in lines} == {roi.structures for roi in record.rois}, name


def test_mistakes_in_what_is_asked_for_stop_before_anything_is_done(tmp_path: Path) -> None:
    """A metric, a ratio and a cohort without patients."""
    for asked in ({"metrics": ["D95"]}, {"alpha_beta": 0.0}, {"constraints": tmp_path / "none.csv"}):
        with pytest.raises(ConfigError):
            dvh(settings_in(tmp_path), **asked)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the cohort has no patients yet"):
        dvh(settings_in(tmp_path))
    assert not (tmp_path / "cohort_work").exists()


def test_a_name_that_is_a_formula_is_none_in_a_spreadsheet(tmp_path: Path) -> None:
    """Names are those of an archive."""
    course = small()
    rois = tuple(replace(roi, name=f"=1+{roi.name}") for roi in course.regions())
    settings = built(tmp_path, replace(course, rois=rois))
    dvh(settings, where="threads")
    for name in ("dvh.csv", "metrics.csv", "comparison.csv"):
        assert {row["roi_name"][:4] for row in table(settings, name)} == {"'=1+"}
    found = of(settings)
    assert found is not None and found.rois[0].name == "=1+PTV_60"


def test_a_name_that_tg_263_knows_is_suggested(tmp_path: Path) -> None:
    """Beside each metric, for those who bring names of several years together."""
    course = small()
    one, two = course.regions()
    settings = built(tmp_path, replace(course, rois=(replace(one, name="left lung"), replace(two, name="heart old"))))
    dvh(settings, where="threads", metrics=["Dmean"])
    assert [(row["roi_name"], row["suggested_name"]) for row in table(settings, "metrics.csv")] == [
        ("left lung", "Lung_L"),
        ("heart old", ""),
    ]


def test_the_step_runs_in_processes_too(settings: Settings) -> None:
    """Which is how it runs by default."""
    assert dvh(settings, workers=1).complete
    assert of(settings) is not None


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """With everything in it."""
    roi = RoiDose(
        *("1.2", 3, "PTV", "PTV", (1, 2, 3), 10.5, 50.0, 50.0, 40.0, 60.0, 45.0, 59.0, (0.0, 50.0), (100.0, 0.0)),
        cautions=("Take care.",),
        tps=(Compared("volume", 10.5, 12.0, "cc", False, "Look.", "ROIVolume"),),
    )
    plan = PlanDose("1.3", "A", "1.2", 3, 50.0, 40.0, 60.0, 45.0, None)
    found = Dosimetry("7", 60.0, None, 61.0, (roi,), ({"metric": "D95%"},), (), ("A note.",), (plan,), ({"mean": 1.0},))
    folder = PatientFolder(tmp_path, "7")
    assert Dosimetry.read(folder) is None
    found.write(folder)
    assert Dosimetry.read(folder) == found


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": 2}', '{"format": 1}', "[" * 100_000])
def test_a_record_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    """Also one that is nested too deeply, or holds no numbers."""
    folder = PatientFolder(tmp_path / "data" / "7", "7")
    folder.dosimetry.mkdir(parents=True)
    (folder.dosimetry / "dosimetry.json").write_text(text)
    with pytest.raises(BadArchive) as caught:
        Dosimetry.read(folder)
    assert str(caught.value) == (
        f"dosimetry.json below {tmp_path / 'data'} is not what qa-fetch writes. Remove it, then run: "
        "qa-fetch cohort dvh."
    )


def test_the_record_is_json_that_every_reader_takes(settings: Settings) -> None:
    """NaN is no JSON."""
    dvh(settings, where="threads")
    text = (PatientFolder.of(settings, PATIENT).dosimetry / "dosimetry.json").read_text()

    def never(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(text, parse_constant=never)["patient"] == PATIENT
