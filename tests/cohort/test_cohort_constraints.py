"""Constraint files: what they mean, which regions pass, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import pytest

from qa_fetch.cohort.constraints import Constraint, check, read
from qa_fetch.cohort.dvh import Caution, Dvh
from qa_fetch.cohort.metrics import parse
from qa_fetch.errors import ConfigError

# 200 cc whose doses run evenly from 0 to 50 Gy: Dx is 50 - x / 2, and VxGy is 100 - 2 x.
EVEN = Dvh(np.arange(0.005, 50, 0.01), np.full(5000, 0.04), 200.0)

TABLES = "Write each constraint as [[constraint]] with roi, metric, op and limit."
CSV = """roi,metric,op,limit,comment
Lung_*,V20Gy,<=,70,
Heart|Cor,Dmean,<,2600 cGy,low dose
PTV*,D95%[%Rx],>=,95,
"Lung_L",V20Gy,<,100 cc,
"""
TOML = """
[[constraint]]
roi = "Lung_*"
metric = "V20Gy"
op = "≤"
limit = 70
[[constraint]]
roi = "Heart|Cor"
metric = "Dmean"
op = "<"
limit = "2600 cGy"
comment = "low dose"
[[constraint]]
roi = "PTV*"
metric = "D95%[%Rx]"
op = "=>"
limit = 95.0
[[constraint]]
roi = "Lung_L"
metric = "V20Gy"
op = "<"
limit = "100 cc"
"""


def written(folder: Path, text: str, name: str = "limits.csv") -> Path:
    """A constraint file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(ConfigError) as caught:
        read(path)
    return str(caught.value)


def test_csv_and_toml_say_the_same(tmp_path: Path) -> None:
    """A limit's unit becomes that of the result."""
    found = read(written(tmp_path, CSV))
    assert found == read(written(tmp_path, TOML, "limits.toml"))
    assert [(each.roi, each.metric.text, each.metric.unit, each.op, each.limit) for each in found] == [
        ("Lung_*", "V20Gy", "%", "<=", 70.0),
        ("Heart|Cor", "Dmean", "cGy", "<", 2600.0),
        ("PTV*", "D95%[%Rx]", "%Rx", ">=", 95.0),
        ("Lung_L", "V20Gy", "cc", "<", 100.0),
    ]


def test_a_spreadsheet_with_semicolons_is_read(tmp_path: Path) -> None:
    """As Excel writes it where a comma is the decimal mark."""
    (found,) = read(written(tmp_path, "ROI;Metric;Op;Limit\nCord;D0.1cc;<;45 Gy\n"))
    assert found == Constraint("Cord", parse("D0.1cc"), "<", 45.0)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("Lung_*", "lung_l", True),
        ("Lung_?", "Lung_LL", False),
        ("Heart|Cor", " COR ", True),
        ("Lung [L]", "Lung [L]", True),
        ("Lung [L]", "Lung L", False),
        ("Lung L/R", "Lung L/R", True),
        ("PTV", "PTV_60", False),
    ],
)
def test_names_of_regions_fit_patterns(pattern: str, name: str, fits: bool) -> None:
    """With * and ?, several with | between; square brackets are those of names."""
    assert Constraint(pattern, parse("Dmean"), "<", 1.0).fits(name) is fits


def test_each_region_passes_or_fails_each_constraint_that_means_it(tmp_path: Path) -> None:
    """And a constraint that means none is listed as well."""
    judged = check(read(written(tmp_path, CSV)), [("Lung_L", EVEN), ("Lung_R", EVEN), ("Heart", EVEN)], rx=50.0)
    assert [
        (each["roi"], each["metric"], each["result"], each["reason"]) for each in (one.row() for one in judged)
    ] == [
        ("Lung_L", "V20Gy", "pass", ""),
        ("Lung_R", "V20Gy", "pass", ""),
        ("Heart", "Dmean", "pass", ""),
        ("PTV*", "D95%[%Rx]", "unknown", "no ROI of the patient has such a name"),
        ("Lung_L", "V20Gy", "fail", ""),
    ]
    assert judged[4].row() == {
        "roi": "Lung_L",
        "metric": "V20Gy",
        "op": "<",
        "limit": 100.0,
        "unit": "cc",
        "value": 120.0,
        "result": "fail",
        "reason": "",
        "cautions": "",
    }


@pytest.mark.parametrize(
    ("dose", "op", "passed"),
    [
        *((59.9999962, op, passed) for op, passed in ((">=", True), ("<=", True), ("<", False), (">", False))),
        *((60.0000038, op, passed) for op, passed in ((">=", True), ("<=", True), ("<", False), (">", False))),
        *((59.999, op, passed) for op, passed in ((">=", False), ("<=", True), ("<", True), (">", False))),
    ],
)
def test_what_is_shown_is_what_is_judged(dose: float, op: str, passed: bool) -> None:
    """The last bits of an even dose of 60 Gy, as 32 bits hold it, are neither hot nor cold."""
    even = Dvh(np.array([dose]), np.array([1.0]), 1.0)
    (judged,) = check([Constraint("PTV", parse("D95%"), op, 60.0)], [("PTV", even)])
    assert judged.passed is passed


def test_a_value_that_cannot_be_said_neither_passes_nor_fails() -> None:
    """Without a prescription nothing is known of it."""
    (judged,) = check([Constraint("*", parse("V95%"), ">", 10.0)], [("PTV", EVEN)])
    assert (judged.value, judged.passed, judged.reason) == (None, None, "the prescription is not known")


