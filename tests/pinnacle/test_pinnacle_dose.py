"""The RTDOSE of a trial against truth: every voxel, every position, and never a sum with a part missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pinnacle_fields import GRID, PRESCRIPTION, agreeing, dose_at, field, grid_dose, trial, work
from pinnacle_plans import judged
from pinnacle_work import opened, series

from qa_fetch.pinnacle import grids
from qa_fetch.pinnacle.dose import dose
from qa_fetch.pinnacle.geometry import POSITIONS
from qa_fetch.pinnacle.making import DOSE_MAXIMUM, DOSE_MAXIMUM_AT, Encoded, ImageSeries, Left, Work
from qa_fetch.pinnacle.monitor_units import MonitorUnits, of_trial
from qa_fetch.pinnacle.records import Beam, Trial

PLAN = "2.25.11"


def made(of: Work, given: Trial, images: ImageSeries, **changes: Any) -> Any:
    """A dose that must be written, with what it was encoded as."""
    units = changes.pop("units", None) or of_trial(of, given)
    encoded = dose(of, images, given, units, changes.get("plan_uid", PLAN))
    assert encoded is not None, of.notes.skipped
    return encoded, opened(encoded.data)


def refused(of: Work, given: Trial, images: ImageSeries) -> str:
    """Why a dose is not written."""
    assert dose(of, images, given, of_trial(of, given), PLAN) is None
    (left,) = of.notes.skipped
    assert left.what == "RTDOSE of plan 0, trial 0"
    return left.reason


def two(*changes: dict[str, Any]) -> tuple[Beam, ...]:
    """Two beams whose formula and grid agree."""
    return tuple(
        field(index, monitor_units=agreeing(index), **(changes[index] if changes else {})) for index in range(2)
    )


@pytest.mark.parametrize("position", POSITIONS)
def test_every_voxel_lies_where_it_does_with_the_dose_that_it_has(tmp_path: Path, position: str) -> None:
    """Neither mirrored, nor shifted, nor with rows and columns exchanged: not in any position."""
    given = trial(*two())
    images = replace(series(position), shift=(3.0, -2.0, 0.0))
    encoded, data = made(work(tmp_path, given), given, images)
    x0, y0, z0 = (float(value) for value in data.ImagePositionPatient)
    row, column = (float(value) for value in data.PixelSpacing)
    values = data.pixel_array * float(data.DoseGridScaling)
    assert list(data.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert [float(value) for value in data.GridFrameOffsetVector] == pytest.approx([0, 3, 6, 9, 12])
    sign = POSITIONS[position]
    for plane, offset in enumerate(data.GridFrameOffsetVector):
        for line in range(data.Rows):
            for place in range(data.Columns):
                at = (x0 + place * column - 3, y0 + line * row + 2, z0 + float(offset))
                pinnacle = [value / 10 * side for value, side in zip(at, sign)]
                # each beam gives 110 cGy at the isocentre in each of 12 fractions
                wanted = sum(dose_at(beam, pinnacle) * 110 / dose_at(beam) * 12 / 100 for beam in range(2))
                assert values[plane, line, place] == pytest.approx(wanted, rel=2e-6)
    assert encoded.facts[DOSE_MAXIMUM] == pytest.approx(values.max(), rel=1e-8)


def test_the_facts_tell_the_maximum_and_its_place(tmp_path: Path) -> None:
    """They are of the source's numbers, for whoever reads the object back."""
    given = trial(*two())
    encoded, data = made(work(tmp_path, given), given, series("FFS"))
    highest = [GRID.origin[axis] + (GRID.dimension[axis] - 1) * GRID.voxel[axis] for axis in range(3)]
    assert [encoded.facts[axis] for axis in DOSE_MAXIMUM_AT] == pytest.approx(
        [-10 * highest[0], -10 * highest[1], 10 * highest[2]]
    )
    assert encoded.facts[DOSE_MAXIMUM] == pytest.approx(data.pixel_array.max() * float(data.DoseGridScaling))
    assert (encoded.what, encoded.modality) == ("RTDOSE of plan 0, trial 0", "RTDOSE")


