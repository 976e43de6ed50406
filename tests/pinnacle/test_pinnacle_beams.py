"""The beams of an RTPLAN: every control point with its own shape, angle and weight, and nothing made up."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from pinnacle_fields import (
    JAWS,
    LEAVES,
    MACHINE,
    POINT,
    arc,
    trial,
    wedged,
    work,
)
from pinnacle_plans import cumulative, expected_leaves, leaves, made, one, refused, sure
from pinnacle_work import series

from qa_fetch.pinnacle.records import Beam

COUCH = (
    "the archive does not say how its couch angle is counted, so it is taken to increase clockwise seen from above, "
    "against IEC 61217; compare it with the planning system"
)


ANGLES_UNTOLD = (
    "the archive does not say how its machine counts angles, so they are taken as on the one that was measured; "
    "compare a beam with the planning system"
)


NO_AXIS = "the archive does not say how far its machine's source is from its axis, so SourceAxisDistance is left out"


ANGLES = (179.0, 150.0, 120.0, 90.0)


def test_a_static_beam_has_two_control_points(tmp_path: Path) -> None:
    """Its shape, its angles, its isocentre and its energy stand in the first."""
    item, said = one(tmp_path, sure())
    first, last = item.ControlPointSequence
    assert (item.BeamNumber, item.BeamName, item.BeamDescription) == (1, "Field 0", "00")
    assert (item.BeamType, item.RadiationType, item.TreatmentMachineName) == ("STATIC", "PHOTON", "Linac")
    assert float(item.SourceAxisDistance) == 1000
    assert (cumulative(item), float(item.FinalCumulativeMetersetWeight)) == ([0, 1], 1)
    assert (first.NominalBeamEnergy, first.DoseRateSet) == (6, 600)
    assert (first.GantryAngle, first.GantryRotationDirection) == (79, "NONE")
    assert (first.BeamLimitingDeviceAngle, first.PatientSupportAngle) == (10, 5)
    assert list(first.IsocenterPosition) == [-2.5, -1, -3]
    assert float(first.SourceToSurfaceDistance) == 928
    assert leaves(first) == leaves(last) == pytest.approx(expected_leaves())
    assert (item.NumberOfWedges, item.NumberOfBlocks, item.NumberOfBoli, item.NumberOfCompensators) == (0, 0, 0, 0)
    assert said == []


@pytest.mark.parametrize(
    ("position", "place"),
    [("HFS", [-1.5, -1, -3]), ("HFP", [3.5, 1, -3]), ("FFS", [3.5, -1, 3]), ("FFP", [-1.5, 1, 3])],
)
def test_the_isocentre_lies_where_it_does_in_every_position(tmp_path: Path, position: str, place: list[float]) -> None:
    """With the shift into the images of old versions."""
    given = trial(sure())
    data = made(work(tmp_path, given), given, replace(series(position), shift=(1.0, 0.0, 0.0)))
    assert list(data.BeamSequence[0].ControlPointSequence[0].IsocenterPosition) == pytest.approx(place)


def test_an_isocentre_that_is_not_in_the_archive_is_no_other_point(tmp_path: Path) -> None:
    """Neither the only point, nor one that is called so."""
    item, said = one(tmp_path, sure(isocentre="Field centre"))
    assert item.ControlPointSequence[0].IsocenterPosition is None
    assert said == ["the point of its isocentre is not in the archive, so IsocenterPosition stays empty"]


def test_step_and_shoot_has_two_control_points_of_the_same_shape_for_a_segment(tmp_path: Path) -> None:
    """Weights add up from segment to segment, and begin anew with each beam."""
    shapes = arc((79, 79, 79), (0.2, 0.5, 0.3))
    beams = [sure(index, *shapes, beam_type="Step & Shoot MLC") for index in range(2)]
    given = trial(*beams)
    for item in made(work(tmp_path, given), given).BeamSequence:
        assert cumulative(item) == pytest.approx([0, 0.2, 0.2, 0.7, 0.7, 1])
        assert item.BeamType == "DYNAMIC"
        found = [leaves(point) for point in item.ControlPointSequence]
        for place, shape in enumerate(found):
            assert shape == pytest.approx(expected_leaves(place // 2 / 10))


@pytest.mark.parametrize(
    ("weights", "sums", "doubt"),
    [
        ((0.0, 0.2, 0.3, 0.5), [0, 0.2, 0.5, 1], False),  # of the way to each
        ((0.2, 0.3, 0.5, 0.0), [0, 0.2, 0.5, 1], False),  # of the way from each
        ((0.1, 0.4, 0.3, 0.2), [0, 0.25 / 0.85, 0.6 / 0.85, 1], True),  # of neither
        ((0.0, 0.5, 0.5, 0.0), [0, 0.25, 0.75, 1], True),
    ],
)
def test_an_arc_keeps_each_control_point_s_own_leaves_angle_and_weight(
    tmp_path: Path, weights: Sequence[float], sums: list[float], doubt: bool
) -> None:
    """None is lost, and none has another's."""
    item, said = one(tmp_path, sure(0, *arc(ANGLES, weights), beam_type="Dynamic Arc", gantry_clockwise=False))
    points = item.ControlPointSequence
    assert [float(point.GantryAngle) for point in points] == list(ANGLES)
    assert [point.GantryRotationDirection for point in points] == ["CC", "CC", "CC", "NONE"]
    assert cumulative(item) == pytest.approx(sums)
    assert str(points[-1].CumulativeMetersetWeight) in ("1", "1.0")
    assert [point.ControlPointIndex for point in points] == [0, 1, 2, 3]
    for number, point in enumerate(points):
        assert leaves(point) == pytest.approx(expected_leaves(number / 10))
    assert item.BeamType == "DYNAMIC"
    halves = (
        "its weights do not say whether they belong to the way to a control point or from it, so half of each is "
        "given to either; compare them with the planning system"
    )
    assert said == ([halves] if doubt else [])


