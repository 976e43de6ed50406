"""The monitor units of beams, which Pinnacle does not write down: worked out in two ways that check each other.

Formula: PrescriptionDose / (NormalizedDose x CollimatorOutputFactor x DosePerMuAtCalibration x
TotalTransmissionFraction); the last holds the tray. A wedged field's output factor is not the one that is kept, so with
a wedge the formula alone is not relied on. Grid: PrescriptionDose / the dose grid (cGy for a MU) at the beam's
prescription point. Both are for one fraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Union

from ..errors import BadArchive, NotFound
from . import grids
from .choosing import check_units
from .making import Work
from .records import Beam, Grid, Machine, Point, Prescription, Trial, Triple
from .scales import machine_of

_AGREE = 0.005
_SAME_SUM = 0.01
_SAME_DOSE = 0.05
_LIKE_ALL = 0.3  # wide, as a percent that is not told moves it: a dose too high by the number of fractions is worse
_STALE = "Pinnacle has marked them as out of date (MonitorUnitsValid = 0)"
_MOST_FRACTIONS = 1000
_FARTHEST = 1e4  # cm
_HIGHEST = 1e6  # cGy of a prescription
_LEAST, _MOST = 1e-3, 1e5  # MU of a beam and fraction; what is outside comes of a damaged number


@dataclass(frozen=True)
class MonitorUnits:
    """A beam's monitor units for a fraction in both ways, and those to be used; ``reason`` says why there are none."""

    formula: Optional[float]
    grid: Optional[float]
    used: Optional[float]
    reason: Optional[str] = None
    idle: bool = False  # the beam has no weight and is given no dose: it is not treated with
    sure: bool = False  # both ways agree


def of_trial(work: Work, trial: Trial, choice: str = "agree") -> dict[int, MonitorUnits]:
    """The monitor units of a trial's beams by their index; what is not sure is noted.

    Parameters
    ----------
    work
        The plan.
    trial
        One of its trials.
    choice
        ``agree``: none where formula and grid differ; ``formula`` or ``grid``: that one where they differ.
    """
    check_units(choice)
    assert work.plan is not None
    plan = work.plan
    where = f"plan {plan.entry.number}, trial {trial.index}"
    overall = {each.name for each in trial.prescriptions if _is_overall(each, trial)}
    found = {}
    for beam in trial.beams:
        what = f"monitor units of {where}, beam {beam.index}"
        formula, grid = _formula(beam, plan.machines), _by_grid(work, beam, trial.grid, plan.points)
        prescription = prescription_of(beam, trial)
        if prescription is not None and prescription.name in overall:
            reason = "the doses of its prescription's beams add up to that of all fractions, not of one"
            units = MonitorUnits(_number(formula), _number(grid), None, reason)
        else:
            percent = prescription.percent if prescription is not None else None
            units = _decided(work, what, beam, (formula, grid), (choice, percent))
        found[beam.index] = units
    _check_sums(work, trial, found, where)
    return found


def prescription_of(beam: Beam, trial: Trial) -> Optional[Prescription]:
    """The prescription that a beam names; the only one where it names none."""
    if beam.prescription is None:
        return trial.prescriptions[0] if len(trial.prescriptions) == 1 else None
    named = [each for each in trial.prescriptions if each.name == beam.prescription]
    return named[0] if len(named) == 1 else None


def place_of(name: Optional[str], points: Sequence[Point]) -> Optional[Triple]:
    """Where the point of a name lies, cm; None where there is none, or several in different places."""
    places = {point.position for point in points if name is not None and point.name == name}
    place = places.pop() if len(places) == 1 else None
    return place if place is not None and max(map(abs, place)) < _FARTHEST else None


def fractions_of(prescription: Prescription) -> Optional[int]:
    """How many fractions a prescription has; None where that is not known, or none that a treatment has."""
    count = prescription.fractions
    return count if count is not None and 0 < count <= _MOST_FRACTIONS else None


