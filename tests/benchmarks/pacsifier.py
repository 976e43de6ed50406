"""The peer of ``batch``: pacsifier from PyPI, one process per run, which starts DCMTK's tools for each row and series.

It pins pydicom and pandas, so that it belongs into an environment of its own whose ``bin`` is in PATH.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

from peers.process import LOOPBACK

from .dcmtk import tool_environment
from .servers import BenchOrthanc
from .workloads import Wrong

NAME = "pacsifier"
TITLE = "PACSIFIER"
ABSENT = "absent: pip install pacsifier (in an environment of its own, whose bin is in PATH)"
_SECONDS = 3600.0


def path() -> Optional[str]:
    """Its program, in PATH or beside this interpreter, if it is installed."""
    return shutil.which(NAME) or shutil.which(NAME, path=str(Path(sys.executable).parent))


class Pacsifier:
    """The program, asking one Orthanc for the same query file, without its pauses."""

    def __init__(self, scratch: Path, peer: BenchOrthanc, port: int) -> None:
        self._scratch = scratch
        # Not our PYTHONPATH: it runs in an environment of its own.
        self._environment = tool_environment(scratch, no_delay=peer.no_delay)
        del self._environment["PYTHONPATH"]
        self._config = scratch / "pacsifier.json"
        peer.know(TITLE, port)
        settings = {
            "server_address": LOOPBACK,
            "port": peer.port,
            "server_AET": peer.ae_title,
            "AET": TITLE,
            "move_AET": TITLE,
            "move_port": port,
            "batch_size": 1_000_000,
            "batch_wait_time": 0,
        }
        self._config.write_text(json.dumps(settings), "utf-8")

    def save(self, query: Path, folder: Path) -> float:
        """Seconds of fetching what a query file asks for into a folder; it ends with 0 whatever failed."""
        return self._timed("--save", "-q", str(query), "-c", str(self._config), "-d", str(folder))

    def start_alone(self) -> float:
        """Seconds of a start that does nothing else."""
        return self._timed("--version")

    def _timed(self, *arguments: str) -> float:
        begun = time.perf_counter()
        done = subprocess.run(
            [path() or NAME, *arguments],
            env=self._environment,
            cwd=self._scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
        taken = time.perf_counter() - begun
        said = done.stdout.decode("utf-8", "replace")
        if done.returncode or "Command did not succeed" in said:
            raise Wrong(f"{NAME} ended with {done.returncode}: {said.strip()[-200:]}")
        return taken
