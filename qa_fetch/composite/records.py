"""What a page starts from: its unit's patient, and what an earlier record of the same list holds."""

from __future__ import annotations

import json
from typing import Any, Optional

from ..config import Config
from ..errors import BadArchive, NotFound


def patient(UTILS: Any) -> Optional[str]:
    """The PatientID of the unit's QA patient from ``[units.<number>]`` of the configuration; None where it has none.

    For the default value of a test, which a person may overwrite.
    """
    return Config.load().unit(int(UTILS.unit.number)).patient


def previous(slug: str, UTILS: Any) -> Any:
    """The value that a string test had in the last record of this list and unit, read as JSON.

    The last record before the work of this page started, so that an old record that is edited sees its own past.
    """
    record = UTILS.previous_test_instance(slug)
    text = getattr(record, "string_value", None)
    if not text:
        raise NotFound(f"no earlier record of this list has a value for {slug}. Enter what it asks for once, and save.")
    try:
        return json.loads(text)
    except ValueError:
        raise BadArchive(f"what the last record holds for {slug} is not JSON. Correct that record.") from None
