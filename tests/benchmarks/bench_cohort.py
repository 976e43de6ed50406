"""Section ``cohort``: a CT fetched and a patient summarised beside PDCP's way, masks and histograms beside three peers.

Orthanc is as packaged, on loopback. Each attempt is a process of its own that has done the same with something small
before, so that imports are not counted; its peak of memory is that of the whole process. The regions are drawn from
formulas, so that the volume and the doses of the one of 100 cc are known. Masks are counted by whole voxels, of all
alike. rt-utils, platipy and dicompyler-core pin what others need newer, so that each has a Python of its own, in the
folder that a variable names.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

from peers.orthanc import Orthanc
from pydicom import dcmread

from .bench import Bench
from .race import Contestant, Measured
from .servers import BenchOrthanc
from .workers import Worker, WorkerFailed
from .workloads import Contents, Wrong

OURS, PDCP, ARCHIVE = "qa_fetch cohort", "PDCP", "/series/{id}/archive"
MASKERS, SAMPLERS = ("rt-utils", "platipy"), ("platipy", "dicompyler-core")
CT, SUMMARY, MASKS, DVH = "CT", "summary", "masks", "DVH"
VOLUME, D95, D2 = "volume", "D95", "D2"
PEERS = "COHORT_PEERS"  # the variable that names a folder with an environment for each of them
_SECONDS, _MB = 900.0, 1e6
_TARGET = "1"
_FAR = 0.1  # of a volume: whoever is farther off has done something else

Answer = dict[str, Any]
Job = Callable[[Worker, Path], Answer]


def memory_of(workload: str) -> str:
    """What the peak of memory of a workload is called."""
    return f"{workload} memory"


def off_by(workload: str, what: str) -> str:
    """What the error of a workload is called."""
    return f"{workload} {what}"


def cohort(bench: Bench) -> None:
    """Both halves."""
    peer = bench.orthanc("cohort", no_delay=False)
    with _worker(bench, "cohorting") as drawing:
        _retrievals(bench, drawing, peer)
        _summaries(bench, drawing, peer)
        peer.empty()
        _regions(bench, drawing)


@contextlib.contextmanager
def _worker(bench: Bench, module: str, python: str = "") -> Iterator[Worker]:
    with contextlib.closing(Worker(module, bench.scratch, python)) as worker:
        yield worker


class _Race:
    """One workload: the seconds of each contestant, and then whatever else was seen meanwhile."""

    def __init__(self, bench: Bench, workload: str) -> None:
        self._bench = bench
        self._workload = workload
        self._contestants: list[Contestant] = []
        self._seen: dict[str, list[Answer]] = {}

    def enter(
        self,
        name: str,
        module: str,
        job: Job,
        check: Callable[[Answer], None],
        *,
        warm: Job,
        most: int,
        python: str = "",
        absent: str = "",
    ) -> None:
        """Add a contestant.

        Parameters
        ----------
        name, module, python
            What it is called; the worker, and its Python where that is another.
        job, warm
            What is measured, and what is done before it in the same process.
        check
            Raises Wrong where an answer is not right.
        most
            As often may it run.
        absent
            Why it cannot take part.
        """
        seen = self._seen.setdefault(name, [])

        def attempt(folder: Path) -> Measured:
            with _worker(self._bench, module, python) as worker:
                (folder / "warm").mkdir(), (folder / "out").mkdir()
                warm(worker, folder / "warm")
                answer = job(worker, folder / "out")
            check(answer)
            seen.append(answer)
            return Measured(answer["seconds"])

        self._contestants.append(Contestant(name, attempt, most=most, absent=absent))

    def run(self, says: str, beside: Sequence[str], runs: int) -> None:
        """Let them run, and tell their seconds and their peaks."""
        self._runs = min(self._bench.runs, runs)
        self._bench.race("cohort", self._workload, says, self._contestants, beside, runs=self._runs)
        self.tell(memory_of(self._workload), "the peak of the process", lambda answer: answer["peak"] / _MB, "MB")

    def tell(self, workload: str, says: str, value: Callable[[Answer], float], unit: str) -> None:
        """Tell something else of the same runs."""

        def again(contestant: Contestant) -> Contestant:
            answers = iter(self._seen[contestant.name])

            def attempt(folder: Path) -> Measured:
                answer = next(answers, None)
                if answer is None:
                    raise Wrong("it has done nothing")
                return Measured(value(answer))

            most = max(1, len(self._seen[contestant.name]))
            return Contestant(contestant.name, attempt, most=most, absent=contestant.absent)

        both = [again(contestant) for contestant in self._contestants]
        self._bench.race("cohort", workload, says, both, (), runs=self._runs, unit=unit)


# Over the network


def _retrievals(bench: Bench, drawing: Worker, peer: BenchOrthanc) -> None:
    """One series of CT."""
    folder, slices, rows = bench.folder("cohort-ct-"), *((6, 64) if bench.quick else (300, 512))
    series = drawing("scan", within=_SECONDS, folder=str(folder / "ct"), name="CT", slices=slices, rows=rows)["series"]
    small = drawing("scan", folder=str(folder / "warm"), name="WARM", slices=3, rows=32)["series"]
    files = sorted((folder / "ct").iterdir())
    contents = Contents.of([dcmread(path) for path in files])
    peer.fill([*files, *(folder / "warm").iterdir()])
    known = {uid: _identifier(peer, "Series", "SeriesInstanceUID", uid) for uid in (series, small)}

    def check(answer: Answer) -> None:
        contents.check(map(Path, answer["files"]))
        answer["files"] = []

    def ours(uid: str) -> Job:
        return lambda worker, to: worker("fetch", within=_SECONDS, address=peer.rest_address, series=uid, to=str(to))

    def theirs(job: str, uid: str) -> Job:
        return lambda worker, to: worker(job, within=_SECONDS, url=peer.url, series=known[uid], to=str(to))

    race = _Race(bench, CT)
    race.enter(OURS, "cohorting", ours(series), check, warm=ours(small), most=5)
    for name, job in ((PDCP, "fetch"), (ARCHIVE, "zip")):
        race.enter(name, "pdcping", theirs(job, series), check, warm=theirs(job, small), most=2)
    says = f"{slices} slices of {rows} x {rows}, {sum(path.stat().st_size for path in files) / _MB:.0f} MB"
    race.run(says, (PDCP, ARCHIVE), runs=5)


def _summaries(bench: Bench, drawing: Worker, peer: BenchOrthanc) -> None:
    """One patient of many objects."""
    folder, chains, slices = bench.folder("cohort-patient-"), *((1, 24) if bench.quick else (10, 197))
    made = drawing("patient", within=_SECONDS, folder=str(folder / "whole"), name="MANY", chains=chains, slices=slices)
    small = drawing("patient", folder=str(folder / "warm"), name="FEW", chains=1, slices=24)
    for path in sorted(folder.rglob("*.dcm")):
        peer.fill([path])
    known = {one: _identifier(peer, "Patient", "PatientID", one) for one in (made["patient"], small["patient"])}

    def check(answer: Answer) -> None:
        if answer["rows"] != made["objects"]:
            raise Wrong(f"{answer['rows']} of {made['objects']} objects are in the summary")

    def ours(patient: str) -> Job:
        return lambda worker, to: worker("summarise", within=_SECONDS, url=peer.url, patient=patient, to=str(to))

    def theirs(patient: str) -> Job:
        ask = {"url": peer.url, "patient": known[patient]}
        return lambda worker, to: worker("summarise", within=_SECONDS, to=str(to), **ask)

    race = _Race(bench, SUMMARY)
    for name, module, job in ((OURS, "cohorting", ours), (PDCP, "pdcping", theirs)):
        race.enter(name, module, job(made["patient"]), check, warm=job(small["patient"]), most=5)
    race.run(f"a patient of {made['objects']:,} objects in {chains} courses", (PDCP,), runs=5)


def _identifier(peer: Orthanc, level: str, keyword: str, value: str) -> str:
    (found,) = peer.rest("POST", "/tools/find", {"Level": level, "Query": {keyword: value}})
    return str(found)


# On this machine


def _regions(bench: Bench, drawing: Worker) -> None:
    """Twenty regions, as masks and as histograms."""
    folder, rows, slices, voxels = bench.folder("cohort-rt-"), *((64, 45, 20) if bench.quick else (512, 150, 100))
    truth = drawing("course", within=_SECONDS, folder=str(folder / "rt"), rows=rows, slices=slices, voxels=voxels)
    small = drawing("course", within=_SECONDS, folder=str(folder / "warm"), rows=32, slices=30, voxels=10)
    pythons = {peer: _python(bench, peer) for peer in dict.fromkeys((*MASKERS, *SAMPLERS))}
    volume = truth["volumes"][_TARGET]

    def check(answer: Answer) -> None:
        off = abs(answer["volumes"][_TARGET] / volume - 1)
        if off > _FAR and not bench.quick:
            raise Wrong(f"the volume of a region is wrong by {off:.0%}")

    def job(of: Mapping[str, Any], name: str, peer: str = "") -> Job:
        given = {key: of[key] for key in ("ct", "structures", "dose")}
        more = {"peer": peer} if peer else {}
        return lambda worker, to: worker(name, within=_SECONDS, **more, **given)

    size = f"{len(truth['volumes'])} regions on {slices} slices of {rows} x {rows}"
    for workload, name, peers, says in (
        (MASKS, "masks", MASKERS, f"{size}, from files to whole masks"),
        (DVH, "dvh", SAMPLERS, f"{size}, with a dose of {voxels}^3"),
    ):
        race = _Race(bench, workload)
        race.enter(OURS, "cohorting", job(truth, name), check, warm=job(small, name), most=5)
        for peer in peers:
            python, absent = pythons[peer]
            warm, slow = job(small, name, peer), 1 if peer == "platipy" else 3
            entered = {"warm": warm, "most": slow, "python": python, "absent": absent}
            race.enter(peer, "cohort_peers", job(truth, name, peer), check, **entered)
        race.run(says, peers, runs=5)
        race.tell(
            off_by(workload, VOLUME),
            f"by how much the volume of {volume:.1f} cc is wrong",
            lambda answer: abs(answer["volumes"][_TARGET] / volume - 1) * 100,
            "%",
        )
        for what, key in ((D95, "d95"), (D2, "d2")) if workload == DVH else ():
            exact = truth[key]
            title = f"by how much {what} of {exact:.2f} Gy is wrong"
            race.tell(
                off_by(workload, what), title, lambda answer, key=key, exact=exact: abs(answer[key] - exact), "Gy"
            )  # type: ignore[misc]


def _python(bench: Bench, peer: str) -> tuple[str, str]:
    """The Python of a peer, or why it cannot take part; that is said aloud, since nothing is compared with it then."""
    folder = os.environ.get(PEERS, "")
    python = Path(folder or "PEERS", peer, "bin", "python")
    get = f'python3.11 -m venv {python.parents[1]} && {python} -m pip install {peer} "pydicom<3"'
    why = f"{PEERS} names no folder"
    if folder and python.is_file():
        try:
            with _worker(bench, "cohort_peers", str(python)) as worker:
                bench.say(f"It is compared with {worker('there', within=120, peer=peer)}.")
            return str(python), ""
        except WorkerFailed as failed:
            why = str(failed)[:120]
    elif folder:
        why = "it has no environment there"
    absent = f"ABSENT, NOT COMPARED ({why}): {get}, and {PEERS}={folder or 'PEERS'}"
    bench.say(f"{peer} is {absent}")
    return "", absent
