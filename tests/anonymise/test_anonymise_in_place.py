"""A folder anonymised in place: no original is left, none is half gone at any moment, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import in_place_killed
import pydicom
import pytest
from folder_clinic import SMITH, WEBER, clinic, everything, files, screen_save, slices, traces
from peers import course as courses

from qa_fetch.anonymise import Anonymiser
from qa_fetch.anonymise.verifying import verify


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The clinic's folder, with a key folder beside it."""
    (tmp_path / "keys").mkdir()
    return clinic(tmp_path / "data")


def anonymiser(work: Path) -> Anonymiser:
    """One with the key of a folder, as each run makes it."""
    return Anonymiser(work / "keys" / "trial.key", "research-rt")


def quarantine(work: Path) -> dict[str, str]:
    """What was moved beside the key."""
    (folder,) = (work / "keys" / "trial.ids" / "runs").iterdir()
    return files(folder / "quarantine")


def test_the_new_files_take_the_place_of_the_originals(data: Path, tmp_path: Path):
    """Files and folders have new names, nothing else is left, and it is what another folder would hold."""
    anonymiser(tmp_path).folder(data, tmp_path / "anon")
    done = anonymiser(tmp_path).folder(data, in_place=True)
    assert (done.done, done.left, done.complete) == (8, {"not DICOM": 1}, True)
    assert traces(data) == []
    assert files(data) == files(tmp_path / "anon")
    assert everything(data) == everything(tmp_path / "anon")


def test_doing_it_twice_is_harmless(data: Path, tmp_path: Path):
    """What this key made is recognised, also without what the first run wrote down."""
    anonymiser(tmp_path).folder(data, in_place=True)
    before = files(data)
    again = anonymiser(tmp_path).folder(data, in_place=True)
    assert (again.done, again.already, again.failed, again.complete) == (8, 8, 0, True)
    assert files(data) == before
    other = Anonymiser(tmp_path / "keys" / "trial.key", "research-rt", ids=tmp_path / "other.ids")
    assert other.folder(data, in_place=True).already == 8
    assert files(data) == before


def test_another_profile_does_it_again(data: Path, tmp_path: Path):
    """What says that it was made by other rules is no result of these; at a new place, and at the same one."""
    anonymiser(tmp_path).folder(data, in_place=True)
    site = tmp_path / "keys" / "site.toml"
    for rules, method, dates in (
        ('extends = "research-rt"\n', "qa_fetch site", "MODIFIED"),
        ('extends = "research-rt"\noptions = ["retain-institution-identity"]\n', "qa_fetch site", "MODIFIED"),
        ('extends = "basic"\n', "qa_fetch site", "REMOVED"),
    ):
        site.write_text(rules)
        before = files(data)
        done = Anonymiser(tmp_path / "keys" / "trial.key", site).folder(data, in_place=True)
        assert (done.done, done.already, done.failed) == (8, 0, 0)
        found = [pydicom.dcmread(path) for path in data.rglob("*.dcm")]
        assert {(one.DeidentificationMethod, one.LongitudinalTemporalInformationModified) for one in found} == {
            (method, dates)
        }
        assert len(found) == 8 and not set(before.values()) & set(files(data).values())
        assert Anonymiser(tmp_path / "keys" / "trial.key", site).folder(data, in_place=True).already == 8


def test_what_was_done_again_is_verified_against_the_strings_of_the_first_time(data: Path, tmp_path: Path):
    """By other rules its patients were codes already, which are nobody."""
    for profile in ("research-rt", "basic"):
        Anonymiser(tmp_path / "keys" / "trial.key", profile).folder(data, in_place=True)
    assert verify(data, tmp_path / "keys" / "trial.key").findings == []
    path = next(data.rglob("*.dcm"))
    dataset = pydicom.dcmread(path)
    dataset.SeriesDescription = "for Weber or SMITH"
    dataset.save_as(path)
    (found,) = verify(data, tmp_path / "keys" / "trial.key").findings
    assert found.problem == "holds a string that identifies its patient or the staff."


def test_new_originals_among_the_old_results(data: Path, tmp_path: Path):
    """A second delivery into the same folder."""
    anonymiser(tmp_path).folder(data, in_place=True)
    before = files(data)
    courses.write_all(slices(WEBER, "Weber^Eva", 2, series="second"), data / f"sub-{WEBER}")
    done = anonymiser(tmp_path).folder(data, in_place=True)
    assert (done.done, done.already) == (10, 8)
    assert traces(data) == []
    assert set(before.items()) < set(files(data).items())


def test_originals_that_come_back_go_again(data: Path, tmp_path: Path):
    """Somebody restored them from a backup, with their times: that they were done before does not keep them."""
    shutil.copytree(data, tmp_path / "backup")
    anonymiser(tmp_path).folder(data, in_place=True)
    before = files(data)
    shutil.copytree(tmp_path / "backup", data, dirs_exist_ok=True)
    done = anonymiser(tmp_path).folder(data, in_place=True)
    assert (done.done, done.same, done.failed) == (16, 8, 0)
    assert files(data) == before and traces(data) == []


def test_with_given_codes_and_kept_uids_it_is_harmless_too(data: Path, tmp_path: Path):
    """What was done is known by its code alone then."""
    profile = tmp_path / "keys" / "site.toml"
    profile.write_text('extends = "research-rt"\noptions = ["retain-uids"]\n')
    codes = {SMITH: "P0001", WEBER: "P0002"}
    for _ in range(2):
        again = Anonymiser(tmp_path / "keys" / "trial.key", profile, new_ids=codes)
        done = again.folder(data, in_place=True)
        assert (done.done, done.failed) == (8, 0)
    assert done.already == 8 and {path.name for path in data.iterdir()} == {"sub-P0001", "sub-P0002"}


