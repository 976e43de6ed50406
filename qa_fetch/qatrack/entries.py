"""What is entered into a test list from outside, checked against the tests that the list has.

QATrack+ itself takes some wrong values and stores them as nothing or fails at them, so they are found here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import TestList
    from .rest import Test

_PATIENT = "patientid"
_CALCULATED = ("composite", "scomposite", "constant")
_NUMBERS = ("simple", "wraparound")
_TEXTS = ("string", "multchoice")
_MOMENTS = {
    "date": ("%Y-%m-%d", "a date such as 2025-11-03"),
    "datetime": ("%Y-%m-%d %H:%M:%S", 'a date and time such as "2025-11-03 14:30"'),
}


def entries(wanted: TestList, tests: Sequence[Test], patient: Optional[str] = None) -> dict[str, Any]:
    """The part ``tests`` of a push: what the configuration gives, nothing for what QATrack+ calculates.

    Parameters
    ----------
    wanted
        What the configuration says of the list.
    tests
        The tests that the list has.
    patient
        The unit's QA patient, who stands in where the list has a test ``patientid`` and nothing is given for it.
    """
    by_slug = {test.slug: test for test in tests}
    for slug in (*wanted.tests, *wanted.skip):
        if slug not in by_slug:
            near = difflib.get_close_matches(slug, by_slug, n=1)
            meant = f" Did you mean {near[0]}?" if near else f" It has {', '.join(sorted(by_slug))}."
            raise ConfigError(f"{_named(wanted)} has no test {slug!r}.{meant}")
    uploads = [test.slug for test in tests if test.type == "upload"]
    if uploads:
        raise ConfigError(
            f"{_named(wanted)} has an upload ({', '.join(uploads)}), which only a person can give. "
            "Use a list without it."
        )
    given = dict(wanted.tests)
    if patient is not None and _PATIENT in by_slug and _PATIENT not in wanted.skip and not given.get(_PATIENT):
        given[_PATIENT] = patient
    left = [slug for slug, test in by_slug.items() if _by_people(test) and slug not in wanted.skip]
    left = [slug for slug in left if given.get(slug) in (None, "")]
    if left:
        raise ConfigError(
            f"{_named(wanted)} has tests that nothing is given for: {', '.join(left)}. "
            f"Add them to tests of [qatrack.lists.{wanted.name}], or to its skip."
        )
    found: dict[str, Any] = {slug: {"skipped": True} for slug in wanted.skip}
    found.update((slug, {"value": _checked(wanted, by_slug[slug], value)}) for slug, value in given.items())
    return found


def without_result(wanted: TestList, tests: Sequence[Test], recorded: Mapping[str, Any]) -> list[str]:
    """The string composites that a record has without a text, though nothing skips them: QATrack+ takes that."""
    texts = {test.slug for test in tests if test.type == "scomposite" and test.slug not in wanted.skip}
    held = {slug: told for slug, told in recorded.items() if slug in texts and isinstance(told, Mapping)}
    return [slug for slug, told in held.items() if told.get("string_value") in (None, "")]


def _by_people(test: Test) -> bool:
    return test.type not in _CALCULATED


def _checked(wanted: TestList, test: Test, value: Any) -> Any:
    if not _by_people(test):
        raise ConfigError(f"{test.slug} of {_named(wanted)} is QATrack+'s to calculate. Leave it out of tests.")
    if test.type == "boolean" and value not in (0, 1):
        raise _wrong(wanted, test, "true or false")
    if test.type in _NUMBERS and not isinstance(value, (int, float)):
        raise _wrong(wanted, test, "a number")
    if test.type == "multchoice" and str(value) not in test.choices:
        raise _wrong(wanted, test, f"one of {', '.join(test.choices)}")
    if test.type in _MOMENTS:
        return _moment(wanted, test, str(value))
    return str(value) if test.type in _TEXTS else value


def _moment(wanted: TestList, test: Test, text: str) -> str:
    """A date or time as QATrack+ reads it; it stores what it cannot read as nothing, and says nothing."""
    form, expected = _MOMENTS[test.type]
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _wrong(wanted, test, expected) from None
    return found.strftime(form)


def _wrong(wanted: TestList, test: Test, expected: str) -> ConfigError:
    return ConfigError(
        f"{test.slug} of {_named(wanted)} must be {expected}. Correct it in tests of [qatrack.lists.{wanted.name}]."
    )


def _named(wanted: TestList) -> str:
    return f"test list {wanted.test_list!r}"
