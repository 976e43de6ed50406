"""Storage commitment: an archive's word that it has objects for good (PS3.4 Annex J)."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Protocol

from .. import part10
from ..budget import Budget
from ..errors import BadArchive
from ..matching import query
from .wire import Association, Kind, Message, Violation

SERVICE = "1.2.840.10008.1.20.1"
INSTANCE = "1.2.840.10008.1.20.1.1"
REQUEST = 1  # ActionTypeID
NOT_NAMED = 0xFFFF  # for an object of which the archive says nothing
_PROCESSING_FAILURE = 0x0110
_UNCLAIMED = 86400  # seconds for which a report waits to be asked for

_log = logging.getLogger("qa_fetch.dimse")


class Committed(NamedTuple):
    """An object that an archive is to vouch for."""

    sop_class: str
    sop_instance: str


class Outcome(NamedTuple):
    """What an archive says of a transaction: which instances it has, and which it has not, with the reason's code."""

    transaction: str
    kept: frozenset[str]
    failed: Mapping[str, int]

    def problem(self, instance: str) -> int:
        """0 when the archive vouches for the object, else its reason."""
        if instance in self.failed:
            return self.failed[instance]
        return 0 if instance in self.kept else NOT_NAMED


def new_transaction() -> str:
    """A UID that nobody else has."""
    return f"2.25.{uuid.uuid4().int}"


def request(transaction: str, objects: Sequence[Committed], syntax: str) -> bytes:
    """The data set of an N-ACTION that asks for commitment."""
    items = [{"ReferencedSOPClassUID": one.sop_class, "ReferencedSOPInstanceUID": one.sop_instance} for one in objects]
    dataset = query("IMAGE", {"TransactionUID": transaction, "ReferencedSOPSequence": items})
    del dataset.QueryRetrieveLevel
    return part10.encode(dataset, syntax)


def read(association: Association, message: Message, keep: Callable[[Outcome], None]) -> None:
    """Read the N-EVENT-REPORT that answers a request, keep it, and then acknowledge it."""
    if message.command.kind != Kind.N_EVENT_REPORT or not message.command.has_data:
        raise Violation("something else than an event report")
    syntax = association.contexts[message.context].syntaxes[0]
    try:
        outcome = parse(part10.decode(association.read(message), syntax))
    except BadArchive:
        raise Violation("an event report that cannot be read") from None
    try:
        keep(outcome)
    except OSError as error:
        _log.error("a report on a commitment could not be kept (%s)", error.strerror)
        association.respond(message, _PROCESSING_FAILURE)
        return
    association.respond(message, 0x0000)


def parse(dataset: Any) -> Outcome:
    """What an event report says."""
    kept = frozenset(map(_instance, dataset.get("ReferencedSOPSequence") or ()))
    failed = {_instance(item): _reason(item) for item in dataset.get("FailedSOPSequence") or ()}
    return Outcome(part10.clean_uid(dataset.get("TransactionUID") or ""), kept - set(failed), failed)


def _instance(item: Any) -> str:
    return part10.clean_uid(item.get("ReferencedSOPInstanceUID") or "")


def _reason(item: Any) -> int:
    reason = item.get("FailureReason")
    return int(reason) if isinstance(reason, int) and reason else NOT_NAMED


class Reports(Protocol):
    """Where the report of a transaction is found when it has come."""

    def wait(self, transaction: str, seconds: float) -> Optional[Outcome]:
        """The report, when it comes within some seconds."""
        ...


class Arrived:
    """Event reports as they come, by their transactions; for several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcomes: dict[str, Outcome] = {}

    def add(self, outcome: Outcome) -> None:
        """Take a report."""
        with self._changed:
            self._outcomes[outcome.transaction] = outcome
            self._changed.notify_all()

    def wait(self, transaction: str, seconds: float) -> Optional[Outcome]:
        """The report of a transaction, when it comes within some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: transaction in self._outcomes, seconds)
            return self._outcomes.get(transaction)


class Mailbox:
    """Event reports that the always-on receiver leaves for other processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, outcome: Outcome) -> None:
        """Leave a report, and take away what nobody has waited for since yesterday: anybody can send one."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _UNCLAIMED:
                    left.unlink()
        target = self._path(outcome.transaction)
        draft = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
        draft.write_text(json.dumps([outcome.transaction, sorted(outcome.kept), dict(outcome.failed)]), "utf-8")
        draft.replace(target)

    def wait(self, transaction: str, seconds: float) -> Optional[Outcome]:
        """The report of a transaction, when it comes within some seconds; it is taken out."""
        budget = Budget(seconds)
        path = self._path(transaction)
        while True:
            with contextlib.suppress(FileNotFoundError):
                found, kept, failed = json.loads(path.read_text("utf-8"))
                path.unlink()
                return Outcome(found, frozenset(kept), failed)
            if budget.spent:
                return None
            time.sleep(budget.at_most(0.02))

    def _path(self, transaction: str) -> Path:
        return self._folder / f"{part10.file_stem(transaction)}.json"
