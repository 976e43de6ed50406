"""A folder of Pinnacle archives behind ``Archive``: converted when asked for, kept, and never half."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from phantom import Course, packed, write

from qa_fetch import Ambiguous, Archive, BadArchive, ConfigError, ConnectionFailed, Incomplete, NotFound
from qa_fetch.pinnacle.stores import Plain


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "tars"
    folder.mkdir()
    return folder


@pytest.fixture
def archive(tars: Path) -> Archive:
    return Archive(f"pinnacle:{tars}")


def _spoil(tar: Path) -> None:
    """Write rubbish over an archive so that its size and its time stay: whoever opens it now gets nothing."""
    status = tar.stat()
    tar.write_bytes(b"x" * status.st_size)
    os.utime(tar, ns=(status.st_atime_ns, status.st_mtime_ns))


def _changed(course: Course, tar: Path, *changes: tuple[str, bytes, bytes]) -> None:
    """Write an archive, with some bytes of some files replaced; without any to replace, the file is left out."""
    folder = tar.with_name("unpacked")
    write(course, folder)
    for name, old, new in changes:
        (path,) = folder.glob(f"**/{name}")
        if not old:
            path.unlink()
            continue
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new))
    packed(folder, tar)
    shutil.rmtree(folder)


def _modalities(images: Any) -> list[str]:
    found = [str(one.Modality) for one in images]
    return sorted(modality for modality in found if modality != "CT") + ["CT"] * ("CT" in found)


def _labels(archive: Archive, patient: str) -> list[str]:
    return sorted(plan.label for plan in archive.plans(patient))


ONE = Course(beams=("static",))
MORE = Course(plans=2, beams=("static",))
TWO = Course(plans=2, trials=2, beams=("static",))
WHOLE = sorted(["RTSTRUCT"] * 2 + ["RTPLAN"] * 4 + ["RTDOSE"] * 4) + ["CT"]


# Whole patients


def test_a_patient_is_converted_at_the_first_call_and_kept(archive: Archive, tars: Path) -> None:
    """All images, structures, plans and doses, in a folder; the second call does not even open the archive."""
    truth = write(TWO, tars / "a.tar").patient
    course = archive.patient(truth.identifier)
    assert _modalities(course) == WHOLE
    assert len(course) == len(truth.images[0].pictures) + 10
    assert {str(one.PatientID) for one in course} == {truth.identifier}
    assert {str(one.PatientName) for one in course} == {truth.name}
    assert sorted(course.folder.iterdir()) == sorted(course.files)
    assert not course.from_shelf
    _spoil(tars / "a.tar")
    again = archive.patient(truth.identifier)
    assert (again.folder, again.uids, again.from_shelf) == (course.folder, course.uids, True)


def test_what_one_call_has_converted_serves_every_other(archive: Archive, tars: Path) -> None:
    """One plan is asked for; the rest of the patient is kept too."""
    write(TWO, tars / "a.tar")
    archive.plan("PH0001", "PLAN_2 Trial_1")
    _spoil(tars / "a.tar")
    assert archive.plan("PH0001", "PLAN_1 Trial_2").label == "PLAN_1 Trial_2"
    assert archive.patient("PH0001").from_shelf


def test_what_was_pruned_is_converted_again_under_the_same_uids(archive: Archive, tars: Path, tmp_path: Path) -> None:
    """And so it is where nothing is known of an earlier conversion."""
    write(TWO, tars / "a.tar")
    course = archive.patient("PH0001")
    archive.forget(course)
    again = archive.patient("PH0001")
    assert (again.uids, again.from_shelf) == (course.uids, False)
    elsewhere = Archive(f"pinnacle:{tars}", shelf=tmp_path / "other shelf").patient("PH0001")
    assert elsewhere.uids == course.uids


def test_nothing_is_left_beside_the_shelf(archive: Archive, tars: Path, tmp_path: Path) -> None:
    """Neither after a conversion, nor of one that was killed."""
    write(ONE, tars / "a.tar")
    (place,) = _places(archive, tmp_path)
    killed = place / "work" / "tmpkilled"
    killed.mkdir(parents=True)
    (killed / "CT.1.dcm").write_bytes(b"of a patient")
    archive.patient("PH0001")
    assert list((place / "work").iterdir()) == []
    assert sorted(path.name for path in tars.iterdir()) == ["a.tar"]


def _places(archive: Archive, tmp_path: Path) -> list[Path]:
    archive.find("PATIENT")
    return list((tmp_path / "shelf").glob("pinnacle-*"))


def test_a_patient_whose_dose_is_left_out_is_no_result(archive: Archive, tars: Path) -> None:
    """It names what is missing and where to get the rest; plans are to be had all the same."""
    _changed(TWO, tars / "a.tar", ("Plan_0/plan.Trial.binary.001", b"", b""))
    with pytest.raises(Incomplete) as caught:
        archive.patient("PH0001")
    (left,) = caught.value.missing
    assert left.startswith("RTDOSE of plan 0, trial 0: ")
    assert str(caught.value) == (
        f"tars cannot make all of this patient; left out is {left.rstrip('.')}. "
        "Fetch its plans and series one by one, or have what can be had with a report: qa-fetch pinnacle export."
    )
    assert not caught.value.retriable
    _spoil(tars / "a.tar")
    assert archive.plan("PH0001", "PLAN_1 Trial_1").dataset.Modality == "RTPLAN"
    doses = archive.find("IMAGE", PatientID="PH0001", Modality="RTDOSE")
    assert len(doses) == 3
    assert archive.fetch(instance=[str(row.SOPInstanceUID) for row in doses]).from_shelf


def test_a_plan_that_cannot_be_converted_is_named(archive: Archive, tars: Path) -> None:
    """It was found by its name, so the reason must be told."""
    _changed(ONE, tars / "a.tar", ("ImageSet_0.header", b"", b""), ("ImageSet_0.img", b"", b""))
    with pytest.raises(Incomplete) as caught:
        archive.plan("PH0001", "PLAN_1")
    assert re.fullmatch(
        r"tars cannot convert 1 of these objects\. Left out: image set 0: .+ \(and \d+ more\)\.", str(caught.value)
    )
    assert not caught.value.retriable


def test_a_patient_of_which_nothing_can_be_converted_is_told_from_one_that_is_not_there(
    archive: Archive, tars: Path
) -> None:
    """The first reason is named."""
    gone = [("ImageSet_0.header", b"", b""), ("ImageSet_0.img", b"", b""), ("Plan_0/plan.Trial", b"", b"")]
    _changed(ONE, tars / "a.tar", *gone)
    with pytest.raises(Incomplete) as caught:
        archive.patient("PH0001")
    left = list(caught.value.missing)
    assert len(left) > 1
    assert str(caught.value) == (
        f"tars cannot make all of this patient; left out is {left[0].rstrip('.')} (and {len(left) - 1} more). "
        "Fetch its plans and series one by one, or have what can be had with a report: qa-fetch pinnacle export."
    )


def test_an_unknown_patient_is_not_found(archive: Archive, tars: Path) -> None:
    """The message does not repeat the ID, and tells which archives may hold the patient all the same."""

    def said() -> list[str]:
        found = []
        for ask in (archive.patient, archive.plan):
            with pytest.raises(NotFound) as caught:
                ask("PH0009")
            found.append(str(caught.value))
        return found

    beginnings = ("tars has nothing of this patient. ", "tars shows no plan for this patient. ")
    nothing = f"There are no archives in {tars}. Check the path, and whether it is mounted."
    assert said() == [beginning + nothing for beginning in beginnings]
    write(ONE, tars / "a.tar")
    look = f"Check the ID: qa-fetch find pinnacle:{tars} PATIENT"
    assert said() == [beginning + look for beginning in beginnings]
    (tars / "b.tar").write_bytes(b"no tar at all")
    write(Course(beams=("static",), identifier=""), tars / "nameless.tar")
    doubts = "1 of its archives cannot be read as a whole and 1 of its patients have no number"
    doubt = f"Check the ID; {doubts}: qa-fetch echo pinnacle:{tars}"
    assert said() == [beginning + doubt for beginning in beginnings]


def test_blanks_around_an_identifier_do_not_count(archive: Archive, tars: Path) -> None:
    """As in DICOM."""
    write(ONE, tars / "a.tar")
    assert [str(row.PatientID) for row in archive.find("PATIENT", PatientID=" PH0001 ")] == ["PH0001"]


def test_a_study_is_no_result_either_where_something_of_the_patient_is_left_out(archive: Archive, tars: Path) -> None:
    """What is left out may belong to it; its series are to be had."""
    _changed(TWO, tars / "a.tar", ("Plan_0/plan.Trial.binary.001", b"", b""))
    (study,) = archive.find("STUDY", PatientID="PH0001")
    with pytest.raises(Incomplete) as caught:
        archive.fetch(study=str(study.StudyInstanceUID))
    (left,) = caught.value.missing
    assert str(caught.value) == (
        f"tars cannot make all of this patient; left out is {left.rstrip('.')}. "
        "Fetch its plans and series one by one, or have what can be had with a report: qa-fetch pinnacle export."
    )
    series = [str(row.SeriesInstanceUID) for row in archive.find("SERIES", PatientID="PH0001", Modality="RTDOSE")]
    assert len(archive.fetch(series=series)) == 3


def test_what_could_not_be_read_for_a_moment_is_not_noted_as_left_out(
    archive: Archive, tars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that fails while a dose is read: nothing is given, and the next call gives all."""
    write(ONE, tars / "a.tar")
    archive.plans("PH0001")
    with tarfile.open(tars / "a.tar") as tar:
        (dose,) = (member.offset_data for member in tar if "plan.Trial.binary." in member.name)
    with monkeypatch.context() as broken:
        broken.setattr("qa_fetch.pinnacle.stores.Plain.read_at", _failing_at(dose))
        with pytest.raises(ConnectionFailed) as caught:
            archive.patient("PH0001")
    assert str(caught.value) == (
        "files of a.tar that cannot be read: 1 (the system could not read it (Input/output error)), so nothing of this "
        "patient is used. Check the disk or the share and the rights of this user there, and call again; or have what "
        "can be had with a report: qa-fetch pinnacle export."
    )
    assert _modalities(archive.patient("PH0001")) == ["RTDOSE", "RTPLAN", "RTSTRUCT", "CT"]


