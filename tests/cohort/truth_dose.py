"""Doses that are functions, and the exact dose-volume histograms of the bodies of truth_shapes under them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from truth_shapes import Array, Body, Box, Disc, Slab

_STEPS = 44  # halvings of a range of doses: to less than a thousand-millionth of a Gy
_ALMOST_NOTHING = 1e-10  # of a volume


class Dose(Protocol):
    """A dose in Gy at every point of the phantom."""

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Gy at these points."""

    def above(self, slab: Slab, level: float) -> float:
        """Cubic mm of a slab at this dose or more."""

    def added(self, slab: Slab) -> float:
        """Gy times cubic mm: the integral over a slab."""


@dataclass(frozen=True)
class Linear:
    """A dose that rises evenly in a direction that no axis shares: it tells every flip and every swapped axis."""

    centre: float = 45.0  # Gy at the origin
    gradient: tuple[float, float, float] = (0.10, -0.07, 0.12)  # Gy per mm

    def __add__(self, other: Linear) -> Linear:
        """The sum of two plans."""
        x, y, z = (one + two for one, two in zip(self.gradient, other.gradient))
        return Linear(self.centre + other.centre, (x, y, z))

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Gy at these points."""
        along_x, along_y, along_z = self.gradient
        return self.centre + along_x * x + along_y * y + along_z * z

    def above(self, slab: Slab, level: float) -> float:
        """Cubic mm of a slab at this dose or more."""
        return sum(
            piece.sign
            * (self._of_box(piece, slab, level) if isinstance(piece, Box) else self._of_disc(piece, slab, level))
            for piece in slab.pieces
        )

    def added(self, slab: Slab) -> float:
        """Gy times cubic mm: the integral over a slab."""
        parts = (piece.sign * piece.area() * float(self.at(piece.x, piece.y, slab.z)) for piece in slab.pieces)
        return slab.thickness * sum(parts)

    def _of_disc(self, disc: Disc, slab: Slab, level: float) -> float:
        across, along_z = math.hypot(*self.gradient[:2]), self.gradient[2]
        short = level - float(self.at(disc.x, disc.y, slab.z))  # of the dose in the middle
        spread = abs(along_z) * slab.thickness / 2
        if not across:
            if not spread:
                return slab.thickness * disc.area() if short <= 0 else 0.0
            return slab.thickness * disc.area() * min(max((spread - short) / (2 * spread), 0.0), 1.0)
        if not spread:
            return slab.thickness * disc.beyond(short / across)
        added = disc.beyond_added((short + spread) / across) - disc.beyond_added((short - spread) / across)
        return slab.thickness * added * across / (2 * spread)

    def _of_box(self, box: Box, slab: Slab, level: float) -> float:
        """The share above is that of a sum of evenly spread numbers, one for each axis."""
        sizes = (box.width, box.height, slab.thickness)
        halves = [abs(slope) * size / 2 for slope, size in zip(self.gradient, sizes) if slope]
        over = float(self.at(box.x, box.y, slab.z)) - level
        volume = slab.thickness * box.area()
        if not halves:
            return volume if over >= 0 else 0.0
        if abs(over) >= sum(halves):
            return volume if over > 0 else 0.0
        count, found = len(halves), 0.0
        for signs in itertools.product((1, -1), repeat=count):
            reach = over + sum(sign * half for sign, half in zip(signs, halves))
            found += math.prod(signs) * max(reach, 0.0) ** count
        return volume * found / (math.factorial(count) * math.prod(2 * half for half in halves))


@dataclass(frozen=True)
class Radial:
    """A dose that falls with the square of the distance from a line along the slices' normal."""

    top: float = 60.0
    fall: float = 0.008  # Gy per square mm
    x: float = 4.0
    y: float = -3.0

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Gy at these points."""
        return self.top - self.fall * ((x - self.x) ** 2 + (y - self.y) ** 2) + 0 * z

    def above(self, slab: Slab, level: float) -> float:
        """Cubic mm of a slab at this dose or more."""
        radius = math.sqrt(max(self.top - level, 0.0) / self.fall)
        return slab.thickness * sum(piece.sign * piece.within(self.x, self.y, radius) for piece in slab.pieces)

    def added(self, slab: Slab) -> float:
        """Gy times cubic mm: the integral over a slab."""
        moment = sum(piece.sign * piece.second_moment(self.x, self.y) for piece in slab.pieces)
        return self.top * slab.volume() - self.fall * slab.thickness * moment


@dataclass(frozen=True)
class Spherical:
    """A dose that falls with the square of the distance from a point; exact only for discs around its axis."""

    top: float = 60.0
    fall: float = 0.006
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Gy at these points."""
        middle = self.centre
        return self.top - self.fall * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (z - middle[2]) ** 2)

    def above(self, slab: Slab, level: float) -> float:
        """Cubic mm of a slab at this dose or more."""
        reach = max(self.top - level, 0.0) / self.fall
        return sum(piece.sign * self._of_disc(piece, slab, reach) for piece in slab.pieces)

    def added(self, slab: Slab) -> float:
        """Gy times cubic mm: the integral over a slab."""
        height = (slab.z - self.centre[2]) ** 2 + slab.thickness**2 / 12
        moment = sum(piece.sign * piece.second_moment(*self.centre[:2]) for piece in slab.pieces)
        return (self.top - self.fall * height) * slab.volume() - self.fall * slab.thickness * moment

    def _of_disc(self, piece: object, slab: Slab, reach: float) -> float:
        if not isinstance(piece, Disc) or (piece.x, piece.y) != self.centre[:2]:
            raise ValueError(
                "A spherical dose is exact only for discs around its own axis. Take a linear or a radial one."
            )
        low, high = slab.z - slab.thickness / 2 - self.centre[2], slab.z + slab.thickness / 2 - self.centre[2]
        edge, full = (
            math.sqrt(reach),
            math.sqrt(max(reach - piece.radius**2, 0.0)),
        )  # where the ball ends; where it fills the disc
        whole = max(min(high, full) - max(low, -full), 0.0) * piece.radius**2
        caps = 0.0
        for one, two in ((max(low, -edge), min(high, -full)), (max(low, full), min(high, edge))):
            if two > one:
                caps += reach * (two - one) - (two**3 - one**3) / 3
        return math.pi * (whole + caps)


