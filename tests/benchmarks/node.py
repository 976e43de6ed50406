"""Sections ``node``: our node beside Orthanc and dcmqrscp, asked by the same clients."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable
from urllib.parse import quote

from peers.dcmqrscp import Dcmqrscp
from peers.process import LOOPBACK
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess, Peer, Web

from .bench import Bench
from .dcmtk import Tools, tool_environment
from .node_index import numbered
from .race import Contestant, Measured
from .servers import BenchOrthanc, storescp, variable
from .workloads import Workload, Wrong

OURS, ORTHANC, DCMQRSCP = "qa_fetch node", "Orthanc", "dcmqrscp"
_ASKED = {
    "PATIENT": ("PatientID", "PatientName PatientBirthDate PatientSex"),
    "STUDY": ("StudyInstanceUID", "PatientID StudyDate StudyTime StudyDescription AccessionNumber"),
    "SERIES": ("SeriesInstanceUID", "PatientID StudyInstanceUID Modality SeriesDate SeriesDescription SeriesNumber"),
    "IMAGE": ("SOPInstanceUID", "StudyInstanceUID SeriesInstanceUID SOPClassUID InstanceNumber"),
}


class _Peers:
    """The three archives, each with what is to be asked for."""

    def __init__(self, bench: Bench, stack: contextlib.ExitStack, workload: Workload) -> None:
        self._bench = bench
        self.workload = workload
        inbox = bench.folder("inbox-")
        self.inbox = inbox
        port = stack.enter_context(storescp(inbox, tool_environment(bench.scratch, no_delay=True), "INBOX"))
        options = NodeOptions(
            bench.folder("node-") / "node",
            port=0,
            web=Web(port=0, read_only=False),
            peers={"INBOX": Peer(LOOPBACK, port)},
        )
        self.node = stack.enter_context(NodeProcess(options))
        self.orthanc = BenchOrthanc(no_delay=True)
        self.orthanc.destinations["INBOX"] = (LOOPBACK, port)
        stack.enter_context(self.orthanc)
        with variable("TCP_NODELAY", "1"):
            self.dcmqrscp = stack.enter_context(Dcmqrscp({"INBOX": (LOOPBACK, port)}))
        self.tools = {
            OURS: Tools(bench.scratch, "QA_NODE", self.node.port, no_delay=True),
            ORTHANC: Tools(bench.scratch, self.orthanc.ae_title, self.orthanc.port, no_delay=True),
            DCMQRSCP: Tools(bench.scratch, self.dcmqrscp.ae_title, self.dcmqrscp.port, no_delay=True),
        }

    def fill(self) -> None:
        """Store the workload in all of them."""
        for tools in self.tools.values():
            tools.send("storescu", self.workload.folder)


def node(bench: Bench) -> None:
    """What it takes in, gives out, finds and serves."""
    for name in "BC":
        _storing(bench, bench.workload(name))
    for name in "BC":
        _giving(bench, bench.workload(name))
    _finding(bench)


def _storing(bench: Bench, workload: Workload) -> None:
    """Each time into an archive that has just been started."""

    def attempt(name: str) -> Callable[[Path], Measured]:
        def store(folder: Path) -> Measured:
            with contextlib.ExitStack() as stack:
                title, port = _fresh(name, folder, stack)
                return Tools(bench.scratch, title, port, no_delay=True).send("storescu", workload.folder)

        return store

    contestants = [Contestant(name, attempt(name)) for name in (OURS, ORTHANC, DCMQRSCP)]
    bench.race("node store", workload.name, f"{workload.says}, by storescu", contestants, (ORTHANC, DCMQRSCP))


def _fresh(name: str, folder: Path, stack: contextlib.ExitStack) -> tuple[str, int]:
    """An archive that holds nothing: its AE title and port."""
    if name == OURS:
        return "QA_NODE", stack.enter_context(NodeProcess(NodeOptions(folder / "node", port=0))).port
    if name == ORTHANC:
        orthanc = stack.enter_context(BenchOrthanc(no_delay=True))
        return orthanc.ae_title, orthanc.port
    with variable("TCP_NODELAY", "1"):
        dcmqrscp = stack.enter_context(Dcmqrscp())
    return dcmqrscp.ae_title, dcmqrscp.port


def _giving(bench: Bench, workload: Workload) -> None:
    """By C-GET, by C-MOVE, and by WADO-RS."""
    with contextlib.ExitStack() as stack:
        peers = _Peers(bench, stack, workload)
        peers.fill()

        def get(name: str) -> Callable[[Path], Measured]:
            return lambda folder: peers.tools[name].getscu(workload, folder)

        def move(name: str) -> Callable[[Path], Measured]:
            def attempt(_: Path) -> Measured:
                taken = peers.tools[name].movescu_to(workload, peers.inbox, "INBOX")
                for path in peers.inbox.iterdir():
                    path.unlink()
                return taken

            return attempt

        names = (OURS, ORTHANC, DCMQRSCP)
        says = f"{workload.says}, by getscu"
        bench.race(
            "node get", workload.name, says, [Contestant(each, get(each)) for each in names], (ORTHANC, DCMQRSCP)
        )
        says = f"{workload.says}, by movescu to storescp"
        bench.race(
            "node move", workload.name, says, [Contestant(each, move(each)) for each in names], (ORTHANC, DCMQRSCP)
        )
        web = {OURS: peers.node.web_port or 0, ORTHANC: peers.orthanc.http_port}
        contestants = [
            Contestant(
                each, _wado(port, workload), absent="" if each == OURS or peers.orthanc.dicomweb else "no plugin"
            )
            for each, port in web.items()
        ]
        bench.race("node wado", workload.name, f"{workload.says}, by WADO-RS", contestants, (ORTHANC,))


def _wado(port: int, workload: Workload) -> Callable[[Path], Measured]:
    path = f"/dicom-web/studies/{workload.study}/series/{workload.series}"

    def attempt(_: Path) -> Measured:
        begun = time.perf_counter()
        size = sum(map(len, _read(port, path, 'multipart/related; type="application/dicom"; transfer-syntax=*')))
        taken = time.perf_counter() - begun
        if not workload.size * 0.99 < size < workload.size * 1.1 + 1000 * len(workload.references):
            raise Wrong(f"{size} bytes came instead of about {workload.size}")
        return Measured(taken)

    return attempt


def _read(port: int, path: str, accept: str) -> Iterator[bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    try:
        connection.request("GET", path, headers={"Accept": accept, "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Wrong(f"the web server answered {answer.status}")
        yield from iter(lambda: answer.read(1 << 20), b"")
    finally:
        connection.close()


def _finding(bench: Bench) -> None:
    """One of many instances, and two hundred of them, at every level; by C-FIND and by QIDO-RS."""
    instances, runs = (500, bench.runs) if bench.quick else (100_000, 3 * bench.runs)
    template = _template()
    with contextlib.ExitStack() as stack:
        file = bench.scratch / "template"
        file.write_bytes(template)
        folder = bench.folder("found-") / "node"
        bench.worker("node_index")("fill", folder=str(folder), template=str(file), instances=instances, within=900.0)
        ours = stack.enter_context(NodeProcess(NodeOptions(folder, port=0, web=Web(port=0))))
        orthanc = stack.enter_context(BenchOrthanc(no_delay=True))
        _fill(orthanc, template, instances)
        addresses = {OURS: ours.address, ORTHANC: orthanc.address}
        roots = {OURS: ours.web_port or 0, ORTHANC: orthanc.http_port}
        number = instances // 2 + 7
        one = _keys_of(numbered(template, number))
        for level, (unique, returned) in _ASKED.items():
            keys = {**dict.fromkeys(returned.split(), ""), unique: one[unique]}
            contestants = [
                Contestant(each, _find(bench, address, level, keys, 1)) for each, address in addresses.items()
            ]
            bench.race("node find", f"{level} 1", f"1 of {instances:,} instances", contestants, (ORTHANC,), runs=runs)
            if level != "PATIENT":
                contestants = [
                    Contestant(
                        each, _qido(port, level, keys), absent="" if each == OURS or orthanc.dicomweb else "no plugin"
                    )
                    for each, port in roots.items()
                ]
                bench.race(
                    "node qido", f"{level} 1", f"1 of {instances:,} instances", contestants, (ORTHANC,), runs=runs
                )
        count = min(instances // 100, 100)
        keys = {"PatientID": "BENCHI_0000*", "StudyInstanceUID": "", "StudyDate": ""}
        contestants = [
            Contestant(each, _find(bench, address, "STUDY", keys, count)) for each, address in addresses.items()
        ]
        bench.race(
            "node find", f"STUDY {count}", f"{count} studies of {instances:,} instances", contestants, (ORTHANC,)
        )


def _template() -> bytes:
    dataset = Dataset()
    uid = "1.2.826.0.1.3680043.10.1"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.1"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID = f"{uid}.3.1000000", f"{uid}.1.1000000"
    dataset.SeriesInstanceUID = f"{uid}.2.1000000"
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = (
        "BENCHI_000000",
        "A^B",
        "",
        "O",
    )
    dataset.StudyDate, dataset.StudyTime, dataset.StudyDescription, dataset.AccessionNumber = (
        "20251103",
        "1015",
        "QA",
        "",
    )
    dataset.StudyID, dataset.Modality, dataset.SeriesDate, dataset.SeriesNumber = "1", "RTIMAGE", "20251103", 1
    dataset.SeriesDescription, dataset.InstanceNumber, dataset.RTImageLabel = "MV", 1, "G0"
    dataset.ReferringPhysicianName = ""
    encoded: bytes = part10.encode(dataset, part10.EXPLICIT_LITTLE)
    return encoded


def _keys_of(data: bytes) -> dict[str, str]:
    found = part10.decode(data, part10.EXPLICIT_LITTLE)
    return {unique: str(found[unique].value) for unique, _ in _ASKED.values()}


def _fill(orthanc: BenchOrthanc, template: bytes, instances: int) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, orthanc.http_port, timeout=60)
    try:
        for number in range(instances):
            made = numbered(template, number)
            identity = part10.check(made, part10.EXPLICIT_LITTLE)
            meta = part10.file_meta(identity.sop_class, identity.sop_instance, part10.EXPLICIT_LITTLE)
            connection.request("POST", "/instances", meta + made)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise Wrong(f"Orthanc took only {number} objects")
    finally:
        connection.close()


def _find(bench: Bench, address: str, level: str, keys: dict[str, str], answers: int) -> Callable[[Path], Measured]:
    def attempt(_: Path) -> Measured:
        fields: dict[str, Any] = {"root": "patient"}
        done = bench.worker("ours")("find", address=address, fields=fields, level=level, keys=keys, fresh=False)
        if done["answers"] != answers:
            raise Wrong(f"{done['answers']} answers instead of {answers}")
        return Measured(done["seconds"])

    return attempt


def _qido(port: int, level: str, keys: dict[str, str]) -> Callable[[Path], Measured]:
    where = {"STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}[level]
    query = "&".join(f"{name}={quote(value)}" if value else f"includefield={name}" for name, value in keys.items())

    def attempt(_: Path) -> Measured:
        begun = time.perf_counter()
        said = b"".join(_read(port, f"/dicom-web/{where}?{query}", "application/dicom+json"))
        taken = time.perf_counter() - begun
        if len(json.load(io.BytesIO(said))) != 1:
            raise Wrong("not one answer")
        return Measured(taken)

    return attempt
