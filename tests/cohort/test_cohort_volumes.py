"""Images as volumes: every position, every order, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate
from volume_files import NUMBERS, ORIENTATIONS, centres, image, rt_dose, series, truth

from qa_fetch import part10
from qa_fetch.cohort.volumes import Grid, Volume, dose, images, nifti
from qa_fetch.errors import BadArchive, Incomplete, NotFound

# Images


@pytest.mark.parametrize("position", ORIENTATIONS)
@pytest.mark.parametrize("order", [1, -1])
def test_each_value_lies_where_it_was_scanned(position: str, order: int, tmp_path: Path) -> None:
    """In every position and in whichever order the files come."""
    files = series(tmp_path, position=position)
    found = images([*files[2:], *files[:2]][::order])
    assert found.values.dtype == np.int16
    assert found.grid.shape == (5, 4, 6)
    assert found.grid.spacing.tolist() == pytest.approx([3, 2, 1.5])
    assert found.grid.voxel_cc == pytest.approx(0.009)
    assert np.abs(found.values - truth(centres(found.grid))).max() <= 0.5
    assert (found.modality, found.uid, found.grid.frame_of_reference) == ("CT", "1.2.5", "1.2.3")
    assert list(found.grid.images) == [part10.read(file).SOPInstanceUID for file in files]


def test_between_voxels_values_are_trilinear_and_beyond_them_there_are_none(tmp_path: Path) -> None:
    """Data sets do as well as files."""
    found = images([part10.read(file) for file in series(tmp_path, position="FFS")])
    points = found.grid.points([[0.5, 1.25, 3.7], [4, 3, 5], [0, 0, 0]])
    assert found.at(points).tolist() == pytest.approx(truth(points).tolist(), abs=0.6)
    assert np.isnan(found.at(found.grid.points([[-0.1, 1, 1], [1, 3.1, 1], [1, 1, 5.1]]))).all()
    assert found.at([[1e4, 0, 0]], outside=-1000).tolist() == [-1000]


def test_values_that_16_bits_do_not_hold_are_not_folded_over(tmp_path: Path) -> None:
    """A slice of metal, and slopes that are no whole numbers, slice by slice as in PET."""
    files = [*series(tmp_path, (0, 3)), image(tmp_path, 6, RescaleIntercept=60000)]
    found = images(files)
    assert found.values.dtype == np.float32
    assert np.abs(found.values[2] - truth(centres(found.grid))[2] - 61024).max() <= 0.5
    found = images([image(tmp_path, 0, RescaleSlope="0.5"), image(tmp_path, 3, RescaleSlope="0.25")])
    stored = truth(centres(found.grid)) + 1024
    assert np.abs(found.values[0] - (stored[0] * 0.5 - 1024)).max() <= 0.5
    assert np.abs(found.values[1] - (stored[1] * 0.25 - 1024)).max() <= 0.5


def test_values_without_a_rescaling_are_what_is_stored(tmp_path: Path) -> None:
    """As in MR; those of a CT would be no HU."""
    found = images(series(tmp_path, Modality="MR", RescaleSlope=None, RescaleIntercept=None))
    assert np.abs(found.values - truth(centres(found.grid)) - 1024).max() <= 0.5


@pytest.mark.parametrize(("kind", "stored", "value"), [("<u2", 0x8000 | 1000, -24), ("<i2", 0x0F9C, -1124)])
def test_bits_that_are_not_stored_do_not_count(kind: str, stored: int, value: int, tmp_path: Path) -> None:
    """Overlays lie there in old images, and nothing where a sign is told by the 12th bit; as SimpleITK reads them."""
    signed = int(kind == "<i2")
    facts = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": signed}
    found = images([image(tmp_path, 0, PixelData=np.full(24, stored, "<u2").tobytes(), **facts)])
    assert (found.values.dtype, set(found.values.reshape(-1).tolist())) == (np.int16, {value})


def test_a_single_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    """There is no neighbour to tell it."""
    found = images(series(tmp_path, (0,)))
    assert found.grid.spacing[0] == 3
    points = found.grid.points([[0, 1.5, 2.5]])
    assert found.at(points).tolist() == pytest.approx(truth(points).tolist(), abs=0.6)


def test_rounded_positions_and_directions_are_even_all_the_same(tmp_path: Path) -> None:
    """0.8333 mm written with one digit, and cosines with four."""
    files = series(tmp_path, (0, 0.8, 1.7, 2.5, 3.3), ImageOrientationPatient=[0.9999, 0.01, 0, -0.01, 0.9999, 0])
    found = images(files)
    assert found.grid.spacing.tolist() == pytest.approx([0.825, 2, 1.5])
    assert np.abs(found.grid.steps @ found.grid.steps.T - np.diag(found.grid.spacing**2)).max() <= 1e-12


def test_a_missing_slice_is_named(tmp_path: Path) -> None:
    """Nothing is built on it; the places that are missing are an attribute too."""
    with pytest.raises(Incomplete) as caught:
        images(series(tmp_path, (0, 3, 9, 12, 21)))
    assert str(caught.value) == (
        "The images lie 3.00 mm apart and some are missing: 1 between z 10.00 mm and z 16.00 mm; "
        "2 between z 19.00 mm and z 28.00 mm. "
        "Fetch the series again; where they were never made, leave this patient out."
    )
    assert caught.value.missing == ["z 13.00 mm", "z 22.00 mm", "z 25.00 mm"]


def test_places_are_those_of_the_patient_also_feet_first(tmp_path: Path) -> None:
    """z descends along the normal there; other planes have no z of their own."""
    with pytest.raises(Incomplete) as caught:
        images(series(tmp_path, (0, 3, 6, 12), "FFS"))
    assert caught.value.missing == ["z -2.00 mm"]
    with pytest.raises(Incomplete) as caught:
        images(series(tmp_path, (0, 3, 6, 12), "sagittal"))
    assert caught.value.missing == ["12.00 mm along the normal"]


def test_a_scan_between_the_slices_of_another_is_refused(tmp_path: Path) -> None:
    """All of them together are even; one scan after the other is one volume."""
    first, second = (series(tmp_path, heights, AcquisitionNumber=n) for n, heights in ((1, (0, 3, 6)), (2, (9, 12))))
    assert images([*second, *first]).grid.shape[0] == 5
    with pytest.raises(BadArchive) as caught:
        images([*first, *series(tmp_path, (1.5, 4.5), AcquisitionNumber=2)])
    assert str(caught.value) == (
        "The images of several acquisitions (AcquisitionNumber) lie between each other, so they are no volume. "
        "Leave this patient out."
    )


def test_uneven_slices_are_refused(tmp_path: Path) -> None:
    """With the place."""
    with pytest.raises(BadArchive) as caught:
        images(series(tmp_path, (0, 3, 6, 10, 13)))
    assert str(caught.value) == (
        "The images lie 3.00 mm apart, but 4.00 mm between z 13.00 mm and z 17.00 mm, and uneven slices are not built. "
        "Leave this patient out."
    )


def test_slices_that_creep_are_refused(tmp_path: Path) -> None:
    """Each is nearly where it should be; together they are not."""
    first = next(NUMBERS) + 1
    with pytest.raises(BadArchive) as caught:
        images(series(tmp_path, (0, 3, 6, 9, 12.08, 15.16, 18.24, 21.32)))
    assert str(caught.value) == (
        f"The series of the image 1.2.4.{first} has planes that do not lie evenly, which is not built. "
        "Leave this patient out."
    )


def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    """Nobody can tell which of them counts."""
    first = next(NUMBERS) + 1
    with pytest.raises(BadArchive) as caught:
        images(series(tmp_path, (0, 3, 6, 3)))
    assert str(caught.value) == (
        f"The images 1.2.4.{first + 1} and 1.2.4.{first + 3} both lie at z 10.00 mm, so none of them is sure. "
        "Leave one of them out."
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"ImageOrientationPatient": ORIENTATIONS["sagittal"]}, "ImageOrientationPatient"),
        ({"PixelSpacing": [2, 2]}, "PixelSpacing"),
        ({"FrameOfReferenceUID": "9.9", "SeriesInstanceUID": "9.8"}, "SeriesInstanceUID, FrameOfReferenceUID"),
        ({"Rows": 2}, "Rows"),
    ],
)
def test_images_that_are_no_volume_are_refused(facts: dict[str, Any], said: str, tmp_path: Path) -> None:
    """The sentence names two of them, and in what they differ."""
    first = next(NUMBERS) + 1
    with pytest.raises(BadArchive) as caught:
        images([*series(tmp_path), image(tmp_path, 15, **facts)])
    assert str(caught.value) == (
        f"The images 1.2.4.{first} and 1.2.4.{first + 5} differ in {said}, so they are no volume. "
        "Choose the images of one series, or leave this patient out."
    )


def test_images_of_a_tilted_gantry_are_refused(tmp_path: Path) -> None:
    """Their voxels are skewed."""
    files = [image(tmp_path, at, ImagePositionPatient=[-3, -5 + at / 10, 7 + at]) for at in (0, 3, 6)]
    with pytest.raises(BadArchive) as caught:
        images(files)
    assert str(caught.value) == (
        "The images are shifted by 0.6 mm against each other, as by a tilted gantry, and are not built. "
        "Leave this patient out."
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"ImagePositionPatient": None},
        {"ImagePositionPatient": [1, 2]},
        {"ImageOrientationPatient": None},
        {"PixelSpacing": None},
        {"SliceThickness": None},
        {"SliceThickness": 0},
        {"RescaleSlope": None},
        {"RescaleSlope": 0},
        {"RescaleIntercept": None},
        {"HighBit": 14},
    ],
)
def test_an_image_that_does_not_say_where_it_lies_or_what_it_holds_is_refused(
    facts: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing is assumed."""
    with pytest.raises(BadArchive) as caught:
        images([image(tmp_path, 0, **facts)])
    assert str(caught.value) == (
        f"The image 1.2.4.{next(NUMBERS) - 1} has no usable {next(iter(facts))}. "
        "Fetch it again, or leave this patient out."
    )


