"""Plots as numbers that a template turns into SVG, so that every text in them is escaped there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 30
_LABELS = 6  # along the time axis


@dataclass(frozen=True)
class Tick:
    """A line across a plot, or a mark below it."""

    at: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Bar:
    """One column, with what it says when somebody points at it."""

    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True)
class Plot:
    """A picture of numbers over time.

    Parameters
    ----------
    name
        What its parts are called on the page.
    title, description
        For everybody, and for who cannot see it.
    bars, line
        What it shows; a line is the ``points`` of a polyline.
    across, below
        Its scales.
    """

    name: str
    title: str
    description: str
    bars: tuple[Bar, ...]
    line: str
    area: str
    across: tuple[Tick, ...]
    below: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    text_at: int = _LEFT - 8
    right: int = WIDTH - _RIGHT


def columns(name: str, title: str, unit: str, values: Sequence[tuple[str, float]]) -> Plot:
    """Columns over time.

    Parameters
    ----------
    name, title
        See ``Plot``.
    unit
        What the values are counted in.
    values
        Label and value of each.
    """
    top, across = _scale([value for _, value in values])
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(values))
    bars = []
    for index, (label, value) in enumerate(values):
        high = _up(0, top) - _up(value, top)
        width = max(1.0, min(step * 0.72, 48))
        x = _LEFT + step * index + (step - width) / 2
        bars.append(Bar(_r(x), _r(_up(value, top)), _r(width), _r(high), f"{label}: {value:,.4g} {unit}"))
    places = [_LEFT + step * (index + 0.5) for index in range(len(values))]
    described = _described(title, unit, values)
    return Plot(name, title, described, tuple(bars), "", "", across, _below(places, values))


def line(name: str, title: str, unit: str, values: Sequence[tuple[str, float]]) -> Plot:
    """A line over time, for what grows; the parameters are those of ``columns``."""
    top, across = _scale([value for _, value in values])
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(values) - 1)
    places = [_LEFT + step * index for index in range(len(values))]
    points = [f"{_r(x)},{_r(_up(value, top))}" for x, (_, value) in zip(places, values)]
    if len(points) == 1:
        points.append(f"{WIDTH - _RIGHT},{_r(_up(values[0][1], top))}")
    last = points[-1].split(",")[0] if points else ""
    area = " ".join((f"{_LEFT},{HEIGHT - _BOTTOM}", *points, f"{last},{HEIGHT - _BOTTOM}"))
    described = _described(title, unit, values)
    return Plot(name, title, described, (), " ".join(points), area, across, _below(places, values))


def _described(title: str, unit: str, values: Sequence[tuple[str, float]]) -> str:
    label, most = max(values, key=lambda each: each[1])
    return f"{title}, from {values[0][0]} to {values[-1][0]}. The highest is {most:,.4g} {unit} at {label}."


def _scale(values: Sequence[float]) -> tuple[float, tuple[Tick, ...]]:
    """The top of a plot, and its lines at round numbers."""
    most = max((*values, 0.0)) or 1.0
    rough = most / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    count = math.ceil(most / step - 1e-9)
    top = step * count
    return top, tuple(Tick(_r(_up(step * index, top)), f"{step * index:,.4g}") for index in range(count + 1))


def _up(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / top


def _below(places: Sequence[float], values: Sequence[tuple[str, float]]) -> tuple[Tick, ...]:
    every = max(1, math.ceil(len(values) / _LABELS))
    return tuple(
        Tick(_r(places[index]), values[index][0], "start" if places[index] < _LEFT + 40 else "middle")
        for index in range(0, len(values), every)
        if places[index] < WIDTH - 40 or index == 0
    )


def _r(value: float) -> float:
    return round(value, 1)
