"""Masks of regions whose volume is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import pytest

from qa_fetch.cohort.contours import Contour, Region
from qa_fetch.cohort.grids import Grid
from qa_fetch.cohort.masks import Mask, mask
from qa_fetch.errors import BadArchive, NotFound


def grid(
    shape: tuple[int, int, int] = (40, 80, 80),
    spacing: tuple[float, float, float] = (2.0, 1.0, 1.0),
    across: Sequence[float] = (1, 0, 0),
    down: Sequence[float] = (0, 1, 0),
) -> Grid:
    """A grid around 0, 0, 0, whose centre is no centre of a voxel where the shape is even."""
    steps = np.array([np.cross(across, down), down, across]) * np.array(spacing)[:, None]
    origin = -0.5 * (np.array(shape) - 1) @ steps
    return Grid(shape, origin, steps, "1.2.3")


def region(*outlines: Any, **facts: Any) -> Region:
    """A region of these outlines, n x 3 in mm."""
    given: dict[str, Any] = {
        "number": 4,
        "name": "PTV",
        "interpreted_type": None,
        "volume_in_tps": None,
        "colour": None,
        "frame_of_reference": "1.2.3",
        "contours": tuple(Contour(np.array(outline, dtype=np.float64), None) for outline in outlines),
        "fault": None,
        "warnings": (),
    }
    return Region(**{**given, **facts})


def circle(radius: float, z: float, at: tuple[float, float] = (0.0, 0.0), points: int = 180) -> Any:
    """A circle as the polygon of the same area."""
    turn = 2 * math.pi / points
    outer = radius * math.sqrt(turn / math.sin(turn))
    angles = np.arange(points) * turn
    x, y = at[0] + outer * np.cos(angles), at[1] + outer * np.sin(angles)
    return np.stack([x, y, np.full(points, z)], axis=1)


def square(half: float, z: float, at: tuple[float, float] = (0.0, 0.0)) -> Any:
    """A square around a place."""
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    return [(at[0] + x, at[1] + y, z) for x, y in corners]


def sphere(radius: float, heights: Sequence[float], at: tuple[float, float] = (0.0, 0.0)) -> list[Any]:
    """A circle on each plane that the sphere around 0 meets."""
    return [circle(math.sqrt(radius**2 - z**2), z, at) for z in heights if abs(z) < radius]


def stack(outlines: Sequence[Any], thickness: float) -> float:
    """The volume of circles of a thickness, cc, from their own area."""
    return sum(_area(np.asarray(outline)) for outline in outlines) * thickness / 1000


def _area(outline: Any) -> float:
    x, y = outline[:, 0], outline[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def heights_of(images: Grid) -> list[float]:
    """Where the slices of an axial grid lie."""
    return [float(images.origin[2] + images.steps[0, 2] * index) for index in range(images.shape[0])]


# Volumes


def test_a_sphere_of_100_cc_has_its_volume() -> None:
    """Within 0.3 % of the stack of its contours, and of the sphere; its centre is no voxel's."""
    radius = (100e3 * 3 / 4 / math.pi) ** (1 / 3)
    images = grid()
    outlines = sphere(radius, heights_of(images), (0.3, -0.7))
    found = mask(region(*outlines), images)
    assert found.volume_cc == pytest.approx(stack(outlines, 2.0), rel=2e-4)
    assert found.volume_cc == pytest.approx(100, rel=3e-3)
    assert found.values.sum() * images.voxel_cc == pytest.approx(100, rel=3e-3)
    assert found.warnings == ()


@pytest.mark.parametrize("at", [(0.0, 0.0), (0.5, 0.5), (0.21, -0.37)])
def test_a_sphere_of_half_a_cc_has_its_volume(at: tuple[float, float]) -> None:
    """Within 3 %, wherever it lies between the voxels."""
    radius = (500 * 3 / 4 / math.pi) ** (1 / 3)
    images = grid((41, 40, 40), (1.0, 1.0, 1.0))
    outlines = sphere(radius, heights_of(images), at)
    found = mask(region(*outlines), images)
    assert found.volume_cc == pytest.approx(stack(outlines, 1.0), rel=2e-3)
    assert found.volume_cc == pytest.approx(0.5, rel=3e-2)


