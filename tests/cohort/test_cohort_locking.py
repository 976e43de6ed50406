"""Locked cohorts: what the manifest holds, and what is found out when something is another than it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from cohort_stage import staged
from truth_codes import config
from truth_scenarios import quick

from qa_fetch import BadArchive, ConfigError, Incomplete, NotFound
from qa_fetch.cohort import codes
from qa_fetch.cohort.built import Built, BuiltDose, BuiltPlan, BuiltRoi, BuiltSet
from qa_fetch.cohort.config import Settings, settings
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.locking import Locked, is_locked, lock, manifest_path, verify
from qa_fetch.cohort.manifest import digest, named_by
from qa_fetch.cohort.notes import Notes

_FILES = (
    "CT/1.dcm",
    "CT/2.dcm",
    "CTnifti/ct.nii.gz",
    "RTDOSE/1.2.7.dcm",
    "RTDOSEnifti/1.2.7.nii.gz",
    "RTPLAN/1.2.6.dcm",
    "RTSTRUCT/1.2.5_rtstruct.dcm",
    "masks/1.2.5/ptv.nii.gz",
)


def cohort(folder: Path, **changes: object) -> Settings:
    return settings(config(folder, password="secret-4711", username="haidar", **changes), as_json=True)


def built(of: Settings, patient: str, *, ready: bool = True) -> PatientFolder:
    """A patient as the build leaves one; what is in the files does not matter here."""
    folder = PatientFolder.of(of, patient)
    roi = BuiltRoi(1, "PTV", "PTV", None, _FILES[7], ((0, 1), (0, 1), (0, 1)), 1.0, None)
    undrawn = BuiltRoi(2, "x", "ORGAN", None, None, None, None, None, (), "it has no contours")
    what = Built(
        patient=patient,
        rules="a mark",
        modality="CT",
        series="1.2.2",
        study="1.2.1",
        frame_of_reference="1.2.3",
        images=_FILES[:2],
        instances=("1.2.4.1", "1.2.4.2"),
        nifti=_FILES[2],
        structures=(BuiltSet("1.2.5", _FILES[6], (roi, undrawn)),),
        plans=(BuiltPlan("1.2.6", _FILES[5], "P", "APPROVED", 60.0, 30),),
        doses=(BuiltDose("1.2.7", _FILES[3], _FILES[4], "1.2.6", 61.0),),
    )
    for path in what.images + (_FILES[2], *_FILES[3:7], _FILES[7]):
        (folder.root / path).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / path).write_bytes(f"{patient} {path}".encode())
    what.write(folder)
    notes = Notes(patient)
    notes.give(codes.XXIV_SUCC_001 if ready else codes.XXIV_EXEC_001)
    notes.ready = ready
    notes.write(of.patientnotesdir)
    return folder


@pytest.fixture
def two(tmp_path: Path) -> Settings:
    """A cohort of two patients who are ready and one who is not."""
    found = cohort(tmp_path)
    built(found, "12"), built(found, "1/2"), built(found, "1", ready=False)
    return found


def report(of: Settings) -> dict[str, object]:
    found: dict[str, object] = json.loads((of.work / "lock_report.json").read_text("utf-8"))
    return found


def test_the_manifest_names_every_file_with_its_hash_and_uid(two: Settings) -> None:
    """Of patients who are ready, and of nobody else."""
    found = json.loads(lock(two).read_text("utf-8"))
    assert [patient["patient"] for patient in found["patients"]] == ["1/2", "12"]
    patient = found["patients"][1]
    assert (patient["study"], patient["series"], patient["frame_of_reference"]) == ("1.2.1", "1.2.2", "1.2.3")
    assert sorted(patient["files"]) == sorted(_FILES)
    content = b"12 CT/1.dcm"
    expected = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "uid": "1.2.4.1"}
    assert patient["files"]["CT/1.dcm"] == expected
    uids = [entry.get("uid") for path, entry in sorted(patient["files"].items())]
    assert uids == ["1.2.4.1", "1.2.4.2", None, "1.2.7", None, "1.2.6", "1.2.5", None]
    assert set(found["versions"]) == {"qa_fetch", "python", "numpy", "pydicom", "nibabel"}
    assert found["rules"]["slices_drop_below"] == 50 and "locked" not in found


def test_the_manifest_holds_neither_secrets_nor_places_of_this_machine(two: Settings, tmp_path: Path) -> None:
    """It can be given away with the cohort."""
    text = lock(two).read_text("utf-8")
    for private in ("secret-4711", "haidar", "8042", str(tmp_path), tmp_path.name):
        assert private not in text


def test_the_same_cohort_elsewhere_gives_the_same_bytes(two: Settings, tmp_path: Path) -> None:
    """Whenever and in whatever folder it is locked; only a day that the caller gives is told."""
    other = cohort(tmp_path / "elsewhere")
    built(other, "1/2"), built(other, "12")
    first = lock(two)
    assert first.read_bytes() == lock(other).read_bytes()
    lock(two, again=True, locked=date(2025, 11, 22))
    assert json.loads(first.read_text("utf-8"))["locked"] == "2025-11-22"
    assert verify(two).intact


def test_a_locked_cohort_is_not_locked_again_unless_told(two: Settings) -> None:
    """The manifest that is there stays as it is."""
    path = lock(two)
    before = path.read_bytes()
    (PatientFolder.of(two, "12").root / "CT/1.dcm").write_bytes(b"another")
    with pytest.raises(ConfigError) as raised:
        lock(two)
    assert str(raised.value) == (
        f"The cohort is locked already by manifest.json in {two.work}. Verify it, or say that it shall be locked again."
    )
    assert path.read_bytes() == before
    assert lock(two, again=True).read_bytes() != before


def test_a_cohort_without_a_ready_patient_cannot_be_locked(tmp_path: Path) -> None:
    """An empty manifest would be worth nothing."""
    found = cohort(tmp_path)
    built(found, "1", ready=False)
    with pytest.raises(NotFound) as raised:
        lock(found)
    assert str(raised.value) == (
        "No patient of the cohort is ready, so there is nothing to lock. Run: qa-fetch cohort build."
    )
    assert not is_locked(found)


def test_a_patient_of_whom_a_file_is_gone_is_not_locked(two: Settings) -> None:
    """Half a patient must not look like a whole one."""
    (PatientFolder.of(two, "12").root / "RTDOSE/1.2.7.dcm").unlink()
    with pytest.raises(Incomplete) as raised:
        lock(two)
    assert str(raised.value) == (
        "What was built of 1 of 2 patients is not all there, so nothing was locked. Run: qa-fetch cohort build."
    )
    assert not is_locked(two)


def test_a_cohort_that_is_as_it_was_is_said_to_be_so(two: Settings) -> None:
    """What is made from the files, and what is being written, changes nothing."""
    lock(two)
    folder = PatientFolder.of(two, "12")
    folder.dosimetry.mkdir()
    (folder.dosimetry / "12_.csv").write_text("made again at any time")
    (folder.images / ".3.dcm.part").write_text("half")
    steps: list[tuple[int, int]] = []
    found = verify(two, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)]
    assert found.sentence() == "The cohort is as it was locked: patients 2, files 16."
    assert found.intact and found.exit_code == 0


def test_what_changed_is_missing_or_new_is_counted_and_named_in_the_report(two: Settings) -> None:
    """Numbers in the message, names only in the file."""
    lock(two)
    folder = PatientFolder.of(two, "12").root
    (folder / "CT/1.dcm").write_bytes(b"12 CT/1.dcM")  # as long as it was
    (folder / "masks/1.2.5/ptv.nii.gz").unlink()
    (folder / "RTSTRUCT/late.dcm").write_bytes(b"")
    found = verify(two)
    assert found.sentences() == (
        "Files that are not what they were: 1.",
        "Files that are gone: 1.",
        "Files that are new: 1.",
        "The cohort is not as it was locked; lock_report.json has the list. "
        "Bring back what it was, or lock it again as it is.",
    )
    said = report(two)
    assert said["changed"] == {"12": ["CT/1.dcm"]}
    assert said["missing"] == {"12": ["masks/1.2.5/ptv.nii.gz"]}
    assert said["new"] == {"12": ["RTSTRUCT/late.dcm"]}
    assert not found.intact and found.exit_code == 1


def test_another_record_of_the_build_is_noticed_and_its_notes_are_not(two: Settings) -> None:
    """What it says of regions counts; how long it took does not."""
    lock(two)
    folder = PatientFolder.of(two, "12")
    found = Built.read(folder)
    assert found is not None
    replace(found, notes=("XI: CT retrieval:Took 5.89 s",)).write(folder)
    assert verify(two).intact
    replace(found, structures=()).write(folder)
    assert not verify(two).intact
    assert report(two)["changed"] == {"12": ["built.json"]}


def test_patients_who_left_or_joined_are_told(two: Settings) -> None:
    """Also where all their files are as they were."""
    lock(two)
    notes = Notes.read(two.patientnotesdir, "12")
    assert notes is not None
    notes.ready = False
    notes.write(two.patientnotesdir)
    built(two, "1")
    found = verify(two)
    assert found.sentences()[:2] == (
        "Patients who are not ready any more: 1.",
        "Patients who are ready and were not locked: 1.",
    )
    assert (report(two)["patients_gone"], report(two)["patients_added"]) == (["12"], ["1"])


def test_a_patient_whose_record_is_damaged_does_not_hide_the_others(two: Settings) -> None:
    """They are not ready any more, and whatever else is different is told too."""
    lock(two)
    PatientFolder.of(two, "12").built.write_text("{")
    (PatientFolder.of(two, "1/2").root / "CT/1.dcm").write_bytes(b"another")
    found = verify(two)
    assert (found.gone, found.changed, found.missing) == (1, 1, 0)
    with pytest.raises(BadArchive):
        lock(two, again=True)


def test_another_rule_is_told_and_another_place_is_not(two: Settings, tmp_path: Path) -> None:
    """The data are the same; what led to them is not."""
    lock(two)
    moved = replace(two, ipport="http://10.0.0.1:8042", CONNECTIONS=8)
    assert verify(moved).intact
    found = verify(replace(two, slices_drop_below=40, possibilities=("ptv",)))
    assert found.rules == (
        'The rule possibilities was ["ptv", "gtv", "ctv"] and is ["ptv"].',
        "The rule slices_drop_below was 50 and is 40.",
    )
    assert not found.intact


def test_other_versions_are_told_and_break_nothing(two: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are the same; what is worked out from them might differ."""
    lock(two)
    monkeypatch.setattr("qa_fetch.cohort.locking.versions", lambda: {"numpy": "99"})
    found = verify(two)
    assert found.intact
    assert any(sentence.startswith("It was locked with numpy ") for sentence in found.sentences())
    assert found.sentences()[-1].endswith("; here is absent.")


