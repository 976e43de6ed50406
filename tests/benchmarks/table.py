"""Rows as text: seconds, and how many times what others took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from .race import Row

_UNITS = {"s": "{:.4f}", "MB": "{:.1f}", "%": "{:.3f}", "Gy": "{:.3f}"}


def block(title: str, rows: Sequence[Row], beside: Sequence[str]) -> str:
    """One race: a line per contestant, with its ratio to each of those named (below 1 is faster than that one)."""
    unit = rows[0].unit
    heads = ["contestant", f"median {unit}", "min - max", "runs", *(f"x {name}" for name in beside)]
    others = {row.contestant: row.median for row in rows}
    lines = [_cells(row, [others.get(name) for name in beside]) for row in rows]
    widths = [
        max(len(line[n]) for line in [heads, *lines] if len(line) == len(heads) or n == 0) for n in range(len(heads))
    ]
    text = ["", title]
    for first, *rest in [heads, *lines]:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:])]
        text.append("  " + "  ".join([first.ljust(widths[0]), *cells]).rstrip())
    for row in rows:
        text += [f"  ! {row.contestant}: {problem}" for problem in row.wrong]
    return "\n".join(text)


def _cells(row: Row, others: Sequence[Optional[float]]) -> list[str]:
    median = row.median
    if median is None:
        return [row.contestant, row.absent or "FAILED"]  # whatever its length, it widens no column
    shown = _UNITS[row.unit].format
    ratios = [f"{median / other:.2f}" if other else "-" for other in others]
    asked = f" ({max(row.requests)} requests)" if row.requests else ""
    span = f"{shown(min(row.samples))} - {shown(max(row.samples))}"
    return [row.contestant + asked, shown(median), span, str(len(row.samples)), *ratios]
