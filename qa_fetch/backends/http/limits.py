"""Archives that silently give only part of their answers: was an answer the whole?

Orthanc with ``LimitFindInstances`` or ``LimitFindResults`` looks at no more than that many resources and one, says
nothing of it, and has no further page. What it looks at is what its index matches; other keys are matched afterwards,
so that an answer of a few rows may be cut as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, Optional

from ...errors import Incomplete
from ...matching import Value
from ..levels import UNIQUE, above
from .qido import single

# What Orthanc matches in its index.
_INDEXED = frozenset(
    "PatientID PatientName PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime StudyID StudyDescription "
    "AccessionNumber SeriesInstanceUID SeriesDate SeriesTime SeriesNumber SeriesDescription Modality StationName "
    "SOPInstanceUID InstanceNumber".split()
)
_STEP = 1000  # that many answers are proven possible at once where there are as many
_MOST = 1_000_000  # nobody sets such a limit; a server that shows as many whatever is asked has none to be found

Keys = Mapping[str, Value]
Reaches = Callable[[Keys, int], bool]
Total = Callable[[Keys], Optional[int]]


def scope(level: str, keys: Keys) -> dict[str, Value]:
    """The patient, study and series that the keys name, the smallest last; nothing where they name none."""
    return {UNIQUE[upper]: keys[UNIQUE[upper]] for upper in above(level) if single(keys.get(UNIQUE[upper]))}


def partial_answer(name: str) -> Incomplete:
    """The error for an answer that is not the whole, or may not be."""
    return Incomplete(
        f"{name} gives only part of its answers. "
        "Narrow the question, or raise its limit (Orthanc: LimitFindInstances, LimitFindResults).",
        retriable=False,
        missing=[],
    )


def known(url: str) -> Limits:
    """What this process has found out about the limits of an archive."""
    return _known.setdefault(url, Limits())


class Limits:
    """How many answers an archive is known to be able to give, for images and for the levels above them."""

    def __init__(self) -> None:
        self._proven = {True: 2, False: 2}  # a limit of 1 shows 2

    def proven(self, level: str) -> int:
        """As many answers as it is known to give; a limit shows no fewer."""
        return self._proven[level == "IMAGE"]

    def learn(self, level: str, number: int) -> None:
        """So many answers were given."""
        self._proven[level == "IMAGE"] = max(number, self.proven(level))

    def whole(self, level: str, keys: Keys, count: int, total: Total, reaches: Reaches) -> bool:
        """Whether an answer of ``count`` rows was not cut.

        Parameters
        ----------
        total
            How many entities of the level there are in a scope, from a source without limit; None if that is not told.
        reaches
            Whether a question has at least so many answers.
        """
        sent = {keyword: value for keyword, value in keys.items() if value not in ("", None)}
        near = {keyword: value for keyword, value in sent.items() if keyword in _INDEXED}
        around = scope(level, near)
        plain = len(near) == len(sent)  # nothing that was looked at was left out of the answer
        while count >= self.proven(level) if plain else reaches(near, self.proven(level)):
            if self.proven(level) > _MOST:
                return True
            number = max(_STEP, 2 * count, 2 * self.proven(level))
            if around or not reaches(around, number):
                there = total(around)
                if there is None or there <= self.proven(level):
                    return True
                if plain and there <= count:
                    self.learn(level, there)
                    return True
                number = min(number, there)
                if not reaches(around, number):
                    number = count + 1
                    if not plain or not reaches(around, number):
                        return False
            self.learn(level, number)
        return True


_known: dict[str, Limits] = {}
