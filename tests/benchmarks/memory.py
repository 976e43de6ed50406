"""Section ``memory``: how far the peak of our memory grows with one large object, and with very many small ones."""

from __future__ import annotations

import mmap
from pathlib import Path

from peers import course
from peers.process import LOOPBACK, free_port, listens
from pydicom.dataset import Dataset

from .bench import Bench
from .dcmtk import Tools, tool_environment
from .race import Contestant, Measured
from .servers import storescp
from .workers import Worker
from .workloads import Wrong, enlarged

LARGE, MANY, SENT = "qa_fetch receives one", "qa_fetch receives many", "qa_fetch sends one"
_SECONDS = 55.0  # after which a stream of small objects ends, however many are left
_MB = 1e6


def memory(bench: Bench) -> None:
    """Each in a process of its own, from the moment when everything is imported and listens."""
    megabytes, count = (8, 200) if bench.quick else (1024, 100_000)
    whole = _large(bench.folder("large-"), megabytes)
    small = next(iter(bench.workload("w").files))
    said: list[str] = []

    def receive_large(folder: Path) -> Measured:
        worker, port = _standing(bench, folder)
        Tools(bench.scratch, "OURS", port, no_delay=True).send("storescu", whole.parent)
        return _ended(worker, folder, 1, whole.stat().st_size - 4096)

    def receive_many(folder: Path) -> Measured:
        worker, port = _standing(bench, folder)
        sender = bench.new_worker("sender")
        done = sender("stream", port=port, title="OURS", count=count, rows=16, seconds=_SECONDS)
        measured = _ended(worker, folder, done["sent"], 512 * done["sent"])
        said.append(f"{done['sent']:,} of {count:,} small objects were received within {done['seconds']:.1f} s.")
        return measured

    def send_large(folder: Path) -> Measured:
        with storescp(folder, tool_environment(bench.scratch, no_delay=True)) as port:
            address = f"dimse://STORESCP@{LOOPBACK}:{port}"
            ours = bench.new_worker("ours")
            grown = ours("send_measured", address=address, small=str(small), large=str(whole))
            ours.close()
        _check(folder, 2, whole.stat().st_size - 4096)
        return Measured(grown / _MB)

    for name, says, attempt in (
        (LARGE, f"an object of {megabytes:,} MB", receive_large),
        (MANY, f"{count:,} objects of 1 KB", receive_many),
        (SENT, f"an object of {megabytes:,} MB", send_large),
    ):
        bench.race("memory", says, "growth of the peak", [Contestant(name, attempt)], (), runs=1, unit="MB")
    for sentence in said:
        bench.say(sentence)


def _standing(bench: Bench, folder: Path) -> tuple[Worker, int]:
    worker, port = bench.new_worker("ours"), free_port()
    worker("begin", port=port, folder=str(folder))
    if not listens(port):
        raise Wrong("the receiver does not listen")
    return worker, port


def _ended(worker: Worker, folder: Path, count: int, least: int) -> Measured:
    done = worker("end")
    worker.close()
    if done["received"] != count or done["refused"]:
        raise Wrong(f"{done['received']} of {count} objects were received and {done['refused']} refused")
    _check(folder, count, least)
    return Measured(done["grown"] / _MB)


def _check(folder: Path, count: int, least: int) -> None:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    if len(sizes) != count or sum(sizes) < least:
        raise Wrong(f"{len(sizes)} files with {sum(sizes)} bytes are there instead of {count} with {least}")


def _large(folder: Path, megabytes: int) -> Path:
    """One object of that size, whose pixels are zeros: they are written as a hole in the file."""
    image: Dataset = course.ct_slice(course.new_series("LARGE", "series"), course.datetime(2025, 1, 1), 1, rows=2)
    path = course.write(enlarged(image, 8, "large"), folder)
    length = megabytes << 20
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 128 + length)
        with mmap.mmap(file.fileno(), 4096) as start:
            at = start.find(b"\xe0\x7f\x10\x00OW") + 8
            start[at : at + 4] = length.to_bytes(4, "little")
    return path