def test_what_the_dose_says_of_itself(tmp_path: Path) -> None:
    """Of a plan, in Gy, on the images' frame of reference."""
    given = trial(*two())
    of = work(tmp_path, given)
    encoded, data = made(of, given, series())
    assert (data.DoseUnits, data.DoseType, data.DoseSummationType) == ("GY", "PHYSICAL", "PLAN")
    assert (data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation) == (32, 32, 31, 0)
    assert (data.Rows, data.Columns, data.NumberOfFrames) == (3, 4, 5)
    assert [float(value) for value in data.PixelSpacing] == [4.0, 5.0]
    assert data.FrameOfReferenceUID == series().frame
    assert data.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == PLAN
    assert len(str(data.DoseGridScaling.original_string)) <= 16
    assert data.pixel_array.max() > 2**32 - 32  # all of the range is used
    again, _ = made(of, given, series())
    assert again == encoded  # with the same UIDs
    assert of.notes == type(of.notes)()


def test_without_its_plan_a_dose_refers_to_none(tmp_path: Path) -> None:
    """A plan that cannot be written does not take the dose with it."""
    given = trial(*two())
    of = work(tmp_path, given)
    _, data = made(of, given, series(), plan_uid=None)
    assert "ReferencedRTPlanSequence" not in data
    assert of.notes.warnings == [Left("RTDOSE of plan 0, trial 0", "its plan is not written, so it refers to none")]


def test_each_beam_counts_with_the_fractions_of_its_own_prescription(tmp_path: Path) -> None:
    """A boost has others."""
    boost = replace(PRESCRIPTION, name="Boost", fractions=3)
    given = trial(*two({}, {"prescription": "Boost"}), prescriptions=(PRESCRIPTION, boost))
    encoded, _ = made(work(tmp_path, given), given, series())
    factors = [110 / dose_at(beam) * fractions / 100 for beam, fractions in enumerate((12, 3))]
    total = sum(grid_dose(beam).astype(float) * factor for beam, factor in enumerate(factors))
    assert encoded.facts[DOSE_MAXIMUM] == pytest.approx(total.max(), rel=1e-7)


def test_a_beam_without_weight_adds_nothing(tmp_path: Path) -> None:
    """Its dose is not asked for."""
    given = trial(*two({}, {"weight": 0.0}))
    info = replace(agreeing(1), prescription_dose=0.0)
    given = replace(given, beams=(given.beams[0], replace(given.beams[1], monitor_units=info)))
    encoded, _ = made(work(tmp_path, given, doses=[grid_dose(), None]), given, series())
    assert encoded.facts[DOSE_MAXIMUM] == pytest.approx(float(grid_dose().max()) * 110 / dose_at() * 12 / 100)


WHOLE = GRID.dimension[0] * GRID.dimension[1] * GRID.dimension[2] * 4
RESTORE = "restore it from its backup"


