"""Dose-volume histograms against closed forms; PDCP's columns of them, EQD2, and what is to be taken with care."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Optional

import numpy as np
import pytest
from truth_dose import Dose, ExactDvh, Linear, Radial, Spherical
from truth_dose import eqd2 as exact_eqd2
from truth_frame import Frame
from truth_rois import Roi, catalogue
from truth_shapes import Box, column

from qa_fetch.cohort import eqd2
from qa_fetch.cohort.contours import Contour, Region
from qa_fetch.cohort.dvh import Dvh, columns, of, whole
from qa_fetch.cohort.grids import Grid, Volume
from qa_fetch.cohort.masks import mask
from qa_fetch.errors import BadArchive, ConfigError, Incomplete, QAFetchError

PLANES = np.arange(-54.0, 55.0, 2.0)
SHARES = (0.5, 2, 5, 25, 50, 75, 95, 98, 99.5)
GY = 0.05
UPRIGHT = Frame()
STEEP = Linear(45.0, (0.3, -0.2, 0.4))


def region(roi: Roi, frame: Frame = UPRIGHT, **facts: Any) -> Region:
    """A region of the catalogue, as it is read from a structure set."""
    contours = tuple(Contour(frame.to_patient(points), None) for points in roi.contours())
    given = Region(roi.number, roi.name, None, None, None, "1.2.3", contours, None, ())
    return replace(given, **facts)


def lattice(shape: Sequence[int], spacing: Sequence[float], frame: Frame = UPRIGHT) -> Grid:
    """Voxels around the middle of the phantom."""
    middle = (np.array(shape) - 1) / 2 * np.array(spacing)
    first, *ends = frame.to_patient(np.array([-middle[::-1], *(np.diag(spacing)[:, ::-1] - middle[::-1])]))
    return Grid(tuple(shape), first, np.array(ends) - first, "1.2.3")  # type: ignore[arg-type]


@cache
def dosed(dose: Dose, frame: Frame = UPRIGHT, shape: tuple[int, ...] = (44, 42, 42)) -> Volume:
    """A dose that is a function, on a grid."""
    grid = lattice(shape, (3, 2.5, 2.5), frame)
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    places = frame.to_phantom(grid.points(indices))
    values = np.asarray(dose.at(*places.T), dtype=np.float32).reshape(shape)
    return Volume(grid, values, "RTDOSE", "1.2.9")


def named(name: str) -> Roi:
    """A region of the catalogue."""
    return next(roi for roi in catalogue(PLANES, 2.0) if roi.name == name)


def block(width: float = 20.0, height: float = 20.0, planes: Optional[Any] = None, x: float = 0.0) -> Roi:
    """A box of 2 mm slabs."""
    chosen = PLANES[22:32] if planes is None else planes
    return Roi(5, "Box", "ORGAN", column((Box(x, 0, width, height),), chosen, 2.0))


def agrees(found: Dvh, exact: ExactDvh, within: float = GY) -> None:
    """Doses and volumes are those of the closed form."""
    assert found.volume_cc == pytest.approx(exact.volume_cc(), rel=1e-6)
    assert found.inside_cc == pytest.approx(exact.volume_cc(), rel=1e-6)
    assert found.mean == pytest.approx(exact.mean(), abs=within)
    assert found.median == pytest.approx(exact.median(), abs=within)
    assert {share: found.D(share) for share in SHARES} == {
        share: pytest.approx(exact.d(share), abs=within) for share in SHARES
    }
    level = exact.d(40)
    assert found.V(level) == pytest.approx(exact.v(level), abs=1)
    assert found.V(level, "cc") == pytest.approx(exact.v_cc(level), rel=0.025)


# Closed forms


@pytest.mark.parametrize("name", ["PTV_60", "GTV", "SpinalCord", "Ring", "Ring keyhole", "Bolus", "Lung L/R", "Lens_L"])
def test_doses_of_a_region_are_those_of_the_closed_form(name: str) -> None:
    """Balls, cylinders, rings drawn both ways, a box, two pieces, and 0.03 cc: every Dx, mean and Vx."""
    roi = named(name)
    assert roi.body is not None
    agrees(of(region(roi), dosed(STEEP), lattice((55, 60, 72), (2, 1.5, 1.25))), ExactDvh(roi.body, STEEP))


@pytest.mark.parametrize("gradient", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)])
def test_a_dose_that_changes_along_one_axis_gives_no_stair(gradient: tuple[float, float, float]) -> None:
    """1 Gy for a mm, and the points of a row or of a plane would all have one dose."""
    slope, roi = Linear(70.0, gradient), block(31.3, 27.7)
    assert roi.body is not None
    exact, found = ExactDvh(roi.body, slope), of(region(roi), dosed(slope))
    agrees(found, exact)
    for share in np.arange(1, 100):
        assert found.D(share) == pytest.approx(exact.d(share), abs=GY)


def test_a_dose_that_falls_with_the_distance_is_met_too() -> None:
    """What lies between voxels of the dose is interpolated, so a curve costs a little."""
    line, point = Radial(), Spherical(centre=(4.0, -3.0, 6.0))
    ring, target = named("Ring"), named("PTV_60")
    assert ring.body is not None and target.body is not None
    agrees(of(region(ring), dosed(line)), ExactDvh(ring.body, line))
    agrees(of(region(target), dosed(point)), ExactDvh(target.body, point))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal", "oblique"])
@pytest.mark.parametrize("position", ["HFS", "FFP"])
def test_the_numbers_are_the_same_however_the_patient_lies(position: str, plane: str) -> None:
    """The plane of contours is found from themselves."""
    frame, roi = Frame(position, plane), named("SpinalCord")
    assert roi.body is not None
    agrees(of(region(roi, frame), dosed(STEEP, frame)), ExactDvh(roi.body, STEEP))


def test_extremes_are_those_of_the_corners() -> None:
    """A point inside seldom has the highest dose."""
    found = of(region(block()), dosed(STEEP))  # from -10 to 10 mm in x and y, from -11 to 9 in z
    assert found.max == pytest.approx(45 + 3 + 2 + 3.6, abs=1e-4) and found.D(0) == found.max
    assert found.min == pytest.approx(45 - 3 - 2 - 4.4, abs=1e-4) and found.D(100) == found.min


def test_an_even_dose_is_had_by_all() -> None:
    """What rounding makes of 46.3 Gy must not empty V46.3Gy."""
    found = of(region(block()), dosed(Linear(46.3, (0, 0, 0))))
    assert (found.V(46.3), found.V(46.4)) == (pytest.approx(100), 0)
    assert found.D(95) == pytest.approx(46.3, abs=1e-5)


def test_a_mask_gives_the_same_within_what_voxels_can() -> None:
    """Its edge is that of voxels, and its volume that of the mask."""
    roi, images = named("PTV_60"), lattice((55, 90, 90), (2, 1, 1))
    assert roi.body is not None
    filled = mask(region(roi), images)
    found, exact = of(filled, dosed(STEEP)), ExactDvh(roi.body, STEEP)
    assert found.volume_cc == filled.volume_cc == pytest.approx(exact.volume_cc(), rel=0.003)
    assert found.mean == pytest.approx(exact.mean(), abs=GY)
    for share in (2, 50, 95, 98):
        assert found.D(share) == pytest.approx(exact.d(share), abs=2 * GY)


def test_a_mask_of_many_voxels_is_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A patient's outline has millions; four of them at once give the same doses."""
    monkeypatch.setattr("qa_fetch.cohort.sampling._MANY", 4000)
    roi, images = block(30, 24), lattice((55, 60, 60), (2, 1, 1))
    assert roi.body is not None
    found, exact = of(mask(region(roi), images), dosed(STEEP)), ExactDvh(roi.body, STEEP)
    assert [found.volume_cc, found.inside_cc] == pytest.approx([exact.volume_cc()] * 2, rel=1e-6)
    assert [found.mean, found.D(95)] == [pytest.approx(value, abs=2 * GY) for value in (exact.mean(), exact.d(95))]


