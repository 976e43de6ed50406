"""Sections ``retrieve``, ``packaged`` and ``roundtrip``: bringing a series from Orthanc into files."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Optional

from peers.process import LOOPBACK, free_port

from .bench import Bench
from .dcmtk import Tools, tool_environment
from .race import Contestant, Measured
from .servers import BenchOrthanc, storescp
from .workloads import Workload

GETSCU, MOVESCU, STORESCP = "getscu", "movescu, own receiver", "movescu to storescp"
GETSCU_TUNED = "getscu with TCP_NODELAY"
PLAIN, CP, SOCKET = "plain pynetdicom C-MOVE", "cp", "socket to files"
GET, MOVE = "qa_fetch C-GET, transport", "qa_fetch C-MOVE, transport"
WADO, REST = "qa_fetch WADO-RS, transport", "qa_fetch Orthanc REST, transport"
ROUND_TRIPS = {"2 ms": 0.002, "10 ms": 0.010}


class Retrieval:
    """The ways of bringing a workload from one Orthanc, perhaps over a round trip."""

    def __init__(self, bench: Bench, peer: BenchOrthanc, workload: Workload, round_trip: float = 0.0) -> None:
        self._bench = bench
        self._peer = peer
        self._workload = workload
        self._warm = bench.workload("w")
        self._round_trip = round_trip
        self._port = bench.through(peer.port, round_trip)
        self._http = bench.through(peer.http_port, round_trip)
        self._tools = Tools(bench.scratch, peer.ae_title, self._port, no_delay=peer.no_delay)

    def dimse(self, way: str, name: str = "C-GET") -> list[Contestant]:
        """Ours by C-GET or C-MOVE: the transport alone, and the whole call."""
        address = f"dimse://{self._peer.ae_title}@{LOOPBACK}:{self._port}"
        title, port = f"OURS_{way.upper()}", free_port()
        self._peer.know(title, port)
        fields = {"retrieve": way, "local_ae_title": title, "local_port": port}
        return self._ours(f"qa_fetch {name}", address, fields)

    def web(self) -> list[Contestant]:
        """Ours by WADO-RS and by Orthanc's own interface, where they are offered."""
        dicomweb = f"dicomweb+http://{LOOPBACK}:{self._http}/dicom-web"
        rest = f"orthanc+http://{LOOPBACK}:{self._http}"
        absent = "" if self._peer.dicomweb else "not tried: no orthanc-dicomweb (apt-get install orthanc-dicomweb)"
        return [
            *self._ours("qa_fetch WADO-RS", dicomweb, {}, self._bench.why_not(dicomweb) or absent),
            *self._ours("qa_fetch Orthanc REST", rest, {}, self._bench.why_not(rest)),
        ]

    def _ours(self, name: str, address: str, fields: dict[str, Any], absent: str = "") -> list[Contestant]:
        def by(job: str, workload: Workload) -> Callable[[Path], Measured]:
            what = {"references": workload.references} if job == "transport" else {"series": workload.series}

            def attempt(folder: Path) -> Measured:
                worker = self._bench.worker("ours")
                done = worker(job, address=address, fields=fields, shelf=str(folder), **what)
                workload.contents.check(map(Path, done["files"]))
                return Measured(done["seconds"])

            return attempt

        return [
            Contestant(f"{name}, {says}", by(job, self._workload), warm=by(job, self._warm), absent=absent)
            for job, says in (("transport", "transport"), ("fetch", "Archive.fetch"))
        ]

    def getscu(self, most: Optional[int] = None) -> Contestant:
        """DCMTK's C-GET."""
        return Contestant(GETSCU, lambda folder: self._tools.getscu(self._workload, folder), most)

    def getscu_without_nagle(self, most: Optional[int] = None) -> Contestant:
        """The same, by a user who knows DCMTK's environment variable."""
        tools = Tools(self._bench.scratch, self._peer.ae_title, self._port, no_delay=True)
        return Contestant(GETSCU_TUNED, lambda folder: tools.getscu(self._workload, folder), most)

    def movescu(self, most: Optional[int] = None) -> list[Contestant]:
        """DCMTK's C-MOVE, to the tool itself and to a storescp that runs already."""
        port = free_port()
        self._peer.know("MOVESCU", port)

        def own(folder: Path) -> Measured:
            return self._tools.movescu(self._workload, folder, "MOVESCU", port)

        def other(folder: Path) -> Measured:
            surroundings = tool_environment(self._bench.scratch, no_delay=self._peer.no_delay)
            with storescp(folder, surroundings) as receiver:
                self._peer.know("STORESCP", receiver)
                return self._tools.movescu_to(self._workload, folder, "STORESCP")

        return [Contestant(MOVESCU, own, most), Contestant(STORESCP, other, most)]

    def plain(self, most: Optional[int] = None) -> Contestant:
        """pynetdicom_wrapper's way."""
        port = free_port()
        self._peer.know("PLAIN", port)

        def attempt(folder: Path) -> Measured:
            series = {"study": self._workload.study, "series": self._workload.series}
            ends = {"port": self._port, "called": self._peer.ae_title, "title": "PLAIN", "local_port": port}
            seconds = self._bench.worker("plain")("retrieve", **ends, **series, folder=str(folder))
            self._workload.contents.check(folder.iterdir())
            return Measured(seconds)

        return Contestant(PLAIN, attempt, most)

    def cp(self) -> Contestant:
        """What the files cost without any protocol."""

        def attempt(folder: Path) -> Measured:
            begun = time.perf_counter()
            subprocess.run(["cp", "-r", f"{self._workload.folder}/.", str(folder)], check=True)
            taken = time.perf_counter() - begun
            self._workload.contents.check(folder.iterdir())
            return Measured(taken)

        return Contestant(CP, attempt)

    def socket(self) -> Contestant:
        """What their bytes cost on the same way with hardly any protocol."""
        sender = self._bench.worker("limits", "sender")
        port = self._bench.through(sender("offer", folder=str(self._workload.folder)), self._round_trip)

        def attempt(folder: Path) -> Measured:
            seconds = self._bench.worker("limits", "receiver")("take", port=port, folder=str(folder))
            self._workload.contents.check(folder.iterdir())
            return Measured(seconds)

        return Contestant(SOCKET, attempt)


