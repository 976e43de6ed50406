"""An archive that can be reached in several ways: objects come by the fastest, questions go where they always went."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..budget import Budget
from ..errors import BadArchive, ConfigError, ConnectionFailed, QAFetchError, Refused
from ..matching import Value
from ..shelf import Claim, Reference
from . import Backend, Committing, Converting, Sent, Step
from .relaying import OnSent, Relayed, Relaying

_log = logging.getLogger("qa_fetch.backends")

# As measured (make bench): one stream of a whole series, single files over kept connections, DICOM's own services.
_BY_SPEED = ("folder", "dicomweb", "orthanc", "dimse", "pinnacle")


class Several:
    """One archive by several ways.

    Parameters
    ----------
    first
        The way that is asked, sent to and named in messages.
    kind
        Its kind.
    others
        The other ways, each with its kind.
    """

    def __init__(self, first: Backend, kind: str, others: Sequence[tuple[str, Backend]]) -> None:
        self.name = first.name
        self._first = first
        self._others = [backend for _, backend in others]
        ways = [(kind, first), *others]
        self._fastest = [backend for _, backend in sorted(ways, key=lambda way: _rank(way[0]))]

    @property
    def relational(self) -> bool:
        """Whether one question can reach across all series of a patient."""
        return self._first.relational

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """What the archive has."""
        return self._first.find(level, keys, returned, budget)

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Bring objects by the fastest way; what it does not bring, by the next."""
        problems: dict[int, QAFetchError] = {}
        for backend in self._fastest:
            try:
                backend.retrieve(claim.missing, claim, budget)
            except (BadArchive, ConnectionFailed, Refused) as error:
                problems[id(backend)] = error
                if claim.failure is not None:  # ours, or an archive that contradicts itself
                    raise
            if claim.complete or budget.spent:
                break
            if backend is not self._first and id(backend) in problems:
                _log.warning("%s: %s", self.name, problems[id(backend)])
        if problems and not claim.complete:
            raise problems.get(id(self._first)) or list(problems.values())[-1]

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Send files; each is accounted for."""
        return self._first.store(files, budget)

    @property
    def converts(self) -> bool:
        """Whether the archive's objects are made here."""
        return isinstance(self._first, Converting) and self._first.converts

    def left_out(self, patient: str, budget: Budget) -> list[str]:
        """What of a patient could not be made, where the archive makes its objects itself."""
        return self._first.left_out(patient, budget) if isinstance(self._first, Converting) else []

    def where_else(self, budget: Budget) -> str:
        """What to do where a patient is not found, as the archive that makes its objects itself says."""
        return self._first.where_else(budget) if isinstance(self._first, Converting) else ""

    def since(self, reference: Reference, budget: Budget) -> int:
        """Since when what the archive makes is as it is now."""
        return self._first.since(reference, budget) if isinstance(self._first, Converting) else 0

    @property
    def commits(self) -> bool:
        """Whether the archive can be asked for commitment."""
        return isinstance(self._first, Committing) and self._first.commits

    def commit(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Have the archive vouch for files that it was sent; what it says of each."""
        if not isinstance(self._first, Committing):
            raise ConfigError(f"{self.name} offers no storage commitment this way. Leave it out.")
        return self._first.commit(files, budget)

    @property
    def relays(self) -> bool:
        """Whether the archive can be asked to send objects to another one."""
        return isinstance(self._first, Relaying) and self._first.relays

    def relay(
        self, level: str, keys: Mapping[str, Value], destination: str, budget: Budget, on_sent: OnSent
    ) -> Relayed:
        """Have objects sent to another archive; what this one says of it."""
        return self._relaying.relay(level, keys, destination, budget, on_sent)

    def why_unsent(self, relayed: Relayed, destination: str) -> str:
        """A sentence for the status of a ``relay`` that did not end well."""
        return self._relaying.why_unsent(relayed, destination)

    @property
    def _relaying(self) -> Relaying:
        if not isinstance(self._first, Relaying):
            raise ConfigError(f"{self.name} cannot be asked this way to send objects on. Name it by its DICOM address.")
        return self._first

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Try every way, step by step."""
        yield from self._first.echo(budget, patient)
        for backend in self._others:
            for step in backend.echo(budget, patient):
                yield replace(step, name=f"{backend.name}: {step.name}")

    def close(self) -> None:
        """Give back connections."""
        for backend in self._fastest:
            backend.close()


def _rank(kind: str) -> int:
    """The place of a kind among the others; kinds of other packages come last."""
    return _BY_SPEED.index(kind) if kind in _BY_SPEED else len(_BY_SPEED)
