"""DCMTK's tools, each run a process of its own, timed from its start to its end.

They read TCP_NODELAY as Orthanc does. Without it, as a user gets them, both sides wait 40 ms for each other at each
object; beside an Orthanc that has it they have it too, since nobody should win against a handicap.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from peers.process import LOOPBACK, program

from .race import Measured
from .workers import environment
from .workloads import Workload, Wrong

_SECONDS = 180.0


def tool_environment(scratch: Path, *, no_delay: bool) -> dict[str, str]:
    """The environment of a tool: as packaged, or without Nagle's algorithm."""
    return {**environment(scratch), **({"TCP_NODELAY": "1"} if no_delay else {})}


class Tools:
    """The tools, talking with one archive (or the proxy in front of it)."""

    def __init__(self, scratch: Path, title: str, port: int, *, no_delay: bool) -> None:
        self._scratch = scratch
        self._environment = tool_environment(scratch, no_delay=no_delay)
        self._called = ["-aec", title]
        self._address = [LOOPBACK, str(port)]

    def getscu(self, workload: Workload, folder: Path) -> Measured:
        """C-GET of a series, bit preserving."""
        taken = self._timed("getscu", "+B", "-S", keys=_series(workload), folder=folder)
        workload.contents.check(folder.iterdir())
        return taken

    def movescu(self, workload: Workload, folder: Path, title: str, port: int) -> Measured:
        """C-MOVE of a series to the tool's own receiver, which writes where it runs."""
        own = ["-aet", title, "-aem", title, "+P", str(port)]
        taken = self._timed("movescu", "+B", "-S", *own, keys=_series(workload), folder=folder)
        workload.contents.check(folder.iterdir())
        return taken

    def movescu_to(self, workload: Workload, folder: Path, title: str) -> Measured:
        """C-MOVE of a series to a receiver that runs already and writes into the folder."""
        taken = self._timed("movescu", "-S", "-aem", title, keys=_series(workload))
        workload.contents.check(folder.iterdir())
        return taken

    def send(self, tool: str, folder: Path) -> Measured:
        """Send a folder by storescu or dcmsend."""
        return self._timed(tool, "+sd", *self._called, *self._address, str(folder))

    def findscu(self, level: str, keys: Mapping[str, str], answers: int) -> Measured:
        """A query whose answers are counted."""
        begun = time.perf_counter()
        said = self._run("findscu", "-P", "-v", *self._called, *self._address, *_keys(level, keys))
        taken = time.perf_counter() - begun
        found = len(re.findall(r"Find Response: \d+ \(Pending\)", said))
        if found != answers:
            raise Wrong(f"findscu found {found} instead of {answers}")
        return Measured(taken)

    def start_alone(self, tool: str) -> Measured:
        """The start of a process that does nothing else."""
        return self._timed(tool, "--version")

    def _timed(
        self,
        tool: str,
        *arguments: str,
        keys: tuple[str, Mapping[str, str]] = ("", {}),
        folder: Optional[Path] = None,
    ) -> Measured:
        network = [*self._called, *self._address, *_keys(*keys)] if keys[0] else []
        begun = time.perf_counter()
        self._run(tool, *arguments, *network, folder=folder)
        return Measured(time.perf_counter() - begun)

    def _run(self, tool: str, *arguments: str, folder: Optional[Path] = None) -> str:
        done = subprocess.run(
            [program(tool, "dcmtk"), *arguments],
            env=self._environment,
            cwd=folder or self._scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
        said = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            raise Wrong(f"{tool} ended with {done.returncode}: {said.strip()[-200:]}")
        return said


def _series(workload: Workload) -> tuple[str, Mapping[str, str]]:
    return "SERIES", {"StudyInstanceUID": workload.study, "SeriesInstanceUID": workload.series}


def _keys(level: str, keys: Mapping[str, str]) -> list[str]:
    asked = [f"QueryRetrieveLevel={level}", *(f"{name}={value}" if value else name for name, value in keys.items())]
    return [part for key in asked for part in ("-k", key)]


def version() -> str:
    """What DCMTK calls itself."""
    done = subprocess.run([program("getscu", "dcmtk"), "--version"], capture_output=True, text=True)
    found = re.search(r" v(\d+\.\d+\.\d+)", done.stdout)
    return found.group(1) if found else ""
