"""The RTDOSE of a trial: the doses of its beams, added up over all fractions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import BadArchive, NotFound
from . import geometry, grids, objects
from .making import DOSE_MAXIMUM, DOSE_MAXIMUM_AT, Encoded, ImageSeries, Work
from .monitor_units import MonitorUnits, fractions_of, prescription_of
from .records import Beam, Grid, Trial, Triple
from .uids import Uids

RT_DOSE: Final = "1.2.840.10008.5.1.4.1.1.481.2"
RT_PLAN: Final = "1.2.840.10008.5.1.4.1.1.481.5"
RT_STRUCTURE_SET: Final = "1.2.840.10008.5.1.4.1.1.481.3"
_LONGEST_AXIS = 65_535  # voxels, in Rows and Columns
_FARTHEST = 1e4  # cm
_PROOF = 1e-3  # of the highest dose: far less than a grid that is turned over gives
_HIGHEST_DOSE = 1e4  # Gy; what is above comes of a damaged number
_HIGHEST = 2**32 - 16  # below the largest value by more than the rounding of DoseGridScaling makes of it


class _NoDose(Exception):
    """The dose of a trial is not written; the text is a clause that says why."""


def dose(
    work: Work,
    series: ImageSeries,
    trial: Trial,
    units: Mapping[int, MonitorUnits],
    plan_uid: Optional[str],
) -> Optional[Encoded]:
    """The dose of a trial; None and a note where any part of it is missing or not sure.

    Parameters
    ----------
    work, series
        The plan, and the images that it was made on.
    trial
        One of its trials.
    units
        The monitor units of its beams: ``monitor_units.of_trial``.
    plan_uid
        The plan that it refers to; None where there is none.
    """
    assert work.plan is not None
    where = f"plan {work.plan.entry.number}, trial {trial.index}"
    what = f"RTDOSE of {where}"
    try:
        grid = _grid(series, trial)
        total = _sum(work, series, trial, grid, units)
        data = _dataset(work, series, trial, grid)
        facts = _fill(data, total, series, grid)
        _prove(work, series, trial, grid, units, facts)
    except _NoDose as error:
        work.notes.skip(what, str(error))
        return None
    del total
    if plan_uid is not None:
        data.ReferencedRTPlanSequence = [reference(RT_PLAN, plan_uid)]
    else:
        objects.warn_once(work.notes, what, "its plan is not written, so it refers to none")
    return replace(objects.encoded(data), what=what, facts=facts)


def reference(sop_class: str, sop_instance: str) -> Any:
    """An item that refers to another object."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_instance
    return item


def _grid(series: ImageSeries, trial: Trial) -> Grid:
    if series.doubt is not None:
        raise _NoDose(series.doubt)
    if not trial.whole:
        raise _NoDose(
            "the text of this trial is not whole, so beams may be missing; restore plan.Trial from its backup"
        )
    if trial.grid is None:
        raise _NoDose("the trial does not describe a dose grid; restore plan.Trial from its backup")
    if trial.grid.rotated:
        raise _NoDose("its dose grid is rotated, which is not converted; export it from the planning system")
    numbers = (*trial.grid.voxel, *trial.grid.origin)
    if max(trial.grid.dimension) > _LONGEST_AXIS or not max(map(abs, numbers)) < _FARTHEST or min(numbers[:3]) <= 0:
        raise _NoDose("its dose grid is none that a patient can have; restore plan.Trial from its backup")
    if not trial.beams:
        raise _NoDose("the trial has no beams")
    return trial.grid


def _sum(
    work: Work, series: ImageSeries, trial: Trial, grid: Grid, units: Mapping[int, MonitorUnits]
) -> NDArray[np.float64]:
    """Gy over all fractions, on axes that ascend in DICOM's coordinates; all beams are judged before any is read."""
    factors = [(beam, _factor(beam, trial, units)) for beam in trial.beams if not units[beam.index].idle]
    if not factors:
        raise _NoDose("none of its beams has a weight")
    files = [beam.dose for beam, _ in factors if beam.dose is not None]
    if len(set(files)) != len(files):
        raise _NoDose("two of its beams name the same dose file; restore plan.Trial from its backup")
    columns, rows, count = grid.dimension
    for beam, _ in factors:  # the files' lengths first: what they claim is allocated only if it is there
        _check(work, beam, columns * rows * count * 4)
    total = np.zeros((count, rows, columns), dtype=np.float64)
    for beam, factor in factors:
        _add(work, series, grid, beam, factor, total)
    return total


def _factor(beam: Beam, trial: Trial, units: Mapping[int, MonitorUnits]) -> float:
    """From cGy for a MU to Gy in all fractions."""
    found, prescription = units[beam.index], prescription_of(beam, trial)
    if not beam.whole:
        raise _NoDose(f"beam {beam.index} is not whole in plan.Trial; restore that file from its backup")
    if found.used is None:
        raise _NoDose(f"the monitor units of beam {beam.index} are not sure: {found.reason}")
    if prescription is None:
        raise _NoDose(f"beam {beam.index} belongs to no prescription, so its number of fractions is not known")
    fractions = fractions_of(prescription)
    if fractions is None:
        raise _NoDose(f"the prescription of beam {beam.index} does not say a number of fractions")
    return found.used * fractions / 100.0


