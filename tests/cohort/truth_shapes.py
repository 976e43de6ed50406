"""Regions whose volume is known exactly: a stack of slabs, each of discs and boxes that are added or taken away.

Lengths are in mm, in the frame of the phantom (see truth_frame). A contour on a slice stands for a slab as thick as the
slices lie apart; discs are drawn as polygons of the same area, so the volume of what is drawn is the one that is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

Array = Any  # numpy.ndarray: numpy 1 and 2 differ in how it is annotated


@dataclass(frozen=True)
class Disc:
    """A disc in a slab; with ``sign`` -1 it is a hole in another one."""

    x: float
    y: float
    radius: float
    sign: int = 1

    def area(self) -> float:
        """Square mm, without the sign."""
        return math.pi * self.radius**2

    def beyond(self, distance: float) -> float:
        """The area farther than ``distance`` from the centre in one direction: a segment of the circle."""
        t = min(max(distance, -self.radius), self.radius)
        return self.radius**2 * math.acos(t / self.radius) - t * math.sqrt(self.radius**2 - t * t)

    def beyond_added(self, distance: float) -> float:
        """The integral of ``beyond`` from minus the radius to ``distance``."""
        r = self.radius
        t = min(max(distance, -r), r)
        inside = t * r * r * math.acos(t / r) - r * r * math.sqrt(r * r - t * t) + (r * r - t * t) ** 1.5 / 3
        return inside + math.pi * r**3 + min(distance + r, 0.0) * self.area()

    def within(self, x: float, y: float, radius: float) -> float:
        """The area in common with another disc: a lens."""
        apart, a, b = math.hypot(self.x - x, self.y - y), self.radius, radius
        if b <= 0 or apart >= a + b:
            return 0.0
        if apart <= abs(a - b):
            return math.pi * min(a, b) ** 2
        one = (apart**2 + a**2 - b**2) / (2 * apart)
        return Disc(0, 0, a).beyond(one) + Disc(0, 0, b).beyond(apart - one)

    def second_moment(self, x: float, y: float) -> float:
        """The integral of the squared distance from a point."""
        return self.area() * ((self.x - x) ** 2 + (self.y - y) ** 2 + self.radius**2 / 2)

    def covers(self, x: Array, y: Array) -> Array:
        """Which points lie in it."""
        return (x - self.x) ** 2 + (y - self.y) ** 2 <= self.radius**2

    def bounds(self) -> tuple[float, float, float, float]:
        """Lowest x and y, highest x and y."""
        return self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius

    def polygon(self, corners: int) -> Array:
        """Corners of a polygon of the same area, the first at angle 0."""
        step = math.tau / corners
        turns = np.arange(corners) * step
        radius = self.radius * math.sqrt(step / math.sin(step))
        return np.column_stack([self.x + radius * np.cos(turns), self.y + radius * np.sin(turns)])


@dataclass(frozen=True)
class Box:
    """A rectangle in a slab."""

    x: float
    y: float
    width: float
    height: float
    sign: int = 1

    def area(self) -> float:
        """Square mm, without the sign."""
        return self.width * self.height

    def within(self, x: float, y: float, radius: float) -> float:
        """The area in common with a disc: between the corners and the circle, piece by piece."""
        left, low, right, high = self.bounds()
        left, right, low, high = left - x, right - x, low - y, high - y
        start, end = max(left, -radius), min(right, radius)
        if start >= end:
            return 0.0
        crossings = [
            side * math.sqrt(radius**2 - edge**2) for edge in (low, high) for side in (-1, 1) if abs(edge) < radius
        ]
        places = sorted({start, end, *(place for place in crossings if start < place < end)})
        found = 0.0
        for one, two in zip(places, places[1:]):
            rim = math.sqrt(radius**2 - ((one + two) / 2) ** 2)
            under = _under_circle(two, radius) - _under_circle(one, radius)
            if min(high, rim) > max(low, -rim):
                found += high * (two - one) if high < rim else under
                found -= low * (two - one) if low > -rim else -under
        return found

    def second_moment(self, x: float, y: float) -> float:
        """The integral of the squared distance from a point."""
        spread = (self.width**2 + self.height**2) / 12
        return self.area() * ((self.x - x) ** 2 + (self.y - y) ** 2 + spread)

    def covers(self, x: Array, y: Array) -> Array:
        """Which points lie in it."""
        return (abs(x - self.x) <= self.width / 2) & (abs(y - self.y) <= self.height / 2)

    def bounds(self) -> tuple[float, float, float, float]:
        """Lowest x and y, highest x and y."""
        across, up = self.width / 2, self.height / 2
        return self.x - across, self.y - up, self.x + across, self.y + up

    def polygon(self, corners: int) -> Array:
        """Its four corners, however many are asked for."""
        left, low, right, high = self.bounds()
        return np.array([[right, low], [right, high], [left, high], [left, low]])


def _under_circle(x: float, radius: float) -> float:
    return (x * math.sqrt(max(radius**2 - x * x, 0.0)) + radius**2 * math.asin(min(max(x / radius, -1.0), 1.0))) / 2


Piece = Union[Disc, Box]


@dataclass(frozen=True)
class Slab:
    """What is drawn on one slice."""

    z: float
    thickness: float
    pieces: tuple[Piece, ...]

    def volume(self) -> float:
        """Cubic mm."""
        return self.thickness * sum(piece.sign * piece.area() for piece in self.pieces)


@dataclass(frozen=True)
class Body:
    """A region: its slabs, and the volume of the shape that they stand for (None where they are the shape)."""

    slabs: tuple[Slab, ...]
    ideal_cc: Union[float, None] = None

    def volume_cc(self) -> float:
        """The volume of what is drawn."""
        return sum(slab.volume() for slab in self.slabs) / 1000

    def centroid(self) -> tuple[float, float, float]:
        """The middle of what is drawn."""
        total, found = 0.0, np.zeros(3)
        for slab in self.slabs:
            for piece in slab.pieces:
                weight = slab.thickness * piece.sign * piece.area()
                total += weight
                found += weight * np.array([piece.x, piece.y, slab.z])
        x, y, z = found / total
        return float(x), float(y), float(z)

    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The corners of the box around it, slabs as thick as they are."""
        sides = np.array([piece.bounds() for slab in self.slabs for piece in slab.pieces if piece.sign > 0])
        bottom = min(slab.z - slab.thickness / 2 for slab in self.slabs)
        top = max(slab.z + slab.thickness / 2 for slab in self.slabs)
        (left, low), (right, high) = sides[:, :2].min(axis=0), sides[:, 2:].max(axis=0)
        return (float(left), float(low), bottom), (float(right), float(high), top)

    def covers(self, x: Array, y: Array, z: float) -> Array:
        """Which points of a plane lie in it."""
        inside = np.zeros(np.broadcast(x, y).shape, dtype=int)
        for slab in self.slabs:
            if 0 <= z - slab.z + slab.thickness / 2 + 1e-6 < slab.thickness:  # where two meet, the upper one counts
                for piece in slab.pieces:
                    inside = inside + piece.sign * piece.covers(x, y)
        return inside > 0


def ball(centre: tuple[float, float, float], radius: float, planes: Array, thickness: float) -> Body:
    """A ball as it is drawn on these slices."""
    x, y, z = centre
    slabs = []
    for plane in planes:
        rest = radius**2 - (float(plane) - z) ** 2
        if rest > 0.01 * radius**2:  # a dot at the very pole is nothing that anybody draws
            slabs.append(Slab(float(plane), thickness, (Disc(x, y, math.sqrt(rest)),)))
    return Body(tuple(slabs), 4 / 3 * math.pi * radius**3 / 1000)


def column(pieces: tuple[Piece, ...], planes: Array, thickness: float) -> Body:
    """The same pieces on all these slices: a cylinder, a ring, a box, two of them side by side."""
    return Body(tuple(Slab(float(plane), thickness, pieces) for plane in planes))