def test_the_same_data_give_the_same_numbers() -> None:
    """Points are spread, but not by chance; the order of contours means nothing."""
    drawn, dose = region(named("GTV")), dosed(STEEP)
    again = replace(drawn, contours=drawn.contours[::-1])
    assert of(drawn, dose).row("1", "x") == of(drawn, dose).row("1", "x") == of(again, dose).row("1", "x")


# What a contour stands for


def test_images_say_how_thick_a_single_plane_is() -> None:
    """Without them nothing does."""
    one = region(block(planes=PLANES[27:28]), number=8)
    assert of(one, dosed(STEEP), lattice((55, 60, 60), (2, 1, 1))).volume_cc == pytest.approx(0.8)
    with pytest.raises(Incomplete) as caught:
        of(one, dosed(STEEP))
    assert str(caught.value) == (
        "ROI 8 has no DVH: it is drawn on one plane only, and nothing says how far its images lie apart. "
        "Give the images as well."
    )


def test_contours_on_every_second_image_stand_for_two() -> None:
    """As they do in a mask; where some are merely missing they count as empty, and that is said."""
    images, dose = lattice((55, 60, 60), (2, 1, 1)), dosed(STEEP)
    second = of(region(block(planes=PLANES[10:30:2])), dose, images)
    assert (second.volume_cc, second.cautions) == (pytest.approx(0.4 * 4 * 10), ())
    holed = of(region(block(planes=np.delete(PLANES[10:30], [7, 8]))), dose, images)
    assert holed.volume_cc == pytest.approx(0.4 * 2 * 18)
    assert holed.cautions == (
        (
            "gaps",
            "The ROI is not drawn on 2 planes between the others, which count as empty. "
            "Check it where it should be one piece.",
        ),
    )


