"""Dates of what was anonymised before: they move once, and say so truly."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest
from folder_clinic import WEBER, clinic, files, listed

from qa_fetch.anonymise import Anonymiser


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The clinic's folder, with a key folder beside it."""
    (tmp_path / "keys").mkdir()
    return clinic(tmp_path / "data")


def dated(work: Path, dates: str) -> Anonymiser:
    """One of the site's own profile that removes, moves or keeps dates."""
    site = work / "keys" / f"{dates}.toml"
    site.write_text(f'extends = "research-rt"\ndates = "{dates}"\n')
    return Anonymiser(work / "keys" / "trial.key", site)


def told_dates(folder: Path) -> set[tuple[str, str]]:
    """The study dates of a folder, and what its objects say of them."""
    found = [pydicom.dcmread(path) for path in folder.rglob("*.dcm")]
    return {(one.StudyDate, one.LongitudinalTemporalInformationModified) for one in found}


def test_dates_that_were_kept_move_with_the_next_profile(data: Path, tmp_path: Path):
    """By the days of the patient who has the code, as they would have at first; days in text go too."""
    for path in (data / f"sub-{WEBER}").rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.SeriesDescription = "CT_250901"
        dataset.save_as(path)
    shutil.copytree(data, tmp_path / "copy")
    dated(tmp_path, "keep").folder(data, in_place=True)
    assert told_dates(data) == {("20250901", "UNMODIFIED")}
    done = dated(tmp_path, "shift").folder(data, in_place=True)
    assert (done.done, done.failed) == (8, 0)
    dated(tmp_path, "shift").folder(tmp_path / "copy", tmp_path / "anon")
    assert told_dates(data) == told_dates(tmp_path / "anon")
    assert {said for _, said in told_dates(data)} == {"MODIFIED"} and "20250901" not in dict(told_dates(data))
    assert [path for path in data.rglob("*.dcm") if b"250901" in path.read_bytes()] == []
    assert dated(tmp_path, "shift").folder(data, in_place=True).already == 8


def test_a_run_that_moves_kept_dates_and_was_interrupted_moves_each_once(data: Path, tmp_path: Path):
    """Some objects say that their dates have moved, the others that they have not."""
    dated(tmp_path, "keep").folder(data, in_place=True)
    shutil.copytree(data, tmp_path / "kept")
    dated(tmp_path, "shift").folder(data, in_place=True)
    moved, expected = files(data), told_dates(data)
    for number, path in enumerate(sorted(data.rglob("*.dcm"))):
        if number % 2:
            (back,) = (tmp_path / "kept").rglob(path.name)
            path.unlink()
            target = data / back.relative_to(tmp_path / "kept")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(back, target)
    assert "20250901" in dict(told_dates(data)) and "20250901" not in dict(expected)
    assert dated(tmp_path, "shift").folder(data, in_place=True).failed == 0
    assert (told_dates(data), files(data)) == (expected, moved)


@pytest.mark.parametrize("first", ["shift", "remove"])
def test_dates_that_are_not_the_true_ones_are_not_kept_as_such(data: Path, tmp_path: Path, first: str):
    """Each file is named, and stays as it was."""
    dated(tmp_path, first).folder(data, in_place=True)
    before = files(data)
    done = dated(tmp_path, "keep").folder(data, in_place=True)
    assert (done.done, done.failed, files(data)) == (0, 8, before)
    assert {why for became, why in listed(done).values() if became == "failed"} == {
        "an object was anonymised before and does not say that its dates are the true ones "
        "(LongitudinalTemporalInformationModified), so they cannot be kept as such. "
        "Anonymise its original, or use a profile that does not keep dates."
    }


def test_true_dates_of_nobody_known_are_not_passed_as_moved_ones(data: Path, tmp_path: Path):
    """The folder that says who has the code is another one."""
    dated(tmp_path, "keep").folder(data, tmp_path / "kept")
    shift = Anonymiser(tmp_path / "keys" / "trial.key", "research-rt", ids=tmp_path / "other.ids")
    done = shift.folder(tmp_path / "kept", tmp_path / "anon")
    assert (done.done, done.failed, files(tmp_path / "anon")) == (0, 8, {})
    assert {why for became, why in listed(done).values() if became == "failed"} == {
        "an object was anonymised before with its dates kept, and the key's folder does not say who its "
        "patient is, so they cannot be moved. Name the folder of that run, or use a profile that removes dates."
    }


def test_dates_of_which_an_anonymised_object_says_nothing_are_not_passed_as_moved_ones(data: Path, tmp_path: Path):
    """Somebody has taken the attribute away; a profile that removes dates takes it all the same."""
    dated(tmp_path, "keep").folder(data, tmp_path / "kept")
    for path in (tmp_path / "kept").rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        del dataset.LongitudinalTemporalInformationModified
        dataset.save_as(path)
    done = dated(tmp_path, "shift").folder(tmp_path / "kept", tmp_path / "anon")
    assert (done.done, done.failed, files(tmp_path / "anon")) == (0, 8, {})
    assert {why for became, why in listed(done).values() if became == "failed"} == {
        "an object was anonymised before and does not say whether its dates have moved "
        "(LongitudinalTemporalInformationModified). Anonymise its original, or use a profile that removes dates."
    }
    assert dated(tmp_path, "remove").folder(tmp_path / "kept", tmp_path / "anon").done == 8
