"""Items in processes, some of which end in mid-run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bulk_work
import pytest

from qa_fetch.bulk import DONE, FAILED, Item, Ledger, run
from qa_fetch.errors import ConfigError

posix = pytest.mark.skipif(os.name == "nt", reason="signals are not Windows'")
_HERE = Path(__file__).parent
_RUN = """
import sys
from pathlib import Path
import bulk_work
from qa_fetch.bulk import Item, Ledger, run
if __name__ == "__main__":
    folder, where, count, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    items = (Item(f"item {n}", {"to": str(folder), "name": str(n), "seconds": seconds}) for n in range(count))
    with Ledger(folder / "ledger.sqlite") as ledger:
        tell = lambda progress: print(progress.done, flush=True)
        report = run(items, bulk_work.write, ledger, where=where, workers=2, on_progress=tell)
    print(report.done, report.failed, report.waiting, report.stopped)
"""


def started(script: Path, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """The run of a program of its own, which is a session of its own too."""
    script.write_text(_RUN)
    path = os.pathsep.join([str(_HERE), *sys.path])
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hear_ctrl_c,
    )


def _hear_ctrl_c() -> None:
    """What a shell without job control starts in the background ignores it, and so would all below."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def items_to(folder: Path, count: int, **more: Any) -> list[Item]:
    return [Item(f"item {n}", {"to": str(folder), "name": f"{n}", **more}) for n in range(count)]


def times(folder: Path) -> list[int]:
    """How often each item was begun."""
    return [len(path.read_text().split()) for path in folder.glob("*.begun")]


def test_processes_do_the_items_and_errors_come_home(tmp_path: Path) -> None:
    """The worker is named by its process; an exception that cannot be sent is one item's failure, not the pool's."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        report = run(items_to(tmp_path, 4), bulk_work.write, ledger, where="processes", workers=2)
        assert (report.done, set(times(tmp_path))) == (4, {1})
        assert all(row.worker.startswith("process ") for row in report.rows())
        report = run([Item("bad"), Item("item 0")], bulk_work.unsendable, ledger, where="processes", workers=1)
        row = next(iter(report.rows()))
    assert (row.state, row.error_class, report.done, report.failed) == (FAILED, "Unsendable", 0, 2)


@posix
def test_a_worker_that_is_killed_costs_no_item(tmp_path: Path) -> None:
    """kill -9 of one process takes the pool with it; what was running is done again, what was done is not."""
    deadly = items_to(tmp_path, 30, seconds=0.01, deadly=True, once=str(tmp_path / "killed"))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        first = run(items_to(tmp_path, 0), bulk_work.write, ledger)
        report = run(deadly, bulk_work.deadly, ledger, where="processes", workers=2)
        assert (first.complete, report.done, report.failed) == (True, 30, 0)
    # The one whose worker was killed had not begun to write; at most the one beside it had.
    assert sorted(times(tmp_path))[:-1] == [1] * 29
    assert {row.state for row in report.rows()} == {DONE}


@posix
@pytest.mark.filterwarnings(  # of the standard library's own thread, which now and then stumbles over a killed worker
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
def test_an_item_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    """Before it is given up it is tried with nothing beside it, so that no other item is blamed."""
    listed = items_to(tmp_path, 12, seconds=0.02)
    listed[3] = Item("deadly", {"to": str(tmp_path), "name": "deadly", "deadly": True})
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        report = run(listed, bulk_work.deadly, ledger, where="processes", workers=2)
        row = next(iter(report.rows()))
    assert (report.done, report.failed, row.key, row.error_class, row.attempts) == (11, 1, "deadly", "WorkerLost", 3)
    assert row.error == (
        "its worker ended 3 times while working on it, as one does that is killed or has no memory left. "
        "Run again with fewer workers, or leave this item out."
    )


def test_work_that_processes_cannot_import_is_refused_at_once(tmp_path: Path) -> None:
    """Instead of in every item."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger, pytest.raises(Exception, match="lambda"):
        run([Item("a")], lambda payload: None, ledger, where="processes")


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    """Its processes run the script again, and end."""
    script = tmp_path / "script.py"
    script.write_text(_RUN.replace('if __name__ == "__main__":', "if True:"))
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "processes", "3", "0"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_HERE), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert ran.stderr.strip().splitlines()[-1] == (
        "qa_fetch.errors.ConfigError: the worker processes end as soon as they begin. In a script, start the run below "
        'if __name__ == "__main__": and keep the work in a module; or use threads.'
    )


