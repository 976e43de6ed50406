"""Where images and dose grids lie in the patient, as boxes along the patient's axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from ..columns import number, numbers

Box = tuple[tuple[float, float], ...]


def box_of(rows: Sequence[Mapping[str, str]]) -> Optional[Box]:
    """The box around a series or a dose grid in mm; None where its headers do not tell."""
    points = [point for row in rows for point in _corners(row)]
    if not points:
        return None
    return tuple((min(values), max(values)) for values in zip(*points))


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


def _corners(row: Mapping[str, str]) -> list[tuple[float, ...]]:
    """The corners of one object's first plane, and of its last one."""
    position, spacing = numbers(row["ImagePositionPatient"]), numbers(row["PixelSpacing"])
    axes = numbers(row["ImageOrientationPatient"]) or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    rows, columns = number(row["Rows"]), number(row["Columns"])
    if (len(position), len(spacing), len(axes)) != (3, 2, 6) or rows is None or columns is None:
        return []
    across, down = axes[:3], axes[3:]
    normal = tuple(across[(n + 1) % 3] * down[(n + 2) % 3] - across[(n + 2) % 3] * down[(n + 1) % 3] for n in range(3))
    offsets = numbers(row["GridFrameOffsetVector"])
    depth = offsets[-1] - offsets[0] if offsets else 0.0
    if offsets and offsets[0] and normal[2] < 0:
        depth = -depth  # these are positions along the patient, and not distances along the normal
    width, height = spacing[1] * (columns - 1), spacing[0] * (rows - 1)
    return [
        tuple(position[n] + u * across[n] + v * down[n] + w * normal[n] for n in range(3))
        for u in (0.0, width)
        for v in (0.0, height)
        for w in (0.0, depth)
    ]
