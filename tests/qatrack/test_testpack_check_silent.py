"""What QATrack+ imports without a word and then shows wrong, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from qatrack_text import formatted
from test_testpack_check import composite, fields_of, said, tpk

NO_NUMBER = (
    "the result is NaN or infinite, which is an error or loses the results of the whole page. "
    "Give None where there is no number."
)


def changed(pack: str, **sections: list[Any]) -> str:
    """A pack with other sections of objects."""
    whole = json.loads(pack)
    whole["objects"].update({name: [json.dumps(entry) for entry in entries] for name, entries in sections.items()})
    return json.dumps(whole)


def entry_of(pack: str) -> Any:
    """The only list of a pack, with all that it needs."""
    return json.loads(json.loads(pack)["objects"]["testlists"][0])


def test_a_pack_that_holds_nothing_is_an_error() -> None:
    """Tests alone are something: QATrack+ exports them without a list, too."""
    says = "it holds no test, no list and no cycle, so nothing is imported. Export the pack again."
    assert said(changed(tpk(), testlists=[])) == [("error", "objects", says)]
    entry = entry_of(tpk())
    category, alone = entry["dependencies"][:2]
    tests = [{"key": ["GO"], "object": alone, "dependencies": [category]}]
    assert said(changed(tpk(), testlists=[], tests=tests)) == []


def test_a_list_without_a_test_is_an_error() -> None:
    """Its tests come along, and belong to nothing."""
    entry = entry_of(tpk())
    entry["dependencies"] = [made for made in entry["dependencies"] if made["model"] != "qa.testlistmembership"]
    says = "it has no tests. Add a qa.testlistmembership for each of its tests."
    assert said(changed(tpk(), testlists=[entry])) == [("error", "l", says)]


def test_a_list_whose_tests_are_in_a_sublist_has_tests() -> None:
    """And a sublist without any has none, also where the list above it has some."""
    entry = entry_of(tpk())
    sublist = {"parent": ["l"], "child": ["c"], "outline": False, "order": 9}
    below = {"name": "C", "slug": "c", "description": "", "warning_message": ""}
    added = [{"model": "qa.testlist", "fields": below}, {"model": "qa.sublist", "fields": sublist}]
    says = "it has no tests. Add a qa.testlistmembership for each of its tests."
    assert said(tpk(dependencies=added)) == [("error", "c", says)]
    entry["dependencies"] += added
    for made in entry["dependencies"]:
        if made["model"] == "qa.testlistmembership":
            made["fields"]["test_list"] = ["c"]
    assert said(changed(tpk(), testlists=[entry])) == []


def test_a_cycle_without_a_list_is_an_error() -> None:
    """No day of it can be performed."""
    entry = entry_of(tpk())
    fields = {"name": "C", "slug": "c", "description": "", "drop_down_label": "Day", "day_option_text": "day"}
    day = {"model": "qa.testlistcyclemembership", "fields": {"cycle": ["c"], "test_list": ["l"], "order": 0}}
    others = [*entry["dependencies"], entry["object"]]
    cycle = {"key": ["c"], "object": {"model": "qa.testlistcycle", "fields": fields}, "dependencies": others}
    says = "it has no lists. Add a qa.testlistcyclemembership for each of its lists."
    assert said(changed(tpk(), testlistcycles=[cycle])) == [("error", "c", says)]
    others.append(day)
    assert said(changed(tpk(), testlistcycles=[cycle])) == []


@pytest.mark.parametrize("formatting", ["%q", "%.2f %", "{:.2q}", "{", "{1}", "{a}", "{.a}", "{0[a]}"])
def test_a_formatting_that_formats_no_number_is_warned_of(formatting: str) -> None:
    """QATrack+ then shows its usual digits, without a word."""
    assert formatted(1 / 3, formatting) == formatted(1 / 3, "")
    says = f"'{formatting}' formats no number, so QATrack+ shows its usual digits. Write it like %.2f or {{:.2f}}."
    assert said(tpk(composite("x = 1", formatting=formatting))) == [("warning", "l / x / formatting", says)]


@pytest.mark.parametrize("formatting", ["mm", "2", ".2f", "%%", "%x", "%d %d", "%(x)d"])
def test_a_formatting_that_shows_no_number_is_warned_of(formatting: str) -> None:
    """Whatever the number is, the page shows the same."""
    assert formatted(1.5, formatting) == formatted(2.5, formatting)
    says = f"'{formatting}' shows the same for every number. Write it like %.2f or {{:.2f}}."
    assert said(tpk(composite("x = 1", formatting=formatting))) == [("warning", "l / x / formatting", says)]


@pytest.mark.parametrize("formatting", ["", "%.2f", "%+d", "%g mm", "%s", "{:.2f}", "{:06.2f}", "{}"])
def test_a_formatting_that_formats_numbers_has_no_finding(formatting: str) -> None:
    """In the old way or in the new one."""
    assert formatted(1.5, formatting) != formatted(3.5, formatting)
    assert said(tpk(composite("x = 1", formatting=formatting))) == []


def test_a_formatting_is_of_no_consequence_where_there_is_no_number() -> None:
    """QATrack+ keeps it when the type of a test is changed."""
    assert said(tpk(fields_of("x", "scomposite", "x = 'a'", formatting="mm"))) == []


@pytest.mark.parametrize(
    "value",
    ["float('nan')", "float('-INF')", "-float('inf')", "math.nan", "-math.inf", "numpy.nan", "1 if go else numpy.NaN"],
)
def test_a_result_that_is_no_number_is_warned_of(value: str) -> None:
    """One of them in the answer, and the page loses all results."""
    assert said(tpk(composite(f"x = None\nif go:\n  x = {value}"))) == [("warning", "l / x, line 3", NO_NUMBER)]
    assert said(tpk(composite(f"result = {value}"))) == [("warning", "l / x, line 1", NO_NUMBER)]


@pytest.mark.parametrize(
    "value", ["float('1')", "float('far')", "float(patient)", "math.pi", "UTILS.nan", "-1.0", "math.isnan(1)"]
)
def test_a_result_that_may_be_a_number_has_no_finding(value: str) -> None:
    """Only what is written there is looked at; nothing is computed."""
    assert said(tpk(composite(f"x = {value}"))) == []


def test_a_number_that_is_none_may_stand_for_something_on_the_way() -> None:
    """As long as it is not the result."""
    assert said(tpk(composite("nothing = math.nan\nx = None if go else len([nothing])"))) == []
