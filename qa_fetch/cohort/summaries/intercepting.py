"""What users and other packages do with a patient's rows before they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from types import TracebackType
from typing import Any, Callable, Optional

from ...errors import ConfigError, QAFetchError
from ..columns import COLUMNS, MISSING
from .source import Row

GROUP = "qa_fetch.cohort.interceptors"
Interceptor = Callable[[str, list[Row]], Iterable[Mapping[str, str]]]


def installed() -> list[Interceptor]:
    """Those that other packages offer, by their names."""
    found = metadata.entry_points()
    points = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, ())
    return [point.load() for point in sorted(points, key=lambda point: point.name)]


def intercepted(patient: str, rows: list[Row], interceptors: Sequence[Interceptor]) -> list[Row]:
    """The rows as one interceptor after the other leaves them; what a row lacks then is ``missing``.

    Raises
    ------
    ConfigError
        One of them fails, or gives back what are no rows.
    """
    for interceptor in interceptors:
        with _Watched(interceptor):
            given = [dict(row) for row in interceptor(patient, [dict(row) for row in rows])]
            if not all(isinstance(cell, str) for row in given for cell in row.values()):
                raise TypeError
            rows = [{column: row.get(column, MISSING) for column in COLUMNS} for row in given]
    return rows


class _Watched:
    """Turns whatever goes wrong in somebody else's function into a sentence, without what the exception says."""

    def __init__(self, interceptor: Any) -> None:
        self._name = getattr(interceptor, "__name__", type(interceptor).__name__)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, QAFetchError):
            raise ConfigError(
                f"the interceptor {self._name} failed ({type(error).__name__}). "
                "It gets a patient and a list of rows, and gives back rows of texts; correct it and run again."
            ) from error