def test_a_square_covers_parts_of_voxels_exactly() -> None:
    """Shares along a row are exact to 1/65,536, across rows to a sixteenth; there is no noise around it."""
    images = grid((3, 10, 10), (1.0, 1.0, 1.0))
    found = mask(region([(-1.25, -1.5, 0), (1.0, -1.5, 0), (1.0, 2.25, 0), (-1.25, 2.25, 0)]), images)
    assert found.box == (slice(1, 2), slice(3, 8), slice(3, 6))
    one = [0.25, 1.0, 1.0]
    assert found.fraction[0].tolist() == [
        [0.125, 0.5, 0.5],
        one,
        one,
        one,
        [0.0625, 0.25, 0.25],
    ]
    assert found.volume_cc == pytest.approx(2.25 * 3.75 / 1000)
    assert found.values.tolist() == [[[False, True, True], *[[False, True, True]] * 3, [False, False, False]]]


@pytest.mark.parametrize("steps", [np.eye(3)[::-1], -np.eye(3)[::-1]])
def test_outlines_through_the_centres_of_voxels_make_a_mask_no_bigger(steps: Any) -> None:
    """As segmentations on the images are drawn; the halves of both sides would add a tenth to this cube."""
    images = Grid((60, 60, 60), 30 * -steps.sum(axis=0), steps, "1.2.3")
    found = mask(region(*(square(10, z + 0.5) for z in range(-10, 10))), images)
    assert found.volume_cc == pytest.approx(8)
    assert int(found.values.sum()) == pytest.approx(8000, rel=0.01)


# Even-odd


def test_an_outline_within_another_is_a_hole_and_one_within_that_an_island() -> None:
    """Whichever way and in whichever order they are drawn."""
    images = grid()
    z = heights_of(images)[20]
    outlines = [circle(5, z)[::-1], circle(30, z), circle(15, z)]
    truth = math.pi * (30**2 - 15**2 + 5**2) * 2 / 1000
    found = mask(region(*outlines), images)
    assert found.volume_cc == pytest.approx(truth, rel=1e-3)
    assert mask(region(*outlines[::-1]), images).volume_cc == found.volume_cc
    whole = found.whole()[20]
    assert [bool(whole[40, column]) for column in (40, 50, 60, 75)] == [True, False, True, False]


def test_a_keyhole_is_the_same_as_a_ring() -> None:
    """The channel from the outer to the inner outline is gone twice and takes nothing away."""
    images = grid()
    z = heights_of(images)[20]
    outer, inner = circle(30, z), circle(15, z)
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[1:][::-1], inner[:1]])
    ring = mask(region(outer, inner), images)
    assert np.abs(mask(region(keyhole), images).fraction - ring.fraction).max() <= 1e-4
    turned = np.array([[math.cos(0.4), math.sin(0.4), 0], [-math.sin(0.4), math.cos(0.4), 0], [0, 0, 1]])
    aslant = mask(region(keyhole @ turned), images)
    assert aslant.volume_cc == pytest.approx(math.pi * (30**2 - 15**2) * 2 / 1000, rel=1e-3)


def test_outlines_that_overlap_leave_their_common_part_out() -> None:
    """That is what DICOM says of outlines of one ROI in one plane."""
    images = grid()
    z = heights_of(images)[20]
    found = mask(region(square(10, z), square(10, z, (10.0, 0.0))), images)
    assert found.volume_cc == pytest.approx(2 * (20 * 20 - 10 * 20) * 2 / 1000)


def test_corners_on_lines_and_points_that_stand_twice_do_no_harm() -> None:
    """A corner that a line meets counts once; edges without length and along lines count never."""
    images = grid((3, 40, 40), (1.0, 1.0, 1.0))
    step = 1 / 32  # where the lines of small regions run
    diamond = [(0, -8 + step, 0), (8, step, 0), (8, step, 0), (0, 8 + step, 0), (-8, step, 0), (0, -8 + step, 0)]
    found = mask(region(diamond), images)
    assert found.volume_cc == pytest.approx(128 / 1000, rel=1e-3)
    assert found.fraction.max() == 1.0 and found.fraction.min() == 0.0


# Every orientation