@pytest.mark.parametrize(
    ("metric", "op", "limit", "passed"),
    [
        ("V20Gy", "<", 90.0, True),  # between 30 and 80 %
        ("V20Gy", "<", 50.0, None),
        ("V20Gy", "<", 20.0, False),
        ("V20Gy[cc]", ">", 100.0, True),  # 120 to 320 cc
        ("D2%", "<", 50.0, True),  # no hotter than the hottest
        ("D2%", "<", 49.5, None),
        ("Dmean", ">", 5.0, True),
    ],
)
def test_what_lies_outside_of_the_dose_grid_decides_nothing(
    metric: str, op: str, limit: float, passed: Optional[bool]
) -> None:
    """Half of this ROI has no dose: it passes or fails only if it does so whatever that half has."""
    half = Dvh(EVEN.doses, EVEN.weights, 400.0, (Caution("clipped", "Half of it lies outside."),))
    (judged,) = check([Constraint("*", parse(metric), op, limit)], [("Lung", half)])
    reason = None if passed is not None else "it depends on the part of the ROI that lies outside of the dose grid"
    assert (judged.passed, judged.reason, judged.cautions) == (passed, reason, ("Half of it lies outside.",))
    assert judged.value == parse(metric).value(half).number


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "Cord,D95,<,45",
            "line 2: metric 'D95', position 4: a unit is missing after 95. Write % or cc, as in D95%.",
        ),
        ("Cord,,<,45", "line 2: metric is missing. Write one such as V20Gy."),
        (",Dmean,<,45", "line 2: roi is missing. Write the name of an ROI, such as Lung_*."),
        ("Cord,Dmean,,45", "line 2: op is missing. Write <, <=, > or >=."),
        ("Cord,Dmean,==,45", "line 2: op is '=='. Write <, <=, > or >=."),
        ("Cord,Dmean,<,", "line 2: limit is missing. Write a number, such as 30 or 30 %."),
        ("Cord,Dmean,<,low", "line 2: limit is 'low'. Write a number, such as 30 or 30 %."),
        ("Cord,Dmean,<,-5", "line 2: limit is '-5'. Write a number, such as 30 or 30 %."),
        ('Cord,Dmean,<,"0,5 Gy"', "line 2: limit is '0,5 Gy'. Write a point, as in 0.1."),
        ("Cord,Dmean,<,5 cc", "line 2: 'cc' is no unit of Dmean. Write Gy, cGy or %Rx."),
        ("Cord,HI,<,5 %", "line 2: '%' is no unit of HI. It has no unit."),
        ("Cord,V20Gy[%],<,5 cc", "line 2: metric is in % and limit in cc. Give both the same unit."),
        (
            "Cord,Dmean,<,45,,x",
            "line 2: a cell stands below no name of a column. Use roi, metric, op, limit and comment.",
        ),
        (
            "Cord,#REF!,<,45",
            "line 2: this is an error of Excel or a formula without its value; correct the sheet and save it again.",
        ),
    ],
)
def test_each_mistake_in_a_line_has_a_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    """With the number of the line."""
    path = written(tmp_path, f"roi,metric,op,limit,comment\n{line}\n")
    assert refused(path) == f"{path}, {sentence}"


def test_all_mistakes_of_a_file_are_held(tmp_path: Path) -> None:
    """The message has the first, and how many more."""
    path = written(tmp_path, "roi,metric,op,limit\nA,D,<,1\nB,Dmean,<,1\nC,Dmean,~,1\nD,Dmean,<,x\n")
    with pytest.raises(ConfigError) as caught:
        read(path)
    first = "line 2: metric 'D', position 2: a number is missing after D. Write one, as in D95%."
    assert str(caught.value) == f"{path}, {first} It has 2 more mistakes."
    assert caught.value.mistakes == (  # type: ignore[attr-defined]
        first,
        "line 4: op is '~'. Write <, <=, > or >=.",
        "line 5: limit is 'x'. Write a number, such as 30 or 30 %.",
    )


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        (
            "a.csv",
            "roi,metric,op\nA,Dmean,<\n",
            " has no column limit in its first line. It needs roi, metric, op, limit.",
        ),
        ("a.csv", "roi,metric,op,limit,op\n", " has the column op twice. Keep one of them."),
        ("a.csv", "roi,metric,op,limit\n", " has no constraints. Write one into each row or [[constraint]]."),
        ("a.toml", "", " has no constraints. Write one into each row or [[constraint]]."),
        (
            "a.csv",
            "roi,metric,op,limit,dose\nA,Dmean,<,1,2\n",
            ", line 2: 'dose' is not known. Use roi, metric, op, limit and comment.",
        ),
        (
            "a.toml",
            "[[constraint]]\nroi = 5\nmetric = 'Dmean'\nop = '<'\nlimit = 5\n",
            ", constraint 1: roi is 5. Write the name of an ROI, such as Lung_*.",
        ),
        (
            "a.toml",
            "[[constraint]]\nroi = 'A'\nmetric = 'Dmean'\nop = '<'\nlimit = true\n",
            ", constraint 1: limit is True. Write a number, such as 30 or 30 %.",
        ),
        (
            "a.toml",
            "constraints = 5\n",
            " has 'constraints', which is not known. " + TABLES,
        ),
        (
            "a.toml",
            "constraint = 5\n",
            " has a constraint that is no table. " + TABLES,
        ),
        ("a.toml", "constraint = [5]\n", ", constraint 1: roi is missing. Write the name of an ROI, such as Lung_*."),
    ],
)
def test_a_file_that_is_none_of_constraints_is_refused(tmp_path: Path, name: str, text: str, rest: str) -> None:
    """With what it lacks."""
    path = written(tmp_path, text, name)
    assert refused(path) == f"{path}{rest}"
