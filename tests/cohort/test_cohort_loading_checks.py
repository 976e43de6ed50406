"""The codes XXI to XXIV, and everything about a built patient that must not be loaded."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from cohort_built import built_patient, settings_in
from truth_codes import WHOLE
from truth_course import Plan
from truth_dose import Linear
from truth_scenarios import SCENARIOS, Scenario, quick

from qa_fetch.cohort import codes, loading, volumes
from qa_fetch.cohort.built import Built
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.grids import Grid, Volume
from qa_fetch.cohort.notes import Notes
from qa_fetch.errors import BadArchive, NotFound

STEPS = ("XXI_", "XXII_", "XXIII_", "XXIV_")
LOADED = [each for each in SCENARIOS if any(code.startswith(STEPS) for code in set(each.codes) - set(WHOLE))]
PATIENT = quick().patient
GONE = "Remove its file, then run the build again."


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of one patient, built."""
    folder = tmp_path_factory.mktemp("ordinary")
    built_patient(quick(), settings_in(folder))
    return folder


@pytest.fixture
def settings(ordinary: Path, tmp_path: Path) -> Settings:
    """A copy of the same, to be damaged."""
    shutil.copytree(ordinary, tmp_path / "cohort")
    return settings_in(tmp_path / "cohort")


def folder_of(settings: Settings) -> PatientFolder:
    """That of the patient."""
    return PatientFolder.of(settings, PATIENT)


def built_of(settings: Settings) -> Built:
    """What was built of it."""
    built = Built.read(folder_of(settings))
    assert built is not None
    return built


def checked(settings: Settings, patient: str = PATIENT) -> Notes:
    """The notes of the patient after the check."""
    notes = Notes.read(settings.patientnotesdir, patient)
    assert notes is not None
    loading.check(settings, patient, notes)
    return notes


def refused(settings: Settings) -> str:
    """What is said when the patient is loaded."""
    with pytest.raises((BadArchive, NotFound)) as error:
        loading.load(settings, PATIENT)
    assert PATIENT not in str(error.value)
    return str(error.value)


def image(settings: Settings, name: str) -> Any:
    """A NIfTI file of the patient: grid and values."""
    from qa_fetch.cohort import reading

    return reading.read(folder_of(settings).root / name, "It", None)


@pytest.mark.parametrize("scenario", LOADED, ids=lambda scenario: scenario.name)
def test_every_mishap_has_its_codes(scenario: Scenario, ordinary: Path, tmp_path: Path) -> None:
    """What the generator's scenarios say comes out, in their order; whoever is not excluded is ready."""
    (course,) = scenario.courses
    settings = settings_in(tmp_path / "cohort", **scenario.settings)
    if course == quick():
        shutil.copytree(ordinary, tmp_path / "cohort")
    else:
        built_patient(course, settings)
    for mishap in scenario.mishaps:
        mishap.happen(folder_of(settings).root, PATIENT)
    notes = checked(settings)
    assert tuple(code.name for code in notes.codes) == scenario.codes
    assert notes.status == scenario.status()
    ready = scenario.status() != "EXECLUDE"
    assert notes.ready is ready
    assert PATIENT not in " ".join(notes.lines("loading_notes"))


def test_the_notes_read_like_those_of_pdcp(settings: Settings) -> None:
    """Line by line what its manual shows, and the same again when it is checked again."""
    notes = checked(settings)
    dose = built_of(settings).doses[0]
    expected = (
        "XXI: load CT",
        "XXI: loading CT: Load was successful",
        "XXI: XXI_SUCC_001:PROCEED",
        "XXII: XXII loading masks",
        "XXII: XXII loading masks: loaded the mask to numpy array:PTV_60",
        "XXII: XXII loading masks: loaded the mask to numpy array:PTV_60_ring",
        "XXII: XXII loading masks: loaded all the patient's masks.",
        "XXII: XXII_SUCC_001:PROCEED",
        "XXIII: XXIII loading RTDOSES",
        f"XXIII: XXIII loading RTDOSES: added an rt dose: {dose.uid}",
        "XXIII: XXIII loading RTDOSES: added the RTDOSES.",
        "XXIII: XXIII_SUCC_001:PROCEED",
        "XXIV: XXIV select RTDOSES",
        f"XXIV: XXIV select RTDOSES: Maximum of rt doses: [{dose.highest_gy:.6f}]",
        "XXIV: XXIV select RTDOSES: RTDOSES successfully loaded",
        "XXIV: XXIV_SUCC_001:PROCEED",
    )
    assert notes.lines("loading_notes") == expected
    assert tuple(code.name for code in notes.codes) == WHOLE
    loading.check(settings, PATIENT, notes)
    assert notes.lines("loading_notes") == expected