def _failing_at(place: int) -> Any:
    sound = Plain.read_at

    def read_at(self: Plain, offset: int, count: int) -> bytes:
        if offset == place:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return sound(self, offset, count)

    return read_at


def test_one_archive_by_its_path_is_no_folder_of_archives(tars: Path) -> None:
    """The message says what to write instead."""
    write(ONE, tars / "a.tar")
    with pytest.raises(ConfigError) as caught:
        Archive(f"pinnacle:{tars / 'a.tar'}").plans("PH0001")
    assert str(caught.value) == (
        f"a.tar: {tars / 'a.tar'} is one archive. Name the folder that holds it: pinnacle:{tars}"
    )


# Plans


def test_a_plan_with_one_trial_is_found_by_its_name_in_pinnacle(archive: Archive, tars: Path) -> None:
    """Nobody needs to know how the trial is called."""
    write(MORE, tars / "a.tar")
    plan = archive.plan("PH0001", label="PLAN_2")
    assert (plan.label, plan.name, plan.approval) == ("PLAN_2 Trial_1", "PLAN_2 / Trial_1", "UNAPPROVED")
    assert plan.dataset.RTPlanLabel == plan.label
    assert archive.plan("PH0001", label="PLAN_2 / Trial_1").uid == plan.uid
    assert archive.plan("PH0001", label="PLAN_2 Trial_1").uid == plan.uid
    assert archive.plan("PH0001", label=plan.uid).uid == plan.uid


