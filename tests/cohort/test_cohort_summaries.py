"""Summaries of a folder: what is written for whom, what is done again, and what interceptors may do."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from course_truth import Made, make, save
from truth_codes import config as pdcp
from truth_scenarios import quick

from qa_fetch import part10
from qa_fetch.bulk import Report
from qa_fetch.cohort import columns, config
from qa_fetch.cohort.linking import decide
from qa_fetch.cohort.summaries import ids, idsfile, summarise
from qa_fetch.cohort.summaries.source import Row
from qa_fetch.cohort.summaries.table import Table
from qa_fetch.errors import BadArchive, ConfigError, NotFound

SMALL: dict[str, Any] = {"slices": 5, "columns": 8, "rows": 8, "spacing": (3.0, 3.0, 20.0)}
SHARED = ("1", "12", "007")


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients whose numbers begin alike, and one with a CT alone."""
    folder = tmp_path_factory.mktemp("courses")
    for patient in SHARED:
        save(course(patient).datasets, folder)
    save(course("2", leave_out=("RTSTRUCT", "RTPLAN", "RTDOSE")).datasets, folder)
    (folder / "README.txt").write_text("not DICOM")
    return folder


def course(patient: str, **changes: Any) -> Made:
    """A course of a few slices."""
    return make(quick(patient=patient, **{**SMALL, **changes}))


def settings(folder: Path, archive: Path, **keys: Any) -> config.Settings:
    """The settings of PDCP over a folder."""
    given = {**pdcp(folder), "archive": f"folder:{archive}", **keys}
    del given["ipport"]
    return config.settings(given, as_json=True)


