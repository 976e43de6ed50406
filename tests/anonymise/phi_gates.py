"""What the gates compare: the table, read by a reader of their own, and each source with what became of it."""

from __future__ import annotations

import csv
import re
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from peers.process import Missing, program, skip_or_fail
from phi_course import Planted, unpacked
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

import qa_fetch
from qa_fetch import part10

KEY = "00112233445566778899aabbccddeeff" * 2
STANDARD = "1.2.840.10008."
OWN = (0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00120064, 0x00280301, 0x00280303)
CODES = {
    "retain-safe-private": "113111",
    "retain-uids": "113110",
    "retain-device-identity": "113109",
    "retain-institution-identity": "113112",
    "retain-patient-characteristics": "113108",
    "retain-longitudinal-full-dates": "113106",
    "retain-longitudinal-modified-dates": "113107",
    "clean-descriptors": "113105",
    "clean-structured-content": "113104",
    "clean-graphics": "113103",
}
_TABLE = Path(qa_fetch.__file__).parent / "anonymise" / "ps315.csv"
Path_ = tuple[int, ...]  # tags, each but the last followed by the number of an item


@dataclass(frozen=True)
class Row:
    """One row of Table E.1-1: the basic action, and the letter of each option that has one."""

    basic: str
    options: Mapping[str, str]


@lru_cache(maxsize=1)
def table() -> Mapping[str, Row]:
    """The repository's copy of the table; keys are eight letters, with x where any digit may stand."""
    rows = {}
    with _TABLE.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(line for line in file if not line.startswith("#")):
            tag = re.sub("[^0-9a-fgx]", "", line["Tag"].lower())
            letters = {name.lower().replace(" ", "-"): line[name] for name in list(line)[5:] if line[name]}
            rows[tag] = Row(line["Basic"], letters)
    return rows


# PresentationCreationDate and -Time: the table removes what is of type 1 in a presentation state; we put dummies there.
OURS = frozenset((0x00700082, 0x00700083))


def row_of(tag: int) -> Optional[Row]:
    """The row that a tag belongs to."""
    rows, digits = table(), f"{tag:08x}"
    if tag >> 16 & 1:
        return rows["ggggeeee"]
    if digits.startswith("50"):
        return rows["50xxxxxx"]
    return rows.get(digits) or rows.get(f"60xx{digits[4:]}" if digits.startswith("60") else "")


def judged(path: Path_, old: DataElement, new: Optional[DataElement], options: frozenset[str]) -> str:
    """Why what became of an element is not what the table asks for; nothing where it is."""
    row = row_of(path[-1])
    if row is None or path[-1] in OWN:
        return ""
    letters = {letter for option, letter in row.options.items() if option in options}
    if letters or (new is None and "X" in row.basic):
        return ""
    if new is None:
        return "is gone, which the table does not allow" if row.basic not in ("U", "Z", "Z/D", "D") else "is gone"
    if row.basic == "X" and path[-1] not in OURS:
        return "is still there"
    if old.VR == "SQ" or not as_text(old):
        return ""
    if row.basic == "D" and not as_text(new):
        return "is empty, and the table asks for a value"
    return "still has its value" if as_text(old) == as_text(new) else ""


def as_text(element: Optional[DataElement]) -> str:
    """A value for comparison."""
    if element is None or element.value is None:
        return ""
    value = element.value
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ").hex()
    return "\\".join(map(str, value)) if element.VM > 1 else str(value)


def walked(dataset: Dataset, path: Path_ = ()) -> Iterator[tuple[Path_, DataElement]]:
    """Every element, in sequences too, and where it is."""
    for element in dataset:
        here = (*path, int(element.tag))
        yield here, element
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from walked(item, (*here, number))


def named(path: Path_) -> str:
    """A path for a message."""
    return "/".join(f"{number:08X}" if number > 0xFFFF else str(number) for number in path)


@dataclass(frozen=True)
class Pair:
    """A source and what became of it."""

    planted: Planted
    path: Path
    old: Mapping[Path_, DataElement]
    new: Mapping[Path_, DataElement]
    output: Dataset

    @property
    def name(self) -> str:
        """What it is, for a message."""
        return f"{self.planted.dataset.Modality} of {self.planted.person.id} in {self.planted.syntax}"

    def both(self) -> Iterator[tuple[Path_, DataElement, DataElement]]:
        """The elements that are in both."""
        for path, element in self.old.items():
            if path in self.new:
                yield path, element, self.new[path]


@dataclass
class Release:
    """One run over the corpus."""

    profile: str
    options: frozenset[str]
    source: Path
    folder: Path
    key: Any
    report: Any
    pairs: list[Pair] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """Every file that came out."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def key_file(path: Path) -> Path:
    """A key that is the same in each run."""
    path.write_text(KEY + "\n", "ascii")
    path.chmod(0o600)
    return path


def paired(release: Release, corpus: list[Planted]) -> None:
    """Find for each source what came of it, by the key alone."""
    outputs = {}
    for path in release.files:
        data = part10.read(path)
        outputs[str(data.SOPInstanceUID)] = (path, data)
    for planted in corpus:
        new = release.key.uid(str(planted.dataset.SOPInstanceUID))
        if new in outputs:
            path, output = outputs[new]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's opinion of values that the corpus has on purpose
                pair = Pair(planted, path, dict(walked(planted.read())), dict(walked(output)), output)
            release.pairs.append(pair)


def raw(path: Path) -> bytes:
    """A file's bytes with what is deflated unpacked."""
    return unpacked(path.read_bytes())


def iod_errors(paths: list[Path]) -> list[frozenset[str]]:
    """What dciodvfy finds wrong with each file, without the values it found."""
    try:
        tool = program("dciodvfy", "dicom3tools")
    except Missing as missing:
        skip_or_fail(missing)
    found = []
    for path in paths:
        done = subprocess.run([tool, str(path)], capture_output=True, timeout=60, check=False)
        said = (done.stdout + done.stderr).decode("latin-1").splitlines()
        errors = (line for line in said if line.startswith("Error"))
        found.append(frozenset(re.sub(r"= <.*?>|<\$B.*|\[\d+\]|got \d+", "", line) for line in errors))
    return found
