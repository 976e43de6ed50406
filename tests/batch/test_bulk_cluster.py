"""Items in a real Dask cluster on loopback, whose workers and scheduler end in mid-run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bulk_work
import pytest
from peers.process import LOOPBACK, Missing, free_port, listens, skip_or_fail

from qa_fetch.bulk import DONE, Item, Ledger, run
from qa_fetch.errors import ConfigError, ConnectionFailed

_HERE = Path(__file__).parent

# distributed itself warns of what its own dependencies will change
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(os.name == "nt", reason="kill -9 is not Windows'"),
]


class Cluster:
    """A scheduler and two workers of one thread each, processes that are ended by their ids."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.port = free_port()
        self.address = f"tcp://{LOOPBACK}:{self.port}"
        self._folder = folder
        self.scheduler = self._start("scheduler", "--host", LOOPBACK, "--port", str(self.port), "--no-dashboard")
        end = time.monotonic() + 30
        while not listens(self.port):
            assert self.scheduler.poll() is None and time.monotonic() < end, (folder / "log.txt").read_text()
            time.sleep(0.02)
        self.workers = [
            self._start("worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--name", f"w{n}")
            for n in range(workers)
        ]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(_HERE), *sys.path]),
            "DASK_TEMPORARY_DIRECTORY": str(self._folder),
            "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
        }
        with (self._folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments], stdout=log, stderr=log, cwd=self._folder, env=environment
            )

    def stop(self) -> None:
        """End every process that this started."""
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                process.kill()
            process.wait(20)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of two workers."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        skip_or_fail(Missing("distributed", "python3-distributed, or: pip install distributed"))
    folder = tmp_path / "cluster"
    folder.mkdir()
    running = Cluster(folder)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The output folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def items_to(folder: Path, count: int, **more: Any) -> list[Item]:
    return [Item(f"item {n}", {"to": str(folder), "name": f"{n}", **more}) for n in range(count)]


def when(condition: Any, act: Any) -> threading.Thread:
    """Do something as soon as a condition holds."""

    def wait() -> None:
        end = time.monotonic() + 60
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_cluster_does_the_items_and_a_lost_worker_costs_none(cluster: Cluster, out: Path) -> None:
    """kill -9 of one of two workers while both have an item: the other one does it, and nothing that was done again."""

    def both_wait() -> bool:
        return len({path.name.split(".")[1] for path in out.glob("*.waits")}) == 2

    def kill_one() -> None:
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        (out / "go").touch()

    killer = when(both_wait, kill_one)
    with Ledger(out / "ledger.sqlite") as ledger:
        report = run(items_to(out, 30), bulk_work.waiting, ledger, where=cluster.address)
        killer.join()
        assert (report.done, report.failed, report.complete) == (30, 0, True)
        rows = list(report.rows())
        assert {row.state for row in rows} == {DONE}
        assert {row.worker for row in rows} <= {"w0", "w1"}
        assert [len(path.read_text().split()) for path in out.glob("*.begun")] == [1] * 30
        # Errors come home as in threads, also from a cluster.
        failed = run([Item("a"), Item("b")], bulk_work.unsendable, ledger, where=cluster.address)
        assert [row.error_class for row in failed.rows()] == ["Unsendable"] * 2
        again = run(items_to(out, 30), bulk_work.waiting, ledger, where=cluster.address)
        assert again.already == 30


def test_a_scheduler_that_ends_stops_the_run_and_the_next_one_goes_on(
    cluster: Cluster, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was running there waits; the sentence says what is missing."""

    def kill() -> None:
        monkeypatch.setattr("qa_fetch.bulk.cluster._CONNECTING", 0.5)
        cluster.scheduler.kill()

    killer = when(lambda: len(list(out.glob("*.txt"))) >= 3, kill)
    with Ledger(out / "ledger.sqlite") as ledger:
        report = run(items_to(out, 200, seconds=0.05), bulk_work.write, ledger, where=cluster.address)
        killer.join()
        assert report.stopped == (
            f"no Dask scheduler answers at {cluster.address}. Start one with: dask scheduler, or correct the address."
        )
        assert 0 < report.done < 200
        assert (report.failed, report.waiting) == (0, 200 - report.done)
        assert run(items_to(out, 200, seconds=0.05), bulk_work.nothing, ledger).already == report.done


def test_an_address_without_a_scheduler_or_without_dask_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is counted against the items."""
    address = f"tcp://{LOOPBACK}:{free_port()}"
    monkeypatch.setattr("qa_fetch.bulk.cluster._CONNECTING", 0.5)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        try:
            import distributed  # noqa: F401
        except ImportError:
            skip_or_fail(Missing("distributed", "python3-distributed, or: pip install distributed"))
        with pytest.raises(ConnectionFailed) as failed:
            run([Item("a")], bulk_work.nothing, ledger, where=address)
        assert str(failed.value) == (
            f"no Dask scheduler answers at {address}. Start one with: dask scheduler, or correct the address."
        )
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(ConfigError) as missing:
            run([Item("a")], bulk_work.nothing, ledger, where=address)
        assert str(missing.value) == (
            f"{address} needs Dask, which is not installed. Install it with: pip install 'qa_fetch[cluster]'"
        )
        assert [(row.state, row.attempts) for row in ledger.rows()] == [("waiting", 0)]


def test_the_engine_imports_dask_only_for_an_address() -> None:
    """The core does not need it."""
    code = (
        "import sys, qa_fetch.bulk; qa_fetch.bulk.executor('threads').shutdown(); print('distributed' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True
    )
    assert ran.stdout.decode().strip() == "False"
