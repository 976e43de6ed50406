"""Jaws and leaves of control points as DICOM has them: mm, IEC 61217, leaf pairs by ascending position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable, Final, Optional

from .objects import decimal
from .records import Beam, ControlPoint, Jaws, Machine
from .scales import Unsure

_LEAF_JAW_POSITIONS: Final = 0x300A011C
_TOGETHER = 0.02  # cm; labels are rounded to hundredths of a cm
_FARTHEST = 1000.0  # cm from the axis
_LONGEST = 1e4


@dataclass(frozen=True)
class Leaves:
    """A beam's multi-leaf collimator: ``order`` gives its rows by ascending position, ``boundaries`` are in mm."""

    device: str  # MLCX or MLCY
    order: tuple[int, ...]
    boundaries: tuple[float, ...]


def of_beam(beam: Beam, machine: Optional[Machine], warn: Callable[[str], None]) -> Optional[Leaves]:
    """A beam's leaves, None where it uses none; Unsure where they cannot be told.

    Parameters
    ----------
    beam, machine
        The beam and the machine that it names.
    warn
        Called with what a user should know.
    """
    shapes = [point.leaves for point in beam.control_points]
    if beam.use_mlc is False or (beam.use_mlc is None and not any(shapes)):
        return None
    counts = {len(shape) for shape in shapes}
    if counts in ({0}, {2}) and machine is not None and not machine.leaves:
        return None
    count = counts.pop() if len(counts) == 1 else 0
    if not count or count % 2:
        raise Unsure("it uses a multi-leaf collimator, whose leaves are missing or not whole")
    rows = _rows(beam.control_points, count // 2)
    if machine is not None and machine.leaves:
        device = "MLCY" if machine.leaves_along_left_right is False else "MLCX"
        if device == "MLCY":
            warn("its leaves move along y, where its first bank is taken for Y1; compare them with the planning system")
        return Leaves(device, *_as_described(machine, rows, count // 2))
    if rows is None:
        raise Unsure("neither its machine nor its labels say where its leaves lie")
    warn("its machine's leaves are not described, so their boundaries are worked out from the labels of its rows")
    return Leaves("MLCX", *_as_labelled(rows))


def positions(point: ControlPoint, leaves: Optional[Leaves], turned: bool) -> list[Any]:
    """The items of BeamLimitingDevicePositionSequence of a control point.

    Parameters
    ----------
    point
        The control point.
    leaves
        The beam's leaves, None where it uses none.
    turned
        Whether the head is the other way up: ``scales.Head``.
    """
    assert point.jaws is not None
    x1, x2, y1, y2 = sides(point.jaws, turned)
    items = [_item("ASYMX", [-x1, x2]), _item("ASYMY", [-y1, y2])]
    if leaves is not None:
        left, right = point.leaves[0::2], point.leaves[1::2]
        first, second = (right, left) if turned else (left, right)
        values = [-first[row] for row in leaves.order] + [second[row] for row in leaves.order]
        items.append(_item(leaves.device, values))
    return items


def sides(jaws: Jaws, turned: bool) -> tuple[float, float, float, float]:
    """The jaws X1, X2, Y1 and Y2, cm, each still positive on its own side."""
    if turned:
        return jaws.right, jaws.left, jaws.top, jaws.bottom
    return jaws.left, jaws.right, jaws.bottom, jaws.top


def cross(point: ControlPoint, leaves: Optional[Leaves]) -> bool:
    """Whether a jaw or a leaf lies beyond the one on the other side, which none can."""
    assert point.jaws is not None
    pairs = [(point.jaws.left, point.jaws.right), (point.jaws.bottom, point.jaws.top)]
    if leaves is not None:
        pairs += zip(point.leaves[0::2], point.leaves[1::2])
    return any(one + other < -_TOGETHER for one, other in pairs)


def devices(leaves: Optional[Leaves], machine: Optional[Machine]) -> list[Any]:
    """The items of BeamLimitingDeviceSequence.

    Parameters
    ----------
    leaves
        The beam's leaves, None where it uses none.
    machine
        The beam's, for the distances of its devices from the source.
    """
    from pydicom.dataset import Dataset

    kinds = [
        ("ASYMX", 1, machine.left_right_jaw_distance if machine is not None else None),
        ("ASYMY", 1, machine.top_bottom_jaw_distance if machine is not None else None),
    ]
    if leaves is not None:
        kinds.append((leaves.device, len(leaves.order), machine.leaf_distance if machine is not None else None))
    items = []
    for kind, count, distance in kinds:
        item = Dataset()
        item.RTBeamLimitingDeviceType = kind
        if distance is not None and distance > 0:
            item.SourceToBeamLimitingDeviceDistance = millimetres(distance)
        item.NumberOfLeafJawPairs = count
        if kind.startswith("MLC") and leaves is not None:
            item.LeafPositionBoundaries = [decimal(value) for value in leaves.boundaries]
        items.append(item)
    return items


def millimetres(centimetres: float) -> str:
    """A length for an element of VR DS; Unsure where a treatment has none such."""
    if not abs(centimetres) < _LONGEST:
        raise Unsure("one of its lengths is none that a treatment has")
    return decimal(round(centimetres * 10, 6))


def _item(kind: str, values: Sequence[float]) -> Any:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RTBeamLimitingDeviceType = kind
    # as text: pydicom takes a second for the fifty thousand positions of a plan with arcs when they are numbers
    text = "\\".join([f"{round(value * 10, 4) + 0.0:.10g}" for value in values])
    item[_LEAF_JAW_POSITIONS] = DataElement(_LEAF_JAW_POSITIONS, "DS", text, already_converted=True)
    return item


def _rows(points: Sequence[ControlPoint], count: int) -> Optional[list[float]]:
    """Where the rows lie by their labels, which are the same at all control points that have them."""
    found = {point.leaf_rows for point in points if point.leaf_rows}
    if not found:
        return None
    if len(found) > 1:
        raise Unsure("the rows of its leaves are not labelled in the same way at all its control points")
    rows = [row for row in found.pop() if row is not None and abs(row) < _FARTHEST]
    if len(rows) != count or len(set(rows)) != count:
        raise Unsure("not every row of its leaves has a label of its own")
    return rows


def _as_described(
    machine: Machine, rows: Optional[Sequence[float]], count: int
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The order of the rows and the boundaries of the machine's leaves."""
    if len(machine.leaves) != count:
        raise Unsure(f"it has {count} leaf pairs, its machine {len(machine.leaves)}")
    centres = rows if rows is not None else [leaf.centre for leaf in machine.leaves]
    order = sorted(range(count), key=centres.__getitem__)
    leaves = sorted(machine.leaves, key=lambda leaf: leaf.centre)
    if any(abs(centres[row] - leaf.centre) > _TOGETHER for row, leaf in zip(order, leaves)):
        raise Unsure("the labels of its leaves are not those of its machine's leaves")
    return tuple(order), _boundaries([leaf.centre for leaf in leaves], [leaf.width for leaf in leaves])


def _as_labelled(rows: Sequence[float]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The same from labels alone: only where the two outermost leaves of either side are as wide as each other."""
    if len(rows) < 2:
        raise Unsure("a single row of leaves does not say how wide it is")
    order = sorted(range(len(rows)), key=rows.__getitem__)
    centres = [rows[row] for row in order]
    widths = [_likely(centres[1] - centres[0])]
    for below, above in zip(centres, centres[1:]):
        widths.append(_likely(2 * (above - below) - widths[-1]))
    if min(widths) <= 0 or widths[-1] != widths[-2]:
        raise Unsure("the labels of its leaves do not say how wide they are")
    return tuple(order), _boundaries(centres, widths)


def _likely(width: float) -> float:
    """A width without what the rounding of labels added: leaves are made in steps of half a millimetre."""
    return round(width * 20) / 20


def _boundaries(centres: Sequence[float], widths: Sequence[float]) -> tuple[float, ...]:
    """LeafPositionBoundaries, mm, where each leaf begins where the one before it ends."""
    low = [centre - width / 2 for centre, width in zip(centres, widths)]
    high = [centre + width / 2 for centre, width in zip(centres, widths)]
    if any(abs(end - begin) > _TOGETHER for end, begin in zip(high, low[1:])):
        raise Unsure("its leaves do not lie one beside the other")
    inner = [(end + begin) / 2 for end, begin in zip(high, low[1:])]
    return tuple(round(value * 10, 2) + 0.0 for value in (low[0], *inner, high[-1]))
