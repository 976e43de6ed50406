"""How a double sends objects, with a C-GET or a C-MOVE, truly or not."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Protocol

from pydicom import config as pydicom_config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from qa_fetch import part10

from .course import uid
from .lies import Lies
from .wire import Association, Gone, Message

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
SOME_FAILED, ALL_FAILED = 0xB000, 0xA702
_LATER = 0.3  # seconds between the final answer of an asynchronous C-MOVE and its objects


class Dropped(Exception):
    """The double broke the association, as it was told to."""


class Host(Protocol):
    """What a transfer needs of the archive to which it belongs."""

    lies: Lies
    ae_title: str
    sent: list[str]
    paused: threading.Event
    resume: threading.Event

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the archive's end."""
        ...

    def background(self, work: Callable[[], None]) -> None:
        """Run something in a thread that ends with the archive."""
        ...

    def track(self, association: Association) -> None:
        """Remember an association, so that whoever waits on it is woken at the end."""
        ...

    def forget(self, association: Association) -> None:
        """An association has ended."""
        ...


_STAND_INS = str.maketrans("\0 ", "~_")  # pydicom strips NULs and spaces, and writes these


def decorated(value: str, tag: Any) -> DataElement:
    """A UI element whose value pydicom neither checks nor strips; ``restored`` makes it what it should be."""
    return DataElement(tag, "UI", value.translate(_STAND_INS), validation_mode=pydicom_config.IGNORE)


def restored(data: bytes, values: Iterable[str]) -> bytes:
    """Encoded elements with the true decorations of these values."""
    for value in values:
        data = data.replace(value.translate(_STAND_INS).encode(), value.encode())
    return data


