"""The generator of synthetic Pinnacle archives against itself: its files, read here byte by byte, against its truth."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import phantom
import pydicom
import pytest
from phantom_course import SORTS, VERSIONS, Course
from phantom_images import slice_places, values
from phantom_truth import Array, Field

POSITIONS = {"HFS": (1, -1, -1), "HFP": (-1, 1, -1), "FFS": (-1, -1, 1), "FFP": (1, 1, 1)}
ARCHIVED = [(version, position) for version in ("6.2", "9.10", "16.0") for position in POSITIONS]


def _text(truth: phantom.Truth, name: str) -> str:
    return (truth.path / truth.patient.folder / name).read_bytes().decode("latin-1")


def _written_points(text: str) -> list[Array]:
    """The tables of points of a plan.roi, in their order."""
    return [
        np.array([[float(word) for word in line.split()] for line in table.splitlines()])
        for table in re.findall(r"points=\{\n((?:[-\d. e]+\n)+) \};", text)
    ]


def _back(points: Array, position: str, shift: tuple[float, float, float]) -> Array:
    """From DICOM's coordinates (mm) to Pinnacle's (cm)."""
    return (np.asarray(points) - np.array(shift)) / (10.0 * np.array(POSITIONS[position]))


@pytest.mark.parametrize("kept", ["img", "both"])
@pytest.mark.parametrize(("version", "position"), ARCHIVED)
def test_each_pixel_lies_where_its_anatomy_is(tmp_path: Path, version: str, position: str, kept: str) -> None:
    """Whatever the position and version, going from a pixel to the patient and to Pinnacle ends at its own HU."""
    course = Course(version=version, position=position, images=kept, beams=())
    images = phantom.write(course, tmp_path / "archive").patient.images[0]
    geometry = course.sizes().ct
    places = slice_places(course, geometry)
    anatomy = values(geometry, places, "CT", 0)
    across, down = np.array(images.orientation[:3]), np.array(images.orientation[3:])
    shift = course.shift()
    for picture in images.pictures[::7]:
        for row, column in ((0, 0), (5, 60), (30, 41), (47, 1)):
            place = np.array(picture.position) + across * column * images.pixel_spacing[1]
            place = place + down * row * images.pixel_spacing[0]
            x, y, z = _back(place, position, shift)
            index = [
                round((value - start) / step) for value, start, step in zip((x, y), geometry.start, geometry.pixel)
            ]
            layer = int(np.argmin(np.abs(places - z)))
            assert abs(places[layer] - z) < 1e-9
            assert picture.values[row, column] == anatomy[layer, index[1], index[0]]


@pytest.mark.parametrize("order", ["big", "little"])
def test_img_holds_hu_and_a_thousand_in_its_byte_order(tmp_path: Path, order: str) -> None:
    """Every stored pixel is HU + 1000, in the byte order that the header names."""
    truth = phantom.write(Course(byte_order=order), tmp_path / "archive")
    data = (tmp_path / "archive" / truth.patient.folder / "ImageSet_0.img").read_bytes()
    images = truth.patient.images[0]
    stored = struct.unpack((">" if order == "big" else "<") + f"{len(data) // 2}h", data)
    expected = np.concatenate([picture.values.ravel() for picture in images.pictures])
    assert np.array_equal(np.array(stored) - 1000, expected)
    assert f"byte_order = {1 if order == 'big' else 0};" in _text(truth, "ImageSet_0.header")


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dicom_files_say_what_the_truth_says(tmp_path: Path, modality: str) -> None:
    """pydicom reads the images kept in the archive: values, places and UIDs are those of the truth."""
    truth = phantom.write(Course(images="dicom", mr=True, uneven=True, position="FFP"), tmp_path / "archive")
    images = truth.patient.images[0 if modality == "CT" else 1]
    for picture in images.pictures:
        name = f"ImageSet_{images.number}.DICOM/{modality}_{picture.instance_uid}.dcm"
        dataset = pydicom.dcmread(tmp_path / "archive" / truth.patient.folder / name)
        pixels = dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
        assert np.array_equal(pixels, picture.values)
        assert [float(value) for value in dataset.ImagePositionPatient] == pytest.approx(picture.position, abs=1e-6)
        assert [float(value) for value in dataset.PixelSpacing] == pytest.approx(images.pixel_spacing)
        assert tuple(float(value) for value in dataset.ImageOrientationPatient) == images.orientation
        assert dataset.SOPInstanceUID == picture.instance_uid
        assert dataset.SeriesInstanceUID == images.series_uid
        assert (dataset.Modality, dataset.PatientID) == (modality, truth.patient.identifier)
    places = np.diff([picture.position[2] for picture in images.pictures])
    assert len(set(np.round(places, 4))) > 1


@pytest.mark.parametrize(
    ("version", "start"), [("7.4", ""), ("8.0", ""), ("9.10", ""), ("14.0", ""), ("16.0", "_dicom")]
)
def test_only_old_versions_have_their_images_elsewhere(tmp_path: Path, version: str, start: str) -> None:
    """The shift of the facts, worked out from the header and a DICOM file, is the truth; later there is none."""
    truth = phantom.write(Course(version=version, images="dicom", beams=()), tmp_path / "archive")
    header = dict(re.findall(r"^\t(\w+) = ([-\d.]+);", _text(truth, "ImageSet_0.header"), re.MULTILINE))
    path = next((tmp_path / "archive" / truth.patient.folder / "ImageSet_0.DICOM").iterdir())
    x, y, _ = (float(value) for value in pydicom.dcmread(path).ImagePositionPatient)
    top = float(header[f"y_start{start}"]) + (int(header["y_dim"]) - 1) * float(header["y_pixdim"])
    shift = (x - 10 * float(header[f"x_start{start}"]), y + 10 * top, 0.0)
    assert truth.plan.shift == truth.trial.shift == pytest.approx(shift, abs=1e-6)
    assert (abs(shift[0]) > 10) == (version in ("7.4", "8.0"))
    if version == "16.0":
        assert float(header["y_start"]) == pytest.approx(float(header["y_start_dicom"]) - 50)


@pytest.mark.parametrize(
    ("sort", "shown"), [("segments", (120, 10, 355)), ("forty", (210, 200, 170)), ("eighty", (210, 340, 10))]
)
def test_angles_stand_in_the_archive_as_the_machine_shows_them(
    tmp_path: Path, sort: str, shown: tuple[float, float, float]
) -> None:
    """Gantry, couch and collimator by IEC 61217, turned by hand into the scale of each machine."""
    truth = phantom.write(Course(beams=(sort,)), tmp_path / "archive")
    text = _text(truth, "Plan_0/plan.Trial")
    found = re.search(r"Gantry = ([\d.]+);\s+Couch = ([\d.]+);\s+Collimator = ([\d.]+);", text)
    assert found is not None
    assert tuple(float(value) for value in found.groups()) == shown
    setting = truth.trial.fields[0].settings[0]
    assert (setting.gantry, setting.couch) == (SORTS[sort].gantry, SORTS[sort].couch)


@pytest.mark.parametrize(("version", "position"), ARCHIVED)
def test_each_contour_is_where_plan_roi_has_it(tmp_path: Path, version: str, position: str) -> None:
    """Contours turned back are the numbers in plan.roi, whose first point stands again at the end of each."""
    course = Course(version=version, position=position, images="both", beams=(), long_values=version == "16.0")
    truth = phantom.write(course, tmp_path / "archive")
    tables = _written_points(_text(truth, "Plan_0/plan.roi"))
    contours = [contour for region in truth.plan.contours for contour in region.contours]
    assert len(tables) == len(contours) > 20
    for table, contour in zip(tables, contours):
        assert np.array_equal(table[0], table[-1])
        assert np.allclose(_back(contour, position, course.shift()), table[:-1], atol=1e-9)


@pytest.mark.parametrize(("version", "position"), ARCHIVED)
def test_everything_lies_inside_the_images(tmp_path: Path, version: str, position: str) -> None:
    """With the shift of old versions too, contours, points and dose fall inside the CT and on its planes."""
    course = Course(version=version, position=position, images="dicom")
    truth = phantom.write(course, tmp_path / "archive")
    images = truth.patient.images[0]
    reach = np.array([(images.columns - 1) * images.pixel_spacing[1], (images.rows - 1) * images.pixel_spacing[0]])
    corner = np.array(images.pictures[0].position[:2])
    opposite = corner + reach * np.array([images.orientation[0], images.orientation[4]])
    depths = sorted(picture.position[2] for picture in images.pictures)
    low = np.array([*np.minimum(corner, opposite), depths[0]])
    high = np.array([*np.maximum(corner, opposite), depths[-1]])
    places = [contour for region in truth.plan.contours for contour in region.contours]
    places += [np.array([mark.position]) for mark in truth.plan.marks]
    places.append(np.array([[axis[0] for axis in truth.trial.axes()], [axis[-1] for axis in truth.trial.axes()]]))
    for place in places:
        assert (place >= low - 1e-6).all() and (place <= high + 1e-6).all()
    for region in truth.plan.contours:
        for contour in region.contours:
            assert np.min(np.abs(np.array(depths) - contour[0, 2])) < 1e-3


def _value(data: bytes, dimension: tuple[int, int, int], x: int, y: int, z: int) -> float:
    """A voxel of a dose file: z ascending, y descending, x ascending; counted from the lowest of Pinnacle."""
    columns, rows, _ = dimension
    offset = 4 * (z * rows * columns + (rows - 1 - y) * columns + x)
    return float(struct.unpack(">f", data[offset : offset + 4])[0])


@pytest.mark.parametrize(("version", "position"), [("6.2", "FFS"), ("9.10", "HFP"), ("16.0", "FFP"), ("16.0", "HFS")])
def test_each_voxel_of_the_dose_is_the_sum_of_the_files(tmp_path: Path, version: str, position: str) -> None:
    """Voxels taken from the dose files one by one, times MU and fractions, are the truth at their place in DICOM."""
    course = Course(
        version=version, position=position, images="dicom", beams=("static", "arc", "wedge"), prescriptions=2
    )
    truth = phantom.write(course, tmp_path / "archive")
    trial = truth.trial
    dose = trial.dose()
    assert dose is not None
    files = [(tmp_path / "archive" / truth.plan.folder / beam.dose_file).read_bytes() for beam in trial.fields]
    for x, y, z in ((0, 0, 0), (21, 17, 13), (3, 11, 5), (19, 2, 12), (10, 9, 1)):
        total = 0.0
        for beam, data in zip(trial.fields, files):
            assert beam.monitor_units is not None
            part = _value(data, trial.dimension, x, y, z)
            total += part * beam.monitor_units * beam.fractions / 100
        centimetres = [trial.origin[axis] + trial.voxel[axis] * index for axis, index in enumerate((x, y, z))]
        place = np.array(centimetres) * 10 * np.array(POSITIONS[position]) + np.array(course.shift())
        index = [int(np.argmin(np.abs(axis - value))) for axis, value in zip((dose.x, dose.y, dose.z), place)]
        assert [axis[at] for axis, at in zip((dose.x, dose.y, dose.z), index)] == pytest.approx(list(place))
        assert dose.values[index[2], index[1], index[0]] == pytest.approx(total, rel=1e-9)


def test_a_turned_or_swapped_dose_shows(tmp_path: Path) -> None:
    """A dose mirrored along any axis, or with two axes swapped, is far from the truth; so is a mirrored CT."""
    truth = phantom.write(Course(), tmp_path / "archive")
    dose = truth.trial.dose()
    assert dose is not None
    for axis in range(3):
        assert np.max(np.abs(np.flip(dose.values, axis) - dose.values)) > 0.03 * dose.values.max()
    assert len(set(dose.values.shape)) == 3
    assert len(set(truth.trial.voxel)) == 3
    pictures = np.array([picture.values for picture in truth.patient.images[0].pictures])
    for axis in range(3):
        assert np.mean(np.flip(pictures, axis) != pictures) > 0.05
    images = truth.patient.images[0]
    assert images.rows != images.columns and images.pixel_spacing[0] != images.pixel_spacing[1]


@pytest.mark.parametrize("sort", [name for name in SORTS if name != "electrons"])
def test_formula_and_grid_give_the_same_monitor_units(tmp_path: Path, sort: str) -> None:
    """From the figures as they are written, both ways give MU within 10 millionths."""
    truth = phantom.write(Course(beams=(sort,)), tmp_path / "archive")
    text = _text(truth, "Plan_0/plan.Trial")
    machines = _text(truth, "Plan_0/plan.Pinnacle.Machines")

    def found(key: str) -> float:
        match = re.search(rf"\b{key} = ([-\d.e]+);", text)
        assert match is not None
        return float(match[1])

    beam = truth.trial.fields[0]
    energy = re.search(r'MachineEnergyName = "(\w+)"', text)
    assert energy is not None
    calibration = re.search(rf'Name = "{energy[1]}";(?s:.*?)DosePerMuAtCalibration = ([\d.]+);', machines)
    assert calibration is not None
    below = found("NormalizedDose") * found("CollimatorOutputFactor") * float(calibration[1])
    formula = float(re.findall(r"PrescriptionDose = ([\d.]+);", text)[-1])
    formula /= below * found("TotalTransmissionFraction")
    assert beam.monitor_units == pytest.approx(formula, rel=1e-9)
    assert beam.by_grid == pytest.approx(formula, rel=1e-5)


def test_electrons_differ_by_the_percent(tmp_path: Path) -> None:
    """Formula and grid differ by PrescriptionPercent, so that no dose may be written unless somebody chooses."""
    truth = phantom.write(Course(beams=("static", "electrons"), percent=90.0), tmp_path / "archive")
    electrons = truth.trial.fields[1]
    assert electrons.by_formula is not None
    assert electrons.by_formula / electrons.by_grid == pytest.approx(0.9, rel=1e-4)
    assert electrons.monitor_units is None
    assert truth.trial.dose() is None
    by_grid, by_formula = truth.trial.dose("grid"), truth.trial.dose("formula")
    assert by_grid is not None and by_formula is not None
    assert by_grid.values.max() > 1.02 * by_formula.values.max()


def test_without_its_machine_a_beam_has_the_units_of_the_grid(tmp_path: Path) -> None:
    """The formula needs the machine's calibration; the grid does not."""
    truth = phantom.write(Course(machines=()), tmp_path / "archive")
    assert not (tmp_path / "archive" / truth.plan.folder / "plan.Pinnacle.Machines").exists()
    assert all(beam.by_formula is None and beam.monitor_units == beam.by_grid for beam in truth.trial.fields)