def test_a_profile_without_dose_stops_after_the_masks(tmp_path: Path) -> None:
    """There is no dose to be loaded, and the patient is ready."""
    settings = settings_in(tmp_path, required_modalities_for_patient=["CT", "RTSTRUCT"])
    built_patient(quick(slices=16, leave_out=("RTDOSE", "RTPLAN")), settings)
    notes = checked(settings)
    assert notes.codes[-1] == codes.XXII_SUCC_001 and notes.ready


def test_the_window_is_that_of_the_sum_and_not_of_the_sum_of_maxima(tmp_path: Path) -> None:
    """Two plans whose highest voxels lie apart have less together than their maxima added; one grid may be smaller."""
    one, two = Linear(40.0, (0.9, 0.0, 0.0)), Linear(40.0, (-0.9, 0.0, 0.0))
    course = quick(slices=16, plans=(Plan("A", dose=one), Plan("B", dose=two)))
    settings = settings_in(tmp_path, suspicious_max_dose_upper_bound=81)
    built = built_patient(course, settings)
    assert sum(dose.highest_gy for dose in built.doses) > 90
    notes = checked(settings)
    assert notes.codes[-1] == codes.XXIV_SUCC_001
    assert "XXIV: XXIV select RTDOSES: Maximum of the sum of rt doses: 80.00" in " ".join(notes.lines("loading_notes"))
    notes = checked(settings_in(tmp_path, suspicious_max_dose_upper_bound=80))
    assert notes.codes[-1] == codes.XXIV_EXEC_003
    assert notes.lines("loading_notes")[-3].startswith("XXIV: The highest voxel has 80.000 Gy, which is not between 38")
    # Where the sum is not known, it is no less than one of its parts.
    grid, _ = image(settings, built.doses[1].nifti)
    small = Grid((*grid.shape[:2], 2), grid.origin, grid.steps, None)
    path = folder_of(settings).root / built.doses[1].nifti
    volumes.nifti(Volume(small, np.full(small.shape, 1e-3, dtype=np.float32), "RTDOSE", ""), path)
    notes = checked(settings_in(tmp_path, suspicious_max_dose_lower_bound=45))
    assert notes.codes[-1] == codes.XXIV_SUCC_001


def test_a_patient_that_was_not_built_cannot_be_loaded(settings: Settings) -> None:
    """The code is that of images that cannot be loaded, and the sentence says what to run."""
    (folder_of(settings).root / "built.json").unlink()
    said = "This patient has not been built. Run: qa-fetch cohort build."
    assert refused(settings) == said
    notes = checked(settings)
    assert notes.codes[-1] == codes.XXI_EXEC_001 and not notes.ready
    assert f"XXI: {said}" in notes.lines("loading_notes")
    assert loading.built_patients(settings) == []


def test_an_excluded_patient_is_loaded_only_by_who_says_so(settings: Settings) -> None:
    """The sentence of the code says why."""
    notes = Notes.read(settings.patientnotesdir, PATIENT)
    assert notes is not None
    notes.give(codes.XXIV_EXEC_003)
    notes.write(settings.patientnotesdir)
    assert refused(settings) == f"This patient is excluded by XXIV_EXEC_003. {codes.XXIV_EXEC_003.sentence}"
    assert loading.load(settings, PATIENT, excluded=True).dose is not None


def _another(built: Built) -> Built:
    return replace(built, patient="9")


