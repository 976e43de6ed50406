"""The generator of courses tells the truth: its mathematics, its objects, and a scenario for every code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from course_truth import Course, ExactDvh, Linear, Made, Radial, Spherical, eqd2, make, save, write
from truth_codes import CODES, IN_NO_TABLE, TABLES, WHOLE, config, until
from truth_frame import PLANES, POSITIONS
from truth_scenarios import BOOST, NEIGHBOURS, SCENARIOS, Mishap, Scenario, quick
from truth_shapes import Array, Body, Box, Disc, Slab, ball

from qa_fetch import part10

WAYS = [(position, plane) for position in POSITIONS for plane in PLANES]
DOSES = {
    "oblique": Linear(),
    "along x": Linear(45, (0.2, 0, 0)),
    "along z": Linear(45, (0, 0, -0.2)),
    "even": Linear(45, (0, 0, 0)),
    "radial": Radial(),
    "spherical": Spherical(centre=(4.0, -3.0, 6.0)),
}


@pytest.fixture(scope="module")
def whole() -> Made:
    """The course with all regions."""
    return make(Course(dvh_of=("PTV_60",)))


def sampled(body: Body, dose: Any, cells: int = 50) -> tuple[Array, float]:
    """Doses at points of every slab, one anywhere in each small cell, and the volume that each stands for."""
    (left, low, _), (right, high, _) = body.bounds()
    anywhere = np.random.default_rng(1)
    corners = np.mgrid[:cells, :cells].reshape(2, -1)
    found = []
    for slab in body.slabs:
        across, up = (corners + anywhere.random(corners.shape)) / cells
        x, y = left + (right - left) * across, low + (high - low) * up
        inside = body.covers(x, y, slab.z)
        part = anywhere.random(inside.sum()) - 0.5
        found.append(dose.at(x[inside], y[inside], slab.z + slab.thickness * part))
    return np.concatenate(found), (right - left) * (high - low) / cells**2 * body.slabs[0].thickness


def shoelace(points: Array) -> float:
    """The area of a contour, whichever way it runs."""
    x, y = points[:, 0], points[:, 1]
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


def positions(dataset: Any) -> Array:
    """Where in the patient the voxels of an image are, row by row."""
    corner, turns = np.array(dataset.ImagePositionPatient, float), np.array(dataset.ImageOrientationPatient, float)
    down, across = (float(value) for value in dataset.PixelSpacing)
    rows, columns = np.mgrid[: dataset.Rows, : dataset.Columns].reshape(2, -1, 1)
    placed: Array = corner + columns * across * turns[:3] + rows * down * turns[3:]
    return placed


@pytest.mark.parametrize("piece", [Disc(3, -2, 5), Box(3, -2, 9, 4)])
@pytest.mark.parametrize("other", [(3, -2, 20), (3, -2, 2), (0, 0, 3.5), (9, 1, 3), (5, -5, 4), (30, 0, 5), (3, -2, 0)])
def test_the_area_in_common_with_a_disc_is_what_counting_gives(piece: Any, other: tuple[float, float, float]) -> None:
    """Lenses, and pieces of boxes."""
    x, y = np.meshgrid(np.linspace(-5, 12, 851) + 0.007, np.linspace(-10, 6, 801) + 0.007)
    inside = piece.covers(x, y) & ((x - other[0]) ** 2 + (y - other[1]) ** 2 <= other[2] ** 2)
    assert piece.within(*other) == pytest.approx(inside.sum() * 0.02**2, abs=0.12)


def test_segments_of_a_circle_add_up() -> None:
    """The integral of a segment's area is that of the areas."""
    disc, places = Disc(0, 0, 3), np.linspace(-3, 4, 7001)
    assert disc.beyond(0) == pytest.approx(disc.area() / 2)
    added = sum(disc.beyond(float(place)) for place in (places[1:] + places[:-1]) / 2) * 0.001
    assert disc.beyond_added(4) == pytest.approx(added, rel=1e-6)
    assert disc.beyond_added(-4) == pytest.approx(-disc.area())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in ("PTV_60", "Ring", "Bolus", "Lung L/R") for kind in DOSES if kind != "spherical"),
        ("PTV_60", "spherical"),
    ],
)
def test_exact_histograms_are_what_sampling_gives(whole: Made, name: str, kind: str) -> None:
    """Volume, mean, Dx and Vx of every shape under every dose that is exact for it."""
    body = whole.truth.roi(name).body
    assert body is not None
    dose = DOSES[kind]
    exact, (doses, each) = ExactDvh(body, dose), sampled(body, dose)
    assert len(doses) * each / 1000 == pytest.approx(exact.volume_cc(), rel=0.003)
    assert doses.mean() == pytest.approx(exact.mean(), abs=0.02)
    for percent in (2, 50, 95):
        assert np.percentile(doses, 100 - percent) == pytest.approx(exact.d(percent), abs=0.05)
    level = exact.median()
    assert 100 * (doses >= level - 1e-9).mean() == pytest.approx(exact.v(level), abs=1.5)
    assert -1e-6 <= doses.min() - exact.minimum() < 0.6
    assert -1e-6 <= exact.maximum() - doses.max() < 0.6