@pytest.mark.parametrize("sort", ["static", "eighty", "forty", "arc"])
def test_leaves_ascend_and_fill_the_field(tmp_path: Path, sort: str) -> None:
    """Rows as labelled, taken by ascending y, are the leaf positions; boundaries are those of the machine."""
    truth = phantom.write(Course(beams=(sort,)), tmp_path / "archive")
    beam = truth.trial.fields[0]
    text = _text(truth, "Plan_0/plan.Trial")
    tables = re.findall(r"MLCLeafPositions =\{(?s:.*?)Points\[\] =\{\n((?:\s*[-\d.,]+\n)+)", text)
    labels = re.findall(r'"\s*\d+\. Y = \s*([-\d.]+) cm"', text)
    rows = [[float(value) for value in line.strip(" ,").split(",")] for line in tables[-1].splitlines()]
    centres = [float(label) for label in labels[-len(rows) :]]
    ordered = [row for _, row in sorted(zip(centres, rows))]
    leaves = beam.settings[-1].leaves
    assert leaves is not None and beam.boundaries is not None
    # where leaf coordinates are not negated, the head is the other way up
    low, high = (1, 0) if sort == "eighty" else (0, 1)
    assert list(leaves) == pytest.approx([-10 * row[low] for row in ordered] + [10 * row[high] for row in ordered])
    assert len(beam.boundaries) == len(rows) + 1 == len(leaves) // 2 + 1
    assert all(low < high for low, high in zip(beam.boundaries, beam.boundaries[1:]))
    middles = [(low + high) / 20 for low, high in zip(beam.boundaries, beam.boundaries[1:])]
    assert middles == pytest.approx(sorted(centres))
    half = len(leaves) // 2
    assert all(one <= other for one, other in zip(leaves[:half], leaves[half:]))
    opened = sum(one < other for one, other in zip(leaves[:half], leaves[half:]))
    assert 8 < opened < len(rows) or sort == "forty"


