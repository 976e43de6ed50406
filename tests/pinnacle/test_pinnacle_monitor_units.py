"""Monitor units by formula and by grid: they check each other, and what is not sure is not used."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from pinnacle_fields import (
    FORMULA,
    GRID,
    INFO,
    ISOCENTRE,
    MACHINE,
    PRESCRIPTION,
    agreeing,
    dose_at,
    field,
    grid_dose,
    trial,
    wedged,
    work,
)

from qa_fetch.errors import ConfigError
from qa_fetch.pinnacle.making import Left, Work
from qa_fetch.pinnacle.monitor_units import MonitorUnits, of_trial, prescription_of, whole_dose
from qa_fetch.pinnacle.records import Beam, Point, Trial

BY_GRID = 110.0 / dose_at()
NUMBERS = f"by formula they are {FORMULA:.2f} MU, by grid {BY_GRID:.2f} MU"


def only(of: Work, of_one: Trial, choice: str = "agree") -> MonitorUnits:
    """The monitor units of a trial of one beam."""
    (found,) = of_trial(of, of_one, choice).values()
    return found


def test_formula_and_grid_agree_and_are_used(tmp_path: Path) -> None:
    """The formula's number is used, and nothing is noted."""
    given = trial(field(monitor_units=agreeing()))
    of = work(tmp_path, given)
    found = only(of, given)
    assert found.used == found.formula == pytest.approx(110 / dose_at())
    assert found.grid == pytest.approx(found.formula, rel=1e-6)
    assert found.sure
    assert of.notes.warnings == []


@pytest.mark.parametrize(("off", "agree"), [(0.0049, True), (0.0055, False), (-0.0049, True), (-0.0055, False)])
def test_half_a_percent_is_the_border(tmp_path: Path, off: float, agree: bool) -> None:
    """Rounding of what Pinnacle keeps is a tenth of that."""
    info = agreeing()
    assert info.normalized_dose is not None
    given = trial(field(monitor_units=replace(info, normalized_dose=info.normalized_dose / (1 + off))))
    assert (only(work(tmp_path, given), given).used is not None) is agree


def test_formula_and_grid_differ_so_neither_is_used(tmp_path: Path) -> None:
    """Both numbers are told, and how to choose."""
    given = trial()
    found = only(work(tmp_path, given), given)
    assert (found.used, found.sure) == (None, False)
    assert found.reason == f"{NUMBERS}; choose one of them with mu=formula or mu=grid (--mu formula, --mu grid)"


@pytest.mark.parametrize(("choice", "used"), [("formula", FORMULA), ("grid", BY_GRID)])
def test_the_way_that_was_chosen_is_used_and_reported(tmp_path: Path, choice: str, used: float) -> None:
    """A choice is the user's, and stays in the report."""
    given = trial()
    of = work(tmp_path, given)
    assert only(of, given, choice).used == pytest.approx(used, rel=1e-6)
    reason = f"{NUMBERS}; those by {choice} are used, as was chosen"
    assert of.notes.warnings == [Left("monitor units of plan 0, trial 0, beam 0", reason)]


def test_a_way_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """It is a mistake of whoever calls."""
    with pytest.raises(ConfigError) as caught:
        of_trial(work(tmp_path, trial()), trial(), "mean")
    assert str(caught.value) == "there is no way 'mean' to find monitor units. Name one of agree, formula, grid."


def test_electrons_differ_by_the_percent_of_the_prescription(tmp_path: Path) -> None:
    """It is said where the difference comes from."""
    given = trial(field(modality="Electrons", energy="9E"))
    found = only(work(tmp_path, given), given)
    assert found.used is None
    assert "(of electrons they differ by the prescription's percent)" in str(found.reason)


@pytest.mark.parametrize(("percent", "used"), [(90.0, False), (None, False), (100.0, True)])
@pytest.mark.parametrize("way", ["formula", "grid"])
def test_one_way_alone_does_not_hold_for_electrons(
    tmp_path: Path, way: str, percent: Optional[float], used: bool
) -> None:
    """Which of the two would differ is not known, so the user chooses; at 100 percent they do not."""
    beam = field(modality="Electrons", energy="9E", monitor_units=agreeing())
    given = trial(beam, prescriptions=(replace(PRESCRIPTION, dose=110.0 * (percent or 100) / 100, percent=percent),))
    of = work(tmp_path, given, **({"machines": ()} if way == "grid" else {"points": ()}))
    found = only(of, given)
    assert (found.used is not None) is used
    other, why = ("formula", "the archive does not describe its machine")
    if way == "formula":
        other, why = ("grid", "its prescription point is not in the archive")
    if not used:
        assert of.notes.warnings == []
        assert found.reason == (
            f"by {way} they are {110 / dose_at():.2f} MU, but of electrons the two ways differ by the prescription's "
            f"percent, and there are none by {other} ({why}); use them all the same with mu={way} (--mu {way})"
        )
    assert only(of, given, way).used == pytest.approx(110 / dose_at(), rel=1e-6)


