"""Orthanc with and without Nagle's algorithm, filled and emptied quickly; and DCMTK's storescp."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from peers.orthanc import Orthanc
from peers.process import LOOPBACK, free_port, listens, program

from .workers import WorkerFailed

_DICOMWEB = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/libOrthancDicomWeb.so"),
)
_START_SECONDS = 10.0


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """An environment variable for the length of a block; without a value, its absence."""
    before = os.environ.pop(name, None)
    if value:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


class BenchOrthanc(Orthanc):
    """An Orthanc as packaged, or with TCP_NODELAY=1 in its environment (DCMTK, with which it is built, reads that)."""

    def __init__(self, *, no_delay: bool, threads: Optional[int] = None) -> None:
        plugins = [str(path) for path in _DICOMWEB if path.is_file()][:1]
        options: dict[str, Any] = {"Plugins": plugins, "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
        if threads is not None:
            options["DicomThreadsCount"] = threads
        super().__init__(options=options)
        self.no_delay = no_delay
        self.dicomweb = bool(plugins)

    def start(self) -> None:
        """Start it with the environment that was chosen."""
        with variable("TCP_NODELAY", "1" if self.no_delay else ""):
            super().start()

    def fill(self, files: Iterable[Path]) -> None:
        """Store files over its REST interface."""
        with self._connection() as ask:
            for path in files:
                ask("POST", "/instances", path.read_bytes())

    def empty(self) -> None:
        """Remove everything."""
        with self._connection() as ask:
            for patient in json.loads(ask("GET", "/patients")):
                ask("DELETE", f"/patients/{patient}")

    def objects(self) -> Iterator[bytes]:
        """Every object that it holds, as a Part-10 file."""
        with self._connection() as ask:
            for instance in json.loads(ask("GET", "/instances")):
                yield ask("GET", f"/instances/{instance}/file")

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=60)

        def ask(method: str, path: str, body: bytes = b"") -> bytes:
            connection.request(method, path, body, {"Accept-Encoding": "identity"})
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise WorkerFailed(f"Orthanc answered {method} {path} with {answer.status}")
            return data

        try:
            yield ask
        finally:
            connection.close()


@contextmanager
def storescp(folder: Path, environment: dict[str, str], title: str = "STORESCP") -> Iterator[int]:
    """The port of a storescp that writes into a folder, byte for byte."""
    port = free_port()
    command = [program("storescp", "dcmtk"), "+B", "-aet", title, "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        end = time.monotonic() + _START_SECONDS
        while not listens(port):
            if process.poll() is not None or time.monotonic() > end:
                raise WorkerFailed("storescp did not start")
            time.sleep(0.01)
        yield port
    finally:
        process.kill()
        process.wait()
