"""The always-on receiver: one process per machine that takes what archives send by C-MOVE."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any, Callable, Optional, Union

from . import part10
from .backends import Local
from .config import LOCAL, Config
from .errors import ConfigError
from .shelf import Drafted, Incoming, Taken
from .shelf.disk import flush_folder


def receive(
    *,
    port: Optional[int] = None,
    ae_title: Optional[str] = None,
    to: Union[str, Path, None] = None,
    until: Optional[threading.Event] = None,
    ready: Optional[Callable[[str, int], None]] = None,
    config: Union[str, Path, None] = None,
) -> tuple[int, int]:
    """Receive until ``until`` is set; how many objects were received and refused.

    Every ``Archive`` of this machine that uses the same shelf and port then fetches through it, so that calls need
    not wait for each other.

    Parameters
    ----------
    port, ae_title
        Instead of those of the configuration.
    to
        A folder for objects that no ``Archive`` asked for, such as those sent by hand; without it they are refused.
    until
        Set by the caller, from another thread or a signal handler, to end.
    ready
        Called once with the AE title and port when it is listening.
    config
        A configuration file to read instead of the one that is found.
    """
    from .backends.standing import Standing

    loaded = Config.load(config)
    local = Local.of(loaded, ae_title=_given("ae_title", ae_title), port=_given("port", port))
    inbox = _Inbox(Path(to)) if to is not None else None
    with Standing(local, inbox.begin if inbox is not None else None) as standing:
        if ready is not None:
            ready(local.ae_title, standing.port)
        (until or threading.Event()).wait()
        return standing.received, standing.refused


def _given(key: str, value: Any) -> Any:
    """An argument that wins over the configuration, held to the same rule as there; None when it was not given."""
    try:
        return None if value is None else LOCAL[key].convert(value)
    except ValueError:
        raise ConfigError(f"{key} cannot be {value!r}. Give {LOCAL[key].expected}.") from None


class _Inbox:
    """A folder for what arrives unasked; each object under its UID, nothing overwritten."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one_at_a_time = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be used for what arrives ({error.strerror}). Give a folder that this user may write."
            ) from None

    def begin(self, sop_class: str, instance: str, transfer_syntax: str) -> Incoming:
        """An object comes: where to write it."""
        return _Kept(self._folder, self._one_at_a_time, (sop_class, instance, transfer_syntax))


class _Kept(Drafted):
    """An object that arrives unasked; it is on the disk before the sender is told that it is kept."""

    def __init__(self, folder: Path, one_at_a_time: threading.Lock, announced: tuple[str, str, str]) -> None:
        self._folder = folder
        self._one_at_a_time = one_at_a_time
        super().__init__(
            folder / f".{uuid.uuid4().hex}.part",
            announced,
            lambda why: f"an object could not be written to {folder} ({why}). Free space or check permissions.",
        )

    def finish(self) -> Taken:
        """Keep it under its UID; a file that is there already stays."""
        target = self._folder / f"{part10.file_stem(self.draft.checked().sop_instance)}.dcm"
        with self.told(), self._one_at_a_time:  # two may come under one UID at once
            if target.exists():
                return Taken.REPEATED if self.draft.same_as(target) else Taken.UNWANTED
            self.draft.become(target, flush=True)
            self.draft.close()
            flush_folder(self._folder)
        return Taken.KEPT