@pytest.mark.parametrize(
    ("beam", "machines", "points", "dose", "why"),
    [
        (field(), (), (ISOCENTRE,), True, "the archive does not describe its machine"),
        (field(energy="18X"), (MACHINE,), (ISOCENTRE,), True, "its machine does not describe its energy"),
        (field(), (MACHINE, MACHINE), (ISOCENTRE,), True, None),
        (
            field(prescription_point="ref"),
            (MACHINE,),
            (ISOCENTRE,),
            True,
            "its prescription point is not in the archive",
        ),
        (field(), (MACHINE,), (), True, "its prescription point is not in the archive"),
        (field(dose=None), (MACHINE,), (ISOCENTRE,), True, "it has no dose grid"),
        (field(), (MACHINE,), (ISOCENTRE,), False, "its dose file is missing or not whole"),
        (
            field(),
            (MACHINE,),
            (replace(ISOCENTRE, position=(9.0, 0.0, 0.0)),),
            True,
            "its prescription point lies outside of the dose grid",
        ),
    ],
)
def test_one_way_alone_is_used_and_reported(
    tmp_path: Path, beam: Beam, machines: Any, points: tuple[Point, ...], dose: bool, why: Optional[str]
) -> None:
    """What one way gives is not checked by the other, and the report says so."""
    given = trial(replace(beam, monitor_units=agreeing()))
    of = work(tmp_path, given, machines=machines, points=points, doses=None if dose else [None])
    found = only(of, given)
    if why is None:
        assert found.sure
        return
    way, other = ("grid", "formula") if found.formula is None else ("formula", "grid")
    assert found.used == pytest.approx(110 / dose_at(), rel=1e-6)
    reason = f"{found.used:.2f} MU are by {way} alone and not checked: none by {other} ({why})"
    assert of.notes.warnings == [Left("monitor units of plan 0, trial 0, beam 0", reason)]


def test_the_other_way_than_the_only_one_was_chosen(tmp_path: Path) -> None:
    """What was not asked for is not used instead."""
    found = only(work(tmp_path, trial(), machines=()), trial(), "formula")
    assert found.used is None
    assert found.reason == "there are none by formula (the archive does not describe its machine), which was chosen"


def test_neither_way_gives_monitor_units(tmp_path: Path) -> None:
    """Both reasons are told."""
    given = trial(field(monitor_units=None))
    found = only(work(tmp_path, given), given)
    assert found == MonitorUnits(
        None,
        None,
        None,
        "there are none by formula (the beam has no MonitorUnitInfo), "
        "and none by grid (the beam has no MonitorUnitInfo)",
    )


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, None, 1e-300, 1e300])
@pytest.mark.parametrize("key", ["prescription_dose", "normalized_dose", "collimator_output_factor"])
def test_no_number_makes_negative_or_endless_monitor_units(tmp_path: Path, key: str, value: Optional[float]) -> None:
    """A damaged number leaves them out, never makes them what no beam has."""
    given = trial(field(monitor_units=replace(agreeing(), **{key: value})))
    found = only(work(tmp_path, given), given)
    assert found.formula is None
    assert found.used is None or (found.used == found.grid and 0 < found.used < 1e5)


def test_the_tray_divides_and_the_grid_confirms_it(tmp_path: Path) -> None:
    """TotalTransmissionFraction is the tray's."""
    info = agreeing(total_transmission_fraction=0.952)
    assert info.normalized_dose is not None
    given = trial(field(monitor_units=replace(info, normalized_dose=info.normalized_dose / 0.952)))
    found = only(work(tmp_path, given), given)
    assert (found.sure, found.used) == (True, pytest.approx(110 / dose_at()))


