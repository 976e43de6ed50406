"""A folder anonymised into another: what is in it, what is not, what is told, and what a second run does."""

from __future__ import annotations

import os
import re
import shutil
import stat
import threading
from pathlib import Path

import pydicom
import pytest
from folder_clinic import (
    SMITH,
    WEBER,
    audit,
    clinic,
    everything,
    files,
    listed,
    screen_save,
    slices,
    traces,
    without_preamble,
)
from peers import course as courses

from qa_fetch.anonymise import Anonymiser, working
from qa_fetch.anonymise import anonymiser as anonymisers


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The clinic's folder."""
    return clinic(tmp_path / "cohort")


@pytest.fixture
def anonymiser(tmp_path: Path) -> Anonymiser:
    """One with a key of its own that moves dates."""
    return Anonymiser(tmp_path / "keys" / "trial.key", "research-rt")


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> Path:
    """The folder of the key."""
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys"


# What comes out


def test_a_folder_becomes_a_tree_of_codes(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """One folder for each patient, study and series, named after new values alone; nobody's name is left anywhere."""
    before = files(data)
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.failed, done.left, done.held, done.complete) == (8, 0, {"not DICOM": 1}, {}, True)
    made = files(tmp_path / "anon")
    pattern = re.compile(r"sub-P[0-9A-Z]{12}/ses-[0-9]{14}/[0-9]{5}-\w+-[0-9a-f]{8}/2\.25\.[0-9]+\.dcm")
    assert len(made) == 8
    assert [name for name in made if not pattern.fullmatch(name)] == []
    assert traces(tmp_path / "anon") == []
    assert len({name.split("/")[0] for name in made}) == 2
    assert len({name.rpartition("/")[0] for name in made}) == 4
    assert files(data) == before


