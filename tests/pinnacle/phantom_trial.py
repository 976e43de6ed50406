"""The trials of a phantom archive as Pinnacle spells them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from phantom_beams import OUTLINE, OUTPUT_FACTOR, Step, steps, truth, uses_leaves
from phantom_course import COMMISSIONED, DESIGNS, ENERGIES, BeamSpec, Course
from phantom_dose import written_grid
from phantom_text import Lines, block, numbered, says, version_block
from phantom_truth import Field, Group, Mark, Trial, Triple


def write_trial(
    course: Course,
    folder: Path,
    plan: int,
    index: int,
    first_file: int,
    marks: Sequence[Mark],
    points: dict[str, Triple],
) -> tuple[Lines, Trial, int]:
    """Write the dose files of a trial; its text, its truth and the next free number of a file.

    Parameters
    ----------
    course
        The options.
    folder
        The plan's.
    plan, index
        The numbers of the plan and of the trial.
    first_file
        The number of its first dose file.
    marks
        The points of the plan as DICOM must have them.
    points
        The same as Pinnacle has them, cm.
    """
    size = course.sizes()
    names = [f"Presc_{number + 1}" for number in range(course.prescriptions)]
    fractions = [course.fractions + 3 * number for number in range(course.prescriptions)]
    places = {mark.name: mark.position for mark in marks}
    fields: list[Field] = []
    texts: list[Lines] = []
    number = first_file
    for place, spec in enumerate(course.specs()):
        turn = place % course.prescriptions
        seed = place + 10 * index + 100 * plan
        name = f"plan.Trial.binary.{number:03d}"
        (folder / name).write_bytes(written_grid(course, seed))
        reference = "iso 1" if turn == 0 else "ref 2"
        isocentre = places.get(spec.isocentre)
        field, normalised = truth(course, spec, place, seed, points[reference], isocentre, fractions[turn], name)
        fields.append(field)
        info = _monitor_units(spec, field, normalised)
        texts.append(_beam_text(course, spec, field, reference, names[turn], number, info))
        number += 2
    groups = []
    for turn, name in enumerate(names):
        own = [field for field in fields if field.prescription == turn]
        dose = float(f"{sum(field.prescribed for field in own) * course.percent / 100:g}")
        groups.append(Group(name, fractions[turn], dose / 100, tuple(field.number for field in own)))
    grid = size.dose_origin, size.dose_voxel, size.dose_dimension
    trial = Trial(index, f"Trial_{index + 1}", tuple(fields), tuple(groups), course.position, course.shift(), *grid)
    return _trial_text(course, trial, texts), trial, number


def _monitor_units(spec: BeamSpec, field: Field, normalised: float) -> Lines:
    return block(
        "MonitorUnitInfo",
        says("PrescriptionDose", field.prescribed),
        says("SourceToPrescriptionPointDistance", 100),
        says("TotalTransmissionFraction", spec.transmission),
        says("TransmissionDescription", "" if spec.transmission == 1 else "Tray"),
        says("PrescriptionPointDepth", 7.1833),
        says("UnblockedFieldAreaAtSAD", 340),
        says("NormalizedDose", normalised),
        says("OffAxisRatio", 0),
        says("CollimatorOutputFactor", OUTPUT_FACTOR),
        says("RelativeOutputFactor", 0),
        says("PhantomOutputFactor", 1.06549),
    )


def _beam_text(
    course: Course, spec: BeamSpec, field: Field, reference: str, prescription: str, number: int, info: Lines
) -> Lines:
    """A beam of ``plan.Trial``."""
    kinds = {"static": "Static", "segments": "Step & Shoot MLC", "arc": "Dynamic Arc"}
    given = steps(spec)
    manager = [
        says("IsGantryStartStopLocked", int(spec.kind != "arc")),
        says("IsCouchStartStopLocked", 1),
        says("IsCollimatorStartStopLocked", 1),
        says("IsLeftRightIndependent", 1),
        says("IsTopBottomIndependent", 1),
        says("NumberOfControlPoints", len(given)),
        *block("ControlPointList", numbered(_control_point(spec, step) for step in given)),
        says("GantryIsCCW", int(spec.kind == "arc" and not spec.clockwise)),
        says("MLCPushMethod", "Center"),
        says("JawsConformance", "Static"),
    ]
    return block(
        "Beam",
        says("Name", field.name),
        says("IsocenterName", spec.isocentre),
        says("PrescriptionName", prescription),
        says("UsePoiForPrescriptionPoint", 1),
        says("PrescriptionPointName", reference),
        says("PrescriptionPointDepth", 5),
        says("SpecifyDosePerMuAtPrescriptionPoint", 0),
        says("DosePerMuAtPrescriptionPoint", 1),
        says("MachineNameAndVersion", f"{spec.machine}: {COMMISSIONED}"),
        says("Modality", ENERGIES[spec.energy][1]),
        says("MachineEnergyName", spec.energy),
        says("SetBeamType", kinds[spec.kind]),
        says("PrevBeamType", "Static"),
        block("CPManager", manager if course.old() else block("CPManagerObject", manager)),
        says("UseMLC", int(uses_leaves(spec))),
        says("ClipMLCDisplay", 1),
        says("ElectronApplicatorName", spec.applicator or "None"),
        says("SSD", field.source_surface_distance / 10),
        says("AvgSSD", field.source_surface_distance / 10),
        says("SSDValid", 1),
        says("BlockAndTrayFactor", 0.03),
        says("TrayNumber", "1" if spec.block else ""),
        says("TrayFactor", 0.952),
        version_block(course),
        info,
        f"DoseVolume = \\XDR:{number}\\;",
        f"DoseVarVolume = \\XDR:{number + 1}\\;",
        says("Weight", 50),
        says("IsWeightLocked", 0),
        says("MonitorUnitsValid", 1),
        says("MonitorUnitsApproximate", 0),
        says("FieldID", field.field_id),
        says("DoseRate", 600),
        says("DeserializationCompleted", 0),
    )


def _control_point(spec: BeamSpec, step: Step) -> Lines:
    left, right, top, bottom = step.jaws
    name, orientation, angle = spec.wedge or ("No Wedge", "NoWedge", 0.0)
    design = DESIGNS[spec.machine]
    # a machine without leaves has a row nevertheless, which means nothing
    rows = step.leaves.tolist() or [[0.0, 0.0]]
    labels = [design.label(row) for row in range(len(design.centres))] or [0.0]
    modifiers = _block_text(spec.block) if spec.block else []
    return [
        says("Gantry", design.shown_gantry(step.gantry)),
        says("Couch", design.shown_couch(spec.couch)),
        says("Collimator", design.shown_collimator(spec.collimator)),
        *block(
            "WedgeContext",
            says("WedgeName", name),
            says("Orientation", orientation),
            says("OffsetOrigin", "Patient Surface"),
            says("OffsetDistance", -2.5),
            says("Angle", f"{angle:g}" if spec.wedge else "No Wedge"),
            says("MinDeliverableMU", 0),
            says("MaxDeliverableMU", 1e30),
        ),
        says("LeftJawPosition", left),
        says("RightJawPosition", right),
        says("TopJawPosition", top),
        says("BottomJawPosition", bottom),
        *block("ModifierList", modifiers),
        *block(
            "MLCLeafPositions",
            _table(rows),
            block("LabelList", numbered([[says("String", "B (X1)")], [says("String", "A (X2)")]])),
            block(
                "RowLabelList",
                numbered([says("String", f"{row:3d}. Y = {label:5.2f} cm")] for row, label in enumerate(labels, 1)),
            ),
        ),
        says("Weight", step.weight),
        says("WeightLocked", 0),
        says("PercentOfArc", 0),
        says("HasSharedModifierList", 0),
        says("DoseRate", 0),
        says("DeliveryTime", 0),
    ]


def _table(rows: Sequence[Sequence[float]]) -> Lines:
    """RawData with its Points: commas behind each row but the last."""
    lines = [",".join(f"{value:g}" for value in row) for row in rows]
    points = [line + "," for line in lines[:-1]] + lines[-1:]
    return block(
        "RawData",
        says("NumberOfDimensions", len(rows[0])),
        says("NumberOfPoints", len(rows)),
        block("Points[]", points),
    )


def _block_text(kind: str) -> Lines:
    inside, outside = ("Expose", "Block") if kind == "APERTURE" else ("Block", "Expose")
    return block(
        "BeamModifier",
        says("Name", "BeamModifier_1"),
        says("FixToCollimator", 1),
        says("AutoBlock", 0),
        says("StructureToBlock", "Manual"),
        says("Margin", 0),
        says("InsideMode", inside),
        says("OutsideMode", outside),
        block(
            "ContourList",
            block(
                "CurvePainter",
                block("Curve", _table([*OUTLINE, OUTLINE[0]]), block("LabelList")),
                says("Color", ""),
                says("SliceCoordinate", 0),
                says("Orientation", "Transverse"),
            ),
        ),
    )


def _trial_text(course: Course, trial: Trial, beams: Sequence[Lines]) -> Lines:
    """A trial of ``plan.Trial``."""
    axes = "XYZ"
    grid = [f"DoseGrid .VoxelSize .{axis} = {value:g};" for axis, value in zip(axes, trial.voxel)]
    grid += [f"DoseGrid .Dimension .{axis} = {value};" for axis, value in zip(axes, trial.dimension)]
    grid += [f"DoseGrid .Origin .{axis} = {value:g};" for axis, value in zip(axes, trial.origin)]
    grid += [f"DoseGrid .VolRotDelta .{axis} = 0;" for axis in axes]
    prescriptions = [
        block(
            "Prescription",
            says("Name", group.name),
            says(
                "RequestedMonitorUnitsPerFraction", round(sum(trial.fields[beam - 1].by_grid for beam in group.beams))
            ),
            says("PrescriptionDose", float(f"{group.dose * 100:g}")),
            says("PrescriptionPercent", course.percent),
            says("NumberOfFractions", group.fractions),
            says("PrescriptionPoint", "iso 1" if place == 0 else "ref 2"),
            says("Method", "Prescribe"),
            says("NormalizationMethod", "Point Dose"),
            says("PrescriptionPeriod", "Per Fraction"),
            says("WeightsProportionalTo", "Point Dose"),
            says("Color", "red"),
        )
        for place, group in enumerate(trial.groups)
    ]
    return block(
        "Trial",
        says("Name", trial.name),
        block("PatientRepresentation", says("PatientVolumeName", "DOE^JANE^Q"), says("CtToDensityName", "CT")),
        grid,
        says("DoseStartSlice", 0),
        "RecordDoseData = \\XDR:0\\;",
        says("FluenceGridResolution", 0.4),
        says("RemoveCouchFromScan", 1),
        says("CouchRemovalYCoordinate", -21.1183),
        block("PrescriptionList", *prescriptions),
        block("BeamList", *beams),
        version_block(course),
        says("HasDose", 0),
    )
