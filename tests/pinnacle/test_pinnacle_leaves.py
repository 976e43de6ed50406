"""Jaws, leaves and angles of a machine in IEC 61217, and what is refused since it would be a guess."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any, Optional

import pytest
from pinnacle_fields import JAWS, LEAVES, MACHINE, POINT, ROWS, field

from qa_fetch.pinnacle.leaves import Leaves, cross, devices, of_beam, positions
from qa_fetch.pinnacle.records import Leaf, Machine, Scale
from qa_fetch.pinnacle.scales import Head, Unsure, head

WIDTHS = ((10, 1.0), (40, 0.5), (10, 1.0))  # the most common machine's


def rows_of(widths: Any) -> tuple[float, ...]:
    """The labels of a machine's rows, highest first, as they are rounded."""
    every = [width for count, width in widths for _ in range(count)]
    edge, found = sum(every) / 2, []
    for width in every:
        found.append(float(f"{edge - width / 2:.2f}"))
        edge -= width
    return tuple(found)


def edges_of(widths: Any) -> list[float]:
    """Where its leaves end, mm, ascending."""
    every = [width for count, width in widths for _ in range(count)]
    found = [-sum(every) * 5]
    for width in every:
        found.append(found[-1] + width * 10)
    return found


def leaves_of(machine: Optional[Machine], *points: Any, **changes: Any) -> tuple[Optional[Leaves], list[str]]:
    """A beam's leaves, and what is said about them."""
    said: list[str] = []
    return of_beam(field(0, *(points or (POINT,)), **changes), machine, said.append), said


def values(item: Any) -> list[float]:
    """The positions of an item, mm."""
    return [float(value) for value in item["LeafJawPositions"].value.split("\\")]


def test_jaws_and_leaves_of_the_head_that_was_measured() -> None:
    """X1 = -left, X2 = right, Y1 = -bottom, Y2 = top; leaf pairs by ascending y."""
    leaves, said = leaves_of(MACHINE)
    assert leaves == Leaves("MLCX", (7, 6, 5, 4, 3, 2, 1, 0), (-30, -20, -10, -5, 0, 5, 10, 20, 30))
    x, y, mlc = positions(POINT, leaves, turned=False)
    assert (x.RTBeamLimitingDeviceType, values(x)) == ("ASYMX", [-40, 50])
    assert (y.RTBeamLimitingDeviceType, values(y)) == ("ASYMY", [-70, 60])
    assert mlc.RTBeamLimitingDeviceType == "MLCX"
    assert values(mlc) == [0, 0, -14, -13, -12, -11, 0, 0, 0, 0, 24, -3, 22, 21, 0, 0]
    assert said == []


def test_jaws_and_leaves_of_a_head_that_is_the_other_way_up() -> None:
    """Left is X2 and top is Y1; rows still lie at the y of their labels."""
    leaves, _ = leaves_of(MACHINE)
    x, y, mlc = positions(POINT, leaves, turned=True)
    assert (values(x), values(y)) == ([-50, 40], [-60, 70])
    assert values(mlc) == [0, 0, -24, 3, -22, -21, 0, 0, 0, 0, 14, 13, 12, 11, 0, 0]


def test_rows_counted_upwards_are_put_where_they_lie() -> None:
    """The order of rows is the labels', not the file's."""
    leaves, _ = leaves_of(MACHINE, replace(POINT, leaf_rows=tuple(sorted(ROWS))))
    assert leaves is not None
    assert leaves.order == (0, 1, 2, 3, 4, 5, 6, 7)


def test_rows_without_labels_follow_the_machine() -> None:
    """Its leaf pairs are in the same order as the rows."""
    turned = replace(MACHINE, leaves=MACHINE.leaves[::-1])
    leaves, _ = leaves_of(turned, replace(POINT, leaf_rows=()))
    assert leaves is not None
    assert leaves.order == (7, 6, 5, 4, 3, 2, 1, 0)


def test_leaves_that_move_along_y() -> None:
    """MLCY, and somebody should compare its banks."""
    leaves, said = leaves_of(replace(MACHINE, leaves_along_left_right=False))
    assert leaves is not None
    assert leaves.device == "MLCY"
    assert said == [
        "its leaves move along y, where its first bank is taken for Y1; compare them with the planning system"
    ]


