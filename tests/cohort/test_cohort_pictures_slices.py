"""The step slices: PDCP's arrays with the truth in them, pictures of every region, and who is done again."""

from __future__ import annotations

import pickle
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_built import built_patient, settings_in
from truth_course import Course, Truth
from truth_rois import Roi
from truth_scenarios import quick
from truth_shapes import Array, Disc, ball, column

from qa_fetch.cohort import codes, loading
from qa_fetch.cohort.built import Built
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.notes import Notes
from qa_fetch.cohort.pictures import slices as step
from qa_fetch.cohort.pictures.slices import central, slices
from qa_fetch.errors import ConfigError, Incomplete, NotFound

PATIENT = "123456789"


def small(**changes: Any) -> Course:
    """A patient of few voxels."""
    return quick(**{"slices": 26, **changes})


def drawn(planes: Array, thickness: float) -> tuple[Roi, ...]:
    """A target off the middle, a region with a ``/`` that grows towards the head, and one that nobody drew."""
    stack = [column((Disc(-3, 4, 2 + 0.2 * at),), planes[at + 10 : at + 11], thickness) for at in range(8)]
    growing = replace(stack[0], slabs=tuple(slab for body in stack for slab in body.slabs))
    return (
        Roi(5, "PTV 60", "PTV", ball((2, -1, 4), 6, planes, thickness)),
        Roi(2, "Lung L/R", "ORGAN", growing),
        Roi(9, "Never drawn", "ORGAN", None, "nothing"),
    )


def of(folder: Path, course: Course) -> tuple[Settings, PatientFolder]:
    """A cohort with this patient built."""
    settings = settings_in(folder)
    built_patient(course, settings)
    return settings, PatientFolder.of(settings, course.patient)


def array(path: Path) -> Any:
    """What PDCP's scripts read."""
    return np.load(path, allow_pickle=False)


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_the_numbers_of_a_region_are_those_of_the_truth(position: str, tmp_path: Path) -> None:
    """Middle, length, cosines, voxels and slice, counted in voxels of the loader's arrays as PDCP has them."""
    course = small(position=position, rois=drawn)
    settings, folder = of(tmp_path, course)
    files = central(settings, course.patient)
    found, patient = loading.load(settings, course.patient), Truth(course, None, (), (), ())  # type: ignore[arg-type]
    for number, roi in enumerate(found.rois, 1):
        called = {5: "PTV60", 2: "LungL_R"}[roi.number]
        stem = f"{PATIENT}--{number}--{called}--x"
        details = array(folder.root / "roidetails_x" / f"{stem}--details.npy")
        middle = found.images.grid.indices([patient.centroid(roi.number)])[0]
        assert details.shape == (9,) and details.dtype == np.float64
        assert np.abs(details[:3] - middle).max() < 0.05
        assert details[3] == pytest.approx(np.linalg.norm(details[:3]))
        assert details[4:7] * details[3] == pytest.approx(details[:3])
        whole = found.whole(roi)
        assert details[7] == whole.sum()
        index = int(details[8])
        assert index == np.argmax(whole.sum(axis=(1, 2)))
        image = array(folder.root / "roiimages_x" / f"{stem}--images.npy")
        assert image.dtype == found.images.values.dtype
        assert (image == found.images.values[index] * whole[index]).all()
        assert folder.pictures / "slices" / f"{number}--{called}--axial.png" in files
    assert len(files) == 6


def test_slices_through_every_axis_lie_beside_each_other(tmp_path: Path) -> None:
    """Under PDCP's letters for the axes of its arrays, and under the names of the planes for people."""
    course = small(rois=drawn)
    settings, folder = of(tmp_path, course)
    files = central(settings, course.patient, axes=("x", "y", "z"))
    assert len(files) == len(set(files)) == 18 and all(file.stat().st_size for file in files)
    roi = loading.load(settings, course.patient).roi(5)
    whole = loading.load(settings, course.patient).whole(roi)
    for axis, letter in enumerate("xyz"):
        stem = f"{PATIENT}--1--PTV60--{letter}"
        index = int(array(folder.root / f"roidetails_{letter}" / f"{stem}--details.npy")[8])
        image = array(folder.root / f"roiimages_{letter}" / f"{stem}--images.npy")
        assert image.shape == tuple(size for at, size in enumerate(whole.shape) if at != axis)
        assert ((image != 0) <= np.take(whole, index, axis)).all() and image.any()
    names = {path.name for path in (folder.pictures / "slices").iterdir()}
    assert names == {f"{roi}--{plane}.png" for roi in ("1--PTV60", "2--LungL_R") for plane in PLANES}


PLANES = ("axial", "coronal", "sagittal")


def test_the_letters_are_those_of_the_arrays_also_where_images_are_sagittal(tmp_path: Path) -> None:
    """The axial plane of sagittal images is cut through their rows, PDCP's y."""
    course = small(plane="sagittal", rois=drawn)
    settings, folder = of(tmp_path, course)
    central(settings, course.patient)
    assert (folder.root / "roiimages_y").is_dir() and not (folder.root / "roiimages_x").exists()
    assert (folder.pictures / "slices" / "1--PTV60--axial.png").is_file()