def test_several_trials_of_a_plan_are_shown_to_choose_from(archive: Archive, tars: Path) -> None:
    """None of them is guessed."""
    write(TWO, tars / "a.tar")
    with pytest.raises(Ambiguous) as caught:
        archive.plan("PH0001", label="PLAN_1")
    assert [plan.label for plan in caught.value.candidates] == ["PLAN_1 Trial_1", "PLAN_1 Trial_2"]
    listed = "; ".join(str(plan) for plan in caught.value.candidates)
    assert str(caught.value) == f"tars has 2 plans called PLAN_1: {listed}. Choose with plan=<its UID>."


def test_plans_are_found_before_they_are_converted_as_they_are_after_it(archive: Archive, tars: Path) -> None:
    """The index says UID, label, name and date of each trial without conversion: the same that the RTPLAN says."""
    names = "Patient_1/Patient"
    _changed(
        Course(plans=4, trials=2, beams=("static",)),
        tars / "a.tar",
        (names, b'"PLAN_2"', b'"PLAN_1"'),
        (names, b'"PLAN_3"', b'"A plan of a very long name"'),
        (names, b'PlanName = "PLAN_4";', b""),
        ("Plan_1/plan.Trial", b'"Trial_2"', b'"Trial_1"'),
        ("Plan_2/plan.Trial", b'"Trial_2"', b'"Tr\\\\ial\xe4 "'),
        ("Plan_3/plan.Trial", b'  Name = "Trial_2";', b""),
    )
    asked = dict.fromkeys(
        "SOPInstanceUID SeriesInstanceUID RTPlanLabel RTPlanName RTPlanDate RTPlanTime ApprovalStatus".split(), ""
    )

    def rows() -> list[tuple[str, ...]]:
        found = archive.find("IMAGE", {**asked, "Modality": "RTPLAN"})
        return sorted(tuple(str(row.get(key)) for key in asked) for row in found)

    before = rows()
    assert len(before) == 8
    archive.patient("PH0001")
    assert rows() == before


