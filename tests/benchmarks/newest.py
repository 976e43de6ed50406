"""Section ``latest``: the newest session of a plan among many series, as a QA test asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional

from peers import course
from peers.process import LOOPBACK, free_port

from .bench import Bench
from .double import PLAN
from .race import Contestant, Measured
from .retrieving import ROUND_TRIPS
from .workers import Worker
from .workloads import Contents

OURS, REFERENCE = "qa_fetch Archive.latest", "the reference way (plain pynetdicom)"
DISTANCES = {"direct": 0.0, **ROUND_TRIPS}
_IMAGE_TYPE = ["ORIGINAL", "PRIMARY", "PORTAL"]


def latest(bench: Bench) -> None:
    """From a double of ARIA; what it sends to us takes the same way back as what we ask."""
    sessions, rows = (6, 128) if bench.quick else (200, 512)
    for says, seconds in DISTANCES.items():
        ports = {"OURS": free_port(), "PLAIN": free_port()}
        destinations = {title: bench.through(port, seconds) for title, port in ports.items()}
        double = bench.new_worker("double")
        peer = double("open", sessions=sessions, rows=rows, destinations=destinations)
        what = f"10 images of the newest of {sessions} series, round trip: {says}"
        contestants = _contestants(bench, double, peer, bench.through(peer["port"], seconds), ports)
        bench.race("latest", says, what, contestants, (REFERENCE,))


def _contestants(
    bench: Bench, double: Worker, peer: dict[str, Any], port: int, ports: dict[str, int]
) -> list[Contestant]:
    contents = Contents(peer["pixels"], {int(checksum): uid for checksum, uid in peer["uids"].items()})
    asked = {"patient": course.PATIENT, "plan": PLAN}

    def ours(folder: Path) -> Measured:
        address = f"dimse://{peer['title']}@{LOOPBACK}:{port}"
        fields = {"local_ae_title": "OURS", "local_port": ports["OURS"]}
        double("asked")
        done = bench.worker("ours")("latest", address=address, fields=fields, **asked, shelf=str(folder))
        contents.check(map(Path, done["files"]))
        return Measured(done["seconds"], double("asked"))

    reference = reference_way(bench, double, peer, contents, asked, ports["PLAIN"], port)
    return [Contestant(OURS, ours, warm=ours), Contestant(REFERENCE, reference, most=1)]


def reference_way(
    bench: Bench,
    double: Worker,
    peer: dict[str, Any],
    contents: Contents,
    asked: dict[str, str],
    local_port: int,
    port: Optional[int] = None,
) -> Callable[[Path], Measured]:
    """What a script with plain pynetdicom does, as pynetdicom_wrapper does it.

    Parameters
    ----------
    bench, double, peer
        Where it runs, and whom it asks.
    contents
        What must arrive.
    asked
        The patient and the plan.
    local_port
        Where it listens.
    port
        The way to the peer, if it is not the direct one.
    """

    def reference(folder: Path) -> Measured:
        ends = {"port": port or peer["port"], "called": peer["title"], "title": "PLAIN", "local_port": local_port}
        double("asked")
        seconds = bench.worker("plain")("latest", **ends, **asked, image_type=_IMAGE_TYPE, folder=str(folder))
        contents.check(folder.iterdir())
        return Measured(seconds, double("asked"))

    return reference
