"""Patients are built from an archive: what lies where, what is done again and what is not, and crashes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cohort_stage import Stage, staged
from truth_codes import WHOLE
from truth_codes import config as keys
from truth_scenarios import NEIGHBOURS, quick

from qa_fetch.bulk import Report
from qa_fetch.cohort import config
from qa_fetch.cohort.building import build
from qa_fetch.cohort.notes import KEYS, VALUES

SHORT = {"slices": 14}
FEW = {"slices_drop_below": 10}


def one(folder: Path, **changes: object) -> Stage:
    """A cohort of one patient."""
    return staged(folder, [quick(**SHORT)], **FEW, **changes)


def names(root: Path) -> list[str]:
    """What lies below a folder."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def numbers(report: Report) -> tuple[int, int, int]:
    """How many are done, were done before, and failed."""
    return report.done, report.already, report.failed


def test_everything_lies_under_pdcps_names(tmp_path: Path) -> None:
    """And the notes name the folders as PDCP's scripts want them."""
    stage = one(tmp_path)
    notes, folder = stage.build().to_dict(), stage.folder()
    course = stage.made[0].truth.course
    series, sets, plan, dose = (
        course.uid("CT", "series"), course.uid("RTSTRUCT"), course.uid("RTPLAN", 0), course.uid("RTDOSE", 0)
    )  # fmt: skip
    assert names(folder.root) == sorted(
        [
            *(f"CT/{number}.dcm" for number in range(1, 15)),
            f"CTnifti/123456789_{series}.nii.gz",
            f"RTSTRUCT/{sets}_rtstruct.dcm",
            f"masks/{sets}/patient_123456789_PTV_60.nii.gz",
            f"masks/{sets}/patient_123456789_PTV_60_ring.nii.gz",
            f"RTPLAN/{plan}.dcm",
            f"RTDOSE/{dose}.dcm",
            f"RTDOSEnifti/{dose}.nii.gz",
            "built.json",
        ]
    )
    values = notes["list_of_values"]
    assert list(values) == VALUES
    assert values["thedir"] == f"{folder.root}/"
    assert (values["ct_directory"], values["masks_directory"]) == (f"{folder.root}/CT/", f"{folder.root}/masks/")
    assert [key for key in KEYS if key in notes] == list(notes)
    assert notes["retrieval_notes"][1:5] == [
        "XI: CT retrieval: skipped, no SliceLocation: 0",
        "XI: CT retrieval: skipped, no ImagePositionPatient: 0",
        "XI: CT retrieval: retrieved the CT series instances to the local directory.",
        "XI: XI_SUCC_001:PROCEED",
    ]
    built = stage.built()
    assert (built.series, built.modality, built.doses[0].plan) == (series, "CT", plan)
    assert (built.plans[0].label, built.plans[0].prescription_gy, built.plans[0].fractions) == ("BREAST_60", 60.0, 30)
    assert dict(built.made).keys() == set(names(folder.root)) - {"built.json"}


def test_the_doses_lie_on_the_images_too_where_that_is_wanted(tmp_path: Path) -> None:
    """A cohort that wants it later is built again for it."""
    import nibabel

    stage = one(tmp_path)
    stage.build()
    assert not stage.folder().doses_on_images.exists()
    stage = replace(stage, settings=replace(stage.settings, dose_on_images=True))
    stage.build()
    found = next(stage.folder().doses_on_images.iterdir())
    assert nibabel.load(found).shape == (24, 22, 14)
    assert found.relative_to(stage.folder().root).as_posix() in dict(stage.built().made)


def test_patients_whose_numbers_begin_alike_do_not_touch_each_other(tmp_path: Path) -> None:
    """1, 12 and 1_2 are built in processes, and then each alone is done again when something of it is gone."""
    stage = staged(tmp_path, [quick(patient=each, **SHORT) for each in NEIGHBOURS], **FEW)
    report = build(stage.settings, where="processes", workers=2)
    assert numbers(report) == (3, 0, 0)
    assert sorted(path.name for path in stage.settings.datadirectory.iterdir()) == sorted(NEIGHBOURS)
    detail = {"status": "SUCCESS", "code": "XXIV_SUCC_001:PROCEED"}
    assert [row.detail for row in report.finished()] == [detail] * 3
    assert report.bytes > 3 * 14 * 24 * 22 * 2
    before = {each: stage.folder(each).built.stat().st_mtime_ns for each in NEIGHBOURS}
    assert numbers(build(stage.settings, where="threads")) == (3, 3, 0)
    next((stage.folder("12").root / "CTnifti").iterdir()).write_bytes(b"half")
    assert numbers(build(stage.settings, where="threads")) == (3, 2, 0)
    changed = {each for each in NEIGHBOURS if stage.folder(each).built.stat().st_mtime_ns != before[each]}
    assert changed == {"12"}
    for each in NEIGHBOURS:
        assert tuple(code.name for code in stage.notes(each).codes) == WHOLE
        assert stage.built(each).patient == each