def test_contours_out_of_their_plane_are_refused() -> None:
    """Filled as if they lay flat they would be another shape."""
    bent = np.array([[0, 0, 0], [20, 0, 0], [20, 20, 3], [0, 20, 0]], dtype=np.float64)
    with pytest.raises(BadArchive) as caught:
        of(region(block(), contours=(Contour(bent, None),)), dosed(STEEP), lattice((55, 60, 60), (2, 1, 1)))
    assert str(caught.value) == (
        "ROI 5 has no DVH: its contours do not lie in parallel planes, or not in those of the images. "
        "Use the series that they were drawn on."
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            {"fault": "it has no contours. Draw it, or leave it out"},
            "ROI 5 has no DVH: it has no contours. Draw it, or leave it out.",
        ),
        (
            {"contours": (Contour(np.zeros((4, 3)), None),)},
            "ROI 5 has no DVH: its contours enclose nothing. Draw it, or leave it out.",
        ),
    ],
)
def test_a_region_that_encloses_nothing_is_refused(facts: dict[str, Any], sentence: str) -> None:
    """With the reason that its reader found."""
    for images in (None, lattice((55, 60, 60), (2, 1, 1))):
        with pytest.raises(QAFetchError) as caught:
            of(region(block(), **facts), dosed(STEEP), images)
        assert str(caught.value) == sentence


def test_a_sliver_thinner_than_any_row_has_its_doses() -> None:
    """A piece that rows miss has its exact volume all the same."""
    sliver = Roi(5, "Sliver", "ORGAN", column((Box(0, 0, 30, 0.001),), PLANES[20:30], 2.0))
    assert sliver.body is not None
    found, exact = of(region(sliver), dosed(STEEP)), ExactDvh(sliver.body, STEEP)
    assert found.inside_cc == pytest.approx(exact.volume_cc()) and found.mean == pytest.approx(exact.mean(), abs=GY)


