"""Runs in place that are killed at a given moment: a program of its own, since it has to die by ``kill -9``.

The moments are the calls that open, rename, remove or make something on the disk, which Python's audit hooks see.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from qa_fetch.anonymise import Anonymiser

_EVENTS = frozenset(("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "sqlite3.connect"))


class Bomb:
    """Kills this process at the given moment; without one it counts them."""

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.seen = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS:
            self.seen += 1
            if self.seen == self.moment:
                os.kill(os.getpid(), signal.SIGKILL)


def run(work: Path, moment: int) -> int:
    """One run in a forked process; the moments that it saw, or 0 where it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        anonymiser = Anonymiser(work / "keys" / "trial.key", "research-rt")
        bomb = Bomb(moment)
        sys.addaudithook(bomb)
        anonymiser.folder(work / "data", in_place=True)
        os.write(writer, str(bomb.seen).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        seen = answer.read()
    _, status = os.waitpid(child, 0)
    assert bool(seen) != os.WIFSIGNALED(status), status
    return int(seen or 0)


def main(original: Path, folder: Path, runs: int) -> None:
    """So many runs, each on a copy and killed at a moment of its own; prints the copies and the moments."""
    shutil.copytree(original, folder / "whole")
    moments = run(folder / "whole", 0)
    killed = []
    for number in range(runs):
        moment = 1 + number * (moments - 1) // (runs - 1)
        shutil.copytree(original, folder / f"killed-{moment}")
        if not run(folder / f"killed-{moment}", moment):
            killed.append(moment)
    print(json.dumps({"moments": moments, "killed": killed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