@pytest.fixture(scope="module")
def every_sort(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Field]:
    """A beam of every sort."""
    truth = phantom.write(Course(beams=tuple(SORTS)), tmp_path_factory.mktemp("sorts") / "archive")
    return dict(zip(SORTS, truth.trial.fields))


@pytest.mark.parametrize("sort", list(SORTS))
def test_meterset_weights_go_from_nothing_to_all(every_sort: dict[str, Field], sort: str) -> None:
    """Cumulative weights begin at 0, never fall and end at 1; segments stand still while they deliver."""
    beam = every_sort[sort]
    weights = [setting.cumulative for setting in beam.settings]
    assert weights[0] == 0
    assert weights[-1] == pytest.approx(1, abs=1e-12)
    assert all(one <= other for one, other in zip(weights, weights[1:]))
    spec = SORTS[sort]
    assert len(weights) == (spec.control_points if spec.kind == "arc" else 2 * spec.control_points)
    if spec.kind != "arc":
        for begin, end in zip(beam.settings[::2], beam.settings[1::2]):
            assert (begin.gantry, begin.leaves, begin.jaws) == (end.gantry, end.leaves, end.jaws)
            assert begin.cumulative < end.cumulative
    if spec.kind == "arc":
        assert len({setting.gantry for setting in beam.settings}) == len(weights)
        assert len({setting.leaves for setting in beam.settings}) > 3


