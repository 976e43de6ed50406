"""The folder of a series holds what the archive has by now, and at no moment a part of it under its name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from peers import course as courses
from pydicom.dataset import Dataset

from qa_fetch import Archive, part10
from qa_fetch.anonymise import Anonymiser
from qa_fetch.batch import fetch_csv
from qa_fetch.bulk import Report

TAKEN = datetime(2015, 5, 12, 14, 5)


def slices(patient: str = "P", numbers: Iterable[int] = (1, 2), **changed: str) -> list[Dataset]:
    """Slices of one series, with values of theirs changed."""
    made = [courses.ct_slice(courses.new_series(patient, "A", description="A"), TAKEN, number) for number in numbers]
    for one in made:
        for keyword, value in changed.items():
            setattr(one, keyword, value)
    return made


class Site:
    """An archive that may change, and one output folder, into which queries are run."""

    def __init__(self, folder: Path) -> None:
        self.held, self.asked, self.out = folder / "archive", folder / "query.csv", folder / "out"

    def hold(self, datasets: Iterable[Dataset]) -> None:
        courses.write_all(datasets, self.held)

    def __call__(self, query: str = "PatientID\nP\n", **options: Any) -> Report:
        self.asked.write_text(query, encoding="utf-8")
        return fetch_csv(self.asked, Archive(f"folder:{self.held}"), to=self.out, **options)

    @property
    def series(self) -> Path:
        (folder,) = self.out.glob("sub-P/ses-*/00*-A")
        return folder

    def say(self, keyword: str) -> list[str]:
        """What the objects of the series say."""
        return [str(part10.read(path)[keyword].value) for path in sorted(self.series.glob("*.dcm"))]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two slices, which have been fetched."""
    made = Site(tmp_path)
    made.hold(slices())
    assert made().done == 1
    return made


def one_by_one(*numbers: int) -> str:
    """A query for single slices."""
    return "SOPInstanceUID\n" + "".join(f"{one.SOPInstanceUID}\n" for one in slices(numbers=numbers))


# --- what the archive has by now


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyDescription", "SeriesDescription"])
def test_a_series_that_the_archive_has_corrected_is_fetched_again(site: Site, keyword: str) -> None:
    """Although it has the UIDs that it had: its patient was merged, or a name or a description put right."""
    site.hold(slices(**{keyword: "Right"}))
    again = site("Modality\nCT\n", info=True)
    assert (again.done, again.failed, again.bytes > 0) == (1, 0, True)
    assert site.say(keyword) == ["Right", "Right"]
    assert site("Modality\nCT\n", info=True).already == 1


def test_objects_that_differ_in_what_is_of_their_series_are_not_fetched_again(tmp_path: Path) -> None:
    """An archive can answer what one of them says only."""
    site = Site(tmp_path)
    site.hold([*slices(numbers=[1], SeriesDescription="A", SeriesTime="080000"), *slices(numbers=[2], SeriesTime="09")])
    first = site()
    again = site(info=True)
    assert (first.done, again.done, first.bytes > 0, again.bytes) == (1, 1, True, 0)


def test_an_object_of_an_earlier_run_is_corrected_with_the_one_that_is_asked_for(tmp_path: Path) -> None:
    """Else one folder would hold two patients."""
    site = Site(tmp_path)
    site.hold(slices())
    site(one_by_one(1))
    site.hold(slices(PatientName="Right"))
    again = site(one_by_one(2))
    assert (again.done, again.failed, site.say("PatientName")) == (1, 0, ["Right", "Right"])
    assert [row.detail["objects"] for row in again.rows()] == [1]


def test_an_object_that_the_archive_has_neither_corrected_nor_kept_is_named(site: Site) -> None:
    """Nobody can say whose it is."""
    for path in site.held.iterdir():
        path.unlink()
    site.hold(slices(numbers=[1], PatientName="Right"))
    report = site(attempts=1)
    assert [row.error for row in report.failures()] == [
        f"{site.series.name} holds objects that archive does not have any more, and it has changed the patient or the "
        "study of their series, so the folder was left as it is. Move them away, or give another output folder."
    ]
    assert site.say("PatientName") == ["P^Müller", "P^Müller"]


