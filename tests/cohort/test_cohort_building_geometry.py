"""What is built lies where the patient was: HU, dose and masks against the truth, read back by nibabel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from cohort_stage import Stage, staged
from course_truth import Course

WAYS: dict[str, dict[str, Any]] = {
    "HFS": {"slice_location": "reversed", "offsets": "descending", "instance_numbers": "down"},
    "HFP": {"slice_location": "none", "offsets": "absolute", "shuffled": True},
    "FFS": {"slice_location": "reversed", "offsets": "absolute", "apart": True, "instance_numbers": "shuffled"},
    "FFP": {"slice_location": "reversed", "offsets": "descending", "shuffled": True, "dose_bits": 16},
}
REGIONS = ("PTV_60", "GTV", "Ring keyhole", "Lung L/R", "Lens_L", "Never drawn", "Isocentre")


def opened(path: Path) -> tuple[Any, Any]:
    """The values of a file, and where in the patient (DICOM's mm) each of them lies."""
    image = nibabel.load(path)
    values = np.asarray(image.dataobj)
    places = np.moveaxis(np.indices(values.shape), 0, -1).reshape(-1, 3) @ image.affine[:3, :3].T + image.affine[:3, 3]
    return values, places * [-1, -1, 1]


@pytest.mark.parametrize("position", WAYS)
def test_images_doses_and_masks_lie_where_they_are(position: str, tmp_path: Path) -> None:
    """In every position, however slices, planes and regions are ordered."""
    course = Course(position=position, **WAYS[position])
    course = replace(course, rois=tuple(roi for roi in course.regions() if roi.name in REGIONS))
    stage = staged(tmp_path, [course])
    notes, truth, root = stage.build(), stage.made[0].truth, stage.folder().root
    assert notes.ready
    built = stage.built()
    values, places = opened(root / built.nifti)
    assert np.abs(values.ravel() - truth.hu(places)).max() <= 0.5
    dose, where = opened(root / built.doses[0].nifti)
    assert np.abs(dose.ravel() - truth.gray(where)).max() < 2e-3
    assert built.doses[0].highest_gy == pytest.approx(float(dose.max()), rel=1e-6)
    _check_order(stage)
    for roi in built.structures[0].rois:
        _check_mask(stage, roi, values.shape, places)
    _check_names(stage)


def _check_order(stage: Stage) -> None:
    """The files stand in the order of the slices of the volume, and are what came."""
    from qa_fetch import part10

    built, root = stage.built(), stage.folder().root
    heads = [part10.read(root / name, headers_only=True) for name in built.images]
    assert [str(head.SOPInstanceUID) for head in heads] == list(built.instances)
    turns = np.array(heads[0].ImageOrientationPatient, float)
    along = np.array([head.ImagePositionPatient for head in heads], float) @ np.cross(turns[:3], turns[3:])
    assert (np.diff(along) > 0).all()


def _check_mask(stage: Stage, roi: Any, shape: tuple[int, ...], places: Any) -> None:
    truth, root = stage.made[0].truth, stage.folder().root
    body = truth.roi(roi.number).body
    if body is None:
        assert roi.file is None and roi.box is None and roi.volume_cc is None
        assert roi.why.startswith(f"ROI {roi.number} has no mask: it ")
        return
    assert roi.name == truth.roi(roi.number).name
    assert roi.volume_cc == pytest.approx(body.volume_cc(), rel=0.003 if body.volume_cc() > 1 else 0.03)
    assert roi.tps_volume_cc == pytest.approx(body.volume_cc(), abs=1e-4)
    image = nibabel.load(root / roi.file)
    assert image.shape == shape and (image.affine == nibabel.load(root / stage.built().nifti).affine).all()
    mask = np.asarray(image.dataobj)
    box = tuple(slice(low, high) for low, high in roi.box[::-1])
    assert mask[box].sum() == mask.sum() and mask.max() == 1
    wrong = mask[box].ravel().astype(bool) != truth.inside(roi.number, places.reshape(*shape, 3)[box].reshape(-1, 3))
    # A voxel counts from a half of it on: nearly always the half with its middle.
    assert wrong.sum() <= 0.02 * mask.sum() + 2


def _check_names(stage: Stage) -> None:
    """A stroke in a name is none in a path."""
    found = {roi.name: roi.file for roi in stage.built().structures[0].rois}
    folder = f"masks/{stage.made[0].truth.course.uid('RTSTRUCT')}"
    assert found["Lung L/R"] == f"{folder}/patient_123456789_Lung_L_R.nii.gz"
    assert len(list((stage.folder().root / folder).iterdir())) == len(REGIONS) - 2
