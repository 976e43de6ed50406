"""What is moved: series that are the same in each run, and the check that every object of them arrived whole."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from peers import course
from pydicom.dataset import Dataset

_ACQUIRED = datetime(2025, 11, 3, 17, 5)


class Wrong(Exception):
    """Something other than what was asked for arrived: however fast it was, it does not count."""


@dataclass(frozen=True)
class Shape:
    """How many objects of what a workload has."""

    says: str
    count: int
    rows: int
    treatment: bool = False


FULL = {
    "A": Shape("RT images of 3.3 MB", 10, 1280, treatment=True),
    "B": Shape("CT slices of 0.5 MB", 300, 512),
    "C": Shape("objects of 9 KB", 2000, 64),
    "c": Shape("objects of 9 KB", 200, 64),
    "w": Shape("objects of 9 KB, to warm up", 8, 64),
}
QUICK = {
    "A": Shape("RT images of 130 KB", 2, 256, treatment=True),
    "B": Shape("CT slices of 34 KB", 6, 128),
    "C": Shape("objects of 9 KB", 20, 64),
    "c": Shape("objects of 9 KB", 6, 64),
    "w": Shape("objects of 9 KB, to warm up", 3, 64),
}


@dataclass(frozen=True)
class Contents:
    """What the files of a set must hold: the UID that belongs to each checksum of pixels, and how long these are."""

    pixels: int
    uids: dict[int, str]

    @classmethod
    def of(cls, datasets: Iterable[Dataset]) -> Contents:
        """Those of data sets with equally many pixels."""
        uids = {zlib.crc32(dataset.PixelData): str(dataset.SOPInstanceUID) for dataset in datasets}
        return cls(len(next(iter(datasets)).PixelData), uids)

    def check(self, files: Iterable[Path]) -> None:
        """Wrong unless the files are exactly these objects, in whatever uncompressed syntax."""
        self.check_bytes(path.read_bytes() for path in files)

    def check_bytes(self, files: Iterable[bytes]) -> None:
        """The same for the bytes of Part-10 files."""
        missing = dict(self.uids)
        for data in files:
            whole = memoryview(data)
            uid = missing.pop(zlib.crc32(whole[-self.pixels :]), None)
            if uid is None or uid.encode() not in bytes(whole[: -self.pixels]):
                raise Wrong("a file arrived that is damaged, repeated or was not asked for")
        if missing:
            raise Wrong(f"{len(missing)} of {len(self.uids)} objects did not arrive")


@dataclass(frozen=True)
class Workload:
    """One series as files."""

    name: str
    says: str
    folder: Path
    references: tuple[tuple[str, str, str, str, str], ...]
    contents: Contents
    size: int

    @property
    def study(self) -> str:
        """Its Study Instance UID."""
        return self.references[0][0]

    @property
    def series(self) -> str:
        """Its Series Instance UID."""
        return self.references[0][1]

    @property
    def files(self) -> list[Path]:
        """Its files."""
        return sorted(self.folder.iterdir())


def enlarged(dataset: Dataset, rows: int, seed: str) -> Dataset:
    """The same data set with pixels of noise, always the same for a seed."""
    dataset.Rows = dataset.Columns = rows
    dataset.PixelData = random.Random(seed).randbytes(rows * rows * 2)
    return dataset


def write(name: str, shape: Shape, folder: Path) -> Workload:
    """Make a workload in a folder."""
    folder.mkdir()
    where = course.new_series(f"BENCH_{name}", "series")
    planned = course.plan("BENCH", patient=f"BENCH_{name}")
    datasets = []
    for number in range(1, shape.count + 1):
        made = (
            course.rt_image(planned, where, _ACQUIRED, number, rows=2)
            if shape.treatment
            else course.ct_slice(where, _ACQUIRED, number, rows=2)
        )
        datasets.append(enlarged(made, shape.rows, f"{name}{number}"))
        course.write(made, folder)
    references = tuple(
        (where.study_uid, where.uid, str(dataset.SOPInstanceUID), str(dataset.SOPClassUID), where.patient)
        for dataset in datasets
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    says = f"{shape.count:,} {shape.says}, {size / 1e6:.1f} MB in all"
    return Workload(name, says, folder, references, Contents.of(datasets), size)


def write_patients(count: int, folder: Path) -> Path:
    """As many patients with one small image each, for queries with many answers."""
    folder.mkdir()
    for number in range(count):
        patient = f"BENCHF{number:03d}"
        course.write(course.ct_slice(course.new_series(patient, "series"), _ACQUIRED, 1, rows=4), folder)
    return folder