def with_value(value: float) -> bytes:
    """A dose file in whose middle a value stands."""
    array = grid_dose(1)
    array[2, 1, 2] = value
    return bytes(array[:, ::-1, :].astype(">f4").tobytes())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, f"the dose file of beam 1 is not in the archive; {RESTORE}"),
        (b"", f"the dose file of beam 1 is empty (0 bytes instead of {WHOLE}); {RESTORE}"),
        (bytes(17), f"the dose file of beam 1 is cut short (17 bytes instead of {WHOLE}); {RESTORE}"),
        (
            bytes(WHOLE + 4),
            f"the dose file of beam 1 is longer than its grid ({WHOLE + 4} bytes instead of {WHOLE}); {RESTORE}",
        ),
        (bytes(WHOLE), "the dose file of beam 1 holds nothing but zeros: its dose was not computed"),
        (with_value(float("nan")), "the dose file of beam 1 has values that are no numbers"),
        (with_value(float("inf")), "the dose file of beam 1 has values that are no numbers"),
        (with_value(-0.001), "the dose file of beam 1 has values below zero"),
    ],
)
def test_a_damaged_dose_of_one_beam_leaves_out_the_whole_sum(tmp_path: Path, data: Any, reason: str) -> None:
    """A sum with a beam missing would look like a dose."""
    given = trial(*two())
    of = work(tmp_path, given, doses=[grid_dose(), data])
    units = {index: MonitorUnits(100.0, 100.0, 100.0, sure=True) for index in range(2)}
    assert dose(of, series(), given, units, PLAN) is None
    assert of.notes.skipped == [Left("RTDOSE of plan 0, trial 0", reason)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"whole": False},
            "the text of this trial is not whole, so beams may be missing; restore plan.Trial from its backup",
        ),
        ({"grid": None}, "the trial does not describe a dose grid; restore plan.Trial from its backup"),
        (
            {"grid": replace(GRID, rotated=True)},
            "its dose grid is rotated, which is not converted; export it from the planning system",
        ),
        (
            {"grid": replace(GRID, voxel=(0.5, -0.4, 0.3))},
            "its dose grid is none that a patient can have; restore plan.Trial from its backup",
        ),
        (
            {"grid": replace(GRID, origin=(1e300, 0, 0))},
            "its dose grid is none that a patient can have; restore plan.Trial from its backup",
        ),
        (
            {"grid": replace(GRID, dimension=(70_000, 3, 5))},
            "its dose grid is none that a patient can have; restore plan.Trial from its backup",
        ),
        ({"beams": ()}, "the trial has no beams"),
        ({"prescriptions": ()}, "beam 0 belongs to no prescription, so its number of fractions is not known"),
        (
            {"prescriptions": (replace(PRESCRIPTION, fractions=None),)},
            "the prescription of beam 0 does not say a number of fractions",
        ),
        (
            {"prescriptions": (replace(PRESCRIPTION, fractions=10**12),)},
            "the prescription of beam 0 does not say a number of fractions",
        ),
        (
            {"beams": (field(0, monitor_units=agreeing(), whole=False),)},
            "beam 0 is not whole in plan.Trial; restore that file from its backup",
        ),
        ({"beams": (field(0, weight=0, monitor_units=None),)}, "none of its beams has a weight"),
    ],
)
def test_a_trial_that_does_not_say_all_has_no_dose(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """Each with its reason and what to do."""
    given = replace(trial(*two()), **changes)
    assert refused(work(tmp_path, given), given, series()) == reason


def test_monitor_units_that_are_not_sure_leave_the_dose_out(tmp_path: Path) -> None:
    """Both numbers are told."""
    given = trial(field())
    reason = refused(work(tmp_path, given), given, series())
    assert reason.startswith("the monitor units of beam 0 are not sure: by formula they are 122.55 MU, by grid ")
    assert reason.endswith("; choose one of them with mu=formula or mu=grid (--mu formula, --mu grid)")


def test_images_that_the_plan_cannot_be_placed_in_leave_the_dose_out(tmp_path: Path) -> None:
    """What is wrong with them is the reason."""
    given = trial(*two())
    assert refused(work(tmp_path, given), given, replace(series(), doubt="the header lies")) == "the header lies"


def test_a_grid_that_claims_more_than_its_file_takes_no_memory(tmp_path: Path) -> None:
    """The files' lengths are looked at before anything is allocated for them."""
    given = trial(*two(), grid=replace(GRID, dimension=(65_000, 65_000, 65_000)))
    expected = 65_000**3 * 4
    assert refused(work(tmp_path, given, machines=()), given, series()).startswith("the monitor units of beam 0")
    of = work(tmp_path, given)
    units = {index: MonitorUnits(100.0, 100.0, 100.0, sure=True) for index in range(2)}
    assert dose(of, series(), given, units, PLAN) is None
    assert of.notes.skipped[0].reason == (
        f"the dose file of beam 0 is cut short ({WHOLE} bytes instead of {expected}); {RESTORE}"
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e2])
def test_small_and_large_doses_keep_their_digits(tmp_path: Path, scale: float) -> None:
    """The scaling is chosen by the maximum, and is what the object says, not what it was before it was written."""
    given = trial(field(0, monitor_units=agreeing()))
    of = work(tmp_path, given, doses=[grid_dose() * np.float32(scale)])
    units = {0: MonitorUnits(100.0, 100.0, 100.0, sure=True)}
    encoded, data = made(of, given, series(), units=units)
    wanted = grid_dose()[::-1, ::-1].astype(float) * np.float32(scale) * 12
    found = data.pixel_array * float(data.DoseGridScaling)
    assert np.abs(found / wanted - 1).max() < 2e-6
    assert isinstance(encoded, Encoded)


