"""Locks between threads and processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from qa_fetch.budget import Budget
from qa_fetch.locks import FileLock

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import sys, time
from pathlib import Path
from qa_fetch.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held" if lock.try_acquire() else "busy", flush=True)
sys.stdin.readline()
"""
COUNT = """
import sys
from pathlib import Path
from qa_fetch.budget import Budget
from qa_fetch.locks import FileLock
path, counter = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(25):
    with FileLock(path) as lock:
        assert lock.acquire(Budget(60))
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def start(code: str, *arguments: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "not" / "yet" / "there.lock"


def test_the_first_gets_the_lock_and_the_second_does_not(path):
    """Two lock objects on one path exclude each other even in one thread."""
    first, second = FileLock(path), FileLock(path)
    assert (first.try_acquire(), second.try_acquire()) == (True, False)
    assert (first.held, second.held) == (True, False)
    first.release()
    assert (first.held, second.try_acquire()) == (False, True)
    second.release()


def test_locks_on_different_paths_do_not_meet(tmp_path):
    """Two ports, two locks."""
    with FileLock(tmp_path / "a") as first, FileLock(tmp_path / "b") as second:
        assert first.try_acquire()
        assert second.try_acquire()


def test_taking_a_lock_twice_is_a_mistake_and_says_so(path):
    """Waiting for oneself would last for ever."""
    with FileLock(path) as lock:
        lock.try_acquire()
        with pytest.raises(RuntimeError) as caught:
            lock.acquire(Budget(1))
        assert str(caught.value) == f"this FileLock already holds {path}"
        assert lock.held


def test_leaving_the_block_gives_the_lock_back_also_after_an_error(path):
    """An exception in the guarded work leaves nobody waiting."""
    with pytest.raises(ZeroDivisionError), FileLock(path) as lock:
        assert lock.try_acquire()
        raise ZeroDivisionError
    assert FileLock(path).try_acquire()


def test_entering_the_block_takes_nothing(path):
    """Taking can fail within the budget, so it is a call with an answer."""
    with FileLock(path) as lock:
        assert lock.held is False
    lock.release()


def test_a_bounded_wait_ends_with_false(path):
    """Who comes second waits as long as the budget lasts, and no longer."""
    with FileLock(path) as holder:
        assert holder.try_acquire()
        budget = Budget(0.2)
        waiter = FileLock(path)
        assert waiter.acquire(budget) is False
        assert budget.spent
        assert waiter.held is False
        assert waiter.acquire(Budget(0)) is False


def test_who_waits_gets_the_lock_when_it_is_given_back(path):
    """The wait ends with the lock, in another thread."""
    holder, waiter, got = FileLock(path), FileLock(path), []
    assert holder.try_acquire()
    thread = threading.Thread(target=lambda: got.append(waiter.acquire(Budget(60))))
    thread.start()
    holder.release()
    thread.join()
    assert got == [True]
    waiter.release()


def test_threads_exclude_each_other(path):
    """Eight threads count to 200 without losing one."""
    count = [0]

    def work():
        for _ in range(25):
            with FileLock(path) as lock:
                assert lock.acquire(Budget(60))
                seen = count[0]
                time.sleep(0)
                count[0] = seen + 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == [200]


def test_processes_exclude_each_other(path, tmp_path):
    """Four processes count to 100 in a file without losing one."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    workers = [start(COUNT, path, counter) for _ in range(4)]
    for worker in workers:
        worker.communicate()
    assert [worker.returncode for worker in workers] == [0] * 4
    assert counter.read_text() == "100"


def test_killing_the_holder_frees_the_lock(path):
    """kill -9 leaves no stale lock, since the operating system holds it, not a file's existence."""
    holder = start(HOLD, path)
    assert holder.stdout.readline() == "held\n"
    lock = FileLock(path)
    assert lock.try_acquire() is False
    holder.kill() if os.name == "nt" else os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    assert lock.acquire(Budget(60)) is True
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_parents_lock(path):
    """A web server that forks while a fetch runs must not hold that fetch's lock for the child's whole life."""
    lock = FileLock(path)
    assert lock.try_acquire()
    answer, ask = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(answer[1], b"held" if lock.held else b"free")
        os.read(ask[0], 1)
        os._exit(0)
    try:
        assert os.read(answer[0], 4) == b"free"
        assert FileLock(path).try_acquire() is False, "the child's end must not free the parent's lock"
        lock.release()
        with FileLock(path) as again:
            assert again.try_acquire()
    finally:
        os.write(ask[1], b"x")
        os.waitpid(child, 0)
        for descriptor in (*answer, *ask):
            os.close(descriptor)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not delete open files")
def test_clearing_the_folder_under_a_holder_does_not_stop_the_next_one(path):
    """A lock on a file that has lost its name protects nothing, so the name is checked after locking."""
    first = FileLock(path)
    assert first.try_acquire()
    path.unlink()
    with FileLock(path) as second:
        assert second.try_acquire()
        assert FileLock(path).try_acquire() is False
    first.release()


@pytest.mark.skipif(os.name == "nt", reason="needs a folder in /proc/self")
def test_failed_attempts_leave_no_open_files(path):
    """A wait of many attempts opens the file many times, and closes it as often."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("no /proc here")

    def opened() -> int:
        return sum(os.path.realpath(descriptor) == str(path.resolve()) for descriptor in descriptors.iterdir())

    with FileLock(path) as holder:
        assert holder.try_acquire()
        before = opened()
        assert FileLock(path).acquire(Budget(0.1)) is False
        assert opened() == before > 0