def test_a_cohort_that_is_not_locked_cannot_be_verified(two: Settings) -> None:
    """It says what to do."""
    with pytest.raises(NotFound) as raised:
        verify(two)
    assert str(raised.value) == f"The cohort is not locked: {two.work} has no manifest.json. Lock it first."


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: "no JSON",
        lambda found: "[]",
        lambda found: json.dumps({**found, "format": 99}),
        lambda found: json.dumps({**found, "patients": [{**found["patients"][0], "files": {"../../etc/passwd": {}}}]}),
        lambda found: json.dumps({**found, "patients": [{**found["patients"][0], "patient": 12}]}),
    ],
    ids=["no JSON", "a list", "another format", "a path that leaves the folder", "an ID that is no text"],
)
def test_a_manifest_that_is_damaged_is_not_believed(two: Settings, damage: object) -> None:
    """Nor does it lead out of the cohort."""
    path = lock(two)
    path.write_text(damage(json.loads(path.read_text("utf-8"))), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(BadArchive) as raised:
        verify(two)
    assert str(raised.value) == (
        f"{path} is not a manifest that qa-fetch wrote, or it is damaged. "
        "Bring back a copy of it, or remove it and lock the cohort again."
    )


def test_a_file_that_cannot_be_read_is_told_apart(two: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be as it was; the administrator of this machine could read it."""
    lock(two)
    monkeypatch.setattr("qa_fetch.cohort.locking.digest", lambda path: None if path.name == "1.dcm" else digest(path))
    assert verify(two).sentences()[0] == "Files that are there and cannot be read: 2."


def test_a_copy_of_a_patients_folder_is_no_further_patient(two: Settings) -> None:
    """Folders are named by their patients."""
    folder = PatientFolder.of(two, "12").root
    folder.rename(folder.with_name("12 copy"))
    assert [json.loads(lock(two).read_text("utf-8"))["patients"][0]["patient"]] == ["1/2"]


def test_nothing_in_a_sentence_names_a_patient(two: Settings) -> None:
    """Messages go to logs and tickets."""
    lock(two)
    PatientFolder.of(two, "1/2").built.unlink()
    found = verify(two)
    assert isinstance(found, Locked) and found.gone == 1 and "1/2" not in found.sentence()
    assert manifest_path(two).is_file()


def test_what_the_build_really_leaves_is_locked_as_a_whole(tmp_path: Path) -> None:
    """Every file that it names is in the manifest, and building again gives the same bytes."""
    paths = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        stage = staged(folder, [quick()])
        notes = stage.build()
        notes.ready = True
        notes.write(stage.settings.patientnotesdir)
        paths.append(lock(stage.settings))
        assert verify(stage.settings).intact
        (found,) = json.loads(paths[-1].read_text("utf-8"))["patients"]
        assert set(named_by(stage.built())) <= set(found["files"])
        uids = {entry["uid"] for entry in found["files"].values() if "uid" in entry}
        assert uids == set(stage.made[0].truth.instance_uids)
    assert paths[0].read_bytes() == paths[1].read_bytes()