def test_a_dose_that_no_treatment_gives_is_not_written(tmp_path: Path) -> None:
    """One damaged voxel would make all the others too coarse to be told apart."""
    given = trial(field(0, monitor_units=agreeing()))
    damaged = grid_dose()
    damaged[2, 1, 2] = 1e30
    of = work(tmp_path, given, doses=[damaged])
    units = {0: MonitorUnits(100.0, 100.0, 100.0, sure=True)}
    assert dose(of, series(), given, units, PLAN) is None
    reason = "it reaches 1.2e+31 Gy, which no treatment gives; restore the plan's folder from its backup"
    assert of.notes.skipped == [Left("RTDOSE of plan 0, trial 0", reason)]


def test_one_dose_file_of_two_beams_is_not_added_twice(tmp_path: Path) -> None:
    """Each beam has a dose of its own; the other's would be missing."""
    given = trial(*two({}, {"dose": "dose.0"}))
    of = work(tmp_path, given, doses=[grid_dose(), None])
    units = {index: MonitorUnits(100.0, 100.0, 100.0, sure=True) for index in range(2)}
    assert dose(of, series(), given, units, PLAN) is None
    reason = "two of its beams name the same dose file; restore plan.Trial from its backup"
    assert of.notes.skipped == [Left("RTDOSE of plan 0, trial 0", reason)]


def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    """It gives up on 32 bits, so it is shown the object with 16."""
    given = trial(*two())
    _, data = made(work(tmp_path, given), given, series())
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelData = bytes(WHOLE // 2)
    path = tmp_path / "dose.dcm"
    data.save_as(path)
    assert judged(path) == []


def test_the_largest_value_never_passes_what_32_bits_hold(tmp_path: Path) -> None:
    """DoseGridScaling is rounded to sixteen characters, by which the maximum moves."""
    given = trial(field(0, monitor_units=agreeing()))
    of = work(tmp_path, given)
    for step in range(80):
        units = {0: MonitorUnits(100.0, 100.0, 100.0 + step / 7, sure=True)}
        encoded, data = made(of, given, series(), units=units)
        found = data.pixel_array.max() * float(data.DoseGridScaling)
        assert found == pytest.approx(encoded.facts[DOSE_MAXIMUM], rel=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_a_sum_that_is_turned_over_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axis: int) -> None:
    """Axes turned wrongly would be a fault of ours that nobody sees in one position of four."""
    given, original = trial(*two()), grids.planes

    def turned(*given: Any) -> Any:
        values = np.stack(list(original(*given)))
        return iter(np.flip(values, axis))

    monkeypatch.setattr(grids, "planes", turned)
    reason = "its highest dose is not where the archive has it, which is a fault of qa_fetch; please report it"
    assert refused(work(tmp_path, given), given, series("FFS")) == reason
