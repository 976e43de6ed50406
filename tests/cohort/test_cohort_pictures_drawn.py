"""Pictures as files: right sides, the same bytes again, and names, doses and regions of every sort."""

from __future__ import annotations

import io
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from pictures_phantom import MARKER, MIDDLE, ball, grid, loaded, places, region

from qa_fetch.cohort.pictures import overlays
from qa_fetch.cohort.pictures.drawing import _ticks, picture


def size_of(png: bytes) -> tuple[int, int]:
    """The width and height of a PNG, which says nothing of its time and its maker."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and png[-8:-4] == b"IEND"
    assert b"tEXt" not in png and b"tIME" not in png
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def colours_of(png: bytes) -> Any:
    """Its pixels, 0 to 255."""
    from matplotlib.image import imread

    return np.rint(imread(io.BytesIO(png), format="png")[..., :3] * 255).astype(int)


def dosed(position: str = "HFS", **changes: Any) -> Any:
    """A patient with a body, a target at the left, back and head, and a dose around it."""
    of = grid(position)
    dose = 62 - 0.05 * np.linalg.norm(places(of) - MARKER, axis=-1) ** 2
    rois = [ball(of, MIDDLE, 28, number=2, name="BODY", kind="EXTERNAL", colour=None), ball(of, MARKER, 6, number=7)]
    return loaded(of, **{"rois": rois, "dose": np.clip(dose, 0, None), **changes})


@pytest.mark.parametrize("position", ["FFP", "askew"])
def test_the_target_is_drawn_where_it_lies_in_the_patient(position: str) -> None:
    """Its red line is on the right of all three pictures, low in the axial one, high in the others."""
    red = {}
    for scene in overlays.scenes(dosed(position, dose=None)):
        seen = colours_of(picture(scene, (240, 200)))[46:246, 14:254]
        rows, columns = np.nonzero((seen[..., 0] > 180) & (seen[..., 1:] < 90).all(axis=-1))
        assert len(rows) > 30
        red[scene.plane.view.name] = (columns.mean() > 240 / 2 + 20, rows.mean() > 200 / 2)
    assert red == {"axial": (True, True), "coronal": (True, False), "sagittal": (True, False)}


def test_the_same_patient_gives_the_same_bytes_from_many_threads() -> None:
    """Nothing is shared between two pictures."""
    patient = dosed()
    first = overlays.planes(patient)
    assert {size_of(png)[0] for png in first.values()} == {748}
    assert list(first) == ["axial", "coronal", "sagittal"] and len(set(first.values())) == 3
    with ThreadPoolExecutor(3) as pool:
        again = pool.map(picture, overlays.scenes(patient))
        assert list(again) == [*first.values()]


def test_the_dose_is_drawn_from_a_tenth_of_its_highest_value_up() -> None:
    """Where it is lower the picture is grey; where it is not known as well, and a line says where that begins."""
    of = grid()
    half = places(of)[..., 0] > MIDDLE[0]
    grey = np.zeros(of.shape, dtype=np.int16)
    axial = picture(overlays.scenes(loaded(of, values=grey, dose=np.where(half, 60, 5.9)))[0])
    seen = colours_of(axial)[46:606, 14:674]
    right, left = seen[150:400, 400:600], seen[150:400, 80:260]
    assert (np.ptp(right, axis=-1) > 60).all() and (np.ptp(left, axis=-1) == 0).mean() > 0.95
    patient = loaded(of, values=grey, dose=np.where(half, 60, 0), known=half, prescriptions=())
    edged = picture(overlays.scenes(patient)[0])
    assert size_of(edged)[1] > size_of(axial)[1]  # a line of the legend
    seen = colours_of(edged)[46:606, 14:674]
    assert (seen[..., 2] <= seen[..., 1] + 12).all()  # no rim in the purple of low doses, which are nowhere


def test_a_thumbnail_is_small_and_square() -> None:
    """For a sheet of many."""
    assert size_of(overlays.thumbnail(dosed("FFS"))) == (240, 240)


@pytest.mark.parametrize(
    "changes",
    [
        {"dose": None},
        {"rois": ()},
        {"rois": (), "dose": None},
        {"dose": np.zeros((31, 36, 42))},
        {"dose": np.full((31, 36, 42), np.nan)},
        {"prescriptions": (None,)},
        {"prescriptions": (1000.0,)},
        {"modality": "MR", "values": np.zeros((31, 36, 42), dtype=np.int16), "dose": None},
        {"values": np.full((31, 36, 42), np.nan, dtype=np.float32)},
    ],
    ids=["no dose", "no ROI", "neither", "no Gy", "unknown", "no Rx", "far Rx", "black", "not a number"],
)
def test_whatever_is_not_there_the_rest_is_drawn(changes: dict[str, Any]) -> None:
    """With a bar of the dose where there is one."""
    scenes = overlays.scenes(dosed(**changes))
    assert [scene.wash is None for scene in scenes] == ["dose" in changes] * 3
    assert size_of(picture(scenes[0], (160, 140)))[0] == (188 if "dose" in changes else 248)


@pytest.mark.parametrize("position", ["FFS", "askew"])
def test_a_region_of_one_voxel_is_drawn(position: str) -> None:
    """As the target, in all three planes, also between the voxels."""
    of = grid(position)
    inside = np.zeros(of.shape, dtype=bool)
    inside[15, 20, 25] = True
    for scene in overlays.scenes(loaded(of, [region(inside)])):
        assert scene.outlines[0].plane.values.any()
        assert picture(scene, (160, 140))


@pytest.mark.parametrize("shape", [(1, 36, 42), (31, 1, 42), (1, 1, 1)])
def test_images_of_one_slice_or_one_row_are_drawn(shape: tuple[int, int, int]) -> None:
    """With dose and a region."""
    of = grid("HFS", shape)
    patient = loaded(of, [region(np.ones(shape, dtype=bool))], dose=np.linspace(1, 70, np.prod(shape)).reshape(shape))
    assert all(picture(scene, (160, 140)) for scene in overlays.scenes(patient)) and overlays.thumbnail(patient)


def test_names_are_drawn_whatever_is_in_them() -> None:
    """Formulas, other scripts, control characters, length and nothing at all: no warning and no error."""
    of = grid()
    names = ["$x^2$", r"a_{b}\frac", "肝脏", "a\nb\x07", "x" * 300, "  ", "Lung L/R", "🫁"]
    rois = [ball(of, MIDDLE, 3 + at, number=at, name=name, kind="ORGAN") for at, name in enumerate(names)]
    assert picture(overlays.scenes(loaded(of, rois))[0], (160, 140))
    assert overlays.named(rois[5]) == "ROI 5"


def test_a_scale_of_doses_has_round_numbers() -> None:
    """About six, whatever the dose."""
    assert _ticks(6.5, 65.0) == [10, 20, 30, 40, 50, 60]
    assert _ticks(0.2, 2.0) == [0.5, 1.0, 1.5, 2.0]
    assert all(3 <= len(_ticks(high / 10, high)) <= 7 for high in (0.013, 0.9, 7.77, 44.0, 81.3, 1e4))