def _away(built: Built) -> Built:
    return replace(built, nifti="../9/CTnifti/a.nii.gz")


def _absolute(built: Built) -> Built:
    rois = (replace(built.structures[0].rois[0], file="/etc/passwd"), built.structures[0].rois[1])
    return replace(built, structures=(replace(built.structures[0], rois=rois),))


def _fewer(built: Built) -> Built:
    return replace(built, instances=built.instances[1:])


def _no_dose(built: Built) -> Built:
    return replace(built, doses=())


OUTSIDE = "The patient's built.json names a file outside of the patient's folder. Run the build again."


@pytest.mark.parametrize(
    "change, said, code",
    [
        (
            _another,
            "The folder of this patient holds another one. Remove it, then run the build again.",
            "XXI_EXEC_001",
        ),
        (_away, OUTSIDE, "XXI_EXEC_001"),
        (_absolute, OUTSIDE, "XXI_EXEC_001"),
        (
            _fewer,
            "The volume of the images has 52 slices, but 51 images were built. "
            "Remove the patient's folder, then run the build again.",
            "XXI_EXEC_001",
        ),
        (
            _no_dose,
            "No dose is among what was built of this patient. Run the build again, or use profile CR.",
            "XXIV_EXEC_001",
        ),
    ],
)
def test_what_was_built_must_be_what_is_there(
    change: Callable[[Built], Built], said: str, code: str, settings: Settings
) -> None:
    """What built.json names has to be this patient's, in its folder, and all of it."""
    change(built_of(settings)).write(folder_of(settings))
    assert refused(settings) == said
    assert checked(settings).codes[-1].name == code


def test_a_built_json_of_something_else_is_said(settings: Settings) -> None:
    """It does not take the other patients with it."""
    folder_of(settings).built.write_text("{}")
    said = (
        f"built.json of a patient in {settings.datadirectory} is not what qa-fetch writes. "
        "Move the patient's folder away, then run the build again."
    )
    assert refused(settings) == said
    assert checked(settings).codes[-1] == codes.XXI_EXEC_001
    assert loading.built_patients(settings) == [PATIENT]


def _cut(data: bytes) -> bytes:
    return data[:-4]  # only the end of the checksum


def _plain(data: bytes) -> bytes:
    return gzip.decompress(data)


def _not_nifti(data: bytes) -> bytes:
    return gzip.compress(b"NIFTI" * 100)


def _little(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data)[:100])


def _four_axes(data: bytes) -> bytes:
    whole = bytearray(gzip.decompress(data))
    whole[40:42] = b"\4\0"
    return gzip.compress(bytes(whole), 1)


def _huge(data: bytes) -> bytes:
    whole = bytearray(gzip.decompress(data))
    whole[42:48] = b"\xff\x7f" * 3
    return gzip.compress(bytes(whole), 1)


def _more(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data) + bytes(1 << 21), 1)


def _unknown_numbers(data: bytes) -> bytes:
    whole = bytearray(gzip.decompress(data))
    whole[70:72] = b"\xee\0"
    return gzip.compress(bytes(whole), 1)


@pytest.mark.parametrize("damage", [_cut, _plain, _not_nifti, _little, _four_axes, _huge, _more, _unknown_numbers])
def test_a_volume_that_is_damaged_is_found_out(damage: Callable[[bytes], bytes], settings: Settings) -> None:
    """Whatever is wrong with a file of the images, it is one sentence and one code."""
    path = folder_of(settings).root / built_of(settings).nifti
    path.write_bytes(damage(path.read_bytes()))
    said = refused(settings)
    assert said.startswith("The volume of the images cannot be read (") and said.endswith(GONE)
    assert checked(settings).codes[-1] == codes.XXI_EXEC_001


