"""The fields of QATrack+'s objects as a test pack holds them: their defaults, their limits, what may be null."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

CATEGORY, TEST, TEST_LIST = "qa.category", "qa.test", "qa.testlist"
MEMBERSHIP, SUBLIST = "qa.testlistmembership", "qa.sublist"
CYCLE, CYCLE_MEMBERSHIP = "qa.testlistcycle", "qa.testlistcyclemembership"

# What QATrack+ runs at every change of the page, and what it runs once for an uploaded file.
COMPOSITE_TYPES = ("composite", "scomposite")
CALCULATED_TYPES = (*COMPOSITE_TYPES, "upload")
NUMERICAL_TYPES = ("composite", "constant", "simple", "wraparound")
TYPES = (
    *("boolean", "simple", "wraparound", "multchoice", "constant", "date", "datetime", "string"),
    *CALCULATED_TYPES,
)

# What a procedure finds without having to import it.
CONTEXT = frozenset("META REFS TOLS UTILS dicom pydicom math numpy matplotlib scipy".split())
UPLOAD_CONTEXT = frozenset({"FILE", "BIN_FILE"})


@dataclass(frozen=True)
class Field:
    """One field: what sort of value it holds, its default, how long a text may be, whether null is allowed."""

    sort: type
    default: Any = None
    limit: Optional[int] = None
    null: bool = False


FIELDS: Mapping[str, Mapping[str, Field]] = {
    CATEGORY: {
        "name": Field(str, limit=255),
        "slug": Field(str, limit=255),
        "description": Field(str, ""),
    },
    TEST: {
        "name": Field(str, limit=255),
        "display_name": Field(str, "", limit=255),
        "slug": Field(str, limit=128),
        "description": Field(str, "", null=True),
        "procedure": Field(str, null=True, limit=512),
        "category": Field(str, limit=255),
        "chart_visibility": Field(bool, True),
        "type": Field(str, limit=10),
        "flag_when": Field(bool, null=True),
        "hidden": Field(bool, False),
        "skip_without_comment": Field(bool, False),
        "require_comment": Field(bool, False),
        "display_image": Field(bool, False),
        "choices": Field(str, null=True, limit=2048),
        "constant_value": Field(float, null=True),
        "wrap_low": Field(float, null=True),
        "wrap_high": Field(float, null=True),
        "calculation_procedure": Field(str, "", null=True),
        "formatting": Field(str, "", limit=10),
    },
    TEST_LIST: {
        "name": Field(str, limit=255),
        "slug": Field(str, limit=255),
        "description": Field(str, "", null=True),
        "javascript": Field(str, "", null=True),
        "warning_message": Field(str, "", limit=255),
    },
    CYCLE: {
        "name": Field(str, limit=255),
        "slug": Field(str, limit=255),
        "description": Field(str, "", null=True),
        "javascript": Field(str, "", null=True),
        "drop_down_label": Field(str, "Choose Day", limit=128),
        "day_option_text": Field(str, "day", limit=8),
    },
}

_SORTS = {str: "a text", bool: "true or false", float: "a number"}


def value_problem(field: Field, value: Any) -> Optional[str]:
    """What is wrong with a value that is not null, as the end of a sentence."""
    good = isinstance(value, field.sort)
    if field.sort is float:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good:
        return f"is not {_SORTS[field.sort]}"
    if field.limit is not None and isinstance(value, str) and len(value) > field.limit:
        return f"has {len(value)} characters; QATrack+ takes at most {field.limit}"
    return None


def missing_for_type(fields: Mapping[str, Any]) -> Iterator[str]:
    """The fields that a test of this type needs and has not."""
    needed = {"constant": ("constant_value",), "wraparound": ("wrap_low", "wrap_high"), "multchoice": ("choices",)}
    for name in needed.get(str(fields.get("type")), ()):
        if fields.get(name) in (None, ""):
            yield name


def formatting_problem(formatting: str) -> Optional[str]:
    """What QATrack+ shows numbers as, where that is not as somebody meant it, as the end of a sentence."""
    shown = {_formatted(formatting, number) for number in (1.0, 2.0)}
    if None in shown:
        return "formats no number, so QATrack+ shows its usual digits"
    return "shows the same for every number" if len(shown) == 1 else None


def _formatted(formatting: str, number: float) -> Optional[str]:
    """As QATrack+ does it: in the old way, where that does not fit in the new way; None where neither does."""
    try:
        return formatting % number
    except TypeError:
        pass  # the new way has no % in it, which is one number too many for the old way
    except (ValueError, OverflowError):
        return None
    try:
        return formatting.format(number)
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError):
        return None


def slug_problem(slug: str) -> Optional[str]:
    """Why a test cannot have this slug, as the end of a sentence."""
    if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", slug):
        return "is no name that a procedure could use; take letters, digits and _, with a letter first"
    if keyword.iskeyword(slug):
        return "is a word of Python, so no procedure can use it; take another"
    if slug == "result":
        return "is where QATrack+ looks for the result of every procedure; take another"
    if slug in CONTEXT or slug in UPLOAD_CONTEXT:
        return "is a name that QATrack+ itself gives to procedures; take another"
    return None
