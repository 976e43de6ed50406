"""Commands of the node, each in a process of its own, since Django's settings are global."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import qa_fetch

_ROOT = Path(qa_fetch.__file__).resolve().parents[1]


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for machines."""
        assert self.err == ""
        return json.loads(self.out)

    @property
    def says(self) -> tuple[int, str]:
        """Its exit code and its one line on standard error."""
        assert self.out == ""
        return self.code, self.err.removeprefix("qa-fetch: ").rstrip("\n")


def command(arguments: tuple[object, ...]) -> list[str]:
    """The command line of a command."""
    return [sys.executable, "-W", "error", "-m", "qa_fetch.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Of a child that has to find the same qa_fetch."""
    return {**os.environ, "PYTHONPATH": str(_ROOT)}


def run(*arguments: object, given: str = "") -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        command(arguments), env=environment(), input=given, capture_output=True, text=True, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Served(NamedTuple):
    """A running ``qa-fetch node serve``: its process, its first line, its port."""

    process: subprocess.Popen[str]
    line: str
    port: int


@contextmanager
def serving(*arguments: object) -> Iterator[Served]:
    """Run ``qa-fetch node serve`` for the length of a block."""
    process = subprocess.Popen(
        command(("node", "serve", *arguments)),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().rstrip("\n")
            port = line.partition(";")[0].removesuffix(" with TLS").rpartition(":")[2]
            if not port.isdigit():
                process.wait(10)
                assert process.stderr is not None
                raise AssertionError(process.stderr.read())
            yield Served(process, line, int(port))
        finally:
            process.terminate()
            process.wait(20)
