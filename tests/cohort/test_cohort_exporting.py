"""Exports: what is in them, that nothing of others is lost, and that they go on where they stopped."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_built import built_patient, settings_in
from truth_course import Course
from truth_scenarios import quick

from qa_fetch.cohort import codes, exporting, loading
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.notes import Notes
from qa_fetch.errors import ConfigError, Incomplete

PATIENT = quick().patient


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of two patients, built."""
    folder = tmp_path_factory.mktemp("ordinary")
    for patient in (PATIENT, "../2"):
        built_patient(_course(patient), settings_in(folder))
    return folder


def _course(patient: str) -> Course:
    return quick(slices=12, patient=patient)


@pytest.fixture
def settings(ordinary: Path, tmp_path: Path) -> Settings:
    """A copy of the same."""
    shutil.copytree(ordinary, tmp_path / "cohort")
    return settings_in(tmp_path / "cohort")


@pytest.fixture
def loaded(settings: Settings) -> loading.Loaded:
    """The first patient."""
    return loading.load(settings, PATIENT)


def export(settings: Settings, *patients: str, **options: Any) -> Any:
    """The export of these patients, or of all."""
    return exporting.export(settings, patients or None, where="threads", **options)


def test_an_npz_holds_the_dictionary_without_pickles(loaded: loading.Loaded, tmp_path: Path) -> None:
    """numpy reads every entry with allow_pickle=False, and each is that of the dictionary."""
    path = tmp_path / "out" / "a.npz"
    exporting.npz(loaded, path)
    expected = loaded.as_dict()
    masks = expected.pop("roi_masks")
    with np.load(path, allow_pickle=False) as found:
        more = {"roi_numbers", "roi_structures", "roi_volumes_cc", "affine"}
        assert set(found.files) == {*expected, *masks, *more}
        for name, value in {**expected, **masks}.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == np.asarray(value).dtype
        assert found["roi_numbers"].tolist() == [2, 1]
        assert found["roi_structures"].tolist() == [roi.structures for roi in loaded.rois]
        assert found["roi_volumes_cc"].tolist() == [roi.volume_cc for roi in loaded.rois]
        np.testing.assert_array_equal(found["affine"], loaded.images.grid.affine)
    assert [each.name for each in path.parent.iterdir()] == ["a.npz"]


def test_the_same_patient_gives_the_same_bytes(loaded: loading.Loaded, tmp_path: Path) -> None:
    """Neither of both says when it was written."""
    for write, name in ((exporting.npz, "a.npz"), (exporting.matlab, "a.mat")):
        path = tmp_path / name
        write(loaded, path)
        first = path.read_bytes()
        write(loaded, path)  # over one's own
        assert path.read_bytes() == first
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.pymedphys
def test_scipy_reads_the_matlab_file(loaded: loading.Loaded, tmp_path: Path) -> None:
    """Arrays keep their order, masks are logical and named as PDCP names them."""
    from scipy.io import loadmat

    path = tmp_path / "a.mat"
    exporting.matlab(loaded, path)
    found = loadmat(str(path))
    expected = loaded.as_dict()
    for name in ("ct_image", "dose_data"):
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].dtype == expected[name].dtype
    for name, mask in expected["roi_masks"].items():
        np.testing.assert_array_equal(found["roi_masks"][name][0, 0], mask)
    assert [str(each[0]) for each in found["roi_names"][0]] == expected["roi_names"]
    assert found["PixelSpacing"].tolist() == [list(expected["PixelSpacing"])]
    assert found["StudyDate"].tolist() == [[20250901]]
    assert found["StructureSetDate"].tolist() == ["20250901"]
    assert found["version"].tolist() == ["truth 1"]
    assert found["roi_numbers"].tolist() == [[2, 1]]
    np.testing.assert_array_equal(found["affine"], loaded.images.grid.affine)


