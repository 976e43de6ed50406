"""Builds from a real Orthanc that stops in the middle."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from course_truth import make, save
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail
from truth_codes import config
from truth_scenarios import quick

from qa_fetch import Archive
from qa_fetch.cohort import Cohort, loading
from qa_fetch.cohort.config import settings

PATIENTS = ("1", "12", "1_2", "007")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The courses of some patients."""
    for patient in PATIENTS:
        save(make(quick(patient=patient)).datasets, tmp_path / "courses")
    return tmp_path / "courses"


@contextlib.contextmanager
def filled(files: Path, shelf: Path) -> Iterator[Orthanc]:
    """A real one that holds them."""
    try:
        server = Orthanc()
    except Missing as missing:
        skip_or_fail(missing)
    with server:
        Archive(server.rest_address, shelf=shelf).send(files)
        yield server


def test_a_build_goes_on_where_an_orthanc_stopped(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was built is not built again, nobody is half there, and the notes of the others say why."""
    with filled(files, tmp_path / "shelf") as first:
        cohort = Cohort(settings(config(tmp_path / "cohort", ipport=first.url, TIMEOUT=3), as_json=True))
        cohort.ids()
        cohort.summarise()
        cohort.verify()

        def checked_and_stopped(*given: Any) -> None:
            check(*given)
            first.stop()

        check = loading.check
        monkeypatch.setattr(loading, "check", checked_and_stopped)  # which ends the build of the first patient
        report = cohort.build(where="threads", workers=1)
        monkeypatch.undo()
    assert not report.complete and report.done == 1
    ready = {one.patient for one in cohort.patients() if one.ready}
    data = cohort.settings.datadirectory
    assert {path.name for path in data.iterdir()} == ready
    assert len(ready) == 1
    tried = {one.patient: one.code for one in cohort.patients() if one.code not in ("XXIV_SUCC_001", "II_SUCC_001")}
    assert tried and all(code.split("_EXEC_")[0] in ("XI", "XIII", "XV", "XVI") for code in tried.values())
    before = {patient: (data / patient / "built.json").stat().st_mtime_ns for patient in ready}
    with filled(files, tmp_path / "shelf") as second:
        cohort = Cohort(replace(cohort.settings, ipport=second.url))
        assert cohort.build(where="threads").complete
    assert all(one.ready and one.status == "SUCCESS" for one in cohort.patients())
    assert before == {patient: (data / patient / "built.json").stat().st_mtime_ns for patient in ready}