@pytest.mark.parametrize(
    ("across", "down"),
    [
        ((1, 0, 0), (0, 1, 0)),
        ((-1, 0, 0), (0, -1, 0)),
        ((-1, 0, 0), (0, 1, 0)),
        ((1, 0, 0), (0, -1, 0)),
    ],
    ids=["HFS", "HFP", "FFS", "FFP"],
)
def test_a_region_lies_at_the_same_place_in_every_position(across: Any, down: Any) -> None:
    """An outline in mm gives voxels whose centres lie in it, whichever way rows, columns and slices run."""
    images = grid((9, 40, 50), (3.0, 1.0, 0.8), across, down)
    found = mask(region(square(4, 3.0, (10.2, -7.0)), square(4, 6.0, (10.2, -7.0))), images)
    places = images.points(np.argwhere(found.whole()))
    assert places.min(axis=0).tolist() == pytest.approx([6.8, -10.5, 3.0])
    assert places.max(axis=0).tolist() == pytest.approx([14.0, -3.5, 6.0])
    assert found.volume_cc == pytest.approx(8 * 8 * 6 / 1000)


def test_sagittal_images_take_outlines_in_their_own_plane() -> None:
    """Nothing is told to be axial."""
    images = grid((9, 40, 40), (3.0, 1.0, 1.0), (0, 1, 0), (0, 0, -1))
    found = mask(region([(3, -5, -5), (3, 5, -5), (3, 5, 5), (3, -5, 5)]), images)
    places = images.points(np.argwhere(found.whole()))
    assert found.volume_cc == pytest.approx(0.3)
    assert set(np.round(places[:, 0], 6)) == {3.0}


# Planes and slices


def outlined(heights: Sequence[float], images: Optional[Grid] = None) -> Mask:
    """A square of 4 cm2 on each of these planes; slices lie at -6, -3, 0, 3, ... mm."""
    return mask(region(*(square(10, z) for z in heights)), images or grid((5, 40, 40), (3.0, 1.0, 1.0)))


def test_planes_that_lie_nearly_on_slices_are_put_on_them() -> None:
    """Positions are rounded when they are written."""
    found = outlined([-2.9, 0.02, 3.0])
    assert found.box[0] == slice(1, 4)
    assert found.fraction.min() == 1.0
    assert found.warnings == ()


def test_a_plane_without_contours_stays_empty_and_is_told() -> None:
    """It may be a gap or a fault; nothing is filled in."""
    found = outlined([-6, -3, 3, 6])
    assert found.volume_cc == pytest.approx(4 * 4 * 0.3)
    assert found.whole().any(axis=(1, 2)).tolist() == [True, True, False, True, True]
    assert found.warnings == ("Planes without contours between its first and its last were left empty: 1.",)


def test_contours_drawn_closer_than_the_slices_are_shared_out() -> None:
    """They must not be taken for outlines of one plane, of which every second would be a hole."""
    found = outlined([-2, -1, 0, 1, 2])
    assert found.volume_cc == pytest.approx(4 * 0.5)
    assert found.fraction.max(axis=(1, 2)).tolist() == pytest.approx([1 / 3, 1.0, 1 / 3])
    assert found.warnings == (
        "Its contours lie 1.00 mm apart on images that lie 3.00 mm apart, and each stands for its own distance.",
        "Its contours lie between the images and were shared out among them.",
    )


def test_contours_on_every_second_slice_stand_for_those_between() -> None:
    """Where that is regular; else nobody could tell it from a gap."""
    images = grid((9, 40, 40), (3.0, 1.0, 1.0))
    found = outlined([-6, 0, 6], images)
    assert found.volume_cc == pytest.approx(4 * 1.8)
    assert found.fraction.max(axis=(1, 2)).tolist() == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.5])
    assert found.warnings[0] == (
        "Its contours lie 6.00 mm apart on images that lie 3.00 mm apart, and each stands for its own distance."
    )
    assert outlined([-6, 6], images).volume_cc == pytest.approx(4 * 0.6)


def test_contours_half_way_between_slices_keep_their_volume() -> None:
    """Half of each goes to both neighbours."""
    found = outlined([-1.5, 1.5])
    assert found.volume_cc == pytest.approx(4 * 0.6)
    assert found.fraction.max(axis=(1, 2)).tolist() == pytest.approx([0.5, 1.0, 0.5])
    assert found.warnings == ("Its contours lie between the images and were shared out among them.",)