def _decided(
    work: Work,
    what: str,
    beam: Beam,
    both: tuple[Union[float, str], Union[float, str]],
    asked: tuple[str, Optional[float]],
) -> MonitorUnits:
    """What is used of a beam's two results; ``asked`` are the choice and the percent of its prescription."""
    info = beam.monitor_units
    formula, grid = both
    choice, percent = asked
    if beam.weight == 0 and (info is None or not info.prescription_dose):
        return MonitorUnits(None, None, None, "it has no weight, so it is not treated with", idle=True)
    if isinstance(formula, float):
        if isinstance(grid, float):
            return _compared(work, what, beam, formula, grid, choice)
        doubt = _formula_doubt(beam) or _electron_doubt(beam, percent)
        return _alone(work, what, beam, formula, ("formula", "grid", grid), (choice, doubt))
    if isinstance(grid, float):
        return _alone(work, what, beam, grid, ("grid", "formula", formula), (choice, _electron_doubt(beam, percent)))
    return MonitorUnits(None, None, None, f"there are none by formula ({formula}), and none by grid ({grid})")


def _compared(work: Work, what: str, beam: Beam, formula: float, grid: float, choice: str) -> MonitorUnits:
    """Both ways have a result."""
    used = grid if choice == "grid" else formula
    if abs(formula / grid - 1.0) <= _AGREE:
        if beam.monitor_units_valid is False:
            work.notes.warn(what, f"{_STALE}; compare them with it")
        return MonitorUnits(formula, grid, used, sure=True)
    numbers = f"by formula they are {formula:.2f} MU, by grid {grid:.2f} MU"
    if _is_electron(beam):
        numbers += " (of electrons they differ by the prescription's percent)"
    if choice == "agree":
        reason = f"{numbers}; choose one of them with mu=formula or mu=grid (--mu formula, --mu grid)"
        return MonitorUnits(formula, grid, None, reason)
    work.notes.warn(what, f"{numbers}; those by {choice} are used, as was chosen")
    return MonitorUnits(formula, grid, used)


def _is_electron(beam: Beam) -> bool:
    return (beam.modality or "").lower().startswith("electron")


def _electron_doubt(beam: Beam, percent: Optional[float]) -> Optional[str]:
    """Why one way alone does not hold for a beam of electrons, None where it does: the two differ by the percent."""
    return (
        "of electrons the two ways differ by the prescription's percent"
        if _is_electron(beam) and percent != 100
        else None
    )


def _formula_doubt(beam: Beam) -> Optional[str]:
    """Why the formula alone does not hold for a beam, or None."""
    if any(point.wedge is not None for point in beam.control_points):
        return "that does not hold with a wedge"
    total = beam.monitor_units.total_transmission_fraction if beam.monitor_units is not None else None
    tray = beam.tray_factor if beam.tray is not None else None
    if total is not None and tray is not None and tray > 0 and abs(total / tray - 1.0) > _AGREE:
        return f"TotalTransmissionFraction ({total:g}) is not that of its tray ({tray:g})"
    return None


def _alone(
    work: Work,
    what: str,
    beam: Beam,
    found: float,
    ways: tuple[str, str, str],
    asked: tuple[str, Optional[str]],
) -> MonitorUnits:
    """One way has a result.

    Parameters
    ----------
    work, what, beam
        The beam, and under what it is noted.
    found, ways
        The result; its way's name, that of the other and why that has none.
    asked
        The choice, and why this way alone does not hold for the beam.
    """
    way, other, why = ways
    choice, doubt = asked
    none = f"none by {other} ({why})"
    anyway = f"use them all the same with mu={way} (--mu {way})"
    reason = None
    if choice == other:
        reason = f"there are {none}, which was chosen"
    elif choice == "agree" and beam.monitor_units_valid is False:
        reason = f"{_STALE}, and there are {none}; {anyway}"
    elif choice == "agree" and doubt is not None:
        reason = f"by {way} they are {found:.2f} MU, but {doubt}, and there are {none}; {anyway}"
    if reason is None:
        work.notes.warn(what, f"{found:.2f} MU are by {way} alone and not checked: {none}")
    formula, grid = (found, None) if way == "formula" else (None, found)
    return MonitorUnits(formula, grid, found if reason is None else None, reason)


def _number(found: Union[float, str]) -> Optional[float]:
    return found if isinstance(found, float) else None


def _formula(beam: Beam, machines: Sequence[Machine]) -> Union[float, str]:
    """The monitor units by formula, or why there are none."""
    info, machine = beam.monitor_units, machine_of(beam, machines)
    if info is None:
        return "the beam has no MonitorUnitInfo"
    if machine is None:
        return "the archive does not describe its machine"
    energies = [each for each in machine.energies if each.name == beam.energy]
    energies = [each for each in energies if each.modality in (beam.modality, None)] or energies
    if len({each.dose_per_mu_at_calibration for each in energies}) != 1:
        return "its machine does not describe its energy"
    parts = {
        "NormalizedDose": info.normalized_dose,
        "CollimatorOutputFactor": info.collimator_output_factor,
        "DosePerMuAtCalibration": energies[0].dose_per_mu_at_calibration,
    }
    if info.total_transmission_fraction is not None:
        parts["TotalTransmissionFraction"] = info.total_transmission_fraction
    elif beam.tray is not None:
        parts["TrayFactor"] = beam.tray_factor
    return _divided(info.prescription_dose, parts)


