"""Programs of others, run to their end or kept running: DCMTK's and pynetdicom's own applications."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Optional

from interop_objects import Content, contents
from peers.dcmjs import cached
from peers.process import LOOPBACK, Destinations, ServerProcess, program

SQLALCHEMY = "2.0.49"
_STOLEN = ("Received unexpected", "no response received", "No valid DIMSE")  # pynetdicom's race, in its own words


def dcmtk(name: str, *arguments: object, within: Optional[Path] = None) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's tools in a folder; its log is on stderr."""
    command = [program(name, "dcmtk"), "-v", *map(str, arguments)]
    if within is not None:
        within.mkdir(exist_ok=True)
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, cwd=within)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """What a program said, which has to have succeeded."""
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stderr + done.stdout


def pynetdicom_app(name: str, *arguments: object, attempts: int = 3) -> str:
    """Run one of pynetdicom's applications; once more when it lost an answer to its own race."""
    command = [sys.executable, "-W", "ignore", "-m", "pynetdicom", name, *map(str, arguments)]
    for _ in range(attempts):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
        said = done.stderr + done.stdout
        if not any(words.lower() in said.lower() for words in _STOLEN):
            break
    return succeeded(done)


class _Stores(ServerProcess):
    """A server that keeps what it is sent in a folder."""

    @property
    def inbox(self) -> Path:
        """Where it keeps it."""
        folder = self.folder / "inbox"
        folder.mkdir(exist_ok=True)
        return folder

    def kept(self) -> dict[str, Content]:
        """What it has kept, by UID."""
        return contents(path for path in self.inbox.iterdir() if path.is_file())


class Storescp(_Stores):
    """DCMTK's storescp with some options."""

    ae_title = "STORESCP"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self._program = program("storescp", "dcmtk")
        self._options = options

    def command(self, ports: list[int]) -> list[str]:
        """It writes what it reads."""
        return [self._program, "-v", *self._options, "+B", "-od", str(self.inbox), str(ports[0])]


class PynetdicomStorescp(_Stores):
    """``python -m pynetdicom storescp``."""

    ae_title = "STORESCP"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self._options = options

    def command(self, ports: list[int]) -> list[str]:
        """Everything goes into one folder."""
        app = [sys.executable, "-W", "ignore", "-m", "pynetdicom", "storescp"]
        return [*app, *self._options, "-ba", LOOPBACK, "-od", str(self.inbox), str(ports[0])]


class Qrscp(ServerProcess):
    """``python -m pynetdicom qrscp``, with a SQLAlchemy of its own, since no one else here needs that."""

    ae_title = "QRSCP"

    def __init__(self, destinations: Optional[Destinations] = None) -> None:
        super().__init__(destinations)
        version = ".".join(map(str, sys.version_info[:2]))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        self._path = cached(
            f"sqlalchemy-{SQLALCHEMY}-{version}",
            "SQLAlchemy",
            [*pip, "--target", "packages", f"sqlalchemy=={SQLALCHEMY}"],
            "packages/sqlalchemy",
        )

    def command(self, ports: list[int]) -> list[str]:
        """Write its configuration."""
        lines = [
            "[DEFAULT]",
            f"ae_title: {self.ae_title}",
            f"port: {ports[0]}",
            "max_pdu: 16382",
            "acse_timeout: 30",
            "dimse_timeout: 30",
            "network_timeout: 30",
            f"bind_address: {LOOPBACK}",
            f"instance_location: {self.folder / 'instances'}",  # else below the installed package
            f"database_location: {self.folder / 'instances.sqlite'}",
            "log_identifier: False",
        ]
        for title, (host, port) in self.destinations.items():
            lines += [f"[{title}]", f"address: {host}", f"port: {port}"]
        config = self.folder / "qrscp.ini"
        config.write_text("\n".join(lines) + "\n", "utf-8")
        path = os.pathsep.join([str(self._path / "packages"), os.environ.get("PYTHONPATH", "")])
        app = [sys.executable, "-W", "ignore", "-m", "pynetdicom", "qrscp", "-c", str(config)]
        return ["env", f"PYTHONPATH={path}", *app]