def _check(work: Work, beam: Beam, expected: int) -> None:
    if beam.dose is None:
        raise _NoDose(f"beam {beam.index} has no dose: it was not computed")
    try:
        length = work.source.size(beam.dose)
    except NotFound:
        raise _NoDose(f"the dose file of beam {beam.index} is not in the archive; restore it from its backup") from None
    if length != expected:
        how = "empty" if not length else "cut short" if length < expected else "longer than its grid"
        raise _NoDose(
            f"the dose file of beam {beam.index} is {how} ({length} bytes instead of {expected}); "
            "restore it from its backup"
        )


def _add(work: Work, series: ImageSeries, grid: Grid, beam: Beam, factor: float, total: NDArray[np.float64]) -> None:
    """Add a beam's dose, plane by plane; its rows descend in y, its planes and columns ascend."""
    x, y, z = geometry.signs(series.patient_position)
    assert beam.dose is not None
    something = False
    try:
        for number, plane in enumerate(grids.planes(work.source, beam.dose, grid)):
            if not np.isfinite(plane).all():
                raise _NoDose(f"the dose file of beam {beam.index} has values that are no numbers")
            if (plane < 0).any():
                raise _NoDose(f"the dose file of beam {beam.index} has values below zero")
            something = something or bool(plane.any())
            turned = plane[:: 1 if y < 0 else -1, :: 1 if x > 0 else -1]
            total[number if z > 0 else -1 - number] += turned.astype(np.float64) * factor
    except (BadArchive, NotFound):
        raise _NoDose(
            f"the dose file of beam {beam.index} cannot be read to its end; restore it from its backup"
        ) from None
    if not something:
        raise _NoDose(f"the dose file of beam {beam.index} holds nothing but zeros: its dose was not computed")


def _dataset(work: Work, series: ImageSeries, trial: Trial, grid: Grid) -> Any:
    assert work.plan is not None
    uids, numbers = Uids(work.patient), (work.plan.entry.number, trial.index, trial.name)
    data = objects.base(
        work, series, "RTDOSE", RT_DOSE, uids.uid("instance RTDOSE", *numbers), uids.uid("series RTDOSE", *numbers)
    )
    columns, rows, count = grid.dimension
    data.OperatorsName = ""
    data.InstanceNumber = 1
    data.SliceThickness = objects.decimal(round(grid.voxel[2] * 10, 6))
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.NumberOfFrames = count
    data.FrameIncrementPointer = 0x3004000C
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 32, 32, 31, 0
    data.PixelSpacing = [objects.decimal(round(grid.voxel[axis] * 10, 6)) for axis in (1, 0)]  # rows lie along y
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [objects.decimal(round(value, 6)) for value in _first(series, grid)]
    data.GridFrameOffsetVector = [objects.decimal(round(grid.voxel[2] * 10 * plane, 6)) for plane in range(count)]
    data.DoseUnits = "GY"
    data.DoseType = "PHYSICAL"
    data.DoseSummationType = "PLAN"
    return data


def _first(series: ImageSeries, grid: Grid) -> Triple:
    """The centre of the first voxel: the lowest of each axis in DICOM's coordinates, mm."""
    ends = [grid.origin[axis] + (grid.dimension[axis] - 1) * grid.voxel[axis] for axis in range(3)]
    corners = geometry.to_dicom([grid.origin, ends], series.patient_position, series.shift)
    x, y, z = corners.min(axis=0).tolist()
    return x, y, z


def _fill(data: Any, total: NDArray[np.float64], series: ImageSeries, grid: Grid) -> dict[str, float]:
    """Scale the dose into PixelData; the maximum and its place, before they were scaled."""
    highest = int(total.argmax())
    maximum = float(total.reshape(-1)[highest])
    if not maximum < _HIGHEST_DOSE:
        raise _NoDose(
            f"it reaches {maximum:.3g} Gy, which no treatment gives; restore the plan's folder from its backup"
        )
    scaling = objects.decimal(float(f"{maximum / _HIGHEST:.9e}"))
    values = np.empty(total.shape, dtype="<u4")
    for plane in range(len(total)):
        values[plane] = np.rint(total[plane] / float(scaling))
    data.DoseGridScaling = scaling
    data.PixelData = values.tobytes()
    data["PixelData"].VR = "OW"
    plane, row, column = (int(index) for index in np.unravel_index(highest, total.shape))
    place = np.array(_first(series, grid)) + 10 * np.array(grid.voxel) * [column, row, plane]
    return {DOSE_MAXIMUM: maximum, **dict(zip(DOSE_MAXIMUM_AT, place.tolist()))}


def _prove(
    work: Work,
    series: ImageSeries,
    trial: Trial,
    grid: Grid,
    units: Mapping[int, MonitorUnits],
    facts: Mapping[str, float],
) -> None:
    """Look the highest dose up again where the beams' own files have it: axes that were turned wrongly differ there."""
    signs = geometry.POSITIONS[series.patient_position]
    place = [(facts[key] - series.shift[axis]) / 10 * signs[axis] for axis, key in enumerate(DOSE_MAXIMUM_AT)]
    here = 0.0
    for beam in trial.beams:
        if beam.dose is not None and not units[beam.index].idle:
            own = grids.at(work.source, beam.dose, grid, (place[0], place[1], place[2]))
            here += 0.0 if own is None else own * _factor(beam, trial, units)
    if not abs(here - facts[DOSE_MAXIMUM]) <= _PROOF * facts[DOSE_MAXIMUM]:
        raise _NoDose(
            "its highest dose is not where the archive has it, which is a fault of qa_fetch; please report it"
        )
