"""Histograms as planning systems write them, and when they are said to agree with ours."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from truth_objects import item

from qa_fetch.cohort import comparing
from qa_fetch.cohort.contours import Region
from qa_fetch.cohort.dvh import Dvh

LINE = Dvh(np.linspace(40.0, 60.0, 2001), np.full(2001, 10 / 2001), 10.0)  # evenly from 40 to 60 Gy, 10 cc
BINS = [*np.full(41, 100.0), *np.arange(95, 0, -5)]  # the same by 1 Gy, in per cent at the lower end of each bin


def pairs(counts: Any, width: float = 1.0) -> list[str]:
    """DVHData."""
    return [format(float(value), ".8g") for count in counts for value in (width, count)]


def histogram(**changes: Any) -> Dataset:
    """A cumulative histogram of ROI 7 in Gy and per cent; None leaves an attribute out."""
    given: dict[str, Any] = {
        "DVHType": "CUMULATIVE",
        "DoseUnits": "GY",
        "DVHDoseScaling": "1",
        "DVHVolumeUnits": "PERCENT",
        "DVHData": pairs(BINS),
        "DVHNumberOfBins": len(BINS),
        "DVHReferencedROISequence": Items([item(ReferencedROINumber=7, DVHROIContributionType="INCLUDED")]),
    }
    if changes.get("DVHData"):
        given["DVHNumberOfBins"] = len(changes["DVHData"]) // 2
    return item(**{key: value for key, value in {**given, **changes}.items() if value is not None})


def told(*histograms: Dataset, **facts: Any) -> comparing.Told:
    """The histograms of a dose."""
    return comparing.told(item(DVHSequence=Items(histograms), **facts))


def note(**changes: Any) -> str:
    """Why a histogram cannot be compared."""
    found = told(histogram(**changes))
    assert found.histograms == ()
    return found.notes[0]


def disagreeing(ours: Dvh = LINE, **changes: Any) -> list[str]:
    """What does not agree with ours."""
    (found,) = told(histogram(**changes)).histograms
    return [each.what for each in comparing.doses(ours, found, "A") if not each.agrees]


# What is read


def test_a_cumulative_histogram_is_read() -> None:
    """Doses are those of the lower ends of bins, and the mean is that of all bins."""
    (found,) = told(histogram()).histograms
    assert (found.number, found.volume_cc, found.bin_gy) == (7, None, 1)
    assert (found.D(95), found.D(50), found.D(2)) == tuple(pytest.approx(value, abs=0.01) for value in (41, 50, 59.6))
    assert found.mean == pytest.approx(50)
    assert (found.min, found.max) == (None, None)


def test_a_differential_histogram_is_the_same() -> None:
    """Cubic centimetres add up to the volume."""
    counted = [*np.zeros(40), *np.full(20, 0.5)]
    (found,) = told(histogram(DVHType="DIFFERENTIAL", DVHVolumeUnits="CM3", DVHData=pairs(counted))).histograms
    assert found.volume_cc == pytest.approx(10)
    assert (found.D(95), found.D(50), found.mean) == (pytest.approx(41), pytest.approx(50), pytest.approx(50))


def test_bins_are_scaled() -> None:
    """DVHDoseScaling makes Gy of the widths, not of the extremes."""
    (found,) = told(histogram(DVHData=pairs(BINS, 100), DVHDoseScaling="0.01", DVHMaximumDose="60")).histograms
    assert (found.D(50), found.bin_gy, found.max) == (pytest.approx(50), pytest.approx(1), 60)


@pytest.mark.parametrize(("width", "mean", "most"), [(1 / 50, "1", "1.2"), (100 / 50, "100", "120")])
def test_relative_doses_are_of_the_reference(width: float, mean: str, most: str) -> None:
    """As shares of it or as per cent, which the highest of all histograms tells."""
    given = histogram(DoseUnits="RELATIVE", DVHData=pairs(BINS, width), DVHMeanDose=mean, DVHMaximumDose=most)
    (found,) = told(given, DVHNormalizationDoseValue="50").histograms
    assert (found.D(50), found.mean, found.max) == (pytest.approx(50), pytest.approx(50), pytest.approx(60))


@pytest.mark.parametrize("reference", [None, "0", "-3"])
def test_relative_doses_without_a_reference_are_not_compared(reference: Optional[str]) -> None:
    """Nothing is guessed."""
    facts = {} if reference is None else {"DVHNormalizationDoseValue": reference}
    found = told(histogram(DoseUnits="RELATIVE"), **facts)
    assert found.notes == (
        "The planning system's DVH of ROI 7 was not compared: its doses are relative, and nothing sure says to what.",
    )


def test_relative_doses_of_which_the_unit_is_not_sure_are_not_compared() -> None:
    """500 % or 5 %."""
    given = histogram(DoseUnits="RELATIVE", DVHData=pairs(BINS, 5 / 60))
    assert len(told(given, DVHNormalizationDoseValue="50").notes) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"DVHType": "NATURAL"}, "its DVHType is NATURAL, which is not supported"),
        ({"DVHType": None}, "its DVHType is not a known word, which is not supported"),
        ({"DoseUnits": "CGY"}, "its DoseUnits are CGY, which are not supported"),
        ({"DVHVolumeUnits": "PER_U"}, "its DVHVolumeUnits are PER_U, which are not supported"),
        ({"DVHDoseScaling": "0"}, "its DVHDoseScaling is not above 0"),
        ({"DVHData": pairs([50, 100, 20])}, "its DVHData is empty, or rises where it has to fall"),
        ({"DVHData": pairs([0, 0])}, "its DVHData is empty, or rises where it has to fall"),
        ({"DVHData": pairs(BINS)[:-1]}, "its DVHData is damaged"),
        ({"DVHData": pairs([100, -5])}, "its DVHData is damaged"),
        ({"DVHData": None}, "its DVHData is damaged"),
        ({"DVHNumberOfBins": 5}, "its DVHData is damaged"),
    ],
)
def test_what_cannot_be_compared_is_told(changes: dict[str, Any], reason: str) -> None:
    """One sentence each, and the other histograms are compared."""
    assert note(**changes) == f"The planning system's DVH of ROI 7 was not compared: {reason}."


@pytest.mark.parametrize("kinds", [["EXCLUDED"], ["INCLUDED", "INCLUDED"], ["INCLUDED", "EXCLUDED"], []])
def test_what_is_not_of_one_whole_region_is_not_compared(kinds: list[str]) -> None:
    """Several together, one without another, or none."""
    named = [item(ReferencedROINumber=7 + at, DVHROIContributionType=kind) for at, kind in enumerate(kinds)]
    assert note(DVHReferencedROISequence=Items(named)) == (
        "A DVH of the planning system was not compared: "
        "it is of several ROIs together, of a part of one, or names none."
    )


def test_two_histograms_of_one_region_are_none() -> None:
    """Nothing says which is meant."""
    found = told(histogram(), histogram())
    assert found.histograms == ()
    assert found.notes == ("ROI 7 has several DVHs of the planning system, and none was compared.",)


def test_a_dose_without_histograms_has_none() -> None:
    """As most have it."""
    assert comparing.told(Dataset()) == comparing.Told(None)


def test_numbers_of_another_structure_set_mean_nothing() -> None:
    """A dose that names none means the only one."""
    named = item(ReferencedSOPInstanceUID="1.2.3")
    found = told(histogram(), ReferencedStructureSetSequence=Items([named]))
    assert comparing.apply_to(found, ["1.2.4", "1.2.3"]) == "1.2.3"
    assert comparing.apply_to(found, ["1.2.4"]) is None
    assert comparing.apply_to(told(histogram()), ["1.2.4"]) == "1.2.4"
    assert comparing.apply_to(told(histogram()), ["1.2.4", "1.2.3"]) is None


# What agrees


def test_the_same_agrees() -> None:
    """With its own extremes, and with those that a coarse grid has."""
    assert disagreeing(DVHMinimumDose="40", DVHMaximumDose="60", DVHMeanDose="50") == []
    assert disagreeing(DVHMinimumDose="40.3", DVHMaximumDose="59.7", DVHMeanDose="50.9") == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"DVHMeanDose": "51.3"}, ["mean"]),  # 2 % of 60 Gy is 1.2
        ({"DVHMinimumDose": "38.7"}, ["min"]),
        ({"DVHMinimumDose": "41.7"}, ["min"]),
        ({"DVHMaximumDose": "61.3"}, ["max"]),
        ({"DVHMaximumDose": "58.3"}, ["max"]),
        ({"DVHData": pairs(BINS, 1.1)}, ["mean", "D95%", "D50%", "D2%"]),
        ({"DVHData": pairs([value / 10 * 1.06 for value in BINS]), "DVHVolumeUnits": "CM3"}, ["volume"]),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], expected: list[str]) -> None:
    """And only that."""
    assert disagreeing(**changes) == expected


def test_little_dose_may_differ_by_half_a_gray() -> None:
    """2 % of 5 Gy is nothing that two programs agree on."""
    low = Dvh(np.linspace(1.0, 5.0, 401), np.full(401, 1 / 401), 1.0)
    counts = [*np.full(11, 100.0), *np.arange(97.5, 0, -2.5)]
    assert disagreeing(low, DVHData=pairs(counts, 0.1), DVHMeanDose="3.45") == []
    assert disagreeing(low, DVHData=pairs(counts, 0.1), DVHMeanDose="3.55") == ["mean"]


def test_a_disagreement_is_one_sentence() -> None:
    """What happened, then what to do."""
    (found,) = told(histogram(DVHMeanDose="55")).histograms
    (mean,) = (each for each in comparing.doses(LINE, found, "A") if each.what == "mean")
    assert (mean.ours, mean.theirs, mean.unit, mean.source, mean.plan) == (
        pytest.approx(50),
        55,
        "Gy",
        "DVHSequence",
        "A",
    )
    assert mean.said == (
        "mean is 50.00 Gy, but 55.00 Gy in the DVHSequence of the planning system. "
        "Check that this dose and this structure set belong together, and that the dose is that of the whole plan."
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "agrees"),
    [(10.0, 10.49, True), (10.0, 10.51, False), (10.0, 9.4, False), (0.5, 0.59, True), (0.5, 0.61, False)],
)
def test_volumes_may_differ_by_5_per_cent_or_a_tenth_of_a_cc(ours: float, theirs: float, agrees: bool) -> None:
    """Whichever is more."""
    region = Region(7, "PTV", None, theirs, None, None, (), None, ())
    (found,) = comparing.volumes(region, Dvh(np.array([1.0]), np.array([ours]), ours))
    assert (found.what, found.agrees, bool(found.said)) == ("volume", agrees, not agrees)


def test_a_region_without_a_volume_of_the_planning_system_is_not_compared() -> None:
    """ROIVolume is optional."""
    assert list(comparing.volumes(Region(7, "PTV", None, None, None, None, (), None, ()), LINE)) == []