def test_directions_that_none_can_have_are_refused(tmp_path: Path) -> None:
    """Rows and columns that are no right angle."""
    with pytest.raises(BadArchive) as caught:
        images([image(tmp_path, 0, ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0])])
    assert str(caught.value) == (
        f"The image 1.2.4.{next(NUMBERS) - 1} has an ImageOrientationPatient or PixelSpacing that none can have. "
        "Fetch it again, or leave this patient out."
    )


def test_no_images_are_no_volume() -> None:
    """An empty folder."""
    with pytest.raises(NotFound) as caught:
        images([])
    assert str(caught.value) == "There are no images to build a volume from. Fetch the series again."


def test_pixels_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    """Of an image as of a dose."""
    with pytest.raises(BadArchive) as caught:
        images([image(tmp_path, 0, PixelData=bytes(20))])
    assert str(caught.value) == (
        f"The pixels of the image 1.2.4.{next(NUMBERS) - 1} cannot be read: they are cut short, or compressed in a way "
        "that is not known here. Fetch it again, or decompress it first (DCMTK: dcmdjpeg)."
    )
    with pytest.raises(BadArchive) as caught:
        dose(rt_dose(tmp_path / "dose.dcm", [0, 3, 6], PixelData=bytes(5 * 7 * 4 * 2)))
    assert str(caught.value) == (
        "The pixels of the dose 1.2.8 cannot be read: they are cut short, or compressed in a way "
        "that is not known here. Fetch it again, or decompress it first (DCMTK: dcmdjpeg)."
    )


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless", "JPEGLosslessSV1", "JPEGBaseline8Bit"])
def test_compressed_pixels_that_are_garbled_are_no_failure_of_the_disk(syntax: str, tmp_path: Path) -> None:
    """Whichever decoder is there, and whatever it raises."""
    data = part10.read(image(tmp_path, 0))
    data.PixelData = encapsulate([bytes(64)])
    data.file_meta.TransferSyntaxUID = getattr(uid, syntax)
    with pytest.raises(BadArchive) as caught:
        images([data])
    assert str(caught.value).endswith("Fetch it again, or decompress it first (DCMTK: dcmdjpeg).")


