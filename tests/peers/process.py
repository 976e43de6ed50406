"""Servers of others as child processes: found or named missing, started on free ports, waited for, stopped by pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import NoReturn, Optional, TypeVar

import pytest

LOOPBACK = "127.0.0.1"
_START_SECONDS = 20.0
_STOP_SECONDS = 0.5  # Orthanc takes 2 to 4 s to say goodbye, and all its storage is temporary

Destinations = Mapping[str, tuple[str, int]]
_Self = TypeVar("_Self", bound="ServerProcess")


class Missing(Exception):
    """A program is not installed; the text names the command that installs it."""

    def __init__(self, program: str, package: str) -> None:
        self.command = f"apt-get install {package}"
        super().__init__(f"{program} is not installed. Install it with: {self.command}")


def skip_or_fail(missing: Missing) -> NoReturn:
    """Fail where the environment variable CI is set, else skip with the command that would help."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not go without this peer: {missing}", pytrace=False)
    pytest.skip(f"NOT TESTED: {missing}")


def program(name: str, package: str) -> str:
    """The path of a program, also where it lies in a folder for administrators; Missing when there is none."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        raise Missing(name, package)
    return path


def free_ports(number: int) -> list[int]:
    """Different TCP ports of loopback that were free a moment ago."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def free_port() -> int:
    """A TCP port of loopback that was free a moment ago."""
    return free_ports(1)[0]


def listens(port: int) -> bool:
    """Whether something accepts connections on a port of loopback."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


class ServerProcess:
    """One server with a temporary folder; a context manager that is ready inside and gone after."""

    ae_title = ""
    _ports = 1

    def __init__(self, destinations: Optional[Destinations] = None) -> None:
        self.destinations: dict[str, tuple[str, int]] = dict(destinations or {})
        self.port = 0
        self.pid = 0
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._temporary: Optional[TemporaryDirectory[str]] = None

    @property
    def address(self) -> str:
        """The archive as it is written where a name is asked for."""
        return f"dimse://{self.ae_title}@{LOOPBACK}:{self.port}"

    @property
    def folder(self) -> Path:
        """The server's temporary folder."""
        assert self._temporary is not None, "the server is not running"
        return Path(self._temporary.name)

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self.folder / "log.txt").read_text("utf-8", "replace")

    def command(self, ports: list[int]) -> list[str]:
        """Write the configuration and give the command line."""
        raise NotImplementedError

    def ready(self, ports: list[int]) -> bool:
        """Whether the server answers on every port."""
        return all(listens(port) for port in ports)

    def start(self) -> None:
        """Start on free ports, with other ones when another process was quicker to take them."""
        self._temporary = self._temporary or TemporaryDirectory(prefix="qa_fetch-peer-")
        for attempt in range(3):
            ports = free_ports(self._ports)
            if self._run(ports):
                self.port = ports[0]
                return
            if attempt == 2:
                raise RuntimeError(f"{type(self).__name__} did not start:\n{self.log[-2000:]}")

    def _run(self, ports: list[int]) -> bool:
        command = self.command(ports)
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        self.pid = self._process.pid
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if self.ready(ports):
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def stop(self) -> None:
        """End the process by its pid, which is also the process group of the children that it forked."""
        if self._process is None:
            return
        for kind in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self.pid, kind)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self._process = None

    def __enter__(self: _Self) -> _Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None
