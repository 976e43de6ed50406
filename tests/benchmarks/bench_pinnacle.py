"""Section ``pinnacle``: archives of the planning system as DICOM, beside pymedphys; and a migration in two processes.

CPU seconds and the peak of memory, each attempt in a process of its own that has converted a small archive before, so
that imports are not counted. pymedphys is used in the kindest way: not by its command, which does one trial of one
plan, but in process, with one object per patient, the images once, the structures once per plan, and then the plan and
the dose of each trial, with new UIDs for it, without which a second trial overwrites the first. Its results are
counted, not judged. The archives keep their images as DICOM files, since pymedphys cannot write those of an ``.img``
with numpy 2.3, and says itself that they are not correct.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydicom import dcmread

from .bench import Bench
from .race import Contestant, Measured
from .workers import Worker
from .workloads import Wrong

OURS, PEER = "qa_fetch pinnacle export", "pymedphys"
ONE, TWO, MIGRATION = "qa_fetch pinnacle migrate", "qa_fetch pinnacle migrate, 2 processes", "migrate"
SORTS = ("IMRT", "VMAT")
PYTHON = "PYMEDPHYS_PYTHON"  # the variable that names a Python which has pymedphys, where this one has not
_GET = f'pip install pymedphys "pydicom<3" numpy pyyaml, here or in the Python that {PYTHON} names'
_SECONDS, _MB = 1800.0, 1e6
_CLOSE = 0.0005  # of a dose maximum
_DOSES = {16: "H", 32: "I"}  # BitsAllocated, and what Python calls that in an array
_VERSIONS = (
    "from importlib.metadata import version as v; import yaml; "
    "print('pymedphys', v('pymedphys'), 'with pydicom', v('pydicom'), 'and numpy', v('numpy'))"
)


def memory_of(sort: str) -> str:
    """What the peak of memory of a sort of archive is called."""
    return f"{sort} memory"


def pinnacle(bench: Bench) -> None:
    """Four trials of step and shoot, four of arcs, and a collection of patients."""
    peer = os.environ.get(PYTHON) or sys.executable
    versions, absent = _there(peer)
    if versions:
        bench.say(f"pymedphys runs as {versions}.")
    folder = bench.folder("pinnacle-")
    with _worker(bench) as worker:
        warm = folder / "warm.tar"
        worker("write", path=str(warm), sort=SORTS[0], quick=True)
        for sort in SORTS:
            archive = folder / f"{sort}.tar"
            truth = worker("write", within=_SECONDS, path=str(archive), sort=sort, quick=bench.quick)
            _conversions(bench, sort, archive, warm, truth, peer, absent)
            archive.unlink()
        _migrations(bench, worker, folder)


@contextlib.contextmanager
def _worker(bench: Bench, python: str = "") -> Iterator[Worker]:
    worker = Worker("pymedphysing", bench.scratch, python) if python else Worker("pinnacling", bench.scratch)
    with contextlib.closing(worker):
        yield worker


def _there(python: str) -> tuple[str, str]:
    """The versions of pymedphys and what it needs, or why it cannot take part."""
    try:
        said = subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, timeout=60)
    except OSError as error:
        return "", f"absent: {python} cannot be run ({error.strerror}); {_GET}"
    versions = said.stdout.strip()
    if said.returncode:
        return "", f"absent: {_GET}"
    if " pydicom 2." not in versions:
        return "", f"absent: it cannot convert kept images with pydicom 3; {_GET}"
    return versions, ""


def _conversions(
    bench: Bench, sort: str, archive: Path, warm: Path, truth: Mapping[str, Any], peer: str, absent: str
) -> None:
    """One archive by both: the CPU seconds, then the peaks that were seen meanwhile.

    Parameters
    ----------
    bench
        The run.
    sort
        What the archive is called.
    archive, truth
        The archive, and what must come out.
    warm
        A small one, for what is not counted.
    peer, absent
        The Python of pymedphys, or why there is none.
    """
    peaks: dict[str, list[float]] = {OURS: [], PEER: []}
    far: list[float] = []

    def converting(name: str, python: str) -> Contestant:
        def attempt(folder: Path) -> Measured:
            with _worker(bench, python) as worker:
                worker("export", archive=str(warm), to=str(folder / "warm"))
                done = worker("export", within=_SECONDS, archive=str(archive), to=str(folder / "out"))
            differ = _compared(folder / "out", truth)
            if name == PEER:
                far.append(differ)
            elif differ > _CLOSE:
                raise Wrong(f"the maximum of a dose is wrong by {differ:.2%}")
            peaks[name].append(done["peak"] / _MB)
            return Measured(done["cpu"])

        return Contestant(name, attempt, most=2 if python else None, absent=absent if python else "")

    def peak(contestant: Contestant) -> Contestant:
        def attempt(folder: Path) -> Measured:
            if not peaks[contestant.name]:
                raise Wrong("it has converted nothing")
            return Measured(peaks[contestant.name].pop(0))

        return Contestant(contestant.name, attempt, most=contestant.most, absent=contestant.absent)

    both = [converting(OURS, ""), converting(PEER, peer)]
    says = f"{archive.stat().st_size / _MB:.0f} MB, {truth['objects']['CT']} images, {truth['says']}"
    bench.race("pinnacle", sort, f"CPU seconds for {says}", both, (PEER,), runs=min(5, bench.runs))
    if far and max(far) > _CLOSE:
        bench.say(f"The maximum of a dose by pymedphys is off by {max(far):.2%}.")
    title = "the peak of the process"
    bench.race("pinnacle", memory_of(sort), title, [peak(each) for each in both], (PEER,), min(5, bench.runs), "MB")


def _compared(folder: Path, truth: Mapping[str, Any]) -> float:
    """How far the maxima of the doses are off; Wrong where objects or contours are missing, or are too many."""
    objects: Counter[str] = Counter()
    doses: list[float] = []
    contours = 0
    for path in folder.rglob("*.dcm"):
        made = dcmread(path)
        objects[made.Modality] += 1
        if made.Modality == "RTDOSE":
            doses.append(max(array(_DOSES[made.BitsAllocated], made.PixelData)) * float(made.DoseGridScaling))
        elif made.Modality == "RTSTRUCT":
            contours += sum(
                ring.ContourGeometricType == "CLOSED_PLANAR"
                for roi in made.ROIContourSequence
                for ring in roi.ContourSequence
            )
    if objects != truth["objects"] or contours != truth["contours"]:
        raise Wrong(
            f"{dict(objects)} with {contours} contours are there instead of {truth['objects']} with {truth['contours']}"
        )
    return float(max(abs(found / wanted - 1) for found, wanted in zip(sorted(doses), truth["doses"])))


def _migrations(bench: Bench, writer: Worker, folder: Path) -> None:
    """The same collection by one process and by two, from the list to the report."""
    count = 2 if bench.quick else 12
    archives, listed = folder / "tars", folder / "patients.csv"
    truth = writer(
        "collection", within=_SECONDS, folder=str(archives), listed=str(listed), count=count, quick=bench.quick
    )

    def migrating(name: str, processes: int) -> Contestant:
        def attempt(to: Path) -> Measured:
            job = {"listed": str(listed), "archives": str(archives), "to": str(to / "import"), "workers": processes}
            with _worker(bench) as worker:
                done = worker("migrate", within=_SECONDS, **job)
            files = sum(1 for _ in (to / "import").rglob("*.dcm"))
            if done["converted"] != count or files != truth["objects"]:
                raise Wrong(f"{done['converted']} of {count} patients with {files} objects were delivered")
            return Measured(done["seconds"])

        return Contestant(name, attempt)

    size = sum(path.stat().st_size for path in archives.iterdir()) / _MB
    says = f"{count} patients, {size:.0f} MB, to an import folder"
    bench.race("pinnacle", MIGRATION, says, [migrating(ONE, 1), migrating(TWO, 2)], (ONE,), runs=min(3, bench.runs))
