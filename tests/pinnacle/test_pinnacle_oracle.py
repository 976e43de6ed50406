"""pymedphys as an oracle where it is right: patients head first, images as DICOM, cubic voxels, one machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import phantom
import phantom_course
import pytest
from phantom_course import BeamSpec

from qa_fetch.pinnacle.validating import AGREES, validate

pytestmark = pytest.mark.pymedphys
# its isocentre is the last point that is called so
BEAMS = (
    BeamSpec(gantry=40.0, collimator=10.0, isocentre="Isocenter old"),
    BeamSpec(gantry=275.0, collimator=350.0, isocentre="Isocenter old", energy="15X"),
)


@pytest.fixture(autouse=True)
def cubic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Voxels of one edge: pymedphys mixes up those of others."""
    size = replace(
        phantom_course.SIZES["small"],
        dose_voxel=(0.7, 0.7, 0.7),
        dose_dimension=(20, 16, 9),
        dose_origin=(-7.1, -5.2, -2.95),
    )
    monkeypatch.setitem(phantom_course.SIZES, "cubic", size)
    yield


@pytest.mark.parametrize(("version", "position"), [("9.10", "HFS"), ("14.0", "HFS"), ("16.0", "HFS"), ("16.0", "HFP")])
def test_two_converters_that_know_nothing_of_each_other_agree(tmp_path: Path, version: str, position: str) -> None:
    """Every voxel and contour, the dose of every trial, and every setting of its beams but their monitor units."""
    course = phantom.Course(
        version=version, position=position, images="dicom", size="cubic", beams=BEAMS, plans=2, trials=2
    )
    truth = phantom.write(course, tmp_path / "archive.tar")
    found = validate(truth.path)
    assert len(found.comparisons) == 1 + 2 * (1 + 2 * 2)
    for each in found.comparisons:
        if each.kind == "plan":
            assert [line.what for line in each.differing] == ["beam 1: monitor units", "beam 2: monitor units"]
            agreeing = {line.what for line in each.lines if line.agrees}
            for value in (
                "gantry",
                "collimator",
                "couch",
                "X jaws",
                "Y jaws",
                "leaves",
                "isocentre",
                "energy",
                "weight",
            ):
                assert {f"beam 1: {value}", f"beam 2: {value}"} <= agreeing
        else:
            assert (each.what, each.verdict, each.differing) == (each.what, AGREES, ())
    doses = [each.measures for each in found.comparisons if each.kind == "dose"]
    assert [(measures["gamma_3_3"], measures["gamma_1_1"]) for measures in doses] == [(1.0, 1.0)] * 4
    assert max(measures["dose_share"] for measures in doses) < 1e-4
    outlines = [each.measures["outline_mm"] for each in found.comparisons if each.kind == "structures"]
    assert max(outlines) < 0.001