# Questions


def test_patients_and_plans_of_all_archives_are_found_without_converting_any(archive: Archive, tars: Path) -> None:
    """Rubbish in the place of the archives is not noticed."""
    write(Course(beams=("static",), identifier="A1", plans=2), tars / "a.tar")
    write(Course(beams=("static",), identifier="B1", last_name="Roe"), tars / "b.tar.gz")
    assert [row.PatientID for row in archive.find("PATIENT")] == ["A1", "B1"]
    for tar in tars.iterdir():
        _spoil(tar)
    (row,) = archive.find("PATIENT", PatientName="roe*")
    assert (row.PatientID, str(row.PatientName), row.PatientBirthDate, row.PatientSex) == (
        "B1",
        "Roe^Jane^Q",
        "19610203",
        "F",
    )
    plans = archive.find("IMAGE", Modality="RTPLAN", RTPlanLabel="PLAN_1*")
    assert [(row.PatientID, row.RTPlanLabel) for row in plans] == [("A1", "PLAN_1 Trial_1"), ("B1", "PLAN_1 Trial_1")]


def test_studies_series_and_images_are_found_by_converting_one_patient(archive: Archive, tars: Path) -> None:
    """Their UIDs are then known, and lead to them without a PatientID."""
    truth = write(TWO, tars / "a.tar").patient
    images = truth.images[0]
    (study,) = archive.find("STUDY", PatientID=truth.identifier)
    assert study.StudyInstanceUID == images.study_uid
    (series,) = archive.find("SERIES", PatientID=truth.identifier, Modality="CT")
    assert (series.SeriesInstanceUID, series.NumberOfSeriesRelatedInstances) == (
        images.series_uid,
        len(images.pictures),
    )
    assert len(archive.find("IMAGE", SeriesInstanceUID=images.series_uid)) == len(images.pictures)
    assert set(archive.fetch(series=images.series_uid).uids) == {one.instance_uid for one in images.pictures}
    assert set(archive.fetch(study=images.study_uid).uids) == set(archive.patient(truth.identifier).uids)


def test_a_question_that_would_convert_the_whole_collection_is_refused(archive: Archive, tars: Path) -> None:
    """It would take days, and say too little."""
    for number in range(3):
        write(Course(beams=("static",), identifier=f"A{number}"), tars / f"{number}.tar")
    with pytest.raises(ConfigError) as caught:
        archive.find("SERIES", Modality="CT")
    assert str(caught.value) == (
        "tars looks for nothing below its studies unless it is told where. Give PatientID or StudyInstanceUID as well."
    )
    with pytest.raises(ConfigError) as caught:
        archive.find("STUDY", PatientID="A*")
    assert str(caught.value) == "tars would have to convert 3 patients to answer that. Ask for one PatientID."


def test_images_kept_in_the_archive_are_found_by_their_kind(archive: Archive, tars: Path) -> None:
    """RT images are passed through, so the newest of them can be asked for as anywhere else."""
    write(Course(images="dicom", rt_images=2, beams=("static",)), tars / "a.tar")
    assert {str(one.Modality) for one in archive.latest("PH0001", kind="rtimage")} == {"RTIMAGE"}
    assert len(archive.latest("PH0001", kind="ct")) == 20


# Several archives of one patient


def test_plans_of_all_archives_of_a_patient_belong_to_it(archive: Archive, tars: Path) -> None:
    """The plan that is in two of them is there once, and so are the images."""
    write(ONE, tars / "2012.tar")
    write(MORE, tars / "2014.tar")
    assert _labels(archive, "PH0001") == ["PLAN_1 Trial_1", "PLAN_2 Trial_1"]
    course = archive.patient("PH0001")
    assert _modalities(course) == ["RTDOSE"] * 2 + ["RTPLAN"] * 2 + ["RTSTRUCT"] * 2 + ["CT"]
    assert len(course) == 26
    assert _labels(archive, "PH0001") == ["PLAN_1 Trial_1", "PLAN_2 Trial_1"]


