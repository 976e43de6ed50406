"""The sub-operations of a C-MOVE or C-GET: sent one after the other, counted, and told of."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Callable

from pydicom.dataset import Dataset

from ..backends.wire import Element
from .asking import Asked
from .search import Stored

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
_ALL_FAILED, _SOME_FAILED = 0xA702, 0xB000
_WARNINGS = frozenset((0x0001, 0x0107, 0x0116))
_LARGEST = 0xFFFF  # number that a response has room for
_SILENCE = 5.0  # seconds without an answer after which some callers think that nobody is there


class Retrieval:
    """One C-MOVE or C-GET on its way.

    Parameters
    ----------
    asked
        What was asked for, and who is answered.
    rows
        The objects.
    name
        What an object is called to who asks.
    """

    def __init__(self, asked: Asked, rows: Sequence[Stored], name: Callable[[str], str] = str) -> None:
        self.completed = self.warnings = 0
        self.failed: list[str] = []
        self._asked = asked
        self._rows = rows
        self._name = name

    @property
    def total(self) -> int:
        """How many objects are asked for."""
        return len(self._rows)

    def run(self, send: Callable[[Stored], int], before: Iterable[object] = ()) -> int:
        """Send all, unless the caller cancels; the final status, which the caller has been told.

        What has to be done ``before`` the first is sent is done step by step.
        """
        told = time.monotonic()
        for _ in before:
            if self._asked.cancelled:
                return self._end(CANCELLED)
            if time.monotonic() - told > _SILENCE:
                self._asked.answer(PENDING, counts=self._counts(remaining=True))
                told = time.monotonic()
        for row in self._rows:
            if self._asked.cancelled:
                return self._end(CANCELLED)
            self._count(row, send(row))
            self._asked.answer(PENDING, counts=self._counts(remaining=True))
        if not self.failed and not self.warnings:
            return self._end(SUCCESS)
        return self._end(_ALL_FAILED if len(self.failed) == len(self._rows) else _SOME_FAILED)

    def _count(self, row: Stored, status: int) -> None:
        if status == SUCCESS:
            self.completed += 1
        elif status & 0xF000 == 0xB000 or status in _WARNINGS:
            self.warnings += 1
        else:
            self.failed.append(row.SOPInstanceUID)

    def _counts(self, *, remaining: bool) -> dict[Element, int]:
        done = self.completed + self.warnings + len(self.failed)
        counts = {
            Element.NumberOfCompletedSuboperations: self.completed,
            Element.NumberOfFailedSuboperations: len(self.failed),
            Element.NumberOfWarningSuboperations: self.warnings,
        }
        if remaining:
            counts[Element.NumberOfRemainingSuboperations] = len(self._rows) - done
        return {element: min(count, _LARGEST) for element, count in counts.items()}

    def _end(self, status: int) -> int:
        failed = None
        if status != SUCCESS:
            failed = Dataset()
            failed.FailedSOPInstanceUIDList = [self._name(uid) for uid in self.failed]
        self._asked.answer(status, failed, self._counts(remaining=status == CANCELLED))
        return status
