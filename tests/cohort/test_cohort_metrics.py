"""The language of metrics: what each gives, and a sentence with the position for each mistake."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qa_fetch.cohort.dvh import Dvh
from qa_fetch.cohort.metrics import Metric, parse
from qa_fetch.errors import ConfigError

# 200 cc whose doses run evenly from 0 to 50 Gy: Dx is 50 - x / 2, and VxGy is 100 - 2 x.
EVEN = Dvh(np.arange(0.005, 50, 0.01), np.full(5000, 0.04), 200.0)
RX = 40.0
UNKNOWN = "it begins with nothing that is known. Begin with D, V, DC, CV, Dmean, Dmedian, Dmin, Dmax, Volume, CI or HI."


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("D95%", 2.5, "Gy"),
        ("D2%", 49.0, "Gy"),
        ("D50% [cGy]", 2500.0, "cGy"),
        ("D95%[%Rx]", 6.25, "%Rx"),
        ("D0.1cc", 49.975, "Gy"),
        ("D 20 cm³ [%]", 112.5, "%Rx"),
        ("d.5CC", 49.875, "Gy"),
        ("DC5%", 2.5, "Gy"),
        ("DC20cc[cGy]", 500.0, "cGy"),
        ("V20Gy", 60.0, "%"),
        ("V20Gy[cc]", 120.0, "cc"),
        ("V2000cGy[%]", 60.0, "%"),
        ("V95%", 24.0, "%"),
        ("V95%Rx[cc]", 48.0, "cc"),
        ("V0Gy", 100.0, "%"),
        ("V60Gy", 0.0, "%"),
        ("CV20Gy", 40.0, "%"),
        ("CV50%[ml]", 80.0, "cc"),
        ("Dmean", 25.0, "Gy"),
        ("mean[%Rx]", 62.5, "%Rx"),
        ("Dmedian", 25.0, "Gy"),
        ("DMAX", 49.995, "Gy"),
        (" Dmin ", 0.005, "Gy"),
        ("Volume", 200.0, "cc"),
        ("HI", 48 / 25, ""),
    ],
)
def test_metrics_give_what_they_say(text: str, number: float, unit: str) -> None:
    """With spaces, in large or small letters, and in any unit."""
    found = parse(text).value(EVEN, RX)
    assert found == (pytest.approx(number, abs=0.02), unit, None)


def test_a_metric_is_what_was_read() -> None:
    """Its parts are there for a table."""
    assert parse(" V20Gy[cc] ") == Metric("V20Gy[cc]", "V", 20.0, "Gy", "cc")
    assert [parse(text).gives for text in ("D95%", "Dmean", "CV5Gy", "Volume", "CI")] == [
        "dose",
        "dose",
        "volume",
        "volume",
        "index",
    ]


def test_conformity_is_paddicks() -> None:
    """The target's covered volume squared, over its volume and that of all covered."""
    whole = Dvh(np.array([10.0, 40.0, 45.0]), np.array([1000.0, 100.0, 50.0]), 1150.0)
    found = parse("CI").value(EVEN, RX, whole)
    assert found == (pytest.approx(40**2 / (200 * 150), rel=1e-3), "", None)


@pytest.mark.parametrize(
    ("text", "rx", "reason"),
    [
        ("D95%[%Rx]", None, "the prescription is not known"),
        ("V95%", None, "the prescription is not known"),
        ("V95%", 0.0, "the prescription is not known"),
        ("V95%", math.nan, "the prescription is not known"),
        ("CI", None, "the prescription is not known"),
        ("CI", 40.0, "it needs the DVH of the patient's outline, which is not there"),
        ("D300cc", None, "the part with a dose is 200 cc, less than 300 cc"),
        ("DC300cc", None, "the part with a dose is 200 cc, less than 300 cc"),
    ],
)
def test_what_cannot_be_said_is_left_out_with_its_reason(text: str, rx: float, reason: str) -> None:
    """A number that stands for nothing is worse than none."""
    found = parse(text).value(EVEN, rx)
    assert (found.number, found.reason) == (None, reason)


