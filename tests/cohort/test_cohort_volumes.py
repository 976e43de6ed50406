"""Images and doses as volumes: every position, every order, and what is refused."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.cohort.volumes import Grid, Volume, dose, images, nifti, resampled
from qa_fetch.errors import BadArchive, Incomplete, NotFound

CT = "1.2.840.10008.5.1.4.1.1.2"
RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
# Rows and columns of each position, as scanners write them.
ORIENTATIONS = {
    "HFS": [1, 0, 0, 0, 1, 0],
    "HFP": [-1, 0, 0, 0, -1, 0],
    "FFS": [-1, 0, 0, 0, 1, 0],
    "FFP": [1, 0, 0, 0, -1, 0],
    "sagittal": [0, 1, 0, 0, 0, -1],
}
NUMBERS = itertools.count(1)


def truth(points: Any) -> Any:
    """What is stored at a place: linear in x, y and z, so that trilinear values are exact."""
    return np.asarray(points) @ [1, 10, 100] + 2000


def pixels(data: Dataset, values: Any, kind: str) -> None:
    """Give a data set its pixels."""
    stored = np.rint(values).astype(kind)
    bits = stored.dtype.itemsize * 8
    data.Rows, data.Columns = stored.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"


def places(first: Any, orientation: Sequence[float], spacing: Sequence[float], size: tuple[int, int]) -> Any:
    """The centres of a plane's voxels, rows x columns x 3."""
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    row, column = np.indices(size)
    return first + row[..., None] * down * spacing[0] + column[..., None] * across * spacing[1]


def image(folder: Path, at: float, position: str = "HFS", **facts: Any) -> Path:
    """A file of an image of 4 rows and 6 columns, at a distance along its normal."""
    orientation, spacing = np.array(ORIENTATIONS[position], dtype=float), (2.0, 1.5)
    first = np.array([-3.0, -5.0, 7.0]) + at * np.cross(orientation[:3], orientation[3:])
    number = next(NUMBERS)
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = CT, f"1.2.4.{number}"
    data.SeriesInstanceUID, data.FrameOfReferenceUID, data.Modality = "1.2.5", "1.2.3", "CT"
    data.ImagePositionPatient, data.ImageOrientationPatient = [*first], [*orientation]
    data.PixelSpacing, data.SliceThickness = [*spacing], 3
    data.SliceLocation = -first[2]  # as some scanners have it; nobody may sort by it
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    pixels(data, truth(places(first, orientation, spacing, (4, 6))) + 1024, "<u2")
    for keyword, value in facts.items():
        setattr(data, keyword, value) if value is not None else delattr(data, keyword)
    path = folder / f"{number}.dcm"
    part10.write(data, path)
    return path


def series(
    folder: Path, heights: Sequence[float] = (0, 3, 6, 9, 12), position: str = "HFS", **facts: Any
) -> list[Path]:
    """The files of a series, in the order given."""
    return [image(folder, at, position, **facts) for at in heights]


def rt_dose(path: Path, offsets: Sequence[float], position: str = "HFS", **facts: Any) -> Path:
    """A dose of these planes, 0.001 Gy for each step."""
    orientation, spacing = np.array(ORIENTATIONS[position], dtype=float), (2.5, 2.0)
    first = np.array(facts.pop("first", [-4.0, -6.0, 6.0]))
    normal = np.cross(orientation[:3], orientation[3:])
    absolute = offsets[0] != 0
    along = (np.array(offsets) - offsets[0]) * (normal[2] if absolute else 1)
    planes = [places(first + normal * each, orientation, spacing, (5, 7)) for each in along]
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = RT_DOSE, "1.2.8", "RTDOSE"
    data.FrameOfReferenceUID = "1.2.3"
    data.ImagePositionPatient, data.ImageOrientationPatient = [*first], [*orientation]
    data.PixelSpacing, data.NumberOfFrames = [*spacing], len(offsets)
    data.FrameIncrementPointer = 0x3004000C
    data.GridFrameOffsetVector = [*offsets]
    data.DoseUnits, data.DoseType, data.DoseSummationType, data.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "0.001"
    pixels(data, truth(planes), "<u4")
    for keyword, value in facts.items():
        setattr(data, keyword, value) if value is not None else delattr(data, keyword)
    part10.write(data, path)
    return path


def centres(grid: Grid) -> Any:
    """The place of every voxel."""
    return grid.points(np.moveaxis(np.indices(grid.shape), 0, -1))


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
    """As in MR."""
    found = images(series(tmp_path, RescaleSlope=None, RescaleIntercept=None))
    assert np.abs(found.values - truth(centres(found.grid)) - 1024).max() <= 0.5


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
        "Choose the images of one series."
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
    ],
)
def test_an_image_that_does_not_say_where_it_lies_is_refused(facts: dict[str, Any], tmp_path: Path) -> None:
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


def test_an_image_of_several_frames_is_no_slice(tmp_path: Path) -> None:
    """Enhanced CT is another thing."""
    with pytest.raises(BadArchive) as caught:
        images([image(tmp_path, 0, NumberOfFrames=2, Rows=2)])
    assert str(caught.value) == (
        f"The image 1.2.4.{next(NUMBERS) - 1} holds several frames or colours, which is no slice. "
        "Leave this patient out."
    )


# Doses


