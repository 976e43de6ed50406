"""Doses as volumes: every position and way of counting planes, what is refused, and doses on the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from volume_files import centres, rt_dose, series, truth

from qa_fetch.cohort.volumes import dose, images, resampled
from qa_fetch.errors import BadArchive

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
        ("FFDR", [6, 3, 0]),
        ("sagittal", [0, 3, 6]),
        ("oblique", [0, 3, 6]),
        ("oblique, the other way", [0, -3, -6]),
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
        (
            [0, 3, 6],
            {"DoseType": "ERROR"},
            "is the difference of two doses (DoseType ERROR). Use the dose of the plan.",
        ),
        (
            [0, 3, 6],
            {"PixelRepresentation": 1, "PixelData": b"\xff" * 420},
            "has values below 0 Gy, so its pixels are not what it says of them. "
            "Export it from the planning system again.",
        ),
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