@posix
@pytest.mark.parametrize("where", ["threads", "processes"])
def test_ctrl_c_finishes_what_was_begun(tmp_path: Path, where: str) -> None:
    """It goes to every process of the terminal; the workers finish all the same, and the report is written."""
    ran = started(tmp_path / "script.py", tmp_path, where, 200, 0.03)
    assert ran.stdout is not None
    while int(ran.stdout.readline()) < 2:
        continue
    os.killpg(ran.pid, signal.SIGINT)
    out, err = ran.communicate(timeout=60)
    done, failed, waiting, *why = out.splitlines()[-1].split()
    assert (ran.returncode, err, failed, " ".join(why)) == (0, "", "0", "stopped with Ctrl-C")
    assert int(done) + int(waiting) == 200
    assert times(tmp_path) == [1] * int(done)
    assert not list(tmp_path.glob("*.tmp"))


@posix
def test_a_second_ctrl_c_gives_up_what_was_begun(tmp_path: Path) -> None:
    """The processes end, the folder is free, and the next run does these items again."""
    ran = started(tmp_path / "script.py", tmp_path, "processes", 4, 600)
    assert ran.stdout is not None
    while len(list(tmp_path.glob("*.begun"))) < 2:
        time.sleep(0.01)
    os.killpg(ran.pid, signal.SIGINT)
    while ran.stdout.readline():  # the first one is told to who watches
        time.sleep(0.1)
        if ran.poll() is None:
            os.killpg(ran.pid, signal.SIGINT)
            break
    _, err = ran.communicate(timeout=60)
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert [row.state for row in ledger.rows()] == ["waiting"] * 4
        assert run(items_to(tmp_path, 4), bulk_work.write, ledger).done == 4


@posix
@pytest.mark.parametrize("where", ["threads", "processes"])
def test_a_run_that_is_killed_again_and_again_ends_as_an_undisturbed_one(tmp_path: Path, where: str) -> None:
    """kill -9 of the run only: its workers end with it, nothing that was noted is done again, no file is half."""
    count, kills, killed = 40, 6 if where == "threads" else 3, 0
    script, folder = tmp_path / "script.py", tmp_path / "out"
    folder.mkdir()
    while killed < kills:
        before = len(list(folder.glob("*.txt")))
        ran = started(script, folder, where, count, 0.02)
        while ran.poll() is None and len(list(folder.glob("*.txt"))) < before + 1 + killed % 3:
            time.sleep(0.001 + 0.003 * (killed % 4))
        ran.kill()
        ran.communicate(timeout=60)
        killed += 1
    with Ledger(folder / "ledger.sqlite", wait=30) as ledger:
        noted = {row.key for row in ledger.rows() if row.state == DONE}
        before = {path.name: path.read_text() for path in folder.glob("*.begun")}
        report = run(items_to(folder, count, seconds=0.02), bulk_work.write, ledger)
    assert (report.done, report.already, report.complete) == (count, len(noted), True)
    assert 0 < len(noted) < count, "it was killed in mid-run"
    for number in range(count):
        assert (folder / f"{number}.txt").read_text() == f"content of {number}\n" * 100
        if f"item {number}" in noted:
            assert (folder / f"{number}.begun").read_text() == before[f"{number}.begun"]


def test_a_second_run_on_one_folder_is_refused_or_waits(tmp_path: Path) -> None:
    """Whatever its ledger is called; the sentence names the folder."""
    with Ledger(tmp_path / "ledger.sqlite"):
        with pytest.raises(ConfigError) as caught:
            Ledger(tmp_path / "another.sqlite")
        assert str(caught.value) == (
            f"another run is working in {tmp_path}. Wait until it has ended, or give another output folder."
        )
    ran = started(tmp_path / "script.py", tmp_path, "threads", 5, 0.05)
    assert ran.stdout is not None
    ran.stdout.readline()
    with Ledger(tmp_path / "ledger.sqlite", wait=60) as ledger:
        assert run(items_to(tmp_path, 5, seconds=0.05), bulk_work.nothing, ledger).already == 5
    ran.communicate(timeout=60)
