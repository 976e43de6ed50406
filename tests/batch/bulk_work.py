"""Work for the runs of the tests, on top of a module, as processes and clusters need it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from qa_fetch.bulk import Done
from qa_fetch.errors import ConnectionFailed, NotFound


class Unsendable(Exception):
    """An exception that cannot be rebuilt from its text, as many are."""

    def __init__(self, patient: str, plan: str) -> None:
        super().__init__(f"{patient} has no {plan}")


def write(payload: dict[str, Any]) -> Done:
    """Write one file as whole as an archive's fetch does, and a line for every time that this was done."""
    folder, name = Path(payload["to"]), str(payload["name"])
    with (folder / f"{name}.begun").open("a") as begun:
        begun.write(f"{os.getpid()}\n")
    time.sleep(payload.get("seconds", 0))
    content = f"content of {name}\n" * 100
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    temporary.write_text(content)
    temporary.replace(folder / f"{name}.txt")
    return Done(len(content), {"name": name})


def nothing(payload: Any) -> Done:
    """Take no time."""
    return Done(bytes=payload if isinstance(payload, int) else 0)


def absent(payload: Any) -> None:
    """Fail for good."""
    raise NotFound("the archive has no such series. Check the UID.")


def mistaken(payload: Any) -> None:
    """Make a programmer's mistake whose text names a patient."""
    raise KeyError(str(payload))


def unsendable(payload: Any) -> None:
    """Raise what would break a pool of processes."""
    raise Unsendable("12345678", "PROST")


def unwritten(payload: Any) -> None:
    """Meet a disk that is full."""
    raise OSError(28, "No space left on device", "/home/doe/12345678")


def shaky(payload: dict[str, Any]) -> Done:
    """Fail as often as the payload says, then succeed; counts with a file."""
    counter = Path(payload["counter"])
    times = len(counter.read_text()) if counter.exists() else 0
    with counter.open("a") as file:
        file.write("x")
    if times < payload["failures"]:
        raise ConnectionFailed("pacs did not answer. Run again.")
    return Done(1)


def away(payload: dict[str, Any]) -> Done:
    """Reach an archive only while a file is there."""
    if not Path(payload["up"]).exists():
        raise ConnectionFailed("pacs did not answer. Run again.")
    return write(payload)


def deadly(payload: dict[str, Any]) -> Done:
    """Kill the worker: every time, or only where nobody has been killed yet."""
    once = payload.get("once")
    if payload.get("deadly") and not (once and Path(once).exists()):
        if once:
            Path(once).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return write(payload)


def waiting(payload: dict[str, Any]) -> Done:
    """Go on when a file appears."""
    folder = Path(payload["to"])
    (folder / f"{payload['name']}.{os.getpid()}.waits").touch()
    while not (folder / "go").exists():
        time.sleep(0.005)
    return write(payload)
