"""Section ``send``: sending a series to an Orthanc that is empty each time."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from peers.process import LOOPBACK

from .bench import Bench
from .dcmtk import Tools
from .race import Contestant, Measured
from .workloads import Workload

OURS, STORESCU, DCMSEND, PLAIN = "qa_fetch Archive.send", "storescu", "dcmsend", "plain pynetdicom C-STORE"


def send(bench: Bench) -> None:
    """To an Orthanc that answers at once."""
    peer = bench.orthanc("sink", no_delay=True)
    tools = Tools(bench.scratch, peer.ae_title, peer.port, no_delay=True)
    address = f"dimse://{peer.ae_title}@{LOOPBACK}:{peer.port}"

    def ours(workload: Workload) -> Measured:
        return Measured(bench.worker("ours")("send", address=address, fields={}, folder=str(workload.folder)))

    def plain(workload: Workload) -> Measured:
        ends = {"port": peer.port, "called": peer.ae_title}
        return Measured(bench.worker("plain")("send", **ends, folder=str(workload.folder)))

    def checked(way: Callable[[Workload], Measured], workload: Workload) -> Callable[[Path], Measured]:
        def attempt(_: Path) -> Measured:
            peer.empty()
            taken = way(workload)
            workload.contents.check_bytes(peer.objects())
            return taken

        return attempt

    for name in "BC":
        workload, small = bench.workload(name), bench.workload("w")
        contestants = [
            Contestant(OURS, checked(ours, workload), warm=checked(ours, small)),
            Contestant(STORESCU, checked(lambda one: tools.send("storescu", one.folder), workload)),
            Contestant(DCMSEND, checked(lambda one: tools.send("dcmsend", one.folder), workload)),
            Contestant(PLAIN, checked(plain, workload), most=2 if name == "B" else 1),
        ]
        bench.race(
            "send", name, f"{workload.says}, to an empty Orthanc with TCP_NODELAY", contestants, (STORESCU, PLAIN)
        )
