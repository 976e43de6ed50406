"""The seed's nine steps as one example, run as a script on generated patients in a real Orthanc."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from course_truth import Truth, make, save
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail
from truth_codes import config
from truth_course import Course
from truth_scenarios import BOOST, quick

from qa_fetch import Archive
from qa_fetch.cohort import Cohort

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "cohort.py"
LYING = {"1": "HFS", "12": "HFP", "1_2": "FFS", "007": "FFP"}
WHOLE = [quick(patient=patient, position=position) for patient, position in LYING.items()]
OTHERS = {
    "CT only": ([quick(leave_out=("RTSTRUCT", "RTPLAN", "RTDOSE"))], "I_EXEC_003"),
    "of the head": ([quick(description="HEAD and neck")], "I_EXEC_006"),
    "rescanned": ([quick(), quick(study="2", day="20251001")], "I_EXEC_007"),
    "a dose of nothing": ([quick(dose_link="nothing")], "II_EXEC_002"),
    "uneven": ([quick(damage="uneven")], "XII_EXEC_001"),
}


class Ran(NamedTuple):
    """What a run of the example leaves."""

    code: int
    said: str
    cohort: Cohort
    truths: dict[str, Truth]


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Orthanc]:
    try:
        server = Orthanc()
    except Missing as missing:
        skip_or_fail(missing)
    with server:
        yield server


def _everybody() -> list[Course]:
    others = [replace(course, patient=patient) for patient, (courses, _) in OTHERS.items() for course in courses]
    return [*WHOLE, quick(patient="boosted", plans=BOOST), *others]


@pytest.fixture(scope="module")
def ran(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The example, run twice as a user runs it: the second run has nothing left to do."""
    folder = tmp_path_factory.mktemp("nine")
    truths = {}
    for course in _everybody():
        made = make(course)
        save(made.datasets, folder / "sent")
        truths[course.patient] = made.truth
    Archive(orthanc.rest_address, shelf=folder / "shelf").send(folder / "sent")
    keys = config(Path("pdcptest"), manual=True, ipport=orthanc.url)
    written = folder / "codesconfig.json"
    written.write_text(json.dumps(keys), encoding="utf-8")
    code, said = _run(written)
    assert _run(written)[0] == code
    return Ran(code, said, Cohort(written), truths)


def _run(written: Path) -> tuple[int, str]:
    before = sys.argv
    sys.argv = ["cohort.py", str(written)]
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    sys.argv = before
    return int(ended.value.code or 0), "\n".join(said)


def test_the_example_says_how_far_it_came(ran: Ran) -> None:
    """Nobody is lost on the way: ten patients, each with its code."""
    assert ran.code == 0
    assert "3 the archive has 10 patients" in ran.said
    assert "4 summaries: 10 done, 0 failed" in ran.said
    for code in ("I_EXEC_003", "I_EXEC_006", "I_EXEC_007", "II_EXEC_002", "XII_EXEC_001"):
        assert f"6   1 x EXECLUDE {code}" in ran.said
    assert "6   5 x SUCCESS XXIV_SUCC_001" in ran.said
    assert f"7 dose-volume histograms: {ran.cohort.settings.work / 'dvh' / 'dvh.csv'}" in ran.said
    assert f"Open {ran.cohort.settings.work / 'report' / 'index.html'}" in ran.said


def test_everybody_stands_where_the_rules_put_him(ran: Ran) -> None:
    """And patients whose numbers begin alike do not get in each other's way."""
    standing = {one.patient: (one.code, one.ready) for one in ran.cohort.patients()}
    assert standing == {
        **{patient: ("XXIV_SUCC_001", True) for patient in (*LYING, "boosted")},
        **{patient: (code, False) for patient, (_, code) in OTHERS.items()},
    }


@pytest.mark.parametrize("patient", [*LYING, "boosted"])
def test_the_numbers_are_right_however_the_patient_lies(ran: Ran, patient: str) -> None:
    """Volumes within 0.3 % (small ones 3 %), D and mean within 0.05 Gy of closed forms."""
    table = ran.cohort.settings.datadirectory / patient / "dosimetrydata" / f"{patient}_.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = {row["roi_name"]: row for row in csv.DictReader(file)}
    truth = ran.truths[patient]
    assert set(rows) == {roi.name for roi in truth.course.regions()}
    for name, row in rows.items():
        volume = truth.roi(name).volume_cc()
        assert float(row["volume"]) == pytest.approx(volume, rel=0.003 if volume > 1 else 0.03)
        exact = [truth.dvh(name, plan) for plan in range(len(truth.course.plans))]
        assert float(row["mean_dose"]) == pytest.approx(sum(one.mean() for one in exact), abs=0.05)
        if len(exact) == 1:
            for share in (2, 50, 95, 98):
                assert float(row[f"D{share:.1f}"]) == pytest.approx(exact[0].d(share), abs=0.05)


def test_everything_lies_where_scripts_of_pdcp_look_for_it(ran: Ran) -> None:
    """Folders, names and keys are PDCP's."""
    settings = ran.cohort.settings
    assert settings.link_to_ids.read_text(encoding="utf-8").startswith("ids,orthanc_ids\n")
    assert (settings.imagesummaries / "1_SUCCESS.csv").is_file()
    assert (settings.imagesummaries / "CT only_IMAGINGDATANOTFOUND.csv").is_file()
    notes = json.loads((settings.patientnotesdir / "1.json").read_text(encoding="utf-8"))
    assert notes["patientimagingfilesready"] is True and notes["status"] == "SUCCESS"
    values = notes["list_of_values"]
    for key in ("ct_directory", "rtdoses_directory", "rtstruct_directory", "masks_directory", "nifti_directory"):
        assert Path(values[key]).is_dir()
    folder = settings.datadirectory / "1"
    found = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
    assert {"CT", "CTnifti", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTDOSEnifti", "masks", "dosimetrydata"} <= found
    assert {"roiimages_x", "roidetails_x", "pictures"} <= found  # PDCP counts its axes from the depth


def test_a_person_chooses_between_two_studies_and_the_patient_goes_on(ran: Ran) -> None:
    """Step 8: both studies lie in quarantine; the chosen one becomes the patient's data."""
    settings = ran.cohort.settings
    in_quarantine = sorted(path.name for path in settings.thequarantine.iterdir() if path.is_dir())
    assert in_quarantine == ["rescanned_0", "rescanned_1"]
    ran.cohort.choose("rescanned", 1)
    ran.cohort.verify()
    (standing,) = ran.cohort.patients(["rescanned"])
    assert (standing.status, standing.ready) == ("REVIEW", True)  # that there are two stays in its notes
    assert (settings.datadirectory / "rescanned" / "CTnifti").is_dir()
