"""The sub-operations of a C-MOVE or C-GET: sent one after the other, counted, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from pydicom.dataset import Dataset

from ..backends.wire import Element
from .asking import Asked
from .search import Stored

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
_ALL_FAILED, _SOME_FAILED = 0xA702, 0xB000
_WARNINGS = frozenset((0x0001, 0x0107, 0x0116))
_LARGEST = 0xFFFF  # number that a response has room for


class Retrieval:
    """One C-MOVE or C-GET on its way."""

    def __init__(self, asked: Asked, rows: Sequence[Stored]) -> None:
        self.completed = self.warnings = 0
        self.failed: list[str] = []
        self._asked = asked
        self._rows = rows

    @property
    def total(self) -> int:
        """How many objects are asked for."""
        return len(self._rows)

    def run(self, send: Callable[[Stored], int]) -> int:
        """Send all, unless the caller cancels; the final status, which the caller has been told."""
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
            failed.FailedSOPInstanceUIDList = self.failed
        self._asked.answer(status, failed, self._counts(remaining=status == CANCELLED))
        return status
