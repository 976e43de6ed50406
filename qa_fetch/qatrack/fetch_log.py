"""The fetch log: one row for each call of an archive in this site's processes.

``QA_FETCH_LOG_PATIENTS`` (False) keeps PatientIDs too; ``QA_FETCH_LOG_DAYS`` (365) is how long rows are kept.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import router, transaction
from django.utils import timezone

from ..config import ConfigError

_REPEATED = 600.0  # seconds in which the same answer without the network is not written again
_REMEMBERED = 1000
_LOGGER = logging.getLogger("qa_fetch.archive")


def shows_patients() -> bool:
    """Whether this site keeps and shows PatientIDs in the log."""
    return getattr(settings, "QA_FETCH_LOG_PATIENTS", False) is True


def days_kept() -> float:
    """How many days a row is kept."""
    days = getattr(settings, "QA_FETCH_LOG_DAYS", 365)
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not 0 < days < 40_000:
        raise ConfigError(f"Django settings: QA_FETCH_LOG_DAYS is {days!r}; expected a number of days above 0.")
    return days


def listen() -> None:
    """Write a row for each call from now on; a second time changes nothing."""
    if not any(isinstance(handler, ToFetchLog) for handler in _LOGGER.handlers):
        _LOGGER.addHandler(ToFetchLog())
    if not _LOGGER.isEnabledFor(logging.INFO):
        _LOGGER.setLevel(logging.INFO)


class ToFetchLog(logging.Handler):
    """Writes what a call did as a row."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[Any, ...], float] = {}

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock of other handlers: who holds it would wait for the database, and all others for it."""
        passes = bool(self.filter(record))
        if passes:
            self.emit(record)
        return passes

    def emit(self, record: logging.LogRecord) -> None:
        """One row for a record that tells of a call; a database that refuses it stops neither the call nor the page."""
        told = getattr(record, "told", None)
        if told is None or self._is_repeated(told):
            return
        from .models import Fetch

        using = router.db_for_write(Fetch)
        try:
            with transaction.atomic(using=using):  # a savepoint, where the page is in a transaction
                Fetch.objects.using(using).create(when=timezone.now(), **_columns(told))
        except (DatabaseError, ValueError, OverflowError):  # also what a driver cannot write
            self.handleError(record)

    def _is_repeated(self, told: Any) -> bool:
        """QATrack+ asks all again at each change of a field, and the shelf or a failure then says the same."""
        if told.from_shelf is not True and not told.problem:
            return False
        key = (told.call, told.archive, told.says, told.problem, told.unit, told.user, told.patient)
        now = time.monotonic()
        if len(self._last) > _REMEMBERED:
            self._last = {}
        if now - self._last.get(key, -_REPEATED) < _REPEATED:
            return True
        self._last[key] = now
        return False


def _columns(told: Any) -> dict[str, Any]:
    """What a row holds; the patient only where the site wants it."""
    return {
        "user": _fitting(told.user, 150),
        "unit": told.unit,
        "archive": _fitting(told.archive, 64),
        "patient": _fitting(told.patient, 64) if shows_patients() else "",
        "call": _fitting(told.call, 32),
        "what": _fitting(told.says, 255),
        "objects_count": told.objects,
        "from_shelf": told.from_shelf,
        "seconds": told.seconds,
        "problem": _fitting(told.problem, 2000),
    }


def _fitting(text: Any, length: int) -> str:
    """A text as a column of every database takes it: a plan label, which is in it, may hold anything."""
    return str(text).encode("utf-8", "replace").decode("utf-8").replace("\0", " ")[:length]


def prune(*, dry_run: bool = False) -> int:
    """Remove the rows that are too old, and PatientIDs that the site no longer wants kept; how many rows went."""
    from .models import Fetch

    old = Fetch.objects.filter(when__lt=timezone.now() - timedelta(days=days_kept()))
    found: int = old.count()
    if not dry_run:
        old.delete()
        if not shows_patients():
            Fetch.objects.exclude(patient="").update(patient="")
    return found