@pytest.mark.parametrize(
    ("factor", "by_formula"), [(0.952, 110 / dose_at() / 0.952), (None, None), (0.0, None), (math.nan, None)]
)
def test_a_tray_divides_where_only_its_beam_tells_its_factor(
    tmp_path: Path, factor: Optional[float], by_formula: Optional[float]
) -> None:
    """Without TotalTransmissionFraction a tray is not taken for none."""
    info = agreeing(total_transmission_fraction=None)
    given = trial(field(tray="T1", tray_factor=factor, monitor_units=info))
    assert only(work(tmp_path, given, points=()), given).formula == pytest.approx(by_formula)
    without = trial(field(tray_factor=factor, monitor_units=info))
    assert only(work(tmp_path, without, points=()), without).formula == pytest.approx(110 / dose_at())


def test_a_tray_that_the_formula_leaves_out_is_not_relied_on_alone(tmp_path: Path) -> None:
    """Where the grid agrees, it is the formula that is right."""
    given = trial(field(tray="T1", tray_factor=0.952, monitor_units=agreeing()))
    assert only(work(tmp_path, given), given).sure
    found = only(work(tmp_path, given, points=()), given)
    assert found.used is None
    assert found.reason == (
        f"by formula they are {110 / dose_at():.2f} MU, but TotalTransmissionFraction (1) is not that of its tray "
        "(0.952), and there are none by grid (its prescription point is not in the archive); use them all the same "
        "with mu=formula (--mu formula)"
    )


def test_with_a_wedge_the_formula_alone_is_not_relied_on(tmp_path: Path) -> None:
    """The output factor that Pinnacle keeps is that of the open field."""
    given = trial(field(0, wedged()))
    found = only(work(tmp_path, given, points=()), given)
    assert found.used is None
    assert found.reason == (
        f"by formula they are {FORMULA:.2f} MU, but that does not hold with a wedge, and there are none by grid "
        "(its prescription point is not in the archive); use them all the same with mu=formula (--mu formula)"
    )
    assert only(work(tmp_path, given, points=()), given, "formula").used == pytest.approx(FORMULA)


def test_monitor_units_that_pinnacle_calls_out_of_date(tmp_path: Path) -> None:
    """They are used where they agree with the dose, and left out where nothing confirms them."""
    given = trial(field(monitor_units=agreeing(), monitor_units_valid=False))
    of = work(tmp_path, given)
    assert only(of, given).sure
    stale = "Pinnacle has marked them as out of date (MonitorUnitsValid = 0)"
    assert [left.reason for left in of.notes.warnings] == [f"{stale}; compare them with it"]
    found = only(work(tmp_path, given, machines=()), given)
    why = (
        "and there are none by formula (the archive does not describe its machine); "
        "use them all the same with mu=grid (--mu grid)"
    )
    assert (found.used, found.reason) == (None, f"{stale}, {why}")


def test_a_beam_without_weight_is_not_treated_with(tmp_path: Path) -> None:
    """It has no dose to add, so it spoils none."""
    given = trial(field(weight=0.0, monitor_units=replace(INFO, prescription_dose=0.0)))
    assert only(work(tmp_path, given), given).idle


def test_the_machine_of_another_version_serves_where_it_is_the_only_one(tmp_path: Path) -> None:
    """The grid checks it; of two versions, neither is guessed."""
    given = trial(field(machine_version="2001-01-01 00:00:00", monitor_units=agreeing()))
    assert only(work(tmp_path, given), given).sure
    two = (MACHINE, replace(MACHINE, version="2020-01-01 00:00:00"))
    assert only(work(tmp_path, given, machines=two), given).formula is None


@pytest.mark.parametrize("corner", [0, -1])
def test_a_prescription_point_on_the_edge_of_the_grid(tmp_path: Path, corner: int) -> None:
    """The outermost voxels' centres belong to the grid."""
    ends = [GRID.origin[axis] + (corner % GRID.dimension[axis]) * GRID.voxel[axis] for axis in range(3)]
    place = (ends[0], ends[1], ends[2])
    given = trial()
    found = only(work(tmp_path, given, points=(replace(ISOCENTRE, position=place),)), given)
    assert found.grid == pytest.approx(110 / dose_at(0, place), rel=1e-6)


def test_a_grid_of_one_plane_has_no_neighbours(tmp_path: Path) -> None:
    """A point in the plane is found, one beside it is not."""
    grid = replace(GRID, dimension=(4, 3, 1))
    given = trial(grid=grid)
    at = replace(ISOCENTRE, position=(-0.25, 0.1, grid.origin[2]))
    found = only(work(tmp_path, given, points=(at,), doses=[grid_dose(0, grid)]), given)
    assert found.grid == pytest.approx(110 / dose_at(0, (-0.25, 0.1, grid.origin[2])), rel=1e-6)
    assert only(work(tmp_path, given, doses=[grid_dose(0, grid)]), given).grid is None


