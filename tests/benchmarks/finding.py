"""Section ``find``: one query at each level, with one answer and with many."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from peers.process import LOOPBACK

from . import workloads
from .bench import Bench
from .dcmtk import Tools
from .race import Contestant, Measured
from .workloads import Wrong

FRESH, REPEATED = "qa_fetch, new Archive", "qa_fetch, same Archive again"
FINDSCU, PLAIN, START = "findscu", "plain pynetdicom C-FIND", "findscu --version (its start alone)"

# What Archive.find asks for at each level, so that all ask the same.
_RETURNED = {
    "PATIENT": "PatientName PatientBirthDate PatientSex",
    "STUDY": "StudyInstanceUID StudyDate StudyTime StudyID StudyDescription ModalitiesInStudy",
    "SERIES": (
        "StudyInstanceUID SeriesInstanceUID Modality SeriesDate SeriesTime SeriesNumber SeriesDescription "
        "NumberOfSeriesRelatedInstances"
    ),
    "IMAGE": (
        "StudyInstanceUID SeriesInstanceUID SOPInstanceUID SOPClassUID Modality InstanceNumber ImageType "
        "AcquisitionDate AcquisitionTime RTPlanLabel RTPlanDate"
    ),
}


def find(bench: Bench) -> None:
    """From an Orthanc that answers at once."""
    many, runs = (8, bench.runs) if bench.quick else (200, 3 * bench.runs)
    peer = bench.orthanc("found", no_delay=True)
    peer.fill(workloads.write_patients(many, bench.scratch / "patients").iterdir())
    tools = Tools(bench.scratch, peer.ae_title, peer.port, no_delay=True)
    address = f"dimse://{peer.ae_title}@{LOOPBACK}:{peer.port}"
    ends = {"port": peer.port, "called": peer.ae_title}

    def by(worker: str, answers: int, **arguments: Any) -> Callable[[Path], Measured]:
        def attempt(_: Path) -> Measured:
            done = bench.worker(worker)("find", **arguments)
            if done["answers"] != answers:
                raise Wrong(f"{worker} found {done['answers']} instead of {answers}")
            return Measured(done["seconds"])

        return attempt

    def contestants(level: str, patient: str, answers: int) -> list[Contestant]:
        asked = {"PatientID": patient}
        keys = {**asked, **dict.fromkeys(_RETURNED[level].split(), "")}
        fresh = by("ours", answers, address=address, fields={}, level=level, keys=asked, fresh=True)
        repeated = by("ours", answers, address=address, fields={}, level=level, keys=asked, fresh=False)
        return [
            Contestant(FRESH, fresh, warm=fresh),
            Contestant(REPEATED, repeated, warm=repeated),
            Contestant(FINDSCU, lambda _: tools.findscu(level, keys, answers)),
            Contestant(START, lambda _: tools.start_alone("findscu")),
            Contestant(PLAIN, by("plain", answers, level=level, keys=keys, **ends)),
        ]

    for level in _RETURNED:
        for patient, answers in (("BENCHF007", 1), ("BENCHF*", many)):
            says = f"a query with {answers} answer{'s' * (answers > 1)}"
            bench.race(
                "find", f"{level} {answers}", says, contestants(level, patient, answers), (FINDSCU, PLAIN), runs=runs
            )
