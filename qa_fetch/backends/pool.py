"""Associations kept open between the calls of one process, so that the next call need not agree on everything anew."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from ..config import ArchiveConfig
from . import Local
from .link import Link, Purpose

_Key = tuple[object, ...]
_KEPT_WAITING = 0.3  # seconds; archives agree on an association within a few milliseconds
_MOST = 16  # idle associations; archives limit how many a client may have


@dataclass(frozen=True)
class _Idle:
    """An association that nobody uses now."""

    key: _Key
    link: Link
    until: float


class _Pool:
    """Idle associations, each given to one caller at a time and released when its time is over."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[_Idle] = []
        self._thread: Optional[threading.Thread] = None

    def take(self, archive: ArchiveConfig, local: Local, purpose: Purpose) -> Optional[Link]:
        """An idle association with this archive for this purpose that is still open, or None."""
        key = _key(archive, local, purpose)
        while True:
            with self._changed:
                found = next((idle for idle in reversed(self._idle) if idle.key == key), None)
                if found is None:
                    return None
                self._idle.remove(found)
            if found.link.alive:
                found.link.reused = True
                return found.link
            found.link.abort()

    def give(self, archive: ArchiveConfig, local: Local, link: Link) -> None:
        """Take an association back; it is released when nobody wants it for a while."""
        if not link.alive:
            link.abort()
            return
        seconds, key = archive["keep_open"], _key(archive, local, link.purpose)
        with self._changed:
            if seconds and len(self._idle) < _MOST and all(idle.key != key for idle in self._idle):
                self._idle.append(_Idle(key, link, time.monotonic() + seconds))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._watch, name="qa_fetch idle", daemon=True)
                    self._thread.start()
                self._changed.notify_all()
                return
        link.release()

    @contextlib.contextmanager
    def giving_up_when_kept_waiting(self, archive: ArchiveConfig) -> Iterator[None]:
        """A block that opens an association: an archive may serve one at a time, and wait for one that is idle here."""
        if not self._idle_with(archive):
            yield
            return
        timer = threading.Timer(_KEPT_WAITING, self._give_up, (archive,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _idle_with(self, archive: ArchiveConfig) -> list[_Idle]:
        where = tuple(archive.options.get(name) for name in _WHERE)
        with self._changed:
            return [idle for idle in self._idle if idle.key[: len(where)] == where]

    def _give_up(self, archive: ArchiveConfig) -> None:
        given_up = self._idle_with(archive)
        with self._changed:
            given_up = [idle for idle in given_up if idle in self._idle]
            self._idle = [idle for idle in self._idle if idle not in given_up]
            self._changed.notify_all()
        for idle in given_up:
            idle.link.release()

    def clear(self) -> None:
        """Release every idle association now."""
        with self._changed:
            idle, self._idle = self._idle, []
            thread = self._thread
            self._changed.notify_all()
        for one in idle:
            one.link.release()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _watch(self) -> None:
        """Release what nobody has wanted for long enough; ends when nothing is left."""
        while True:
            with self._changed:
                now = time.monotonic()
                over = [idle for idle in self._idle if idle.until <= now]
                self._idle = [idle for idle in self._idle if idle.until > now]
                if not over and not self._idle:
                    self._thread = None
                    return
                if not over:
                    self._changed.wait(min(idle.until for idle in self._idle) - now)
            for idle in over:
                idle.link.release()


def _key(archive: ArchiveConfig, local: Local, purpose: Purpose) -> _Key:
    options = tuple(archive.options.get(name) for name in _THAT_MATTER)
    return (*options, local.ae_title, local.transport, purpose)


_WHERE = ("host", "port", "ae_title")
_THAT_MATTER = ("host", "port", "ae_title", "tls", "ca_file", "certificate_file", "key_file")

POOL = _Pool()
atexit.register(POOL.clear)
if hasattr(os, "register_at_fork"):
    # What the parent has open stays the parent's; a thread of the parent may have held the lock.
    os.register_at_fork(after_in_child=POOL.__init__)  # type: ignore[misc]  # begins anew, in its place
