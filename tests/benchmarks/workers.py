"""Processes of our own that do jobs for the harness, so that no contestant shares its interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import qa_fetch

_TESTS = Path(__file__).resolve().parents[1]
_PACKAGE = Path(qa_fetch.__file__).resolve().parents[1]


class WorkerFailed(Exception):
    """A job failed, or its process ended or took too long."""


def environment(scratch: Path) -> dict[str, str]:
    """The environment of every child: none of this machine's settings, temporary files in the scratch folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("QA_FETCH_", "TCP_NODELAY"))}
    own["PYTHONPATH"] = os.pathsep.join(
        map(str, (_TESTS, _TESTS / "qatrack", _TESTS / "pinnacle", _TESTS / "cohort", _PACKAGE))
    )
    own["HOME"] = own["XDG_CONFIG_HOME"] = own["TMPDIR"] = str(scratch)
    return own


class Worker:
    """One process of a module of this package; call it with the name of a job and its arguments."""

    def __init__(self, module: str, scratch: Path, python: str = "") -> None:
        """Start it; ``python`` is another interpreter, to which nothing of this one is shown but these tests."""
        self._module = module
        self._log = scratch / f"{module}.log"
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [python or sys.executable, "-m", f"benchmarks.{module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=scratch,
                env={**environment(scratch), **({"PYTHONPATH": str(_TESTS)} if python else {})},
            )

    def __call__(self, job: str, *, within: float = 180.0, **arguments: Any) -> Any:
        """The answer of a job; the process is killed when there is none in time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        watchdog = threading.Timer(within, self._process.kill)
        watchdog.start()
        try:
            print(json.dumps([job, arguments]), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            said = self._log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise WorkerFailed(f"{self._module} gave no answer to {job} within {within:.0f} s {''.join(said)}".strip())
        answer = json.loads(line)
        if "failed" in answer:
            raise WorkerFailed(answer["failed"])
        return answer["done"]

    @property
    def alive(self) -> bool:
        """Whether it can do another job."""
        return self._process.poll() is None

    def close(self) -> None:
        """Let the process end, and see that it does."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
