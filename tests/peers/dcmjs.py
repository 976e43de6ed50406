"""dcmjs-dimse, a DICOM implementation in JavaScript that shares no code with ours: as an archive and as a client.

It reads every object and encodes it anew with its own encoder, so that what is compared byte for byte is what it put
on the wire or took from there: both are kept beside it, one file an object, ``<UID>@<transfer syntax>``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional

from .process import LOOPBACK, Destinations, Missing, ServerProcess, program

_SCRIPTS = Path(__file__).with_name("dcmjs")
_SECONDS = 180
_OWNER = os.getuid() if hasattr(os, "getuid") else 0
CACHE = Path(tempfile.gettempdir()) / f"qa_fetch-test-cache-{_OWNER}"


class NotInstalled(Missing):
    """A package could not be had from its registry."""

    def __init__(self, what: str, command: str, said: str) -> None:
        Exception.__init__(self, f"{what} cannot be installed here ({said.strip()[-200:]}). Try: {command}")
        self.command = command


class Wire(NamedTuple):
    """An object as it crossed the wire."""

    transfer_syntax: str
    data: bytes


def cached(name: str, what: str, command: list[str], into: str) -> Path:
    """A folder of packages that stays between runs: made once, and only seen by others when it is complete.

    Parameters
    ----------
    name
        What the folder is called; it names the exact version.
    what
        The packages, for the message when they cannot be had.
    command
        Installs them; run in the folder.
    into
        A path that exists below the folder once they are there.
    """
    ready = CACHE / name
    if (ready / into).is_dir():
        return ready
    CACHE.mkdir(mode=0o700, exist_ok=True)
    draft = CACHE / f"{name}.{uuid.uuid4().hex}"
    draft.mkdir()
    try:
        if _SCRIPTS.joinpath("package.json").is_file():
            shutil.copy(_SCRIPTS / "package.json", draft)
        done = subprocess.run(command, cwd=draft, capture_output=True, text=True, timeout=_SECONDS)
        if done.returncode or not (draft / into).is_dir():
            raise NotInstalled(what, " ".join(command), done.stderr)
        with suppress(OSError):  # another run was faster
            draft.rename(ready)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ready


def modules() -> Path:
    """The folder of the installed packages; Missing when Node.js or npm is, or when the registry cannot be reached."""
    program("node", "nodejs")
    npm = program("npm", "npm")
    version = json.loads(_SCRIPTS.joinpath("package.json").read_text())["dependencies"]["dcmjs-dimse"]
    command = [npm, "install", "--no-audit", "--no-fund", "--silent"]
    return cached(f"dcmjs-dimse-{version}", "dcmjs-dimse", command, "node_modules/dcmjs-dimse") / "node_modules"


def crossed(folder: Path) -> dict[str, Wire]:
    """The objects that it has put on the wire, or taken from there, by their UIDs."""
    found = {}
    for path in folder.glob("*@*"):
        name, _, syntax = path.name.partition("@")
        found[name] = Wire(syntax, path.read_bytes())
    return found


class Dcmjs(ServerProcess):
    """An archive of Study Root with C-ECHO, C-STORE, C-FIND, C-GET and C-MOVE; ``files`` are in it from the start."""

    ae_title = "DCMJS"

    def __init__(self, destinations: Optional[Destinations] = None, *, files: Optional[Path] = None) -> None:
        super().__init__(destinations)
        self._node = program("node", "nodejs")
        self._modules = modules()
        self._files = files

    @property
    def sent(self) -> dict[str, Wire]:
        """What it has sent."""
        return crossed(self.folder / "sent")

    @property
    def received(self) -> dict[str, Wire]:
        """What it has been sent."""
        return crossed(self.folder / "received")

    def command(self, ports: list[int]) -> list[str]:
        """Its one argument."""
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        given = {
            "port": ports[0],
            "title": self.ae_title,
            "folder": str(self._files or empty),
            "sent": str(self.folder / "sent"),
            "received": str(self.folder / "received"),
            "destinations": self.destinations,
        }
        env = ["env", f"NODE_PATH={self._modules}"]
        return [*env, self._node, str(_SCRIPTS / "scp.js"), json.dumps(given)]


class Client:
    """The same as a client: one association per call; what crossed the wire is kept below ``folder``."""

    def __init__(self, folder: Path, *, calling: str = "DCMJS") -> None:
        self._node = program("node", "nodejs")
        self._modules = modules()
        self._folder = folder
        self._calling = calling

    @property
    def sent(self) -> dict[str, Wire]:
        """What it has sent."""
        return crossed(self._folder / "sent")

    @property
    def received(self) -> dict[str, Wire]:
        """What came by C-GET."""
        return crossed(self._folder / "received")

    def ask(self, what: str, port: int, called: str, **more: Any) -> list[dict[str, Any]]:
        """Do one of echo, store, find, get and move; every answer that came."""
        given = {
            "do": what,
            "port": port,
            "called": called,
            "calling": self._calling,
            "sent": str(self._folder / "sent"),
            "received": str(self._folder / "received"),
            **more,
        }
        done = subprocess.run(
            [self._node, str(_SCRIPTS / "scu.js"), json.dumps(given)],
            env={**os.environ, "NODE_PATH": str(self._modules)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{LOOPBACK}:{port}: {done.stderr}"
        answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return answers
