"""Summaries from a real Orthanc: over its REST interface as over the others, and what happens when it stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from course_truth import make, save
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail
from truth_scenarios import quick

from qa_fetch import Archive
from qa_fetch.backends.http.client import Client
from qa_fetch.cohort import columns, config
from qa_fetch.cohort.linking import decide
from qa_fetch.cohort.summaries import ids, summarise
from qa_fetch.cohort.summaries.source import Row, source_of

PATIENTS = ("1", "12", "007", "1_2")
MODALITIES = ("CT", "RTSTRUCT", "RTDOSE", "RTPLAN")
# What pydicom and Orthanc write in another order, and what no archive needs to return.
_TOLD_OTHERWISE = ("FractionGroupSequence", "PatientSetupSequence")


def running(**how: Any) -> Orthanc:
    """A real one that is not started yet."""
    try:
        return Orthanc(**how)
    except Missing as missing:
        skip_or_fail(missing)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The courses of some patients."""
    folder = tmp_path_factory.mktemp("courses")
    for patient in PATIENTS:
        made = make(quick(patient=patient, apart=patient == "12", slices=14))
        if patient == "1":  # values that Orthanc shows only when it is told to
            made.of("RTDOSE")[0].GridFrameOffsetVector = [number * 2.5 for number in range(400)]
            made.of("RTPLAN")[0].RTPlanDescription = "a long story " * 60
        save(made.datasets, folder)
    return folder


def filled(orthanc: Orthanc, files: Path) -> None:
    """Send it all of them."""
    Archive(orthanc.rest_address, budget=120).send(files)


@pytest.fixture(scope="module")
def orthanc(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One with courses, also behind DICOMweb."""
    with running(dicomweb=True) as peer, pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_FETCH_SHELF", str(tmp_path_factory.mktemp("shelf")))
        filled(peer, files)
        yield peer


def settings(folder: Path, **keys: Any) -> config.Settings:
    """A cohort of CRDP."""
    given = {"folder": str(folder), "profile": "CRDP", "possibilities": ["ptv"], "slices_drop_below": 10}
    return config.settings({**given, **keys})


def by_uid(rows: Iterable[Row], *, without: tuple[str, ...] = _TOLD_OTHERWISE) -> dict[str, dict[str, str]]:
    """The rows that can be compared."""
    return {row["SOPInstanceUID"]: {key: cell for key, cell in row.items() if key not in without} for row in rows}


def test_rest_gives_the_rows_of_the_files(orthanc: Orthanc, files: Path, tmp_path: Path) -> None:
    """Cell by cell, with the identifiers that Orthanc really has."""
    over_rest = source_of(settings(tmp_path, ipport=orthanc.url))
    from_files = source_of(settings(tmp_path, archive=f"folder:{files}"))
    assert over_rest.patients() == from_files.patients()
    for one in over_rest.patients():
        found = by_uid(over_rest.rows(one, MODALITIES))
        assert found == by_uid(from_files.rows(one, MODALITIES))
        longest = max(len(columns.numbers(row["GridFrameOffsetVector"])) for row in found.values())
        assert (longest == 400) == (one.patient == "1")


@pytest.mark.parametrize("way", ["dimse", "dicomweb"])
def test_other_services_lead_to_the_same_choice(orthanc: Orthanc, tmp_path: Path, way: str) -> None:
    """With the same identifiers."""
    address = orthanc.address if way == "dimse" else orthanc.web_address
    cohorts = [settings(tmp_path / "a", ipport=orthanc.url), settings(tmp_path / "b", archive=address)]
    found = []
    for cohort in cohorts:
        assert ids(cohort) == ids(cohorts[0])
        assert summarise(cohort, ["007", "12"]).complete
        decisions = [decide(patient, cohort) for patient in ("007", "12")]
        found.append([(one.status, one.notes.to_dict()["list_of_values"]) for one in decisions])
    assert found[0] == found[1]
    assert [status for status, _ in found[0]] == ["SUCCESS", "SUCCESS"]


def test_a_series_too_large_for_one_answer_is_read_object_by_object(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same rows."""
    cohort = settings(tmp_path, ipport=orthanc.url, CONNECTIONS=2)
    (one,) = (found for found in ids(cohort) if found.patient == "1")
    before = by_uid(source_of(cohort).rows(one, MODALITIES))
    monkeypatch.setattr("qa_fetch.backends.http.client.LARGEST_JSON", 20_000)
    asked: list[str] = []
    real = Client.request

    def request(client: Client, service: str, method: str, path: str, *rest: Any, **how: Any) -> Any:
        asked.append(path)
        return real(client, service, method, path, *rest, **how)

    monkeypatch.setattr(Client, "request", request)
    assert by_uid(source_of(cohort).rows(one, MODALITIES)) == before
    assert sum(path.startswith("/instances/") for path in asked) == 14  # those of the CT; the other series are small


def test_a_password_is_asked_for_and_given(files: Path, tmp_path: Path) -> None:
    """As PDCP's JSON has it."""
    with running(users={"physicist": "s3cret"}) as orthanc:
        keys = {"folder": str(tmp_path), "ipport": orthanc.url, "profile": "CRDP"}
        known = config.settings({**keys, "username": "physicist", "password": "s3cret"}, as_json=True)
        assert ids(known) == []


def test_an_orthanc_that_stops_in_the_middle_is_gone_on_with(files: Path, tmp_path: Path) -> None:
    """Whoever was done is not asked for again."""
    asked: list[str] = []
    with running() as first:
        filled(first, files)
        cohort = settings(tmp_path, ipport=first.url, TIMEOUT=5)  # which is also how long it is waited for

        def stop_after_two(patient: str, rows: list[Row]) -> Iterable[Row]:
            asked.append(patient)
            if len(asked) == 2:
                first.stop()
            return rows

        report = summarise(cohort, workers=1, interceptors=[stop_after_two])
    assert not report.complete
    assert report.stopped == "the archive could not be reached any more"
    done, names = asked[:2], {path.name for path in cohort.imagesummaries.iterdir()}
    assert {f"{patient}_SUCCESS.csv" for patient in done} < names
    assert {name.split("_")[-1] for name in names} == {"SUCCESS.csv", "ERROR.csv"}

    def watch(patient: str, rows: list[Row]) -> Iterable[Row]:
        again.append(patient)
        return rows

    again: list[str] = []
    with running() as second:
        filled(second, files)
        report = summarise(replace(cohort, ipport=second.url), interceptors=[watch])
    assert report.complete
    assert sorted([*done, *again]) == sorted(PATIENTS)
    for patient in PATIENTS:
        assert (cohort.imagesummaries / f"{patient}_SUCCESS.csv").exists()
        assert not (cohort.imagesummaries / f"{patient}_ERROR.csv").exists()