@dataclass
class Parcel:
    """One object as it will be sent: the UID of its command, and its data set."""

    uid: str
    dataset: Dataset
    truncated: bool = False

    def encoded(self, syntax: str) -> bytes:
        """Its data set's bytes, or the first part of them."""
        data = restored(part10.encode(self.dataset, syntax), [self.uid])
        return data[: len(data) * 3 // 5 // 2 * 2] if self.truncated else data


def parcels(chosen: Sequence[Dataset], holding: Sequence[Dataset], lies: Lies) -> list[Parcel]:
    """What is sent for the objects chosen."""
    made = [Parcel(str(dataset.SOPInstanceUID), dataset) for dataset in chosen]
    if made and lies.truncated:
        made[0].truncated = True
    if made and lies.wrong_uid:
        made[0].dataset = _renamed(made[0].dataset, uid("wrong", made[0].uid))
    if lies.decorate_objects:
        for parcel in made:
            parcel.uid += lies.decorate_objects
            parcel.dataset = _renamed(parcel.dataset, parcel.uid)
    if lies.twice:
        made = [parcel for parcel in made for _ in range(2)]
    if lies.stray and made:
        made.insert(0, _stray(chosen, holding))
    return made


def _renamed(dataset: Dataset, name: str) -> Dataset:
    other = Dataset()
    other.update({element.tag: element for element in dataset})  # copy.copy would share the elements' dictionary
    other["SOPInstanceUID"] = decorated(name, 0x00080018)
    return other


def _stray(chosen: Sequence[Dataset], holding: Sequence[Dataset]) -> Parcel:
    asked = {dataset.SOPInstanceUID for dataset in chosen}
    classes = {dataset.SOPClassUID for dataset in chosen}
    for dataset in holding:
        if dataset.SOPInstanceUID not in asked and dataset.SOPClassUID in classes:
            return Parcel(str(dataset.SOPInstanceUID), dataset)
    name = uid("stray", chosen[0].SOPInstanceUID)
    return Parcel(name, _renamed(chosen[0], name))


@dataclass
class Transfer:
    """One C-GET or C-MOVE: its objects, its counts, and the association on which its answers go."""

    host: Host
    main: Association
    request: Message
    chosen: Sequence[Dataset]
    holding: Sequence[Dataset]
    total: int = 0
    completed: int = 0
    failed: list[str] = field(default_factory=list)
    cancelled: bool = False

    def __post_init__(self) -> None:
        lies = self.host.lies
        self.parcels = parcels(self.chosen, self.holding, lies)[: lies.sends_only]
        self.total = len(self.chosen) if lies.sends_only is not None else len(self.parcels)

    def answer(self, status: int, failed: Sequence[str] = (), *, remaining: Optional[int] = None) -> None:
        """Send a C-GET-RSP or C-MOVE-RSP with the counts as they stand."""
        command: dict[str, Any] = {
            "AffectedSOPClassUID": self.request.command.AffectedSOPClassUID,
            "CommandField": self.request.command.CommandField | 0x8000,
            "MessageIDBeingRespondedTo": self.request.command.MessageID,
            "Status": status,
            "NumberOfCompletedSuboperations": self.completed,
            "NumberOfFailedSuboperations": len(failed),
            "NumberOfWarningSuboperations": 0,
        }
        if remaining is not None:
            command["NumberOfRemainingSuboperations"] = remaining
        data = None
        if failed and status != PENDING:
            names = Dataset()
            names.FailedSOPInstanceUIDList = list(failed)
            data = part10.encode(names, self.main.contexts[self.request.context].accepted)
        self.main.send(self.request.context, command, data)

    def finish(self) -> None:
        """Send the final answer: the truth, or what the lies make of it."""
        lies = self.host.lies
        if lies.sends_only is not None and lies.final_status is None:
            self.completed, self.failed = self.total, []
        elif lies.sends_only is not None:
            sent = {parcel.uid for parcel in self.parcels}
            self.failed += [str(one.SOPInstanceUID) for one in self.chosen if str(one.SOPInstanceUID) not in sent]
        true = SOME_FAILED if self.completed else ALL_FAILED
        status = CANCELLED if self.cancelled else true if self.failed else SUCCESS
        self.answer(status if lies.final_status is None else lies.final_status, self.failed)

    def pretended(self) -> bool:
        """Whether this transfer sends no object at all; then its final answer is sent here."""
        lies = self.host.lies
        if lies.fail_suboperations:
            self.answer(SUCCESS, [parcel.uid for parcel in self.parcels])
        elif lies.send_nothing:
            self.answer(SUCCESS)
        return lies.fail_suboperations or lies.send_nothing

    def over_own(self) -> None:
        """A C-GET: send the objects on the association on which they were asked for."""
        if not self.pretended():
            self._send_all(self.main, answers=True)
            self.finish()

    def over_new(self, address: tuple[str, int], destination: str) -> None:
        """A C-MOVE: send the objects on an association of our own to the destination."""
        if self.pretended():
            return
        if self.host.lies.asynchronous_move:
            self.completed = self.total
            self.answer(SUCCESS)
            self.host.background(lambda: self._later(address, destination))
            return
        self._deliver(address, destination, answers=True)
        self.finish()

    def _later(self, address: tuple[str, int], destination: str) -> None:
        self.host.wait(_LATER)
        self._deliver(address, destination, answers=False)

    def _deliver(self, address: tuple[str, int], destination: str, *, answers: bool) -> None:
        classes = sorted({str(parcel.dataset.SOPClassUID) for parcel in self.parcels})
        if not classes:
            return
        try:
            association = Association.request(address, destination, self.host.ae_title, classes)
        except Gone:
            self.failed = [parcel.uid for parcel in self.parcels]
            return
        self.host.track(association)
        try:
            self._send_all(association, answers=answers, destination=True)
        finally:
            self.host.forget(association)

    def _send_all(self, association: Association, *, answers: bool, destination: bool = False) -> None:
        lies = self.host.lies
        for number, parcel in enumerate(self.parcels):
            self._pause(number)
            if lies.drop_after == number:
                self._drop(association, parcel)
            self.host.wait(lies.delay)
            if answers and self._stopped(association):
                break
            if self._store(association, parcel, number + 1):
                self.completed += 1
                self.host.sent.append(parcel.uid)
            else:
                self.failed.append(parcel.uid)
            remaining = max(0, self.total - self.completed - len(self.failed))
            if answers and remaining:
                self.answer(PENDING, self.failed, remaining=remaining)
        else:
            self._pause(len(self.parcels))
            if lies.drop_after is not None and lies.drop_after >= len(self.parcels):
                self._drop(association, None)
        if destination:
            association.release()

    def _pause(self, number: int) -> None:
        if self.host.lies.pause_after == number:
            self.host.paused.set()
            while not self.host.resume.wait(0.02):
                self.host.wait(0)

    def _stopped(self, association: Association) -> bool:
        """Whether a C-CANCEL came; Gone when the other side has gone."""
        if self.main.waiting() and self.main.read().command.CommandField == 0x0FFF:
            self.cancelled = True
        return self.cancelled

    def _command(self, parcel: Parcel, message: int) -> dict[str, Any]:
        command: dict[str, Any] = {
            "AffectedSOPClassUID": parcel.dataset.SOPClassUID,
            "CommandField": 0x0001,
            "MessageID": message,
            "Priority": 0,
        }
        if "MoveDestination" in self.request.command:
            command["MoveOriginatorApplicationEntityTitle"] = self.main.said.calling
            command["MoveOriginatorMessageID"] = self.request.command.MessageID
        return command

    def _send(self, association: Association, parcel: Parcel, message: int, part: float = 1.0) -> bool:
        context = association.context_for(str(parcel.dataset.SOPClassUID))
        if context is None:
            return False
        command = Dataset()
        for keyword, value in self._command(parcel, message).items():
            setattr(command, keyword, value)
        command.CommandDataSetType = 1
        command["AffectedSOPInstanceUID"] = decorated(parcel.uid, 0x00001000)
        data = parcel.encoded(association.contexts[context].accepted)
        encoded = restored(part10.encode(command, part10.IMPLICIT_LITTLE), [parcel.uid])
        association.send_bytes(context, encoded, data, part)
        return True

    def _store(self, association: Association, parcel: Parcel, message: int) -> bool:
        try:
            if not self._send(association, parcel, message):
                return False
            response = association.read().command
            if response.CommandField == 0x0FFF:
                self.cancelled = True
                response = association.read().command
            return int(response.Status) == SUCCESS
        except Gone:
            if association is self.main:
                raise
            return False

    def _drop(self, association: Association, parcel: Optional[Parcel]) -> None:
        if self.host.lies.drop_inside and parcel is not None:
            self._send(association, parcel, len(self.parcels), part=0.5)
        for one in (association, self.main):
            if self.host.lies.drop_how == "abort":
                one.abort()
            else:
                one.reset()
        raise Dropped
