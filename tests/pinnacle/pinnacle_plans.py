"""RTPLANs of the beams of pinnacle_fields, read back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Optional

from peers.process import Missing, program, skip_or_fail
from pinnacle_fields import (
    LEAVES,
    agreeing,
    field,
    trial,
    work,
)
from pinnacle_work import opened, series

from qa_fetch.pinnacle.making import ImageSeries, Work
from qa_fetch.pinnacle.monitor_units import of_trial
from qa_fetch.pinnacle.records import Beam, ControlPoint, Trial
from qa_fetch.pinnacle.rtplan import plan

PLAN, STRUCTURES, DOSE = "2.25.11", "2.25.12", "2.25.13"


def sure(index: int = 0, *points: ControlPoint, **changes: Any) -> Beam:
    """A beam whose monitor units are sure."""
    return field(index, *points, **{"monitor_units": agreeing(index), **changes})


def made(of: Work, given: Trial, images: Optional[ImageSeries] = None, structures: Optional[str] = STRUCTURES) -> Any:
    """A plan that must be written, read back."""
    encoded = plan(of, images or series(), given, of_trial(of, given), PLAN, structures, DOSE)
    assert encoded is not None, of.notes.skipped
    assert (encoded.what, encoded.modality, encoded.sop_instance) == ("RTPLAN of plan 0, trial 0", "RTPLAN", PLAN)
    return opened(encoded.data)


def one(tmp_path: Path, beam: Beam, **changes: Any) -> tuple[Any, list[str]]:
    """The item of a beam, and what is said about it."""
    given = trial(beam)
    of = work(tmp_path, given, **changes)
    (item,) = made(of, given).BeamSequence
    return item, [left.reason for left in of.notes.warnings if left.what == "beam 0 of RTPLAN of plan 0, trial 0"]


def refused(tmp_path: Path, beam: Beam, **changes: Any) -> str:
    """Why a beam keeps its plan from being written."""
    given = trial(beam)
    of = work(tmp_path, given, **changes)
    units = of_trial(of, given)
    before = list(of.notes.warnings)
    assert plan(of, series(), given, units, PLAN, None, None) is None
    (left,) = of.notes.skipped
    assert (left.what, of.notes.warnings) == ("RTPLAN of plan 0, trial 0", before)
    text = "its beam 0 cannot be written as it is: "
    assert left.reason.startswith(text)
    return left.reason[len(text) :]


def cumulative(item: Any) -> list[float]:
    """The weights of a beam's control points."""
    return [float(point.CumulativeMetersetWeight) for point in item.ControlPointSequence]


def leaves(point: Any) -> list[float]:
    """The leaf positions of a control point."""
    (device,) = (each for each in point.BeamLimitingDevicePositionSequence if each.RTBeamLimitingDeviceType == "MLCX")
    return [float(value) for value in device.LeafJawPositions]


def expected_leaves(shift: float = 0.0) -> list[float]:
    """The leaves of the beams here, each moved outwards by some cm."""
    x1 = [-(value + shift) * 10 for value in LEAVES[0::2]][::-1]
    return [*x1, *[(value + shift) * 10 for value in LEAVES[1::2]][::-1]]


def judged(path: Path) -> list[str]:
    """What dciodvfy calls an error."""
    try:
        tool = program("dciodvfy", "dicom3tools")
    except Missing as missing:
        skip_or_fail(missing)
    done = subprocess.run([tool, str(path)], capture_output=True, timeout=60, check=False)
    return [
        line
        for line in (done.stdout + done.stderr).decode("latin-1").splitlines()
        if line.startswith("Error") or "Assertion" in line
    ]