def test_a_ball_has_the_doses_of_the_textbook() -> None:
    """Half of it gets what its middle gets; a cap of height h is pi h^2 (3 r - h) / 3; the mean square is 3/5 r^2."""
    planes = np.arange(-30, 30.01, 0.1) + 0.05
    body = ball((0, 0, 0), 30, planes, 0.1)
    linear, round_one = ExactDvh(body, Linear(50, (0, 0, 0.5))), ExactDvh(body, Spherical(60, 0.01))
    assert body.volume_cc() == pytest.approx(body.ideal_cc, rel=1e-4)
    assert (linear.mean(), linear.d(50)) == (pytest.approx(50), pytest.approx(50))
    assert linear.v_cc(60) == pytest.approx(np.pi * 100 * (90 - 10) / 3 / 1000, rel=1e-3)
    assert round_one.mean() == pytest.approx(60 - 0.01 * 0.6 * 900, abs=1e-3)
    assert round_one.d(100 / 8) == pytest.approx(60 - 0.01 * 15**2, abs=2e-3)
    assert round_one.d_cc(0.1) == pytest.approx(60 - 0.01 * (100 * 3 / 4 / np.pi) ** (2 / 3), abs=2e-3)


def test_a_spherical_dose_is_refused_where_it_is_not_exact() -> None:
    """Nothing is told that is not true."""
    slab = Slab(0, 2, (Box(0, 0, 4, 4),))
    with pytest.raises(
        ValueError, match="^A spherical dose is exact only for discs around its own axis. Take a linear or"
    ):
        Spherical().above(slab, 55)


def test_doses_of_two_plans_add_up_and_fractions_count() -> None:
    """A sum of linear doses is one; 60 Gy in 2 Gy are 60 Gy, in 3 Gy they are 72 Gy for alpha/beta = 3 Gy."""
    both = BOOST[0].dose + BOOST[1].dose  # type: ignore[operator]
    assert both.centre == 60 and both.gradient == pytest.approx((0.02, -0.02, 0.10))
    assert (eqd2(60, 30, 3), eqd2(60, 20, 3)) == (pytest.approx(60), pytest.approx(72))


# objects


