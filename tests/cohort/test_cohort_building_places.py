"""A patient's folder is replaced in one step, and what its user keeps in it stays."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
from cohort_stage import Stage, staged
from truth_scenarios import quick

from qa_fetch.cohort import placing
from qa_fetch.cohort.built import Built
from qa_fetch.errors import Incomplete


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A cohort of one patient."""
    return staged(tmp_path, [quick(slices=14)], slices_drop_below=10)


def again(stage: Stage) -> Stage:
    """The same with another rule, for which all is built anew."""
    return replace(stage, settings=replace(stage.settings, dose_on_images=True))


def keep(root: Path, *names: str) -> list[Path]:
    """Files of somebody."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return [root / name for name in names]


def test_what_the_user_keeps_there_comes_along_and_what_is_stale_goes(stage: Stage) -> None:
    """Histograms and pictures of the build before are not true any more; notes of the user are."""
    stage.build()
    root = stage.folder().root
    kept = keep(
        root,
        "mine.txt",
        "CT/why.txt",
        "dosimetrydata/mine.csv",
        "pictures/poster.png",
        "pictures/slices/mine.png",
        "a/b/c.txt",
    )
    (root / "link").symlink_to("mine.txt")
    stale = keep(
        root,
        "dosimetrydata/123456789_.csv",
        "dosimetrydata/dosimetry.json",
        "dosimetrydata/eqd2.csv",
        "pictures/axial.png",
        "pictures/slices/3--PTV--axial.png",
        "roiimages_z/123456789--3--PTV--z--images.npy",
        "roidetails_z/123456789--3--PTV--z--details.npy",
    )
    again(stage).build()
    assert [path.read_text() for path in kept] == [path.relative_to(root).as_posix() for path in kept]
    assert (root / "link").is_symlink() and (root / "link").read_text() == "mine.txt"
    assert not any(path.exists() for path in stale)
    assert not (root / "roiimages_z").exists()
    assert stage.folder().doses_on_images.is_dir()
    again(stage).build()  # which finds all of it in place
    assert all(path.is_file() for path in kept)


def test_a_folder_that_no_build_has_made_is_left_as_it_is(stage: Stage) -> None:
    """Such as one of PDCP's own."""
    root = stage.folder().root
    (kept,) = keep(root, "CT/1.dcm")
    with pytest.raises(Incomplete) as caught:
        stage.build()
    assert str(caught.value) == (
        "the data folder holds something under the name of this patient that no build has made, so it was left as "
        "it is. Move it away, then run the build again."
    )
    assert kept.read_text() == "CT/1.dcm"
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    kept.unlink()
    kept.parent.rmdir()
    assert stage.build().ready


def test_the_folder_of_another_patient_is_never_replaced(stage: Stage) -> None:
    """As on a disk on which ``ab1`` and ``AB1`` are one name."""
    stage.build()
    other = replace(stage.built(), patient="987654321", rules="other")
    other.write(stage.folder())
    with pytest.raises(Incomplete) as caught:
        stage.build()
    assert str(caught.value) == (
        "the data folder has another patient under this name, since letters' case counts for nothing on its disk, so "
        "that one was left as it is. Use a disk where it counts, and build into a folder there."
    )
    assert stage.built() == other


@pytest.mark.parametrize("where", ["begin", "put", "write"])
def test_a_disk_that_is_full_at_the_very_end_or_the_beginning_is_said(
    where: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only in between; nothing is left of it."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Built if where == "write" else placing, where, full)
    with pytest.raises(Incomplete) as caught:
        stage.build()
    folder = stage.settings.datadirectory
    assert str(caught.value) == (
        f"the data folder {folder} is full, so nothing of this patient was put there. "
        "Free space there, or give another folder, and run the build again; what is done stays done."
    )
    assert not folder.is_dir() or not list(folder.iterdir())


def test_a_file_whose_place_is_needed_is_refused_and_kept(stage: Stage) -> None:
    """The build before stays whole."""
    stage.build()
    root = stage.folder().root
    (kept,) = keep(root, f"{again(stage).folder().doses_on_images.name}")
    made = stage.folder().built.stat().st_mtime_ns
    with pytest.raises(Incomplete) as caught:
        again(stage).build()
    assert str(caught.value) == (
        "the folder of this patient holds RTDOSEnifti_on_CT, which no build has made and whose place a new file "
        "needs, so the folder was left as it is. Move it away, then run the build again."
    )
    assert kept.read_text() == "RTDOSEnifti_on_CT"
    assert stage.folder().built.stat().st_mtime_ns == made
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_a_crash_while_one_folder_replaces_another_leaves_a_whole_one(tmp_path: Path) -> None:
    """Before, between and after the two renamings."""
    root = tmp_path / "1"
    part, old = tmp_path / ".1.part", tmp_path / ".1.old"
    keep(part, "half")
    keep(root, "whole")
    placing.settle(root)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    root.rename(old)
    keep(part, "new")
    placing.settle(root)
    assert (root / "whole").is_file() and [path.name for path in tmp_path.iterdir()] == ["1"]
    root.rename(old)
    keep(root, "new")
    placing.settle(root)
    assert (root / "new").is_file() and [path.name for path in tmp_path.iterdir()] == ["1"]
