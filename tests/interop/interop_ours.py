"""Our own side: a receiver that runs for the length of a block, as ``qa-fetch receive --to`` does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from interop_objects import Content, contents
from peers.process import free_port

from qa_fetch.node import NodeProcess
from qa_fetch.receive import receive

TITLE = "QATRACK"
StartNode = Callable[..., NodeProcess]


class Inbox:
    """A running ``qa_fetch.receive`` that keeps everything."""

    def __init__(self, port: int, folder: Path) -> None:
        self.ae_title = TITLE
        self.port = port
        self.folder = folder

    def kept(self) -> dict[str, Content]:
        """What it has kept, by UID."""
        return contents(self.folder.glob("*.dcm"))


@contextmanager
def receiving(folder: Path) -> Iterator[Inbox]:
    """Receive on a free port for the length of a block."""
    port, until, ready = free_port(), threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            receive(port=port, ae_title=TITLE, to=folder, until=until, ready=lambda *_: ready.set())
        except BaseException as error:  # noqa: BLE001 - kept, and raised where the test sees it
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert ready.wait(10) and not failures, failures
        yield Inbox(port, folder)
    finally:
        until.set()
        thread.join(10)
    assert not failures
