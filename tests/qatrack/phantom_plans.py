"""RTPLANs for the daily plan check: the approved plan, a copy of it, and plans changed after approval."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from qa_fetch.demo.objects import Beam, Course, rt_plan

LABEL = "DAILY_QA"


@dataclass(frozen=True)
class Field(Beam):
    """A beam with its energy in MV, its dose rate in MU/min, and whether the flattening filter is in."""

    energy: float = 6
    dose_rate: float = 600
    flattened: bool = True


FIELDS = (
    Field("G0_6X", meterset=100),
    Field("G0_10X", meterset=100, energy=10),
    Field("G90_6FFF", gantry=90, collimator=90, meterset=200, dose_rate=1400, flattened=False),
    Field("G180_6X", gantry=180, couch=10, meterset=50, dose_rate=400),
)


@dataclass(frozen=True)
class Change:
    """One value that is not as approved: of this beam ("" for the plan), this attribute, once so, now so."""

    beam: str
    keyword: str
    approved: object
    found: object


CHANGES = MappingProxyType(
    {
        "monitor units": Change("G0_6X", "BeamMeterset", 100, 101),
        "dose rate": Change("G90_6FFF", "DoseRateSet", 1400, 600),
        "energy": Change("G0_10X", "NominalBeamEnergy", 10, 6),
        "flattening filter": Change("G90_6FFF", "FluenceMode", "NON_STANDARD", "STANDARD"),
        "gantry": Change("G180_6X", "GantryAngle", 180, 181),
        "tolerance table": Change("G0_6X", "ReferencedToleranceTableNumber", 1, 2),
        "tolerance": Change("", "GantryAngleTolerance", 0.5, 2),
        "weight of the last control point": Change("G0_6X", "FinalCumulativeMetersetWeight", 1, 2),
        "unit of the meterset": Change("G0_6X", "PrimaryDosimeterUnit", "MU", "MINUTE"),
        "type of delivery": Change("G0_6X", "TreatmentDeliveryType", "TREATMENT", "SETUP"),
        "source to axis": Change("G0_6X", "SourceAxisDistance", 1000, 800),
        "high dose technique": Change("G0_6X", "HighDoseTechniqueType", None, "TBI"),
        "compensator": Change("G0_6X", "CompensatorID", None, "C1"),
        "accessory": Change("G0_6X", "AccessoryCode", None, "A1"),
        "dose of a beam": Change("G0_6X", "BeamDose", None, 9),
        "patient position": Change("", "PatientPosition", "HFS", "HFP"),
        "beam gone": Change("G180_6X", "BeamName", "G180_6X", None),
        "beam added": Change("EXTRA", "BeamName", None, "EXTRA"),
    }
)


def daily_plan(
    course: Course,
    made: datetime,
    *,
    label: str = LABEL,
    approval: str = "APPROVED",
    fields: Sequence[Field] = FIELDS,
) -> Dataset:
    """A plan of the morning's checks, approved unless told otherwise.

    Parameters
    ----------
    course
        Whose study the plan belongs to.
    made
        When it was planned, and reviewed.
    label, approval
        RTPlanLabel and ApprovalStatus.
    fields
        Its beams.
    """
    plan = rt_plan(course, label, made, fields, approval)
    if approval != "UNAPPROVED":
        plan.ReviewDate, plan.ReviewTime = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
        plan.ReviewerName = "Physicist^A"
    plan.ToleranceTableSequence = [_tolerances(1, "QA", 0.5), _tolerances(2, "T1", 2)]
    plan.PatientSetupSequence = [_item(PatientSetupNumber=1, PatientPosition="HFS")]
    for beam, wanted in zip(plan.BeamSequence, fields):
        beam.ReferencedToleranceTableNumber = 1
        beam.ControlPointSequence[0].NominalBeamEnergy = wanted.energy
        beam.ControlPointSequence[0].DoseRateSet = wanted.dose_rate
        beam.PrimaryFluenceModeSequence = [_fluence(wanted.flattened)]
    return plan


def copied(plan: Dataset, made: datetime) -> Dataset:
    """The same plan under another UID, as a copy into a new version leaves it."""
    twin = copy.deepcopy(plan)
    twin.SOPInstanceUID, twin.SeriesInstanceUID = generate_uid(), generate_uid()
    for keyword in ("RTPlan", "InstanceCreation", "Series"):
        setattr(twin, f"{keyword}Date", made.strftime("%Y%m%d"))
        setattr(twin, f"{keyword}Time", made.strftime("%H%M%S"))
    return twin


def changed(plan: Dataset, made: datetime, what: str) -> Dataset:
    """A copy that says it is approved and is not what was approved; ``what`` is one of ``CHANGES``."""
    other = copied(plan, made)
    _EDITS.get(what, _set)(other, CHANGES[what])
    return other


def edited_in_place(plan: Dataset, what: str) -> Dataset:
    """The plan with one of ``CHANGES`` under its own UID, which no archive should hold and some do."""
    other = copy.deepcopy(plan)
    _EDITS.get(what, _set)(other, CHANGES[what])
    return other


def _set(plan: Dataset, change: Change) -> None:
    """Set the attribute in the first control point, or else in the beam itself."""
    beam = _beam(plan, change.beam)
    start = beam.ControlPointSequence[0]
    setattr(start if change.keyword in start else beam, change.keyword, change.found)


def _set_reference(plan: Dataset, change: Change) -> None:
    number = _beam(plan, change.beam).BeamNumber
    for reference in plan.FractionGroupSequence[0].ReferencedBeamSequence:
        if reference.ReferencedBeamNumber == number:
            setattr(reference, change.keyword, change.found)


def _set_fluence(plan: Dataset, change: Change) -> None:
    _beam(plan, change.beam).PrimaryFluenceModeSequence = [_fluence(True)]


def _add_compensator(plan: Dataset, change: Change) -> None:
    beam = _beam(plan, change.beam)
    beam.NumberOfCompensators, beam.CompensatorSequence = 1, [_item(CompensatorNumber=1, CompensatorID=change.found)]


def _add_accessory(plan: Dataset, change: Change) -> None:
    accessory = _item(GeneralAccessoryNumber=1, AccessoryCode=change.found)
    _beam(plan, change.beam).GeneralAccessorySequence = [accessory]


def _set_position(plan: Dataset, change: Change) -> None:
    plan.PatientSetupSequence[0].PatientPosition = change.found


def _set_tolerance(plan: Dataset, change: Change) -> None:
    setattr(plan.ToleranceTableSequence[0], change.keyword, change.found)


def _remove(plan: Dataset, change: Change) -> None:
    number = _beam(plan, change.beam).BeamNumber
    group = plan.FractionGroupSequence[0]
    plan.BeamSequence = [beam for beam in plan.BeamSequence if beam.BeamNumber != number]
    group.ReferencedBeamSequence = [
        reference for reference in group.ReferencedBeamSequence if reference.ReferencedBeamNumber != number
    ]
    group.NumberOfBeams = len(plan.BeamSequence)


def _add(plan: Dataset, change: Change) -> None:
    beam = copy.deepcopy(plan.BeamSequence[0])
    reference = copy.deepcopy(plan.FractionGroupSequence[0].ReferencedBeamSequence[0])
    beam.BeamName = change.found
    beam.BeamNumber = reference.ReferencedBeamNumber = max(int(other.BeamNumber) for other in plan.BeamSequence) + 1
    plan.BeamSequence.append(beam)
    plan.FractionGroupSequence[0].ReferencedBeamSequence.append(reference)
    plan.FractionGroupSequence[0].NumberOfBeams = len(plan.BeamSequence)


_EDITS: dict[str, Callable[[Dataset, Change], None]] = {
    "monitor units": _set_reference,
    "dose of a beam": _set_reference,
    "compensator": _add_compensator,
    "accessory": _add_accessory,
    "patient position": _set_position,
    "flattening filter": _set_fluence,
    "tolerance": _set_tolerance,
    "beam gone": _remove,
    "beam added": _add,
}


def _beam(plan: Dataset, name: str) -> Dataset:
    return next(beam for beam in plan.BeamSequence if beam.BeamName == name)


def _tolerances(number: int, label: str, degrees: float) -> Dataset:
    return _item(
        ToleranceTableNumber=number,
        ToleranceTableLabel=label,
        GantryAngleTolerance=degrees,
        BeamLimitingDeviceAngleTolerance=degrees,
        PatientSupportAngleTolerance=degrees,
        TableTopVerticalPositionTolerance=10 * degrees,
        TableTopLongitudinalPositionTolerance=10 * degrees,
        TableTopLateralPositionTolerance=10 * degrees,
    )


def _fluence(flattened: bool) -> Dataset:
    return _item(FluenceMode="STANDARD") if flattened else _item(FluenceMode="NON_STANDARD", FluenceModeID="FFF")


def _item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset
