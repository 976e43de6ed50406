"""The regions of the phantom and how each is drawn: discs, rings in two ways, tiny ones, and those nobody drew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

import numpy as np
from truth_shapes import Array, Body, Box, Disc, Slab, ball, column

CORNERS = 120  # of a circle as it is drawn


@dataclass(frozen=True)
class Roi:
    """A region.

    Parameters
    ----------
    number, name
        ROINumber, which is in no order, and ROIName.
    kind
        RTROIInterpretedType.
    body
        What is drawn; None for what has no volume.
    drawn
        ``each``: a contour for each disc, holes as well; ``keyhole``: hole and rim in one contour; ``point``;
        ``nothing``: an item without contours; ``no item``: none at all.
    """

    number: int
    name: str
    kind: str
    body: Optional[Body]
    drawn: str = "each"

    def contours(self) -> Iterator[Array]:
        """Its contours in the phantom, (n, 3) each."""
        if self.drawn == "point":
            yield np.array([[4.0, -3.0, 6.0]])
        elif self.body is not None:
            for slab in self.body.slabs:
                for curve in [_keyhole(slab)] if self.drawn == "keyhole" else _each(slab):
                    yield np.column_stack([curve, np.full(len(curve), slab.z)])

    def volume_cc(self) -> float:
        """The volume of what is drawn."""
        return self.body.volume_cc() if self.body else 0.0


def _each(slab: Slab) -> list[Array]:
    """Every second contour runs the other way round, which means nothing."""
    return [piece.polygon(CORNERS)[:: -1 if number % 2 else 1] for number, piece in enumerate(slab.pieces)]


def _keyhole(slab: Slab) -> Array:
    """Around the rim, over to the hole, around it the other way, and back."""
    rim, hole = (piece.polygon(CORNERS) for piece in slab.pieces)
    return np.vstack([rim, rim[:1], hole[:1], hole[::-1]])


def catalogue(planes: Array, thickness: float) -> tuple[Roi, ...]:
    """The regions that most courses have; they need planes from -55 to 55 mm and 88 mm in x and in y.

    Their numbers are in no order, one name has a ``/``, two regions end beyond the dose grid, and three have nothing
    that could be filled.
    """

    def between(low: float, high: float) -> Array:
        return planes[(planes >= low) & (planes <= high)]

    ring = (Disc(-8, 5, 24), Disc(-8, 5, 17, -1))
    lungs = (Disc(-22, -12, 9.5), Disc(24, 8, 11.3))
    return (
        Roi(7, "PTV_60", "PTV", ball((4, -3, 6), 29, planes, thickness)),
        Roi(3, "GTV", "GTV", ball((4, -3, 6), 4.924, planes, thickness)),
        Roi(12, "SpinalCord", "ORGAN", column((Disc(-20, 30, 5),), between(-38, 42), thickness)),
        Roi(1, "Ring", "ORGAN", column(ring, between(-30, 10), thickness)),
        Roi(2, "Ring keyhole", "ORGAN", column(ring, between(-30, 10), thickness), "keyhole"),
        Roi(21, "Bolus", "BOLUS", column((Box(25, 25, 22.3, 17.7),), between(-20, 30), thickness)),
        Roi(22, "Lung L/R", "ORGAN", column(lungs, between(-40, 20), thickness)),
        Roi(30, "Lens_L", "ORGAN", ball((-30, 20, -20), 1.93, planes, thickness)),
        Roi(31, "Clipped", "ORGAN", column((Disc(10, 10, 12),), between(40, 60), thickness)),
        Roi(50, "External", "EXTERNAL", column((Box(0, 0, 86, 84),), planes, thickness)),
        Roi(40, "Never drawn", "ORGAN", None, "no item"),
        Roi(41, "Wiped out", "ORGAN", None, "nothing"),
        Roi(42, "Isocentre", "ISOCENTER", None, "point"),
    )


def few(planes: Array, thickness: float, name: str = "PTV_60") -> tuple[Roi, ...]:
    """Two regions that fit into 18 mm: for courses of many slices, or whose names are what matters."""
    return (
        Roi(2, name, "PTV", ball((1, -1, 0), 7, planes, thickness)),
        Roi(
            1, f"{name}_ring", "ORGAN", column((Disc(0, 0, 8), Disc(0, 0, 4, -1)), planes[abs(planes) < 10], thickness)
        ),
    )
