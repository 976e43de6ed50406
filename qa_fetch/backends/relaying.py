"""Having a DICOM archive send objects to another one (C-MOVE to a third party)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Protocol, runtime_checkable

from ..budget import Budget
from ..errors import dimse_refusal
from ..matching import Value
from ..part10 import clean_uid

OnSent = Callable[[int], None]

_UNKNOWN_DESTINATION, _CANNOT_SEND = 0xA801, 0xA702


class Relayed(NamedTuple):
    """What an archive says of a C-MOVE: its final status, its counts, and which objects it could not send."""

    status: int
    completed: int = 0
    failed: int = 0
    warnings: int = 0
    unsent: tuple[str, ...] = ()

    @property
    def sent(self) -> int:
        """How many objects the destination has taken."""
        return self.completed + self.warnings


@runtime_checkable
class Relaying(Protocol):
    """A backend whose archive can be asked to send objects to another one."""

    @property
    def relays(self) -> bool:
        """Whether it can, as it is configured."""
        ...

    def relay(
        self, level: str, keys: Mapping[str, Value], destination: str, budget: Budget, on_sent: OnSent
    ) -> Relayed:
        """Have everything of a level that has these unique keys sent to an AE title; what the archive says of it."""
        ...

    def why_unsent(self, relayed: Relayed, destination: str) -> str:
        """A sentence for the status of a ``relay`` that did not end well."""
        ...


def unsent(dataset: Any) -> tuple[str, ...]:
    """The objects that the data set of a final answer names as failed."""
    found = None if dataset is None else dataset.get("FailedSOPInstanceUIDList")
    return tuple(map(clean_uid, [found] if isinstance(found, str) else list(found or ())))


def refusal(relayed: Relayed, *, archive: str, destination: str, ours: str) -> str:
    """Why an archive sent nothing, or not all: a sentence for its status, which is not 0x0000.

    Parameters
    ----------
    relayed
        What it said.
    archive, destination, ours
        What the archive, the destination and we are called.
    """
    status = f"C-MOVE 0x{relayed.status:04X}"
    if relayed.status == _UNKNOWN_DESTINATION:
        return (
            f"{archive} does not know {destination} as a destination ({status}). "
            f"Add that AE title with its host and port to the DICOM destinations of {archive}."
        )
    if relayed.status == _CANNOT_SEND:
        return (
            f"{archive} could not send the objects to {destination} ({status}). "
            f"Check that {destination} runs, that it knows {archive}, and that {archive} can reach it."
        )
    return dimse_refusal("C-MOVE", relayed.status, archive=archive, ae_title=ours, port=0).message
