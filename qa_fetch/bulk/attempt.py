"""One attempt at one item, wherever it runs; what went wrong comes back as data.

An exception is not sent itself: of those that programs make themselves many cannot be rebuilt in another process,
and one of them would take the whole pool of workers with it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Optional

from ..errors import ConnectionFailed, QAFetchError
from .items import Done

Work = Callable[[Any], Optional[Done]]


@dataclass
class Outcome:
    """How an attempt ended; it went well where ``error_class`` is empty."""

    worker: str = ""
    seconds: float = 0.0
    bytes: int = 0
    detail: str = "{}"
    error: str = ""
    error_class: str = ""
    retriable: bool = False
    unreachable: bool = False
    frames: str = ""  # where a mistake of the program happened; without its values, which may be patient data


class _Watch:
    """Takes the time of an attempt, and takes down whatever ends it."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._begun = time.perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> bool:
        self._outcome.seconds = time.perf_counter() - self._begun
        if isinstance(error, QAFetchError):
            self._outcome.error, self._outcome.error_class = error.message, type(error).__name__
            self._outcome.retriable = bool(error.retriable)
            self._outcome.unreachable = isinstance(error, ConnectionFailed)
        elif isinstance(error, (Exception, SystemExit)):
            self._outcome.error, self._outcome.error_class = _mistake(error), type(error).__name__
            self._outcome.frames = _frames(error)
        return isinstance(error, (Exception, SystemExit))


def attempt(work: Work, payload: Any, place: str) -> Outcome:
    """Do the work of one item.

    Parameters
    ----------
    work
        The function.
    payload
        What it gets, as JSON.
    place
        ``threads``, ``processes`` or ``cluster``: how the worker is named.
    """
    outcome = Outcome(worker=_worker(place))
    with _Watch(outcome):
        done = work(json.loads(payload)) or Done()
        outcome.bytes, outcome.detail = int(done.bytes), json.dumps(dict(done.detail))
    return outcome


def ready(work: Work) -> str:
    """What a new worker is asked first: whether it can import this and the work."""
    return getattr(work, "__name__", "work")


def lost(times: int) -> Outcome:
    """What is written down of an attempt whose worker did not come back."""
    return Outcome(
        error=f"its worker ended {times} {'times' if times > 1 else 'time'} while working on it, as one does that is "
        "killed or has no memory left. Run again with fewer workers, or leave this item out.",
        error_class="WorkerLost",
    )


def not_done(error: BaseException) -> Outcome:
    """What came back instead of an outcome, such as a result that cannot be sent."""
    return Outcome(
        error=f"the worker could not do it ({type(error).__name__}). Its log says why.",
        error_class=type(error).__name__,
    )


def _worker(place: str) -> str:
    if place == "threads":
        return threading.current_thread().name
    if place == "processes":
        return f"process {os.getpid()}"
    cluster = sys.modules.get("distributed")  # imported in a worker of the cluster, or this is none
    return str(cluster.get_worker().name) if cluster else f"{socket.gethostname()} {os.getpid()}"


def _mistake(error: BaseException) -> str:
    """A sentence without what the exception says itself: ``KeyError('12345678')`` would name a patient."""
    if isinstance(error, OSError) and error.strerror:
        return f"the operating system said: {error.strerror}. Put that right and run again; what is done stays done."
    return (
        f"the work stopped at a mistake of the program ({type(error).__name__}). "
        "Its place in the code is in the log of qa_fetch.bulk; please report it."
    )


def _frames(error: Optional[BaseException]) -> str:
    """Files, lines and functions of an exception and of those that led to it, the first one first."""
    if error is None:
        return ""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return _frames(earlier) + "".join(traceback.format_tb(error.__traceback__)) + f"{type(error).__name__}\n"
