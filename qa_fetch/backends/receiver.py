"""The C-STORE server that a C-MOVE needs, one per port on this machine.

On Windows two processes can listen on one port and images reach the wrong one, so a lock is taken before binding,
and whatever arrives is matched by UID against what was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Optional, Protocol

from ..budget import Budget
from ..errors import ConnectionFailed
from ..locks import FileLock
from ..shelf import Route
from . import Local, commitment
from .acceptor import Limits, Server, Service, echo
from .encryption import server_context
from .fallback import check_installed
from .storage import TRANSFER_SYNTAXES, VERIFICATION, is_storage
from .storing import store
from .wire import Association, Context, Kind, Message, Proposal

_SERVICES = (VERIFICATION, commitment.SERVICE)

OnReport = Callable[[commitment.Outcome], None]

GRACE = 0.5  # seconds that peers have to release their associations


class Receiver(Protocol):
    """A running C-STORE server whose objects go to a route; answers C-ECHO too."""

    port: int

    def close(self, grace: float = GRACE) -> None:
        """Stop listening, give the peers a moment to finish in good order, and end what is still connected."""
        ...


def start(local: Local, route: Route, on_report: Optional[OnReport] = None) -> Receiver:
    """Start receiving with the transport that is configured.

    Parameters
    ----------
    local
        Who we are, and the port.
    route
        Where objects go.
    on_report
        Told what archives say of the objects that they were asked to commit to.

    Raises
    ------
    OSError
        The port cannot be had.
    """
    if local.transport == "pynetdicom":
        check_installed()
        from .pynetdicom_receiver import PynetdicomReceiver

        return PynetdicomReceiver(local, route)

    def store_object(association: Association, message: Message) -> None:
        store(association, message, route)

    def take_report(association: Association, message: Message) -> None:
        commitment.read(association, message, on_report or (lambda outcome: None))

    handlers = {Kind.C_ECHO: echo, Kind.C_STORE: store_object, Kind.N_EVENT_REPORT: take_report}
    service = Service(_choose, handlers)
    return Server((local.host, local.port), service, Limits(), server_context(local, "[local]"))


def _choose(proposal: Proposal, _: str) -> dict[int, Context]:
    """Accept every storage class, in the sender's own preference among the encodings that we know."""
    chosen = {}
    for number, context in proposal.contexts.items():
        if context.abstract in _SERVICES or is_storage(context.abstract):
            known = tuple(syntax for syntax in context.syntaxes if syntax in TRANSFER_SYNTAXES)
            chosen[number] = Context(context.abstract, known[:1])
    return chosen


def lock_on(port: int) -> FileLock:
    """The lock on a port: for the whole machine, since ports are."""
    return FileLock(Path(tempfile.gettempdir()) / f"qa_fetch-port-{port}.lock")


@contextlib.contextmanager
def temporary(local: Local, route: Route, budget: Budget, on_report: Optional[OnReport] = None) -> Iterator[None]:
    """Receive for the length of a block; waits for the port as long as the budget lasts."""
    lock = lock_on(local.port)
    while True:
        if not lock.acquire(budget):
            raise port_taken(local, budget)
        with lock:
            receiver = bind(local, route, on_report)
            if receiver is not None:
                try:
                    yield
                finally:
                    receiver.close(budget.at_most(GRACE))
                return
        if budget.spent:
            raise port_taken(local, budget)
        time.sleep(budget.at_most(0.1))


def bind(local: Local, route: Route, on_report: Optional[OnReport] = None) -> Optional[Receiver]:
    """A receiver, or None when another program has the port just now."""
    try:
        return start(local, route, on_report)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise ConnectionFailed(
            f"this machine cannot listen on {local.host} port {local.port} ({error.strerror}). "
            "Set [local] host and port to an address and port that this user may use.",
            retriable=False,
        ) from error


def try_port(local: Local, budget: Budget) -> str:
    """Why this machine cannot receive on its port just now; empty when it can."""
    with lock_on(local.port) as lock:
        if not lock.acquire(Budget(budget.at_most(2.0))):
            return port_taken(local, Budget(2.0)).message
        try:
            found = bind(local, lambda *_: None)
        except ConnectionFailed as error:
            return error.message
        if found is None:
            return port_taken(local, Budget(2.0)).message
        found.close()
    return ""


def port_taken(local: Local, budget: Budget) -> ConnectionFailed:
    return ConnectionFailed(
        f"port {local.port} of this machine was in use by another program or transfer for {budget}. "
        "Try again, run one always-on receiver (qa-fetch receive), or set another [local] port."
    )