@pytest.mark.parametrize(
    "widths",
    [WIDTHS, ((80, 0.5),), ((6, 1.2), (28, 0.8), (6, 1.2)), ((14, 0.5), (32, 0.25), (14, 0.5)), ((40, 1.0),)],
)
def test_boundaries_worked_out_from_labels(widths: Any) -> None:
    """Labels are rounded to hundredths of a cm, which must not add up from leaf to leaf."""
    rows = rows_of(widths)
    given = replace(POINT, leaf_rows=rows, leaves=array("d", [0.0] * 2 * len(rows)))
    leaves, said = leaves_of(None, given)
    assert leaves is not None
    assert leaves.boundaries == pytest.approx(edges_of(widths), abs=0.1)
    assert said == [
        "its machine's leaves are not described, so their boundaries are worked out from the labels of its rows"
    ]


def test_a_beam_that_uses_no_leaves() -> None:
    """UseMLC says so, or there are none."""
    assert leaves_of(MACHINE, use_mlc=False) == (None, [])
    assert leaves_of(MACHINE, replace(POINT, leaves=array("d")), use_mlc=None) == (None, [])
    bare = replace(MACHINE, leaves=())
    assert leaves_of(bare, replace(POINT, leaves=array("d", [0, 0]), leaf_rows=(0.0,))) == (None, [])


@pytest.mark.parametrize(
    ("machine", "changes", "reason"),
    [
        (MACHINE, {"leaves": array("d")}, "it uses a multi-leaf collimator, whose leaves are missing or not whole"),
        (MACHINE, {"leaves": LEAVES[:-1]}, "it uses a multi-leaf collimator, whose leaves are missing or not whole"),
        (MACHINE, {"leaves": LEAVES[:-2], "leaf_rows": ROWS[:-1]}, "it has 7 leaf pairs, its machine 8"),
        (None, {"leaf_rows": ()}, "neither its machine nor its labels say where its leaves lie"),
        (None, {"leaf_rows": (*ROWS[:7], None)}, "not every row of its leaves has a label of its own"),
        (None, {"leaf_rows": (*ROWS[:7], ROWS[0])}, "not every row of its leaves has a label of its own"),
        (MACHINE, {"leaf_rows": (3.5, *ROWS[1:])}, "the labels of its leaves are not those of its machine's leaves"),
        (None, {"leaf_rows": (9.0, *ROWS[1:])}, "the labels of its leaves do not say how wide they are"),
        (
            replace(MACHINE, leaves=tuple(Leaf(each.centre, 0.3) for each in MACHINE.leaves)),
            {},
            "its leaves do not lie one beside the other",
        ),
        (
            None,
            {"leaf_rows": (0.5,), "leaves": array("d", [0, 0])},
            "a single row of leaves does not say how wide it is",
        ),
    ],
)
def test_leaves_that_cannot_be_told_are_refused(
    machine: Optional[Machine], changes: dict[str, Any], reason: str
) -> None:
    """A leaf in another's place is not seen in the converted plan."""
    with pytest.raises(Unsure) as caught:
        leaves_of(machine, replace(POINT, **changes))
    assert str(caught.value) == reason


def test_control_points_that_label_their_rows_otherwise_are_refused() -> None:
    """A beam has one multi-leaf collimator."""
    with pytest.raises(Unsure) as caught:
        leaves_of(MACHINE, POINT, replace(POINT, leaf_rows=tuple(sorted(ROWS))))
    assert str(caught.value) == "the rows of its leaves are not labelled in the same way at all its control points"


def test_the_distances_of_jaws_and_leaves_from_the_source() -> None:
    """They are the machine's, and left out without it."""
    leaves, _ = leaves_of(MACHINE)
    found = [float(item.SourceToBeamLimitingDeviceDistance) for item in devices(leaves, MACHINE)]
    assert found == [444, 358, 538.3]
    assert not any("SourceToBeamLimitingDeviceDistance" in item for item in devices(leaves, None))
    assert [item.NumberOfLeafJawPairs for item in devices(leaves, None)] == [1, 1, 8]
    assert "MLCX" not in [item.RTBeamLimitingDeviceType for item in devices(None, MACHINE)]


def test_the_angles_of_the_machine_that_was_measured() -> None:
    """The couch counts against IEC 61217: 355 is 5."""
    way = head(MACHINE, ROWS)
    assert way.turned is False
    assert [way.gantry(79), way.gantry(359.9), way.collimator(10)] == [79, 359.9, 10]
    assert [way.couch(355), way.couch(0)] == [5, 0]
    assert way.doubts(field()) == []


def test_the_angles_of_a_machine_by_varian_s_own_scale() -> None:
    """All three are 180 minus IEC's."""
    scales = {
        "gantry_scale": Scale(180.0, True),
        "collimator_scale": Scale(0.0, False),
        "couch_scale": Scale(180.0, True),
    }
    way = head(replace(MACHINE, **scales), ROWS)
    assert [way.gantry(180), way.gantry(90), way.gantry(101)] == [0, 90, 79]
    assert [way.collimator(180), way.collimator(170)] == [0, 10]
    assert [way.couch(180), way.couch(175)] == [0, 5]
    assert way.doubts(field()) == [
        "its machine counts angles or names its sides in another way than the one that was measured, so they are "
        "converted to IEC 61217 as the machine describes them; compare a beam with the planning system"
    ]


