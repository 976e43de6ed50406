"""What would be done with a folder, without writing anything."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..bulk.progress import OnProgress, Progress
from ..errors import QAFetchError
from .audit import Anonymised
from .reading import opened
from .sources import OBJECT, handfuls, kind_of, paths

if TYPE_CHECKING:
    from .anonymiser import Anonymiser


def foreseen(
    anonymiser: Anonymiser, root: Path, on_progress: Optional[OnProgress], cancelled: Optional[threading.Event]
) -> Anonymised:
    """Learn and rewrite every object of a folder in memory, and count what happens to each attribute.

    Parameters
    ----------
    anonymiser
        By which key and profile; nothing of what it learns here is kept.
    root
        The folder.
    on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    look = _Look(anonymiser, root, on_progress, cancelled)
    for doing, each in (("learning", look.learn), ("looking", look.count)):
        for payload in handfuls(root):
            for relative, path in paths(root, payload):
                if cancelled is not None and cancelled.is_set():
                    look.told.stopped = "cancelled"
                    return look.told
                each(relative, path)
                look.tell(doing)
    look.told.seconds = time.monotonic() - look.begun
    return look.told


class _Look:
    """What was seen so far."""

    def __init__(
        self,
        anonymiser: Anonymiser,
        root: Path,
        on_progress: Optional[OnProgress],
        cancelled: Optional[threading.Event],
    ) -> None:
        self._anonymiser, self._on_progress = anonymiser, on_progress
        self._files = self._done = 0
        self.begun = time.monotonic()
        self.told = Anonymised(None)

    def learn(self, relative: str, path: Path) -> None:
        """The first time around."""
        self._files += 1
        try:
            if kind_of(path) == OBJECT:
                self._anonymiser.learn(path)
        except (QAFetchError, OSError):
            return  # counted the second time

    def count(self, relative: str, path: Path) -> None:
        """The second time."""
        from .anonymiser import Held

        self._done += 1
        try:
            kind = kind_of(path)
            if kind != OBJECT:
                self.told.left[kind] += 1
                return
            with opened(path) as whole:
                done = self._anonymiser.encoded(whole.dataset, whole.encoding)
        except Held as held:
            self.told.held[held.message] += 1
        except (QAFetchError, OSError):
            self.told.failed += 1
        else:
            self.told.done += 1
            self.told.warnings += len(done.warnings)
            for (tag, action), times in done.actions.items():
                self.told.actions[action] += times
                self.told.attributes[tag, action] += 1

    def tell(self, doing: str) -> None:
        """How far it is."""
        if self._on_progress is None:
            return
        seconds = time.monotonic() - self.begun
        total = self._files if self._done else None
        self._on_progress(Progress(self._done, self.told.failed, 0, 1, total, 0, seconds, 0.0, None, doing))
