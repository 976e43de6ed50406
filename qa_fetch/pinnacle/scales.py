"""A machine's own angles and sides against IEC 61217, in which an RTPLAN counts them.

Measured on the doses of a real archive (version 16, two beams at couch 355): the gantry's angle is IEC's where it has 0
at twelve o'clock and does not increase clockwise; the couch's is IEC's with the other sign where it increases clockwise
(seen from above: 355 is 5 of IEC); jaws and leaves are X1 = -left, X2 = right, Y1 = -bottom, Y2 = top where leaf
coordinates are negated (``NegateLeafCoordinates = 1``). A row of leaves lies at the y of its label. Contours of blocks
are drawn with y towards the bottom jaw.

From others who compared with Pinnacle's own RTPLAN files: where leaf coordinates are not negated, the head is the other
way up: X1 = -right, X2 = left, Y1 = -top, Y2 = bottom; rows still lie at the y of their labels.

Not certain, so reported: angles and sides of a machine that the archive does not describe, and of one whose
scales are neither of the two above. A plan whose machine contradicts itself in this is not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Optional

from .records import Beam, Machine, Scale

_GANTRY: Final = Scale(0.0, False)  # what was measured
_COLLIMATOR: Final = Scale(180.0, True)
_COUCH: Final = Scale(0.0, True)
_SAME = 1e-6


class Unsure(Exception):
    """A plan cannot be written without inventing something; the text is a clause that says what."""


@dataclass(frozen=True)
class Head:
    """How a beam's machine counts; ``turned``: its top jaw is Y1 and its left jaw is X2."""

    turned: bool
    gantry_scale: Optional[Scale] = None
    collimator_scale: Optional[Scale] = None
    couch_scale: Optional[Scale] = None
    told: bool = True  # whether the archive says which way up it is

    def gantry(self, angle: float) -> float:
        """The gantry's angle by IEC 61217."""
        scale = self.gantry_scale or _GANTRY
        difference = angle - scale.twelve_o_clock
        return _round(-difference if scale.clockwise else difference)

    def couch(self, angle: float) -> float:
        """The patient support's angle by IEC 61217."""
        scale = self.couch_scale or _COUCH
        difference = angle - scale.twelve_o_clock
        return _round(-difference if scale.clockwise else difference)

    def collimator(self, angle: float) -> float:
        """The beam limiting device's angle by IEC 61217."""
        if self.collimator_scale is None:
            return _round(angle)
        difference = angle - self.collimator_scale.twelve_o_clock
        upright = 180.0 + (difference if self.collimator_scale.clockwise else -difference)
        return _round(upright + 180.0 if self.turned else upright)

    def doubts(self, beam: Beam) -> list[str]:
        """What a user should compare before this beam's angles and sides are relied on."""
        found = []
        if self.gantry_scale is None or self.collimator_scale is None or not self.told:
            what = "how its machine counts angles" if self.told else "how its machine counts angles and names its sides"
            found.append(
                f"the archive does not say {what}, so they are taken as on the one that was measured; "
                "compare a beam with the planning system"
            )
        if any(_unlike(point.couch) for point in beam.control_points) and self.couch_scale is None:
            found.append(
                "the archive does not say how its couch angle is counted, so it is taken to increase clockwise seen "
                "from above, against IEC 61217; compare it with the planning system"
            )
        measured = ((self.gantry_scale, _GANTRY), (self.couch_scale, _COUCH), (self.collimator_scale, _COLLIMATOR))
        if self.turned or any(scale not in (None, known) for scale, known in measured):
            found.append(
                "its machine counts angles or names its sides in another way than the one that was measured, so they "
                "are converted to IEC 61217 as the machine describes them; compare a beam with the planning system"
            )
        return found


def head(machine: Optional[Machine], rows: Sequence[Optional[float]]) -> Head:
    """How a machine counts; Unsure where that cannot be known.

    Parameters
    ----------
    machine
        The beam's, where the archive describes it.
    rows
        The labels of its rows of leaves.
    """
    known = [row for row in rows if row is not None]
    scale, negated = (None, None) if machine is None else (machine.collimator_scale, machine.leaves_negated)
    by_scale = _same(scale.twelve_o_clock, 0.0) if scale is not None and scale.clockwise else None
    if by_scale is not None and negated is not None and by_scale == negated:
        raise Unsure(
            "its machine's collimator scale and its NegateLeafCoordinates contradict each other, so which way up "
            "its head is cannot be known"
        )
    told = negated is not None or by_scale is not None
    if not told and len(known) > 1 and known[0] < known[-1]:
        raise Unsure(
            "the archive does not describe its machine, whose leaves are counted upwards, so which way up "
            "its head is cannot be known"
        )
    turned = not negated if negated is not None else bool(by_scale)
    told = told or len(known) > 1
    if machine is None:
        return Head(turned, told=told)
    return Head(turned, machine.gantry_scale, scale, machine.couch_scale, told)


def machine_of(beam: Beam, machines: Sequence[Machine]) -> Optional[Machine]:
    """The machine that a beam names: of its version, else the only one of its name."""
    named = [machine for machine in machines if machine.name == beam.machine]
    exact = [machine for machine in named if machine.version == beam.machine_version]
    if exact:
        return exact[0]
    return named[0] if len(named) == 1 else None


def _same(one: float, other: float) -> bool:
    return abs((one - other + 180.0) % 360.0 - 180.0) < _SAME


def _unlike(couch: Optional[float]) -> bool:
    """Whether a couch angle's sign matters."""
    return couch is not None and not _same(couch, -couch)


def _round(angle: float) -> float:
    return round(angle % 360.0, 6) % 360.0