class Watched:
    """An interceptor that changes nothing and knows who came by."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, patient: str, rows: list[Row]) -> Iterable[Row]:
        self.seen.append(patient)
        return rows

    def after(self, cohort: config.Settings, patients: Optional[Iterable[str]] = None, **how: Any) -> list[str]:
        """Who is asked for in a run."""
        self.seen.clear()
        summarise(cohort, patients, interceptors=[self], **how)
        return sorted(self.seen)


def outcomes(cohort: config.Settings) -> list[str]:
    """The files of PDCP."""
    return sorted(path.name for path in cohort.imagesummaries.iterdir())


def failure(report: Report) -> str:
    """The sentence of the only item that failed."""
    (row,) = report.failures()
    return row.error


def test_every_patient_gets_pdcps_file_under_its_own_name(tmp_path: Path, courses: Path) -> None:
    """Patient 1 has nothing to do with 12, and zeros at the front stay."""
    cohort = settings(tmp_path, courses)
    report = summarise(cohort)
    assert report.complete
    assert outcomes(cohort) == ["007_SUCCESS.csv", "12_SUCCESS.csv", "1_SUCCESS.csv", "2_IMAGINGDATANOTFOUND.csv"]
    assert cohort.link_to_ids.read_text().splitlines()[:2] == [
        "ids,orthanc_ids",
        "1,356a192b-7913b04c-54574d18-c28d46e6-395428ab",
    ]
    rows = columns.read(cohort.imagesummaries / "007_SUCCESS.csv")
    assert len(rows) == 8 and {row["PatId"] for row in rows} == {"007"}
    assert columns.read(cohort.imagesummaries / "2_IMAGINGDATANOTFOUND.csv") == []
    details = {row.key: row.detail for row in report.finished()}
    assert details["1"] == {"outcome": "SUCCESS", "instances": 8, "left_out": 0}
    assert details["2"]["lacking"] == ["RTSTRUCT", "RTDOSE", "RTPLAN"]


def test_rows_are_told_as_an_orthanc_tells_them(tmp_path: Path, courses: Path) -> None:
    """With its identifiers, which are digests of the UIDs."""
    cohort = settings(tmp_path, courses)
    summarise(cohort, ["12"])
    rows = columns.read(cohort.imagesummaries / "12_SUCCESS.csv")
    (dose,) = (row for row in rows if row["Modality"] == "RTDOSE")
    uids = [dose[key] for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    assert dose["InstanceIdentifier"] == columns.orthanc_identifier("12", *uids)
    assert dose["FrameIncrementPointer"] == "3004,000c"
    assert columns.numbers(dose["GridFrameOffsetVector"])
    (structures,) = (row for row in rows if row["Modality"] == "RTSTRUCT")
    assert "PTV_60" in columns.roi_names(structures["organs"])
    assert structures["len_of_associated_ct_slices"] == "5"


def test_only_what_failed_or_is_not_there_is_done_again(tmp_path: Path, courses: Path) -> None:
    """Unless somebody asks for certain patients, or for all of them."""
    cohort, watched = settings(tmp_path, courses), Watched()
    assert watched.after(cohort) == ["007", "1", "12", "2"]
    assert watched.after(cohort) == []
    columns.write(cohort.imagesummaries, "1", "ERROR")
    (cohort.imagesummaries / "12_SUCCESS.csv").unlink()
    assert watched.after(cohort) == ["1", "12"]
    assert watched.after(cohort, ["007"]) == ["007"]
    assert watched.after(cohort, again=True) == ["007", "1", "12", "2"]
    assert "1_ERROR.csv" not in outcomes(cohort)


def test_summaries_of_pdcp_are_kept_and_join_the_table(tmp_path: Path, courses: Path) -> None:
    """They are of an archive that may be gone."""
    first, cohort, watched = settings(tmp_path / "a", courses), settings(tmp_path / "b", courses), Watched()
    summarise(first)
    cohort.imagesummaries.mkdir(parents=True)
    name = "1_SUCCESS.csv"
    (cohort.imagesummaries / name).write_bytes((first.imagesummaries / name).read_bytes())
    assert watched.after(cohort) == ["007", "12", "2"]
    assert (cohort.imagesummaries / name).read_bytes() == (first.imagesummaries / name).read_bytes()
    assert len(Table(cohort.work / "summaries.sqlite").rows("1")) == 8


def test_a_changed_rule_needs_no_archive(tmp_path: Path, courses: Path) -> None:
    """The table has the rows of studies that did not count, letter by letter."""
    cohort = settings(tmp_path, courses)
    summarise(cohort)
    before = (cohort.imagesummaries / "1_SUCCESS.csv").read_bytes()
    watched = Watched()
    images_only = replace(cohort, required_modalities_for_patient=("CT",))
    assert watched.after(images_only) == []
    assert len(columns.read(cohort.imagesummaries / "2_SUCCESS.csv")) == 5
    assert (cohort.imagesummaries / "1_SUCCESS.csv").read_bytes() == before
    without_dose = replace(images_only, required_modalities_for_patient_plus_rtplan=("CT", "RTSTRUCT"))
    assert watched.after(without_dose) == ["007", "1", "12", "2"]


def test_a_table_that_somebody_changed_by_hand_is_not_written_over(tmp_path: Path, courses: Path) -> None:
    """Until somebody asks for it; one that a spreadsheet has only saved again is no other one."""
    cohort = settings(tmp_path, courses)
    summarise(cohort)
    edited, saved = (cohort.imagesummaries / f"{patient}_SUCCESS.csv" for patient in ("1", "12"))
    rows = columns.read(edited)
    columns.write(cohort.imagesummaries, "1", "SUCCESS", rows[1:])
    before = edited.read_bytes()
    saved.write_bytes(saved.read_bytes().replace(b"missing", b"").replace(b"\n", b"\r\n"))
    images_only = replace(cohort, required_modalities_for_patient=("CT",))
    watched = Watched()
    assert watched.after(images_only) == []
    assert edited.read_bytes() == before
    assert b"missing" in saved.read_bytes()
    assert watched.after(replace(images_only, required_modalities_for_patient_plus_rtplan=("CT",))) == [
        "007",
        "12",
        "2",
    ]
    assert edited.read_bytes() == before
    assert watched.after(images_only, again=True) == ["007", "1", "12", "2"]
    assert len(columns.read(edited)) == len(rows)


def by_description(patient: str, rows: list[Row]) -> Iterable[Row]:
    """An interceptor as a user writes one: series of verification are not for planning."""
    return [row for row in rows if "verification" not in row["SeriesDescription"].lower()]


def test_an_interceptor_drops_a_series_by_its_description(tmp_path: Path) -> None:
    """Before the studies are judged."""
    for changes in ({"series_description": "Planning"}, {"series_description": "Verification", "chain": "2"}):
        save(course("1", **changes).datasets, tmp_path / "archive")
    cohort = settings(tmp_path, tmp_path / "archive", slices_drop_below=1)
    summarise(cohort)
    assert decide("1", cohort).code.name == "II_EXEC_003"
    summarise(cohort, again=True, interceptors=[by_description])
    rows = columns.read(cohort.imagesummaries / "1_SUCCESS.csv")
    assert "Verification" not in {row["SeriesDescription"] for row in rows}


def test_an_interceptor_that_fails_is_named_and_nothing_of_the_patient_is(tmp_path: Path, courses: Path) -> None:
    """Also one that gives back what are no rows."""

    def strict(patient: str, rows: list[Row]) -> Iterable[Row]:
        raise KeyError(patient)

    def wrong(patient: str, rows: list[Any]) -> Iterable[Any]:
        return [{**row, "Rows": 3} for row in rows]

    cohort = settings(tmp_path, courses)
    said = "It gets a patient and a list of rows, and gives back rows of texts; correct it and run again."
    for interceptor, kind in ((strict, "KeyError"), (wrong, "TypeError")):
        report = summarise(cohort, ["1"], interceptors=[interceptor])
        assert failure(report) == f"the interceptor {interceptor.__name__} failed ({kind}). {said}"
        assert outcomes(cohort) == ["1_ERROR.csv"]


def test_an_interceptor_of_another_package_comes_by_itself(
    tmp_path: Path, courses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the package is installed."""
    site = tmp_path / "site"
    (site / "lab_rules-1.0.dist-info").mkdir(parents=True)
    (site / "lab_rules-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-rules\nVersion: 1.0\n")
    points = "[qa_fetch.cohort.interceptors]\nno_dose = lab_rules:no_dose\n"
    (site / "lab_rules-1.0.dist-info" / "entry_points.txt").write_text(points)
    (site / "lab_rules.py").write_text(
        "def no_dose(patient, rows):\n    return [row for row in rows if row['Modality'] != 'RTDOSE']\n"
    )
    monkeypatch.syspath_prepend(str(site))
    cohort = settings(tmp_path / "cohort", courses)
    (row,) = summarise(cohort, ["1"]).finished()
    assert (row.detail["outcome"], row.detail["lacking"]) == ("IMAGINGDATANOTFOUND", ["RTDOSE"])


