"""Phantom archives as folders that a test can break, and what becomes of their images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Optional

import numpy as np
import phantom
import pydicom
from phantom_course import Course
from phantom_truth import Images, Truth

from qa_fetch.pinnacle import images, passing, reading, sources
from qa_fetch.pinnacle.making import Encoded, ImageSeries, Left, Notes, Work
from qa_fetch.pinnacle.sources import Source

ONE_BEAM = Course(beams=("static",))


@dataclass
class Scene:
    """An unpacked archive of one patient, and what must come out of it."""

    root: Path
    truth: Truth

    @property
    def folder(self) -> Path:
        """The patient's."""
        return self.root / self.truth.patient.folder

    def file(self, name: str) -> Path:
        """One of the patient's files."""
        return self.folder / name

    def edit(self, name: str, pattern: str, new: str, count: int = 0) -> None:
        """Change a text file; the pattern has to be there, and ^ stands before the blanks of a line."""
        pattern = re.sub(r"^\^", r"^[ \t]*", pattern)
        path = self.file(name)
        text, changed = re.subn(pattern, new, path.read_text("latin-1"), count=count, flags=re.MULTILINE)
        assert changed, pattern
        path.write_text(text, "latin-1")

    @property
    def kept(self) -> list[Path]:
        """The DICOM files of the first image set, in the order of Pinnacle's slices."""
        truth = self.truth.patient.images[0]
        return [self.file(f"ImageSet_0.DICOM/{truth.modality}_{each.instance_uid}.dcm") for each in truth.pictures]

    def change(self, path: Path, **values: Any) -> None:
        """Change elements of a DICOM file; None removes one."""
        data = pydicom.dcmread(path)
        for keyword, value in values.items():
            if value is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, value)
        data.save_as(path)


@dataclass
class Outcome:
    """What became of an image set."""

    series: ImageSeries
    files: list[Encoded]
    notes: Notes

    @property
    def datasets(self) -> list[Any]:
        """The images as pydicom reads them."""
        return [pydicom.dcmread(BytesIO(file.data)) for file in self.files]

    @property
    def said(self) -> tuple[list[Left], list[Left]]:
        """What is skipped, and what is warned of."""
        return self.notes.skipped, self.notes.warnings


def written(path: Path, course: Course = ONE_BEAM, **options: Any) -> Scene:
    """Write a phantom with these options into a folder."""
    truth, files = _generated(replace(course, **options))
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return Scene(path, replace(truth, path=path))


@lru_cache(maxsize=64)
def _generated(course: Course) -> tuple[Truth, dict[str, bytes]]:
    """A phantom's files, which take longer to work out than to write."""
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        truth = phantom.write(course, root)
        return truth, {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }


@contextmanager
def work_of(scene: Scene, number: int = 0, *, plan: bool = True, version: object = "") -> Iterator[Work]:
    """The work on an image set, as the conversion of an archive has it.

    Parameters
    ----------
    scene
        The archive.
    number
        The image set's.
    plan
        Whether it is of the first plan, or of none.
    version
        Of the planning system, where the plan's own is not meant.
    """
    with sources.opened(scene.root) as source:
        yield _work(source, number, plan, version)


def _work(source: Source, number: Optional[int], plan: bool, version: object) -> Work:
    patient = reading.patients(source)[0]
    of_plan = reading.plan(source, patient, patient.plans[0]) if plan else None
    if of_plan is not None and version != "":
        of_plan = replace(of_plan, version=version)  # type: ignore[arg-type]
    image_set = None if number is None else reading.image_set(source, patient, number)
    return Work(source, patient, image_set, of_plan, Notes())


def converted(scene: Scene, number: int = 0, *, plan: bool = True, version: object = "") -> Outcome:
    """All images of an image set, as ``work_of`` has it."""
    with work_of(scene, number, plan=plan, version=version) as work:
        series, files = images.series(work)
        return Outcome(series, list(files), work.notes)


def others(scene: Scene) -> tuple[list[Encoded], Notes]:
    """What else the archive keeps as DICOM."""
    with sources.opened(scene.root) as source:
        work = _work(source, None, False, "")
        return list(passing.others(work)), work.notes


def values(image: Any) -> Any:
    """HU, or the plain values of an MR."""
    return image.pixel_array.astype("i4") * int(image.get("RescaleSlope", 1)) + int(image.get("RescaleIntercept", 0))


def check(outcome: Outcome, truth: Images) -> None:
    """Every image is there, with its values, its place and its UIDs."""
    made = {str(each.SOPInstanceUID): each for each in outcome.datasets}
    assert sorted(made) == sorted(picture.instance_uid for picture in truth.pictures)
    for picture in truth.pictures:
        image = made[picture.instance_uid]
        assert np.array_equal(values(image), picture.values)
        assert np.allclose(image.ImagePositionPatient, picture.position, atol=1e-4)
        assert np.allclose(image.ImageOrientationPatient, truth.orientation)
        assert np.allclose(image.PixelSpacing, truth.pixel_spacing)
        assert (image.PatientPosition, image.InstanceNumber) == (truth.patient_position, picture.number)
        assert (image.StudyInstanceUID, image.SeriesInstanceUID) == (truth.study_uid, truth.series_uid)
        assert image.FrameOfReferenceUID == truth.frame_uid
    series = outcome.series
    assert (series.study, series.series, series.frame) == (truth.study_uid, truth.series_uid, truth.frame_uid)
    expected = sorted((picture.position[2], picture.instance_uid) for picture in truth.pictures)
    assert [each.sop_instance for each in series.images] == [uid for _, uid in expected]
    assert np.allclose([each.z for each in series.images], [z for z, _ in expected], atol=1e-4)
