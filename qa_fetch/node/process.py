"""A node in a process of its own, for a host that must not share its Django or its interpreter with it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Optional
from urllib.parse import quote

from ..errors import ConfigError
from .options import NodeOptions, to_tables

DESCRIBING = b'{"describing": true}'  # what a child says first that describes files, for as long as that takes
_START_SECONDS = 30.0


class NodeProcess:
    """Starts ``python -m qa_fetch.node`` and stops it again; the child also ends when this process does.

    Parameters
    ----------
    options
        The node's options; port 0 takes any free one.
    """

    def __init__(self, options: NodeOptions) -> None:
        self.options = options
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._told: dict[str, Any] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._told.get("port", self.options.port))

    @property
    def web_port(self) -> Optional[int]:
        """Where its pages are served, if they are."""
        return self._told.get("web_port", self.options.web.port)

    @property
    def pid(self) -> int:
        """The child's process id."""
        if self._child is None:
            raise RuntimeError("this node is not running")
        return self._child.pid

    @property
    def address(self) -> str:
        """Its inline address, ``dimse://AET@host:port``."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(self.options.host, self.options.host)
        return f"dimse://{quote(self.options.ae_title, safe='')}@{host}:{self.port}"

    def start(self) -> None:
        """Start the child and wait until it listens."""
        if self._child is not None:
            raise RuntimeError("this node is running already")
        command = [sys.executable, "-m", "qa_fetch.node"]
        with tempfile.TemporaryFile() as errors:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": _python_path()},
            )
            try:
                line = self._told_back()
            except BaseException:  # an interrupt here would leave the child running: nobody has its handle yet
                self.kill()
                raise
            if not line:
                self.kill()
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").strip().splitlines()
                raise ConfigError(said[-1] if said else f"the node in {self.options.data} ended before it was ready.")
        self._told = json.loads(line)

    def stop(self) -> None:
        """Ask the child to end, wait for it, and end it the hard way when it does not."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(self.options.grace + 10)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._close()

    def kill(self) -> None:
        """End the child at once, as a power cut would."""
        if self._child is not None:
            self._child.kill()
            self._close()

    def __enter__(self) -> NodeProcess:
        self.start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def _told_back(self) -> bytes:
        """What the child says when it has its options; a thread reads it because pipes have no timeout on Windows."""
        assert self._child is not None and self._child.stdout is not None and self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and its last words say why
            self._child.stdin.write(json.dumps(to_tables(self.options)).encode() + b"\n")
            self._child.stdin.flush()
        lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_read, args=(self._child.stdout, lines), daemon=True).start()
        try:
            line = lines.get(timeout=_START_SECONDS)
        except queue.Empty:
            return b""
        return lines.get() if line == DESCRIBING else line

    def _close(self) -> None:
        assert self._child is not None
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        self._child = None
        self._told = {}


def _read(out: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Pass on what a child says until it listens; nothing where it has ended."""
    line = DESCRIBING
    while line == DESCRIBING:
        line = out.readline().strip()
        lines.put(line)


def _python_path() -> str:
    """The child has to find the same qa_fetch that runs here, wherever this process found it."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