def retrieve(bench: Bench) -> None:
    """From an Orthanc that sends at once."""
    peer = bench.orthanc("fast", no_delay=True, holding="ABCw")
    for name in "ABC":
        workload = bench.workload(name)
        ways = Retrieval(bench, peer, workload)
        contestants = [
            *ways.dimse("get"),
            *ways.dimse("move", "C-MOVE"),
            *ways.web(),
            ways.getscu(),
            *ways.movescu(3),
            ways.plain(3 if name == "C" else None),
            ways.cp(),
            ways.socket(),
        ]
        says = f"{workload.says}, Orthanc with TCP_NODELAY"
        bench.race("retrieve", name, says, contestants, (GETSCU, PLAIN, CP))


def packaged(bench: Bench) -> None:
    """From an Orthanc as packaged, whose small messages wait for an acknowledgement."""
    peer = bench.orthanc("packaged", no_delay=False, holding="ABcw")
    _say_what_nagle_costs(bench, peer)
    for name in "ABc":
        workload = bench.workload(name)
        ways = Retrieval(bench, peer, workload)
        contestants = [
            *ways.dimse("get"),
            *ways.dimse("move", "C-MOVE"),
            *ways.web(),
            ways.getscu(None if name == "A" else 2),
            ways.getscu_without_nagle(None if name == "A" else 1),
            *ways.movescu(2 if name == "A" else 1),
            ways.plain(2),
        ]
        bench.race("packaged", name, f"{workload.says}, Orthanc and DCMTK as packaged", contestants, (GETSCU, PLAIN))


def _say_what_nagle_costs(bench: Bench, peer: BenchOrthanc) -> None:
    """Whether the environment variable does what the sections rely on."""
    workload, fast = bench.workload("w"), bench.orthanc("fast", no_delay=True, holding="w")
    neither, tool, both = (
        Tools(bench.scratch, one.ae_title, one.port, no_delay=no_delay).getscu(workload, bench.folder("nagle-")).value
        for one, no_delay in ((peer, False), (peer, True), (fast, True))
    )
    verdict = "it has its effect" if neither > tool > both else "IT DOES NOT HAVE ITS EFFECT HERE"
    bench.say(
        f"TCP_NODELAY=1: getscu of {len(workload.references)} small objects takes {neither:.3f} s without it, "
        f"{tool:.3f} s with it for getscu, {both:.3f} s with it for both: {verdict}."
    )


def roundtrip(bench: Bench) -> None:
    """From an Orthanc that sends at once, some milliseconds away."""
    peer = bench.orthanc("fast", no_delay=True, holding="Bcw")
    for says, seconds in ROUND_TRIPS.items():
        for name in "Bc":
            workload = bench.workload(name)
            ways = Retrieval(bench, peer, workload, seconds)
            contestants = [*ways.dimse("get"), *ways.web(), ways.getscu(3), ways.socket()]
            bench.race(
                "roundtrip", f"{name} {says}", f"{workload.says}, a round trip of {says}", contestants, (GETSCU, SOCKET)
            )
    # As packaged, Orthanc serves four associations at a time: no client is more than four times as fast as with one.
    threaded, workload = bench.orthanc("threaded", no_delay=True, holding="Bw", threads=10), bench.workload("B")
    ways = Retrieval(bench, threaded, workload, ROUND_TRIPS["10 ms"])
    says = f"{workload.says}, a round trip of 10 ms, Orthanc with DicomThreadsCount 10"
    bench.race("roundtrip", "B 10 ms, 10 threads", says, [*ways.dimse("get"), ways.getscu(3)], (GETSCU,))