@dataclass(frozen=True)
class ExactDvh:
    """What a dose does to a body, exactly."""

    body: Body
    dose: Dose

    def volume_cc(self) -> float:
        """The volume of what is drawn."""
        return self.body.volume_cc()

    def v_cc(self, level: float) -> float:
        """The cubic centimetres at this dose (Gy) or more."""
        return sum(self.dose.above(slab, level) for slab in self.body.slabs) / 1000

    def v(self, level: float) -> float:
        """The same in per cent of the volume."""
        return 100 * self.v_cc(level) / self.volume_cc()

    def d_cc(self, volume: float) -> float:
        """The lowest dose in the hottest ``volume`` cubic centimetres."""
        low, high = self._span()
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.v_cc(middle) >= volume else (low, middle)
        return low

    def d(self, percent: float) -> float:
        """The lowest dose in the hottest ``percent`` of the volume: D95 is low, D2 is high."""
        return self.d_cc(self.volume_cc() * percent / 100)

    def mean(self) -> float:
        """The mean dose."""
        return sum(self.dose.added(slab) for slab in self.body.slabs) / self.volume_cc() / 1000

    def median(self) -> float:
        """The median dose."""
        return self.d(50)

    def maximum(self) -> float:
        """The highest dose, as near as the smallest volume tells."""
        return self.d_cc(self.volume_cc() * _ALMOST_NOTHING)

    def minimum(self) -> float:
        """The lowest dose, as near as the smallest volume tells."""
        return self.d_cc(self.volume_cc() * (1 - _ALMOST_NOTHING))

    def _span(self) -> tuple[float, float]:
        """Doses that none in the box around the body goes beyond."""
        low, high = (np.array(corner) for corner in self.body.bounds())
        places = low[:, None] + (high - low)[:, None] * np.mgrid[:9, :9, :9].reshape(3, -1) / 8
        doses = np.asarray(self.dose.at(*places))
        lowest, highest = float(doses.min()), float(doses.max())
        room = highest - lowest + 1.0
        return lowest - room, highest + room


def eqd2(dose: float, fractions: int, alpha_beta: float) -> float:
    """A dose as that of the same effect in fractions of 2 Gy: it rises with the dose, so it may be taken of any Dx."""
    return dose * (dose / fractions + alpha_beta) / (2 + alpha_beta)