@pytest.mark.parametrize(("position", "plane"), WAYS, ids=["-".join(way) for way in WAYS])
def test_values_lie_where_the_truth_says_however_the_patient_lies(position: str, plane: str) -> None:
    """CT numbers, doses and contours, in the patient, of every position and every plane."""
    made = make(quick(position=position, plane=plane, slices=6))
    truth = made.truth
    for image in (made.of("CT")[0], made.of("CT")[-1]):
        stored = np.frombuffer(image.PixelData, "<u2").astype(float) + float(image.RescaleIntercept)
        assert abs(stored - truth.hu(positions(image))).max() <= 0.5 + 1e-6
    dose = made.of("RTDOSE")[0]
    turns = np.array(dose.ImageOrientationPatient, float)
    normal = np.cross(turns[:3], turns[3:])
    frames = np.frombuffer(dose.PixelData, "<u4").reshape(len(dose.GridFrameOffsetVector), -1) * float(
        dose.DoseGridScaling
    )
    for offset, frame in zip(dose.GridFrameOffsetVector, frames):
        assert abs(frame - truth.gray(positions(dose) + float(offset) * normal)).max() < 1e-5
    curve = made.of("RTSTRUCT")[0].ROIContourSequence[0].ContourSequence[0]
    points = np.array(curve.ContourData, float).reshape(-1, 3)
    heights = [float(np.dot(normal, np.array(image.ImagePositionPatient, float))) for image in made.of("CT")]
    away = points @ normal
    assert np.ptp(away) < 1e-4 and min(abs(height - away[0]) for height in heights) < 1e-4


@pytest.mark.parametrize("offsets", ["relative", "descending", "absolute"])
@pytest.mark.parametrize("position", POSITIONS)
def test_offsets_of_frames_mean_the_same_places(offsets: str, position: str) -> None:
    """A dose is the same whichever way its frames are counted."""
    made = make(quick(position=position, offsets=offsets, slices=20, dose_bits=16))
    dose = made.of("RTDOSE")[0]
    given = np.array(dose.GridFrameOffsetVector, float)
    start = np.array(dose.ImagePositionPatient, float)
    normal = 1 if made.truth.course.frame().along_normal() > 0 else -1
    heights = given if offsets == "absolute" else start[2] + normal * given
    assert heights[0] == pytest.approx(start[2])
    assert (given[-1] < given[0]) == (offsets == "descending" or (offsets == "absolute" and normal < 0))
    frames = np.frombuffer(dose.PixelData, "<u2").reshape(len(given), -1) * float(dose.DoseGridScaling)
    places = positions(dose)
    for height, frame in zip(heights, frames):
        places[:, 2] = height
        assert abs(frame - made.truth.gray(places)).max() < 0.001


def test_contours_enclose_the_volume_of_the_truth(whole: Made) -> None:
    """By ROINumber, with holes as contours of their own or as keyholes, from the numbers in the file."""
    (structures,) = whole.of("RTSTRUCT")
    found: dict[int, float] = {}
    for drawn in structures.ROIContourSequence:
        if "ContourSequence" not in drawn:
            continue
        areas: dict[float, list[float]] = {}
        for curve in drawn.ContourSequence:
            points = np.array(curve.ContourData, float).reshape(-1, 3)
            areas.setdefault(float(points[0, 2]), []).append(shoelace(points))
        hollow = whole.truth.roi(int(drawn.ReferencedROINumber)).name == "Ring"
        each = ((one[0] - one[1]) if hollow else sum(one) for one in areas.values())
        found[int(drawn.ReferencedROINumber)] = 2 * sum(each) / 1000
    wanted = {roi.number: pytest.approx(roi.volume_cc(), rel=1e-5) for roi in whole.truth.course.regions()}
    assert set(wanted) - set(found) == {40, 41}
    assert {**found, 40: 0.0, 41: 0.0} == wanted
    assert wanted[1] == wanted[2].expected


