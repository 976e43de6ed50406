"""A refreshed cohort: what a real Orthanc, a DICOM archive and a folder have had since the summaries were made."""

from __future__ import annotations

import csv
import json
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from course_truth import make, save
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail
from pydicom.dataset import Dataset
from truth_codes import config
from truth_scenarios import quick

from qa_fetch import part10
from qa_fetch.backends.http.client import Client
from qa_fetch.cohort import columns, locking, summaries
from qa_fetch.cohort.changes import Marks
from qa_fetch.cohort.config import Settings, settings
from qa_fetch.cohort.refreshing import Refreshed, refresh
from qa_fetch.cohort.summaries.idsfile import read
from qa_fetch.errors.http import http_refusal


@pytest.fixture(scope="module")
def running() -> Iterator[Orthanc]:
    try:
        server = Orthanc(options={"StableAge": 3600})
    except Missing as missing:
        skip_or_fail(missing)
    with server:
        yield server


@pytest.fixture
def orthanc(running: Orthanc) -> Orthanc:
    """An Orthanc with two patients."""
    for patient in running.rest("GET", "/patients"):
        running.rest("DELETE", f"/patients/{patient}")
    store(running, *patient_of("1"), *patient_of("12"))
    return running


def patient_of(patient: str, **changes: Any) -> tuple[Dataset, ...]:
    return make(quick(**{"patient": patient, "slices": 3, "columns": 20, "rows": 18, **changes})).datasets


def store(server: Orthanc, *datasets: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for dataset in datasets:
            path = Path(folder, "one.dcm")
            part10.write(dataset, path)
            request = urllib.request.Request(f"{server.url}/instances", data=path.read_bytes(), method="POST")
            urllib.request.urlopen(request).read()


def cohort(server: Orthanc, folder: Path, **changes: Any) -> Settings:
    """A cohort whose summaries are made."""
    found = settings(config(folder, **{"ipport": server.url, **changes}), as_json=True)
    summaries.ids(found)
    assert summaries.summarise(found).complete
    return found


def counted(found: Refreshed) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int]:
    return found.new, found.changed, found.gone, found.unchanged


def rows_of(of: Settings, patient: str) -> int:
    return len(columns.read(columns.path_of(of.imagesummaries, patient, "SUCCESS")))


def test_at_first_everything_is_compared_and_then_only_what_changed(orthanc: Orthanc, tmp_path: Path) -> None:
    """The list of changes counts from where it was read last."""
    of = cohort(orthanc, tmp_path)
    first = refresh(of)
    assert counted(first) == ((), (), (), 2) and first.complete and first.report is None
    assert first.sentence() == (
        "Patients who are new: 0, changed: 0, gone: 0, as they were: 2. "
        "All of them were compared with their summaries, since this archive had not been looked at before."
    )
    again = refresh(of)
    assert counted(again) == ((), (), (), 2)
    assert again.sentence() == "Patients who are new: 0, changed: 0, gone: 0, as they were: 2."


def test_who_is_new_or_changed_is_summarised(orthanc: Orthanc, tmp_path: Path) -> None:
    """And joins the list; patient 1 has nothing to do with 12."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    before = rows_of(of, "1")
    store(orthanc, *patient_of("1", study="2"), *patient_of("1_2"))
    found = refresh(of)
    assert counted(found) == (("1_2",), ("1",), (), 1)
    assert found.complete and found.exit_code == 0
    assert found.sentence() == "Patients who are new: 1, changed: 1, gone: 0, as they were: 1."
    assert (rows_of(of, "1"), rows_of(of, "1_2")) == (2 * before, before)
    assert [one.patient for one in read(of.link_to_ids)] == ["1", "12", "1_2"]
    assert counted(refresh(of)) == ((), (), (), 3)


def test_an_object_that_is_sent_again_makes_its_summary_anew(orthanc: Orthanc, tmp_path: Path) -> None:
    """Its UID is the same, and what it says may not be."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    one = next(dataset for dataset in patient_of("12") if dataset.Modality == "RTPLAN")
    one.RTPlanLabel = "CORRECTED"
    store(orthanc, one)
    assert refresh(of).changed == ("12",)
    rows = columns.read(columns.path_of(of.imagesummaries, "12", "SUCCESS"))
    assert "CORRECTED" in {row["RTPlanLabel"] for row in rows}


