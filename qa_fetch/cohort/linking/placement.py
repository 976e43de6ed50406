"""Where images and dose grids lie in the patient, as boxes along the patient's axes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Optional

from ..columns import number, numbers

Box = tuple[tuple[float, float], ...]


def box_of(rows: Sequence[Mapping[str, str]]) -> Optional[Box]:
    """The box around a series or a dose grid in mm; None where its headers do not tell."""
    boxes = [box for row in rows for box in [_box(row)] if box is not None]
    if not boxes:
        return None
    return tuple((min(low for low, _ in ends), max(high for _, high in ends)) for ends in zip(*boxes))


def share_inside(inner: Optional[Box], outer: Optional[Box]) -> Optional[float]:
    """How much of one box lies in another, from 0 to 1; None where one of them is not known."""
    if inner is None or outer is None:
        return None
    share = 1.0
    for (low, high), (least, most) in zip(inner, outer):
        common = min(high, most) - max(low, least)
        length = high - low
        if length > 0:
            share *= max(common, 0.0) / length
        elif common < 0:
            share = 0.0
    return share


def _box(row: Mapping[str, str]) -> Optional[Box]:
    """The box around one object."""
    position = numbers(row["ImagePositionPatient"])
    around = _around(*(row[key] for key in _SHAPE))
    if len(position) != 3 or around is None:
        return None
    return tuple((at + low, at + high) for at, (low, high) in zip(position, around))


_SHAPE = ("PixelSpacing", "ImageOrientationPatient", "Rows", "Columns", "GridFrameOffsetVector")


@functools.lru_cache(maxsize=256)
def _around(spacing: str, orientation: str, rows: str, columns: str, offsets: str) -> Optional[Box]:
    """The box around an object, from its position; the slices of a series have one shape, which is read once."""
    between, axes = numbers(spacing), numbers(orientation) or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    down_count, across_count = number(rows), number(columns)
    if (len(between), len(axes)) != (2, 6) or down_count is None or across_count is None:
        return None
    across, down = axes[:3], axes[3:]
    normal = tuple(across[(n + 1) % 3] * down[(n + 2) % 3] - across[(n + 2) % 3] * down[(n + 1) % 3] for n in range(3))
    frames = numbers(offsets)
    depth = frames[-1] - frames[0] if frames else 0.0
    if frames and frames[0] and normal[2] < 0:
        depth = -depth  # these are positions along the patient, and not distances along the normal
    width, height = between[1] * (across_count - 1), between[0] * (down_count - 1)
    ways = [(width * across[n], height * down[n], depth * normal[n]) for n in range(3)]
    return tuple((sum(min(way, 0.0) for way in each), sum(max(way, 0.0) for way in each)) for each in ways)
