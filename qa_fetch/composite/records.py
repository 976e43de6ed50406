"""What a page starts from and leaves: its unit's patient, what an earlier record holds, and comments."""

from __future__ import annotations

import json
from typing import Any, Optional

from ..config import Config
from ..errors import BadArchive, NotFound

_OURS = "qa_fetch: "  # begins a comment that no person wrote


def patient(UTILS: Any) -> Optional[str]:
    """The PatientID of the unit's QA patient from ``[units.<number>]`` of the configuration; None where it has none.

    For the default value of a test, which a person may overwrite.
    """
    return Config.load().unit(int(UTILS.unit.number)).patient


def comment(slug: str, text: str, UTILS: Any) -> None:
    """Write what a field is too narrow for into the comment of the test that runs, where nobody wrote one.

    Parameters
    ----------
    slug
        The test that runs.
    text
        What to write; where it is empty, a comment of an earlier run is taken back.
    UTILS
        What QATrack+ gives to a procedure under this name.
    """
    there = UTILS.get_comment(slug) or ""
    if there.startswith(_OURS) or (text and not there):
        UTILS.set_comment(_OURS + (text or "nothing any more"))


def previous(slug: str, UTILS: Any, todo: str = "Enter what it asks for once, and save.") -> Any:
    """The value that a string test had in the last record of this list and unit, read as JSON.

    Parameters
    ----------
    slug
        The test.
    UTILS
        What QATrack+ gives to a procedure under this name. Records count that were completed before the work of its
        page started, so that an old record that is edited sees its own past.
    todo
        What a person has to do where there is none.
    """
    record = UTILS.previous_test_instance(slug)
    text = getattr(record, "string_value", None)
    if not text:
        raise NotFound(f"no earlier record of this list has a value for {slug}. {todo}")
    try:
        return json.loads(text)
    except ValueError:
        raise BadArchive(f"what the last record holds for {slug} is not JSON. Correct that record.") from None