def test_the_names_say_what_the_files_say(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """Code, shifted date and UID of a path are those in the file."""
    anonymiser.folder(data, tmp_path / "anon")
    for path in (tmp_path / "anon").rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        subject, session, _, name = path.relative_to(tmp_path / "anon").parts
        assert subject == f"sub-{dataset.PatientID}" and anonymiser.key.made_code(dataset.PatientID)
        assert session == f"ses-{dataset.StudyDate}{dataset.StudyTime}" and dataset.StudyDate < "20250901"
        assert name == f"{dataset.SOPInstanceUID}.dcm" and anonymiser.key.made_uid(dataset.SOPInstanceUID)


def test_without_dates_a_session_is_named_after_its_study(data: Path, tmp_path: Path):
    """The basic profile removes the dates."""
    Anonymiser(tmp_path / "keys" / "trial.key").folder(data, tmp_path / "anon")
    sessions = {path.name for path in (tmp_path / "anon").glob("sub-*/*")}
    assert len(sessions) == 2 and all(re.fullmatch("ses-[0-9a-f]{8}", name) for name in sessions)


def test_two_processes_write_what_one_writes(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """To the byte, with what each has learnt put together before anything is written."""
    one = anonymiser.folder(data, tmp_path / "one")
    two = anonymiser.folder(data, tmp_path / "two", workers=2)
    assert (one.done, two.done) == (8, 8)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert one.attributes == two.attributes


def test_what_one_file_tells_is_removed_from_those_before_it(tmp_path: Path, anonymiser: Anonymiser):
    """The reviewer is named in the last file, and mentioned in the first."""
    first, last = slices(SMITH, "Smith^John", 2)
    first.SeriesDescription, last.OperatorsName = "for Oberarzt", "Oberarzt^Otto"
    data = tmp_path / "data"
    data.mkdir()
    for name, dataset in (("1", first), ("2", last)):
        courses.write(dataset, data).rename(data / name)
    anonymiser.folder(data, tmp_path / "anon")
    assert traces(tmp_path / "anon") == []


def test_a_file_without_preamble_is_taken_too(tmp_path: Path, anonymiser: Anonymiser):
    """What is DICOM is judged by what is in it; the output has a preamble."""
    (tmp_path / "data").mkdir()
    without_preamble(slices(SMITH, "Smith^John", 1)[0], tmp_path / "data" / "IM1")
    (tmp_path / "data" / "looks.dcm").write_bytes(b"\x08\0\x05\0 text that begins like it")
    done = anonymiser.folder(tmp_path / "data", tmp_path / "anon")
    assert (done.done, done.failed, done.left) == (1, 0, {"not DICOM": 1})
    assert traces(tmp_path / "anon") == []


def test_the_same_object_twice_is_written_once(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """A copy under another name is told."""
    original = next(data.rglob("*.dcm"))
    (data / "copy of it").write_bytes(original.read_bytes())
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.same, done.failed) == (9, 1, 0)
    assert len(files(tmp_path / "anon")) == 8


def test_two_objects_under_one_uid_are_not_mixed_up(tmp_path: Path, anonymiser: Anonymiser):
    """The first one is written, the other one is named, and neither is written over."""
    first, second = slices(SMITH, "Smith^John", 1)[0], slices(SMITH, "Smith^John", 1)[0]
    second.KVP = 80
    for name, dataset in (("a", first), ("b", second)):
        courses.write_all([dataset], tmp_path / "data" / name)
    done = anonymiser.folder(tmp_path / "data", tmp_path / "anon")
    (made,) = files(tmp_path / "anon")
    assert (done.done, done.failed) == (1, 1)
    assert listed(done)[f"b/{first.SOPInstanceUID}.dcm"] == (
        "failed",
        "another file holds a different object under the same SOP Instance UID and has become "
        f"{tmp_path / 'anon' / made}. Remove the one that is wrong, then run again.",
    )
    assert pydicom.dcmread(tmp_path / "anon" / made).KVP == 125


def test_what_is_no_object_is_left_out_and_named_in_private(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """Notes, a DICOMDIR and links; a link is not followed."""
    (tmp_path / "elsewhere").mkdir()
    courses.write_all(slices(WEBER, "Weber^Eva", 1, series="far"), tmp_path / "elsewhere")
    (data / "link").symlink_to(tmp_path / "elsewhere")
    (data / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\x02\0UI\x14\x001.2.840.10008.1.3.10\0")
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.left) == (8, {"not DICOM": 1, "DICOMDIR": 1, "link": 1})
    said = listed(done)
    assert said["link"] == ("left out", "link")
    assert said[f"sub-{SMITH}/Smith_John/notes.txt"] == ("left out", "not DICOM")


def test_a_truncated_file_is_named_and_the_rest_goes_on(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """Its sentence stands in the private report; the source is as it was."""
    victim = sorted(data.rglob("*.dcm"))[0]
    victim.write_bytes(victim.read_bytes()[:700])
    before = files(data)
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.failed, done.exit_code) == (7, 1, 1)
    became, why = listed(done)[victim.relative_to(data).as_posix()]
    assert became == "failed" and why.endswith(
        "is cut short: it ends in the middle of an element. Fetch or export it again."
    )
    assert files(data) == before
    again = anonymiser.folder(data, tmp_path / "anon")
    assert (again.done, again.failed) == (7, 1)


@pytest.mark.parametrize("where", ["qa_fetch.anonymise.anonymiser.opened", "qa_fetch.anonymise.working.place_of"])
def test_a_mistake_of_the_program_costs_one_file(
    data: Path, anonymiser: Anonymiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
):
    """The files beside it are tried alone, and written; no real file shows such a fault, else it were put right."""
    real = {"opened": anonymisers.opened, "place_of": working.place_of}[where.rpartition(".")[2]]
    seen: list[object] = []

    def mistaken(given: object) -> object:
        if not seen or seen == [given]:
            seen[:] = [given]
            raise ZeroDivisionError
        return real(given)

    monkeypatch.setattr(where, mistaken)
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.failed) == (7, 1)
    (why,) = [why for became, why in listed(done).values() if became == "failed"]
    assert why == (
        "the work stopped at a mistake of the program (ZeroDivisionError). "
        "Its place in the code is in the log of qa_fetch.bulk; please report it."
    )


def test_a_pipe_is_not_waited_for(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """What is neither file nor link is left out."""
    os.mkfifo(data / "pipe")
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.left) == (8, {"not DICOM": 1, "no file": 1})


def test_names_that_are_no_letters_are_no_obstacle(tmp_path: Path, anonymiser: Anonymiser):
    """Bytes of another character set, and a name that begins like a formula."""
    (tmp_path / "data").mkdir()
    for name, dataset in zip((b"M\xfcller", b"=cmd()"), slices(SMITH, "Smith^John", 2)):
        Path(os.fsdecode(os.fsencode(tmp_path / "data") + b"/" + name)).write_bytes(
            courses.write(dataset, tmp_path).read_bytes()
        )
    (tmp_path / "data" / "=note").write_text("x")
    done = anonymiser.folder(tmp_path / "data", tmp_path / "anon")
    assert (done.done, done.complete) == (2, True)
    assert set(listed(done)) == {"'=cmd()", "'=note", r"M\udcfcller"}


# What is held back


def test_a_screen_save_is_not_passed_on(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """It is counted with its reason, and nothing is kept of it unless asked for."""
    courses.write_all([screen_save(SMITH, "Smith^John")], data / "shots")
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, sum(done.held.values()), done.exit_code) == (8, 1, 0)
    assert list((tmp_path / "keys").rglob("quarantine")) == []


def test_a_quarantine_lies_beside_the_key(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """Its files are for their owner alone; they keep their names there."""
    (shot,) = courses.write_all([screen_save(SMITH, "Smith^John")], data / "shots")
    done = anonymiser.folder(data, tmp_path / "anon", held="quarantine")
    assert done.audit is not None
    (kept,) = files(done.audit / "quarantine")
    assert kept == f"shots/{shot.name}"
    assert (done.audit / "quarantine" / kept).read_bytes() == shot.read_bytes()
    assert stat.S_IMODE((done.audit / "quarantine" / kept).stat().st_mode) == 0o600
    assert stat.S_IMODE((done.audit / "quarantine" / "shots").stat().st_mode) == 0o700
    assert shot.exists()


# A second run


def test_a_second_run_does_nothing_again(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """What is done is done, and counted as before."""
    anonymiser.folder(data, tmp_path / "anon")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "anon").rglob("*.dcm")}
    again = Anonymiser(tmp_path / "keys" / "trial.key", "research-rt").folder(data, tmp_path / "anon")
    assert (again.done, again.already, again.bytes) == (8, 8, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "anon").rglob("*.dcm")} == times


def test_what_is_gone_or_has_changed_is_made_again(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """A file that somebody removed from the output, and one whose source says another day now, so that it moves."""
    anonymiser.folder(data, tmp_path / "anon")
    whole = files(tmp_path / "anon")
    victim = next((tmp_path / "anon").rglob("*.dcm"))
    victim.unlink()
    anonymiser.folder(data, tmp_path / "anon")
    assert files(tmp_path / "anon") == whole
    source = next((data / f"sub-{WEBER}").rglob("*.dcm"))
    changed = pydicom.dcmread(source)
    changed.StudyTime = "235959"
    changed.save_as(source)
    done = anonymiser.folder(data, tmp_path / "anon")
    now = files(tmp_path / "anon")
    assert (done.done, done.failed) == (8, 0)
    assert (len(set(whole) - set(now)), len(set(now) - set(whole))) == (1, 1)


def staged(patient: str, name: str, folder: Path) -> None:
    """The only files of a staging folder: what a CD of a patient has, called as on every CD."""
    shutil.rmtree(folder, ignore_errors=True)
    for number, path in enumerate(courses.write_all(slices(patient, name, 2), folder / "DICOM"), 1):
        path.rename(path.with_name(f"IM{number:06}"))


def test_a_staging_folder_is_used_for_one_patient_after_the_other(tmp_path: Path, anonymiser: Anonymiser):
    """What was made of its earlier files stays, and is made anew by other rules when the first patient comes again."""
    codes = {patient: anonymiser.key.code(patient) for patient in (SMITH, WEBER)}
    for patient, name in ((SMITH, "Smith^John"), (WEBER, "Weber^Eva")):
        staged(patient, name, tmp_path / "in")
        done = anonymiser.folder(tmp_path / "in", tmp_path / "anon")
        assert (done.done, done.failed) == (2, 0)
    first = files(tmp_path / "anon")
    assert sorted(name.split("/")[0] for name in first) == sorted(
        f"sub-{code}" for code in codes.values() for _ in "ab"
    )
    staged(SMITH, "Smith^John", tmp_path / "in")
    done = Anonymiser(tmp_path / "keys" / "trial.key", "basic").folder(tmp_path / "in", tmp_path / "anon")
    assert (done.done, done.failed) == (2, 0)
    now = files(tmp_path / "anon")
    assert [name for name in now if codes[WEBER] in name] == [name for name in first if codes[WEBER] in name]


def test_what_is_made_anew_of_a_source_that_came_back_replaces_the_old(tmp_path: Path, anonymiser: Anonymiser):
    """At the same place and with other content; also where UIDs were kept before, nothing of the old rules is left."""
    profile = tmp_path / "keys" / "site.toml"
    for more in ("", 'options = ["retain-uids"]\n'):
        profile.write_text(f'extends = "research-rt"\n{more}')
        site = Anonymiser(tmp_path / "keys" / "trial.key", profile)
        staged(SMITH, "Smith^John", tmp_path / "in")
        assert site.folder(tmp_path / "in", tmp_path / "anon").failed == 0
        staged(WEBER, "Weber^Eva", tmp_path / "in")
        assert site.folder(tmp_path / "in", tmp_path / "anon").failed == 0
    staged(SMITH, "Smith^John", tmp_path / "in")
    done = anonymiser.folder(tmp_path / "in", tmp_path / "anon")
    assert (done.done, done.failed) == (2, 0)
    of_smith = [path for path in (tmp_path / "anon").rglob("*.dcm") if anonymiser.key.code(SMITH) in str(path)]
    methods = [pydicom.dcmread(path).DeidentificationMethod for path in of_smith]
    assert methods == ["qa_fetch research-rt"] * 2


def test_what_is_learnt_later_is_removed_from_what_was_written(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """A new file says that a word in the old ones is a physician's name: those are written anew."""
    for path in (data / f"sub-{WEBER}").rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.SeriesDescription = "Thorax for Kowalska"
        dataset.save_as(path)
    anonymiser.folder(data, tmp_path / "anon")
    told = slices(WEBER, "Weber^Eva", 1, series="late")[0]
    told.ReferringPhysicianName = "Kowalska^Anna"
    courses.write_all([told], data / "late")
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.failed) == (9, 0)
    assert [path for path in (tmp_path / "anon").rglob("*.dcm") if b"kowalska" in path.read_bytes().lower()] == []


def test_another_profile_makes_all_of_it_again(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """The same output with other rules: nothing of the old rules stays in a file of the same place."""
    anonymiser.folder(data, tmp_path / "anon")
    done = Anonymiser(tmp_path / "keys" / "trial.key").folder(data, tmp_path / "anon")
    assert (done.done, done.already) == (8, 0)
    marks = {
        pydicom.dcmread(path).LongitudinalTemporalInformationModified for path in (tmp_path / "anon").rglob("*.dcm")
    }
    assert marks == {"REMOVED"}


def test_a_run_that_is_stopped_goes_on(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """Stopped while it learns: nothing is written; the next run writes all."""
    stop = threading.Event()
    stop.set()
    done = anonymiser.folder(data, tmp_path / "anon", cancelled=stop)
    assert (done.done, done.stopped, done.exit_code) == (0, "cancelled", 1)
    assert not (tmp_path / "anon").exists()
    assert anonymiser.folder(data, tmp_path / "anon").done == 8


def test_nothing_of_others_is_written_over(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """A file in the way that this key folder did not make stays as it is."""
    anonymiser.folder(data, tmp_path / "anon")
    name = sorted(files(tmp_path / "anon"))[0]
    other = tmp_path / "other" / name
    other.parent.mkdir(parents=True)
    other.write_bytes(b"somebody's")
    done = anonymiser.folder(data, tmp_path / "other")
    assert (done.done, done.failed, other.read_bytes()) == (7, 1, b"somebody's")
    assert (
        "failed",
        f"{other} is there already, is another object, and was not made with this key folder. "
        "Move it away, or name another output folder.",
    ) in listed(done).values()


# What is told


def test_the_reports_lie_beside_the_key(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """What names the sources is for their owner alone; what may be passed on names nobody."""
    done = anonymiser.folder(data, tmp_path / "anon")
    assert done.audit is not None and anonymiser.ids in done.audit.parents
    assert {
        stat.S_IMODE((done.audit / name).stat().st_mode) for name in ("private.csv", "audit.json", "warnings.txt")
    } == {0o600}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (done.audit, anonymiser.ids)} == {0o700}
    said = audit(done.audit)
    assert (said["profile"], said["done"], said["left"]) == ("research-rt", 8, {"not DICOM": 1})
    assert {"code": "113100", "meaning": "Basic Application Confidentiality Profile"} in said["codes"]
    (name,) = [row for row in said["attributes"] if row["keyword"] == "PatientBirthDate"]
    assert name["tag"] == "(0010,0030)" and name["files"] == 8
    text = (done.audit / "audit.json").read_text().lower()
    assert [one for one in ("smith", "weber", SMITH, WEBER, str(tmp_path)) if one in text] == []
    assert sum(1 for became, _ in listed(done).values() if became == "anonymised") == 8


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """The same counts as the run itself."""
    courses.write_all([screen_save(SMITH, "Smith^John")], data / "shots")
    before = everything(tmp_path)
    seen = anonymiser.folder(data, tmp_path / "anon", dry_run=True)
    assert everything(tmp_path) == before
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (seen.done, seen.held, seen.left, seen.attributes) == (done.done, done.held, done.left, done.attributes)
    assert ("PatientBirthDate", "(0010,0030)") in {row[:2] for row in seen.table()}


def test_progress_says_which_pass_it_is(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """First everything is learnt."""
    said: list[str] = []
    anonymiser.folder(data, tmp_path / "anon", on_progress=lambda now: said.append(now.says))
    assert sorted(set(said), key=said.index) == ["learning", "writing"]
