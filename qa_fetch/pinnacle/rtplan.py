"""The RTPLAN of a trial: unapproved, and without what the archive does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

from . import beams, geometry, labels, objects
from .dose import RT_DOSE, RT_PLAN, RT_STRUCTURE_SET, reference
from .making import Encoded, ImageSeries, Work
from .monitor_units import MonitorUnits, fractions_of, place_of, prescription_of, whole_dose
from .records import Beam, Point, Prescription, Trial, Triple
from .scales import Unsure, machine_of
from .uids import Uids


def plan(
    work: Work,
    series: ImageSeries,
    trial: Trial,
    units: Mapping[int, MonitorUnits],
    plan_uid: str,
    structure_uid: Optional[str],
    dose_uid: Optional[str],
) -> Optional[Encoded]:
    """The plan of a trial; None and a note where a beam cannot be written as it is.

    Parameters
    ----------
    work, series
        The plan, and the images that it was made on.
    trial
        One of its trials.
    units
        The monitor units of its beams: ``monitor_units.of_trial``.
    plan_uid
        Its own SOP Instance UID.
    structure_uid, dose_uid
        The structure set and the dose that it refers to; None where there is none.
    """
    assert work.plan is not None
    where = f"plan {work.plan.entry.number}, trial {trial.index}"
    what = f"RTPLAN of {where}"
    known = len(work.notes.warnings)
    reason = _refusal(series, trial)
    items: list[Any] = []
    for beam in trial.beams if reason is None else ():
        name = f"beam {beam.index} of {what}"
        try:
            machine = machine_of(beam, work.plan.machines)
            items.append(beams.item(beam, machine, _isocentre(work, series, beam, name), work.notes, name))
        except Unsure as error:
            reason = f"its beam {beam.index} cannot be written as it is: {error}"
            break
    if reason is not None:
        del work.notes.warnings[known:]  # they tell of beams that are not written
        work.notes.skip(what, reason)
        return None
    data = _dataset(work, series, trial, plan_uid, what)
    groups = _groups(trial)
    data.DoseReferenceSequence = _dose_references(work, trial, what)
    if not data.DoseReferenceSequence:
        del data.DoseReferenceSequence
    data.FractionGroupSequence = [
        _group(work, trial, number, prescription, own, units, what)
        for number, (prescription, own) in enumerate(groups, 1)
    ]
    data.PatientSetupSequence = [_setup(series)]
    data.BeamSequence = items
    if structure_uid is not None:
        data.ReferencedStructureSetSequence = [reference(RT_STRUCTURE_SET, structure_uid)]
    if dose_uid is not None:
        data.ReferencedDoseSequence = [reference(RT_DOSE, dose_uid)]
    data.RTPlanGeometry = "TREATMENT_DEVICE" if structure_uid is None else "PATIENT"
    data.ApprovalStatus = "UNAPPROVED"
    return replace(objects.encoded(data), what=what)


def _refusal(series: ImageSeries, trial: Trial) -> Optional[str]:
    """Why nothing of the trial can be written, or None."""
    if series.doubt is not None:
        return series.doubt
    if not trial.whole:
        return "the text of this trial is not whole, so beams may be missing; restore plan.Trial from its backup"
    return None if trial.beams else "the trial has no beams"


def _dataset(work: Work, series: ImageSeries, trial: Trial, plan_uid: str, what: str) -> Any:
    assert work.plan is not None
    entry = work.plan.entry
    series_uid = Uids(work.patient).uid("series RTPLAN", entry.number, trial.index, trial.name)
    data = objects.base(work, series, "RTPLAN", RT_PLAN, plan_uid, series_uid)
    data.OperatorsName = ""
    data.InstanceNumber = 1
    called = labels.called(work.patient, entry, [each.name for each in work.plan.trials], trial.index)
    if called.cut:
        reason = f"it is longer than {objects.SHORT} characters, so it is cut and ends in {entry.number}.{trial.index}"
        _warn(work, f"the label of {what}", reason)
    data.RTPlanLabel = called.label
    if called.name:
        data.RTPlanName = objects.fitted(called.name, objects.LONG, work.notes, f"the name of {what}")
    data.RTPlanDate, data.RTPlanTime = called.date, called.time
    return data


def _groups(trial: Trial) -> list[tuple[Optional[Prescription], list[Beam]]]:
    """The beams of each prescription; last those that belong to none."""
    found: list[tuple[Optional[Prescription], list[Beam]]] = [
        (prescription, [beam for beam in trial.beams if prescription_of(beam, trial) is prescription])
        for prescription in trial.prescriptions
    ]
    found.append((None, [beam for beam in trial.beams if prescription_of(beam, trial) is None]))
    return [(prescription, own) for prescription, own in found if own]


def _group(
    work: Work,
    trial: Trial,
    number: int,
    prescription: Optional[Prescription],
    own: list[Beam],
    units: Mapping[int, MonitorUnits],
    what: str,
) -> Any:
    from pydicom.dataset import Dataset

    fractions = fractions_of(prescription) if prescription is not None else None
    if fractions is None:
        _warn(work, f"fraction group {number} of {what}", "its number of fractions is not known and stays empty")
    data = Dataset()
    data.FractionGroupNumber = number
    data.NumberOfFractionsPlanned = fractions
    data.NumberOfBeams = len(own)
    data.NumberOfBrachyApplicationSetups = 0
    data.ReferencedBeamSequence = [_meterset(work, beam, units[beam.index], what) for beam in own]
    if prescription is not None:
        item = Dataset()
        item.ReferencedDoseReferenceNumber = trial.prescriptions.index(prescription) + 1
        data.ReferencedDoseReferenceSequence = [item]
    return data


def _meterset(work: Work, beam: Beam, units: MonitorUnits, what: str) -> Any:
    from pydicom.dataset import Dataset

    data = Dataset()
    info = beam.monitor_units
    if units.used is None:
        _warn(work, f"beam {beam.index} of {what}", f"its monitor units are left out: {units.reason}")
    else:
        if units.sure and info is not None and info.prescription_dose is not None:
            data.BeamDose = objects.decimal(round(info.prescription_dose / 100, 8))
        data.BeamMeterset = objects.decimal(round(units.used, 6))
    data.ReferencedBeamNumber = beam.index + 1
    return data


def _dose_references(work: Work, trial: Trial, what: str) -> list[Any]:
    """What each prescription shall give."""
    from pydicom.dataset import Dataset

    items = []
    for number, prescription in enumerate(trial.prescriptions, 1):
        data = Dataset()
        data.DoseReferenceNumber = number
        data.DoseReferenceStructureType = "SITE"
        name = f"the name of prescription {number - 1} of {what}"
        data.DoseReferenceDescription = objects.fitted(prescription.name, objects.LONG, work.notes, name)
        data.DoseReferenceType = "TARGET"
        dose = whole_dose(prescription)
        if dose is None:
            _warn(
                work,
                f"prescription {number - 1} of {what}",
                "the archive does not say its dose, or not whether that is for a fraction, so it is left out",
            )
        else:
            data.TargetPrescriptionDose = objects.decimal(round(dose / 100, 8))
        items.append(data)
    return items


def _setup(series: ImageSeries) -> Any:
    from pydicom.dataset import Dataset

    data = Dataset()
    data.PatientPosition = series.patient_position
    data.PatientSetupNumber = 1
    return data


def _isocentre(work: Work, series: ImageSeries, beam: Beam, what: str) -> Optional[Triple]:
    """Where the point that the beam names lies, mm in DICOM's coordinates; never another point."""
    points: tuple[Point, ...] = work.plan.points if work.plan is not None else ()
    place = place_of(beam.isocentre, points)
    if place is None:
        _warn(work, what, "the point of its isocentre is not in the archive, so IsocenterPosition stays empty")
        return None
    x, y, z = geometry.to_dicom(place, series.patient_position, series.shift).tolist()
    return x, y, z


def _warn(work: Work, what: str, reason: str) -> None:
    objects.warn_once(work.notes, what, reason)