def test_weights_of_arcs_follow_their_convention(tmp_path: Path) -> None:
    """First of nothing: delivered on the way to a control point; last of nothing: on the way from it."""
    truth = phantom.write(Course(beams=("arc", "arc_departure", "arc_neither")), tmp_path / "archive")
    text = _text(truth, "Plan_0/plan.Trial")
    parts = [re.findall(r"Weight = ([\d.]+);\n\s+WeightLocked", part) for part in text.split("Beam ={")[1:]]
    arrival, departure, neither = ([float(value) for value in part] for part in parts)
    cumulative = [[setting.cumulative for setting in beam.settings] for beam in truth.trial.fields]
    assert arrival[0] == 0 and departure[-1] == 0 and min(neither) > 0
    assert np.diff(cumulative[0]) == pytest.approx(arrival[1:], abs=1e-5)
    assert np.diff(cumulative[1]) == pytest.approx(departure[:-1], abs=1e-5)
    assert [beam.weights_known for beam in truth.trial.fields] == [True, True, False]
    assert [beam.rotation for beam in truth.trial.fields] == ["CW", "CC", "CW"]


@pytest.mark.parametrize("version", list(VERSIONS))
def test_texts_are_whole_and_of_their_version(tmp_path: Path, version: str) -> None:
    """Braces match in every text, no line is empty, and each names its version."""
    truth = phantom.write(Course(version=version, trials=2, beams=tuple(SORTS)[::3]), tmp_path / "archive")
    for name in ("Patient", "Plan_0/plan.Trial", "Plan_0/plan.Points", "Plan_0/plan.Pinnacle.Machines"):
        text = _text(truth, name)
        body = text.partition("\n\n/*")[0]
        assert body.count("{") == body.count("}")
        assert "" not in body.strip("\n").split("\n")
        for line in body.strip().split("\n"):
            assert line.endswith(("{", ";", ",")) or re.fullmatch(r"\s*[-\d.,]+", line)
        assert VERSIONS[version] in text
    header = _text(truth, "ImageSet_0.header")
    assert ("y_start_dicom" in header) == (version == "16.0")
    assert ("CPManagerObject" in _text(truth, "Plan_0/plan.Trial")) == (float(version.split(".")[0]) >= 9)
    assert len(truth.plan.trials) == 2


def test_plans_and_trials_are_unlike(tmp_path: Path) -> None:
    """No two trials have the same dose, and no two plans the same contours, points or dose files."""
    truth = phantom.write(Course(plans=2, trials=2), tmp_path / "archive")
    doses = []
    for _, _, trial in truth.trials():
        dose = trial.dose()
        assert dose is not None
        doses.append(dose.values)
    for number, dose_values in enumerate(doses):
        for other in doses[number + 1 :]:
            assert np.max(np.abs(dose_values - other)) > 0.02 * other.max()
    first, second = truth.patient.plans
    assert not np.allclose(first.contours[0].contours[0], second.contours[0].contours[0], atol=0.5)
    assert first.marks[2].position != second.marks[2].position
    assert len({beam.dose_file for trial in first.trials for beam in trial.fields}) == 4
