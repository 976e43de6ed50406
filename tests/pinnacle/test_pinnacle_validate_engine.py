"""pymedphys as the second engine: what it gets wrong is shown and explained, what it cannot do is said."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import phantom
import phantom_course
import pytest

from qa_fetch.pinnacle.validating import AGREES, DIFFERS, OPEN, Comparison, Validation, doses, validate
from qa_fetch.pinnacle.validating.objects_read import Dose

pytestmark = pytest.mark.pymedphys
CUBIC = {"dose_voxel": (0.7, 0.7, 0.7), "dose_dimension": (20, 16, 9), "dose_origin": (-7.1, -5.2, -2.95)}


@pytest.fixture(autouse=True)
def cubic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Voxels of one edge: pymedphys mixes up those of others."""
    monkeypatch.setitem(phantom_course.SIZES, "cubic", replace(phantom_course.SIZES["small"], **CUBIC))
    yield


@pytest.fixture
def validated(tmp_path: Path) -> Callable[..., Validation]:
    def of(asked: Any = None, **options: Any) -> Validation:
        chosen = {"images": "dicom", "size": "cubic", "beams": ("static",), **options}
        truth = phantom.write(phantom.Course(**chosen), tmp_path / "archive.tar")
        return validate(truth.path, **(asked or {}))

    return of


def of(validation: Validation, what: str) -> Comparison:
    (found,) = [each for each in validation.comparisons if each.what == what]
    return found


def test_it_agrees_but_for_what_it_is_known_to_get_wrong(validated):
    """Images, contours and dose agree; of the plan, monitor units and isocentre differ for known reasons."""
    found = validated()
    assert found.other.startswith("pymedphys 0.")
    assert [each.verdict for each in found.comparisons] == [AGREES, AGREES, AGREES, DIFFERS]
    plan = of(found, "RTPLAN of plan 0, trial 0")
    assert [(line.what, line.known) for line in plan.differing] == [
        (
            "beam 1: monitor units",
            ("pymedphys leaves the collimator's output factor, trays and wedges out of monitor units",),
        ),
        (
            "beam 1, control point 0 to 1: isocentre",
            ("pymedphys guesses the isocentre from the names of points; the beam names another one",),
        ),
    ]
    assert (found.verdict, found.exit_code) == (DIFFERS, 1)
    dose = of(found, "RTDOSE of plan 0, trial 0")
    assert (dose.measures["gamma_3_3"], dose.measures["gamma_1_1"]) == (1.0, 1.0)
    page = "".join(line for line in found.write(Path("report.html")).read_text(encoding="utf-8").splitlines())
    assert "All 2 values that differ are such as this engine is known to get wrong." in page
    assert '<a href="#known2">2</a>' in page


def test_an_archive_from_before_version_9_is_moved_and_the_reason_is_given(validated):
    """Its contours and its dose lie elsewhere by the shift of the phantom; gamma finds it."""
    found = validated(version="7.4")
    reason = (
        "pymedphys does not know that archives before version 9 have their plans in other coordinates than their images"
    )
    contours, dose = of(found, "RTSTRUCT of plan 0"), of(found, "RTDOSE of plan 0, trial 0")
    assert contours.measures["outline_mm"] == pytest.approx((21.5**2 + 13.25**2) ** 0.5, abs=0.01)
    assert {line.known for line in contours.differing} == {(reason,)}
    assert dose.verdict == DIFFERS
    assert dose.measures["gamma_3_3"] < 0.5
    assert reason in dose.notes


def test_a_patient_feet_first_has_contours_with_the_wrong_images(validated):
    """The outlines are right, what they refer to is not."""
    found = of(validated(position="FFS"), "RTSTRUCT of plan 0")
    ((what, ours, theirs, known),) = [(line.what, line.ours, line.theirs, line.known) for line in found.differing]
    assert (what, ours) == ("contours that name an image of another height", "0")
    assert int(theirs) > 0
    assert known == ("pymedphys looks for the image of a contour on the wrong side of patients who lie feet first",)


