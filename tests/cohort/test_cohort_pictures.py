"""Planes as they are hung: which side is which for every position, outlines, colours, and what is shown of whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pictures_phantom import MARKER, MIDDLE, ORIENTATIONS, STRAIGHT, ball, grid, loaded, places, region, value

from qa_fetch.cohort.grids import Volume
from qa_fetch.cohort.pictures import outlines, overlays, palette
from qa_fetch.cohort.pictures.planes import AXIAL, CORONAL, SAGITTAL, VIEWS, Cuts, Plane, centroid

EVERY = tuple(ORIENTATIONS)


def pixels_of(plane: Plane) -> Any:
    """The middle of every pixel in the patient (mm), row by row."""
    rows, columns = np.indices(plane.values.shape)
    flat = plane.places(np.column_stack([columns.ravel(), rows.ravel()]).astype(float))
    found = np.empty((len(flat), 3))
    found[:, plane.view.across], found[:, plane.view.down] = flat.T
    found[:, plane.view.through] = plane.at
    return found


@pytest.mark.parametrize("position", EVERY)
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_pixel_shows_the_place_that_its_edges_say(position: str, view: Any) -> None:
    """Whatever way the images were stored, values and mm fit together."""
    cuts = Cuts(grid(position))
    plane = cuts.plane(view, MIDDLE + 3, value(places(cuts.grid)))
    truth = value(pixels_of(plane)).reshape(plane.values.shape)
    seen = np.isfinite(plane.values)
    assert seen.mean() > 0.4 and (cuts.straight is False or seen.all())
    assert np.abs(plane.values - truth)[seen].max() < 0.02
    assert abs(plane.at - (MIDDLE + 3)[view.through]) <= 1.3


@pytest.mark.parametrize("position", EVERY)
def test_left_back_and_head_are_on_the_sides_where_radiologists_look_for_them(position: str) -> None:
    """A region at the patient's left, back and head: on the right and below in an axial picture, and so on."""
    cuts = Cuts(grid(position))
    marker = ball(cuts.grid, MARKER, 4.0)

    def centre(view: Any) -> tuple[float, float]:
        """Shares of the picture's width and height."""
        plane = cuts.mask(view, MARKER, marker.box, marker.values)
        rows, columns = np.nonzero(plane.values)
        assert len(rows) > 4 and plane.values.dtype == np.bool_
        return columns.mean() / plane.values.shape[1], rows.mean() / plane.values.shape[0]

    (x, y), edges = centre(AXIAL), AXIAL.edges
    assert x > 0.6 and y > 0.6 and edges == ("R", "L", "A", "P")
    (x, y), edges = centre(CORONAL), CORONAL.edges
    assert x > 0.6 and y < 0.4 and edges == ("R", "L", "H", "F")
    (x, y), edges = centre(SAGITTAL), SAGITTAL.edges
    assert x > 0.6 and y < 0.4 and edges == ("A", "P", "H", "F")


@pytest.mark.parametrize("position", STRAIGHT)
def test_images_along_the_patient_are_only_turned_and_flipped(position: str) -> None:
    """No value is worked out, and a grid that is one degree askew is taken as it is."""
    cuts = Cuts(grid(position))
    assert cuts.straight
    values = np.random.default_rng(1).integers(-1000, 1000, cuts.grid.shape, dtype=np.int16)
    for view in VIEWS:
        plane = cuts.plane(view, MIDDLE, values)
        axis = cuts.axes[view.through]
        stored = np.take(values, cuts.index(view, MIDDLE), axis)
        assert plane.values.dtype == np.int16 and sorted(plane.values.ravel()) == sorted(stored.ravel())


def test_pictures_are_as_wide_and_high_as_the_patient() -> None:
    """Pixels are not square, mm are."""
    cuts = Cuts(grid("FFS"))
    sizes = [size for view in VIEWS for size in cuts.plane(view, MIDDLE, value(places(cuts.grid))).size_mm]
    assert sizes == pytest.approx([52.5, 54.0, 52.5, 77.5, 54.0, 77.5])


def test_a_voxel_at_the_edge_of_the_images_is_drawn_and_a_place_beyond_them_is_not() -> None:
    """Neither turns up on the other side."""
    cuts = Cuts(grid("HFP"))
    inside = np.zeros(cuts.grid.shape, dtype=bool)
    inside[0, 0, 0] = True
    corner = region(inside)
    plane = cuts.mask(AXIAL, cuts.grid.origin, corner.box, corner.values)
    assert plane.values[-1, -1] and plane.values.sum() == 1  # prone: the first voxel is at the left and the back
    assert not cuts.mask(AXIAL, MIDDLE, corner.box, corner.values).values.any()
    assert cuts.index(AXIAL, MIDDLE + 1000) == 30


