"""A folder as an archive, on a disk that does not give everything."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from peers.course import Course

from qa_fetch import Archive, Incomplete, part10


@pytest.fixture
def archive(course: Course, tmp_path: Path) -> Archive:
    """A course in two folders."""
    for number, dataset in enumerate(course.datasets):
        where = tmp_path / "files" / str(number % 2)
        where.mkdir(parents=True, exist_ok=True)
        part10.write(dataset, where / f"{number}.dcm")
    return Archive(f"folder:{tmp_path / 'files'}", shelf=tmp_path / "shelf")


def test_a_folder_that_may_not_be_read_is_not_an_empty_one(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a set would be called complete."""
    scan = os.scandir

    def refused(path: Any) -> Any:
        if Path(path).name == "1":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)  # root may read everything
    with pytest.raises(Incomplete) as caught:
        archive.find("SERIES")
    assert str(caught.value) == (
        f"a part of {archive.name} cannot be read (Permission denied). Check its permissions and its disk, then try "
        "again."
    )


def test_a_file_that_may_not_be_read_is_not_passed_over(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be any image of any set."""
    opened = Path.open

    def refused(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == "1.dcm":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(Incomplete, match=r"cannot be read \(Permission denied\)"):
        archive.find("SERIES")


def test_what_is_broken_or_gone_is_left_out_and_the_broken_one_is_told(
    archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A link that leads nowhere, and a file whose header ends in its middle."""
    whole = len(archive.find("IMAGE"))
    (tmp_path / "files" / "nowhere.dcm").symlink_to(tmp_path / "gone.dcm")
    file = tmp_path / "files" / "0" / "0.dcm"
    (tmp_path / "files" / "cut.dcm").write_bytes(file.read_bytes()[:140])
    with caplog.at_level(logging.WARNING, logger="qa_fetch"):
        assert len(archive.find("IMAGE")) == whole
    assert [record.getMessage() for record in caplog.records] == [
        "a file of a folder archive begins as DICOM and cannot be read, so it is left out."
    ]