# --- nothing half under its name


def test_a_folder_that_is_filled_is_whole_at_every_moment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is killed there is what was there before, or all of it."""
    place, replace = site.series, Path.replace
    seen: set[int] = set()

    def watched(self: Path, target: Path) -> Path:
        before = len(list(place.glob("*.dcm")))
        moved = replace(self, target)
        seen.update((before, len(list(place.glob("*.dcm")))))
        return moved

    site.hold(slices(numbers=range(1, 6)))
    monkeypatch.setattr(Path, "replace", watched)
    assert site().done == 1
    assert seen == {2, 0, 5}  # 0 where it is between its two names


def killed_in_the_midst_of_replacing(site: Site, *, data: Path) -> Path:
    """A folder with its older name, and the next one beside it."""
    (place,) = data.glob("sub-P/ses-*/00*-A")
    place.replace(place.with_name(f".{place.name}.old"))
    courses.write_all(slices(numbers=[1]), place.with_name(f".{place.name}.part"))
    return place


def test_a_folder_that_a_killed_run_was_replacing_is_put_back(site: Site) -> None:
    """By the next run, whatever that asks for; and what was in place is not fetched again."""
    site.hold(slices("P2"))
    place = killed_in_the_midst_of_replacing(site, data=site.out)
    assert site("PatientID\nP2\n").done == 1
    assert sorted(path.name for path in place.parent.iterdir()) == [place.name]
    assert len(list(place.glob("*.dcm"))) == 2
    again = site()
    assert (again.already, again.bytes) == (1, 0)


def test_a_folder_that_was_replaced_before_the_kill_stays(site: Site) -> None:
    """What it replaced is in it."""
    old = site.series.with_name(f".{site.series.name}.old")
    courses.write_all(slices(numbers=[1]), old)
    assert site().already == 1
    assert (old.exists(), len(list(site.series.glob("*.dcm")))) == (False, 2)


def test_a_folder_that_a_killed_run_was_replacing_leaves_whole(tmp_path: Path) -> None:
    """Where another query of the same output is anonymised after that."""
    site, key = Site(tmp_path), Anonymiser(tmp_path / "trial.key")
    site.hold([*slices(), *slices("P2", numbers=[1])])
    site(anonymise=key)
    (data,) = (path.parent for path in tmp_path.rglob("originals/sub-P"))
    killed_in_the_midst_of_replacing(site, data=data)
    report = site("PatientID\nP2\n", anonymise=key)
    assert report.complete
    assert not [path for path in data.rglob(".*")]
    assert len(list(site.out.rglob("*.dcm"))) == 3


def test_a_folder_that_cannot_be_replaced_is_there_as_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing beside it."""
    place, replace = site.series, Path.replace
    noted = {path: path.stat().st_ino for path in place.iterdir()}

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".part") and self.is_dir():
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    site.hold(slices(numbers=range(1, 4)))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        (failed,) = site(attempts=1).failures()
    assert failed.error.startswith(f"the disk of {site.out} is full, so nothing of this series was put there.")
    assert {path: path.stat().st_ino for path in place.iterdir()} == noted
    assert [path.name for path in place.parent.iterdir()] == [place.name]


@pytest.mark.parametrize("links", [True, False])
def test_what_was_in_place_stays_where_others_are_put_beside_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """The same file of the disk, or a copy where a disk has one name for a file only."""
    for path in site.held.iterdir():
        path.unlink()
    site.hold(slices(numbers=[3]))
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in site.series.glob("*.dcm")}

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    assert site().done == 1
    assert len(list(site.series.glob("*.dcm"))) == 3
    for path, (content, number) in before.items():
        assert path.read_bytes() == content
        assert path.stat().st_ino == number or not links