def test_a_patient_without_dose_or_masks_is_exported(loaded: loading.Loaded, tmp_path: Path) -> None:
    """What is not there is no entry."""
    bare = dataclasses.replace(loaded, dose=None, known=None, rois=())
    exporting.npz(bare, tmp_path / "a.npz")
    exporting.matlab(bare, tmp_path / "a.mat")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert "dose_data" not in found.files
        assert found["roi_names"].tolist() == []
    nothing = dataclasses.replace(loaded, rois=(dataclasses.replace(loaded.rois[0], volume_cc=None),))
    exporting.npz(nothing, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert np.isnan(found["roi_volumes_cc"]).tolist() == [True]


def test_a_file_of_somebody_else_is_not_written_over(loaded: loading.Loaded, tmp_path: Path) -> None:
    """Neither one of another program nor a folder, and nothing half-written stays."""
    said = (
        f"A file in {tmp_path} has the name of an export and was not written by qa-fetch. "
        "Move it away, then export again."
    )
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    (tmp_path / "b.npz").write_bytes(b"no archive")
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64")
    (tmp_path / "b.mat").mkdir()
    before = {path.name: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    for write, name in (
        (exporting.npz, "a.npz"),
        (exporting.npz, "b.npz"),
        (exporting.matlab, "a.mat"),
        (exporting.matlab, "b.mat"),
    ):
        with pytest.raises(ConfigError) as error:
            write(loaded, tmp_path / name)
        assert str(error.value) == said
    assert {path.name: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_written_to_is_said(loaded: loading.Loaded, tmp_path: Path) -> None:
    """One sentence, and it is not tried again by itself."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Incomplete) as error:
        exporting.npz(loaded, tmp_path / "file" / "a.npz")
    assert str(error.value) == (
        f"The export cannot be written to {tmp_path / 'file'} (File exists). Free space there or give another folder."
    )
    assert error.value.retriable is False


def test_an_export_that_breaks_off_leaves_the_last_one(
    loaded: loading.Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up takes nothing away."""
    path = tmp_path / "a.npz"
    exporting.npz(loaded, path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_mask", full)
    with pytest.raises(Incomplete, match="No space left on device"):
        exporting.npz(loaded, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_all_patients_are_exported_and_once(settings: Settings) -> None:
    """Under names that no ID can lead out of the folder; a second run has nothing to do."""
    assert settings.picklefiles is not None and settings.matlabfiles is not None
    report = export(settings)
    assert (report.done, report.failed, report.already) == (2, 0, 0)
    names = sorted(path.name for path in settings.picklefiles.iterdir())
    assert len(names) == 2 and names[0] == "123456789.npz" and "~" in names[1]
    assert sorted(path.stem for path in settings.matlabfiles.iterdir()) == [Path(name).stem for name in names]
    assert report.bytes == sum(
        path.stat().st_size for folder in (settings.picklefiles, settings.matlabfiles) for path in folder.iterdir()
    )
    before = (settings.picklefiles / "123456789.npz").stat().st_mtime_ns
    assert export(settings).already == 2
    assert (settings.picklefiles / "123456789.npz").stat().st_mtime_ns == before


def test_what_is_gone_or_built_again_is_exported_again(settings: Settings) -> None:
    """And nothing else."""
    assert settings.picklefiles is not None
    export(settings, matlab=False)
    assert settings.matlabfiles is not None and not settings.matlabfiles.exists()
    (settings.picklefiles / "123456789.npz").unlink()
    assert export(settings, matlab=False).already == 1
    assert (settings.picklefiles / "123456789.npz").is_file()
    built = PatientFolder.of(settings, PATIENT).built
    built.write_text(built.read_text().replace('"rules": "test"', '"rules": "others"'))
    assert export(settings, matlab=False).already == 1


def test_excluded_patients_are_left_out_and_say_why_where_they_are_named(settings: Settings) -> None:
    """The report has the sentence of the code."""
    notes = Notes.read(settings.patientnotesdir, PATIENT)
    assert notes is not None
    notes.give(codes.XXIV_EXEC_003)
    notes.write(settings.patientnotesdir)
    assert export(settings, npz=False).done == 1
    report = export(settings, PATIENT, npz=False)
    assert report.failed == 1
    (row,) = (row for row in report.rows() if row.key == PATIENT)
    assert row.error == f"This patient is excluded by XXIV_EXEC_003. {codes.XXIV_EXEC_003.sentence}"


def test_a_patient_with_a_mask_that_cannot_be_read_is_not_exported_in_part(settings: Settings) -> None:
    """A part must not pass as the whole."""
    assert settings.picklefiles is not None
    built = loading.load(settings, PATIENT).built
    roi = built.structures[0].rois[0]
    (PatientFolder.of(settings, PATIENT).root / str(roi.file)).unlink()
    report = export(settings, PATIENT)
    (row,) = (row for row in report.rows() if row.key == PATIENT)
    assert row.error == (
        f"ROI 2 of the structure set {built.structures[0].uid} is left out. The mask is not there any more. "
        "Run the build again."
    )
    assert not settings.picklefiles.exists()


def test_one_id_alone_is_one_patient_and_a_path_may_be_a_text(settings: Settings, tmp_path: Path) -> None:
    """Not a list of its letters."""
    report = exporting.export(settings, PATIENT, where="threads")
    assert [row.key for row in report.rows()] == [PATIENT] and report.complete
    loaded = loading.load(settings, PATIENT)
    for write, name in ((exporting.npz, "a.npz"), (exporting.matlab, "a.mat")):
        write(loaded, str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 0


def test_folders_that_are_not_set_are_asked_for(settings: Settings) -> None:
    """An export has to go somewhere."""
    nowhere = dataclasses.replace(settings, picklefiles=None, matlabfiles=None)
    with pytest.raises(ConfigError) as error:
        export(nowhere)
    assert str(error.value) == ("nothing is to be exported. Set picklefiles or matlabfiles in the configuration.")
    with pytest.raises(ConfigError) as error:
        export(nowhere, npz=True)
    assert str(error.value) == (
        "picklefiles is not set, so there is no folder to export to. Set it in the configuration."
    )


def test_a_work_can_be_sent_to_another_process(settings: Settings) -> None:
    """Processes are the default: what they get is pickled."""
    import functools

    again = pickle.loads(pickle.dumps(functools.partial(exporting._one, settings)))
    payload = exporting._payload(settings, PATIENT, {".npz": str(settings.picklefiles)})
    done = again(payload)
    assert exporting._intact(payload, done.detail)
    with zipfile.ZipFile(payload["files"][".npz"]) as archive:
        assert archive.testzip() is None