def test_regions_are_told_by_number_only(whole: Made) -> None:
    """The catalogue's numbers, odd names and sizes; a shuffled one has no two sequences in one order."""
    regions = whole.truth.course.regions()
    assert [roi.number for roi in regions] != sorted(roi.number for roi in regions)
    assert whole.truth.roi("PTV_60").volume_cc() == pytest.approx(102, abs=0.1)
    assert whole.truth.roi("GTV").volume_cc() == pytest.approx(0.5, rel=0.05)
    assert any("/" in roi.name for roi in regions)
    assert [roi.name for roi in regions if whole.truth.clipped(roi.number)] == ["Clipped", "External"]
    (shuffled,) = make(Course(shuffled=True, slices=56)).of("RTSTRUCT")
    orders = (
        [item.ROINumber for item in shuffled.StructureSetROISequence if item.ROINumber != 40],
        [item.ReferencedROINumber for item in shuffled.ROIContourSequence],
        [item.ReferencedROINumber for item in shuffled.RTROIObservationsSequence if item.ReferencedROINumber != 40],
    )
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_where_a_region_lies(whole: Made) -> None:
    """Its middle, its corners and its voxels, in the patient."""
    truth = whole.truth
    middle = truth.course.frame().to_patient(np.array([[4.0, -3.0, 6.0]]))[0]
    assert truth.centroid("PTV_60") == pytest.approx(middle)
    low, high = truth.bounds("PTV_60")
    assert (low + high) / 2 == pytest.approx(middle) and high[0] - low[0] == pytest.approx(58, abs=0.1)
    points = np.array([middle, middle + [0, 0, 27], middle + [0, 0, 31]])
    assert truth.inside("PTV_60", points).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="^Region Isocentre has no volume. Ask for one that is drawn.$"):
        truth.dvh("Isocentre")


def test_the_planning_system_says_the_same_when_it_is_right(whole: Made) -> None:
    """ROIVolume and DVHSequence."""
    (structures,), (dose,), truth = whole.of("RTSTRUCT"), whole.of("RTDOSE"), whole.truth
    given = {
        int(item.ROINumber): float(item.ROIVolume) for item in structures.StructureSetROISequence if "ROIVolume" in item
    }
    assert given[7] == pytest.approx(truth.roi(7).volume_cc(), abs=1e-3) and 40 not in given
    (curve,) = dose.DVHSequence
    volumes = np.array(curve.DVHData, float)[1::2]
    assert curve.DVHReferencedROISequence[0].ReferencedROINumber == 7 and len(volumes) == curve.DVHNumberOfBins
    assert volumes[0] == pytest.approx(truth.roi(7).volume_cc()) and volumes[-1] == 0 and (np.diff(volumes) <= 0).all()
    assert volumes[90] == pytest.approx(truth.dvh(7).v_cc(45.0), abs=1e-5)
    wrong = make(quick(tps_volumes="wrong", slices=6)).of("RTSTRUCT")[0].StructureSetROISequence[0]
    assert float(wrong.ROIVolume) == pytest.approx(1.2 * make(quick(slices=6)).truth.roi(2).volume_cc(), abs=1e-3)


def test_links_are_those_of_the_chain() -> None:
    """Each object names the next one, across studies too; edges hold only what is there."""
    made = make(quick(apart=True, slices=6, plans=BOOST))
    (structures,), plans, doses, chain = made.of("RTSTRUCT"), made.of("RTPLAN"), made.of("RTDOSE"), made.truth.chain
    study = structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert study.RTReferencedSeriesSequence[0].SeriesInstanceUID == chain.ct_series
    assert {plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID for plan in plans} == {chain.structure_set}
    assert tuple(dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID for dose in doses) == chain.plans
    assert len({dataset.StudyInstanceUID for dataset in made.datasets}) == 4 == len(made.truth.study_uids)
    assert [edge.evidence for edge in made.truth.edges] == ["uid"] * 5
    loose = make(quick(slices=6, dose_link="frame", structures_link="frame", leave_out=("RTPLAN",)))
    assert [(edge.source, edge.evidence) for edge in loose.truth.edges] == [
        (loose.truth.chain.structure_set, "frame"),
        (loose.truth.chain.doses[0], "frame"),
    ]
    assert "ReferencedRTPlanSequence" not in loose.of("RTDOSE")[0]


