"""What a batch that was killed or is running has not put in place yet: nobody takes it for a series."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from peers import course as courses

from qa_fetch import Archive
from qa_fetch.batch import fetch_csv, nifti, upload
from qa_fetch.batch.dicomdir import create_dicomdir
from qa_fetch.batch.layout import series_of
from qa_fetch.batch.report_text import reports
from qa_fetch.errors import NotFound

WHEN = datetime(2015, 5, 12, 14, 5)


@pytest.fixture
def source(tmp_path: Path) -> Archive:
    """An archive with one series of two slices."""
    slices = [courses.ct_slice(courses.new_series("P1", "A", description="A"), WHEN, n) for n in (1, 2)]
    courses.write_all(slices, tmp_path / "source")
    return Archive(f"folder:{tmp_path / 'source'}")


@pytest.fixture
def data(source: Archive, tmp_path: Path) -> Path:
    """Its data set with a table beside it, and of another series one object where the batch was building it."""
    query = tmp_path / "query.csv"
    query.write_text("PatientID\nP1\n")
    fetch_csv(query, source, to=tmp_path / "data", info=True)
    half = next((tmp_path / "data").glob("sub-*/ses-*")) / ".00002-HALF.part"
    other = courses.ct_slice(courses.new_series("P1", "HALF"), WHEN, 1)
    courses.write_all([other], half)
    courses.write_all([other], tmp_path / "data" / ".shelf" / "archive")
    return tmp_path / "data"


def test_only_folders_that_have_their_name_are_series(data: Path) -> None:
    """Neither the table beside one, nor what is half."""
    (series,) = series_of(data)
    assert (series.is_dir(), series.name.startswith("00001-")) == (True, True)


def test_an_upload_sends_whole_series_only(data: Path, tmp_path: Path) -> None:
    """Also where tables lie beside them, at which it stopped on Python 3.9."""
    (tmp_path / "sink").mkdir()
    sink = Archive(f"folder:{tmp_path / 'sink'}")
    report = upload(data, sink)
    assert (report.done, report.failed) == (1, 0)
    assert [row.SeriesDescription for row in sink.find("SERIES")] == ["A"]


def test_a_dicomdir_lists_whole_series_only(data: Path, tmp_path: Path) -> None:
    """Neither what is half, nor what lies on the shelf of the batch."""
    made = create_dicomdir(data, tmp_path / "cd")
    assert (made.series, made.objects, made.repeated) == (1, 2, 0)


def test_reports_are_looked_for_in_whole_series_only(data: Path) -> None:
    """The same holds for their text."""
    assert sum(report.path.suffix == ".dcm" for report in reports([data])) == 2


def test_nifti_is_made_of_whole_series_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing else there is nothing to convert."""
    courses.write_all(
        [courses.ct_slice(courses.new_series("P1", "B"), WHEN, 1)], tmp_path / "sub-1/ses-1/.00001-B.part"
    )
    monkeypatch.setattr(nifti, "find_program", lambda: "/nowhere/dcm2niix")
    with pytest.raises(NotFound) as caught:
        nifti.convert_to_nifti(tmp_path, tmp_path.with_name("nifti"))
    assert str(caught.value) == (
        f"{tmp_path} has no series (sub-*/ses-*/*/). Name the folder that holds the sub-* folders."
    )
