"""Patients as arrays: every position of the patient, several plans, and what is asked for by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_built import built_patient, settings_in
from truth_course import Course, Plan, Truth
from truth_dose import Linear
from truth_rois import Roi
from truth_scenarios import BOOST
from truth_scenarios import quick as _quick
from truth_shapes import Array, Disc, column

from qa_fetch.cohort import codes, loading
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.notes import Notes
from qa_fetch.errors import Ambiguous, NotFound


def quick(**changes: Any) -> Course:
    """A course of fewer slices than the rules let pass, since nothing here asks them."""
    return _quick(**{"slices": 24, **changes})


def loaded_of(course: Course, folder: Path, **changes: Any) -> loading.Loaded:
    """A course, built and loaded."""
    settings = settings_in(folder, **changes)
    built_patient(course, settings)
    return loading.load(settings, course.patient)


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of one patient, built."""
    folder = tmp_path_factory.mktemp("ordinary")
    built_patient(quick(), settings_in(folder))
    return folder


def points(loaded: loading.Loaded) -> Any:
    """The middle of every voxel in the patient, (n, 3)."""
    return loaded.images.grid.points(np.moveaxis(np.indices(loaded.images.grid.shape), 0, -1).reshape(-1, 3))


@pytest.mark.parametrize(
    "position, plane, facts",
    [
        ("HFS", "axial", {}),
        ("HFP", "axial", {"offsets": "descending"}),
        ("FFS", "axial", {"slice_location": "reversed", "instance_numbers": "shuffled"}),
        ("FFP", "axial", {"offsets": "absolute"}),
        ("HFS", "oblique", {}),
    ],
)
def test_images_masks_and_dose_lie_on_each_other(position: str, plane: str, facts: Any, tmp_path: Path) -> None:
    """However the patient lies, each voxel has the CT number, the dose and the regions of its own place."""
    course = quick(position=position, plane=plane, **facts)
    truth = Truth(course, None, (), (), ())  # type: ignore[arg-type]
    loaded = loaded_of(course, tmp_path)
    places = points(loaded)
    shape = loaded.images.grid.shape
    assert shape == (course.slices, course.rows, course.columns)
    np.testing.assert_allclose(loaded.images.values.ravel(), truth.hu(places), atol=0.51)
    assert loaded.dose is not None and loaded.known is not None
    known = loaded.known.ravel()
    assert 0.2 < known.mean() < 1
    np.testing.assert_allclose(loaded.dose.values.ravel()[known], truth.gray(places)[known], atol=2e-3)
    assert not loaded.dose.values[~loaded.known].any()
    for roi in course.regions():
        mask = loaded.mask(roi.number)
        assert mask.shape == shape and mask.dtype == np.bool_
        assert (mask.ravel() != truth.inside(roi.number, places)).sum() <= 0.06 * mask.sum()
        found = loaded.roi(roi.name)
        assert (found.number, found.kind, found.unreached) == (roi.number, roi.kind, 0.0)
        assert found.volume_cc == pytest.approx(roi.volume_cc(), rel=0.02)
        np.testing.assert_array_equal(mask[found.box], found.values)
        assert found.values.sum() == mask.sum()


def test_the_dictionary_is_that_of_pdcp(ordinary: Path) -> None:
    """Keys, shapes and types are PDCP's; masks are in the order of the names."""
    loaded = loading.load(settings_in(ordinary), quick().patient)
    found = loaded.as_dict()
    keys = "ct_image dose_data roi_names roi_masks PixelSpacing StudyDate StructureSetDate version"
    assert list(found) == keys.split()
    assert found["ct_image"].shape == found["dose_data"].shape == (24, 22, 24)
    assert found["ct_image"].dtype == np.int16 and found["dose_data"].dtype == np.float32
    assert found["ct_image"].flags.c_contiguous and found["dose_data"].flags.c_contiguous
    assert found["roi_names"] == ["PTV_60", "PTV_60_ring"]
    assert list(found["roi_masks"]) == ["mask0", "mask1"]
    for at, name in enumerate(found["roi_names"]):
        mask = found["roi_masks"][f"mask{at}"]
        assert mask.dtype == np.uint8 and mask.shape == (24, 22, 24)
        np.testing.assert_array_equal(mask, loaded.mask(name))
    assert found["PixelSpacing"] == pytest.approx((1.0, 1.0, 2.0))
    assert found["StudyDate"] == 20250901
    assert found["StructureSetDate"] == "20250901"
    assert found["version"] == "truth 1"


def test_without_notes_dates_are_missing(ordinary: Path, tmp_path: Path) -> None:
    """Nobody wrote them, and PDCP has a word for that."""
    settings = settings_in(ordinary, patientnotesdir=str(tmp_path / "none"))
    found = loading.load(settings, quick().patient).as_dict()
    assert (found["StudyDate"], found["StructureSetDate"], found["version"]) == ("missing", "missing", "truth 1")


def test_a_profile_without_dose_has_none(ordinary: Path) -> None:
    """The dictionary then has no dose_data, and no region says what of it the dose reaches."""
    settings = settings_in(ordinary, required_modalities_for_patient=["CT", "RTSTRUCT"])
    loaded = loading.load(settings, quick().patient)
    assert loaded.dose is None and loaded.known is None
    assert "dose_data" not in loaded.as_dict()
    assert [roi.unreached for roi in loaded.rois] == [None, None]


