"""Archives that silently give only part of their answers: was an answer the whole?

Orthanc with ``LimitFindInstances`` or ``LimitFindResults`` looks at no more than that many resources and one, says
nothing of it, and has no further page. What it looks at is what its index matches; other keys are matched afterwards,
so that an answer of a few rows may be cut as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        # As many were proven when the archive's own count had to decide, and when it had no longer answer to show.
        self._counted: dict[str, int] = {}
        self._vain: dict[str, int] = {}

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
            How many entities of the level there are in a scope, or only that there are more than are shown, from a
            source without limit; None if that is not told.
        reaches
            Whether a question has at least so many answers.
        """
        sent = {keyword: value for keyword, value in keys.items() if value not in ("", None)}
        near = {keyword: value for keyword, value in sent.items() if keyword in _INDEXED}
        around = scope(level, near)
        plain = len(near) == len(sent)  # nothing that was looked at was left out of the answer
        while count >= self.proven(level) if plain else reaches(near, self.proven(level)):
            proven = self.proven(level)
            if proven > _MOST:
                return True
            again = proven == self._counted.get(level)
            larger = [max(_STEP, 2 * count, 2 * proven)]
            if plain or again:
                larger.append(max(count, proven) + 1)
            # A limit is the same for every question, so that any longer answer disproves it. All that an archive has is
            # a heavy question, which is put only where counting would have to be repeated, or is no lighter.
            if (again or not around or level == "STUDY") and proven != self._vain.get(level):
                if self._gives(level, {}, larger, reaches):
                    continue
                self._vain[level] = proven
            there = total(around)
            if there is None or there <= max(count, proven):
                self.learn(level, count)
                self._counted[level] = self.proven(level)
                return True
            larger[0] = min(larger[0], there)
            # An archive may count more than it shows.
            if not self._gives(level, around, larger[:1], reaches) and not self._gives(level, {}, larger, reaches):
                return False
        return True

    def _gives(self, level: str, within: Keys, numbers: Sequence[int], reaches: Reaches) -> bool:
        """Whether there are as many answers as one of the numbers says, which is learnt."""
        given = next((number for number in numbers if reaches(within, number)), 0)
        self.learn(level, given)
        return given > 0


_known: dict[str, Limits] = {}
