"""Values between voxels and the order of doses, fast ways against plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from qa_fetch.cohort import dvh
from qa_fetch.cohort.grids import Floats, Grid, Volume


def plainly(values: Floats, place: Floats) -> float:
    """The eight voxels around one place, each with its share."""
    found = 0.0
    for index in np.ndindex(*values.shape):
        share = np.prod(np.maximum(1 - np.abs(np.array(index) - place), 0))
        found += share * float(values[index])
    return found


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 1)])
@pytest.mark.parametrize("kind", ["f4", "f8", "u1", "i2"])
@pytest.mark.parametrize("turned", [1, -1])
def test_values_between_voxels_are_trilinear(shape: tuple[int, int, int], kind: str, turned: int) -> None:
    """For all types, for one slice alone and for an array that runs backwards; nothing beyond the last centres."""
    random = np.random.default_rng(3)
    values = (random.random(shape) * 250).astype(kind)[::turned]
    volume = Volume(Grid(shape, np.zeros(3), np.eye(3), None), values, "RTDOSE", "1")
    inside = random.random((40, 3)) * (np.array(shape) - 1)
    inside[:2] = [[0, 0, 0], np.array(shape) - 1]
    places = np.concatenate([inside, inside + [0, shape[1], 0], inside - [0, 0, 0.01 + shape[2]], [[np.nan, 0, 0]]])
    found = volume.between(places)
    assert found[:40] == pytest.approx([plainly(values.astype(np.float64), place) for place in inside], abs=1e-9)
    assert np.isnan(found[40:]).all()
    assert (volume.between(places, -1.0)[40:] == -1).all()
    assert volume.between(np.empty((0, 3))).shape == (0,)


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 70_000])
@pytest.mark.parametrize("places", [dvh._PLACES, 0])
def test_doses_are_put_in_order_with_what_belongs_to_them(
    count: int, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where many are the same, nothing or below it; the same for so many that the plain way is gone."""
    monkeypatch.setattr(dvh, "_PLACES", places)
    doses = np.round(np.random.default_rng(4).normal(20, 20, count), 1)
    doses[::7] = 0.0
    ascending, order = dvh._ascending(doses)
    assert (np.diff(ascending) >= 0).all()
    assert np.array_equal(np.sort(order), np.arange(count))
    assert np.abs(ascending - doses[order]).max() < 1e-6
    assert dvh._ascending(np.empty(0))[0].size == 0


def test_an_even_dose_is_not_moved_by_its_order() -> None:
    """What all have they have to 1e-6 Gy, far below what a V forgives."""
    doses = np.full(300_000, 60.0)
    ascending, _ = dvh._ascending(doses)
    assert np.abs(ascending - 60).max() < 1e-6 < dvh._SAME_DOSE