@pytest.mark.parametrize(
    ("angles", "clockwise", "way", "doubt"),
    [
        ((350.0, 20.0, 50.0), True, "CW", False),
        ((350.0, 20.0, 50.0), None, "CW", False),
        ((20.0, 350.0, 320.0), False, "CC", False),
        ((20.0, 350.0, 320.0), True, "CC", True),
        ((10.0, 350.0), False, "CC", False),
        ((181.0, 0.0, 179.0), True, "CW", False),
        ((179.0, 0.0, 181.0), False, "CC", False),
    ],
)
def test_which_way_the_gantry_turns(
    tmp_path: Path, angles: Sequence[float], clockwise: Optional[bool], way: str, doubt: bool
) -> None:
    """By its control points where they are close, else as the beam says."""
    weights = [0.0, *([1 / (len(angles) - 1)] * (len(angles) - 1))]
    item, said = one(tmp_path, sure(0, *arc(angles, weights), beam_type="Dynamic Arc", gantry_clockwise=clockwise))
    assert item.ControlPointSequence[0].GantryRotationDirection == way
    other = (
        "its control points go the other way round than GantryIsCCW says, so the way of the control points is "
        "written; compare it with the planning system"
    )
    assert said == ([other] if doubt else [])


@pytest.mark.parametrize(("angles", "clockwise", "way"), [((181.0, 179.0), True, "CW"), ((179.0, 181.0), False, "CC")])
def test_an_arc_of_two_control_points_can_go_the_long_way(
    tmp_path: Path, angles: Sequence[float], clockwise: bool, way: str
) -> None:
    """Nearly a full turn is not one of two degrees the other way."""
    beam = sure(0, *arc(angles, (0.0, 1.0)), beam_type="Dynamic Arc", gantry_clockwise=clockwise)
    item, said = one(tmp_path, beam)
    assert item.ControlPointSequence[0].GantryRotationDirection == way
    assert said == [
        "its two angles are 2 degrees apart, but GantryIsCCW says that its gantry turns the other way, by 358, which "
        "is written; compare it with the planning system"
    ]


def test_a_full_turn_in_many_control_points(tmp_path: Path) -> None:
    """It begins and ends at the same angle, and every step says which way it goes."""
    angles = [(180.0 + 10 * number) % 360.0 for number in range(37)]
    beam = sure(0, *arc(angles, [0.0, *([1 / 36] * 36)]), beam_type="Dynamic Arc", gantry_clockwise=True)
    item, said = one(tmp_path, beam)
    assert [float(point.GantryAngle) for point in item.ControlPointSequence] == angles
    assert {point.GantryRotationDirection for point in item.ControlPointSequence[:-1]} == {"CW"}
    sums = cumulative(item)
    assert (sums[0], sums[-1], sums) == (0, 1, sorted(sums))
    assert said == []


def test_weights_that_do_not_add_up_to_one_are_parts_of_their_sum(tmp_path: Path) -> None:
    """It is reported."""
    shapes = arc((79, 79), (3.0, 1.0))
    item, said = one(tmp_path, sure(0, *shapes, beam_type="Step & Shoot MLC"))
    assert cumulative(item) == pytest.approx([0, 0.75, 0.75, 1])
    assert said == ["the weights of its control points add up to 4 and not to 1; they are written as parts of that"]


