"""Section ``batch``: one query file, its patients and series from a real Orthanc into the seed's folders; and a worker.

pacsifier asks for each series with a C-MOVE at PATIENT level, to which Orthanc sends the whole patient: with three
series a patient it moves every object three times, and leaves all of them in each folder. Therefore there is a second
query file in which every patient has one series, so that both move the same objects.

Both files are raced as Debian packages Orthanc and DCMTK, which is what their users have, and with TCP_NODELAY for
all, which few know of: without it the tools wait 40 ms and more at each object, and we hardly do.
"""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Callable, Optional

from peers import course
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive
from qa_fetch.backends.pool import POOL
from qa_fetch.batch import fetch_csv

from . import pacsifier
from .bench import Bench
from .jobs import serve
from .pacsifier import Pacsifier
from .race import Contestant, Measured
from .servers import BenchOrthanc
from .workloads import Wrong, enlarged

OURS = {workers: f"qa_fetch batch, {workers} worker{'s' if workers > 1 else ''}" for workers in (1, 2, 4)}
PACSIFIER, START = "pacsifier --save", "pacsifier --version"
SHARED, ALONE = "3 series a patient", "1 series a patient"
PACKAGED, NO_DELAY = "as packaged", "TCP_NODELAY"
_ACQUIRED = datetime(2025, 11, 3, 17, 5)
_SESSION = "ses-20250901080000"
_PREAMBLE = slice(128, 132)
_SECONDS = 1800.0


@dataclass
class _Cohort:
    """Patients with their series in an Orthanc: the query file, and what belongs into which folder."""

    query: Path
    pixels: int
    patients: tuple[str, ...]
    folders: dict[str, dict[int, str]] = field(default_factory=dict)  # by folder, the UID of each checksum of pixels
    size: int = 0

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(map(len, self.folders.values()))

    def check(self, root: Path, *, surplus: bool = False) -> int:
        """Wrong unless each folder holds its own objects; how many more there are, where others of the patient may be.

        Parameters
        ----------
        root
            The output folder.
        surplus
            Whether a folder may hold objects of the patient's other series too.
        """
        missing = {folder: dict(uids) for folder, uids in self.folders.items()}
        more = 0
        for path, data in _objects(root):
            folder = path.parent.relative_to(root).as_posix()
            checksum = zlib.crc32(data[-self.pixels :])
            uid = missing.get(folder, {}).pop(checksum, None)
            if uid is None and surplus:
                uid, more = self._of_patient(folder, checksum), more + 1
            if uid is None or uid.encode() not in bytes(data[: -self.pixels]):
                raise Wrong("an object is damaged, repeated, or in a folder where it does not belong")
        if left := sum(map(len, missing.values())):
            raise Wrong(f"{left} of {self.objects} objects did not arrive in their folders")
        return more

    def _of_patient(self, folder: str, checksum: int) -> Optional[str]:
        subject = folder.partition("/")[0]
        for other, uids in self.folders.items():
            if other.partition("/")[0] == subject and checksum in uids:
                return uids[checksum]
        return None


def _objects(root: Path) -> Iterator[tuple[Path, memoryview]]:
    """The Part-10 files below a folder, whatever they are called."""
    for path in root.rglob("*"):
        if path.is_file():
            data = memoryview(path.read_bytes())
            if data[_PREAMBLE] == b"DICM":
                yield path, data