def test_patients_that_nobody_knows_are_refused(tmp_path: Path, courses: Path) -> None:
    """Before anything is asked for."""
    with pytest.raises(NotFound) as caught:
        summarise(settings(tmp_path, courses), ["1", "99"])
    assert str(caught.value) == (
        "1 of 2 patients are not in the list of patients. Check their IDs, or run: qa-fetch cohort ids."
    )


def test_what_has_no_patient_id_is_of_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may be of several people; the log says that it was left out, and not whose."""
    one = course("1").datasets[0]
    for number, patient in enumerate(("", " ", "=1+1")):
        one.PatientID, one.SOPInstanceUID = patient, f"1.2.{number}"
        part10.write(one, tmp_path / f"{number}.dcm")
    cohort = settings(tmp_path / "cohort", tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [found.patient for found in ids(cohort)] == ["=1+1"]
    assert caplog.messages == [
        f"{tmp_path.name}: what has no PatientID is left out, since it may be of several patients."
    ]
    assert cohort.link_to_ids.read_text().splitlines()[1].startswith("'=1+1,")
    summarise(cohort)
    assert columns.find(cohort.imagesummaries, "=1+1") is not None


def test_pdcps_list_of_patients_is_read(tmp_path: Path) -> None:
    """With other columns, other identifiers and pandas' numbers; IDs stay texts."""
    digest = columns.orthanc_identifier("123")
    path = tmp_path / "ids.csv"
    path.write_text(f",ids,orthanc_ids\n0,007,b589720b\n1,123.0,{digest}\n2,007,b589720b\n3,12.0,other\n4,5,\n")
    assert idsfile.read(path) == [
        ("5", columns.orthanc_identifier("5")),
        ("007", "b589720b"),
        ("123", digest),
        ("12.0", "other"),
    ]
    path.write_text("ids,orthanc_ids\n1,a\n1,b\n")
    with pytest.raises(BadArchive) as caught:
        idsfile.read(path)
    assert str(caught.value) == (
        f"{path} gives a patient two identifiers, so it does not say which is meant. Run: qa-fetch cohort ids."
    )
    path.write_text("patient\n1\n")
    with pytest.raises(BadArchive) as caught:
        idsfile.read(path)
    assert str(caught.value) == f"{path} is no list of patients: it has no column ids. Run: qa-fetch cohort ids."


