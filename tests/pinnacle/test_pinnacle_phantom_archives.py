"""Whole phantom archives: their patients, their packing and what lies beside the images."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import phantom
import pydicom
import pytest
from phantom_course import Course


def test_several_patients_lie_in_one_archive(tmp_path: Path) -> None:
    """Each has its own folder, number, images and UIDs."""
    truth = phantom.write(Course(patients=3, mr=True), tmp_path / "archive.tar")
    assert [patient.identifier for patient in truth.patients] == ["PH0001", "PH0001_2", "PH0001_3"]
    every = [images for patient in truth.patients for images in patient.images]
    uids = [picture.instance_uid for images in every for picture in images.pictures]
    assert len(set(uids)) == len(uids) == 3 * (20 + 12)
    first, second = truth.patients[0].images[0].pictures[0], truth.patients[1].images[0].pictures[0]
    assert not np.array_equal(first.values, second.values)
    with tarfile.open(truth.path) as tar:
        assert [name for name in tar.getnames() if name.endswith("/Patient")] == [
            f"Institution_1/Mount_0/Patient_{number}/Patient" for number in (1, 2, 3)
        ]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_tar_holds_what_a_folder_holds(tmp_path: Path, ending: str) -> None:
    """The packed archive has the files of the unpacked one, byte for byte."""
    phantom.write(Course(rt_images=1, foreign=True), tmp_path / "archive")
    path = phantom.write(Course(rt_images=1, foreign=True), tmp_path / f"packed{ending}").path
    files = _content(tmp_path / "archive")
    with tarfile.open(path) as tar:
        assert sorted(tar.getnames()) == sorted(files)
        for name, content in files.items():
            member = tar.extractfile(name)
            assert member is not None
            assert member.read() == content


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_names_are_kept_in_the_encoding_asked_for(tmp_path: Path, encoding: str) -> None:
    """A name with umlauts stands in the file in its encoding, and whole in the truth."""
    truth = phantom.write(Course(last_name="Müller", encoding=encoding), tmp_path / "archive")
    data = (tmp_path / "archive" / truth.patient.folder / "Patient").read_bytes()
    assert 'LastName = "Müller";'.encode(encoding) in data
    assert truth.patient.name == "Müller^Jane^Q"


def test_what_lies_beside_the_images_is_dicom(tmp_path: Path) -> None:
    """RT images and somebody's RTPLAN are files that pydicom reads, named in the truth."""
    truth = phantom.write(Course(rt_images=2, foreign=True, images="dicom"), tmp_path / "archive")
    assert [modality for modality, _, _ in truth.patient.others] == ["RTIMAGE", "RTIMAGE", "RTPLAN"]
    for modality, uid, path in truth.patient.others:
        dataset = pydicom.dcmread(tmp_path / "archive" / path)
        assert (dataset.Modality, dataset.SOPInstanceUID) == (modality, uid)


def test_two_writings_are_the_same(tmp_path: Path) -> None:
    """Nothing depends on the time or on chance."""
    one = phantom.write(phantom.Course(), tmp_path / "one.tar").path
    other = phantom.write(phantom.Course(), tmp_path / "other.tar").path
    assert one.read_bytes() == other.read_bytes()


def _content(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
