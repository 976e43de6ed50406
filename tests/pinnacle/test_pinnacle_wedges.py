"""Wedges and blocks of an RTPLAN: where they lie, and never left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pinnacle_fields import (
    MACHINE,
    OUTLINE,
    POINT,
    wedged,
)
from pinnacle_plans import one, refused, sure

from qa_fetch.pinnacle.records import ControlPoint, Scale

NOT_MEASURED = (
    "its machine counts angles or names its sides in another way than the one that was measured, so they are "
    "converted to IEC 61217 as the machine describes them; compare a beam with the planning system"
)


ORIENTATIONS = {"BottomToTop": 0, "RightToLeft": 90, "TopToBottom": 180, "LeftToRight": 270}


@pytest.mark.parametrize(("sides", "angle"), ORIENTATIONS.items())
@pytest.mark.parametrize("turned", [False, True])
def test_a_wedge_s_thin_end_lies_where_it_does(tmp_path: Path, sides: str, angle: int, turned: bool) -> None:
    """At the second of the sides that its orientation names; on a head the other way up at the opposite one."""
    scale = Scale(0.0, True) if turned else MACHINE.collimator_scale
    machine = replace(MACHINE, leaves_negated=not turned, collimator_scale=scale)
    item, said = one(tmp_path, sure(0, wedged(orientation=f"Wedge{sides}")), machines=(machine,))
    (wedge,) = item.WedgeSequence
    assert (wedge.WedgeID, wedge.WedgeType, wedge.WedgeAngle) == ("30 Wedge", "STANDARD", 30)
    assert wedge.WedgeOrientation == (angle + (180 if turned else 0)) % 360
    positions = [point.WedgePositionSequence[0] for point in item.ControlPointSequence]
    assert [(each.ReferencedWedgeNumber, each.WedgePosition) for each in positions] == [(1, "IN"), (1, "IN")]
    assert item.NumberOfWedges == 1
    assert said == ([NOT_MEASURED] if turned else [])


@pytest.mark.parametrize(
    ("wedge", "beam_type", "sort", "angle"),
    [
        (wedged("EDW", "WedgeBottomToTop", "45"), "Static", "DYNAMIC", 45),
        (wedged("Universal", "WedgeBottomToTop"), "Static", "MOTORIZED", 60),
        (wedged("30 Wedge", "WedgeBottomToTop"), "Motorized Wedge", "MOTORIZED", 30),
    ],
)
def test_the_sorts_of_wedges(tmp_path: Path, wedge: ControlPoint, beam_type: str, sort: str, angle: int) -> None:
    """By the machine, or by how the beam is delivered."""
    item, said = one(tmp_path, sure(0, wedge, beam_type=beam_type))
    assert (item.WedgeSequence[0].WedgeType, item.WedgeSequence[0].WedgeAngle) == (sort, angle)
    assert said == []


def test_a_motorised_wedge_goes_out_between_segments(tmp_path: Path) -> None:
    """The shape stays, so the beam is static."""
    points = (replace(wedged("Universal"), weight=0.6), replace(POINT, weight=0.4))
    item, _ = one(tmp_path, sure(0, *points, beam_type="Motorized Wedge"))
    found = [point.WedgePositionSequence[0].WedgePosition for point in item.ControlPointSequence]
    assert found == ["IN", "IN", "OUT", "OUT"]
    assert (item.BeamType, item.NumberOfWedges) == ("STATIC", 1)


def test_what_is_not_known_of_a_wedge_stays_empty(tmp_path: Path) -> None:
    """The wedge itself is never dropped."""
    item, said = one(tmp_path, sure(0, wedged("Special", "Sideways")))
    (wedge,) = item.WedgeSequence
    assert (wedge.WedgeID, wedge.WedgeType, wedge.WedgeAngle, wedge.WedgeOrientation) == ("Special", "", None, None)
    assert said == ["the archive does not say its wedge's sort and angle and orientation, which stay empty"]


@pytest.mark.parametrize(("outside", "sort"), [("Block", "APERTURE"), ("Expose", "SHIELDING")])
def test_a_block_with_the_outline_that_somebody_drew(tmp_path: Path, outside: str, sort: str) -> None:
    """It is drawn with y towards the bottom jaw, and closed, which DICOM does by itself."""
    drawn = replace(POINT, block_contours=(OUTLINE,), block_outside=outside)
    item, said = one(tmp_path, sure(0, drawn, use_mlc=False, tray="Tray of a very long name"))
    (block,) = item.BlockSequence
    assert (block.BlockType, block.BlockNumber, block.BlockNumberOfPoints) == (sort, 1, 3)
    assert [float(value) for value in block.BlockData] == [-41, 32, -46, -13, 23, -31]
    assert (float(block.SourceToBlockTrayDistance), block.BlockTrayID) == (645, "Tray of a very l")
    assert item.NumberOfBlocks == 1
    assert said == ["the name of its wedge, tray or applicator is longer than 16 characters and has been cut"]
    with_leaves, _ = one(tmp_path, sure(0, drawn))
    assert with_leaves.NumberOfBlocks == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"block_outside": None},
            "nothing says whether its block shields what is inside of its contours or outside of them",
        ),
        ({"block_contours": (OUTLINE, OUTLINE)}, "it has an aperture of several contours"),
        ({"block_contours": (OUTLINE[:4],)}, "the contour of its block is not whole"),
    ],
)
def test_a_block_that_cannot_be_told_leaves_the_plan_out(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """An open field in its place would be another treatment."""
    drawn = replace(replace(POINT, block_contours=(OUTLINE,), block_outside="Block"), **changes)
    assert refused(tmp_path, sure(0, drawn, use_mlc=False)) == reason