def test_a_machine_whose_leaf_coordinates_are_not_negated_is_the_other_way_up() -> None:
    """Its collimator has 0 at twelve o'clock, so its angle stays."""
    machine = replace(MACHINE, leaves_negated=False, collimator_scale=Scale(0.0, True))
    way = head(machine, ROWS)
    assert (way.turned, way.collimator(10)) == (True, 10)
    assert len(way.doubts(field())) == 1
    assert head(replace(machine, collimator_scale=None), ROWS) == replace(way, collimator_scale=None)
    assert head(replace(machine, leaves_negated=None), ROWS).turned is True


@pytest.mark.parametrize(("negated", "twelve"), [(True, 0.0), (False, 180.0)])
def test_a_machine_that_contradicts_itself_is_refused(negated: bool, twelve: float) -> None:
    """A field upside down is not seen in the converted plan."""
    with pytest.raises(Unsure) as caught:
        head(replace(MACHINE, leaves_negated=negated, collimator_scale=Scale(twelve, True)), ROWS)
    assert str(caught.value) == (
        "its machine's collimator scale and its NegateLeafCoordinates contradict each other, so which way up "
        "its head is cannot be known"
    )


def test_a_machine_that_the_archive_does_not_describe() -> None:
    """It is taken for one like the measured, and that is reported; the couch's sign where it matters."""
    way = head(None, ROWS)
    assert way == Head(False)
    assert [way.gantry(79), way.collimator(10), way.couch(355)] == [79, 10, 5]
    untold = (
        "the archive does not say how its machine counts angles, so they are taken as on the one that was measured; "
        "compare a beam with the planning system"
    )
    assert way.doubts(field()) == [
        untold,
        "the archive does not say how its couch angle is counted, so it is taken to increase clockwise seen from "
        "above, against IEC 61217; compare it with the planning system",
    ]
    straight = field(0, replace(POINT, couch=0.0))
    assert way.doubts(straight) == [untold]
    assert head(None, ()).doubts(straight) == [
        "the archive does not say how its machine counts angles and names its sides, so they are taken as on the one "
        "that was measured; compare a beam with the planning system"
    ]


STUB = replace(
    MACHINE, leaves=(), leaves_negated=None, gantry_scale=None, collimator_scale=None, couch_scale=None
)  # a version of a machine of which an archive keeps the energies alone


@pytest.mark.parametrize("machine", [None, STUB])
def test_a_head_that_nothing_describes_is_not_guessed_at_where_its_rows_are_counted_upwards(
    machine: Optional[Machine],
) -> None:
    """A machine that is described without its scales says no more than none."""
    assert head(machine, ROWS).turned is False
    assert head(machine, ROWS).doubts(field()) == head(None, ROWS).doubts(field())
    with pytest.raises(Unsure) as caught:
        head(machine, tuple(sorted(ROWS)))
    assert str(caught.value) == (
        "the archive does not describe its machine, whose leaves are counted upwards, so which way up its head is "
        "cannot be known"
    )


@pytest.mark.parametrize(
    ("point", "crosses"),
    [
        (POINT, False),
        (replace(POINT, jaws=replace(JAWS, left=-4.99)), False),  # a slit beside the axis
        (replace(POINT, jaws=replace(JAWS, left=-5.1)), True),
        (replace(POINT, jaws=replace(JAWS, bottom=-6.1)), True),
        (replace(POINT, leaves=array("d", [-1.0, 0.9, *LEAVES[2:]])), True),
        (replace(POINT, leaves=array("d", [-1.0, 0.99, *LEAVES[2:]])), False),  # rounding of closed leaves
    ],
)
def test_jaws_and_leaves_that_lie_beyond_those_on_the_other_side(point: Any, crosses: bool) -> None:
    """None can, so they are damaged or counted in another way."""
    leaves, _ = leaves_of(MACHINE)
    assert cross(point, leaves) is crosses


def test_positions_have_no_more_digits_than_an_element_holds() -> None:
    """Sixteen characters, and no minus before a zero."""
    jaws = replace(JAWS, left=-0.0, right=1 / 3, top=12.3456789, bottom=-1e-9)
    x, y = positions(replace(POINT, jaws=jaws), None, turned=False)
    assert x["LeafJawPositions"].value == "0\\3.3333"
    assert y["LeafJawPositions"].value == "0\\123.4568"