def test_damaged_series_are_damaged_as_they_say() -> None:
    """A slice missing, one out of step, one twice, one turned, none that says where it lies."""
    heights = {
        damage: np.sort([float(image.get("ImagePositionPatient", [0, 0, 0])[2]) for image in made.of("CT")])
        for damage in ("", "missing", "uneven", "duplicate", "no position")
        for made in [make(quick(slices=8, damage=damage))]
    }
    assert np.diff(heights[""]).tolist() == [2.0] * 7
    assert np.diff(heights["missing"]).tolist() == [2.0] * 3 + [4.0] + [2.0] * 2
    assert np.diff(heights["uneven"]) == pytest.approx([2, 2, 2, 2.7, 1.3, 2, 2])
    assert np.diff(heights["duplicate"]).tolist() == [2.0] * 4 + [0.0] + [2.0] * 3
    assert not heights["no position"].any()
    turned = make(quick(slices=8, damage="mixed")).of("CT")
    assert len({tuple(image.ImageOrientationPatient) for image in turned}) == 2
    cut = make(quick(slices=20, dose_truncated=True)).of("RTDOSE")[0]
    assert len(cut.PixelData) < cut.Rows * cut.Columns * int(cut.NumberOfFrames) * 4


def test_locations_and_numbers_may_mislead() -> None:
    """SliceLocation against the position, and InstanceNumber in any order."""
    for location, sign in (("along", 1), ("reversed", -1)):
        for image in make(quick(slices=6, slice_location=location)).of("CT"):
            assert float(image.SliceLocation) == pytest.approx(sign * float(image.ImagePositionPatient[2]))
    numbers = [int(image.InstanceNumber) for image in make(quick(slices=6, instance_numbers="shuffled")).of("CT")]
    assert numbers != sorted(numbers) and sorted(numbers) == [1, 2, 3, 4, 5, 6]
    down = make(quick(slices=6, instance_numbers="down", slice_location="none")).of("CT")
    assert [int(image.InstanceNumber) for image in down] == [6, 5, 4, 3, 2, 1] and "SliceLocation" not in down[0]


def test_other_images_share_the_frame_of_reference() -> None:
    """MR and PET, on pixels of their own."""
    made = make(quick(slices=6, mr=True, pet=True))
    assert (len(made.of("MR")), len(made.of("PT"))) == (14, 12)
    assert {image.FrameOfReferenceUID for image in made.datasets} == {made.truth.course.frame_uid()}


def test_files_are_read_back_as_they_were_made(tmp_path: Path) -> None:
    """Patients whose numbers begin alike, in folders of their own."""
    for patient in NEIGHBOURS:
        truth = write(quick(patient=patient, slices=4), tmp_path)
        files = sorted((tmp_path / patient).rglob("*.dcm"))
        assert sorted(file.stem for file in files) == sorted(truth.instance_uids)
    dose = part10.read(next((tmp_path / "1_2").rglob("RTDOSE/*.dcm")))
    assert dose.PixelData == make(quick(patient="1_2", slices=4)).of("RTDOSE")[0].PixelData
    assert dose.PatientID == "1_2"
    one, other = (make(quick(patient=patient, slices=4)).truth for patient in ("1", "12"))
    assert not set(one.instance_uids) & set(other.instance_uids)


# codes


def test_every_code_of_every_table_has_a_scenario() -> None:
    """None is left out, and none is made up."""
    assert {code for scenario in SCENARIOS for code in scenario.codes} == CODES
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert sum(map(len, TABLES.values())) + len(IN_NO_TABLE) == len(CODES)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenarios_end_where_their_codes_say(scenario: Scenario) -> None:
    """One patient, nothing after what excludes, and the status that PDCP would give."""
    assert len({course.patient for course in scenario.courses}) == 1
    excluding = [code for code in scenario.codes if "_EXEC_" in code]
    assert excluding == list(scenario.codes[-1:]) if excluding else scenario.codes[-1] == WHOLE[-1]
    reviewed = any("_REV_" in code for code in scenario.codes)
    assert scenario.status() == ("EXECLUDE" if excluding else "REVIEW" if reviewed else "SUCCESS")
    assert scenario.code() == scenario.codes[-1]


