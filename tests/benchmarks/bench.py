"""What all sections share: a scratch folder, servers and workers that are started when first needed, and the rows."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from . import delay, workloads
from .race import Contestant, Row, race
from .servers import BenchOrthanc
from .table import block
from .workers import Worker
from .workloads import Shape, Workload

_MEMORY = Path("/dev/shm")


@dataclass
class Bench:
    """One run of the benchmarks."""

    scratch: Path
    runs: int
    quick: bool
    stack: contextlib.ExitStack
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _workloads: dict[str, Workload] = field(default_factory=dict)
    _orthancs: dict[str, BenchOrthanc] = field(default_factory=dict)
    _filled: set[tuple[str, str]] = field(default_factory=set)
    _workers: dict[str, Worker] = field(default_factory=dict)
    _proxies: dict[tuple[int, float], int] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Print something that a reader should know, and keep it for the JSON."""
        self.notes.append(text)
        print(text, flush=True)

    def race(
        self,
        section: str,
        workload: str,
        says: str,
        contestants: Sequence[Contestant],
        beside: Sequence[str],
        runs: int = 0,
        unit: str = "s",
    ) -> None:
        """Let contestants run, and print what came of it beside the ones named."""
        rows = race(section, workload, contestants, runs or self.runs, self.scratch, unit)
        self.rows += rows
        print(block(f"{section} {workload}: {says}", rows, beside), flush=True)

    def folder(self, name: str) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(prefix=name, dir=self.scratch))

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """How large the workloads are."""
        return workloads.QUICK if self.quick else workloads.FULL

    def workload(self, name: str) -> Workload:
        """A workload, written when it is first needed."""
        if name not in self._workloads:
            self._workloads[name] = workloads.write(name, self.shapes[name], self.scratch / f"workload-{name}")
        return self._workloads[name]

    def orthanc(
        self, name: str, *, no_delay: bool, holding: Sequence[str] = (), threads: Optional[int] = None
    ) -> BenchOrthanc:
        """A running Orthanc that holds these workloads.

        Parameters
        ----------
        name
            What it is called; the same one is given for the same name.
        no_delay
            Whether it sends at once.
        holding
            The workloads.
        threads
            How many associations it serves at a time; as packaged, four.
        """
        if name not in self._orthancs:
            self._orthancs[name] = self.stack.enter_context(BenchOrthanc(no_delay=no_delay, threads=threads))
        peer = self._orthancs[name]
        for one in holding:
            if (name, one) not in self._filled:
                peer.fill(self.workload(one).files)
                self._filled.add((name, one))
        return peer

    def worker(self, module: str, part: str = "") -> Worker:
        """The worker of a module (and of a part in it), started again if its last job killed it."""
        key = f"{module} {part}"
        if key not in self._workers or not self._workers[key].alive:
            self._workers[key] = self.new_worker(module)
        return self._workers[key]

    def new_worker(self, module: str) -> Worker:
        """Another worker, for what must begin from nothing."""
        worker = Worker(module, self.scratch)
        self.stack.callback(worker.close)
        return worker

    def through(self, port: int, round_trip: float) -> int:
        """The port that leads to another one over a round trip; that port itself where there is none."""
        if not round_trip:
            return port
        if (port, round_trip) not in self._proxies:
            proxy = self.worker("delay")
            if round_trip not in {known for _, known in self._proxies}:
                real = delay.measured_round_trip(proxy, round_trip)
                self.say(f"The proxy for {round_trip * 1e3:.0f} ms has a measured round trip of {real * 1e3:.2f} ms.")
            self._proxies[port, round_trip] = proxy("open_to", port=port, round_trip=round_trip)
        return self._proxies[port, round_trip]

    def why_not(self, address: str) -> str:
        """What to say where qa_fetch cannot use an address; empty when it can."""
        return "not offered" if self.worker("ours")("offered", address=address) else ""


@contextlib.contextmanager
def opened(runs: int, quick: bool) -> Iterator[Bench]:
    """A run whose servers, workers and files are gone at its end; its children inherit none of our settings."""
    with tempfile.TemporaryDirectory(prefix="qa_fetch-bench-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        with contextlib.ExitStack() as stack:
            before, tempfile.tempdir = tempfile.tempdir, folder
            stack.callback(setattr, tempfile, "tempdir", before)
            os.environ["PATH"] += os.pathsep + "/usr/sbin"
            bench = Bench(Path(folder), runs, quick, stack)
            bench.say(
                "All files are in memory (tmpfs)."
                if _MEMORY.is_dir()
                else "There is no /dev/shm: all files are on the disk of the temporary folder; times include it."
            )
            yield bench
