"""Testing connections for people: each step with its sentence, and never an exception."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..archive import Archive
from ..backends import Step
from ..errors import QAFetchError


@dataclass(frozen=True)
class Trial:
    """What a connection test found; ``problem`` says why there could be none."""

    archive: str
    steps: Sequence[Step] = ()
    problem: str = ""

    @property
    def works(self) -> bool:
        """Whether no step failed."""
        return not self.problem and all(step.works is not False for step in self.steps)


def try_archive(name: str, patient: str = "") -> Trial:
    """Test the connection to an archive within its time budget; with a patient, also whether that one can be seen."""
    try:
        return Trial(name, Archive(name).echo(patient))
    except QAFetchError as error:
        return Trial(name, problem=error.message)