def test_the_table_has_numbers_as_numbers(tmp_path: Path, courses: Path) -> None:
    """And NULL for what a header lacks, which is never 0."""
    cohort = settings(tmp_path, courses)
    summarise(cohort)
    with contextlib.closing(sqlite3.connect(cohort.work / "summaries.sqlite")) as database:
        found = database.execute(
            'SELECT "PatId", COUNT(*), SUM("Rows"), MIN("SliceThickness"), SUM(counts) FROM instances '
            "WHERE Modality = 'CT' GROUP BY \"PatId\" ORDER BY 1"
        ).fetchall()
        plan = database.execute('SELECT DISTINCT "Rows", "KVP" FROM instances WHERE Modality = \'RTPLAN\'').fetchall()
        told = database.execute('SELECT "PatId", outcome FROM patients ORDER BY 1').fetchall()
    assert found == [
        ("007", 5, 40, 20.0, 5),
        ("1", 5, 40, 20.0, 5),
        ("12", 5, 40, 20.0, 5),
        ("2", 5, 40, 20.0, 0),
    ]
    assert plan == [(None, None)]
    assert told == [("007", "SUCCESS"), ("1", "SUCCESS"), ("12", "SUCCESS"), ("2", "IMAGINGDATANOTFOUND")]


def test_a_value_that_cannot_be_read_is_missing(tmp_path: Path) -> None:
    """The others of its header are there."""
    save(course("1").datasets, tmp_path / "archive")
    for path in (tmp_path / "archive").rglob("CT/*.dcm"):  # Rows, of two bytes, becomes one of three
        whole = path.read_bytes()
        begin = whole.index(b"\x28\x00\x10\x00US\x02\x00")
        path.write_bytes(
            whole[: begin + 6] + b"\x03\x00" + whole[begin + 8 : begin + 10] + b"\x00" + whole[begin + 10 :]
        )
    cohort = settings(tmp_path / "cohort", tmp_path / "archive")
    assert summarise(cohort).complete
    rows = [row for row in columns.read(cohort.imagesummaries / "1_SUCCESS.csv") if row["Modality"] == "CT"]
    assert [(row["Rows"], row["Columns"]) for row in rows] == [("missing", "8")] * 5


def test_several_processes_write_one_table(tmp_path: Path) -> None:
    """Each its own patients; none of them waits for nothing or loses a row."""
    program = (
        "import sys; from pathlib import Path; from qa_fetch.cohort import columns\n"
        "from qa_fetch.cohort.summaries.table import Stamp, Table\n"
        "table, row = Table(Path('t.sqlite')), dict.fromkeys(columns.COLUMNS, 'missing')\n"
        "for number in range(30):\n"
        "    rows = [{**row, 'SOPInstanceUID': f'1.{at}'} for at in range(5)]\n"
        "    table.put(f'{sys.argv[1]}-{number}', 'SUCCESS', Stamp('x', ()), rows)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", program]
    with contextlib.ExitStack() as stack:
        running = [subprocess.Popen([*command, name], cwd=tmp_path, env=environment) for name in "ab"]
        for one in running:
            stack.callback(one.wait)
            stack.callback(one.kill)  # one that hangs does not outlive the test
        assert [one.wait(120) for one in running] == [0, 0]
    with contextlib.closing(sqlite3.connect(tmp_path / "t.sqlite")) as database:
        assert database.execute("SELECT COUNT(*), COUNT(DISTINCT PatId) FROM instances").fetchone() == (300, 60)
    table = Table(tmp_path / "t.sqlite")
    table.forget("a-0")
    assert (table.stamp("a-0"), len(table.rows("a-1"))) == (None, 5)


def test_a_table_that_is_none_is_a_sentence(tmp_path: Path, courses: Path) -> None:
    """And the patient is done when it is removed."""
    cohort = settings(tmp_path, courses)
    cohort.work.mkdir()
    (cohort.work / "summaries.sqlite").write_text("a text, and not a table" * 99)
    assert failure(summarise(cohort, ["1"])) == (
        f"the table {cohort.work / 'summaries.sqlite'} cannot be used (DatabaseError: file is not a database). "
        "Free space there, or remove the file and run again."
    )
    assert outcomes(cohort) == ["1_ERROR.csv"]


def test_a_folder_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    """Rather than an empty cohort."""
    with pytest.raises(ConfigError) as caught:
        ids(settings(tmp_path, tmp_path / "nowhere"))
    assert str(caught.value) == f"nowhere: {tmp_path / 'nowhere'} is not a folder. Correct path."