@pytest.mark.parametrize(
    ("beam", "reason"),
    [
        (sure(whole=False), "it is not whole in plan.Trial"),
        (replace(sure(), control_points=()), "it has no control points"),
        (sure(0, replace(POINT, gantry=None)), "the gantry angle of its control point 0 is missing"),
        (sure(0, replace(POINT, gantry=math.inf)), "the gantry angle of its control point 0 is missing"),
        (sure(0, replace(POINT, couch=None)), "the couch angle of its control point 0 is missing"),
        (sure(0, replace(POINT, jaws=None)), "the position of its jaws of its control point 0 is missing"),
        (
            sure(0, POINT, replace(POINT, collimator=None)),
            "the collimator angle of its control point 1 is missing",
        ),
        (
            sure(0, replace(POINT, jaws=replace(JAWS, top=1e9))),
            "the jaws or leaves of its control point 0 are where none can be",
        ),
        (
            sure(0, replace(POINT, leaves=array("d", [math.nan, *LEAVES[1:]]))),
            "the jaws or leaves of its control point 0 are where none can be",
        ),
        (
            sure(0, POINT, replace(POINT, couch=0.0)),
            "its couch or its collimator turns between control points, which is not converted",
        ),
        (
            sure(0, beam_type="Dynamic Arc"),
            "it moves (SetBeamType says so), but has one control point",
        ),
        (
            sure(0, *arc((79, 79), (0.5, 0.5)), beam_type="Novel"),
            "its sort (SetBeamType) is not known, so what lies between its control points is not either",
        ),
        (
            sure(0, *arc((79, 79), (0.5, None)), beam_type="Step & Shoot MLC"),
            "the weights of its control points are missing or below zero",
        ),
        (
            sure(0, *arc((79, 89), (0.0, -0.5)), beam_type="Dynamic Arc", gantry_clockwise=True),
            "the weights of its control points are missing or below zero",
        ),
        (
            sure(0, *arc((79, 89), (0.0, 0.0)), beam_type="Dynamic Arc", gantry_clockwise=True),
            "the weights of its control points are missing or below zero",
        ),
        (
            sure(0, *arc((79, 89, 79), (0.0, 0.5, 0.5)), beam_type="Dynamic Arc"),
            "its gantry turns back on its way, which is not converted",
        ),
        (
            sure(0, *arc((181, 0, 179), (0.0, 0.5, 0.5)), beam_type="Dynamic Arc"),
            "nothing says which way its gantry turns",
        ),
        (
            sure(0, *arc((10, 350), (0.0, 1.0)), beam_type="Dynamic Arc"),
            "nothing says which way its gantry turns",
        ),
        (
            sure(0, *arc((0, 100, 90), (0.0, 0.5, 0.5)), beam_type="Dynamic Arc", gantry_clockwise=True),
            "its control points contradict the way that GantryIsCCW says its gantry turns",
        ),
        (
            sure(0, *arc((180, 180), (0.0, 1.0)), beam_type="Conformal Arc", gantry_clockwise=True),
            "it is an arc, but its control points do not say how far its gantry turns",
        ),
        (
            sure(0, *arc((0, 360), (0.0, 1.0)), beam_type="Dynamic Arc", gantry_clockwise=True),
            "it is an arc, but its control points do not say how far its gantry turns",
        ),
        (sure(source_surface_distance=1e9), "one of its lengths is none that a treatment has"),
        (
            sure(0, replace(POINT, leaf_rows=(1e308, *POINT.leaf_rows[1:]))),
            "not every row of its leaves has a label of its own",
        ),
        (
            sure(0, *arc((79, 79 + 1e-12), (0.5, 0.5)), beam_type="Novel"),
            "its sort (SetBeamType) is not known, so what lies between its control points is not either",
        ),
        (
            sure(0, wedged(), wedged("EDW"), beam_type="Step & Shoot MLC"),
            "it uses several wedges, or one in several ways",
        ),
    ],
)
def test_a_beam_that_cannot_be_written_as_it_is_leaves_the_plan_out(tmp_path: Path, beam: Beam, reason: str) -> None:
    """A plan with a beam missing, or with a guess in it, would look like a plan."""
    assert refused(tmp_path, beam) == reason


@pytest.mark.parametrize(
    ("name", "energy", "unflattened"),
    [("6X", 6, False), ("10X FFF", 10, True), ("6FFF", 6, True), ("12MeV", 12, False), ("Co60", None, False)],
)
def test_the_energy_of_a_beam(tmp_path: Path, name: str, energy: Optional[int], unflattened: bool) -> None:
    """A beam without a flattening filter is not passed as one with it, and what is not known is reported."""
    item, said = one(tmp_path, sure(energy=name))
    assert item.ControlPointSequence[0].get("NominalBeamEnergy") == energy
    fluence = [(each.FluenceMode, each.FluenceModeID) for each in item.get("PrimaryFluenceModeSequence", ())]
    assert fluence == ([("NON_STANDARD", "FFF")] if unflattened else [])
    reason = "neither its machine nor the name of its energy says how high that is, so NominalBeamEnergy is left out"
    assert said == ([] if energy else [reason])