def _cohort(
    bench: Bench, prefix: str, patients: int, series: int, slices: int, rows: int, peers: Collection[BenchOrthanc]
) -> _Cohort:
    """Patients that are stored in each Orthanc, and the query file with a row for each.

    Parameters
    ----------
    prefix
        What their PatientIDs begin with.
    patients, series, slices, rows
        How many there are, each in the one before, and how large an image is.
    peers
        The Orthancs.
    """
    names = tuple(f"{prefix}{number:03d}" for number in range(patients))
    made = _Cohort(bench.scratch / f"{prefix}.csv", rows * rows * 2, names)
    for patient in names:
        with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
            for number in range(1, series + 1):
                where = course.new_series(patient, f"CT{number}", description=f"CT{number}")
                uids = made.folders[f"sub-{patient}/{_SESSION}/{number:05d}-CT{number}"] = {}
                for instance in range(1, slices + 1):
                    image = course.ct_slice(where, _ACQUIRED, instance, rows=2)
                    image.SeriesNumber = number
                    enlarged(image, rows, f"{patient} {number} {instance}")
                    uids[zlib.crc32(image.PixelData)] = str(image.SOPInstanceUID)
                    made.size += course.write(image, Path(folder)).stat().st_size
            for peer in peers:
                peer.fill(sorted(Path(folder).iterdir()))
    made.query.write_text("\n".join(["PatientID,StudyDate", *(f"{name},20250901" for name in names), ""]), "utf-8")
    return made


def batch(bench: Bench) -> None:
    """With us and with pacsifier, in turns; ours with one, two and four workers."""
    slices, rows, most = (2, 64, 2) if bench.quick else (50, 256, 120)
    peers = {PACKAGED: bench.orthanc("batch packaged", no_delay=False), NO_DELAY: bench.orthanc("batch", no_delay=True)}
    warm = _cohort(bench, "WARM", 1, 1, 2, 64, peers.values())
    for name, prefix, patients, series in ((SHARED, "BENCHS", 40, 3), (ALONE, "BENCHA", 120, 1)):
        cohort = _cohort(bench, prefix, min(patients, most), series, slices, rows, peers.values())
        for way, peer in peers.items():
            _race(bench, f"{name}, {way}", peer, cohort, warm)


def _race(bench: Bench, name: str, peer: BenchOrthanc, cohort: _Cohort, warm: _Cohort) -> None:
    title, port = "OURS_BATCH", free_port()
    peer.know(title, port)
    asked = {"address": f"dimse://{peer.ae_title}@{LOOPBACK}:{peer.port}", "title": title, "port": port}
    rival = Pacsifier(bench.scratch, peer, free_port())
    more: list[int] = []

    def ours(workers: int, wanted: _Cohort) -> Callable[[Path], Measured]:
        def attempt(folder: Path) -> Measured:
            job = {"query": str(wanted.query), "to": str(folder), "workers": workers, **asked}
            seconds = bench.worker("batch")("fetch", within=_SECONDS, **job)
            wanted.check(folder)
            return Measured(seconds)

        return attempt

    def theirs(folder: Path) -> Measured:
        seconds = rival.save(cohort.query, folder)
        more.append(cohort.check(folder, surplus=True))
        return Measured(seconds)

    absent = "" if pacsifier.path() else pacsifier.ABSENT
    contestants = [
        *(Contestant(each, ours(workers, cohort), warm=ours(workers, warm)) for workers, each in OURS.items()),
        Contestant(PACSIFIER, theirs, most=2 if peer.no_delay else 1, absent=absent),
        Contestant(START, lambda _: Measured(rival.start_alone()), absent=absent),
    ]
    says = (
        f"{len(cohort.patients)} rows, {len(cohort.folders)} series, {cohort.objects:,} CT slices, "
        f"{cohort.size / 1e6:.1f} MB"
    )
    bench.race("batch", name, says, contestants, (PACSIFIER, OURS[1]), runs=min(3, bench.runs))
    if any(more):
        bench.say(f"pacsifier left {max(more):,} objects more, in the folders of other series of the same patient.")


def fetch(query: str, address: str, title: str, port: int, to: str, workers: int) -> float:
    """Seconds of ``fetch_csv`` into an empty folder, with no association open."""
    POOL.clear()
    begun = time.perf_counter()
    report = fetch_csv(query, Archive(address, local_ae_title=title, local_port=port), to=to, workers=workers)
    seconds = time.perf_counter() - begun
    POOL.clear()
    if not report.complete:
        raise RuntimeError(f"{report.done} of {report.total} series are done")
    return seconds


if __name__ == "__main__":
    serve({"fetch": fetch})
