"""Summaries of archives that answer questions: what they leave out is fetched or missing, and lies are refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from course_truth import write
from peers.http_double import Asked, HttpDouble, Reply
from truth_scenarios import quick

from qa_fetch import Archive
from qa_fetch.cohort import columns, config
from qa_fetch.cohort.linking import link
from qa_fetch.cohort.summaries import summarise
from qa_fetch.cohort.summaries.archive import ArchiveSource
from qa_fetch.cohort.summaries.folder import FolderSource
from qa_fetch.cohort.summaries.source import Listed, Row
from qa_fetch.errors import Incomplete

SMALL: dict[str, Any] = {"slices": 5, "columns": 8, "rows": 8, "spacing": (3.0, 3.0, 20.0)}
MODALITIES = ("CT", "RTSTRUCT", "RTDOSE", "RTPLAN")
PATIENT, STUDY, SERIES, IMAGE = ("-".join([letter * 8] * 5) for letter in "abcd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One course."""
    found = tmp_path_factory.mktemp("course")
    write(quick(patient="1", **SMALL), found)
    return found


class Reticent(Archive):
    """An archive that answers with what it must, as many do."""

    told: tuple[str, ...] = ()

    def find(self, level: str, keys: Any = None, **more: Any) -> list[Any]:
        """As ever, without what this one keeps for itself."""
        kept = {"PatientID", "Modality", "InstanceNumber", *self.told}
        found = super().find(level, keys, **more)
        for row in found if level == "IMAGE" else ():
            for keyword in [one.keyword for one in row if one.keyword not in kept and "InstanceUID" not in one.keyword]:
                delattr(row, keyword)
        return found


def by_uid(rows: list[Row]) -> dict[str, Row]:
    """The rows without what only some archives know in the same words."""
    return {row["SOPInstanceUID"]: {**row, "PositionReferenceIndicator": ""} for row in rows}


def test_an_archive_that_answers_with_all_gives_the_rows_of_its_files(folder: Path) -> None:
    """The RT objects' sequences are read from their headers."""
    archive = Archive(f"folder:{folder}")
    there, expected = ArchiveSource(archive, whole=False), FolderSource(archive)
    assert there.patients() == expected.patients() == [Listed("1", columns.orthanc_identifier("1"))]
    (one,) = there.patients()
    assert by_uid(there.rows(one, MODALITIES)) == by_uid(expected.rows(one, MODALITIES))
    assert {row["Modality"] for row in there.rows(one, ("CT", "RTPLAN"))} == {"CT", "RTPLAN"}


def test_places_are_fetched_where_they_matter(folder: Path) -> None:
    """A dose that names no plan is linked by where it lies."""
    archive = Reticent(f"folder:{folder}")
    (one,) = FolderSource(archive).patients()
    rows = ArchiveSource(archive, whole=True).rows(one, MODALITIES)
    expected = FolderSource(archive).rows(one, MODALITIES)
    places = [by_uid(found) for found in (rows, expected)]
    for keyword in ("ImagePositionPatient", "PixelSpacing", "FrameOfReferenceUID", "Rows"):
        told = [{uid: row[keyword] for uid, row in found.items()} for found in places]
        assert told[0] == told[1]


def test_the_frame_of_reference_of_one_image_is_enough_for_plans(folder: Path) -> None:
    """Its place would pass for that of the series, and is left out; nothing stays on the shelf."""
    archive = Reticent(f"folder:{folder}")
    (one,) = FolderSource(archive).patients()
    rows = ArchiveSource(archive, whole=False).rows(one, MODALITIES)
    images = [row for row in rows if row["Modality"] == "CT"]
    assert len(images) == 5
    assert [bool(columns.given(row["FrameOfReferenceUID"])) for row in images] == [True, False, False, False, False]
    assert not any(columns.numbers(row["ImagePositionPatient"]) for row in images)
    sentences = {evidence.sentence for edge in link(rows).edges for evidence in edge.evidence}
    assert "the dose and the CT series share a frame of reference" in sentences
    assert not list(archive._shelf.root.rglob("*.dcm"))


