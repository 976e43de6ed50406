"""Bringing objects from a DICOM archive: by C-GET where it is offered, else by C-MOVE to a receiver of ours."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import ConnectionFailed, QAFetchError, Refused
from ..matching import Value, query
from ..shelf import Claim, Reference
from . import Local, receiver, standing
from .connections import Connections
from .levels import group_by_series
from .link import PENDING, Link, Purpose, Sentences
from .storage import RADIOTHERAPY, VERIFICATION

_UIDS_PER_REQUEST = 100
_FEW = 8  # objects that are asked for one by one even if they are a whole series
_NO_DESTINATION = 0xA801
_LATE_ARRIVALS = 3.0  # seconds that objects may come after the archive called the transfer complete


class _Way(Protocol):
    """One of the two ways of asking for objects."""

    service: str
    purpose: Purpose

    def __call__(self, link: Link, identifier: Any, group: Sequence[Reference]) -> int:
        """Ask for a group of objects; the final status."""
        ...


class Retrieval:
    """One retrieve: what is asked for, by which way, and again for what did not come."""

    def __init__(
        self, archive: ArchiveConfig, local: Local, connections: Connections, models: Mapping[str, str], asking: Purpose
    ) -> None:
        self._archive = archive
        self._local = local
        self._connections = connections
        self._models = models
        self._asking = asking
        self._says = Sentences(archive, local)

    def run(self, claim: Claim, budget: Budget) -> None:
        """Ask for single objects first, then for whole series, by each way that there is."""
        problem: Optional[QAFetchError] = None
        for way in self._ways(budget):
            try:
                for level in ("IMAGE", "SERIES"):
                    problem = self._by_level(way, level, claim, budget) or problem
                    if claim.complete or budget.spent:
                        return
            except ConnectionFailed as error:
                if claim.complete:
                    return
                problem = error
                if budget.spent:
                    break
            except Refused:
                # A way that broke can be gone again; that another one was never set up is not what happened.
                if not isinstance(problem, ConnectionFailed):
                    raise
        if problem is not None:
            raise problem

    def _ways(self, budget: Budget) -> Iterator[Callable[[Claim, Budget], contextlib.AbstractContextManager[_Way]]]:
        wanted = self._archive["retrieve"]
        if wanted == "get" or (
            wanted == "auto" and self._connections.open(self._asking, budget).accepts(self._models["get"])
        ):
            yield self._by_get
        if wanted in ("auto", "move"):
            yield self._by_move

    def _by_level(
        self,
        by: Callable[[Claim, Budget], contextlib.AbstractContextManager[_Way]],
        level: str,
        claim: Claim,
        budget: Budget,
    ) -> Optional[QAFetchError]:
        """Ask as long as that brings anything; the archive's refusal, if it refused."""
        before = None
        while not claim.complete and before != len(claim.missing) and not budget.spent:
            before = len(claim.missing)
            try:
                with by(claim, budget) as way:
                    self._all(way, level, claim, budget)
            except Refused as error:
                if error.status in (None, _NO_DESTINATION):  # another way would be refused for the same reason
                    raise
                return error
            if claim.failure is not None:
                raise claim.failure
        return None

    def _all(self, way: _Way, level: str, claim: Claim, budget: Budget) -> None:
        missing = claim.missing
        members = self._connections.members_for(way.purpose, len(missing), budget)

        def ask(link: Link, request: _Request) -> bool:
            if request.level == "SERIES":
                claim.welcome(request.group[0].series)
            status = way(link, self._identifier(request), request.group)
            if claim.failure is not None or budget.spent:
                return False
            if status not in (0x0000, 0xB000, *PENDING):
                raise self._says.refusal(way.service, status)
            return True

        self._connections.share(way.purpose, list(_requests(missing, level, members, claim)), ask, members, budget)

    def _identifier(self, request: _Request) -> Any:
        first = request.group[0]
        keys: dict[str, Value] = {"StudyInstanceUID": first.study, "SeriesInstanceUID": first.series}
        if self._archive["root"] == "patient":
            keys["PatientID"] = first.patient
        if request.level == "IMAGE":
            keys["SOPInstanceUID"] = [reference.instance for reference in request.group]
        return query(request.level, keys)

    @contextlib.contextmanager
    def _by_get(self, claim: Claim, budget: Budget) -> Iterator[_Way]:
        missing = claim.missing
        classes = dict.fromkeys(reference.sop_class for reference in missing if reference.sop_class)
        if any(not reference.sop_class for reference in missing):  # an archive that does not say
            classes.update(dict.fromkeys(RADIOTHERAPY))
        services = (self._models["get"], VERIFICATION)
        yield _Get(self._models["get"], Purpose(services, tuple(sorted(classes))[:63]), claim, budget)

    @contextlib.contextmanager
    def _by_move(self, claim: Claim, budget: Budget) -> Iterator[_Way]:
        if standing.standing_at(self._local):
            with standing.want(self._local, claim) as asked:
                yield _Move(self._models["move"], self._asking, self._local, claim, budget, asked.collect)
        else:
            with receiver.temporary(self._local, claim.begin, budget):
                yield _Move(self._models["move"], self._asking, self._local, claim, budget, lambda: 0)


@dataclass(frozen=True)
class _Request:
    """Objects of one series that are asked for at once, by their own UIDs or by that of the series."""

    level: str
    group: Sequence[Reference]


def _requests(missing: Sequence[Reference], level: str, members: int, claim: Claim) -> Iterator[_Request]:
    """How to ask for what is missing: a series by its own UID, which archives find faster, where all of it is."""
    size = _UIDS_PER_REQUEST
    if members > 1:
        size = min(size, math.ceil(len(missing) / members))
    untouched = claim.whole_series and members == 1 and not claim.arrived
    for group in group_by_series(missing):
        if level == "SERIES" or (untouched and len(group) > _FEW and not claim.has_some_of(group[0].series)):
            yield _Request("SERIES", group)
        else:
            yield from (_Request("IMAGE", group[start : start + size]) for start in range(0, len(group), size))


class _Get:
    """C-GET: objects come over the association that asks."""

    service = "C-GET"

    def __init__(self, model: str, purpose: Purpose, claim: Claim, budget: Budget) -> None:
        self.purpose = purpose
        self._model = model
        self._claim = claim
        self._budget = budget

    def __call__(self, link: Link, identifier: Any, group: Sequence[Reference]) -> int:
        status, _ = link.get(
            identifier, self._model, self._budget, lambda: self._claim.failure is not None, self._claim.begin
        )
        return status


class _Move:
    """C-MOVE: objects come to a receiver of ours, and can be on their way still when the archive calls it complete."""

    service = "C-MOVE"

    def __init__(
        self,
        model: str,
        purpose: Purpose,
        local: Local,
        claim: Claim,
        budget: Budget,
        collect: Callable[[], int],
    ) -> None:
        self.purpose = purpose
        self._model = model
        self._local = local
        self._claim = claim
        self._budget = budget
        self._collect = collect

    def __call__(self, link: Link, identifier: Any, group: Sequence[Reference]) -> int:
        status, sent = link.move(identifier, self._model, self._local.ae_title, self._budget, self._stop)
        expected = min(sent, len(group))
        patience = Budget(self._budget.at_most(_LATE_ARRIVALS))
        while not self._stop() and self._claim.here(group) < expected and not patience.spent:
            time.sleep(0.002)
        return status

    def _stop(self) -> bool:
        self._collect()
        return self._claim.failure is not None