def test_the_middle_of_a_region_is_that_of_its_voxels() -> None:
    """Of the whole grid, not of the box."""
    inside = np.zeros((9, 9, 9), dtype=bool)
    inside[4, 5, 6:8] = True
    roi = region(inside)
    assert list(centroid(roi.box, roi.values)) == [4.0, 5.0, 6.5]


# Outlines


def area(curve: Any) -> float:
    """Within a closed curve."""
    x, y = curve.T
    return float(abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2)


def test_the_boundary_goes_around_every_pixel_and_every_hole() -> None:
    """A ring has two curves, pixels that touch at a corner one each, and nothing has none."""
    inside = np.zeros((12, 14), dtype=bool)
    assert outlines.boundary(inside) == []
    inside[2:9, 3:10] = True
    inside[4:7, 5:8] = False
    assert sorted(area(curve) for curve in outlines.boundary(inside)) == [9.0, 49.0]
    inside[:] = False
    inside[0, 0] = inside[1, 1] = inside[11, 13] = True
    curves = outlines.boundary(inside)
    assert [area(curve) for curve in curves] == [1.0, 1.0, 1.0]
    assert curves[0].min(axis=0).tolist() == [-0.5, -0.5] and curves[2].max(axis=0).tolist() == [13.5, 11.5]


@pytest.mark.parametrize("radius", [2, 5, 20, 60])
@pytest.mark.parametrize("high", [1.0, 2.5])
def test_a_smooth_outline_is_as_large_as_the_region(radius: int, high: float) -> None:
    """Also where slices are thicker than pixels; and no point lies farther than a pixel from a circle's true edge."""
    rows, columns = np.mgrid[-80:81, -80:81]
    inside = (rows * high) ** 2 + columns**2 <= (radius + 0.2) ** 2
    (curve,) = outlines.boundary(inside)
    drawn = outlines.smooth(curve, (1.0, high))
    assert area(drawn) == pytest.approx(float(inside.sum()), rel=0.15 if radius < 5 * high else 0.02)
    away = np.hypot(drawn[:, 0] - 80, (drawn[:, 1] - 80) * high) - radius
    assert np.abs(away).max() < max(1.0, high)


def test_a_single_voxel_keeps_an_outline_that_can_be_seen() -> None:
    """More than half of it is left."""
    (curve,) = outlines.boundary(np.array([[False, False], [False, True]]))
    drawn = outlines.smooth(curve, (1.0, 3.0))
    assert 0.4 < area(drawn) < 1.0 and drawn.mean(axis=0) == pytest.approx([1.0, 1.0], abs=1e-6)


# Colours and windows


def test_regions_keep_their_colours_unless_nobody_could_tell_them_apart() -> None:
    """The second red, no colour at all and dark blue: of the palette or lighter; the body is grey."""
    red = (255, 0, 0)
    found = palette.colours([red, (250, 5, 5), None, (0, 0, 128), (0, 255, 0)], [False] * 4 + [True])
    assert found[0][0] == 255 and max(found[0][1:]) < 60
    assert len(set(found)) == 5 and found[4] == (205, 205, 205)
    assert found[3][2] > 128 and found[3][2] > found[3][0]
    many = palette.colours([None] * 8, [False] * 8)
    apart = [np.linalg.norm(np.subtract(one, two)) for at, one in enumerate(many) for two in many[:at]]
    assert len(set(many)) == 8 and min(apart) > 60


def test_the_window_is_soft_tissue_for_a_ct_and_by_what_is_there_for_others() -> None:
    """Air takes nothing of the greys of an MR, and an image of one value is no trouble."""
    of = grid()
    values = np.zeros(of.shape, dtype=np.float32)
    values[5:20] = np.linspace(100, 900, values[5:20].size).reshape(values[5:20].shape)
    assert palette.window(Volume(of, values, "CT", "")) == (-160.0, 240.0)
    low, high = palette.window(Volume(of, values, "MR", ""))
    assert 100 < low < 115 and 885 < high < 900
    assert palette.window(Volume(of, np.zeros_like(values), "MR", "")) == (0.0, 1.0)
    assert palette.window(Volume(of, np.full_like(values, np.nan), "PT", "")) == (0.0, 1.0)


# Whom and what


def test_the_target_is_the_largest_ptv_and_without_any_the_largest_region_in_the_body() -> None:
    """By what the planning system says, else by its name; a region without voxels is none."""
    of = grid()
    gtv = ball(of, MIDDLE, 12, number=1, name="GTV", kind="GTV")
    small = ball(of, MIDDLE, 5, number=2, name="ptv boost", kind="")
    large = ball(of, MIDDLE, 9, number=3, name="PTV", kind="PTV")
    organ = ball(of, MIDDLE, 15, number=4, name="Heart", kind="ORGAN")
    body = ball(of, MIDDLE, 25, number=5, name="Body", kind="")
    empty = region(np.zeros(of.shape, dtype=bool), number=6)
    every = [body, organ, gtv, small, large, empty]
    assert overlays.target_of(every) is large
    assert overlays.target_of([body, organ, gtv, small]) is small
    assert overlays.target_of([body, organ]) is organ
    assert overlays.target_of([body]) is body
    assert overlays.target_of([empty]) is None


