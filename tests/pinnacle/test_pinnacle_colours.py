"""Colours by their names."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from qa_fetch.pinnacle import colours


@pytest.mark.parametrize(
    ("name", "expected"),
    [("red", (255, 0, 0)), ("skyblue", (0, 191, 255)), ("yellowgreen", (173, 255, 47)), (" Red ", (255, 0, 0))],
)
def test_a_name_of_pinnacle_has_its_colour(name: str, expected: tuple[int, int, int]) -> None:
    """A table says what Pinnacle's names look like."""
    assert colours.colour(name) == expected


@pytest.mark.parametrize("name", ["inverse_grey", "greyscale", "rainbow1", "SUV3", "CEqual"])
def test_a_gradient_is_always_the_same_grey(name: str) -> None:
    """A gradient is no colour, so it becomes a grey that is the same each time."""
    assert colours.colour(name) == colours.UNKNOWN == (127, 127, 127)


@pytest.mark.parametrize("name", ["mauve_of_site_7", "", None])
def test_an_unknown_name_is_not_guessed(name: str) -> None:
    """The caller reports it."""
    assert colours.colour(name) is None


def test_the_table_is_sorted_without_repeats_and_in_range() -> None:
    """Each name stands once, so that the order of the lines decides nothing."""
    with Path(colours.__file__).with_name("colours.csv").open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["name"] for row in rows]
    assert names == sorted(set(names))
    assert all(0 <= int(row[part]) <= 255 for row in rows for part in ("red", "green", "blue"))