@pytest.mark.parametrize(
    ("position", "offsets"),
    [
        ("HFS", [0, 3, 6, 9]),
        ("HFS", [0, -3, -6, -9]),
        ("HFS", [6, 9, 12, 15]),
        ("HFS", [6, 3, 0, -3]),
        ("HFP", [0, 3, 6, 9]),
        ("FFS", [0, 3, 6, 9]),
        ("FFS", [6, 9, 12, 15]),
        ("FFP", [0, -3, -6]),
        ("sagittal", [0, 3, 6]),
    ],
)
def test_each_dose_lies_where_it_was_planned(position: str, offsets: list[float], tmp_path: Path) -> None:
    """Planes counted from the first or by their z, ascending or descending."""
    found = dose(rt_dose(tmp_path / "dose.dcm", offsets, position))
    assert found.grid.shape == (len(offsets), 5, 7)
    assert found.grid.spacing.tolist() == pytest.approx([3, 2.5, 2])
    assert np.abs(found.values - truth(centres(found.grid)) / 1000).max() <= 0.0006
    assert (found.values.dtype, found.modality, found.uid) == (np.float32, "RTDOSE", "1.2.8")


@pytest.mark.parametrize(
    ("offsets", "facts", "said"),
    [
        ([0, 3, 6], {"DoseUnits": "RELATIVE"}, "is not in Gy. Export it from the planning system as absolute dose."),
        ([0, 3, 6], {"DoseGridScaling": None}, "has no usable DoseGridScaling. {again}"),
        ([0, 3, 6], {"GridFrameOffsetVector": [0, 3]}, "has no usable GridFrameOffsetVector. {again}"),
        ([0, 3, 6], {"GridFrameOffsetVector": None}, "has no usable GridFrameOffsetVector. {again}"),
        ([0], {"GridFrameOffsetVector": None}, "has no usable SliceThickness. {again}"),
        (
            [0, 3, 7],
            {},
            "has planes that do not lie evenly, which is not built. Leave this patient out.",
        ),
        (
            [0, 3, 3],
            {},
            "has planes that do not lie evenly, which is not built. Leave this patient out.",
        ),
        (
            [50, 53, 56],
            {},
            "has a GridFrameOffsetVector that starts neither at 0 nor at its own z, so its planes cannot be placed. "
            "Export it from the planning system again.",
        ),
    ],
)
def test_a_dose_that_is_not_sure_is_refused(offsets: Any, facts: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Nothing of it is guessed."""
    with pytest.raises(BadArchive) as caught:
        dose(rt_dose(tmp_path / "dose.dcm", offsets, **facts))
    again = "Fetch it again, or leave this patient out."
    assert str(caught.value) == f"The dose 1.2.8 {said.format(again=again)}"


def test_a_dose_of_one_plane_is_as_thick_as_it_says(tmp_path: Path) -> None:
    """It has no offsets to tell it."""
    found = dose(rt_dose(tmp_path / "dose.dcm", [0], GridFrameOffsetVector=None, SliceThickness=4))
    assert found.grid.shape == (1, 5, 7)
    assert found.grid.spacing[0] == 4


# A dose on the images


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP", "sagittal"])
def test_a_dose_on_the_images_is_that_of_their_voxels(position: str, tmp_path: Path) -> None:
    """Whatever positions both have; beyond the dose there is none."""
    ct = images(series(tmp_path))
    first = {"HFS": [-4, -6, 6], "HFP": [6, 4, 6], "FFS": [6, -6, 15], "FFP": [-4, 4, 15], "sagittal": [5, -6, 17]}
    given = dose(rt_dose(tmp_path / "dose.dcm", [0, 3, 6, 9], position, first=first[position]))
    found = resampled(given, ct.grid)
    inside = np.isfinite(given.at(centres(ct.grid).reshape(-1, 3))).reshape(ct.grid.shape)
    assert inside.any() and not inside.all()
    assert np.abs(found.values - truth(centres(ct.grid)) / 1000)[inside].max() <= 0.001
    assert (found.values[~inside] == 0).all()
    assert (found.grid, found.modality) == (ct.grid, "RTDOSE")


def test_a_dose_elsewhere_gives_the_value_for_outside(tmp_path: Path) -> None:
    """And no error."""
    ct = images(series(tmp_path))
    far = dose(rt_dose(tmp_path / "dose.dcm", [0, 3], first=[500, 0, 0]))
    assert np.isnan(resampled(far, ct.grid, outside=np.nan).values).all()


# NIfTI


@pytest.mark.parametrize("position", ORIENTATIONS)
def test_nifti_has_the_same_values_at_the_same_places(position: str, tmp_path: Path) -> None:
    """x and y point the other way there."""
    nibabel = pytest.importorskip("nibabel")
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
    pytest.importorskip("nibabel")
    volume = Volume(Grid((2, 3, 4), np.zeros(3), np.eye(3)[::-1], None), np.ones((2, 3, 4), dtype=np.bool_), "SEG", "")
    nifti(volume, tmp_path / "one.nii.gz")
    nifti(volume, tmp_path / "two.nii.gz")
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.nii.gz*")) == ["one.nii.gz", "two.nii.gz"]
    assert gzip.decompress((tmp_path / "one.nii.gz").read_bytes())[352:] == bytes([1] * 24)
