"""Section ``page``: what a page of QATrack+ costs each time it runs its procedures again, with 10 images of a plan."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from peers import course
from peers.process import LOOPBACK, free_port

from .bench import Bench
from .double import PLAN
from .newest import REFERENCE, reference_way
from .race import Contestant, Measured
from .workloads import Contents

OURS = "qa_fetch, page again"


def page(bench: Bench) -> None:
    """From a double of ARIA, pinned to a moment as a page is; the naive way fetches each time."""
    sessions, rows = (6, 128) if bench.quick else (200, 512)
    ports = {"OURS": free_port(), "PLAIN": free_port()}
    double = bench.new_worker("double")
    peer = double("open", sessions=sessions, rows=rows, destinations=ports)
    contents = Contents(peer["pixels"], {int(checksum): uid for checksum, uid in peer["uids"].items()})
    asked = {"patient": course.PATIENT, "plan": PLAN}
    started = f"{datetime.now() - timedelta(minutes=30):%Y-%m-%d %H:%M}"

    def ours(folder: Path) -> Measured:
        address = f"dimse://{peer['title']}@{LOOPBACK}:{peer['port']}"
        fields = {"local_ae_title": "OURS", "local_port": ports["OURS"]}
        done = bench.worker("ours")("again", address=address, fields=fields, **asked, shelf=str(folder), before=started)
        contents.check(map(Path, done["files"]))
        return Measured(done["seconds"])

    reference = reference_way(bench, double, peer, contents, asked, ports["PLAIN"])
    contestants = [Contestant(OURS, ours, warm=ours), Contestant(REFERENCE, reference, most=1)]
    bench.race("page", "again", f"10 images of the newest of {sessions} series", contestants, (REFERENCE,))
