"""What a physicist reads in QATrack+: its red tooltip shows little, so the last line must stand alone."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from peers.course import PATIENT, Course
from peers.doubles import ScriptedArchive
from peers.lies import Lies

from qa_fetch import Archive, QAFetchError

_MARK = "__QAT+COMP_"


def _tooltip(procedure: Callable[[], Any]) -> str:
    """The traceback as QATrack+ cuts it: the last exception only, five frames, what follows its own last frame."""
    try:
        procedure()
    except QAFetchError as error:
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=5, chain=False)
        return "".join(lines).rsplit(_MARK, 1)[-1]
    raise AssertionError("the procedure raised nothing")


def _asks(address: str, **question: Any) -> Callable[[], Any]:
    budget = question.pop("budget", 5.0)
    return lambda: Archive(address, budget=budget).latest(PATIENT, **question)


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "Ambiguous": ({}, {"plan": "WL_6X"}, "SCRIPTED has 2 plans called WL_6X: "),
    "NotFound": ({}, {"plan": "NOPE"}, "SCRIPTED has no plan called NOPE for this patient; "),
    "Incomplete": ({}, {"kind": "cbct", "at_least": 99}, "the newest session in SCRIPTED (cone-beam CT image, "),
    "Refused": ({"find_status": 0x0124}, {}, "SCRIPTED does not allow QA_FETCH to do this (C-FIND 0x0124). "),
    "ConnectionFailed": ({"delay": 3.0}, {"budget": 0.3}, "SCRIPTED took longer than the time budget allows: "),
    "BadArchive": ({"wrong_uid": True}, {"kind": "cbct"}, "the archive sent one object under the UID of another, "),
    "ConfigError": ({}, {"session": "week"}, "session='week' is not a way to group images. "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_last_line_of_each_error_stands_alone(course: Course, name: str) -> None:
    """One line, whole, with its class before it; what a cause would have added is not needed to understand it."""
    lies, question, begins = FAULTS[name]
    with ScriptedArchive(course.datasets, Lies(**lies)) as double:
        shown = _tooltip(_asks(double.address, **question))
    last = shown.rstrip("\n").splitlines()[-1]
    prefix, _, sentence = last.partition(": ")
    assert prefix == f"qa_fetch.errors.{name}"
    assert sentence.startswith(begins)
    assert sentence.endswith(".")
    assert len(sentence) <= 350