def test_who_is_gone_is_said_and_everything_of_them_is_kept(orthanc: Orthanc, tmp_path: Path) -> None:
    """Nothing is deleted because an archive is tidied up."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    (gone,) = [one.identifier for one in read(of.link_to_ids) if one.patient == "12"]
    orthanc.rest("DELETE", f"/patients/{gone}")
    found = refresh(of)
    assert counted(found) == ((), (), ("12",), 1) and found.complete
    assert "Whatever there is of those who are gone was kept." in found.sentences()
    assert rows_of(of, "12") and [one.patient for one in read(of.link_to_ids)] == ["1", "12"]


def test_what_was_deleted_of_a_patient_is_noticed_although_no_list_tells_it(orthanc: Orthanc, tmp_path: Path) -> None:
    """The number of objects does."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    before = rows_of(of, "12")
    rows = columns.read(columns.path_of(of.imagesummaries, "12", "SUCCESS"))
    slices = [row["InstanceIdentifier"] for row in rows if row["Modality"] == "CT"]
    orthanc.rest("DELETE", f"/instances/{slices[1]}")
    found = refresh(of)
    assert counted(found) == ((), ("12",), (), 1)
    assert rows_of(of, "12") == before - 1
    assert found.why == "objects were deleted, of which it does not tell"
    assert refresh(of).why == ""


def test_changes_that_are_none_of_a_patient_s_objects_change_nothing(orthanc: Orthanc, tmp_path: Path) -> None:
    """A note at the patient is looked into, and forgotten."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    for one in read(of.link_to_ids):
        orthanc.rest("PUT", f"/patients/{one.identifier}/metadata/1024", "seen")
    assert counted(refresh(of)) == ((), (), (), 2)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda mark: {"last": mark["last"] + 1000}, "there is another database behind its address, or an older copy"),
        (
            lambda mark: {"entry": {**mark["entry"], "Date": "20010101T000000"}},
            "there is another database behind its address, or an older copy",
        ),
        (lambda mark: {"entry": None}, "its list of changes does not go back to where it was last read"),
        (lambda mark: {"last": "many"}, "this archive had not been looked at before"),
    ],
    ids=["an older copy", "another database", "an empty list", "a damaged file"],
)
def test_another_database_behind_the_address_is_compared_as_a_whole(
    orthanc: Orthanc, tmp_path: Path, change: Any, why: str
) -> None:
    """A number alone proves nothing."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    path = of.work / "changes.json"
    kept = json.loads(path.read_text("utf-8"))
    mark = kept["archives"][of.ipport]
    mark.update(change(mark))
    path.write_text(json.dumps(kept), encoding="utf-8")
    store(orthanc, *patient_of("12", study="2"))
    found = refresh(of)
    assert (found.why, found.changed) == (why, ("12",))
    assert refresh(of).why == ""


def test_a_list_that_was_cleared_is_not_believed(orthanc: Orthanc, tmp_path: Path) -> None:
    """What stood in it before may have mattered."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    store(orthanc, *patient_of("12", study="2"))
    orthanc.rest("DELETE", "/changes")
    found = refresh(of)
    assert found.why == "its list of changes does not go back to where it was last read"
    assert found.changed == ("12",)


def test_many_changes_come_in_pages(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is lost between two."""
    monkeypatch.setattr("qa_fetch.cohort.changes._PAGE", 2)
    of = cohort(orthanc, tmp_path)
    refresh(of)
    store(orthanc, *patient_of("1", study="2"), *patient_of("12", study="2"), *patient_of("3"))
    assert counted(refresh(of)) == (("3",), ("1", "12"), (), 0)