def test_a_region_of_one_voxel_in_the_first_corner_has_no_direction() -> None:
    """Its middle is 0, so its cosines are not numbers; nothing warns."""
    from pictures_phantom import grid, loaded, region

    inside = np.zeros((31, 36, 42), dtype=bool)
    inside[0, 0, 0] = True
    roi = region(inside)
    image, details = step._of_pdcp(loaded(grid(), [roi]), roi, np.zeros(3), 0)
    assert details.tolist()[:4] == [0, 0, 0, 0] and np.isnan(details[4:7]).all() and details.tolist()[7:] == [1, 0]
    assert image.shape == (36, 42) and np.count_nonzero(image) == 1


def test_axes_that_there_are_not_are_refused(tmp_path: Path) -> None:
    """With one sentence."""
    with pytest.raises(ConfigError) as caught:
        slices(settings_in(tmp_path), axes=("z", "depth"))
    assert str(caught.value) == "slices cannot be cut through the axes ['z', 'depth']. Give some of x, y and z."


def test_a_patient_that_was_not_built_has_no_slices(tmp_path: Path) -> None:
    """The loader says so."""
    with pytest.raises(NotFound):
        central(settings_in(tmp_path), "1")


# The step


def test_a_patient_is_drawn_once_and_again_when_something_changes(tmp_path: Path) -> None:
    """Not the same again; but another build, or other axes where also a picture is gone."""
    settings, folder = of(tmp_path, small(rois=drawn))

    def runs(**asked: Any) -> int:
        report = slices(settings, where="threads", **asked)
        assert report.complete
        return report.done - report.already

    assert (runs(), runs()) == (1, 0)
    for name, size in (*((name, 748) for name in PLANES), ("thumbnail", 240)):
        png = (folder.pictures / f"{name}.png").read_bytes()
        assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">I", png[16:20]) == (size,)
    (folder.pictures / "thumbnail.png").unlink()
    assert (runs(axes=("x",)), (folder.pictures / "thumbnail.png").is_file()) == (1, True)
    assert (folder.root / "roiimages_z").is_dir()
    built_patient(small(), settings)
    assert runs() == 1
    names = sorted(path.name for path in (folder.root / "roiimages_x").iterdir())
    assert names == [f"{PATIENT}--{at}--{name}--x--images.npy" for at, name in ((1, "PTV_60"), (2, "PTV_60_ring"))]
    left = {path.name.split("--")[1] for path in (folder.pictures / "slices").glob("*--axial.png")}
    assert left == {"PTV_60", "PTV_60_ring"}


def test_who_is_excluded_is_not_drawn_and_who_cannot_be_read_takes_nobody_with_him(tmp_path: Path) -> None:
    """By name an excluded patient is done with the code; one that was never built fails."""
    settings, folder = of(tmp_path, small())
    built_patient(small(patient="12"), settings)
    built_patient(small(patient="1"), settings)
    notes = Notes.read(settings.patientnotesdir, "12")
    assert notes is not None
    notes.give(codes.CODES["XXIV_EXEC_003"])
    notes.write(settings.patientnotesdir)
    built = Built.read(PatientFolder.of(settings, "1"))
    assert built is not None
    (PatientFolder.of(settings, "1").root / built.nifti).write_bytes(b"")
    report = slices(settings, where="threads")
    assert [row.key for row in report.finished()] == [PATIENT]
    assert [row.key for row in report.failures()] == ["1"]
    assert (folder.pictures / "axial.png").is_file() and not PatientFolder.of(settings, "12").pictures.exists()
    report = slices(settings, ["12", "2"], where="threads")
    assert [row.detail for row in report.finished()] == [{"status": "EXECLUDE", "code": "XXIV_EXEC_003"}]
    assert [row.key for row in report.failures()] == ["2"]


def test_the_work_can_be_sent_to_another_process(tmp_path: Path) -> None:
    """Which is where it is done by default."""
    settings, folder = of(tmp_path, small())
    work = pickle.loads(pickle.dumps(partial(step._work, settings)))
    done = work({"patient": PATIENT, "axes": ["z"]})
    assert done.detail == {"status": "SUCCESS", "files": 10}
    written = [path for each in ("pictures", "roi*_x") for path in folder.root.glob(f"{each}/**/*.*")]
    assert len(written) == 10 and done.bytes == sum(path.stat().st_size for path in written)


def test_a_folder_that_cannot_be_written_to_is_said_without_the_patient(tmp_path: Path) -> None:
    """A file stands where the folder of pictures should be."""
    settings, folder = of(tmp_path, small())
    (folder.root / "roiimages_x").write_text("")
    with pytest.raises(Incomplete) as caught:
        central(settings, PATIENT)
    assert str(caught.value) == (
        f"pictures cannot be written below {settings.datadirectory} (File exists). "
        "Free space there or give another folder."
    )