# What is to be taken with care


def test_a_region_that_is_cut_by_the_dose_grid_says_so() -> None:
    """Its values are those of the part inside, and its volume that of all."""
    dose = dosed(STEEP, shape=(44, 42, 17))  # from -20 to 20 mm in x
    found = of(region(block(x=15.0)), dose)
    assert (found.volume_cc, found.inside_cc) == (pytest.approx(8.0), pytest.approx(6.0, rel=0.01))
    (caution,) = found.cautions
    assert caution.kind == "clipped"
    assert caution.text == (
        f"{found.outside_cc / 8 * 100:.3g} % of the ROI lies outside of the dose grid, and the values are those of "
        "the rest. Make the dose grid larger in the planning system where they matter."
    )
    assert found.mean == pytest.approx(45 + 0.3 * 12.5 - 0.4, abs=GY)
    every = found.assuming(0.0)
    assert every.cautions == found.cautions and every.inside_cc == pytest.approx(8.0)
    assert every.V(1.0) == pytest.approx(75, abs=0.5) and every.assuming(1.0) is every


def test_a_region_outside_of_the_dose_grid_has_no_values() -> None:
    """None of them, rather than zeros."""
    found = of(region(block(x=500.0)), dosed(STEEP))
    assert [found.mean, found.median, found.min, found.max, found.D(95), found.V(20)] == [None] * 6
    assert [caution.kind for caution in found.cautions] == ["outside"]
    assert found.cautions[0].text == (
        "The ROI lies outside of the dose grid, so it has no doses. Check that both belong together."
    )
    row = found.row("7", "Box", 6000)
    assert list(row)[:3] == ["patient_id", "roi_name", "volume"] and row["volume"] == 8.0
    assert set(list(row.values())[3:]) == {None} and list(row) == columns(True)


def test_tiny_regions_and_other_frames_of_reference_warn() -> None:
    """And what the reader of the structures had to say is passed on."""
    drawn = region(named("Lens_L"), warnings=("Contours that stand in it a second time were left out: 1.",))
    dose, images = dosed(STEEP), lattice((55, 60, 60), (2, 1, 1))
    elsewhere = replace(dose, grid=replace(dose.grid, frame_of_reference="1.2.4"))
    assert [tuple(caution) for caution in of(drawn, elsewhere, images).cautions] == [
        ("drawn", "Contours that stand in it a second time were left out: 1."),
        ("frame", "The ROI is in another frame of reference than the dose. Check that they belong together."),
        (
            "tiny",
            "The ROI has only 0.023 cc, so its values depend on how it was drawn. "
            "Compare them with the planning system.",
        ),
    ]


# PDCP's columns


def test_columns_are_those_of_pdcp() -> None:
    """VGy to 70, V% to 130 with a prescription only, D to 100, all by 0.5."""
    without, named_ = columns(False), columns(True)
    assert without[:7] == ["patient_id", "roi_name", "volume", "mean_dose", "median_dose", "min_dose", "max_dose"]
    assert (without[7:9], without[146], without[147:149], without[-1]) == (
        ["VGy_0.5", "VGy_1.0"],
        "VGy_70.0",
        ["D0.5", "D1.0"],
        "D100.0",
    )
    assert len(without) == 347 and len(named_) == 607
    assert named_[147:149] == ["V%_0.5", "V%_1.0"] and named_[406] == "V%_130.0" and named_[407] == "D0.5"