def test_doses_of_a_course_are_summed(tmp_path: Path) -> None:
    """Two plans give together what their functions give."""
    loaded = loaded_of(quick(plans=BOOST), tmp_path)
    assert loaded.dose is not None and loaded.known is not None
    course = quick(plans=(Plan(dose=BOOST[0].dose + BOOST[1].dose),))  # type: ignore[operator]
    gray = Truth(course, None, (), (), ()).gray(points(loaded))  # type: ignore[arg-type]
    known = loaded.known.ravel()
    np.testing.assert_allclose(loaded.dose.values.ravel()[known], gray[known], atol=2e-3)
    assert loaded.dose.uid == "+".join(dose.uid for dose in loaded.built.doses)


def test_a_region_beyond_the_dose_says_how_much_of_it(tmp_path: Path) -> None:
    """What the grid does not reach is unknown: 0 in the array, False in known, a share in the region and the notes."""

    def long(planes: Array, thickness: float) -> tuple[Roi, ...]:
        return (Roi(5, "Cord", "ORGAN", column((Disc(0, 0, 4),), planes, thickness)),)

    course, settings = quick(rois=long), settings_in(tmp_path)
    built_patient(course, settings)
    loaded = loading.load(settings, course.patient)
    assert loaded.known is not None
    (roi,) = loaded.rois
    inside = loaded.known[loaded.mask("Cord")].mean()
    assert roi.unreached == pytest.approx(1 - inside) and 0.2 < roi.unreached < 0.5
    notes = Notes(course.patient)
    loading.check(settings, course.patient, notes)
    assert (
        f"XXIV: XXIV select RTDOSES: {100 * roi.unreached:.1f} % of the voxels of ROI 5 (Cord) lie outside of the "
        "dose. Their dose is not known and stands as 0."
    ) in notes.lines("loading_notes")


def test_regions_are_asked_for_by_number_or_by_name(tmp_path: Path) -> None:
    """A name that two regions have, or none, is not answered with a guess."""
    (twice, other) = quick().regions()

    def drawn(planes: Array, thickness: float) -> tuple[Roi, ...]:
        return twice, Roi(7, twice.name, "CTV", other.body), Roi(9, "Empty", "ORGAN", None, "nothing")

    loaded = loaded_of(quick(rois=drawn), tmp_path)
    assert loaded.roi_names == ["PTV_60", "PTV_60"]
    assert loaded.warnings == ()  # what nobody drew has no mask that could be missing
    uid = loaded.built.structures[0].uid
    assert loaded.roi(7, structures=uid).kind == "CTV"
    with pytest.raises(Ambiguous) as several:
        loaded.mask("PTV_60")
    assert str(several.value) == (
        "2 masks are those of ROI 'PTV_60'. Ask by ROINumber, and give the structure set's UID."
    )
    assert several.value.candidates == [(uid, 2, "PTV_60"), (uid, 7, "PTV_60")]
    for which in ("Empty", 9, "ptv_60"):
        with pytest.raises(NotFound) as nothing:
            loaded.mask(which)
        assert str(nothing.value) == (
            f"There is no mask of ROI {which!r}. The names of those there are stand in roi_names."
        )


def test_regions_without_a_name_are_not_called_the_same(tmp_path: Path) -> None:
    """An anonymiser may empty all names: that is no duplicate, two of one name are."""
    one = quick().regions()[0]
    for names, double in ((("", ""), False), (("PTV", "PTV"), True)):
        rois = tuple(Roi(number, name, "CTV", one.body) for number, name in zip((2, 7), names))
        settings = settings_in(tmp_path / str(double))
        built_patient(quick(rois=lambda planes, thickness, rois=rois: rois), settings)
        notes = Notes.read(settings.patientnotesdir, quick().patient)
        assert notes is not None
        loading.check(settings, quick().patient, notes)
        assert (codes.XXII_REV_003 in notes.codes) is double
        assert len(loading.load(settings, quick().patient).rois) == 2


def test_patients_whose_ids_begin_alike_are_themselves(tmp_path: Path) -> None:
    """1 is neither 12 nor 1_2, and a folder in the making is nobody."""
    settings = settings_in(tmp_path)
    patients = (("1", 41.0), ("12", 42.0), ("1_2", 43.0), ("../3", 44.0))
    for patient, gray in patients:
        built_patient(quick(slices=9, patient=patient, plans=(Plan(dose=Linear(gray, (0, 0, 0))),)), settings)
    (settings.datadirectory / ".4").mkdir()
    (settings.datadirectory / "5").mkdir()
    assert sorted(loading.built_patients(settings)) == ["../3", "1", "12", "1_2"]
    for patient, gray in patients:
        loaded = loading.load(settings, patient)
        assert loaded.patient == patient
        assert loaded.dose is not None and loaded.dose.values.max() == pytest.approx(gray, abs=1e-3)
    assert PatientFolder.of(settings, "../3").root.parent == settings.datadirectory
