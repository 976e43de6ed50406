"""Having one archive send to another: what it has to send, what it says it sent, and what did not arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional

from ..backends import Backend
from ..backends.levels import UNIQUE, group_by_series
from ..backends.relaying import Relayed, Relaying
from ..budget import Budget
from ..config.options import AE_TITLE, Option, converted
from ..config.values import as_ae_title
from ..errors import ConfigError, ConnectionFailed, Incomplete, QAFetchError, Refused
from ..matching import Value
from ..shelf import Reference
from .asked import held
from .fetching import Progress

_UIDS_PER_REQUEST = 100
_SECONDS_EACH = 2.0  # that an object may take on its way
_LATE = 3.0  # seconds after which a destination has to show what it was sent
_LOST_TOO_OFTEN = 3  # items; an archive that breaks off so often sends nothing now
_WORDS = {"PATIENT": "patient", "STUDY": "study", "SERIES": "series", "IMAGE": "object"}


@dataclass(frozen=True)
class Moved:
    """What became of one item that was to be sent to another archive.

    Parameters
    ----------
    level, uid
        PATIENT, STUDY, SERIES or IMAGE, and its PatientID or UID.
    objects
        How many objects had to be sent.
    sent
        How many the archive says it has sent.
    status
        The last status that it gave; None where there was nothing to ask for, or no answer.
    problem
        Empty when all of it is there.
    missing
        The SOP Instance UIDs of what did not arrive, as far as they are known.
    absent
        Whether the archive was asked for it, and has none of it.
    """

    level: str
    uid: str
    objects: int = 0
    sent: int = 0
    status: Optional[int] = None
    problem: str = ""
    missing: tuple[str, ...] = ()
    absent: bool = False


@dataclass(frozen=True)
class _Request:
    """One C-MOVE: what it names, and the objects that it brings."""

    level: str
    keys: Mapping[str, Value]
    group: Sequence[Reference]


class Mover:
    """Has items sent to one destination.

    Parameters
    ----------
    backend
        The archive that sends.
    destination
        The AE title to which it sends.
    other
        The destination, where it can be asked what it has.
    seconds
        How long one item may take, and longer where it has many objects.
    on_progress
        Told how many objects of an item are sent.
    """

    def __init__(
        self,
        backend: Backend,
        destination: str,
        other: Optional[Backend],
        seconds: float,
        on_progress: Optional[Progress],
    ) -> None:
        if not (isinstance(backend, Relaying) and backend.relays):
            raise ConfigError(
                f"{backend.name} cannot be asked to send to another archive, since that is a DICOM service (C-MOVE). "
                "Name it as dimse://AET@host:port, or use send."
            )
        self._backend = backend
        self._relaying: Relaying = backend
        self._name = backend.name
        self._destination = destination
        self._other = other
        self._seconds = seconds
        self._on_progress = on_progress or (lambda sent, total: None)

    def all(self, items: Sequence[tuple[str, str]]) -> list[Moved]:
        """What became of each item: one that fails keeps no other back, and Incomplete says so at the end."""
        outcome = self._all(items)
        failed = [moved for moved in outcome if moved.problem]
        if failed:
            raise Incomplete(
                f"{len(failed)} of {len(outcome)} items were not moved to {self._destination} as a whole; "
                f"the first: {failed[0].problem}.",
                missing=[uid for moved in failed for uid in moved.missing],
                outcome=outcome,
            )
        return outcome

    def _all(self, items: Sequence[tuple[str, str]]) -> list[Moved]:
        outcome: list[Moved] = []
        lost = 0
        for level, uid in items:
            if lost >= _LOST_TOO_OFTEN:
                outcome.append(Moved(level, uid, problem=outcome[-1].problem))
                continue
            try:
                outcome.append(self._one(level, uid))
                lost = 0
            except (ConnectionFailed, Refused) as error:
                lost += isinstance(error, ConnectionFailed)
                outcome.append(Moved(level, uid, status=getattr(error, "status", None), problem=_plain(error)))
        return outcome

    def _one(self, level: str, uid: str) -> Moved:
        have = held(self._backend, level, uid, Budget(self._seconds))
        if not have:
            what = "nothing of this patient" if level == "PATIENT" else f"no {_WORDS[level]} {uid}"
            problem = f"{self._name} has {what}. Check the UID, and what this AE title may see"
            return Moved(level, uid, problem=problem, absent=True)
        known = self._there(level, uid)
        wanted = [reference for reference in have if reference.instance not in known]
        if not wanted:
            return Moved(level, uid)
        budget = Budget(max(self._seconds, len(wanted) * _SECONDS_EACH))
        moved = Moved(level, uid, len(wanted))
        for request in _requests(level, wanted, whole=len(wanted) == len(have)):
            moved = self._request(moved, request, budget)
        return self._looked_for(moved, wanted)

    def _request(self, moved: Moved, request: _Request, budget: Budget) -> Moved:
        before = moved.sent
        relayed = self._relaying.relay(
            request.level,
            request.keys,
            self._destination,
            budget,
            lambda sent: self._on_progress(min(before + sent, moved.objects), moved.objects),
        )
        self._on_progress(min(before + relayed.sent, moved.objects), moved.objects)
        problem = self._problem(relayed, len(request.group))
        missing = relayed.unsent
        if problem and not missing and not relayed.sent:
            missing = tuple(reference.instance for reference in request.group)
        return replace(
            moved,
            sent=before + min(relayed.sent, len(request.group)),
            status=relayed.status if relayed.status or moved.status is None else moved.status,
            problem=moved.problem or problem,
            missing=(*moved.missing, *missing),
        )

    def _problem(self, relayed: Relayed, objects: int) -> str:
        if relayed.status not in (0x0000, 0xB000):
            return self._relaying.why_unsent(relayed, self._destination).rstrip(".")
        if relayed.sent < objects or relayed.failed:
            return (
                f"{self._name} says that it has sent {min(relayed.sent, objects)} of {objects} objects. "
                f"Its log, and that of {self._destination}, say why the others failed"
            )
        return ""

    def _there(self, level: str, uid: str) -> set[str]:
        """The objects of an item that the destination has, as far as it can be asked."""
        if self._other is None:
            return set()
        return {reference.instance for reference in held(self._other, level, uid, Budget(self._seconds))}

    def _looked_for(self, moved: Moved, wanted: Sequence[Reference]) -> Moved:
        """The same with what the destination really has, where it can be asked."""
        if self._other is None:
            return moved
        patience = Budget(_LATE if not moved.problem else 0.0)
        while True:
            known = self._there(moved.level, moved.uid)
            missing = tuple(reference.instance for reference in wanted if reference.instance not in known)
            if not missing or patience.spent:
                break
            time.sleep(patience.at_most(0.2))
        problem = moved.problem
        if missing and not problem:
            problem = (
                f"{self._destination} does not show {len(missing)} of {len(wanted)} objects that {self._name} "
                "says it has sent. Its log says why"
            )
        return replace(moved, missing=missing, problem=problem if missing else "")


def _requests(level: str, wanted: Sequence[Reference], *, whole: bool) -> Iterator[_Request]:
    """How to ask for objects: all of a study or a series by its own UID, single objects by theirs.

    Never by patient: archives disagree on what that brings.
    """
    if whole and level in ("PATIENT", "STUDY"):
        studies: dict[str, list[Reference]] = {}
        for reference in wanted:
            studies.setdefault(reference.study, []).append(reference)
        for group in studies.values():
            yield _Request("STUDY", _keys(group[0], "STUDY"), group)
        return
    for group in group_by_series(wanted):
        if whole and level == "SERIES":
            yield _Request("SERIES", _keys(group[0], "SERIES"), group)
            continue
        for start in range(0, len(group), _UIDS_PER_REQUEST):
            some = group[start : start + _UIDS_PER_REQUEST]
            uids = [reference.instance for reference in some]
            yield _Request("IMAGE", {**_keys(some[0], "SERIES"), UNIQUE["IMAGE"]: uids}, some)


def _keys(reference: Reference, level: str) -> dict[str, Value]:
    keys: dict[str, Value] = {UNIQUE["PATIENT"]: reference.patient, UNIQUE["STUDY"]: reference.study}
    if level == "SERIES":
        keys[UNIQUE["SERIES"]] = reference.series
    return keys


def _plain(error: QAFetchError) -> str:
    return error.message.rstrip(".")


def as_destination(to: str) -> str:
    """An AE title, which is what an archive knows its destinations by."""
    return str(converted(Option(AE_TITLE, as_ae_title), to, "to", "arguments", None))
