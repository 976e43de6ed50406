"""Masks are read back without unpacking what is empty, and only where all of the file is as it was written."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from qa_fetch.cohort import reading, sparse, volumes
from qa_fetch.cohort.grids import Grid
from qa_fetch.cohort.masks import Mask
from qa_fetch.errors import BadArchive

GRID = Grid((5, 4, 6), np.array([1.0, 2, 3]), np.array([[0, 0, 2.5], [0, -1.5, 0], [-1.25, 0, 0]]), None)
BOXES = [(0, 5, 0, 4, 0, 6), (1, 3, 1, 2, 2, 5), (4, 5, 3, 4, 5, 6), (0, 1, 0, 1, 0, 1)]


def mask_in(box: tuple[int, ...], grid: Grid = GRID) -> Mask:
    """A mask of about half of a box."""
    slices = (slice(*box[:2]), slice(*box[2:4]), slice(*box[4:]))
    shape = tuple(each.stop - each.start for each in slices)
    return Mask(grid, slices, np.random.default_rng(1).random(shape).astype(np.float32), 1.0, ())


def kept(mask: Mask, folder: Path) -> Path:
    """Its file."""
    sparse.nifti(mask, folder / "a.nii.gz", sparse.head(mask.grid))
    return folder / "a.nii.gz"


@pytest.mark.parametrize("box", BOXES)
def test_a_mask_comes_back_without_being_unpacked(
    box: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow way is not gone."""
    mask = mask_in(box)
    path = kept(mask, tmp_path)
    monkeypatch.setattr(reading, "_unpacked", lambda packed: pytest.fail("unpacked"))
    assert np.array_equal(reading.mask(path, GRID, mask.box), mask.values)


def test_a_mask_of_many_zeros_comes_back(tmp_path: Path) -> None:
    """More than are packed at once, before and behind."""
    grid = Grid((9, 700, 700), np.zeros(3), np.eye(3), None)
    mask = mask_in((4, 6, 300, 310, 20, 40), grid)
    path = kept(mask, tmp_path)
    found = sparse.unpacked(path.read_bytes(), grid.shape, mask.box)
    assert found is not None and np.array_equal(found[1], mask.values)
    assert found[0] == sparse.head(grid)


@pytest.mark.parametrize("box", BOXES[1:])
def test_a_mask_that_others_wrote_is_the_same(box: tuple[int, ...], tmp_path: Path) -> None:
    """Packed in another way, which is the slow way."""
    mask = mask_in(box)
    volumes.nifti(mask.volume(), tmp_path / "b.nii.gz")
    assert sparse.unpacked((tmp_path / "b.nii.gz").read_bytes(), GRID.shape, mask.box) is None
    assert np.array_equal(reading.mask(tmp_path / "b.nii.gz", GRID, mask.box), mask.values)


def test_no_byte_may_be_another(tmp_path: Path) -> None:
    """Whichever is changed, the file is not taken for what was written, nor read as another mask."""
    mask = mask_in((1, 3, 1, 3, 2, 5))
    path = kept(mask, tmp_path)
    whole = path.read_bytes()
    taken = 0
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        found = sparse.unpacked(damaged, GRID.shape, mask.box)  # a bit that only fills a byte may be another
        assert found is None or (found[0] == sparse.head(GRID) and np.array_equal(found[1], mask.values)), at
        taken += found is not None
        assert sparse.unpacked(whole[:at], GRID.shape, mask.box) is None, at
    assert taken < 10
    path.write_bytes(whole[:-1])
    with pytest.raises(BadArchive) as error:
        reading.mask(path, GRID, mask.box)
    assert str(error.value).startswith("The mask cannot be read (it is cut short, or no NIfTI volume).")


@pytest.mark.parametrize(
    "change",
    [
        lambda box: (slice(0, 3), *box[1:]),
        lambda box: (box[0], slice(1, 2), box[2]),
        lambda box: (*box[:2], slice(3, 5)),
        lambda box: (slice(1, 9), *box[1:]),
        lambda box: (slice(-4, 3), *box[1:]),
        lambda box: (slice(0, 0), slice(0, 0), slice(0, 0)),
    ],
)
def test_a_box_that_is_not_that_of_the_mask_is_found_out(change: Callable[[Any], Any], tmp_path: Path) -> None:
    """Whatever built.json says: a larger one is read the slow way, a smaller one refused."""
    grid, box = GRID, (slice(1, 3), slice(1, 3), slice(2, 5))
    path = kept(Mask(grid, box, np.ones((2, 2, 3), dtype=np.float32), 1.0, ()), tmp_path)
    wrong = change(box)
    assert sparse.unpacked(path.read_bytes(), grid.shape, wrong) is None
    try:
        within = reading.mask(path, grid, wrong)
    except BadArchive as error:
        assert str(error).startswith("The mask reaches out of its box in built.json.")
    else:
        assert within.sum() == 12


def test_a_mask_on_another_grid_is_not_taken(tmp_path: Path) -> None:
    """Two hundredths of a millimetre are enough."""
    mask = mask_in(BOXES[1])
    path = kept(mask, tmp_path)
    assert gzip.decompress(path.read_bytes())
    moved = Grid(GRID.shape, GRID.origin + [0, 0.02, 0], GRID.steps, None)
    with pytest.raises(BadArchive, match="does not lie on the grid"):
        reading.mask(path, moved, mask.box)