def test_rows_hold_the_right_values_and_the_d_axis_runs_the_right_way() -> None:
    """D95 is less than D2; the volume is in cc; a prescription is in cGy."""
    roi = named("PTV_60")
    assert roi.body is not None
    exact = ExactDvh(roi.body, STEEP)
    row = of(region(roi), dosed(STEEP)).row("12", "PTV_60", 4500)
    assert list(row) == columns(True)
    assert (row["patient_id"], row["roi_name"], row["volume"]) == ("12", "PTV_60", round(exact.volume_cc(), 3))
    assert row["D95.0"] < row["D50.0"] == row["median_dose"] < row["D2.0"]
    for name, value in (("mean_dose", exact.mean()), ("D95.0", exact.d(95)), ("D2.0", exact.d(2))):
        assert row[name] == pytest.approx(value, abs=GY)
    for name, value in (("VGy_45.0", exact.v(45)), ("V%_100.0", exact.v(45)), ("V%_110.0", exact.v(49.5))):
        assert row[name] == pytest.approx(value, abs=0.5)
    assert row["D100.0"] == row["min_dose"] and (row["VGy_0.5"], row["V%_0.5"]) == (100.0, 100.0)
    assert all(type(value) is float for value in list(row.values())[3:])


def test_the_whole_dose_has_a_histogram_of_its_own() -> None:
    """Which a conformity index needs."""
    dose = dosed(STEEP, shape=(4, 5, 6))
    found = whole(dose)
    assert found.volume_cc == pytest.approx(4 * 5 * 6 * 3 * 2.5 * 2.5 / 1000) == pytest.approx(found.inside_cc)
    assert found.max == pytest.approx(float(dose.values.max()))


def test_more_volume_than_there_is_has_no_dose() -> None:
    """D10cc of 8 cc is not that of 8."""
    found = of(region(block()), dosed(STEEP))
    assert found.D(10, "cc") is None and found.D(101) is None
    assert found.D(8, "cc") == pytest.approx(found.D(100))


# EQD2


def test_eqd2_of_a_histogram_is_that_of_the_closed_form() -> None:
    """It rises with the dose, so Dx is turned as it is."""
    found = of(region(named("PTV_60")), dosed(STEEP))
    turned = eqd2.of_dvh(found, 15, 3.0)
    for share in (2, 50, 95):
        dose = found.D(share)
        assert dose is not None and turned.D(share) == pytest.approx(exact_eqd2(dose, 15, 3.0), abs=0.01)
    assert turned.volume_cc == found.volume_cc and turned.mean != pytest.approx(found.mean)


def test_eqd2_of_two_plans_is_added_up_each_with_its_own_fractions() -> None:
    """2 Gy a fraction stays as it is; 8 Gy once is 17.6 Gy at 3 Gy."""
    assert eqd2.equivalent([50.0, 0.0], 25, 3.0).tolist() == [50.0, 0.0]
    together = eqd2.added([(np.full((2, 2), 50.0), 25), (np.full((2, 2), 8.0), 1)], 3.0)
    assert together.tolist() == [[pytest.approx(67.6)] * 2] * 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((50.0, 0, 3.0), "0 is no number of fractions. Write a whole number from 1 to 1000."),
        ((50.0, 2.5, 3.0), "2.5 is no number of fractions. Write a whole number from 1 to 1000."),
        ((50.0, 25, 0.0), "alpha/beta is 0.0. Write a number of Gy above 0, such as 3 or 10."),
        ((50.0, 25, math.nan), "alpha/beta is nan. Write a number of Gy above 0, such as 3 or 10."),
    ],
)
def test_eqd2_names_what_it_cannot_use(arguments: Any, sentence: str) -> None:
    """Before anything is worked out."""
    with pytest.raises(ConfigError) as caught:
        eqd2.equivalent(*arguments)
    assert str(caught.value) == sentence


def test_eqd2_of_different_grids_is_not_added_up() -> None:
    """Nor is that of no plan."""
    with pytest.raises(ConfigError) as caught:
        eqd2.added([(np.zeros((2, 3)), 25), (np.zeros((2, 2)), 5)], 3.0)
    assert str(caught.value) == (
        "the doses of the plans lie on different grids (2 x 2 and 2 x 3). Resample them onto one first."
    )
    with pytest.raises(ConfigError) as caught:
        eqd2.added([], 3.0)
    assert str(caught.value) == "there is no plan to add up. Name at least one dose with its fractions."