class Scripted:
    """An Orthanc with one patient and one image, whose answers can be changed."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/system": {"Version": "1.10.1"},
            "/patients": [{"ID": PATIENT, "MainDicomTags": {"PatientID": "1"}}],
            f"/patients/{PATIENT}/studies": [
                {
                    "ID": STUDY,
                    "PatientMainDicomTags": {"PatientID": "1"},
                    "MainDicomTags": {"StudyDescription": "breast"},
                }
            ],
            f"/patients/{PATIENT}/series": [
                {"ID": SERIES, "ParentStudy": STUDY, "MainDicomTags": {"Modality": "CT"}, "Instances": [IMAGE]}
            ],
            f"/series/{SERIES}/instances-tags": {IMAGE: {"Modality": "CT", "SOPInstanceUID": "1.2", "Rows": "8"}},
            f"/instances/{IMAGE}/tags": {"Modality": "CT", "SOPInstanceUID": "1.2", "Rows": "9"},
        }

    def __call__(self, asked: Asked) -> Reply:
        found = self.answers.get(asked.path)
        return (
            Reply(404)
            if found is None
            else Reply(body=found if isinstance(found, bytes) else json.dumps(found).encode())
        )


@pytest.fixture
def orthanc() -> Scripted:
    """The answers."""
    return Scripted()


@pytest.fixture
def failure(orthanc: Scripted, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """What a run says of its only patient; nothing where that goes well."""
    with HttpDouble(orthanc) as double:
        cohort = config.settings({"folder": str(tmp_path), "ipport": double.url, "profile": "CR", "TIMEOUT": 1})
        cohort.link_to_ids.parent.mkdir()
        cohort.link_to_ids.write_text(f"ids,orthanc_ids\n1,{PATIENT}\n")

        def run() -> str:
            rows = [*summarise(cohort, again=True).failures()]
            assert bool(rows) == (cohort.imagesummaries / "1_ERROR.csv").exists()
            return rows[0].error if rows else ""

        yield run


def test_a_header_that_is_not_in_the_series_is_asked_for_alone(
    orthanc: Scripted, failure: Callable[[], str], tmp_path: Path
) -> None:
    """Also where the whole series is too large or broken."""
    assert failure() == ""
    for broken in ({}, b"{", {IMAGE: None}):
        orthanc.answers[f"/series/{SERIES}/instances-tags"] = broken
        assert failure() == ""
    assert len(list((tmp_path / "work").rglob("summaries.sqlite"))) == 1


def test_identifiers_of_an_archive_are_no_paths(orthanc: Scripted, failure: Callable[[], str]) -> None:
    """Neither of series nor of images."""
    series = orthanc.answers[f"/patients/{PATIENT}/series"][0]
    for change in ({"ID": "../../tools/shutdown"}, {"Instances": ["x?y"]}, {"Instances": [None]}):
        orthanc.answers[f"/patients/{PATIENT}/series"] = [{**series, **change}]
        assert failure() == "an identifier is none that Orthanc gives. Run: qa-fetch cohort ids."


def test_nobody_gets_the_objects_of_another_patient(orthanc: Scripted, failure: Callable[[], str]) -> None:
    """The list may be of another Orthanc."""
    orthanc.answers[f"/patients/{PATIENT}/studies"][0]["PatientMainDicomTags"]["PatientID"] = "12"
    assert failure() == (
        "the list of patients gives a patient an identifier that is another one's at 127.0.0.1. "
        "Run: qa-fetch cohort ids."
    )
    del orthanc.answers[f"/patients/{PATIENT}/studies"]
    assert failure() == (
        "127.0.0.1 has no patient under the identifier that the list of patients gives. Run: qa-fetch cohort ids."
    )


def test_what_changes_meanwhile_is_no_summary(
    orthanc: Scripted, failure: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A series that is gone, and one whose study is."""
    monkeypatch.setattr("qa_fetch.bulk.engine.backoff", lambda times: 0.01)
    said = (
        "127.0.0.1 did not give every header of a patient: it changed meanwhile, or the time ran out. "
        "Run again, with a larger TIMEOUT where that does not help."
    )
    series = orthanc.answers[f"/patients/{PATIENT}/series"][0]
    orthanc.answers[f"/patients/{PATIENT}/series"] = [{**series, "ParentStudy": SERIES}]
    assert failure() == said
    del orthanc.answers[f"/series/{SERIES}/instances-tags"], orthanc.answers[f"/instances/{IMAGE}/tags"]
    assert failure() == said