def test_a_plan_that_was_restored_as_another_patient_of_pinnacle_is_there_once(archive: Archive, tars: Path) -> None:
    """Restoring gives a patient another folder and number; what is in it stays the same plan."""
    write(ONE, tars / "2012.tar")
    _changed(
        MORE,
        tars / "2014.tar",
        ("Patient_1/Patient", b'PatientPath = "Institution_1/Mount_0/Patient_1"', b'PatientPath = "Mount_0/Patient_7"'),
    )
    assert _labels(archive, "PH0001") == ["PLAN_1 Trial_1", "PLAN_2 Trial_1"]
    assert len(archive.patient("PH0001")) == 26


def test_of_a_plan_in_two_versions_the_newer_one_counts(archive: Archive, tars: Path) -> None:
    """Which file was written last says nothing: it may be a copy."""
    newer = (
        ("Patient_1/Patient", b"2020-01-02 10:00:00", b"2021-01-02 10:00:00"),
        ("plan.Trial", b"Trial_1", b"Trial_9"),
    )
    _changed(ONE, tars / "newer.tar", *newer)
    write(ONE, tars / "older.tar")
    os.utime(tars / "newer.tar", ns=(1, 1))
    assert _labels(archive, "PH0001") == ["PLAN_1 Trial_9"]
    archive.patient("PH0001")
    assert _labels(archive, "PH0001") == ["PLAN_1 Trial_9"]


def test_two_people_under_one_number_are_not_put_together(archive: Archive, tars: Path) -> None:
    """A wrong number in one of thousands of archives must not mix two patients."""
    write(ONE, tars / "a.tar")
    _changed(
        Course(beams=("static",), last_name="Roe"), tars / "b.tar", ("Patient_1/Patient", b"1961-02-03", b"1975-08-09")
    )
    with pytest.raises(BadArchive) as caught:
        archive.patient("PH0001")
    assert str(caught.value) == (
        "2 archives of tars have this patient ID with different birth dates or names, so they are not put together. "
        "Convert the right one by itself: qa-fetch pinnacle export."
    )


def test_a_damaged_archive_beside_a_sound_one_keeps_the_patient_from_looking_whole(
    archive: Archive, tars: Path
) -> None:
    """What is behind the damage is not known, so it may be a plan."""
    write(ONE, tars / "2012.tar")
    data = write(MORE, tars / "2014.tar").path.read_bytes()
    (tars / "2014.tar").write_bytes(data[: int(len(data) * 0.97)])
    with pytest.raises(Incomplete):
        archive.patient("PH0001")
    assert "PLAN_1 Trial_1" in _labels(archive, "PH0001")


# Changes


def test_an_archive_that_was_replaced_is_converted_anew(archive: Archive, tars: Path) -> None:
    """What the shelf holds of the older one is not given for it."""
    _changed(ONE, tars / "a.tar", ("Plan_0/plan.Trial.binary.001", b"", b""))
    with pytest.raises(Incomplete):
        archive.patient("PH0001")
    old = archive.plan("PH0001", "PLAN_1").dataset
    _changed(ONE, tars / "a.tar", ("Plan_0/plan.Trial", b"NumberOfFractions = 12", b"NumberOfFractions = 13"))
    course = archive.patient("PH0001")
    assert not course.from_shelf
    assert _modalities(course) == ["RTDOSE", "RTPLAN", "RTSTRUCT", "CT"]
    new = archive.plan("PH0001", "PLAN_1").dataset
    assert old.SOPInstanceUID == new.SOPInstanceUID
    assert [data.FractionGroupSequence[0].NumberOfFractionsPlanned for data in (old, new)] == [12, 13]


def test_another_patient_is_not_converted_anew_for_it(archive: Archive, tars: Path) -> None:
    """A collection that grows every day keeps what was converted."""
    write(Course(beams=("static",), identifier="A1"), tars / "a.tar")
    archive.patient("A1")
    write(Course(beams=("static",), identifier="B1"), tars / "b.tar")
    _spoil(tars / "a.tar")
    assert archive.patient("A1").from_shelf


def test_two_patients_with_copies_of_the_same_images_each_get_their_own(archive: Archive, tars: Path) -> None:
    """Images keep the UIDs of their scanner, whoever they were copied to."""
    write(Course(beams=("static",), identifier="A1"), tars / "a.tar")
    write(Course(beams=("static",), identifier="B1"), tars / "b.tar")
    for patient in ("A1", "B1", "A1"):
        archive.plan(patient, "PLAN_1")
        course = archive.patient(patient)
        assert {str(one.PatientID) for one in course} == {patient}
        assert archive.patient(patient).from_shelf