def test_an_old_orthanc_is_asked_one_by_one(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.9.4 it has no bulk content."""
    real = Client.ask

    def ask(client: Client, service: str, method: str, path: str, *rest: Any, **how: Any) -> Any:
        if path == "/tools/bulk-content":
            raise http_refusal(service, 404, archive=client.name)
        return real(client, service, method, path, *rest, **how)

    monkeypatch.setattr(Client, "ask", ask)
    of = cohort(orthanc, tmp_path)
    refresh(of)
    store(orthanc, *patient_of("12", study="2"))
    found = refresh(of)
    assert (found.changed, found.why) == (("12",), "")


def test_a_locked_cohort_is_only_reported_on(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, until somebody says that it shall be taken over."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    (of.work / "manifest.json").write_text("{}")
    before = rows_of(of, "12")
    store(orthanc, *patient_of("12", study="2"), *patient_of("3"))
    for _ in range(2):
        found = refresh(of)
        assert found.locked and not found.complete and found.exit_code == 1
        assert found.sentence() == (
            "Patients who are new: 1, changed: 1, gone: 0, as they were: 1. "
            "The cohort is locked, so nothing was taken over. Say unlock where it should be."
        )
    assert rows_of(of, "12") == before and [one.patient for one in read(of.link_to_ids)] == ["1", "12"]
    found = refresh(of, unlock=True)
    assert found.complete and rows_of(of, "12") == 2 * before
    assert found.sentences()[-1] == "The cohort is locked, and its summaries were made anew all the same."
    assert locking.is_locked(of)


def test_strangers_stay_away_where_the_list_is_somebody_s_choice(orthanc: Orthanc, tmp_path: Path) -> None:
    """Who is not in it does not join."""
    of = cohort(orthanc, tmp_path)
    store(orthanc, *patient_of("3"))
    assert counted(refresh(of, add=False)) == ((), (), (), 2)


def test_further_columns_of_the_list_stay(orthanc: Orthanc, tmp_path: Path) -> None:
    """Somebody has written something beside the IDs."""
    of = cohort(orthanc, tmp_path)
    lines = [f"{one.patient},{one.identifier},trial A" for one in read(of.link_to_ids)]
    of.link_to_ids.write_text("\n".join(["ids,orthanc_ids,remark", *lines]), encoding="utf-8")
    store(orthanc, *patient_of("=3"))
    assert refresh(of).new == ("=3",)
    with of.link_to_ids.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["ids"], row["remark"]) for row in rows] == [("1", "trial A"), ("12", "trial A"), ("'=3", "")]
    assert [one.patient for one in read(of.link_to_ids)] == ["1", "12", "=3"]


def test_what_could_not_be_summarised_is_tried_again(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive counts as looked at only when all is done."""
    of = cohort(orthanc, tmp_path)
    refresh(of)
    store(orthanc, *patient_of("12", study="2"))
    bad = replace(of, CONNECTIONS=1)
    with monkeypatch.context() as patch:
        patch.setattr("qa_fetch.cohort.summaries.orthanc._TAGS", "simplify&\0")
        failed = refresh(bad)
    assert not failed.complete and failed.sentences()[-1] == "Summaries that could not be made: 1. Refresh again."
    assert refresh(of).changed == ("12",)
    assert Marks(of.work / "changes.json").of(str(of.ipport)) is not None


def test_a_dicom_archive_is_asked_for_its_uids(orthanc: Orthanc, tmp_path: Path) -> None:
    """It has no list of changes."""
    given = config(tmp_path)
    del given["ipport"]
    of = settings({**given, "archive": orthanc.address}, as_json=True)
    summaries.ids(of)
    assert summaries.summarise(of).complete
    assert counted(refresh(of)) == ((), (), (), 2)
    store(orthanc, *patient_of("12", study="2"), *patient_of("3"))
    assert counted(refresh(of)) == (("3",), ("12",), (), 1)


def test_a_folder_is_looked_through(tmp_path: Path) -> None:
    """Patients who came, changed and left."""
    archive = tmp_path / "archive"
    for patient in ("1", "12"):
        save(patient_of(patient), archive)
    given = config(tmp_path / "cohort")
    del given["ipport"]
    of = settings({**given, "archive": f"folder:{archive}"}, as_json=True)
    summaries.ids(of)
    assert summaries.summarise(of).complete
    assert counted(refresh(of)) == ((), (), (), 2)
    save(patient_of("12", study="2"), archive)
    save(patient_of("3"), archive)
    for path in (archive / "1").rglob("*.dcm"):
        path.unlink()
    assert counted(refresh(of)) == (("3",), ("12",), ("1",), 0)


def test_nothing_that_is_logged_or_shown_names_a_patient(orthanc: Orthanc, tmp_path: Path) -> None:
    """Neither a sentence nor what a debugger prints."""
    of = cohort(orthanc, tmp_path)
    store(orthanc, *patient_of("NAMED-4711"))
    found = refresh(of)
    assert found.new == ("NAMED-4711",) and "4711" not in found.sentence()
    assert "4711" not in repr(replace(found, report=None))
