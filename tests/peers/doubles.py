"""A scripted archive in threads of the test process: honest until one of its lies is switched on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Callable, NamedTuple, Optional

from pydicom.dataset import Dataset

from qa_fetch import part10

from . import answering
from .lies import Lies
from .process import LOOPBACK, Destinations
from .sending import CANCELLED, PENDING, SUCCESS, Dropped, Transfer, decorated, restored
from .wire import Association, Gone, Message, decode

VERIFICATION = "1.2.840.10008.1.1"
_ROOTS = {"patient": "1.2.840.10008.5.1.4.1.2.1.", "study": "1.2.840.10008.5.1.4.1.2.2."}
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_STORE, _GET, _FIND, _MOVE, _ECHO, _CANCEL = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
_DOES_NOT_FIT, _NO_DESTINATION = 0xA900, 0xA801


class Request(NamedTuple):
    """A request as it came: ``keys`` are plain strings, lists for several values, dicts in a list for items."""

    service: str
    level: str
    keys: dict[str, Any]


class ScriptedArchive:
    """An archive on a free port of loopback; a context manager.

    Parameters
    ----------
    datasets
        What it holds; the list may be changed while it runs.
    lies
        Its switches; ``archive.lies.omits = (...)`` changes them while it runs.
    destinations
        AE title to (host, port), for C-MOVE; may be changed while it runs.
    """

    def __init__(
        self,
        datasets: Iterable[Dataset] = (),
        lies: Optional[Lies] = None,
        *,
        destinations: Optional[Destinations] = None,
        ae_title: str = "SCRIPTED",
    ) -> None:
        self.datasets = list(datasets)
        self.lies = lies or Lies()
        self.destinations: dict[str, tuple[str, int]] = dict(destinations or {})
        self.ae_title = ae_title
        self.port = 0
        self.requests: list[Request] = []
        self.callers: list[str] = []  # the calling AE title of every association that was accepted
        self.moved_to: list[str] = []  # the destination of every C-MOVE
        self.sent: list[str] = []  # the SOP Instance UID of every object that was sent and acknowledged
        self.paused = threading.Event()  # set when ``lies.pause_after`` objects have been sent
        self.resume = threading.Event()  # set it to let them go on
        self.failures: list[BaseException] = []  # faults of the double itself; raised at its end
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._open: set[Association] = set()
        self._threads: list[threading.Thread] = []
        self._listener: Optional[socket.socket] = None

    @property
    def address(self) -> str:
        """The archive as it is written where a name is asked for."""
        return f"dimse://{self.ae_title}@{LOOPBACK}:{self.port}"

    def know(self, ae_title: str, port: int, host: str = LOOPBACK) -> None:
        """Add or change a C-MOVE destination."""
        self.destinations[ae_title] = (host, port)

    def requested(self, service: str) -> list[Request]:
        """The requests of one service, in the order in which they came."""
        return [request for request in self.requests if request.service == service]

    # life

    def __enter__(self) -> ScriptedArchive:
        self._ending.clear()
        self._listener = socket.socket()
        self._listener.bind((LOOPBACK, 0))
        self._listener.listen(64)
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self.background(self._accept)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._ending.set()
        with self._lock:
            for association in self._open:
                association.hang_up()
        while self._threads:
            thread = self._threads.pop()
            thread.join(10)
            if thread.is_alive():
                self.failures.append(RuntimeError("a thread of the double did not end"))
        if self._listener is not None:
            self._listener.close()
        if self.failures and error is None:
            raise self.failures[0]

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the archive's end."""
        if self._ending.wait(seconds):
            raise Gone

    def background(self, work: Callable[[], None]) -> None:
        """Run something in a thread that ends with the archive."""

        def guarded() -> None:
            try:
                work()
            except (Gone, Dropped):
                return
            except Exception as error:  # noqa: BLE001 - kept, and raised where the test sees it
                self.failures.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._ending.is_set():
            with suppress(OSError):  # the time-out of accept, or a caller that has gone already
                connection, _ = self._listener.accept()
                association = Association(connection)
                self.track(association)
                self.background(partial(self._serve, association))

    def track(self, association: Association) -> None:
        """Remember an association, so that whoever waits on it is woken at the end."""
        with self._lock:
            self._open.add(association)
        if self._ending.is_set():
            association.hang_up()

    def forget(self, association: Association) -> None:
        """An association has ended."""
        association.close()
        with self._lock:
            self._open.discard(association)

    def _serve(self, association: Association) -> None:
        try:
            if self._negotiated(association):
                while True:
                    self._answer(association, association.read())
        finally:
            self.forget(association)

    def _negotiated(self, association: Association) -> bool:
        said, lies = association.read_request(), self.lies
        reason = lies.rejects
        if lies.checks_called and said.called != self.ae_title:
            reason = (1, 1, 7)
        elif lies.callers is not None and said.calling not in lies.callers:
            reason = (1, 1, 3)
        if reason is not None:
            association.reject(*reason)
            return False
        self.callers.append(said.calling)
        association.accept(self._offered(said.contexts.values()))
        return True

    def _offered(self, proposed: Iterable[Any]) -> dict[str, bool]:
        offered = {VERIFICATION: False}
        for root in self.lies.roots:
            for number, wanted in ((1, self.lies.find), (2, self.lies.move), (3, self.lies.get)):
                if wanted:
                    offered[f"{_ROOTS[root]}{number}"] = False
        if self.lies.store or self.lies.get:
            storage = {context.abstract for context in proposed if context.abstract.startswith(_STORAGE)}
            offered.update(dict.fromkeys(storage, self.lies.get))
        return offered

    # services

    def _answer(self, association: Association, message: Message) -> None:
        services = {
            _ECHO: self._echo,
            _STORE: self._store,
            _FIND: self._find,
            _GET: self._retrieve,
            _MOVE: self._retrieve,
        }
        service = services.get(message.command.CommandField)
        if service is not None:  # a C-CANCEL that came too late
            service(association, message)

    def _identifier(self, association: Association, message: Message, service: str) -> tuple[Dataset, str, str]:
        identifier = decode(message.data, association.contexts[message.context].accepted)
        level = str(identifier.get("QueryRetrieveLevel", ""))
        self.requests.append(Request(service, level, answering.as_dict(identifier)))
        root = "patient" if str(message.command.AffectedSOPClassUID).startswith(_ROOTS["patient"]) else "study"
        return identifier, level, root

    def _say(
        self, association: Association, message: Message, status: int, data: Optional[bytes] = None, **more: Any
    ) -> None:
        command = {
            "AffectedSOPClassUID": message.command.AffectedSOPClassUID,
            "CommandField": message.command.CommandField | 0x8000,
            "MessageIDBeingRespondedTo": message.command.MessageID,
            "Status": status,
            **more,
        }
        association.send(message.context, command, data)

    def _echo(self, association: Association, message: Message) -> None:
        self.requests.append(Request("C-ECHO", "", {}))
        self.wait(self.lies.delay)
        self._say(association, message, self.lies.echo_status)

    def _store(self, association: Association, message: Message) -> None:
        name = str(message.command.AffectedSOPInstanceUID)
        self.requests.append(Request("C-STORE", "", {"SOPInstanceUID": name}))
        self.wait(self.lies.delay)
        if self.lies.store_status == SUCCESS:
            dataset = decode(message.data, association.contexts[message.context].accepted)
            with self._lock:
                self.datasets = [one for one in self.datasets if one.SOPInstanceUID != name] + [dataset]
        self._say(association, message, self.lies.store_status, AffectedSOPInstanceUID=name)

    def _find(self, association: Association, message: Message) -> None:
        identifier, level, root = self._identifier(association, message, "C-FIND")
        self.wait(self.lies.delay)
        status, answers = self._found(identifier, level, root)
        syntax = association.contexts[message.context].accepted
        for number, row in enumerate(answers):
            if self.lies.drop_find_after == number:
                association.reset()
                raise Dropped
            if association.waiting() and association.read().command.CommandField == _CANCEL:
                status = CANCELLED
                break
            self._say(association, message, PENDING, self._encoded(row, syntax))
            self.wait(self.lies.delay)
        self._say(association, message, status)

    def _encoded(self, row: Dataset, syntax: str) -> bytes:
        if not self.lies.decorate_uids:
            return part10.encode(row, syntax)
        told = {one.tag: f"{one.value}{self.lies.decorate_uids}" for one in row if one.VR == "UI" and one.value}
        for tag, value in told.items():
            row[tag] = decorated(value, tag)
        return restored(part10.encode(row, syntax), told.values())

    def _found(self, identifier: Dataset, level: str, root: str) -> tuple[int, Sequence[Dataset]]:
        lies = self.lies
        if lies.find_status is not None:
            return lies.find_status, ()
        refusal = self._refusal(identifier, level, root)
        if refusal is not None:
            return refusal, ()
        answers = answering.rows(
            list(self.datasets),
            level,
            identifier,
            self.ae_title,
            ignores=lies.ignores_keys,
            omits=lies.omits,
            per_instance=lies.row_per_instance,
        )
        return SUCCESS, answers

    def _refusal(self, identifier: Dataset, level: str, root: str) -> Optional[int]:
        """The status for a question that this archive does not take, if this is one; Success means no answers."""
        if level not in answering.LEVELS:
            return _DOES_NOT_FIT
        if self.lies.relational is True or not answering.missing_above(level, identifier, root):
            return None
        return SUCCESS if self.lies.relational == "silent" else _DOES_NOT_FIT

    def _retrieve(self, association: Association, message: Message) -> None:
        lies, moves = self.lies, message.command.CommandField == _MOVE
        identifier, level, root = self._identifier(association, message, "C-MOVE" if moves else "C-GET")
        self.wait(lies.delay)
        destination = str(message.command.get("MoveDestination", "")).strip()
        if moves:
            self.moved_to.append(destination)
        forced = lies.move_status if moves else lies.get_status
        if forced is None and moves and not (lies.knows_destination and destination in self.destinations):
            forced = _NO_DESTINATION
        if forced is None and level == "IMAGE" and lies.level_image_unsupported:
            forced = _DOES_NOT_FIT
        refusal = forced if forced is not None else self._refusal(identifier, level, root)
        holding = list(self.datasets)
        chosen = [] if refusal is not None else answering.matching(holding, level, identifier, ())
        transfer = Transfer(self, association, message, chosen, holding)
        if refusal is not None:
            transfer.answer(refusal)
        elif moves:
            transfer.over_new(self.destinations[destination], destination)
        else:
            transfer.over_own()


def aria(
    datasets: Iterable[Dataset] = (),
    *,
    destinations: Optional[Destinations] = None,
    callers: Sequence[str] = ("QATRACK",),
    ae_title: str = "ARIA",
    **lies: Any,
) -> ScriptedArchive:
    """An archive that behaves like Varian's DB Daemon.

    Study Root FIND and MOVE only, no C-GET, relational queries, ReferencedRTPlanSequence answered, and unknown
    callers refused at the association; ``lies`` are further switches.
    """
    told = Lies(callers=tuple(callers), roots=("study",), get=False, **lies)
    return ScriptedArchive(datasets, told, destinations=destinations, ae_title=ae_title)