def test_no_dose_has_no_metric() -> None:
    """Of an ROI outside of the dose grid, and of a patient without the prescribed dose."""
    nothing = Dvh(np.empty(0), np.empty(0), 12.0)
    for text in ("D95%", "V20Gy", "Dmean", "HI", "DC5%"):
        assert parse(text).value(nothing, RX).reason == "no part of the ROI lies inside of the dose grid"
    assert parse("CI").value(EVEN, 70.0, EVEN).reason == "no part of the patient has the prescribed dose"
    cold = Dvh(np.zeros(2), np.ones(2), 2.0)
    assert parse("HI").value(cold).reason == "its median dose is 0"


@pytest.mark.parametrize(
    ("text", "position", "rest"),
    [
        (
            "X95%",
            1,
            UNKNOWN,
        ),
        (
            "  95%",
            3,
            UNKNOWN,
        ),
        ("D", 2, "a number is missing after D. Write one, as in D95%."),
        ("V[cc]", 2, "a number is missing after V. Write one, as in V20Gy."),
        ("D-5%", 2, "a number is missing after D. Write one, as in D95%."),
        ("CV", 3, "a number is missing after CV. Write one, as in CV20Gy."),
        ("D95", 4, "a unit is missing after 95. Write % or cc, as in D95%."),
        ("D0,1cc", 3, "a number has a comma. Write a point, as in D0.1cc."),
        ("D95Gy", 4, "'Gy' is no unit here. Write % or cc, as in D95%."),
        ("V20", 4, "a unit is missing after 20. Write Gy, cGy or % (of the prescription), as in V20Gy."),
        ("V20[cc]", 4, "a unit is missing after 20. Write Gy, cGy or % (of the prescription), as in V20Gy."),
        ("V20cc", 4, "'cc' is no unit here. Write Gy, cGy or % (of the prescription), as in V20Gy."),
        ("D101%", 2, "101 % is too much. Write at most 100 %."),
        ("V4500Gy", 2, "4500 Gy is too much. Write at most 1000 Gy."),
        ("D0%", 2, "0 is no volume. Write Dmax for the highest dose."),
        ("DC0cc", 3, "0 is no volume. Write Dmin for the lowest dose."),
        ("D95%[cc]", 6, "'cc' is no unit of D. Write Gy, cGy or %Rx."),
        ("V20Gy[Gy]", 7, "'Gy' is no unit of V. Write % or cc."),
        ("Volume[%]", 8, "'%' is no unit of Volume. Write cc."),
        ("Dmean[]", 7, "a unit is missing in [ ]. Write Gy, cGy or %Rx."),
        ("V20Gy[cc", 6, "a [ is not closed. Write ] after the unit."),
        ("HI[%]", 3, "HI has no unit. Leave the [ ] out."),
        ("V20Gycc", 6, "'cc' is more than a metric. End after the unit, or put the result's unit into [ ]."),
        ("Dmean Gy", 7, "'Gy' is more than a metric. End after the unit, or put the result's unit into [ ]."),
        ("V20Gy]", 6, "a ] closes nothing. Write [ before the unit."),
        ("V20Gy[cc]]", 10, "a ] closes nothing. Write [ before the unit."),
        ("V20Gy<30", 6, "'<30' is more than a metric. End after the unit, or put the result's unit into [ ]."),
    ],
)
def test_each_mistake_has_a_sentence_with_its_position(text: str, position: int, rest: str) -> None:
    """What is wrong, where, and what to write."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == f"metric {text!r}, position {position}: {rest}"
    assert caught.value.position == position  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_metric_says_what_one_looks_like(text: str) -> None:
    """As a cell that was forgotten."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == "a metric is empty. Write one such as D95%, V20Gy[cc] or Dmean."