@pytest.mark.parametrize("facts", [{"NumberOfFrames": 2, "Rows": 2}, {"PhotometricInterpretation": "PALETTE COLOR"}])
def test_an_image_of_several_frames_or_of_colours_is_no_slice(facts: dict[str, Any], tmp_path: Path) -> None:
    """Enhanced CT is another thing."""
    with pytest.raises(BadArchive) as caught:
        images([image(tmp_path, 0, **facts)])
    assert str(caught.value) == (
        f"The image 1.2.4.{next(NUMBERS) - 1} holds several frames or colours, which is no slice. "
        "Leave this patient out."
    )


# NIfTI


@pytest.mark.parametrize("position", ORIENTATIONS)
def test_nifti_has_the_same_values_at_the_same_places(position: str, tmp_path: Path) -> None:
    """x and y point the other way there."""
    found = images(series(tmp_path, position=position))
    nifti(found, tmp_path / "ct.nii.gz")
    read = nibabel.load(tmp_path / "ct.nii.gz")
    values = np.asarray(read.dataobj)
    points = np.argwhere(np.ones(values.shape)) @ read.affine[:3, :3].T + read.affine[:3, 3]
    assert values.dtype == np.int16
    assert np.abs(values.reshape(-1) - truth(points * [-1, -1, 1])).max() <= 0.5
    assert (int(read.header["sform_code"]), int(read.header["qform_code"])) == (1, 1)
    assert np.abs(read.header.get_qform() - read.affine).max() <= 1e-5
    assert read.header.get_xyzt_units()[0] == "mm"


def test_the_same_volume_gives_the_same_file_and_leaves_no_other(tmp_path: Path) -> None:
    """So that a hash tells whether anything changed."""
    volume = Volume(Grid((2, 3, 4), np.zeros(3), np.eye(3)[::-1], None), np.ones((2, 3, 4), dtype=np.bool_), "SEG", "")
    nifti(volume, tmp_path / "one.nii.gz")
    nifti(volume, tmp_path / "two.nii.gz")
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.nii.gz*")) == ["one.nii.gz", "two.nii.gz"]
    assert gzip.decompress((tmp_path / "one.nii.gz").read_bytes())[352:] == bytes([1] * 24)