def test_files_that_are_gone_are_said(settings: Settings) -> None:
    """Images and doses stop the loading; a mask is left out, with a warning."""
    built, root = built_of(settings), folder_of(settings).root
    roi = built.structures[0].rois[0]
    (root / str(roi.file)).unlink()
    loaded = loading.load(settings, PATIENT)
    assert loaded.roi_names == ["PTV_60_ring"]
    assert loaded.warnings == (
        f"ROI 2 of the structure set {built.structures[0].uid} is left out. The mask is not there any more. "
        "Run the build again.",
    )
    notes = checked(settings)
    assert codes.XXII_REV_002 in notes.codes and notes.ready and notes.status == "REVIEW"
    (root / built.doses[0].nifti).unlink()
    said = f"The volume of the dose {built.doses[0].uid} is not there any more. Run the build again."
    assert refused(settings) == said
    (root / built.nifti).unlink()
    assert refused(settings) == "The volume of the images is not there any more. Run the build again."


def test_one_dose_of_several_that_is_gone_is_no_sum_of_the_others(tmp_path: Path) -> None:
    """Half of a course must not be taken for all of it."""
    settings = settings_in(tmp_path)
    built = built_patient(quick(slices=16, plans=(Plan("A"), Plan("B"))), settings)
    (folder_of(settings).root / built.doses[1].nifti).unlink()
    notes = checked(settings)
    assert notes.codes[-1] == codes.XXIII_EXEC_001
    said = f"XXIII: The volume of the dose {built.doses[1].uid} is not there any more. Run the build again."
    assert said in notes.lines("loading_notes")


def moved(settings: Settings, name: str, change: Callable[[Grid, Any], tuple[Grid, Any]]) -> None:
    """Write a volume of the patient anew."""
    grid, values = change(*image(settings, name))
    volumes.nifti(Volume(grid, np.ascontiguousarray(values), "", ""), folder_of(settings).root / name)


@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda grid, values: (replace(grid, origin=grid.origin + [0, 0.02, 0]), values),
            "The mask does not lie on the grid of the images.",
        ),
        (
            lambda grid, values: (replace(grid, steps=grid.steps * 1.001), values),
            "The mask does not lie on the grid of the images.",
        ),
        (lambda grid, values: (grid, values[:-1]), "The mask does not lie on the grid of the images."),
        (
            lambda grid, values: (grid, np.roll(values, 1, axis=0)),
            "The mask reaches out of its box in built.json.",
        ),
    ],
)
def test_a_mask_on_another_grid_is_refused(change: Any, said: str, settings: Settings) -> None:
    """Not even two hundredths of a millimetre apart."""
    built = built_of(settings)
    moved(settings, str(built.structures[0].rois[0].file), change)
    loaded = loading.load(settings, PATIENT)
    assert loaded.warnings == (f"ROI 2 of the structure set {built.structures[0].uid} is left out. {said} {GONE}",)
    assert codes.XXII_REV_002 in checked(settings).codes


def test_a_dose_of_no_numbers_is_refused(settings: Settings) -> None:
    """One of them is enough."""
    dose = built_of(settings).doses[0]

    def change(grid: Grid, values: Any) -> tuple[Grid, Any]:
        values = values.copy()
        values[0, 0, 0] = np.nan
        return grid, values

    moved(settings, dose.nifti, change)
    said = f"The volume of the dose {dose.uid} holds values that are no numbers. {GONE}"
    assert refused(settings) == said
    assert checked(settings).codes[-1] == codes.XXIII_EXEC_001


def test_voxels_without_a_volume_are_refused(settings: Settings) -> None:
    """A grid that cannot be turned round places nothing."""
    path = folder_of(settings).root / built_of(settings).nifti
    whole = bytearray(gzip.decompress(path.read_bytes()))
    whole[280:328] = bytes(48)
    path.write_bytes(gzip.compress(bytes(whole), 1))
    assert refused(settings) == f"The volume of the images has voxels without a volume. {GONE}"


def test_a_course_with_its_notes_gone_is_checked_all_the_same(settings: Settings) -> None:
    """Codes of other steps that exclude keep the patient from being ready."""
    notes = Notes(PATIENT)
    notes.give(codes.I_EXEC_006)
    loading.check(settings, PATIENT, notes)
    assert notes.codes[-1] == codes.XXIV_SUCC_001 and not notes.ready
    assert json.loads(notes.write(settings.patientnotesdir).read_text())["patientimagingfilesready"] is False
