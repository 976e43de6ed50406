"""Doses of several plans, each on its own grid, together."""

from __future__ import annotations

import numpy as np
import pytest
from truth_dose import Linear, eqd2
from truth_rois import Roi
from truth_shapes import Box, column

from qa_fetch.cohort import dvh, summing
from qa_fetch.cohort.contours import Contour, Region
from qa_fetch.cohort.grids import Grid, Volume
from qa_fetch.cohort.summing import Phase


def dose(function: Linear, low: float, high: float, step: float, frame: str = "1.2") -> Volume:
    """A dose from ``low`` to ``high`` mm on each axis."""
    places = np.arange(low, high + step / 2, step)
    z, y, x = np.meshgrid(places, places, places, indexing="ij")
    steps = np.array([[0.0, 0, step], [0, step, 0], [step, 0, 0]])
    grid = Grid((len(places),) * 3, np.full(3, low), steps, frame)
    return Volume(grid, np.asarray(function.at(x, y, z), dtype=np.float32), "RTDOSE", f"{low}{step}")


def box(width: float = 20.0) -> Region:
    """From -10 to 10 mm."""
    roi = Roi(5, "Box", "ORGAN", column((Box(0, 0, width, width),), np.arange(-9.0, 10, 2), 2.0))
    contours = tuple(Contour(points, None) for points in roi.contours())
    return Region(5, "Box", None, None, None, "1.2", contours, None, ())


def images(step: float = 2.0) -> Grid:
    """Slices through the box."""
    return Grid((10, 40, 40), np.array([-20.0, -20, -9]), np.diag([step, 1.0, 1.0])[:, ::-1], "1.2")


ONE, TWO = Linear(40.0, (0.2, 0.1, -0.1)), Linear(20.0, (-0.1, 0.3, 0.2))


def test_the_sum_is_that_of_both_wherever_each_grid_has_its_voxels() -> None:
    """Two grids of other steps and places; each plan is kept as well."""
    found = summing.of(box(), [Phase(dose(ONE, -30, 30, 3)), Phase(dose(TWO, -26, 24, 2.5))], images())
    assert found.total.mean == pytest.approx(60, abs=0.01)
    assert found.total.max == pytest.approx(60 + 10 * (0.1 + 0.4 + 0.1), abs=0.01)
    assert [part.mean for part in found.parts] == [pytest.approx(40, abs=0.01), pytest.approx(20, abs=0.01)]
    assert found.eqd2 is None


def test_the_sum_is_not_known_where_one_of_them_does_not_reach() -> None:
    """Not that of the other alone: a quarter of the box has no second dose."""
    found = summing.of(box(), [Phase(dose(ONE, -30, 30, 3)), Phase(dose(TWO, -5, 25, 2.5))], images())
    assert found.total.inside_cc == pytest.approx(8 * 0.75**3, rel=0.01)
    assert [part.inside_cc for part in found.parts] == [pytest.approx(8), pytest.approx(8 * 0.75**3, rel=0.01)]
    lowest = 60 - 5 * (0.1 + 0.4 + 0.1)
    assert found.total.min == pytest.approx(lowest, abs=0.3)
    assert [caution.kind for caution in found.total.cautions] == ["clipped"]


def test_eqd2_is_added_point_by_point() -> None:
    """Not worked out of the sum of both."""
    even = [Linear(45, (0, 0, 0)), Linear(12, (0, 0, 0))]
    phases = [Phase(dose(each, -30, 30, 3), count) for each, count in zip(even, (15, 4))]
    found = summing.of(box(), phases, images(), alpha_beta=3)
    assert found.eqd2 is not None
    assert found.eqd2.D(95) == pytest.approx(eqd2(45, 15, 3) + eqd2(12, 4, 3), abs=1e-3)
    alone = summing.of(box(), phases[:1], images(), alpha_beta=10)
    assert alone.eqd2 is not None and alone.eqd2.mean == pytest.approx(eqd2(45, 15, 10), abs=1e-3)


def test_eqd2_is_left_out_where_the_fractions_of_a_plan_are_not_known() -> None:
    """Rather than taken for 2 Gy each."""
    phases = [Phase(dose(ONE, -30, 30, 3), 15), Phase(dose(TWO, -30, 30, 3))]
    assert summing.of(box(), phases, images(), alpha_beta=3).eqd2 is None


def test_one_plan_is_the_histogram_itself() -> None:
    """The very same numbers."""
    given = dose(ONE, -30, 30, 3)
    found, alone = summing.of(box(), [Phase(given)], images()), dvh.of(box(), given, images())
    assert found.parts == (found.total,)
    assert (found.total.doses == alone.doses).all() and (found.total.weights == alone.weights).all()


def test_the_whole_sum_lies_on_the_finest_grid() -> None:
    """And is not a number where another ends."""
    coarse, fine = dose(ONE, -30, 30, 3), dose(TWO, -35, 25, 2.5)
    found = summing.added([coarse, fine])
    assert found.grid.shape == fine.grid.shape and (found.grid.origin == fine.grid.origin).all()
    values = found.values[2:, 2:, 2:]
    assert np.isnan(found.values[:2]).all() and not np.isnan(values).any()
    z, y, x = np.meshgrid(*[np.arange(-30, 25.1, 2.5)] * 3, indexing="ij")
    assert values == pytest.approx(ONE.at(x, y, z) + TWO.at(x, y, z), abs=1e-4)
    assert dvh.whole(found).inside_cc == pytest.approx(values.size * 2.5**3 / 1000)
    assert summing.highest([coarse, fine]) == pytest.approx(float(values.max()))


def test_doses_on_one_grid_are_just_added() -> None:
    """As most courses have them; and one alone is itself."""
    one, two = dose(ONE, -30, 30, 3), dose(TWO, -30, 30, 3)
    assert (summing.added([one, two]).values == one.values + two.values).all()
    assert summing.added([one]) is one


def test_doses_that_do_not_overlap_have_no_sum() -> None:
    """Neither in a region nor at all."""
    apart = [dose(ONE, -30, -12, 3), dose(TWO, 12, 30, 3)]
    assert summing.highest(apart) is None
    found = summing.of(box(), [Phase(each) for each in apart], images())
    assert (found.total.mean, found.total.inside_cc) == (None, 0)
    assert [caution.kind for caution in found.total.cautions] == ["outside"]


def test_another_frame_of_reference_is_told() -> None:
    """Of any of the doses."""
    phases = [Phase(dose(ONE, -30, 30, 3)), Phase(dose(TWO, -30, 30, 3, frame="9.9"))]
    found = summing.of(box(), phases, images())
    assert [caution.kind for caution in found.total.cautions] == ["frame"]
    assert [len(part.cautions) for part in found.parts] == [0, 1]
