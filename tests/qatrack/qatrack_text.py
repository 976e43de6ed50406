"""Values as QATrack+'s server and its browser page write them; one module, since each reads the other's text."""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn, Optional
from uuid import UUID

DATE_FORMATS = ("%d %b %Y", "%Y-%m-%d")
MOMENT_FORMATS = (
    "%d %b %Y %H:%M",
    "%d %b %Y %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%fZ",
)
_DIGITS = 8  # QATrack+'s precision where a test has no formatting
_FORMAT_FAULTS = (TypeError, ValueError, OverflowError, KeyError, IndexError, AttributeError)


class PageBroken(Exception):
    """The browser got no answer that it can read, so that no row of the page changes."""


class ServerError(PageBroken):
    """The server answered with HTTP 500."""


class AnswerEncoder(json.JSONEncoder):
    """What QATrack+ can put into an answer beyond plain JSON."""

    def default(self, o: Any) -> Any:
        """Return a plain value for one that JSON does not know."""
        if isinstance(o, (range, zip, set)):
            return list(o)
        for method in ("tolist", "to_list", "to_dict"):  # numpy, pandas
            if callable(getattr(o, method, None)):
                return getattr(o, method)()
        if isinstance(o, (date, time, timedelta)):
            return _time_text(o)
        return str(o) if isinstance(o, (Decimal, UUID)) else super().default(o)


def _time_text(value: Any) -> str:
    """Return a date, time or duration as Django and QATrack+ send it."""
    if isinstance(value, datetime):
        return value.strftime(MOMENT_FORMATS[1])
    if isinstance(value, date):
        return value.strftime(DATE_FORMATS[0])
    if isinstance(value, time):
        if value.tzinfo is not None:
            raise ValueError("JSON can't represent timezone-aware times.")
        return value.isoformat("milliseconds" if value.microsecond else "auto")
    sign, rest = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(rest.seconds, 60)
    fraction = f".{rest.microseconds:06d}" if rest.microseconds else ""
    return f"{sign}P{rest.days}DT{minutes // 60:02d}H{minutes % 60:02d}M{seconds:02d}{fraction}S"


def through_json(answer: Any) -> Any:
    """Return the answer as the browser reads it.

    Raises ServerError where it cannot be written, and PageBroken where Python writes what is not JSON.
    """
    try:
        text = json.dumps(answer, cls=AnswerEncoder)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ServerError(f"The answer cannot be written: {error}") from error
    return json.loads(text, parse_constant=_not_json)


def _not_json(constant: str) -> NoReturn:
    raise PageBroken(f"The answer holds {constant}, which is not JSON: the page loses the results of all tests")


def formatted(value: Any, formatting: Optional[str]) -> str:
    """Return a result by the test's formatting ("%.2f" or "{:.2f}"), else with eight digits, else by str()."""
    if formatting:
        try:
            return str(formatting % value)
        except TypeError as error:
            if "number is required" not in str(error):
                try:
                    return formatting.format(value)
                except _FORMAT_FAULTS:
                    formatting = None
        except _FORMAT_FAULTS:
            formatting = None
    try:
        return _eight_digits(float(value))
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _eight_digits(number: float) -> str:
    if not math.isfinite(number):
        raise ValueError(number)
    if number == 0:
        return "0"
    mantissa, tens = f"{abs(number):.{_DIGITS - 1}e}".split("e")
    digits, exponent, sign = mantissa.replace(".", ""), int(tens), "-" if number < 0 else ""
    if exponent < -2 or exponent >= _DIGITS:
        return f"{sign}{mantissa}e{'+' if exponent > 0 else ''}{exponent}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}".rstrip(".")


def parsed_date(text: Any) -> Optional[date]:
    """Return a date in one of QATrack+'s formats, None for anything else."""
    moment = _parsed(text, DATE_FORMATS)
    return moment.date() if moment else None


def parsed_moment(text: Any) -> Optional[datetime]:
    """Return a naive date and time in one of QATrack+'s formats, None for anything else."""
    return _parsed(text, MOMENT_FORMATS)


def _parsed(text: Any, formats: tuple[str, ...]) -> Optional[datetime]:
    for one in formats:
        try:
            return datetime.strptime(text, one)
        except (ValueError, TypeError):
            continue
    return None


# How a browser does it


def js_text(value: Any) -> str:
    """Return what an input shows after ``val(value)``; an object must have gone through ``stringify``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _js_number(value) if isinstance(value, (int, float)) else str(value)


def stringify(value: Any) -> str:
    """Return JSON as JSON.stringify writes it: no blanks, letters as they are, whole-number keys first."""
    if isinstance(value, dict):
        whole = sorted((key for key in value if re.fullmatch("0|[1-9][0-9]{0,9}", key)), key=int)
        keys = whole + [key for key in value if key not in whole]
        return "{" + ",".join(f"{stringify(key)}:{stringify(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(stringify, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "null" if value is None else js_text(value)


def _js_number(number: float) -> str:
    number = float(number)  # a browser knows no other numbers
    if number == 0:
        return "0"
    if 1e-6 <= abs(number) < 1e21:
        text = format(Decimal(repr(number)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return re.sub(r"e([-+])0*", r"e\1", repr(number))


def shown_default(value: Any) -> str:
    """Return how a page shows the default value of a numerical test."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "NaN"
    if abs(value) < 1e-10:
        return "0"
    if abs(value) < 0.01 or abs(value) >= 10000:
        return re.sub(r"e([-+])0*(?=\d)", r"e\1", f"{value:.4e}")
    return f"{value:#.6g}"


def cleaned_number(text: str) -> str:
    """Return what is left of the text in a numerical input."""
    text = re.sub(r"[^0-9.eE\-]", "", text)
    if text in (".", "-", "e", "E"):
        return ""
    if text.startswith("."):
        return "0" + text
    return "-0." + text[2:] if text.startswith("-.") else text


def read_number(text: str) -> Optional[float]:
    """Return the number that a page reads from a numerical input; whole ones are posted as integers."""
    found = re.match(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text)
    if found is None or text.count(".") > 1:
        return None
    number = float(found.group())
    if math.isinf(number):
        return None  # as JSON.stringify posts it
    return int(number) if number == int(number) else number
