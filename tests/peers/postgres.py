"""Debian's PostgreSQL on loopback, with a temporary cluster that can be stopped and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Optional

from .process import LOOPBACK, Missing, free_port

_SECONDS = 30.0
_USER = "postgres"  # PostgreSQL does not run as root


class Postgres:
    """A context manager: its database is empty inside, and gone after."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            raise Missing("PostgreSQL", "postgresql")
        self._programs = found[-1].parent
        self._folder = Path()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.port = 0

    @property
    def url(self) -> str:
        """Its database as a node's configuration names it."""
        return f"postgresql://tester@{LOOPBACK}:{self.port}/postgres"

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self._folder / "log.txt").read_text("utf-8", "replace")

    def __enter__(self) -> Postgres:
        self._folder = Path(mkdtemp(prefix="qa_fetch-postgres-"))
        self.port = free_port()
        try:
            if os.getuid() == 0:
                shutil.chown(self._folder, _USER)
            self._run(
                "initdb", "-D", "data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale", "C.UTF-8"
            )
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        command = [str(self._programs / "postgres"), "-D", "data", "-p", str(self.port), "-k", str(self._folder)]
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-h", LOOPBACK, "-c", "fsync=off"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as_somebody(),
            )
        end = time.monotonic() + _SECONDS
        while self._run("pg_isready", "-h", LOOPBACK, "-p", str(self.port), check=False):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once; what is committed stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # its "fast" shutdown: sessions are broken off
            self._process.wait(_SECONDS)
            self._process = None

    def _run(self, name: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [str(self._programs / name), *arguments], capture_output=True, text=True, **self._as_somebody()
        )
        if check and done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
        return done.returncode

    def _as_somebody(self) -> dict[str, Any]:
        more: dict[str, Any] = {"cwd": self._folder, "env": {**os.environ, "LC_ALL": "C.UTF-8"}}
        if os.getuid() == 0:
            account = pwd.getpwnam(_USER)
            more.update(user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        return more