def test_planes_run_through_the_target_and_where_it_is_hollow_through_its_wall() -> None:
    """Two balls apart from each other have nothing in their middle."""
    of = grid("FFP")
    one, other = ball(of, MIDDLE + [14, 0, 0], 5), ball(of, MIDDLE - [14, 0, 0], 5)
    inside = np.zeros(of.shape, dtype=bool)
    for each in (one, other):
        inside[each.box] |= each.values
    scenes = {scene.plane.view: scene for scene in overlays.scenes(loaded(of, [region(inside)]))}
    assert all(scene.outlines[0].plane.values.any() for scene in scenes.values())
    assert scenes[AXIAL].plane.at == pytest.approx(MIDDLE[2], abs=1.3)
    assert 8 < abs(scenes[SAGITTAL].plane.at - MIDDLE[0]) < 10
    assert scenes[AXIAL].title == "Axial"
    assert scenes[AXIAL].said == f"z = {scenes[AXIAL].plane.at:+.1f} mm · through PTV · -160 to 240 HU"


def test_without_a_region_planes_run_through_the_highest_dose_and_without_dose_through_the_middle() -> None:
    """There is always a picture."""
    of = grid("HFP")
    dose = 60 - 0.02 * np.linalg.norm(places(of) - MARKER, axis=-1) ** 2
    hottest = {scene.plane.view: scene.plane.at for scene in overlays.scenes(loaded(of, dose=dose))}
    for view, at in zip((SAGITTAL, CORONAL, AXIAL), MARKER):
        assert hottest[view] == pytest.approx(at, abs=1.3)
    plain = overlays.scenes(loaded(of))
    assert [scene.plane.at for scene in plain] == pytest.approx(MIDDLE[::-1], abs=1.3)
    assert all(scene.wash is None and not scene.outlines for scene in plain)


def test_at_most_eight_regions_are_drawn_those_that_tell_most() -> None:
    """The target first, then by dose; the body last; the others are counted."""
    of = grid()
    dose = 40 + 0.5 * (places(of)[..., 0] - MIDDLE[0])
    organs = [ball(of, MIDDLE + [x, 0, 0], 3, number=x + 30, name=f"O{x}", kind="ORGAN") for x in range(-18, 20, 4)]
    body = ball(of, MIDDLE, 26, number=90, name="BODY", kind="EXTERNAL")
    target = ball(of, MIDDLE, 6, number=99)
    scenes = overlays.scenes(loaded(of, [body, *organs, target], dose=dose))
    assert [outline.name for outline in scenes[0].outlines] == ["PTV", *(f"O{x}" for x in range(18, -10, -4))]
    assert {scene.left_out for scene in scenes} == {4}
    few = overlays.scenes(loaded(of, [body, organs[0], target], dose=dose))
    assert [outline.name for outline in few[0].outlines] == ["PTV", "O-18", "BODY"]
    chosen = loaded(of, [body, organs[0], target], dose=dose)
    assert [outline.name for outline in overlays.scenes(chosen, [organs[0]])[0].outlines] == ["O-18"]


def test_a_picture_shows_the_body_and_not_the_air_around_it() -> None:
    """With some room, as far as the image reaches."""
    of = grid("HFS", (21, 100, 120))
    body = ball(of, MIDDLE, 30, number=2, name="BODY", kind="EXTERNAL")
    axial = overlays.scenes(loaded(of, [body, ball(of, MIDDLE, 8)]))[0]
    assert axial.part is not None
    assert axial.part.right - axial.part.left == pytest.approx(84, abs=3)
    assert axial.part.bottom - axial.part.top == pytest.approx(84, abs=3)
    assert (axial.part.left + axial.part.right) / 2 == pytest.approx(MIDDLE[0], abs=1.5)
    coronal = overlays.scenes(loaded(of, [body, ball(of, MIDDLE, 8)]))[1]
    assert coronal.part is not None and coronal.part.top - coronal.part.bottom == pytest.approx(52.5)


def test_the_prescription_is_that_of_all_plans_or_unknown() -> None:
    """A boost adds; a plan that does not say makes the sum unknown."""
    of = grid()
    assert overlays.prescription(loaded(of, prescriptions=(50.0, 10.0)).built) == 60.0
    assert overlays.prescription(loaded(of, prescriptions=(50.0, None)).built) is None
    assert overlays.prescription(loaded(of, prescriptions=()).built) is None