def test_what_is_not_passed_on_is_moved_beside_the_key(data: Path, tmp_path: Path):
    """Screen saves, notes and links: they may say who it is, and are nowhere else any more."""
    (shot,) = courses.write_all([screen_save(SMITH, "Smith^John")], data / "shots")
    (data / "Smith's link").symlink_to(shot)
    whole = shot.read_bytes()
    done = anonymiser(tmp_path).folder(data, in_place=True)
    assert (done.done, sum(done.held.values()), done.left) == (8, 1, {"not DICOM": 1, "link": 1})
    assert traces(data) == []
    kept = quarantine(tmp_path)
    assert set(kept) == {f"shots/{shot.name}", f"sub-{SMITH}/Smith_John/notes.txt"}
    (folder,) = (tmp_path / "keys" / "trial.ids" / "runs").iterdir()
    assert (folder / "quarantine" / "shots" / shot.name).read_bytes() == whole
    assert (folder / "quarantine" / "Smith's link").readlink() == shot


def test_two_notes_of_one_name_are_both_kept(data: Path, tmp_path: Path):
    """Nothing in the quarantine is written over."""
    note = data / f"sub-{SMITH}" / "Smith_John" / "notes.txt"
    anonymiser(tmp_path).folder(data, in_place=True)
    for text in ("another\n", "another\n"):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(text)
        anonymiser(tmp_path).folder(data, in_place=True)
    assert set(quarantine(tmp_path)) == {f"sub-{SMITH}/Smith_John/notes.txt", f"sub-{SMITH}/Smith_John/notes.txt.2"}


def test_identifiable_objects_are_deleted_only_when_asked_for(data: Path, tmp_path: Path):
    """As PACSMAN's --delete-identifiable; what is no DICOM object is moved all the same."""
    courses.write_all([screen_save(SMITH, "Smith^John")], data / "shots")
    done = anonymiser(tmp_path).folder(data, in_place=True, held="drop")
    assert (done.done, sum(done.held.values())) == (8, 1)
    assert set(quarantine(tmp_path)) == {f"sub-{SMITH}/Smith_John/notes.txt"}
    assert traces(data) == [] and not (data / "shots").exists()


def test_a_file_that_fails_stays_where_it_was(data: Path, tmp_path: Path):
    """It is told, and nothing else is left."""
    victim = sorted((data / f"sub-{SMITH}").rglob("*.dcm"))[0]
    victim.write_bytes(victim.read_bytes()[:700])
    broken = victim.read_bytes()
    done = anonymiser(tmp_path).folder(data, in_place=True)
    assert (done.done, done.failed, done.exit_code) == (7, 1, 1)
    assert victim.read_bytes() == broken
    assert len([name for name in files(data) if SMITH in name]) == 1


def test_folders_that_were_empty_before_stay_and_are_told(data: Path, tmp_path: Path):
    """Only what the run has emptied is removed."""
    (data / "Smith_John_empty").mkdir()
    done = anonymiser(tmp_path).folder(data, in_place=True)
    assert done.empty_folders == 1 and (data / "Smith_John_empty").is_dir()
    assert done.audit is not None
    assert "empty before, and still called so: Smith_John_empty\n" in (done.audit / "warnings.txt").read_text()


def test_a_copy_of_an_object_goes_too(data: Path, tmp_path: Path):
    """The same object under two names becomes one file."""
    original = next((data / f"sub-{WEBER}").rglob("*.dcm"))
    (data / "copy").write_bytes(original.read_bytes())
    done = anonymiser(tmp_path).folder(data, in_place=True)
    assert (done.done, done.same, done.failed) == (9, 1, 0)
    assert len(files(data)) == 8 and traces(data) == []


def test_two_processes_in_place(data: Path, tmp_path: Path):
    """The same result."""
    anonymiser(tmp_path).folder(data, tmp_path / "anon")
    anonymiser(tmp_path).folder(data, in_place=True, workers=2)
    assert files(data) == files(tmp_path / "anon")


def test_killed_at_any_moment_nothing_is_lost(data: Path, tmp_path: Path):
    """After ``kill -9`` each object is there, as it was or as it becomes; a second run gives the complete result."""
    courses.write_all([screen_save(SMITH, "Smith^John")], data / "shots")
    work = tmp_path / "work"
    work.mkdir()
    data.rename(work / "data")
    (work / "keys").mkdir()
    anonymiser(work)
    copies = tmp_path / "copies"
    copies.mkdir()
    ran = subprocess.run(
        [sys.executable, in_place_killed.__file__, work, copies, "16"],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    told = json.loads(ran.stdout)
    assert len(told["killed"]) >= 14
    result, originals = files(copies / "whole" / "data"), files(work / "data")
    assert len(result) == 8
    shot = next(name for name in originals if name.startswith("shots/"))
    for moment in told["killed"]:
        place = copies / f"killed-{moment}"
        now = files(place / "data")
        whole = {name for name in now if not name.startswith(".qa_fetch.partial/")}
        assert {name: now[name] for name in whole} == {name: ({**originals, **result})[name] for name in whole}, moment
        assert len([name for name in whole if name.endswith(".dcm") and name != shot]) >= 8, moment
        assert shot in whole or shot in quarantine(place), moment
        done = anonymiser(place).folder(place / "data", in_place=True)
        assert (done.done - done.same, done.failed) == (8, 0), moment
        assert files(place / "data") == result, moment
        assert everything(place / "data") == everything(copies / "whole" / "data"), moment
        assert quarantine(place) == quarantine(copies / "whole"), moment