def test_scenarios_of_courses_are_what_they_claim() -> None:
    """Studies, series and slices of those whose objects alone decide."""
    named = {scenario.name: scenario for scenario in SCENARIOS}

    def studies(name: str) -> int:
        return len(
            {uid for course in named[name].courses for uid in (course.study_uid("CT"), course.study_uid("RTDOSE"))}
        )

    assert studies("a rescan") == 2 and studies("two CTs with all that belongs to each") == 1
    assert studies("each object in a study of its own") == 2
    assert {course.slices for course in named["501 slices"].courses} == {501}
    (made,) = named["regions without any contour"].make()
    assert all("ContourSequence" not in item for item in made.of("RTSTRUCT")[0].ROIContourSequence)
    (twice,) = named["two regions of one name"].make()
    assert len({item.ROIName for item in twice.of("RTSTRUCT")[0].StructureSetROISequence}) == 1
    for name, low, high in (("a dose below the window", 3, 38), ("a dose above the window", 120, 200)):
        (made,) = named[name].make()
        (dose,) = made.of("RTDOSE")
        assert low < np.frombuffer(dose.PixelData, "<u4").max() * float(dose.DoseGridScaling) < high
    assert until("XII_EXEC_001") == (*WHOLE[:3], "XII_EXEC_001")


def test_mishaps_happen_to_one_patient_only(tmp_path: Path) -> None:
    """Files are lost, cut, renamed and folders emptied, and nothing is done silently to nothing."""
    mades = [make(quick(patient=patient, slices=4)) for patient in ("1", "12")]
    for made in mades:
        save(made.datasets, tmp_path / "archive")
    gone, cut = Mishap("verify", "archive", "lose", "RTPLAN"), Mishap("verify", "archive", "cut", "CT")
    assert gone.uids(mades[:1]) == list(mades[0].truth.chain.plans) and len(cut.uids(mades[:1])) == 1
    cut.happen(tmp_path / "archive", "1")
    gone.happen(tmp_path / "archive", "1")
    sizes = {file.stat().st_size for file in (tmp_path / "archive").rglob("CT/*.dcm")}
    assert len(sizes) > 1 and [file.parts[-4] for file in (tmp_path / "archive").rglob("RTPLAN/*.dcm")] == ["12"]
    with pytest.raises(ValueError, match=r"^archive holds nothing like 1/\*\*/RTPLAN/\*.dcm. Let verify come first.$"):
        gone.happen(tmp_path / "archive", "1")
    summaries = tmp_path / "imagesummaries"
    summaries.mkdir()
    for patient in ("1", "12"):
        (summaries / f"{patient}_SUCCESS.csv").write_text("PatId,Modality\n1,CT\n", encoding="utf-8")
    Mishap("summarise", "imagesummaries", "as ERROR", "{pid}_SUCCESS.csv").happen(summaries, "1")
    assert sorted(file.name for file in summaries.iterdir()) == ["12_SUCCESS.csv", "1_ERROR.csv"]
    assert (summaries / "1_ERROR.csv").read_text(encoding="utf-8") == "PatId,Modality\n"
    masks = tmp_path / "data" / "1" / "masks" / "1.2"
    masks.mkdir(parents=True)
    (masks / "a.nii.gz").write_bytes(b"mask")
    Mishap("build", "data", "empty", "masks").happen(tmp_path / "data" / "1", "1")
    assert list((tmp_path / "data" / "1" / "masks").iterdir()) == []


def test_both_spellings_of_the_configuration(tmp_path: Path) -> None:
    """The keys of PDCP's code, and those of its manual."""
    code, manual = config(tmp_path), config(tmp_path, manual=True, CONNECTIONS=1)
    assert set(code) - set(manual) == {"datadirectory", "thequarantine"}
    assert set(manual) - set(code) == {"datadictionary", "quarantine"}
    assert manual["CONNECTIONS"] == 1 and code["imagesummaries"].endswith("/")


def test_the_same_course_has_the_same_uids() -> None:
    """The same names give the same UIDs, all different from one another."""
    course = quick(slices=4)
    assert make(course).truth == make(quick(slices=4)).truth
    assert len(set(make(course).truth.instance_uids)) == 7
