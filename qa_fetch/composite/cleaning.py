"""Values as QATrack+ can send them to a page: JSON without NaN, which would lose every result of the page."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from datetime import date, time
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import ConfigError


def cleaned(value: Any) -> Any:
    """The same value made of what JSON has; a number that is none (NaN, infinity) becomes None.

    Understood are numbers, text, dates, paths, enums, dataclasses, pydantic's models, numpy's numbers and arrays, and
    whatever holds these. ConfigError for anything else, since a guess would be stored with the record.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return _plain(value)
    if isinstance(value, (date, time)):  # and datetime, which is a date
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return cleaned(value.value)
    if isinstance(value, Mapping):
        return {str(cleaned(key)): cleaned(part) for key, part in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((cleaned(part) for part in value), key=str)
    if isinstance(value, (list, tuple, range)) or type(value).__name__ == "MultiValue":
        return [cleaned(part) for part in value]
    return cleaned(_unpacked(value))


def _plain(value: Any) -> Any:
    """Without what subclasses add: pydicom's numbers and UIDs, and numpy's floats, are subclasses of Python's."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value)


def _unpacked(value: Any) -> Any:
    """What is inside of a foreign object that is known to hold plain values."""
    if not isinstance(value, type):
        if dataclasses.is_dataclass(value):
            return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
        for method in ("tolist", "model_dump"):  # numpy's numbers and arrays; pydantic's models
            if callable(getattr(type(value), method, None)):  # not of the object, which may answer to any name
                return getattr(value, method)()
    raise ConfigError(
        f"a {type(value).__name__} cannot be the result of a test. Take the numbers or the text you want out of it."
    )


def not_numbers(value: Any, place: str = "") -> Iterable[str]:
    """Where a value holds NaN or infinity, as a path such as ``rois.air.value``."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from not_numbers(part, f"{place}.{key}" if place else str(key))
