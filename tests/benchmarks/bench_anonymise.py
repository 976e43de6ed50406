"""Section ``anonymise``: a folder made anonymous, beside three anonymisers from PyPI.

Each is one process that has imported what it needs before. Ours reads a folder twice (what identifies is learnt from
all files of a patient first), writes an audit report and keeps a ledger; theirs are called file by file, as their own
commands do it. ``cp`` is the copy of the same files by this machine.
"""

from __future__ import annotations

import importlib.util
import math
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

from peers import course
from pydicom import dcmread
from pydicom.dataset import Dataset

from .bench import Bench
from .race import Contestant, Measured
from .workloads import Wrong, enlarged

OURS, TWO, COPY = "qa_fetch anonymise", "qa_fetch anonymise, 2 processes", "cp"
PEERS = {"dicom-anonymizer": "dicomanonymizer", "dicognito": "dicognito", "deid": "deid"}  # what pip and Python call it
SMALL, LARGE, SCALE, GROWTH = "CT", "RTSTRUCT", "processes", "memory"
GROWN = "qa_fetch anonymise, from 200 files to 2,000"
_SECONDS, _MB = 1800.0, 1e6
_ACQUIRED = datetime(2025, 11, 3, 17, 5)


def anonymise(bench: Bench) -> None:
    """Small files and large structure sets beside the peers, one process beside two, and memory."""
    slices, structures, many, most, rows = (6, 2, 20, 24, 64) if bench.quick else (200, 4, 2000, 12000, 512)
    small = _scans(bench.folder("anonymise-ct-"), slices, rows)
    large = _structures(bench.folder("anonymise-struct-"), structures, 20 if bench.quick else 1000)
    warm = _scans(bench.folder("anonymise-warm-"), 2, 8)
    for name, source in ((SMALL, small), (LARGE, large)):
        contestants = [
            Contestant(OURS, _ours(bench, source, 1), warm=_ours(bench, warm, 1)),
            *(_theirs(bench, peer, source, warm) for peer in PEERS),
            Contestant(COPY, lambda folder, source=source: Measured(_copied(source, folder))),  # type: ignore[misc]
        ]
        bench.race("anonymise", name, _says(source), contestants, (OURS, *PEERS), runs=min(5, bench.runs))
    source = _scans(bench.folder("anonymise-many-"), most, rows // 4)
    both = [
        Contestant(name, _ours(bench, source, workers), warm=_ours(bench, warm, workers))
        for name, workers in ((OURS, 1), (TWO, 2))
    ]
    bench.race("anonymise", SCALE, _says(source), both, (OURS,), runs=min(2, bench.runs))
    bench.race("anonymise", GROWTH, "growth of the peak", [_growth(bench, many)], (), runs=1, unit="MB")


def _growth(bench: Bench, many: int) -> Contestant:
    few, lots = (_scans(bench.folder("anonymise-memory-"), count, 8) for count in (many // 10, many))

    def attempt(folder: Path) -> Measured:
        worker = bench.new_worker("anonymising")
        peaks = []
        for source in (few, lots):
            done = worker("ours", within=_SECONDS, source=str(source), to=str(folder / str(len(peaks))), workers=1)
            _check(source, folder / str(len(peaks)))
            peaks.append(done["peak"])
        worker.close()
        return Measured((peaks[1] - peaks[0]) / _MB)

    return Contestant(GROWN, attempt)


def _says(source: Path) -> str:
    files = list(source.iterdir())
    return f"{len(files):,} files, {sum(path.stat().st_size for path in files) / _MB:.1f} MB"


def _ours(bench: Bench, source: Path, workers: int) -> Callable[[Path], Measured]:
    def attempt(folder: Path) -> Measured:
        job = {"source": str(source), "to": str(folder / "out"), "workers": workers}
        done = bench.worker("anonymising", "ours")("ours", within=_SECONDS, **job)
        _check(source, folder / "out")
        return Measured(done["seconds"])

    return attempt


def _theirs(bench: Bench, peer: str, source: Path, warm: Path) -> Contestant:
    absent = "" if importlib.util.find_spec(PEERS[peer]) else f"absent: pip install {peer}"

    def doing(what: Path) -> Callable[[Path], Measured]:
        def attempt(folder: Path) -> Measured:
            job = {"peer": peer, "source": str(what), "to": str(folder)}
            seconds = bench.worker("anonymising", peer)("theirs", within=_SECONDS, **job)
            _check(what, folder)
            return Measured(seconds)

        return attempt

    return Contestant(peer, doing(source), warm=doing(warm), most=1 if peer == "deid" else 3, absent=absent)


def _copied(source: Path, folder: Path) -> float:
    begun = time.perf_counter()
    for path in source.iterdir():
        shutil.copyfile(path, folder / path.name)
    return time.perf_counter() - begun


def _check(source: Path, folder: Path) -> None:
    """Wrong unless there is a file for each, about as large, and the patient is called something else in it."""
    outputs = [path for path in folder.rglob("*.dcm")]
    expected = [path.stat().st_size for path in source.iterdir()]
    if len(outputs) != len(expected) or sum(path.stat().st_size for path in outputs) < 0.5 * sum(expected):
        raise Wrong(f"{len(outputs)} of {len(expected)} files came out, or they are too small")
    if dcmread(outputs[0], stop_before_pixels=True).get("PatientID") == "BENCH-4711":
        raise Wrong("the patient is still named")


# What is anonymised


def _scans(folder: Path, count: int, rows: int) -> Path:
    """So many slices of a CT, at most 2,000 of them in one series."""
    for before in range(count):
        if before % 2000 == 0:
            series = course.new_series("BENCH-4711", f"anonymise {before}")
        number = before % 2000 + 1
        made = course.ct_slice(series, _ACQUIRED, number, rows=2)
        made.InstitutionName, made.OperatorsName = "Inselspital", "Kowalska^Anna"
        course.write(enlarged(made, rows, str(number)), folder)
    return folder


def _structures(folder: Path, count: int, contours: int) -> Path:
    """Structure sets of 1.4 MB each: 1,000 contours of about 70 points."""
    series = course.new_series("BENCH-4711", "anonymise")
    points = [f"{value:.2f}" for n in range(70) for value in (90 * math.cos(n / 11), 90 * math.sin(n / 11), n / 7)]
    for number in range(1, count + 1):
        made = course.ct_slice(series, _ACQUIRED, 1, rows=2)
        del made.PixelData
        made.SOPClassUID, made.Modality = "1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT"
        made.SOPInstanceUID, made.StructureSetLabel = course.uid("structures", number), "PLANNING"
        made.StructureSetROISequence = [_item(ROINumber=1, ROIName="PTV")]
        rings = [_ring(series.uid, ring, points) for ring in range(contours)]
        made.ROIContourSequence = [_item(ReferencedROINumber=1, ContourSequence=rings)]
        course.write(made, folder)
    return folder


def _ring(series: str, number: int, points: list[str]) -> Dataset:
    image = _item(ReferencedSOPClassUID=course.CT, ReferencedSOPInstanceUID=course.uid(series, "slice", number % 100))
    ring = _item(ContourImageSequence=[image], ContourGeometricType="CLOSED_PLANAR")
    ring.NumberOfContourPoints, ring.ContourData = len(points) // 3, points
    return ring


def _item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made
