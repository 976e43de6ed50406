"""What a plane of contours stands for: the one rule of masks and histograms."""

from __future__ import annotations

from typing import Optional

import numpy as np
import pytest

from qa_fetch.cohort import slabs


def edges(found: slabs.Slabs) -> list[tuple[float, float]]:
    """From where to where each reaches, to a hundredth."""
    return [(round(each.low, 2), round(each.high, 2)) for each in found.slabs]


@pytest.mark.parametrize(
    ("heights", "spacing", "expected"),
    [
        ([0, 3, 6], 3.0, [(-1.5, 1.5), (1.5, 4.5), (4.5, 7.5)]),
        ([0.2, 2.9, 6.1], 3.0, [(-1.5, 1.5), (1.5, 4.5), (4.5, 7.5)]),
        ([7], 3.0, [(5.5, 8.5)]),
        ([6], 3.0, [(4.5, 7.5)]),
        ([0, 3, 15], 3.0, [(-1.5, 1.5), (1.5, 4.5), (13.5, 16.5)]),
        ([0, 1, 2], 3.0, [(-0.5, 0.5), (0.5, 1.5), (1.5, 2.5)]),
        ([0, 6, 12], 3.0, [(-3, 3), (3, 9), (9, 15)]),
        ([0, 6], 3.0, [(-1.5, 1.5), (4.5, 7.5)]),
        ([0, 15, 30], 3.0, [(-1.5, 1.5), (13.5, 16.5), (28.5, 31.5)]),
        ([0, 2, 4], None, [(-1, 1), (1, 3), (3, 5)]),
    ],
    ids=[
        *("on slices", "nearly", "alone between", "alone on one", "a gap", "closer", "regularly apart"),
        *("two apart", "too far apart", "no images"),
    ],
)
def test_a_plane_reaches_half_way_to_its_neighbours(
    heights: list[float], spacing: Optional[float], expected: list[tuple[float, float]]
) -> None:
    """But no farther than planes of the region usually lie apart."""
    assert edges(slabs.of(np.array(heights, dtype=float), spacing)) == expected


def test_what_is_said_of_them() -> None:
    """How thick they are, how many are missing between, and whether each is a slice."""
    found = slabs.of(np.array([0.0, 3, 15]), 3.0)
    assert (found.thickness, found.empty, found.on_slices) == (3, 3, True)
    found = slabs.of(np.array([0.5, 1.5, 2.5, 4.5]), 3.0)
    assert (found.thickness, found.empty, found.on_slices) == (1, 1, False)
    assert [round(each.thick, 6) for each in found.slabs] == [1, 1, 1, 1]