def test_arcs_and_steps_are_lost_and_every_difference_has_a_reason(validated):
    """What differs of control points is what the engine is known for."""
    plan = of(validated(beams=("segments", "arc", "wedge")), "RTPLAN of plan 0, trial 0")
    assert plan.differing
    assert [line.what for line in plan.differing if not line.known] == []
    assert "pymedphys writes one control point too many for an arc" in plan.notes


def test_every_patient_plan_and_trial_is_compared(validated):
    """Where the engine itself knows the first plan and trial and one patient of an archive."""
    found = validated(patients=2, plans=2, trials=2)
    assert len(found.patients) == 2
    assert [each.verdict for each in found.comparisons if each.kind != "plan"] == [AGREES] * 2 * (1 + 2 + 4)


def test_what_stops_it_is_said_and_costs_nothing_else(validated):
    """A colour of a point that it does not know ends its contours; plan and dose are compared all the same."""
    found = validated(odd_colours=True)
    contours = of(found, "RTSTRUCT of plan 0")
    assert contours.verdict == OPEN
    assert contours.notes[0].startswith(f"{found.other} wrote none: KeyError: ")
    assert of(found, "RTDOSE of plan 0, trial 0").verdict == AGREES
    assert of(found, "images of image set 0").verdict == AGREES


def test_a_call_that_takes_too_long_is_ended_and_said(validated):
    """A hundredth of a second is too short for any."""
    found = validated({"limit": 0.01})
    assert {each.verdict for each in found.comparisons} == {OPEN}
    assert of(found, "RTSTRUCT of plan 0").notes == (f"{found.other} wrote none: it took longer than 0 s",)


def test_a_link_in_the_archive_is_not_followed_and_nothing_is_left_behind(tmp_path):
    """The engine gets only what our own reader lets through, and its folders go."""
    truth = phantom.write(phantom.Course(images="dicom", size="cubic", beams=("static",)), tmp_path / "archive.tar")
    with tarfile.open(truth.path, "a") as tar:
        link = tarfile.TarInfo(f"{truth.patient.folder}/out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        inside = tarfile.TarInfo(f"{truth.patient.folder}/out/escaped")
        tar.addfile(inside)
    assert of(validate(truth.path), "RTSTRUCT of plan 0").verdict == AGREES
    assert not (tmp_path / "escaped").exists()
    assert list(Path(tempfile.gettempdir()).glob("*")) == []


def test_gamma_is_that_of_every_voxel_though_few_are_searched_for():
    """A block of voxels is too high, or all lie elsewhere: the share that passes is that of a search for all."""
    import pymedphys

    axes = tuple(np.arange(count) * 3.0 for count in (12, 14, 13))
    z, y, x = np.meshgrid(*axes, indexing="ij")
    values = 60 * np.exp(-((z - 17) ** 2 + (y - 20) ** 2 + (x - 21) ** 2) / (2 * 25**2))
    theirs, wrong = Dose(*axes, values), values.copy()
    wrong[4:8, 5:9, 3:7] *= 1.1
    moved = axes[0] + 2.5, axes[1], axes[2]
    for ours in (Dose(*axes, wrong), Dose(*moved, values)):
        for found in doses.gammas(ours, theirs, doses.difference(ours, theirs)):
            plain = pymedphys.gamma(
                axes, values, ours.axes, ours.values, found.percent, found.distance, lower_percent_dose_cutoff=10,
                max_gamma=1.1, interp_algo="scipy",
            )  # fmt: skip
            assert found.looked_at == found.voxels
            assert found.passed == pytest.approx((plain[values >= 0.1 * values.max()] <= 1).mean(), abs=1e-9)
        assert found.passed < 1.0


def test_an_unpacked_archive_that_begins_with_the_patient(tmp_path):
    """Nothing is above the folder of its Patient file."""
    truth = phantom.write(phantom.Course(images="dicom", size="cubic", beams=("static",)), tmp_path / "archive")
    found = validate(truth.path / truth.patient.folder)
    assert of(found, "RTSTRUCT of plan 0").verdict == AGREES
    assert of(found, "RTDOSE of plan 0, trial 0").verdict == AGREES