def test_what_lies_outside_of_the_images_is_cut_off_and_told() -> None:
    """A mask that is smaller than its region says so."""
    images = grid((5, 20, 20), (3.0, 1.0, 1.0))
    found = mask(region(*(square(5, z, (8.0, 0.0)) for z in (3, 6, 9, 12))), images)
    assert found.volume_cc == pytest.approx(7 * 10 * 6 / 1000)
    assert found.warnings == (
        "Planes of contours that lie beyond the first or last image were cut off: 2 of 4.",
        "It reaches beyond the edge of the images, where it was cut off.",
    )


def test_a_region_thinner_than_a_voxel_has_a_volume_and_an_empty_mask() -> None:
    """A wire of 0.2 mm."""
    found = mask(region([(-5, 0.4, 0), (5, 0.4, 0), (5, 0.6, 0), (-5, 0.6, 0)]), grid((5, 20, 20), (3.0, 1.0, 1.0)))
    assert found.volume_cc == pytest.approx(10 * 0.2 * 3 / 1000, rel=0.3)
    assert not found.whole().any()
    assert found.warnings == ("It is thinner than a voxel, so its mask is empty.",)


def test_another_frame_of_reference_is_told_before_what_else_is_said() -> None:
    """The warnings of the region itself come first."""
    drawn = region(square(10, 0), frame_of_reference="9.9", warnings=("One.",))
    assert mask(drawn, grid((5, 40, 40), (3.0, 1.0, 1.0))).warnings == (
        "One.",
        "It is drawn in another frame of reference than that of the images.",
    )


def test_a_mask_as_a_volume_lies_on_the_grid_of_the_images() -> None:
    """So that image, dose and mask have one geometry."""
    found = outlined([0])
    volume = found.volume()
    assert volume.grid is found.grid
    assert volume.values.dtype == np.uint8
    assert int(volume.values.sum()) == 400


def test_many_planes_are_worked_out_in_several_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same result; memory has a bound."""
    images = grid()
    drawn = region(*sphere(25, heights_of(images)))
    at_once = mask(drawn, images)
    monkeypatch.setattr("qa_fetch.cohort.masks._AT_ONCE", 5000)
    assert (mask(drawn, images).fraction == at_once.fraction).all()


def test_on_fewer_images_a_region_is_the_same_as_far_as_they_reach() -> None:
    """Planes below, above and beside them change nothing in between."""
    images = grid()
    drawn = region(*sphere(25, heights_of(images)))
    part = Grid((6, 30, 30), images.points([[15, 20, 30]])[0], images.steps, "1.2.3")
    found = mask(drawn, part)
    assert (found.whole() == mask(drawn, images).whole()[15:21, 20:50, 30:60]).all()
    assert found.warnings == (
        "Planes of contours that lie beyond the first or last image were cut off: 18 of 24.",
        "It reaches beyond the edge of the images, where it was cut off.",
    )


# Refusals


def test_a_region_that_is_damaged_says_why() -> None:
    """The sentence names its number."""
    with pytest.raises(BadArchive) as caught:
        mask(region(fault="it has no contours. Draw it, or leave it out"), grid())
    assert str(caught.value) == "ROI 4 has no mask: it has no contours. Draw it, or leave it out."


def test_outlines_across_the_planes_of_the_images_are_refused() -> None:
    """Axial contours cannot be filled on sagittal images."""
    with pytest.raises(BadArchive) as caught:
        mask(region(circle(10, 0)), grid((9, 40, 40), (3.0, 1.0, 1.0), (0, 1, 0), (0, 0, -1)))
    assert str(caught.value) == (
        "ROI 4 has no mask: its contours do not lie in the planes of the images. "
        "Use the series that they were drawn on."
    )


@pytest.mark.parametrize("at", [(0.0, 0.0, 500.0), (500.0, 0.0, 0.0), (0.0, -500.0, 0.0)])
def test_a_region_outside_of_the_images_is_not_found_on_them(at: tuple[float, float, float]) -> None:
    """Along any axis."""
    with pytest.raises(NotFound) as caught:
        mask(region(square(10, at[2], at[:2])), grid())
    assert str(caught.value) == (
        "ROI 4 has no mask: it lies outside of the images. Check that the structure set belongs to this series."
    )