def test_two_points_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    """Two points in one place are one."""
    given = trial(field(monitor_units=agreeing()))
    assert only(work(tmp_path, given, points=(ISOCENTRE, ISOCENTRE)), given).sure
    other = replace(ISOCENTRE, position=(0.0, 0.0, 0.0))
    assert only(work(tmp_path, given, points=(ISOCENTRE, other)), given).grid is None


def test_beams_whose_doses_are_those_of_all_fractions(tmp_path: Path) -> None:
    """Their monitor units would be too many by the number of fractions."""
    overall = replace(PRESCRIPTION, dose=110.0, fractions=2)
    given = trial(field(monitor_units=agreeing(prescription_dose=220.0)), prescriptions=(overall,))
    found = only(work(tmp_path, given), given)
    assert found.used is None
    assert found.reason == "the doses of its prescription's beams add up to that of all fractions, not of one"


def test_beams_that_give_all_fractions_at_once_are_found_without_a_percent(tmp_path: Path) -> None:
    """The prescription is to 80 percent, which is not told; so they seem to give a quarter more."""
    asked = replace(PRESCRIPTION, dose=200.0, percent=None)
    given = trial(field(monitor_units=agreeing(prescription_dose=200 * 12 / 0.8)), prescriptions=(asked,))
    assert only(work(tmp_path, given), given).used is None


@pytest.mark.parametrize(("dose", "percent", "same"), [(110.0, 100.0, True), (99.0, 90.0, True), (99.0, 100.0, False)])
@pytest.mark.parametrize("period", ["Per Fraction", "Overall"])
def test_beams_that_do_not_give_what_their_prescription_asks_for(
    tmp_path: Path, dose: float, percent: float, same: bool, period: str
) -> None:
    """The plan says the one, its dose the other: somebody should look."""
    asked = replace(PRESCRIPTION, dose=dose * (12 if period == "Overall" else 1), percent=percent, period=period)
    given = trial(field(monitor_units=agreeing()), prescriptions=(asked,))
    of = work(tmp_path, given)
    assert only(of, given).sure
    reason = (
        "its beams give 110.0 cGy in a fraction by their own PrescriptionDose, it asks for 99.0 cGy; "
        "compare them with the planning system"
    )
    assert of.notes.warnings == ([] if same else [Left("prescription 0 of plan 0, trial 0", reason)])


def test_the_sum_that_the_prescription_asked_for_is_compared(tmp_path: Path) -> None:
    """Both beams of the real patient add up to it; where they do not, somebody should look."""
    wanted = 2 * 110 / dose_at()
    beams = (field(0, monitor_units=agreeing()), field(1, monitor_units=agreeing()))
    asked = replace(PRESCRIPTION, requested_monitor_units=wanted)
    of = work(tmp_path, trial(*beams, prescriptions=(asked,)), doses=[grid_dose(), grid_dose()])
    of_trial(of, trial(*beams, prescriptions=(asked,)))
    assert of.notes.warnings == []
    of_trial(of, trial(*beams, prescriptions=(replace(asked, requested_monitor_units=280.0),)))
    reason = (
        f"its beams add up to {wanted:.1f} MU for a fraction, RequestedMonitorUnitsPerFraction is 280; "
        "compare them with the planning system"
    )
    assert of.notes.warnings == [Left("monitor units of plan 0, trial 0, prescription 0", reason)]


def test_the_prescription_of_a_beam_is_never_another_one() -> None:
    """Old versions have one prescription that beams do not name."""
    other = replace(PRESCRIPTION, name="Boost")
    assert prescription_of(field(prescription=None), trial(prescriptions=(PRESCRIPTION,))) == PRESCRIPTION
    assert prescription_of(field(prescription=None), trial(prescriptions=(PRESCRIPTION, other))) is None
    assert prescription_of(field(prescription="None such"), trial()) is None
    assert prescription_of(field(), trial(prescriptions=(PRESCRIPTION, PRESCRIPTION))) is None


@pytest.mark.parametrize(
    ("period", "fractions", "whole"),
    [
        ("Per Fraction", 12, 2640.0),
        ("Overall", 12, 220.0),
        ("Overall", None, 220.0),
        (None, 12, None),
        ("Per Fraction", 0, None),
    ],
)
def test_the_dose_of_a_prescription_in_all(
    period: Optional[str], fractions: Optional[int], whole: Optional[float]
) -> None:
    """Where nothing says whether it is for a fraction, it is not known."""
    assert whole_dose(replace(PRESCRIPTION, period=period, fractions=fractions)) == whole