@pytest.mark.parametrize("value", [0.0, -6.0, math.inf, 1e300])
def test_an_energy_that_no_machine_has_is_not_written(tmp_path: Path, value: float) -> None:
    """The number in its name is."""
    machine = replace(MACHINE, energies=(replace(MACHINE.energies[0], value=value),))
    item, _ = one(tmp_path, sure(), machines=(machine,))
    assert item.ControlPointSequence[0].NominalBeamEnergy == 6


def test_a_dose_rate_that_changes_is_not_written_as_one(tmp_path: Path) -> None:
    """Without one at each control point, DICOM would take the first for all."""
    points = arc((10, 20, 30), (0.0, 0.5, 0.5))
    rates = [replace(point, dose_rate=rate) for point, rate in zip(points, (100.0, 400.0, 600.0))]
    item, said = one(tmp_path, sure(0, *rates, beam_type="Dynamic Arc"))
    assert "DoseRateSet" not in item.ControlPointSequence[0]
    assert said == ["its dose rate is not the same at all its control points, so DoseRateSet is left out"]
    same = [replace(point, dose_rate=400.0) for point in points]
    item, said = one(tmp_path, sure(0, *same, beam_type="Dynamic Arc"))
    assert (item.ControlPointSequence[0].DoseRateSet, said) == (400, [])


def test_electrons_with_their_applicator(tmp_path: Path) -> None:
    """Its shape is in its name, or it is left out and reported."""
    electrons: dict[str, Any] = {"modality": "Electrons", "energy": "9E", "use_mlc": False}
    item, said = one(tmp_path, sure(applicator="10x10", **electrons))
    (applicator,) = item.ApplicatorSequence
    assert (item.RadiationType, applicator.ApplicatorID, applicator.ApplicatorType) == (
        "ELECTRON",
        "10x10",
        "ELECTRON_SQUARE",
    )
    assert item.ControlPointSequence[0].NominalBeamEnergy == 9
    assert said == []
    item, _ = one(tmp_path, sure(applicator="06x10", **electrons))
    assert item.ApplicatorSequence[0].ApplicatorType == "ELECTRON_RECT"
    item, said = one(tmp_path, sure(applicator="Cone A", **electrons))
    assert "ApplicatorSequence" not in item
    assert said == [
        "its applicator's name does not say its shape, without which DICOM cannot name it, so it is left out"
    ]


def test_what_an_rtplan_cannot_hold_is_reported(tmp_path: Path) -> None:
    """A bolus, and a sort of radiation that nobody named."""
    item, said = one(tmp_path, sure(bolus="B1", modality=None))
    assert (item.NumberOfBoli, item.RadiationType) == (0, "")
    assert said == [
        "it has a bolus, which an RTPLAN can only name by a structure, so it is left out",
        "the archive does not say its sort of radiation, which stays empty",
    ]


def test_a_machine_that_is_not_in_the_archive(tmp_path: Path) -> None:
    """Its name is kept, what only it would say is left out and reported."""
    item, said = one(tmp_path, sure(), machines=())
    labels = "its machine's leaves are not described, so their boundaries are worked out from the labels of its rows"
    assert said == [ANGLES_UNTOLD, COUCH, labels, NO_AXIS]
    assert (item.TreatmentMachineName, item.get("SourceAxisDistance")) == ("Linac", None)
    assert item.ControlPointSequence[0].NominalBeamEnergy == 6
    boundaries = [float(value) for value in item.BeamLimitingDeviceSequence[2].LeafPositionBoundaries]
    assert boundaries == [-30, -20, -10, -5, 0, 5, 10, 20, 30]
    nameless, _ = one(tmp_path, sure(machine=None), machines=())
    assert nameless.TreatmentMachineName == ""


def test_beams_of_several_machines_each_have_their_own(tmp_path: Path) -> None:
    """Neither the first machine's distances nor its leaves."""
    other = replace(MACHINE, name="Other", source_axis_distance=80.0)
    given = trial(sure(), sure(1, machine="Other"))
    data = made(work(tmp_path, given, machines=(MACHINE, other)), given)
    assert [float(item.SourceAxisDistance) for item in data.BeamSequence] == [1000, 800]
