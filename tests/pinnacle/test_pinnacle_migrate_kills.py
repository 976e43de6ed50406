"""A whole collection, damaged archives among it, migrated by runs of which the first two are killed."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import phantom
import phantom_breakages
import pytest
from pinnacle_collection import WHOLE, course, prints

import qa_fetch
from qa_fetch.migrate import Entry, Migration, migrate

ALL, BROKEN = 200, 10
# how an archive is broken -> what the report says of it
WAYS = {
    "short dose": "RTDOSE of plan 0, trial 0: ",
    "no dose": "RTDOSE of plan 0, trial 0: ",
    "dose off the images": "RTDOSE of plan 0, trial 0: ",
    "formula and grid disagree": "RTDOSE of plan 0, trial 0: .*(formula|grid)",
    "no plan.Trial": "plan 0.*: .*trial",
    "no pixels": "CT of image set 0: .*ImageSet_0.img",
    "setup and header disagree": "do not agree on how the patient lay",
    "tar cut": "cut short",
    "tar of noise": "no tar archive that can be read",
    "no Patient": "no folder in it has a file called Patient",
}
OBJECTS = len(WHOLE)
_RUN = """
import sys
from qa_fetch.migrate import migrate
if __name__ == "__main__":
    listed, archives, to = sys.argv[1:]
    sys.exit(migrate(listed, archives, to=to, workers=2).exit_code)
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 is not Windows'")


def broken_at(number: int) -> str:
    """How the archive of this number is broken; empty where it is not."""
    return list(WAYS)[number // (ALL // BROKEN)] if number % (ALL // BROKEN) == 7 else ""


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 archives of a patient each, ten of them broken in ten ways, and the list of the patients."""
    root = tmp_path_factory.mktemp("collection")
    tars, folder = root / "tars", root / "folder"
    tars.mkdir()
    for number in range(ALL):
        way = broken_at(number)
        tar = tars / f"{number:04}_P{number:04}.tar"
        if not way:
            phantom.write(course(f"P{number:04}", seed=number), tar)
            continue
        breakage = phantom_breakages.BREAKAGES[way]
        phantom.write(course(f"P{number:04}", seed=number), folder)
        if not breakage.of_tar:
            breakage(folder)
        phantom.packed(folder, tar)
        if breakage.of_tar:
            breakage(tar)
        shutil.rmtree(folder)
    rows = "".join(f"P{number:04},alive\n" for number in range(ALL))
    (root / "patients.csv").write_text(f"patient_id,status\n{rows}")
    return root


def started(collection: Path, to: Path) -> subprocess.Popen[bytes]:
    script = to.parent / "run.py"
    script.write_text(_RUN)
    return subprocess.Popen(
        [sys.executable, str(script), str(collection / "patients.csv"), str(collection / "tars"), str(to)],
        env={**os.environ, "PYTHONPATH": str(Path(qa_fetch.__file__).parents[1])},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def seen(to: Path) -> dict[str, int]:
    """What an importing system sees: how many files each folder holds."""
    return {place.name: sum(1 for _ in place.iterdir()) for place in to.iterdir()} if to.is_dir() else {}


def stamps(to: Path) -> dict[str, tuple[int, int]]:
    """Which folder each one is; one that was delivered again is another."""
    return {place.name: (place.stat().st_ino, place.stat().st_mtime_ns) for place in to.iterdir()}


def whole(name: str, count: int) -> bool:
    """Whether a folder in the import folder has all that it can have."""
    found = re.fullmatch(r"Doe_Jane_P(\d{4})_10000", name)
    return found is not None and (count == OBJECTS or bool(broken_at(int(found[1])) and count))


def killed(running: subprocess.Popen[bytes], to: Path, at: int, chance: random.Random, *, all_of_it: bool) -> None:
    """Kill a run once so many patients have arrived: the process alone, or all of its session."""
    while len(now := seen(to)) < at:
        assert running.poll() is None, "it ended before it was killed"
        assert all(whole(name, count) for name, count in now.items()), "a folder that has its name is whole"
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.1))
    assert running.poll() is None, "it ended before it was killed"
    if all_of_it:
        os.killpg(running.pid, signal.SIGKILL)
    else:
        running.kill()
    running.communicate()


def explained(entry: Entry, problems: Mapping[str, str]) -> str:
    """All that the report says of a patient of whom not everything was converted."""
    said = [f"{each.what}: {each.reason}" for each in entry.omissions]
    return " ".join([entry.why, *said, *(problems[name] for name in problems if entry.patient in name)])


def test_a_migration_that_is_killed_twice_delivers_all_that_is_right(collection: Path, tmp_path: Path) -> None:
    """190 patients once each, 10 with an explanation, no half folder at any time, and the originals as they were."""
    to, tars, chance = tmp_path / "import", collection / "tars", random.Random(8)
    before = prints(tars)
    killed(started(collection, to), to, 15, chance, all_of_it=False)
    first = stamps(to)
    taken = sorted(first)[:5]
    for name in taken:  # as an importing system does
        shutil.rmtree(to / name)
    killed(started(collection, to), to, 90, chance, all_of_it=True)
    second = stamps(to)
    assert {name: second[name] for name in first if name not in taken} == {
        name: stamp for name, stamp in first.items() if name not in taken
    }
    last = started(collection, to)
    _, said = last.communicate(timeout=600)
    assert (last.returncode, said) == (1, b"")
    third = stamps(to)
    assert {name: third[name] for name in second} == second, "nothing is delivered twice"
    assert not third.keys() & set(taken), "nor what was taken away"
    assert all(whole(name, count) for name, count in seen(to).items())
    assert prints(tars) == before
    assert list((tmp_path / "import.migration" / "temporary").iterdir()) == []
    assert sorted(place.name for place in tmp_path.iterdir()) == ["import", "import.migration", "run.py"]
    check(migrate(collection / "patients.csv", tars, to=to, where="threads", workers=1))


def check(done: Migration) -> None:
    """190 delivered, 10 explained, in the words of their breakages."""
    assert len(done.entries) == ALL
    assert done.counts["converted"] == ALL - BROKEN
    rest = [entry for entry in done.entries if entry.state != "converted"]
    assert [entry for entry in rest if not entry.wrong] == []
    assert {entry.patient for entry in rest} == {f"P{n:04}" for n in range(ALL) if broken_at(n)}
    for entry in rest:
        way = broken_at(int(entry.patient[1:]))
        says = explained(entry, done.problems)
        assert re.search(WAYS[way], says), (way, says)
    page = (done.work / "report.html").read_text(encoding="utf-8")
    told = f"{ALL - BROKEN} of {ALL} living patients delivered with every plan; {BROKEN} patients to be looked at"
    assert told in page