def _by_grid(work: Work, beam: Beam, grid: Optional[Grid], points: Sequence[Point]) -> Union[float, str]:
    """The monitor units by grid, or why there are none."""
    if beam.monitor_units is None:
        return "the beam has no MonitorUnitInfo"
    place = place_of(beam.prescription_point, points)
    if place is None:
        return "its prescription point is not in the archive"
    if grid is None or beam.dose is None:
        return "it has no dose grid"
    try:
        dose = grids.at(work.source, beam.dose, grid, place)
    except (BadArchive, NotFound):
        return "its dose file is missing or not whole"
    if dose is None:
        return "its prescription point lies outside of the dose grid"
    return _divided(beam.monitor_units.prescription_dose, {"the dose at its prescription point": dose})


def _divided(dose: Optional[float], parts: dict[str, Optional[float]]) -> Union[float, str]:
    """The quotient; or which number is missing or none that a treatment has."""
    product = 1.0
    for name, value in {"PrescriptionDose": dose, **parts}.items():
        if value is None:
            return f"{name} is missing"
        if not math.isfinite(value) or value <= 0:
            return f"{name} is not above zero"
        product *= value if name in parts else 1.0
    units = dose / product if dose is not None and product > 0 else 0.0
    return units if _LEAST <= units < _MOST else "it gives a number that no beam has"


def _is_overall(prescription: Prescription, trial: Trial) -> bool:
    """Whether the doses of a prescription's beams are those of all fractions, against what they should be."""
    whole, fractions = whole_dose(prescription), fractions_of(prescription)
    if whole is None or fractions is None or fractions < 2:
        return False
    return abs(_given(prescription, trial) / whole - 1.0) < _LIKE_ALL


def _given(prescription: Prescription, trial: Trial) -> float:
    """What a prescription's beams give by their own PrescriptionDose, cGy at its percent."""
    infos = [beam.monitor_units for beam in trial.beams if prescription_of(beam, trial) is prescription]
    total = sum(info.prescription_dose or 0.0 for info in infos if info is not None)
    return total * (prescription.percent or 100.0) / 100.0


def whole_dose(prescription: Prescription) -> Optional[float]:
    """What a prescription gives in all its fractions, cGy; None where it does not say."""
    period = (prescription.period or "").lower()
    if prescription.dose is None or not 0 < prescription.dose < _HIGHEST:
        return None
    if "fraction" in period:
        fractions = fractions_of(prescription)
        return None if fractions is None else prescription.dose * fractions
    return prescription.dose if "overall" in period else None


def _check_sums(work: Work, trial: Trial, found: dict[int, MonitorUnits], where: str) -> None:
    """Warn where the beams of a prescription do not add up to the dose or the monitor units that it asked for."""
    for index, prescription in enumerate(trial.prescriptions):
        whole, fractions = whole_dose(prescription), fractions_of(prescription)
        given = _given(prescription, trial)
        if whole is not None and fractions is not None and given and abs(given * fractions / whole - 1.0) > _SAME_DOSE:
            work.notes.warn(
                f"prescription {index} of {where}",
                f"its beams give {given:.1f} cGy in a fraction by their own PrescriptionDose, it asks for "
                f"{whole / fractions:.1f} cGy; compare them with the planning system",
            )
        wanted = prescription.requested_monitor_units
        beams = [beam for beam in trial.beams if prescription_of(beam, trial) is prescription]
        used = [found[beam.index].used for beam in beams if not found[beam.index].idle]
        if not wanted or wanted <= 0 or not used or None in used:
            continue
        total = sum(each for each in used if each is not None)
        if abs(total / wanted - 1.0) > _SAME_SUM:
            work.notes.warn(
                f"monitor units of {where}, prescription {index}",
                f"its beams add up to {total:.1f} MU for a fraction, RequestedMonitorUnitsPerFraction is {wanted:g}; "
                "compare them with the planning system",
            )
