"""Pinnacle's names of colours as numbers; names of gradients (``inverse_grey``) have the colour of the unknown."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import Optional

Colour = tuple[int, int, int]

UNKNOWN: Colour = (127, 127, 127)  # always the same, so that a conversion can be repeated
_TABLE = Path(__file__).with_name("colours.csv")


def colour(name: Optional[str]) -> Optional[Colour]:
    """Red, green and blue of a name; None where it is not known."""
    return None if name is None else _table().get(name.strip().lower())


@lru_cache(maxsize=1)
def _table() -> dict[str, Colour]:
    with _TABLE.open(encoding="ascii", newline="") as file:
        return {row["name"]: (int(row["red"]), int(row["green"]), int(row["blue"])) for row in csv.DictReader(file)}