# The rest


def test_processes_that_start_together_get_the_same_patient(archive: Archive, tars: Path) -> None:
    """Each gets all of it."""
    write(TWO, tars / "a.tar")
    worker = "import sys; from qa_fetch import Archive; print(*Archive(sys.argv[1]).patient('PH0001').uids)"
    running = [
        subprocess.Popen([sys.executable, "-c", worker, f"pinnacle:{tars}"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60)[0].split() for process in running]
    assert answers == [list(archive.patient("PH0001").uids)] * 2


def test_the_folder_of_archives_is_only_read(archive: Archive, tars: Path, tmp_path: Path) -> None:
    """Sending to it is refused file by file, with what to do."""
    (tmp_path / "plan.dcm").write_bytes(b"anything")
    with pytest.raises(Incomplete) as caught:
        archive.send(tmp_path / "plan.dcm")
    assert str(caught.value) == (
        "1 of 1 files were not sent to tars; the first: "
        "tars is a folder of Pinnacle archives, which is only read; send to another archive."
    )
    assert list(tars.iterdir()) == []


def test_the_connection_test_tells_what_is_there_and_what_is_damaged(archive: Archive, tars: Path) -> None:
    """A name of a damaged archive with its reason; the others are counted."""
    write(ONE, tars / "a.tar")
    write(Course(beams=("static",), identifier=""), tars / "nameless.tar")
    for number in range(7):
        (tars / f"bad{number}.tar").write_bytes(b"rubbish")
    steps = [(step.name, step.works, step.says) for step in archive.echo("PH0001")]
    assert steps[:2] == [
        ("folder", True, f"{tars} can be read"),
        (
            "archives",
            True,
            "archives: 9, patients in them: 1, and 1 without a number, for qa-fetch pinnacle export only",
        ),
    ]
    assert steps[2] == (
        "bad0.tar",
        False,
        "bad0.tar is no tar archive that can be read. Fetch it again from where it was kept.",
    )
    assert steps[7:] == [
        ("further archives", False, "2 more cannot be read as a whole"),
        ("patient", True, "plans of that patient: 1"),
    ]


def test_it_is_configured_by_its_kind_and_its_folder(tars: Path, tmp_path: Path) -> None:
    """As a table, and inline."""
    write(ONE, tars / "a.tar")
    (tmp_path / "qa_fetch.toml").write_text('[archives.pinnacle]\nkind = "pinnacle"\npath = "tars"\n')
    by_name = Archive("pinnacle")
    assert (by_name.config.kind, by_name.name) == ("pinnacle", "pinnacle")
    assert len(by_name.patient("PH0001")) == 23
    assert Archive("pinnacle:.").name == "pinnacle"
    with pytest.raises(ConfigError) as caught:
        Archive("pinnacle:nowhere").find("PATIENT")
    assert str(caught.value) == "nowhere: nowhere is not a folder. Correct path."


def test_another_way_to_the_same_archive_changes_none_of_this(tars: Path, tmp_path: Path) -> None:
    """A patient of which something is left out is no result with ``also`` either."""
    _changed(ONE, tars / "a.tar", ("Plan_0/plan.Trial.binary.001", b"", b""))
    (tmp_path / "copy").mkdir()
    (tmp_path / "qa_fetch.toml").write_text(
        '[archives.old]\nkind = "pinnacle"\npath = "tars"\nalso = ["copy"]\n'
        '[archives.copy]\nkind = "folder"\npath = "copy"\n'
    )
    with pytest.raises(Incomplete):
        Archive("old").patient("PH0001")
    assert Archive("old").plan("PH0001", "PLAN_1").name == "PLAN_1 / Trial_1"


def test_an_archive_that_is_written_while_it_is_converted_is_not_used(
    archive: Archive, tars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say which half of it was read."""
    from qa_fetch import ConnectionFailed
    from qa_fetch.backends import pinnacle_conversion

    write(ONE, tars / "a.tar")
    real = pinnacle_conversion.export

    def slowly(path: Path, *rest: Any, **more: Any) -> Any:
        try:
            return real(path, *rest, **more)
        finally:
            os.utime(path)

    monkeypatch.setattr(pinnacle_conversion, "export", slowly)
    with pytest.raises(ConnectionFailed) as caught:
        archive.patient("PH0001")
    assert str(caught.value) == (
        "an archive of tars changed while it was converted, so nothing of it is used. "
        "Call again when it is written to its end."
    )
    monkeypatch.undo()