def test_what_is_no_orthanc_says_so(orthanc: Scripted, failure: Callable[[], str]) -> None:
    """And one that answers with nonsense."""
    orthanc.answers[f"/patients/{PATIENT}/series"] = {"no": "list"}
    assert failure() == (
        "127.0.0.1 answered with something that no Orthanc says. "
        "Check that ipport is the root of an Orthanc's REST interface."
    )
    orthanc.answers["/system"] = ["hello"]
    assert failure() == "127.0.0.1 does not say that it is an Orthanc. Check ipport."


class Generous(Archive):
    """An archive that takes capitals for small letters, and an ID with * for many."""

    def find(self, level: str, keys: Any = None, **more: Any) -> list[Any]:
        """Every study there is, whoever is asked for."""
        return super().find(level, keys, **{**more, "PatientID": ""} if level == "STUDY" else more)


def test_studies_of_other_patients_are_left_out_whatever_an_archive_matches(folder: Path) -> None:
    """Each answer says whose it is."""
    source = ArchiveSource(Generous(f"folder:{folder}"), whole=False)
    assert len(source.rows(Listed("1", "x"), MODALITIES)) > 5
    for patient in ("*", "?", "01", "1 1"):
        assert source.rows(Listed(patient, "x"), MODALITIES) == []


def test_a_file_that_the_disk_does_not_give_makes_no_summary(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a slice; what merely is no DICOM is left alone, and what is broken is told."""
    shutil.copytree(folder, tmp_path / "archive")
    (tmp_path / "archive" / "readme.txt").write_text("no DICOM")
    (tmp_path / "archive" / "nowhere").symlink_to("not there")
    source = FolderSource(Archive(f"folder:{tmp_path / 'archive'}"))
    bad, opened = sorted((tmp_path / "archive").rglob("*.dcm"))[2], Path.open

    def failing(path: Path, *given: Any, **how: Any) -> Any:
        if path == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *given, **how)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", failing)
        with pytest.raises(Incomplete) as caught:
            source.patients()
    assert str(caught.value) == (
        "a part of the folder archive cannot be read (Input/output error). Check its permissions and its disk, "
        "then run again."
    )
    (one,) = source.patients()
    expected = FolderSource(Archive(f"folder:{folder}"))
    assert source.rows(one, MODALITIES) == expected.rows(one, MODALITIES)


def test_a_folder_that_cannot_be_looked_into_makes_no_list(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its patients would be missing from the list without a word."""
    scan = os.scandir

    def refused(path: Any) -> Any:
        if Path(path).name == "inner":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scan(path)

    shutil.copytree(folder, tmp_path / "archive" / "inner")
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(Incomplete) as caught:
        FolderSource(Archive(f"folder:{tmp_path / 'archive'}")).patients()
    assert str(caught.value) == (
        "a part of the folder archive cannot be read (Permission denied). Check its permissions and its disk, "
        "then run again."
    )


def test_what_begins_as_dicom_and_is_broken_is_told_without_its_name(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows whose it is."""
    whole = min(folder.rglob("*.dcm")).read_bytes()
    for name in ("MUELLER.dcm", "DICOMDIR"):
        (tmp_path / name).write_bytes(whole[:200])
    assert FolderSource(Archive(f"folder:{tmp_path}")).patients() == []
    assert ["begins as DICOM" in one for one in caplog.messages] == [True]
    assert "MUELLER" not in caplog.text