def test_another_limit_is_checked_anew_without_fetching(tmp_path: Path) -> None:
    """The archive may even be gone by then."""
    stage = one(tmp_path)
    assert numbers(build(stage.settings, where="threads")) == (1, 0, 0)
    made = stage.folder().built.stat().st_mtime_ns
    for path in stage.archive.rglob("*.dcm"):
        path.unlink()
    narrow = replace(stage.settings, suspicious_max_dose_lower_bound=100.0)
    same = replace(stage.settings, possibilities=("ptv",), slices_review_above=400)  # which leads to the same
    assert numbers(build(same, where="threads")) == (1, 1, 0)
    assert numbers(build(narrow, where="threads")) == (1, 0, 0)
    assert stage.folder().built.stat().st_mtime_ns == made
    assert tuple(code.name for code in stage.notes().codes) == (*WHOLE[:-1], "XXIV_EXEC_003")
    assert numbers(build(stage.settings, where="threads")) == (1, 0, 0)
    assert tuple(code.name for code in stage.notes().codes) == WHOLE


def test_who_does_not_proceed_any_more_is_not_ready_any_more(tmp_path: Path) -> None:
    """The rules have changed, and nobody has asked for verify."""
    stage = one(tmp_path)
    build(stage.settings, where="threads")
    assert stage.notes().ready
    strict = replace(stage.settings, study_desc_should_not_contain=("breast",))
    assert numbers(build(strict, where="threads")) == (0, 0, 0)
    assert not stage.notes().ready
    assert [code.name for code in stage.notes().codes] == ["I_EXEC_006"]


def test_what_cannot_be_built_is_done_and_what_the_archive_fails_to_give_has_failed(tmp_path: Path) -> None:
    """The first is excluded and not tried again; the second is taken up by the next run, which finds the rest here."""
    stage = staged(tmp_path, [quick(patient="1", damage="uneven", **SHORT), quick(patient="2", **SHORT)], **FEW)
    dose = next((stage.archive / "2").rglob("RTDOSE/*.dcm"))
    aside = dose.rename(tmp_path / dose.name)
    report = build(stage.settings, where="threads")
    assert numbers(report) == (1, 0, 1)
    failed = next(iter(report.failures()))
    assert (failed.key, failed.error_class) == ("2", "NotFound")
    assert [row.detail["code"] for row in report.finished()] == ["XII_EXEC_001:EXECLUDE"]
    line = next(line for line in stage.notes("1").lines("retrieval_notes") if "apart" in line)
    assert line.startswith("XII: The images lie 2.00 mm apart, but ")
    assert not (stage.settings.datadirectory / "1").exists()
    aside.rename(dose)
    for path in (stage.archive / "2").rglob("CT/*.dcm"):
        path.write_bytes(path.read_bytes()[:-40])  # too late: the images came with the first run
    assert numbers(build(stage.settings, where="threads")) == (2, 1, 0)
    assert stage.notes("2").ready
    assert not list((stage.settings.work / "shelf").rglob("*.dcm"))


def test_a_summary_that_is_no_table_fails_alone(tmp_path: Path) -> None:
    """The others are built."""
    stage = staged(tmp_path, [quick(patient=each, **SHORT) for each in ("1", "2")], **FEW)
    (stage.settings.imagesummaries / "1_SUCCESS.csv").write_text("a,b\n1,2\n")
    report = build(stage.settings, where="threads")
    assert numbers(report) == (1, 0, 1)
    assert next(iter(report.failures())).error.startswith("a summary in ")


KILLED = """
import os, signal, sys
from pathlib import Path
from qa_fetch.cohort import building, config, volumes
settings = config.load(Path(sys.argv[1]))
whole = volumes.nifti
def dies(volume, path):
    if volume.modality == "RTDOSE":
        os.kill(os.getpid(), signal.SIGKILL)
    whole(volume, path)
volumes.nifti = dies
building.build(settings, where="threads")
"""


def test_a_process_that_is_killed_leaves_no_half_patient(tmp_path: Path) -> None:
    """And the next run goes on."""
    stage = one(tmp_path)
    given = {**keys(tmp_path / "cohort"), "archive": f"folder:{stage.archive}", **FEW}
    del given["ipport"]
    (tmp_path / "c.json").write_text(json.dumps(given))
    run = [sys.executable, "-c", KILLED, str(tmp_path / "c.json")]
    assert subprocess.run(run, check=False, cwd=Path(__file__).parents[2]).returncode == -signal.SIGKILL
    assert [path.name for path in stage.settings.datadirectory.iterdir()] == [".123456789.part"]
    assert not list(stage.settings.patientnotesdir.iterdir())
    settings = config.load(tmp_path / "c.json")
    assert numbers(build(settings, where="threads")) == (1, 0, 0)
    assert [path.name for path in stage.settings.datadirectory.iterdir()] == ["123456789"]
    assert stage.notes().ready


def test_what_ends_before_the_notes_are_written_is_told_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is whole by then, and stays as it is."""
    stage = one(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("qa_fetch.cohort.loading.check", lambda *given: 1 / 0)
        assert numbers(build(stage.settings, where="threads")) == (0, 0, 1)
    made = stage.folder().built.stat().st_mtime_ns
    assert not list(stage.settings.patientnotesdir.iterdir())
    assert numbers(build(stage.settings, where="threads")) == (1, 0, 0)
    assert stage.folder().built.stat().st_mtime_ns == made
    assert tuple(code.name for code in stage.notes().codes) == WHOLE
